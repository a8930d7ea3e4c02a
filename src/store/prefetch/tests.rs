//! Plans of several readers over one content, in any order, with memory that is sometimes short.

use std::ops::Range;

use proptest::prelude::*;

use super::Plan;
use crate::store::partial::RangeSet;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What all readers of a content have brought so far.
#[derive(Default)]
struct Brought {
    here: RangeSet,
    bytes: u64,
}

impl Brought {
    fn fetch(&mut self, range: &Range<u64>) {
        for gap in self.here.missing(range) {
            self.bytes += gap.end - gap.start;
            self.here.insert(gap);
        }
    }

    /// A read of a reader, as the body of a content carries it out: what is demanded is fetched, and
    /// what is ahead where there is memory for it.
    fn read(&mut self, plan: &mut Plan, range: &Range<u64>, size: u64, memory: bool) {
        let wish = plan.on_read(range, size);
        let demanded = range.start.min(size)..range.end.min(size);
        assert_eq!(wish.demand, demanded);
        self.fetch(&wish.demand);
        if memory {
            self.fetch(&wish.ahead);
        }
    }
}

/// The requests of a sequential reader as the kernel sends them: within each read-ahead in any
/// order.
fn shuffled(size: u64, orders: &[[usize; 8]]) -> Vec<Range<u64>> {
    let step = 128 * KIB;
    let mut requests = Vec::new();
    for (window, at) in (0..size).step_by(8 * step as usize).enumerate() {
        let mut order: Vec<usize> = (0..8).collect();
        order.sort_by_key(|slot| orders[window % orders.len()][*slot]);
        let starts = order.iter().map(|slot| at + *slot as u64 * step);
        let inside = starts.filter(|start| *start < size);
        requests.extend(inside.map(|start| start..(start + step).min(size)));
    }
    requests
}

proptest! {
    #[test]
    fn readers_in_order_bring_everything_once_however_the_kernel_and_memory_shuffle_them(
        size in 1..40 * MIB,
        orders in proptest::collection::vec(any::<[usize; 8]>(), 1..5),
        turns in proptest::collection::vec((0..3usize, any::<bool>()), 1..200),
    ) {
        let requests = shuffled(size, &orders);
        let mut brought = Brought::default();
        let mut readers: Vec<_> = (0..3).map(|_| (Plan::default(), requests.iter())).collect();
        for (reader, memory) in turns {
            let (plan, left) = &mut readers[reader];
            if let Some(request) = left.next() {
                brought.read(plan, request, size, memory);
                prop_assert!(brought.here.contains(request));
            }
        }
        for (plan, left) in &mut readers {
            for request in left {
                brought.read(plan, request, size, true);
            }
        }
        prop_assert_eq!(brought.bytes, size);
    }

    #[test]
    fn readers_here_and_there_bring_little_more_than_they_read(
        reads in proptest::collection::vec((0..4usize, 0..1024u64, 1..33u64), 1..200),
    ) {
        // A read starts in a slot of 64 MiB, so that no two look like a run unless they are one.
        let size = 1024 * 64 * MIB;
        let mut plans: Vec<Plan> = (0..4).map(|_| Plan::default()).collect();
        let mut slots = [0; 4];
        let mut brought = Brought::default();
        let mut asked = 0;
        for (reader, slot, pages) in reads {
            // Neither the beginning, where runs begin, nor near the last read.
            let slot = if slot == slots[reader] || slot == 0 { slots[reader] + 1 } else { slot };
            if slot.abs_diff(slots[reader]) == 1 && slots[reader] != 0 {
                continue;
            }
            slots[reader] = slot;
            let start = slot % 1024 * 64 * MIB + 32 * MIB;
            brought.read(&mut plans[reader], &(start..start + pages * 4 * KIB), size, true);
            asked += pages * 4 * KIB;
        }
        prop_assert!(brought.bytes <= asked, "{} for {}", brought.bytes, asked);
    }
}
