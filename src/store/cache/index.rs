//! What mounts added, and when it was last used.
//!
//! One small file per blob, at the blob's path below `wandbfs/index/`. Its modification time is the
//! last use. Its text names the inode that was added: when the SDK's clean-up removed the blob and
//! the SDK fetched it again, the marker no longer matches and the file counts as the SDK's.
//! Markers are written by one `write`, so there is no half of one; a crash leaves at worst a marker
//! without a blob, which the next scan removes.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::place::Place;
use super::scratch::with_parent;
use super::uses::Uses;

/// Age under which a marker without its blob is left alone: its blob is about to get its name.
const GRACE: Duration = Duration::from_secs(60);

/// The markers of a cache.
pub(super) struct Index {
    root: PathBuf,
    uses: Uses,
}

/// A marker that was written, with the one that it replaced.
#[derive(Debug)]
pub(super) struct Mark {
    text: String,
    before: Option<String>,
}

/// A blob that a mount added. About 60 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) used: SystemTime,
    pub(super) size: u64,
    pub(super) place: Place,
}

/// Text of a marker: the inode it vouches for, and when that was written last, since numbers of
/// inodes are used again.
fn identity(meta: &std::fs::Metadata) -> String {
    format!("{} {}.{:09}\n", meta.ino(), meta.mtime(), meta.mtime_nsec())
}

impl Index {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            uses: Uses::default(),
        }
    }

    /// Vouches for a file that is about to get its place.
    pub(super) fn mark(&self, place: &Place, file: &File) -> io::Result<Mark> {
        let text = identity(&file.metadata()?);
        let path = place.marker(&self.root);
        let new = with_parent(&self.root, &path, || File::create_new(&path));
        let before = match new {
            Ok(mut marker) => {
                marker.write_all(text.as_bytes())?;
                None
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                let before = std::fs::read_to_string(&path).ok();
                std::fs::write(path, &text)?;
                before
            }
            Err(cause) => return Err(cause),
        };
        self.uses.added(place);
        Ok(Mark { text, before })
    }

    /// Takes a marker back, unless another mount has replaced it meanwhile. A marker that cannot be
    /// restored vouches for nothing: its blob then counts as the SDK's and stays.
    pub(super) fn unmark(&self, place: &Place, mark: &Mark) {
        let path = place.marker(&self.root);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == mark.text) {
            let _not_restored = match &mark.before {
                Some(before) => std::fs::write(path, before),
                None => std::fs::remove_file(path),
            };
        }
    }

    /// Notes a use; whether [`Index::apply_uses`] has to be called.
    pub(super) fn note_use(&self, place: &Place) -> bool {
        self.uses.note(place)
    }

    /// Brings noted uses to the disk. Blocking.
    pub(super) fn apply_uses(&self) {
        self.uses.apply(|place| self.touch(place));
    }

    /// Remembers a use: for us in the marker, for the SDK's clean-up in the blob's access time,
    /// which mounts with `noatime` do not keep. Neither is worth failing for.
    fn touch(&self, place: &Place) {
        let now = |nsec_modified| Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: nsec_modified,
            },
        };
        let (blob, marker) = (place.path(&self.root), place.marker(&self.root));
        let none = AtFlags::empty();
        let _not_ours = rustix::fs::utimensat(CWD, blob, &now(UTIME_OMIT), none);
        let _not_added = rustix::fs::utimensat(CWD, marker, &now(UTIME_NOW), none);
    }

    /// Hands every blob that mounts added to `visit`, and removes markers that vouch for nothing.
    pub(super) fn scan(&self, visit: &mut dyn FnMut(Added)) {
        self.apply_uses();
        let top = self.root.join("wandbfs/index");
        for kind in names(&top) {
            let kind_dir = top.join(&kind);
            for first in names(&kind_dir) {
                let dir = kind_dir.join(&first);
                for rest in names(&dir) {
                    let Some(place) = Place::parse(&kind, &first, &rest) else {
                        continue;
                    };
                    if let Some(added) = self.read(place, &dir.join(&rest)) {
                        visit(added);
                    }
                }
            }
        }
    }

    fn read(&self, place: Place, marker: &Path) -> Option<Added> {
        let used = std::fs::metadata(marker).ok()?.modified().ok()?;
        let text = std::fs::read_to_string(marker).ok()?;
        let blob = std::fs::symlink_metadata(place.path(&self.root)).ok();
        match blob {
            Some(meta) if identity(&meta) == text => Some(Added {
                used,
                size: meta.len(),
                place,
            }),
            _ => {
                let old = used.elapsed().is_ok_and(|age| age > GRACE);
                if old {
                    let _gone = std::fs::remove_file(marker);
                }
                None
            }
        }
    }

    /// When a blob was last used, where a mount added it.
    pub(super) fn last_use(&self, place: &Place) -> Option<SystemTime> {
        let added = self.read(*place, &place.marker(&self.root))?;
        Some(added.used)
    }

    /// Removes a blob that a mount added, if it is still the one that was looked at and nobody has
    /// used it since `used`. Gives back whether this removed it.
    pub(super) fn remove(&self, place: &Place, used: SystemTime) -> bool {
        let marker = place.marker(&self.root);
        let still = self.read(*place, &marker).map(|added| added.used);
        if still != Some(used) {
            return false;
        }
        let removed = std::fs::remove_file(place.path(&self.root));
        let is_gone = removed
            .as_ref()
            .map_or_else(|why| why.kind() == io::ErrorKind::NotFound, |()| true);
        if is_gone {
            let _gone_too = std::fs::remove_file(marker);
        }
        removed.is_ok()
    }
}

/// Names in a directory; none where it cannot be read.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
