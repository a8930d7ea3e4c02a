//! Uses of blobs, remembered without making anybody wait for the disk.
//!
//! A use is two changes of inodes, which may wait for a journal, and an open that is answered from
//! memory must not. So uses are noted here and brought to the disk in batches by whoever may wait.
//! Of a blob that is opened again and again one use in [`OFTEN`] is enough to tell it from an old
//! one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::place::Place;

/// Uses of one blob within this time are one.
const OFTEN: Duration = Duration::from_secs(60);

/// Blobs whose last use is known, and uses not on disk yet: 5 MB at most. Beyond, uses count that
/// need not, and on a disk that has stalled they are forgotten, which costs order and no more.
const KNOWN: usize = 1 << 15;

/// The uses of one mount.
#[derive(Default)]
pub(super) struct Uses {
    state: Mutex<State>,
    /// Held while uses are brought to the disk, so that whoever reads them there has them all.
    applying: Mutex<()>,
}

#[derive(Default)]
struct State {
    last: HashMap<Place, Instant>,
    noted: Vec<Place>,
}

impl State {
    /// Remembers a use; whether it counts, because the last one is long ago.
    fn renew(&mut self, place: &Place, now: Instant) -> bool {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < OFTEN;
        if self.last.get(place).is_some_and(is_recent) {
            return false;
        }
        if self.last.len() >= KNOWN {
            self.last.retain(|_, at| is_recent(at));
            if self.last.len() >= KNOWN {
                self.last.clear();
            }
        }
        self.last.insert(*place, now);
        true
    }
}

impl Uses {
    /// Notes a use; whether it is the first of a batch that [`Uses::apply`] has to be called for.
    pub(super) fn note(&self, place: &Place) -> bool {
        self.note_at(place, Instant::now())
    }

    fn note_at(&self, place: &Place, now: Instant) -> bool {
        let mut state = self.state.lock();
        if !state.renew(place, now) || state.noted.len() >= KNOWN {
            return false;
        }
        state.noted.push(*place);
        state.noted.len() == 1
    }

    /// A blob was added just now, and its files say so: opening it next need not change them.
    pub(super) fn added(&self, place: &Place) {
        self.state.lock().renew(place, Instant::now());
    }

    /// Brings what was noted to the disk by `touch`. Blocking.
    pub(super) fn apply(&self, touch: impl FnMut(&Place)) {
        let _one_at_a_time = self.applying.lock();
        let noted = std::mem::take(&mut self.state.lock().noted);
        noted.iter().for_each(touch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> Place {
        Place::etag("u", &number.to_string())
    }

    fn applied(uses: &Uses) -> Vec<Place> {
        let mut touched = Vec::new();
        uses.apply(|place| touched.push(*place));
        touched
    }

    #[test]
    fn only_the_first_of_a_batch_asks_for_the_disk() {
        let uses = Uses::default();
        assert!(uses.note(&place(1)));
        assert!(!uses.note(&place(2)));
        assert_eq!(applied(&uses), [place(1), place(2)]);
        assert!(uses.note(&place(3)));
    }

    #[test]
    fn a_blob_used_all_the_time_is_touched_once_a_minute() {
        let (uses, begin) = (Uses::default(), Instant::now());
        assert!(uses.note_at(&place(1), begin));
        assert_eq!(applied(&uses), [place(1)]);
        assert!(!uses.note_at(&place(1), begin + OFTEN / 2));
        assert_eq!(applied(&uses), []);
        assert!(uses.note_at(&place(1), begin + OFTEN));
        assert_eq!(applied(&uses), [place(1)]);
    }

    #[test]
    fn a_blob_that_was_just_added_is_not_touched() {
        let uses = Uses::default();
        uses.added(&place(1));
        assert!(!uses.note(&place(1)));
        assert!(uses.note_at(&place(1), Instant::now() + OFTEN));
        assert_eq!(applied(&uses), [place(1)]);
    }

    #[test]
    fn very_many_blobs_cost_bounded_memory() {
        let uses = Uses::default();
        for number in 0..3 * KNOWN as u32 {
            uses.note(&place(number));
        }
        let state = uses.state.lock();
        assert!(state.last.len() <= KNOWN && state.noted.len() <= KNOWN);
    }
}
