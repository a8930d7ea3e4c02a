//! The blob cache that the mount shares with the W&B SDK (protocol §10).
//!
//! ```text
//! <cache>/artifacts/obj/{md5,xxh128,etag}/<2 digits>/<rest>   the SDK's: verified contents
//! <cache>/wandbfs/manifest/<2 digits>/<rest>                  manifests, by version and digest
//! <cache>/wandbfs/partial/                                    files being filled, see `scratch`
//! <cache>/wandbfs/index/<kind>/<2 digits>/<rest>              a marker per blob that a mount added
//! <cache>/wandbfs/ledger                                      bytes added by all mounts, see `evict`
//! ```
//!
//! What makes it hard, and the answer:
//! 1. Others trust whatever lies in `artifacts/obj`: content is complete and verified before it
//!    gets a name there, and the name appears at once ([`scratch`]).
//! 2. The limit counts what mounts added, never what the SDK did: a marker names the very inode
//!    that was added ([`index`]). Markers need no lock, so a dead process leaves none behind.
//! 3. A file may vanish at any time: readers keep what they opened, and a miss is only a miss.
//! 4. Many mounts share the limit: they count in one ledger, and eviction sees the markers of all
//!    of them ([`evict`]).
//! 5. People want to see and empty it: [`keeper`].

mod evict;
mod index;
mod keeper;
mod place;
mod scratch;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use keeper::{CacheKeeper, CachedFile, Report};
pub(crate) use place::Place;
pub(crate) use scratch::Scratch;

use evict::Room;
use index::Index;

use super::hash::Hasher;

/// The cache directory of one mount.
pub(crate) struct Cache {
    root: PathBuf,
    index: Index,
    room: Room,
    /// 0 keeps nothing.
    limit: u64,
    warned: AtomicBool,
}

/// What became of a content that was to be kept.
pub(crate) enum Kept {
    /// It lies in the cache, opened for reading.
    Shared(Arc<File>),
    /// It lies nowhere but in its anonymous file.
    Private(Arc<File>),
}

impl Kept {
    pub(crate) fn file(self) -> Arc<File> {
        match self {
            Self::Shared(file) | Self::Private(file) => file,
        }
    }
}

impl Cache {
    /// Opens the cache below `root` without touching the disk beyond one `statvfs`. `limit` is in
    /// bytes, `None` for a tenth of the disk.
    pub(crate) fn open(root: PathBuf, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or_else(|| tenth_of_disk(&root));
        Self {
            index: Index::new(root.clone()),
            room: Room::new(root.clone(), limit),
            root,
            limit,
            warned: AtomicBool::new(false),
        }
    }

    /// Limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that mounts have put there, as far as counted.
    pub(crate) fn used(&self) -> u64 {
        self.room.used()
    }

    /// The content if it is there, and marks it as used. A hit is a regular file of the right size
    /// (any size where nobody knows it). Blocking.
    pub(crate) fn open_hit(&self, place: &Place, size: Option<u64>) -> Option<File> {
        let file = File::open(place.path(&self.root)).ok()?;
        let meta = file.metadata().ok()?;
        if !meta.is_file() || size.is_some_and(|size| meta.len() != size) {
            return None;
        }
        // Without a size to compare, the content itself must show that it is whole.
        if let (Place::Hash(digest), None) = (place, size) {
            let mut hasher = Hasher::new(digest.algorithm());
            hasher.update_from(&file, 0, meta.len()).ok()?;
            if hasher.finish() != *digest {
                return None;
            }
        }
        self.index.touch(place, &file);
        Some(file)
    }

    /// Whether the content is there, without marking it as used. Blocking, one `stat`.
    pub(crate) fn holds(&self, place: &Place, size: Option<u64>) -> bool {
        std::fs::metadata(place.path(&self.root))
            .is_ok_and(|meta| meta.is_file() && size.is_none_or(|size| meta.len() == size))
    }

    /// A file to fill with a content of about `size` bytes: in the cache, or in the directory for
    /// temporary files when the cache has no room. A full disk is first relieved of what mounts
    /// added. Blocking.
    pub(crate) fn scratch(&self, size: u64) -> io::Result<Scratch> {
        let inside = scratch::create(&self.root, size).or_else(|cause| {
            if cause.kind() != io::ErrorKind::StorageFull {
                return Err(cause);
            }
            self.room.free(&self.index, size)?;
            scratch::create(&self.root, size)
        });
        inside.or_else(|cause| {
            self.warn_no_room(&cause);
            scratch::create_elsewhere(size)
        })
    }

    /// Gives a complete and verified content its name, after making room for it. A content that
    /// cannot be kept stays private, with a warning once. Blocking.
    pub(crate) fn keep(&self, scratch: &Scratch, place: Option<&Place>, size: u64) -> Kept {
        let private = || Kept::Private(scratch.file());
        let Some(place) = place.filter(|_| self.may_keep(size)) else {
            return private();
        };
        match self.publish(&[(scratch, *place, size)]).pop() {
            Some(Ok(file)) => Kept::Shared(Arc::new(file)),
            Some(Err(cause)) => {
                self.warn_no_room(&cause);
                private()
            }
            None => private(),
        }
    }

    /// Writes verified contents and gives them their names, under one lock of the ledger. A content
    /// that cannot be kept stays private; one that no disk takes is an error. Blocking.
    pub(crate) fn keep_all(&self, all: &[(&[u8], Option<Place>)]) -> Vec<io::Result<Arc<File>>> {
        let written = all.iter().map(|(bytes, _)| {
            let scratch = self.scratch(bytes.len() as u64)?;
            scratch.write_at(bytes, 0)?;
            Ok(scratch)
        });
        let written: Vec<io::Result<Scratch>> = written.collect();
        let mut numbers = Vec::new();
        let mut to_publish = Vec::new();
        for (number, (scratch, (bytes, place))) in written.iter().zip(all).enumerate() {
            let size = bytes.len() as u64;
            if let (Ok(scratch), Some(place)) = (scratch, place)
                && self.may_keep(size)
            {
                numbers.push(number);
                to_publish.push((scratch, *place, size));
            }
        }
        let published = self.publish(&to_publish);
        let private = written.into_iter().map(|written| Ok(written?.file()));
        let mut files: Vec<io::Result<Arc<File>>> = private.collect();
        for (number, published) in numbers.into_iter().zip(published) {
            match published {
                Ok(file) => files[number] = Ok(Arc::new(file)),
                Err(cause) => self.warn_no_room(&cause),
            }
        }
        files
    }

    fn may_keep(&self, size: u64) -> bool {
        size <= self.limit && self.limit > 0
    }

    /// Gives contents their names: the files that now have them, or why there is none, one for each.
    fn publish(&self, all: &[(&Scratch, Place, u64)]) -> Vec<io::Result<File>> {
        let size = all.iter().map(|(.., size)| size).sum();
        if all.is_empty() {
            return Vec::new();
        }
        let published = self.room.add(&self.index, size, || {
            let mut added = 0;
            let one_by_one = all.iter().map(|(scratch, place, size)| {
                let (file, is_new) = self.publish_one(scratch, place, *size)?;
                added += if is_new { *size } else { 0 };
                Ok(file)
            });
            let files = one_by_one.collect();
            Ok((files, added))
        });
        published.unwrap_or_else(|cause| all.iter().map(|_| Err(copy_of(&cause))).collect())
    }

    /// The file with the content's name, and whether it was this one that got it. Called with the
    /// ledger locked and the size counted.
    fn publish_one(&self, scratch: &Scratch, place: &Place, size: u64) -> io::Result<(File, bool)> {
        let path = place.path(&self.root);
        if self.holds(place, Some(size)) {
            let file = File::open(&path).or_else(|_| scratch.reopen())?;
            return Ok((file, false));
        }
        scratch::make_parent(&self.root, &path)?;
        scratch.adopt_owner(&self.root)?;
        // The marker comes first: killed in between, it names an inode that has no place, which the
        // next scan removes. The other order would leave a blob that nobody counts.
        let mark = self.index.mark(place, &scratch.file())?;
        let named = scratch.name(&path, size);
        // Someone else was first and keeps it on their account, or it cannot be kept.
        if !matches!(named, Ok(true)) {
            self.index.unmark(place, &mark);
        }
        let is_new = named?;
        let file = File::open(&path).or_else(|_| scratch.reopen())?;
        Ok((file, is_new))
    }

    /// Counts what is there, removes what dead processes left, and brings it under the limit.
    /// Blocking, about 10 µs a blob.
    pub(crate) fn tidy(&self) {
        scratch::sweep(&self.root);
        if let Err(cause) = self.room.recount(&self.index, self.limit) {
            self.warn_no_room(&cause);
        }
    }

    /// The same for start-up: counts only where the last count is long ago. A cache that is not
    /// there yet needs nothing.
    pub(crate) fn tidy_if_needed(&self) {
        if !self.root.join("wandbfs").is_dir() {
            return;
        }
        scratch::sweep(&self.root);
        if let Err(cause) = self.room.recount_if_old(&self.index) {
            tracing::debug!(%cause, "the cache is not counted");
        }
    }

    /// Says once that contents are served without being kept.
    pub(crate) fn warn_no_room(&self, cause: &io::Error) {
        if !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                cache = %self.root.display(), %cause,
                "the cache takes no more files; contents are served without being kept"
            );
        }
    }
}

/// The same failure, for everyone who shares it.
fn copy_of(cause: &io::Error) -> io::Error {
    match cause.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(cause.kind(), cause.to_string()),
    }
}

fn tenth_of_disk(root: &Path) -> u64 {
    // The directory may not exist yet: its nearest ancestor is on the same disk.
    let stat = root
        .ancestors()
        .find_map(|dir| rustix::fs::statvfs(dir).ok());
    stat.map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize) / 10)
}
