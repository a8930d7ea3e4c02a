//! How full the disk of a directory is, and what that means for a cache on it.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Space that the cache leaves free for others: a gibibyte, or a twentieth of a small disk.
const LEFT_FREE: u64 = 1 << 30;

/// Space left free even while a content is being written: what a journal or a log needs to go on.
const RESERVE: u64 = 16 << 20;

/// Part of a small disk that either is at most.
const PART_LEFT_FREE: u64 = 20;

/// Part of a disk that mounts may fill where nobody said how much.
const PART_FOR_MOUNTS: u64 = 10;

/// A disk at one moment, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    total: u64,
    free: u64,
}

impl Disk {
    /// The disk of `dir`, or of its nearest ancestor that is there.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let found = dir.ancestors().find_map(|dir| {
            let dir = if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            };
            rustix::fs::statvfs(dir).ok()
        });
        let stat = found.ok_or(Errno::NOENT)?;
        Ok(Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// Bytes that should be free for others and are not.
    pub(super) fn lacking(self) -> u64 {
        self.missing_for(0, LEFT_FREE)
    }

    /// Bytes that have to become free before `size` bytes are written.
    pub(super) fn short_of(self, size: u64) -> u64 {
        self.missing_for(size, RESERVE)
    }

    /// Bytes that have to become free so that `size` bytes fit and others have their part as well.
    pub(super) fn wanted_for(self, size: u64) -> u64 {
        self.missing_for(size, LEFT_FREE)
    }

    fn missing_for(self, size: u64, left: u64) -> u64 {
        let left = left.min(self.total / PART_LEFT_FREE);
        size.saturating_add(left).saturating_sub(self.free)
    }
}

/// The limit of a cache where nobody gave one: a tenth of its disk.
pub(super) fn default_limit(root: &Path) -> u64 {
    Disk::of(root).map_or(0, |disk| disk.total / PART_FOR_MOUNTS)
}

/// Whether a failure means that something has to go before more can come.
pub(crate) fn is_full(cause: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(cause.kind(), StorageFull | QuotaExceeded)
}

/// The failure of a disk that is full.
pub(super) fn full() -> io::Error {
    Errno::NOSPC.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_gibibyte_stays_free_and_on_a_small_disk_a_twentieth() {
        let large = Disk {
            total: 1 << 40,
            free: 1 << 30,
        };
        assert_eq!((large.lacking(), large.wanted_for(5)), (0, 5));
        assert_eq!(large.short_of(1 << 30), 16 * MIB);
        let small = Disk {
            total: 100 * MIB,
            free: 2 * MIB,
        };
        assert_eq!(small.lacking(), 3 * MIB);
        assert_eq!(small.short_of(MIB), 4 * MIB);
        assert_eq!(small.short_of(u64::MAX), u64::MAX - 2 * MIB);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_lies_on_the_disk_of_those_above() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Disk::of(&dir.path().join("not/yet")).unwrap().total > 0);
        assert!(Disk::of(Path::new("neither")).unwrap().total > 0);
    }
}
