//! Sweeping: giving back the room of what was deleted.
//!
//! Nothing that a row refers to is ever removed. First the uploads in parts that nobody will complete any
//! more are forgotten, then come three passes, each in short transactions, beside everything else the
//! store does:
//!
//! 1. manifests and entries of deleted versions;
//! 2. births, which say that a project has some content, of content that no entry names any more. An
//!    entity with a version under way is left alone: its client may have been told that the content
//!    is there already;
//! 3. blobs that no birth, manifest, run or upload names, and files that no row names.
//!
//! A file goes before its row: after a crash in between, the next sweep takes the row.

use std::{
    fs,
    io::{self, ErrorKind},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::{Result, Store, blobs::md5_column, time};
use crate::server::digest::{Algorithm, Digest};

/// How long a version may be under way before its client counts as gone.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Rows removed in one transaction: a few milliseconds of the writer's time.
const CHUNK: usize = 256;

/// Rows looked at in one sweep; the rest is the next one's. Bounds its memory to about 30 MB.
const AT_MOST: i64 = 1_000_000;

/// Condition on `b`: a blob that nothing names.
const UNNAMED: &str = "NOT EXISTS (SELECT 1 FROM births WHERE md5 = b.md5)
     AND NOT EXISTS (SELECT 1 FROM upload_parts WHERE md5 = b.md5)
     AND NOT EXISTS (SELECT 1 FROM manifests WHERE md5 = b.md5)
     AND NOT EXISTS (SELECT 1 FROM run_files WHERE md5 = b.md5)";

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Manifests, with their entries.
    pub(crate) manifests: usize,
    /// Blobs.
    pub(crate) blobs: usize,
    /// Files without a row, which a crash leaves.
    pub(crate) strays: usize,
}

impl Store {
    /// Removes what nothing refers to. Blocks for as long as that takes; ends early, at no harm, once
    /// `stop` says so.
    pub(crate) fn sweep(&self, stop: &dyn Fn() -> bool) -> Result<Swept> {
        let mut swept = Swept::default();
        self.write(forget_uploads)?;
        for manifest in self.read(dead_manifests)? {
            if stop() {
                return Ok(swept);
            }
            self.drop_manifest(manifest)?;
            swept.manifests += 1;
        }
        let began = time::now();
        for dead in self.read(dead_births)?.chunks(CHUNK) {
            if stop() {
                return Ok(swept);
            }
            self.write(|tx| forget_births(tx, dead, &began))?;
        }
        for unnamed in self.read(unnamed_blobs)?.chunks(CHUNK) {
            if stop() {
                return Ok(swept);
            }
            swept.blobs += self.drop_unnamed(unnamed)?;
        }
        for first in 0..=u8::MAX {
            if stop() {
                return Ok(swept);
            }
            swept.strays += self.drop_strays(first)?;
        }
        Ok(swept)
    }

    fn drop_manifest(&self, id: i64) -> Result<()> {
        self.clear_entries(id)?;
        self.write(|tx| {
            tx.execute(
                "UPDATE artifacts SET manifest_id = NULL WHERE manifest_id = ? AND state = 'DELETED'",
                [id],
            )?;
            tx.execute("DELETE FROM manifests WHERE id = ?", [id])?;
            Ok(())
        })
    }

    /// Removes those of some blobs that nothing names; answers how many.
    pub(super) fn drop_unnamed(&self, blobs: &[Digest]) -> Result<usize> {
        let _alone = self.naming.write();
        self.write(|tx| {
            let mut dropped = 0;
            for md5 in blobs {
                let sql =
                    format!("SELECT EXISTS (SELECT 1 FROM blobs b WHERE b.md5 = ? AND {UNNAMED})");
                let unnamed: bool = tx
                    .prepare_cached(&sql)?
                    .query_row([md5.bytes], |row| row.get(0))?;
                if unnamed {
                    remove(&self.blobs().path(*md5))?;
                    tx.execute("DELETE FROM blobs WHERE md5 = ?", [md5.bytes])?;
                    dropped += 1;
                }
            }
            Ok(dropped)
        })
    }

    /// Removes the files of one directory of blobs that have no row.
    fn drop_strays(&self, first: u8) -> Result<usize> {
        let prefix = format!("{first:02x}");
        let _alone = self.naming.write();
        let mut dropped = 0;
        for entry in fs::read_dir(self.blobs().fan(first))? {
            let entry = entry?;
            let name = entry.file_name();
            let hex = format!("{prefix}{}", name.to_string_lossy());
            let Some(md5) = Digest::from_hex(Algorithm::Md5, &hex) else {
                continue;
            };
            let known: bool = self.read(|db| {
                let mut statement =
                    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE md5 = ?)")?;
                Ok(statement.query_row([md5.bytes], |row| row.get(0))?)
            })?;
            if !known {
                remove(&entry.path())?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Forgets the uploads in parts of versions that are not under way any more; their parts are unnamed then.
fn forget_uploads(tx: &Transaction<'_>) -> Result<()> {
    tx.execute(
        "DELETE FROM uploads WHERE NOT EXISTS (SELECT 1 FROM artifacts a
         WHERE a.id = uploads.artifact_id AND a.state = 'PENDING' AND a.created_at > ?)",
        [patience_began()],
    )?;
    Ok(())
}

/// Versions that began before this and are not committed have no client any more.
fn patience_began() -> String {
    time::at(Timestamp::now().as_second() - i64::try_from(PATIENCE.as_secs()).unwrap_or(0))
}

/// Manifests of versions that are deleted or gone, unless a version that is not has them too.
fn dead_manifests(db: &Connection) -> Result<Vec<i64>> {
    let mut statement = db.prepare(
        "SELECT m.id FROM manifests m LEFT JOIN artifacts a ON a.id = m.artifact_id
         WHERE (a.id IS NULL OR a.state = 'DELETED')
           AND NOT EXISTS (SELECT 1 FROM artifacts x WHERE x.manifest_id = m.id AND x.state <> 'DELETED')
         LIMIT ?",
    )?;
    let rows = statement.query_map([AT_MOST], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn dead_births(db: &Connection) -> Result<Vec<(i64, Digest)>> {
    let mut statement = db.prepare(
        "SELECT project_id, md5 FROM births
         WHERE md5 NOT IN (SELECT md5 FROM entries WHERE md5 IS NOT NULL) LIMIT ?",
    )?;
    let rows = statement.query_map([AT_MOST], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?))
    })?;
    rows.map(|row| {
        let (project, bytes) = row?;
        Ok((project, md5_column(&bytes)?))
    })
    .collect()
}

/// Removes births, but for projects of an entity in which a version is under way or was committed since `began`.
fn forget_births(tx: &Transaction<'_>, dead: &[(i64, Digest)], began: &str) -> Result<()> {
    let since = patience_began();
    let mut forget = tx.prepare_cached(
        "DELETE FROM births WHERE project_id = ?1 AND md5 = ?2 AND NOT EXISTS (
           SELECT 1 FROM projects p JOIN collections c ON c.entity_id = p.entity_id
           JOIN artifacts a ON a.sequence_id = c.id
           WHERE p.id = ?1 AND ((a.state = 'PENDING' AND a.created_at > ?3)
             OR (a.state = 'COMMITTED' AND a.updated_at >= ?4)))",
    )?;
    for (project, md5) in dead {
        forget.execute(params![project, md5.bytes, since, began])?;
    }
    Ok(())
}

fn unnamed_blobs(db: &Connection) -> Result<Vec<Digest>> {
    let mut statement = db.prepare(&format!(
        "SELECT b.md5 FROM blobs b WHERE {UNNAMED} LIMIT ?"
    ))?;
    let rows = statement.query_map([AT_MOST], |row| row.get::<_, [u8; 16]>(0))?;
    rows.map(|row| Ok(md5_column(&row?)?)).collect()
}
