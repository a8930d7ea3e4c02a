//! What was planned ahead and has to wait for a connection or memory.

use std::collections::VecDeque;
use std::ops::Range;

/// Plans that wait at once: more readers than that in one file fetch ahead in turns.
const MOST: usize = 8;

/// Ranges that wait, each with where it comes from; the one that waited longest first.
#[derive(Debug)]
pub(crate) struct Postponed<S>(VecDeque<(S, Range<u64>)>);

impl<S> Default for Postponed<S> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<S: Clone> Postponed<S> {
    /// Remembers to fetch `range`. It continues what waits already where it touches that.
    pub(crate) fn push(&mut self, source: &S, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touches = |r: &Range<u64>| r.start <= range.start && range.start <= r.end;
        if let Some((_, before)) = self.0.iter_mut().find(|(_, r)| touches(r)) {
            before.end = before.end.max(range.end);
            return;
        }
        self.0.push_back((source.clone(), range));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// The range that waited longest.
    pub(crate) fn pop(&mut self) -> Option<(S, Range<u64>)> {
        self.0.pop_front()
    }

    /// How many ranges wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nobody reads any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_forgotten_while_few_wait_and_nothing_else_is_remembered(
            pushed in proptest::collection::vec((0..60u64, 0..20u64), 0..9),
        ) {
            let mut waiting = Postponed::default();
            let mut wanted = [false; 80];
            for (start, length) in pushed {
                waiting.push(&(), start..start + length);
                wanted[start as usize..(start + length) as usize].fill(true);
            }
            prop_assert!(waiting.len() <= MOST);
            let mut given = [false; 80];
            let may_forget = waiting.len() == MOST;
            while let Some(((), range)) = waiting.pop() {
                prop_assert!(!range.is_empty());
                given[range.start as usize..range.end as usize].fill(true);
            }
            for (given, wanted) in given.iter().zip(wanted) {
                prop_assert!(*given == wanted || wanted && may_forget);
            }
        }
    }

    #[test]
    fn a_reader_that_goes_on_has_one_range_that_grows() {
        let mut waiting = Postponed::default();
        for step in 0..100 {
            waiting.push(&(), step * 10..step * 10 + 10);
        }
        assert_eq!((waiting.len(), waiting.pop()), (1, Some(((), 0..1000))));
    }
}
