//! One memory budget for every buffer of the store.
//!
//! A part pays for all its bytes before its request goes out and gets them back as they reach the
//! disk, so a slow disk slows the network instead of growing memory. Whoever holds permits only
//! waits for the network or the disk, never for more permits, so there is no deadlock.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unit of accounting: 4 KiB keeps the count of a semaphore far from its limit.
const UNIT: u64 = 4 << 10;

/// Least budget that works: one part of each of two readers.
const LEAST: u64 = 4 << 20;

/// Largest part of a file fetched by one request: at 8 MiB the round trip is below a tenth of the
/// transfer at 1 Gbit/s and 5 ms.
const LARGEST_PART: u64 = 8 << 20;

/// The budget.
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: u64,
}

/// A paid share; dropping it pays back.
pub(crate) struct Share {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let total = bytes.max(LEAST);
        let units = usize::try_from(total / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            total,
        }
    }

    /// Bytes of the whole budget.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Largest part that one request may fetch under this budget.
    pub(crate) fn part(&self) -> u64 {
        (self.total / 4).clamp(LEAST / 4, LARGEST_PART)
    }

    /// Waits until `bytes` (at most [`part`](Self::part)) are free.
    pub(crate) async fn pay(&self, bytes: u64) -> Option<Share> {
        let units = units(bytes);
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await;
        permit.ok().map(|permit| Share { permit })
    }

    /// Takes `bytes` for something that nobody waits for: only while half of the budget stays free
    /// for those who wait.
    pub(crate) fn try_pay(&self, bytes: u64) -> Option<Share> {
        let free = self.units.available_permits() as u64 * UNIT;
        if free < bytes.saturating_add(self.total / 2) {
            return None;
        }
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units(bytes));
        permit.ok().map(|permit| Share { permit })
    }
}

impl Share {
    /// Parts off a share of `bytes`, as much as is left.
    pub(crate) fn split(&mut self, bytes: u64) -> Option<Share> {
        let wanted = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX);
        let amount = wanted.min(self.permit.num_permits());
        self.permit.split(amount).map(|permit| Share { permit })
    }
}

/// Units that `bytes` cost.
pub(crate) fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_split_share_is_paid_back_piece_by_piece() {
        let budget = Budget::new(0);
        let mut share = budget.pay(LEAST).await.unwrap();
        assert!(budget.try_pay(UNIT).is_none());
        drop(share.split(2 * UNIT));
        assert_eq!(budget.units.available_permits(), 2);
        drop(share);
        assert!(budget.try_pay(LEAST / 2).is_some());
        assert!(
            budget.try_pay(LEAST / 2 + UNIT).is_none(),
            "half stays free"
        );
    }
}
