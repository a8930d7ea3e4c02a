//! A set of small numbers, one bit each.

use std::ops::Range;

/// Numbers from 0 on; the set grows with the largest. A million cost 125 KB.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Adds a number; false where it was there.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = (number as usize / 64, number % 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let before = self.words[word];
        self.words[word] |= 1 << bit;
        before & (1 << bit) == 0
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(word) = self.words.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Up to `count` numbers of `range` that are not there, looking from `next` on, which moves
    /// behind the last one found.
    pub(super) fn absent(&self, range: &Range<u32>, next: &mut u32, count: u32) -> Vec<u32> {
        let mut found = Vec::new();
        while *next < range.end && found.len() < count as usize {
            let word = self.words.get(*next as usize / 64).copied().unwrap_or(0);
            if word & (1 << (*next % 64)) == 0 {
                found.push(*next);
            }
            *next += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_numbers_are_found_once_and_in_order() {
        let mut bits = Bits::default();
        assert!(bits.insert(65) && bits.insert(70) && !bits.insert(65));
        assert!(bits.insert(66));
        bits.remove(66);
        let mut next = 64;
        assert_eq!(bits.absent(&(64..80), &mut next, 3), [64, 66, 67]);
        assert_eq!(bits.absent(&(64..72), &mut next, 9), [68, 69, 71]);
        assert!(bits.absent(&(64..72), &mut next, 9).is_empty());
    }
}
