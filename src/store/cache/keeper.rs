//! The cache as people look after it: what lies there, how much, whether it is right, and less of
//! it.
//!
//! Everything complete in the cache is shown, also what the SDK added; only what mounts added is
//! removed to save space. A content that does not match its name is removed whoever added it: the
//! SDK would hand it out unseen.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Cache;
use super::index::names;
use super::place::Place;
use crate::store::hash::Hasher;

/// Directories of contents below the cache directory, and the kinds in them.
const KINDS: [(&str, &str); 4] = [
    ("artifacts/obj", "md5"),
    ("artifacts/obj", "xxh128"),
    ("artifacts/obj", "etag"),
    ("wandbfs", "manifest"),
];

/// A content in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// `md5`, `xxh128`, `etag` or `manifest`: what its name is made of.
    pub kind: &'static str,
    /// Its name in hexadecimal digits.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When it was used last: exact for what mounts added, else the access time of the file.
    pub used: SystemTime,
    /// Whether a mount added it, so that it counts against the limit; else the SDK did.
    pub added: bool,
}

/// What a look after the cache found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that are there afterwards.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files removed.
    pub removed: u64,
    /// Files whose content did not match their name.
    pub corrupt: u64,
}

/// A cache directory, without a store on it.
pub struct CacheKeeper {
    cache: Cache,
}

impl CacheKeeper {
    /// Looks at nothing yet. `limit` is as in [`StoreOptions`](crate::store::StoreOptions).
    pub fn new(root: PathBuf, limit: Option<u64>) -> Self {
        Self {
            cache: Cache::open(root, limit),
        }
    }

    /// Hands every content to `visit`, until that fails. Blocking.
    ///
    /// # Errors
    /// Those of `visit`. What cannot be read is left out.
    pub fn each<E>(&self, mut visit: impl FnMut(CachedFile) -> Result<(), E>) -> Result<(), E> {
        for (above, kind) in KINDS {
            let top = self.cache.root.join(above).join(kind);
            for first in names(&top) {
                for rest in names(&top.join(&first)) {
                    let place = Place::parse(kind, &first, &rest);
                    let path = top.join(&first).join(&rest);
                    if let Some(file) = place.and_then(|place| self.look(kind, place, path)) {
                        visit(file)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn look(&self, kind: &'static str, place: Place, path: PathBuf) -> Option<CachedFile> {
        let meta = std::fs::symlink_metadata(&path).ok()?;
        if !meta.is_file() {
            return None;
        }
        let marked = self.cache.index.last_use(&place);
        let used = marked.or_else(|| meta.accessed().ok());
        Some(CachedFile {
            kind,
            name: place.name(),
            path,
            size: meta.len(),
            used: used.unwrap_or(SystemTime::UNIX_EPOCH),
            added: marked.is_some(),
        })
    }

    /// Counts. Blocking.
    pub fn count(&self) -> Report {
        let mut report = Report::default();
        let counted: Result<(), std::convert::Infallible> = self.each(|file| {
            report.files += 1;
            report.bytes += file.size;
            Ok(())
        });
        let Ok(()) = counted;
        report
    }

    /// Removes what mounts added, least recently used first, until at most `limit` bytes of it are
    /// there; without a limit, until the cache is as full as it may be. Blocking.
    ///
    /// # Errors
    /// When the cache directory cannot be written.
    pub fn collect(&self, limit: Option<u64>) -> io::Result<Report> {
        if !self.cache.root.is_dir() {
            return Ok(Report::default());
        }
        super::scratch::sweep(&self.cache.root);
        let limit = limit.unwrap_or(self.cache.limit);
        let removed = self.cache.room.recount(&self.cache.index, limit)?;
        Ok(Report {
            removed,
            ..self.count()
        })
    }

    /// Reads every content whose name is its hash and removes what does not match. Calls
    /// `progress` with the bytes read since the last call. Blocking.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Report {
        let mut report = Report::default();
        let verified: Result<(), std::convert::Infallible> = self.each(|file| {
            let wrong = matches!(file.kind, "md5" | "xxh128") && is_wrong(&file);
            progress(file.size);
            report.corrupt += u64::from(wrong);
            if wrong && std::fs::remove_file(&file.path).is_ok() {
                report.removed += 1;
            } else {
                report.files += 1;
                report.bytes += file.size;
            }
            Ok(())
        });
        let Ok(()) = verified;
        report
    }
}

/// Whether a content does not match its name. What cannot be read is not known to be wrong, and what
/// was replaced meanwhile is another file.
fn is_wrong(cached: &CachedFile) -> bool {
    let (first, rest) = cached.name.split_at(2);
    let Some(Place::Hash(digest)) = Place::parse(cached.kind, first, rest) else {
        return false;
    };
    let read = || {
        let file = File::open(&cached.path)?;
        let meta = file.metadata()?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update_from(&file, 0, meta.len())?;
        io::Result::Ok((hasher.finish() != digest, meta))
    };
    read().is_ok_and(|(wrong, meta)| wrong && is_still(&cached.path, &meta))
}

fn is_still(path: &Path, meta: &std::fs::Metadata) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|now| now.ino() == meta.ino())
}
