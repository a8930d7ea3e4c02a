//! Keeping what mounts added under the limit, least recently used first.
//!
//! What makes it hard, and the answer:
//! 1. Many mounts share one limit, and none may look at all blobs for every one it adds: the total
//!    stands in a file that all of them count in ([`Ledger`]).
//! 2. A process may be killed at any moment: the total grows before the blob gets its name, so it
//!    is at worst too high, and then the next count comes too early, never too late.
//! 3. Others remove blobs too, which nobody counts: only a look at all markers tells, when the total
//!    passes the limit, and at start-up when the last one is long ago. That one runs in the
//!    background and without the lock, because it takes seconds where there are many blobs.
//! 4. A disk that is nearly full is everyone's: what mounts added goes before others run out of
//!    space. Nothing goes where that would not be enough for what is to be written.
//! 5. What cannot be removed is not followed by more: what does not fit afterwards is not kept.
//!
//! All of it runs on the thread that adds, off every read path.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::disk::{Disk, full};
use super::index::{Added, Index};
use super::ledger::Ledger;

/// Eviction goes down to this many per cent of the limit, so that not every addition counts all.
const DOWN_TO: u64 = 90;

/// Age of the last count after which start-up counts again, in the background: what the SDK's
/// clean-up and people removed is noticed within a day.
const COUNT_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Room under the limit.
pub(super) struct Room {
    root: PathBuf,
    limit: u64,
    ledger: Ledger,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default)]
struct Gone {
    files: u64,
    bytes: u64,
}

impl Room {
    pub(super) fn new(root: PathBuf, limit: u64) -> Self {
        Self {
            ledger: Ledger::new(root.clone()),
            root,
            limit,
        }
    }

    /// Bytes that all mounts have added, as counted.
    pub(super) fn used(&self) -> u64 {
        self.ledger.read().used
    }

    /// Makes room for `size` bytes more and lets `publish` add them; it says how many it added. No
    /// other mount adds or evicts meanwhile.
    ///
    /// # Errors
    /// Those of `publish`; `StorageFull` when too little could be removed.
    pub(super) fn add<T>(
        &self,
        index: &Index,
        size: u64,
        publish: impl FnOnce() -> io::Result<(T, u64)>,
    ) -> io::Result<T> {
        if size > self.limit {
            return Err(full()); // and nothing goes for what cannot come
        }
        self.ledger.locked(|held| {
            let mut count = held.read();
            let lacking = self.lacking();
            if count.used.saturating_add(size) > self.limit || lacking > 0 {
                let all = all(index);
                let used = total(&all);
                let target = self.limit.min(with_free(used, lacking, size));
                let gone = evict(index, all, target, size);
                count.renew(used.saturating_sub(gone.bytes));
                held.write(count)?;
                if count.used.saturating_add(size) > self.limit || gone.bytes < lacking {
                    return Err(full());
                }
            }
            let before = count;
            count.used = count.used.saturating_add(size);
            held.write(count)?;
            let published = publish();
            let added = published.as_ref().map_or(0, |(_, added)| *added);
            if added != size {
                count.used = before.used.saturating_add(added);
                held.write(count)?;
            }
            published.map(|(done, _)| done)
        })
    }

    /// Counts what is there and brings it under `limit` bytes. Gives back how many blobs went.
    ///
    /// Others add and evict while it looks: what they added since may be counted twice, and what
    /// they used since is looked at again before it goes.
    pub(super) fn recount(&self, index: &Index, limit: u64) -> io::Result<u64> {
        let before = self.ledger.locked(|held| Ok(held.read()))?;
        let all = all(index);
        self.ledger.locked(|held| {
            let mut count = held.read();
            // Who counted meanwhile knows better.
            if count.counted == before.counted {
                let since = count.used.saturating_sub(before.used);
                count.renew(total(&all).saturating_add(since));
            }
            let target = limit
                .min(self.limit)
                .min(with_free(total(&all), self.lacking(), 0));
            let gone = evict(index, all, target, 0);
            count.used = count.used.saturating_sub(gone.bytes);
            held.write(count)?;
            Ok(gone.files)
        })
    }

    /// Recounts where the last count is long ago.
    pub(super) fn recount_if_old(&self, index: &Index) -> io::Result<u64> {
        let count = self.ledger.read();
        match count.age() > COUNT_AGAIN || count.used > self.limit {
            true => self.recount(index, self.limit),
            false => Ok(0),
        }
    }

    /// Whether the disk has room for `size` bytes, or would have without what mounts added.
    pub(super) fn could_hold(&self, size: u64) -> bool {
        let missing = Disk::of(&self.root).map_or(0, |disk| disk.short_of(size));
        missing == 0 || missing <= self.used()
    }

    /// Whether too little of the disk is free to write `size` bytes.
    pub(super) fn is_short_of(&self, size: u64) -> bool {
        Disk::of(&self.root).is_ok_and(|disk| disk.short_of(size) > 0)
    }

    /// Frees the disk of so much that `size` bytes can be written.
    ///
    /// # Errors
    /// `StorageFull`, and nothing is removed, when what mounts added is not that much.
    pub(super) fn free(&self, index: &Index, size: u64) -> io::Result<()> {
        self.ledger.locked(|held| {
            let disk = Disk::of(&self.root)?;
            let all = all(index);
            let used = total(&all);
            let mut count = held.read();
            let enough = used > 0 && disk.short_of(size) <= used;
            let gone = match enough {
                // A disk can be full in ways that its statistics do not show.
                true => {
                    let wanted = disk.wanted_for(size).max(size);
                    evict(index, all, with_free(used, wanted, 0), 0)
                }
                false => Gone::default(),
            };
            count.renew(used.saturating_sub(gone.bytes));
            held.write(count)?;
            match gone.bytes > 0 {
                true => Ok(()),
                false => Err(full()),
            }
        })
    }

    /// What is left of an addition whose process was killed in the middle.
    #[cfg(test)]
    pub(super) fn count_without_adding(&self, size: u64) -> io::Result<()> {
        self.ledger.locked(|held| {
            let mut count = held.read();
            count.used += size;
            held.write(count)
        })
    }

    /// Bytes that should be free on the disk and are not.
    fn lacking(&self) -> u64 {
        Disk::of(&self.root).map_or(0, Disk::lacking)
    }
}

fn all(index: &Index) -> Vec<Added> {
    let mut all = Vec::new();
    index.scan(&mut |added| all.push(added));
    all
}

fn total(all: &[Added]) -> u64 {
    all.iter().map(|added| added.size).sum()
}

/// The limit that lets `lacking` bytes of the disk become free, with `size` bytes to come.
fn with_free(used: u64, lacking: u64, size: u64) -> u64 {
    match lacking {
        0 => u64::MAX,
        lacking => used.saturating_sub(lacking).saturating_add(size),
    }
}

/// Removes the least recently used so that `size` bytes more stay under `limit`.
fn evict(index: &Index, all: Vec<Added>, limit: u64, size: u64) -> Gone {
    let mut gone = Gone::default();
    for victim in victims(all, limit, size) {
        if index.remove(&victim.place, victim.used) {
            gone.files += 1;
            gone.bytes += victim.size;
        }
    }
    gone
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
