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
mod uses;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use keeper::{CacheKeeper, CachedFile, Report};
pub(crate) use place::Place;
pub(crate) use scratch::Scratch;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

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
        let length = regular(&file).filter(|length| size.is_none_or(|size| size == *length))?;
        // Without a size to compare, the content itself must show that it is whole.
        if let (Place::Hash(digest), None) = (place, size) {
            let mut hasher = Hasher::new(digest.algorithm());
            hasher.update_from(&file, 0, length).ok()?;
            if hasher.finish() != *digest {
                return None;
            }
        }
        if self.index.note_use(place) {
            self.index.apply_uses();
        }
        Some(file)
    }

    /// The same as far as the kernel can tell from memory, and without marking it as used.
    ///
    /// # Errors
    /// When that takes a look at the disk.
    pub(crate) fn open_hit_at_once(
        &self,
        place: &Place,
        size: Option<u64>,
    ) -> io::Result<Option<File>> {
        if matches!((place, size), (Place::Hash(_), None)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let path = place.path(&self.root);
        let (how, mode) = (OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        match rustix::fs::openat2(CWD, path, how, mode, ResolveFlags::CACHED) {
            Ok(file) => {
                let file = File::from(file);
                let length = regular(&file);
                let fits = length.is_some_and(|length| size.is_none_or(|size| size == length));
                Ok(fits.then_some(file))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// Notes that a content was used; whether [`Cache::apply_uses`] has to be called.
    pub(crate) fn note_use(&self, place: &Place) -> bool {
        self.index.note_use(place)
    }

    /// Brings noted uses to the disk. Blocking.
    pub(crate) fn apply_uses(&self) {
        self.index.apply_uses();
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
        let Some(place) = place.filter(|_| size <= self.limit && self.limit > 0) else {
            return private();
        };
        match self.publish(scratch, place, size) {
            Ok(file) => Kept::Shared(Arc::new(file)),
            Err(cause) => {
                self.warn_no_room(&cause);
                private()
            }
        }
    }

    fn publish(&self, scratch: &Scratch, place: &Place, size: u64) -> io::Result<File> {
        let path = place.path(&self.root);
        if self.holds(place, Some(size)) {
            return File::open(&path).or_else(|_| scratch.reopen());
        }
        scratch::make_parent(&self.root, &path)?;
        scratch.adopt_owner(&self.root)?;
        self.room.add(&self.index, size, || {
            // The marker comes first: killed in between, it names an inode that has no place,
            // which the next scan removes. The other order would leave a blob that nobody counts.
            let mark = self.index.mark(place, &scratch.file())?;
            let named = scratch.name(&path, size);
            // Someone else was first and keeps it on their account, or it cannot be kept.
            if !matches!(named, Ok(true)) {
                self.index.unmark(place, &mark);
            }
            Ok(((), named?))
        })?;
        File::open(&path).or_else(|_| scratch.reopen())
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

/// Length of a regular file.
fn regular(file: &File) -> Option<u64> {
    let meta = file.metadata().ok()?;
    meta.is_file().then_some(meta.len())
}

fn tenth_of_disk(root: &Path) -> u64 {
    // The directory may not exist yet: its nearest ancestor is on the same disk.
    let stat = root
        .ancestors()
        .find_map(|dir| rustix::fs::statvfs(dir).ok());
    stat.map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize) / 10)
}
