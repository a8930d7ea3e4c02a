//! Files and directories that the kernel reads without opening them first.
//!
//! Where every open was answered with "not needed", a read comes with a number only. What it needs
//! is opened at the first read and kept for a while, in tables that are bounded.
//!
//! The kernel keeps all pages of such a file for good, and there is no next open that would drop
//! them. So a file whose bytes are not verified yet is watched: if they turn out wrong, its pages
//! go, and every read fails for [`IDLE`], because the kernel swallows the error of a read-ahead and
//! asks again; then it is opened anew. If it leaves the table unverified,
//! its pages go as well.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use super::directories::Directory;
use super::files::File;
use super::{DirEntry, KernelCache, Vfs};
use super::{attributes::Attr, errno::Errno};
use crate::model::ErrorKind;

/// Files kept open. Each may hold a descriptor, or the bytes of one small file: 256 of 1 MiB at the
/// worst. More would gain nothing: what was read is in the page cache.
const FILES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// Directories kept open. Each holds one page of its listing, about 100 kB.
const DIRECTORIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// Unused for so long, a file or directory is closed.
const IDLE: Duration = Duration::from_secs(10);

/// How often unverified files are looked at: the longest time that pages of a content stay after
/// it was found wrong.
const LOOK: Duration = Duration::from_millis(500);

/// What is open without the kernel's knowledge.
#[derive(Default)]
pub(super) struct Unopened {
    files: Mutex<Option<LruCache<u64, Used<File>>>>,
    directories: Mutex<Option<LruCache<u64, Used<Directory>>>>,
    watched: OnceLock<()>,
}

struct Used<T> {
    item: Arc<T>,
    at: Instant,
    /// It failed; further reads do not keep it open.
    failed: bool,
}

/// Finds and marks as used.
fn find<T>(table: &Mutex<Option<LruCache<u64, Used<T>>>>, ino: u64) -> Option<Arc<T>> {
    let mut table = table.lock();
    let table = table.as_mut()?;
    let used = table.peek_mut(&ino)?;
    let item = Arc::clone(&used.item);
    if !used.failed {
        used.at = Instant::now();
        table.promote(&ino);
    }
    Some(item)
}

/// Puts in, unless somebody was faster; gives what is in now, and what had to leave for it.
fn keep<T>(
    table: &Mutex<Option<LruCache<u64, Used<T>>>>,
    limit: NonZeroUsize,
    ino: u64,
    item: T,
) -> (Arc<T>, Option<Arc<T>>) {
    let mut table = table.lock();
    let table = table.get_or_insert_with(|| LruCache::new(limit));
    if let Some(used) = table.get(&ino) {
        return (Arc::clone(&used.item), None);
    }
    let item = Arc::new(item);
    let used = Used {
        item: Arc::clone(&item),
        at: Instant::now(),
        failed: false,
    };
    let left = table.push(ino, used).map(|(_, used)| used.item);
    (item, left)
}

/// Takes out what was not used since `since`.
fn idle<T>(table: &Mutex<Option<LruCache<u64, Used<T>>>>, since: Instant) -> Vec<Arc<T>> {
    let mut table = table.lock();
    let mut left = Vec::new();
    if let Some(table) = table.as_mut() {
        while table.peek_lru().is_some_and(|(_, used)| used.at < since) {
            left.extend(table.pop_lru().map(|(_, used)| used.item));
        }
    }
    left
}

impl Unopened {
    /// Open files and directories.
    pub(super) fn len(&self) -> usize {
        let files = self.files.lock().as_ref().map_or(0, LruCache::len);
        files + self.directories.lock().as_ref().map_or(0, LruCache::len)
    }

    /// Lets a file that failed be opened anew after a while, read or not.
    fn failed(&self, ino: u64) {
        if let Some(used) = self.files.lock().as_mut().and_then(|t| t.peek_mut(&ino)) {
            used.failed = true;
        }
    }

    /// One look at everything: closes what is idle, drops pages that turned out wrong.
    async fn look(&self, kernel: &dyn KernelCache, now: Instant) {
        if let Some(since) = now.checked_sub(IDLE) {
            idle(&self.directories, since);
            for file in idle(&self.files, since) {
                forget_pages(&file, kernel);
            }
        }
        let unverified: Vec<Arc<File>> = {
            let files = self.files.lock();
            let open = files.iter().flat_map(LruCache::iter);
            open.map(|(_, used)| &used.item)
                .filter(|file| !file.is_verified())
                .cloned()
                .collect()
        };
        for file in unverified {
            if file.is_wrong().await {
                kernel.drop_pages(file.ino);
            }
        }
    }
}

/// What the kernel may keep of a file that is not watched any more: nothing that was not verified.
fn forget_pages(file: &File, kernel: &dyn KernelCache) {
    if !file.is_verified() {
        kernel.drop_pages(file.ino);
    }
}

/// Looks until the table is gone.
async fn watch(unopened: Weak<Unopened>, kernel: Arc<dyn KernelCache>) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        ticks.tick().await;
        let Some(unopened) = unopened.upgrade() else {
            return;
        };
        unopened.look(&*kernel, Instant::now()).await;
    }
}

impl Vfs {
    /// Bytes of a file that was never opened; else as [`Vfs::read`].
    ///
    /// # Errors
    /// Those of [`Vfs::open`] and [`Vfs::read`].
    pub async fn read_unopened(&self, ino: u64, offset: u64, size: u32) -> Result<Bytes, Errno> {
        let file = match find(&self.unopened.files, ino) {
            Some(file) => file,
            None => {
                let (file, _) = self.open_file(ino).await?;
                let (file, left) = keep(&self.unopened.files, FILES, ino, file);
                if let Some(kernel) = self.kernel.get() {
                    if let Some(left) = left {
                        forget_pages(&left, &**kernel);
                    }
                    self.unopened.watched.get_or_init(|| {
                        let table = Arc::downgrade(&self.unopened);
                        tokio::spawn(watch(table, Arc::clone(kernel)));
                    });
                }
                file
            }
        };
        let read = self.read_file(&file, offset, size).await;
        if read == Err(Errno::EIO) {
            self.unopened.failed(ino);
        }
        read
    }

    /// Entries of a directory that was never opened; else as [`Vfs::readdir`].
    ///
    /// # Errors
    /// Those of [`Vfs::opendir`] and [`Vfs::readdir`].
    pub async fn readdir_unopened(
        &self,
        ino: u64,
        offset: u64,
        add: impl FnMut(DirEntry<'_>) -> bool + Send,
    ) -> Result<(), Errno> {
        let directory = self.unopened_directory(ino).await?;
        self.list(&directory, offset, add).await
    }

    /// The same with attributes; else as [`Vfs::readdirplus`].
    ///
    /// # Errors
    /// Those of [`Vfs::opendir`] and [`Vfs::readdirplus`].
    pub async fn readdirplus_unopened(
        &self,
        ino: u64,
        offset: u64,
        add: impl FnMut(DirEntry<'_>, &Attr) -> bool + Send,
    ) -> Result<(), Errno> {
        let directory = self.unopened_directory(ino).await?;
        self.list_plus(&directory, offset, add).await
    }

    async fn unopened_directory(&self, ino: u64) -> Result<Arc<Directory>, Errno> {
        if let Some(directory) = find(&self.unopened.directories, ino) {
            return Ok(directory);
        }
        let directory = self.open_directory(ino).await?;
        Ok(keep(&self.unopened.directories, DIRECTORIES, ino, directory).0)
    }
}

impl File {
    /// Whether its bytes can never turn out wrong.
    fn is_verified(&self) -> bool {
        self.blob().is_none_or(|blob| blob.file().is_some())
    }

    /// Whether bytes that were given turned out wrong: even a read of nothing fails then.
    async fn is_wrong(&self) -> bool {
        match self.blob() {
            Some(blob) => {
                let read = blob.read_at(0, 0).await;
                read.is_err_and(|why| why.kind() == ErrorKind::Corrupt)
            }
            None => false,
        }
    }
}
