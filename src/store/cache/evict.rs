//! Keeping what mounts added under the limit, least recently used first.
//!
//! The running total is a guess between scans, since other mounts add and remove too; so a scan is
//! due when the guess passes the limit, and after every [`SHARE`]th of the limit added here. A scan
//! sees the markers of all mounts. It runs on the thread that adds, off every read path.

use parking_lot::Mutex;

use super::index::{Added, Index};

/// A mount adds at most this part of the limit before it looks at what others added.
const SHARE: u64 = 16;

/// Eviction goes down to this many per cent of the limit, so that not every addition scans.
const DOWN_TO: u64 = 90;

/// Room under the limit.
pub(super) struct Room {
    limit: u64,
    count: Mutex<Count>,
}

#[derive(Default)]
struct Count {
    used: u64,
    /// Added here since the last scan.
    added: u64,
    scanned: bool,
}

impl Room {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            count: Mutex::default(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.count.lock().used
    }

    /// A blob of `size` bytes got its place.
    pub(super) fn added(&self, size: u64) {
        let mut count = self.count.lock();
        count.used += size;
        count.added += size;
    }

    /// Makes room for `size` bytes more.
    pub(super) fn make(&self, index: &Index, size: u64) {
        let mut count = self.count.lock();
        let over = count.used.saturating_add(size) > self.limit;
        let stale = count.added > self.limit / SHARE;
        // Before the first scan nothing is known but what was added here.
        if over || (stale && count.scanned) {
            self.scan(index, size, &mut count);
        }
    }

    /// Counts what is there and brings it under the limit.
    pub(super) fn recount(&self, index: &Index) {
        let mut count = self.count.lock();
        self.scan(index, 0, &mut count);
    }

    fn scan(&self, index: &Index, size: u64, count: &mut Count) {
        let mut all = Vec::new();
        index.scan(&mut |added| all.push(added));
        let mut used: u64 = all.iter().map(|added| added.size).sum();
        for victim in victims(all, self.limit, size) {
            if index.remove(&victim.place) {
                used = used.saturating_sub(victim.size);
            }
        }
        *count = Count {
            used,
            added: 0,
            scanned: true,
        };
    }
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
