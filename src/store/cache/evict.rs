//! Keeping what mounts added under the limit, least recently used first.
//!
//! What makes it hard, and the answer:
//! 1. Many mounts share one limit, and none may look at all blobs for every one it adds: the total
//!    stands in a file that all of them count in ([`Ledger`]), under a lock that the kernel drops
//!    with its process.
//! 2. A process may be killed at any moment: the total grows before the blob gets its name, so it
//!    is at worst too high, and then the next scan comes too early, never too late.
//! 3. Others remove blobs too, which nobody counts: only a scan of the markers tells, when the total
//!    passes the limit, and at start-up in the background when the last one is long ago.
//! 4. A disk that is nearly full is everyone's: what mounts added goes before others run out of
//!    space.
//!
//! All of it runs on the thread that adds, off every read path.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use super::index::{Added, Index};
use super::scratch::make_parent;

/// Eviction goes down to this many per cent of the limit, so that not every addition scans.
const DOWN_TO: u64 = 90;

/// Space left free for others: a gibibyte, or a twentieth of a small disk.
const LEFT_FREE: u64 = 1 << 30;

/// Part of a small disk that is left free.
const PART_LEFT_FREE: u64 = 20;

/// Age of the last scan after which start-up scans again, in the background: what the SDK's clean-up
/// and people removed is noticed within a day.
const SCAN_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Room under the limit.
pub(super) struct Room {
    root: PathBuf,
    limit: u64,
    /// The ledger's file, once it was needed. One thread of a process holds the lock at a time.
    file: Mutex<Option<File>>,
}

/// What all mounts together have added. In the file: two little-endian numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Ledger {
    used: u64,
    /// Seconds since 1970 of the last scan; 0 where there was none.
    scanned: u64,
}

impl Ledger {
    fn read(file: &File) -> Self {
        let mut bytes = [0; 16];
        // Short means new: nothing was added and nothing scanned.
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return Self::default();
        }
        let [used, scanned] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        });
        Self { used, scanned }
    }

    fn write(self, file: &File) -> io::Result<()> {
        let bytes = [self.used.to_le_bytes(), self.scanned.to_le_bytes()].concat();
        file.write_all_at(&bytes, 0)
    }
}

impl Room {
    pub(super) fn new(root: PathBuf, limit: u64) -> Self {
        Self {
            root,
            limit,
            file: Mutex::default(),
        }
    }

    /// Bytes that all mounts have added, as counted.
    pub(super) fn used(&self) -> u64 {
        File::open(self.path()).map_or(0, |file| Ledger::read(&file).used)
    }

    /// Makes room for `size` bytes more and lets `publish` add them; it says how many it added. No
    /// other mount adds or evicts meanwhile.
    pub(super) fn add<T>(
        &self,
        index: &Index,
        size: u64,
        publish: impl FnOnce() -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        self.locked(|file| {
            let mut ledger = Ledger::read(file);
            if ledger.used.saturating_add(size) > self.limit || self.lacking() > 0 {
                self.scan(index, size, self.lacking(), &mut ledger);
            }
            let before = ledger;
            ledger.used = ledger.used.saturating_add(size);
            ledger.write(file)?;
            let published = publish();
            let added = published.as_ref().map_or(0, |(_, added)| *added);
            if added != size {
                ledger.used = before.used.saturating_add(added);
                ledger.write(file)?;
            }
            published.map(|(done, _)| done)
        })
    }

    /// Counts what is there and brings it under `limit` bytes. Gives back how many blobs went.
    pub(super) fn recount(&self, index: &Index, limit: u64) -> io::Result<u64> {
        self.locked(|file| {
            let mut ledger = Ledger::read(file);
            let room = Room::new(self.root.clone(), limit.min(self.limit));
            let gone = room.scan(index, 0, 0, &mut ledger);
            ledger.write(file)?;
            Ok(gone)
        })
    }

    /// Recounts where the last count is long ago.
    pub(super) fn recount_if_old(&self, index: &Index) -> io::Result<u64> {
        let ledger = File::open(self.path()).map_or(Ledger::default(), |file| Ledger::read(&file));
        let age = seconds_now().saturating_sub(ledger.scanned);
        match age > SCAN_AGAIN.as_secs() || ledger.used > self.limit {
            true => self.recount(index, self.limit),
            false => Ok(0),
        }
    }

    /// Frees `size` bytes of the disk, if what mounts added is that much.
    pub(super) fn free(&self, index: &Index, size: u64) -> io::Result<()> {
        self.locked(|file| {
            let mut ledger = Ledger::read(file);
            self.scan(index, 0, size.saturating_add(self.lacking()), &mut ledger);
            ledger.write(file)
        })
    }

    /// Bytes that should be free on the disk and are not.
    fn lacking(&self) -> u64 {
        let Ok(stat) = rustix::fs::statvfs(&self.root) else {
            return 0;
        };
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        LEFT_FREE.min(total / PART_LEFT_FREE).saturating_sub(free)
    }

    /// Counts, and removes so that `size` bytes more stay under the limit and at least `lacking`
    /// bytes of the disk become free.
    fn scan(&self, index: &Index, size: u64, lacking: u64, ledger: &mut Ledger) -> u64 {
        let mut all = Vec::new();
        index.scan(&mut |added| all.push(added));
        ledger.used = all.iter().map(|added| added.size).sum();
        ledger.scanned = seconds_now();
        // What has to go for the disk counts as a lower limit.
        let limit = match lacking {
            0 => self.limit,
            lacking => {
                let left = ledger.used.saturating_sub(lacking).saturating_add(size);
                self.limit.min(left)
            }
        };
        let mut gone = 0;
        for victim in victims(all, limit, size) {
            if index.remove(&victim.place) {
                ledger.used = ledger.used.saturating_sub(victim.size);
                gone += 1;
            }
        }
        gone
    }

    fn path(&self) -> PathBuf {
        self.root.join("wandbfs/ledger")
    }

    /// Runs `work` while no other thread or process does.
    fn locked<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut held = self.file.lock();
        let there = held.as_ref().is_some_and(|file| is_at(file, &self.path()));
        if !there {
            *held = None;
        }
        let file = match &mut *held {
            Some(file) => file,
            none => none.insert(self.open()?),
        };
        // A file system without locks leaves mounts to count past each other until the next scan.
        let _unlocked = rustix::fs::flock(&*file, FlockOperation::LockExclusive);
        let done = work(file);
        let _unlocked = rustix::fs::flock(&*file, FlockOperation::Unlock);
        done
    }

    fn open(&self) -> io::Result<File> {
        let path = self.path();
        make_parent(&self.root, &path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        super::scratch::adopt_owner(&file, &self.root)?;
        Ok(file)
    }
}

/// Whether an open file is still the one with that name: somebody may have emptied the directory.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let ours = file.metadata().map(|meta| (meta.dev(), meta.ino()));
    let there = std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// Which blobs have to go so that `size` bytes more fit: the least recently used, none while all
/// fits.
fn victims(mut all: Vec<Added>, limit: u64, size: u64) -> Vec<Added> {
    let mut used: u64 = all.iter().map(|added| added.size).sum();
    if used.saturating_add(size) <= limit {
        return Vec::new();
    }
    let target = (limit / 100 * DOWN_TO).max(size).saturating_sub(size);
    all.sort_unstable_by_key(|added| added.used);
    let enough = all.iter().take_while(|added| {
        let goes = used > target;
        used = used.saturating_sub(if goes { added.size } else { 0 });
        goes
    });
    let count = enough.count();
    all.truncate(count);
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;
    use crate::store::cache::Place;

    proptest! {
        #[test]
        fn the_oldest_go_and_no_more_than_needed(
            blobs in proptest::collection::vec((0..1000u64, 1..500u64), 0..40),
            limit in 0..5000u64,
            size in 0..500u64,
        ) {
            let all: Vec<Added> = blobs.iter().enumerate().map(|(n, (used, size))| Added {
                used: SystemTime::UNIX_EPOCH + Duration::from_secs(*used),
                size: *size,
                place: Place::manifest(&n.to_string(), ""),
            }).collect();
            let total: u64 = all.iter().map(|a| a.size).sum();
            let gone = victims(all.clone(), limit, size);
            let freed: u64 = gone.iter().map(|a| a.size).sum();
            if total + size <= limit {
                prop_assert!(gone.is_empty());
            } else {
                prop_assert!(total - freed + size <= limit.max(size));
                let newest_gone = gone.iter().map(|a| a.used).max();
                let kept = all.iter().filter(|a| !gone.contains(a));
                prop_assert!(kept.map(|a| a.used).min() >= newest_gone || gone.len() == all.len());
                let without_last = freed - gone.last().map_or(0, |a| a.size);
                prop_assert!(gone.is_empty() || total - without_last + size > limit / 100 * DOWN_TO);
            }
        }
    }
}
