//! The blob cache that the mount shares with the W&B SDK (protocol §10).
//!
//! ```text
//! <cache>/artifacts/obj/{md5,xxh128,etag}/<2 digits>/<rest>   the SDK's: verified contents
//! <cache>/wandbfs/manifest/<2 digits>/<rest>                  manifests, by version and digest
//! <cache>/wandbfs/partial/                                    files being filled, see `scratch`
//! <cache>/wandbfs/index/<kind>/<2 digits>/<rest>              a marker per blob that a mount added
//! <cache>/wandbfs/ledger                                      bytes added by all mounts, see `ledger`
//! ```
//!
//! What makes it hard, and the answer:
//! 1. Others trust whatever lies in `artifacts/obj`: content is complete and verified before it
//!    gets a name there, and the name appears at once ([`scratch`]).
//! 2. The limit counts what mounts added, never what the SDK did: a marker names the very inode
//!    that was added ([`index`]). Markers need no lock, so a dead process leaves none behind.
//! 3. A file may vanish at any time: readers keep what they opened, and a miss is only a miss.
//! 4. Many mounts share the limit: they count in one [`ledger`], and eviction sees the markers of
//!    all of them ([`evict`]).
//! 5. A disk gets full while a content is written, whoever fills it: room is made when a write needs
//!    it ([`Cache::write`]), and what cannot be written is served all the same.
//! 6. People want to see and empty it: [`keeper`].

mod disk;
mod evict;
mod index;
mod keeper;
mod ledger;
mod place;
mod scratch;
mod uses;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub(crate) use disk::is_full;
pub use keeper::{CacheKeeper, CachedFile, Report};
pub(crate) use place::Place;
pub(crate) use scratch::Scratch;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use disk::{default_limit, full};
use evict::Room;
use index::Index;

use super::hash::Hasher;

/// What the name of a content costs on the disk at most: a marker, and two directories on the way to
/// either.
const NAME: u64 = 32 << 10;

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
        let limit = limit.unwrap_or_else(|| default_limit(&root));
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
    /// temporary files when the cache has no room and cannot make any. Blocking.
    pub(crate) fn scratch(&self, size: u64) -> io::Result<Scratch> {
        let inside = match self.room.could_hold(size) {
            true => self.with_room(0, || scratch::create(&self.root)),
            false => Err(full()),
        };
        inside.or_else(|cause| {
            self.warn_no_room(&cause);
            scratch::create_elsewhere(size)
        })
    }

    /// Writes pieces of a content into its file. A disk that is full, or becomes so, is first
    /// relieved of what mounts added. Blocking.
    ///
    /// # Errors
    /// `StorageFull` where that does not help; some of the pieces may have been written.
    pub(crate) fn write(&self, scratch: &Scratch, pieces: &[(u64, &[u8])]) -> io::Result<()> {
        let size = pieces.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if scratch.is_inside() && self.room.is_short_of(size) {
            self.room.free(&self.index, size)?;
        }
        for (offset, bytes) in pieces {
            let write = || scratch.write_at(bytes, *offset);
            match scratch.is_inside() {
                true => self.with_room(bytes.len() as u64, write)?,
                false => write()?,
            }
        }
        Ok(())
    }

    /// Does what needs `size` bytes of the disk, and does it again after making room where the disk
    /// is full.
    fn with_room<T>(&self, size: u64, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(cause) if is_full(&cause) => {
                self.room.free(&self.index, size).map_err(|_| cause)?;
                work()
            }
            done => done,
        }
    }

    /// Gives a complete and verified content its name, after making room for it. A content that
    /// cannot be kept stays private, with a warning once. Blocking.
    pub(crate) fn keep(&self, scratch: &Scratch, place: Option<&Place>, size: u64) -> Kept {
        let private = || Kept::Private(scratch.file());
        let Some(place) = place.filter(|_| self.may_keep(scratch, size)) else {
            return private(); // and was warned of, where there is no room
        };
        // Names and markers take room as well.
        let publish = || match self.publish(&[(scratch, *place, size)]).pop() {
            Some(published) => published,
            None => scratch.reopen(),
        };
        match self.with_room(NAME, publish) {
            Ok(file) => Kept::Shared(Arc::new(file)),
            Err(cause) => {
                self.warn_no_room(&cause);
                private()
            }
        }
    }

    /// The same for several at once, under one lock of the ledger.
    pub(crate) fn keep_all(&self, all: &[(&Scratch, Option<Place>, u64)]) -> Vec<Kept> {
        let named = all.iter().filter_map(|&(scratch, place, size)| {
            let place = place.filter(|_| self.may_keep(scratch, size))?;
            Some((scratch, place, size))
        });
        let mut published = self.publish(&named.collect::<Vec<_>>()).into_iter();
        let kept = all.iter().map(|&(scratch, place, size)| {
            let published = match place {
                Some(_) if self.may_keep(scratch, size) => published.next(),
                _ => None,
            };
            match published {
                Some(Ok(file)) => Kept::Shared(Arc::new(file)),
                // One by one there may be room, or there will be a warning.
                _ => self.keep(scratch, place.as_ref(), size),
            }
        });
        kept.collect()
    }

    fn may_keep(&self, scratch: &Scratch, size: u64) -> bool {
        size <= self.limit && self.limit > 0 && scratch.is_inside()
    }

    /// Gives contents their names: the files that now have them, or why there is none, one for each.
    fn publish(&self, all: &[(&Scratch, Place, u64)]) -> Vec<io::Result<File>> {
        let held = |(scratch, place, size): &(&Scratch, Place, u64)| {
            let there = self.holds(place, Some(*size));
            there.then(|| File::open(place.path(&self.root)).or_else(|_| scratch.reopen()))
        };
        let mut files: Vec<Option<io::Result<File>>> = all.iter().map(held).collect();
        let new = || all.iter().zip(&files).filter(|(_, file)| file.is_none());
        let size = new().map(|((.., size), _)| size).sum();
        let added = match new().next() {
            None => Ok(Vec::new()),
            Some(_) => self.room.add(&self.index, size, || {
                let mut added = 0;
                let one_by_one = new().map(|((scratch, place, size), _)| {
                    let (file, is_ours) = self.publish_one(scratch, place, *size)?;
                    added += if is_ours { *size } else { 0 };
                    Ok(file)
                });
                let files: Vec<_> = one_by_one.collect();
                Ok((files, added))
            }),
        };
        let (mut added, cause) = match added {
            Ok(added) => (added.into_iter(), None),
            Err(cause) => (Vec::new().into_iter(), Some(cause)),
        };
        let shared = || cause.as_ref().map_or_else(full, copy_of);
        for file in files.iter_mut().filter(|file| file.is_none()) {
            *file = Some(added.next().unwrap_or_else(|| Err(shared())));
        }
        files.into_iter().flatten().collect()
    }

    /// The file with the content's name, and whether it was this one that got it. Called with the
    /// ledger locked and the size counted.
    fn publish_one(&self, scratch: &Scratch, place: &Place, size: u64) -> io::Result<(File, bool)> {
        let path = place.path(&self.root);
        scratch.adopt_owner(&self.root)?;
        // The marker comes first: killed in between, it names an inode that has no place, which the
        // next scan removes. The other order would leave a blob that nobody counts.
        let mark = self.index.mark(place, &scratch.file())?;
        let named = scratch::with_parent(&self.root, &path, || scratch.name(&path, size));
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

/// Length of a regular file.
fn regular(file: &File) -> Option<u64> {
    let meta = file.metadata().ok()?;
    meta.is_file().then_some(meta.len())
}

/// The same failure, for everyone who shares it.
fn copy_of(cause: &io::Error) -> io::Error {
    match cause.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(cause.kind(), cause.to_string()),
    }
}

#[cfg(test)]
mod tests;
