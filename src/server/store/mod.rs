//! Everything the embedded server remembers: a SQLite database and a directory of blobs.
//!
//! | module | what it answers |
//! |---|---|
//! | [`blobs`] | bytes by digest, durable before any row names them |
//! | [`births`] | which project has which content, and so who may have it |
//! | [`accounts`], [`enrol`], [`projects`] | who there is, and who may see what |
//! | [`collections`], [`versions`], [`aliases`], [`tags`] | the nouns of artifacts |
//! | [`writing`], [`commit`], [`links`] | how a version comes to be and where it appears |
//! | [`manifests`] | what is in a version |
//! | [`objects`], [`parts`] | which bytes a signed URL stands for, and where an upload goes |
//! | [`filter`], [`page`] | Mongo-style conditions and keyset pages, as SQL |
//! | [`runs`] | producers and consumers |
//! | [`sweep`] | giving back the room of what was deleted |
//!
//! One writer at a time (`BEGIN IMMEDIATE` under a mutex), any number of readers beside it (WAL). A reader
//! never waits for a writer, so the short reads of a resolver run on the calling task; writes sync to
//! disk and belong on a blocking thread.

pub(crate) mod accounts;
pub(crate) mod aliases;
pub(crate) mod births;
pub(crate) mod blobs;
pub(crate) mod collections;
pub(crate) mod commit;
pub(crate) mod enrol;
pub(crate) mod error;
pub(crate) mod filter;
mod filter_json;
pub(crate) mod ids;
pub(crate) mod links;
pub(crate) mod manifests;
pub(crate) mod objects;
pub(crate) mod page;
mod parts;
pub(crate) mod projects;
pub(crate) mod runs;
pub(crate) mod sweep;
pub(crate) mod tags;
pub(crate) mod time;
mod turns;
pub(crate) mod versions;
pub(crate) mod writing;

use std::{
    fs::{self, File},
    path::Path,
};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use self::turns::Turns;
pub(crate) use self::{
    blobs::BlobDir,
    error::{Result, StoreError},
    ids::Kind,
};

/// The schema this release writes: the number of migrations below.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Migration `i` lifts a database from version `i` to `i + 1`.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
];

/// Idle reader connections kept. Each costs its page cache, at most 2 MB by SQLite's default.
const IDLE_READERS: usize = 8;

/// Prepared statements kept per connection: more than the store has distinct fixed queries.
const STATEMENTS: usize = 128;

/// The server's memory.
pub(crate) struct Store {
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    database: std::path::PathBuf,
    blobs: BlobDir,
    /// Held shared from the moment a blob has its name until a row names it, and exclusively to
    /// remove blobs that no row names.
    naming: RwLock<()>,
    /// Versions whose commit is under way, see [`commit`].
    committing: Turns,
    /// Uploads that are being put together, see [`parts`].
    completing: Turns,
    _lock: File,
}

impl Store {
    /// Opens the data directory, making or upgrading it as needed.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if another server has it open, [`StoreError::TooNew`] if a newer release wrote it.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = File::create(dir.join("lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::Busy)?;
        let database = dir.join("server.sqlite");
        let mut writer = connect(&database, OpenFlags::default())?;
        // WAL frames reach the file before a commit returns, so a killed process loses nothing; FULL adds
        // the sync that a power cut needs, at a fraction of a millisecond per write.
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut writer)?;
        Ok(Self {
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            database,
            blobs: BlobDir::open(&dir.join("blobs"))?,
            naming: RwLock::default(),
            committing: Turns::default(),
            completing: Turns::default(),
            _lock: lock,
        })
    }

    /// The blob directory.
    pub(crate) fn blobs(&self) -> &BlobDir {
        &self.blobs
    }

    /// Runs `f` on a reader: a consistent snapshot within each statement.
    pub(crate) fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(
                &self.database,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?,
        };
        let result = f(&connection);
        let mut readers = self.readers.lock();
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    /// Runs `f` in the one write transaction; an error rolls everything back. Blocks: not for an async task.
    pub(crate) fn write<T>(&self, f: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = self.writer.lock();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = f(&transaction)?;
        transaction.commit()?;
        // Who writes in many steps, as a large commit does, lets those who wait go first.
        MutexGuard::unlock_fair(writer);
        Ok(value)
    }

    /// Keeps blobs that no row names yet from being removed.
    fn keep_unnamed(&self) -> RwLockReadGuard<'_, ()> {
        self.naming.read()
    }
}

/// Runs `f` in a write transaction on a directory that a server has open: for a command beside it.
///
/// # Errors
/// [`StoreError::TooNew`] if that server is of a newer release.
pub(crate) fn beside<T>(dir: &Path, f: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
    let mut writer = connect(&dir.join("server.sqlite"), OpenFlags::default())?;
    let found = schema_version(&writer)?;
    if found != SCHEMA_VERSION {
        return Err(StoreError::TooNew {
            found,
            known: SCHEMA_VERSION,
        });
    }
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = f(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn schema_version(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    filter::register(&connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let found = schema_version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::TooNew {
            found,
            known: SCHEMA_VERSION,
        });
    }
    for (version, script) in MIGRATIONS
        .iter()
        .enumerate()
        .skip(usize::try_from(found).unwrap_or(0))
    {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", version as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
