//! A set of byte positions, kept as disjoint ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Positions as ranges that neither overlap nor touch, so equal sets are equal values. A range
/// costs about 40 bytes; the parts of a file read in order merge into one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// Start to end (exclusive).
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds every position of `range`.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            self.ranges.remove(&s);
            start = start.min(s);
            end = end.max(e);
        }
        self.ranges.insert(start, end);
    }

    /// Takes every position of `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&s, &e)) = self.ranges.range(..range.end).next_back() {
            if e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
            if e > range.end {
                self.ranges.insert(range.end, e);
            }
        }
    }

    /// Whether every position of `range` is in the set.
    pub(crate) fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.run_from(range.start) >= range.end
    }

    /// End of the unbroken run that holds `start`; `start` itself where the set does not hold it.
    pub(crate) fn run_from(&self, start: u64) -> u64 {
        match self.ranges.range(..=start).next_back() {
            Some((_, &end)) if end > start => end,
            _ => start,
        }
    }

    /// The parts of `range` that are in the set, in order.
    pub(crate) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        let first = match self.ranges.range(..=range.start).next_back() {
            Some((&s, &e)) if e > range.start => s,
            _ => range.start,
        };
        if range.is_empty() {
            return found;
        }
        for (&s, &e) in self.ranges.range(first..range.end) {
            found.push(s.max(range.start)..e.min(range.end));
        }
        found
    }

    /// The parts of `range` that are not in the set, in order.
    pub(crate) fn missing(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for held in self.within(range) {
            if at < held.start {
                gaps.push(at..held.start);
            }
            at = held.end;
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// All ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&s, &e)| s..e)
    }

    /// How many positions it holds.
    pub(crate) fn len(&self) -> u64 {
        self.iter().map(|r| r.end - r.start).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 64;

    fn ranges_of(bitmap: &[bool], wanted: bool, over: Range<usize>) -> Vec<Range<u64>> {
        let mut found: Vec<Range<u64>> = Vec::new();
        for at in over {
            if bitmap[at] != wanted {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.end == at as u64 => last.end += 1,
                _ => found.push(at as u64..at as u64 + 1),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn any_interleaving_agrees_with_a_bitmap(
            steps in proptest::collection::vec((any::<bool>(), 0..WIDTH, 0..20usize), 0..40),
            ask in (0..WIDTH, 0..WIDTH),
        ) {
            let mut set = RangeSet::default();
            let mut bitmap = [false; WIDTH];
            for (insert, start, length) in steps {
                let end = (start + length).min(WIDTH);
                bitmap[start..end].fill(insert);
                let range = start as u64..end as u64;
                if insert { set.insert(range) } else { set.remove(range) }
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), ranges_of(&bitmap, true, 0..WIDTH));
            prop_assert_eq!(set.len(), bitmap.iter().filter(|held| **held).count() as u64);
            let (from, to) = (ask.0.min(ask.1), ask.0.max(ask.1));
            let asked = from as u64..to as u64;
            prop_assert_eq!(set.within(&asked), ranges_of(&bitmap, true, from..to));
            prop_assert_eq!(set.missing(&asked), ranges_of(&bitmap, false, from..to));
            prop_assert_eq!(set.contains(&asked), bitmap[from..to].iter().all(|held| *held));
        }
    }
}
