//! The prefetch plan of one reader.
//!
//! What makes it hard, and the answer:
//! 1. The kernel splits a sequential reader's read-ahead into requests that arrive out of order, so
//!    small gaps and steps back still count as sequential ([`NEAR`]).
//! 2. `tar`, safetensors and zip skip over headers and members, forward by megabytes: once a run is
//!    established, so do skips up to [`SKIP`].
//! 3. A random reader must not pay for a window: anything else resets the run, and its reads are
//!    fetched exactly.
//! 4. Many small extensions would be many small requests, and large ones requests that begin and end
//!    together, between which the wire is idle: the window moves by one request ([`PART`]) at a time,
//!    so they follow one another as the reader uses them up.

use std::ops::Range;

/// First window: 1 MiB for the reader's next requests plus one kernel read-ahead (128 KiB), so the
/// second request of the kernel does not cost a second round trip.
const FIRST_WINDOW: u64 = (1 << 20) + (128 << 10);

/// How much wider the window gets when it moves. Each step takes a round trip: with 4 it takes three
/// of them until the window is full, and a reader that stops early has cost four times what it read.
const GROWTH: u64 = 4;

/// Farthest ahead: 32 MiB is eight parts in flight, which fill 1 Gbit/s at 250 ms. It costs disk
/// when a reader stops early; memory is bounded by the budget, not by this.
const LARGEST_WINDOW: u64 = 32 << 20;

/// Largest request that nobody waits for, and how much of the window is used when it moves. At
/// 4 MiB a request costs a hundredth of what its bytes do, and two of them at once bring the bytes
/// nearly in order. Moved by half of the largest window, at 1 Gbit/s and 20 ms a reader had 0.958 of
/// the wire where this had 0.974 and, a second time, 0.986.
pub(crate) const PART: u64 = 4 << 20;

/// Gap or step back that counts as sequential at any time: reads of one kernel read-ahead that
/// arrived out of order.
const NEAR: u64 = 1 << 20;

/// Forward skip that an established run tolerates: a tensor or archive member passed over.
const SKIP: u64 = 16 << 20;

/// Reads in sequence after which a run counts as established.
const ESTABLISHED: u32 = 3;

/// What a read asks to have fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// What the reader waits for.
    pub(crate) demand: Range<u64>,
    /// What to fetch in the background, from the end of the demand or later; may be empty.
    pub(crate) ahead: Range<u64>,
    /// How far a request for the demand may run on beyond it, should one have to go out: what was
    /// planned ahead before may not have been fetched for want of memory.
    pub(crate) run_on: u64,
}

impl Wish {
    /// The same, with nothing fetched in the background and at most `run_on` bytes on top.
    pub(crate) fn at_most(&self, run_on: u64) -> Self {
        Self {
            demand: self.demand.clone(),
            ahead: self.demand.end..self.demand.end,
            run_on: self.run_on.min(run_on),
        }
    }
}

/// State of one reader. 32 bytes.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// End of the farthest read of the run.
    position: u64,
    /// Up to where the run has been fetched ahead.
    frontier: u64,
    /// Bytes to stay ahead; 0 for a random reader.
    window: u64,
    /// Reads of the run.
    run: u32,
}

impl Plan {
    /// A read of `range` (not empty) came in; `size` is the length of the content, `u64::MAX` while
    /// nobody knows it.
    pub(crate) fn on_read(&mut self, range: &Range<u64>, size: u64) -> Wish {
        let demand = range.start.min(size)..range.end.min(size);
        if self.continues(range.start) {
            self.run = self.run.saturating_add(1);
            self.position = self.position.max(demand.end);
        } else {
            self.run = u32::from(range.start == 0);
            self.position = demand.end;
            self.frontier = 0;
            self.window = 0;
        }
        let nothing = demand.end..demand.end;
        if self.run == 0 {
            return Wish {
                demand,
                ahead: nothing,
                run_on: 0,
            };
        }
        self.frontier = self.frontier.max(self.position);
        let lead = self.frontier - self.position;
        if self.window > 0 && lead > self.window - (self.window / 2).min(PART) {
            return Wish {
                demand,
                ahead: nothing,
                run_on: self.window / 2,
            };
        }
        self.window = match self.window {
            0 => FIRST_WINDOW,
            window => (window * GROWTH).min(LARGEST_WINDOW),
        };
        let target = self.position.saturating_add(self.window).min(size);
        let ahead = self.frontier.min(target)..target;
        self.frontier = self.frontier.max(target);
        let run_on = self.window / 2;
        Wish {
            demand,
            ahead,
            run_on,
        }
    }

    fn continues(&self, start: u64) -> bool {
        let tolerated = if self.run >= ESTABLISHED { SKIP } else { NEAR };
        let seen_any = self.position > 0;
        let forward = start >= self.position && start - self.position <= tolerated;
        let back = start < self.position && self.position - start <= NEAR && self.run > 0;
        seen_any && (forward || back)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1 << 10;
    const GIB: u64 = 1 << 30;

    #[test]
    fn a_sequential_reader_is_fetched_ahead_by_the_part_and_never_twice() {
        let mut plan = Plan::default();
        let mut fetched = 0;
        let mut requests = 0;
        let mut at = 0;
        while at < GIB {
            let wish = plan.on_read(&(at..at + 128 * KIB), GIB);
            let from = if wish.ahead.is_empty() {
                fetched
            } else {
                wish.ahead.start
            };
            assert!(from >= fetched, "refetched at {at}");
            if !wish.ahead.is_empty() {
                let extension = wish.ahead.end - wish.ahead.start;
                let is_full = at > 2 * LARGEST_WINDOW;
                assert!(
                    !is_full || extension <= PART + 128 * KIB,
                    "{extension} at {at}"
                );
                requests += 1;
                fetched = wish.ahead.end;
            }
            at += 128 * KIB;
            assert!(fetched >= at);
        }
        assert_eq!(fetched, GIB);
        assert!(requests <= GIB / PART + 8, "{requests} extensions");
    }

    #[test]
    fn random_reads_are_fetched_exactly() {
        let mut plan = Plan::default();
        for step in 1..200u64 {
            let at = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) % GIB;
            let wish = plan.on_read(&(at..at + 4 * KIB), GIB);
            assert!(wish.ahead.is_empty(), "step {step} fetched ahead");
            assert_eq!(wish.demand, at..(at + 4 * KIB).min(GIB));
        }
    }

    #[test]
    fn an_established_run_survives_a_skip_of_16_mib_and_a_step_back_of_1_mib() {
        let mut plan = Plan::default();
        for block in 0..4u64 {
            plan.on_read(&(block * 128 * KIB..(block + 1) * 128 * KIB), GIB);
        }
        let skipped = 512 * KIB + SKIP;
        plan.on_read(&(skipped..skipped + 4 * KIB), GIB);
        assert!(plan.window > 0);
        plan.on_read(&(skipped - NEAR + 4 * KIB..skipped), GIB);
        assert!(plan.window > 0);
        plan.on_read(&(skipped + 2 * SKIP..skipped + 2 * SKIP + 1), GIB);
        assert_eq!(plan.window, 0);
    }

    proptest! {
        #[test]
        fn a_wish_stays_inside_the_content_and_the_largest_window(
            size in 1..GIB,
            reads in proptest::collection::vec((0..GIB, 1..1_048_576u64), 1..60),
        ) {
            let mut plan = Plan::default();
            for (start, length) in reads {
                let start = start % size;
                let wish = plan.on_read(&(start..start + length), size);
                prop_assert!(wish.demand.end <= size && wish.ahead.end <= size);
                prop_assert_eq!(wish.demand, start..(start + length).min(size));
                prop_assert!(wish.ahead.end - wish.ahead.start <= LARGEST_WINDOW);
                prop_assert!(wish.ahead.is_empty()
                    || wish.ahead.end <= plan.position + LARGEST_WINDOW);
            }
        }
    }
}
