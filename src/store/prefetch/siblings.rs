//! Which files to fetch before they are opened.
//!
//! [`Siblings`] is a pure state machine per version: the opens of files that were not on disk go in,
//! numbers of files to fetch come out. What makes it hard, and the answer:
//! 1. `tar`, `cp -r` and sequential loaders open in listing order, several at once with steps back
//!    and gaps: opens near each other make a [`Run`], whose window doubles while what it fetched is
//!    used up.
//! 2. A shuffling loader opens everything, in no order: many opens in one directory or one version
//!    ([`Crowd`]) are evidence that the rest follows, and what may be fetched grows with them.
//! 3. A wrong guess must be cheap and must end: a run that is not followed orders nothing, and a
//!    crowd whose fetched files are opened far more rarely than chance would have it is given up.

use std::ops::Range;

use super::bits::Bits;
use crate::model::Seat;

/// Distance within which an open belongs to a run: some workers' batches apart.
const NEAR: u32 = 64;

/// Opens of a run before anything is fetched for it: two files in a row are common, three are a
/// habit.
const HABIT: u32 = 3;

/// Files fetched ahead of a run at first; doubled each time half of them are used.
const FIRST_FILES: u32 = 8;

/// Most files ahead of a run: what one request for URLs carries, and 20 s of `tar` at 20 ms each.
const MOST_FILES: u32 = 1000;

/// Runs followed at once in one version: more readers than that in listing order are a crowd.
const RUNS: usize = 8;

/// Directories watched for crowds at once, beside the version as a whole.
const CROWDS: usize = 16;

/// Files a directory must have to be worth watching.
const LEAST_CROWD: u32 = 16;

/// Opens, as a part of all files, that make a crowd: 40 of 10,000.
const CROWDED_PART: u32 = 256;

/// Least opens that make a crowd.
const CROWDED: u32 = 8;

/// Files fetched for each open of a crowd. Wrong, it costs that many small files an open; right, the
/// fetching runs away from the readers, whose round trips it replaces: four of them at 20 ms had 10,000
/// in 7.2 s, and in 9.9 s with half as many.
const PER_OPEN: u32 = 16;

/// Fewest files worth an order, so that requests for URLs stay few.
const LEAST_ORDER: u32 = 32;

/// An order is at least this part of all that a crowd has ordered: each costs a request for URLs, so
/// their number grows with the logarithm of the files.
const PART_OF_ORDERED: u32 = 4;

/// Hits that chance alone would have brought before a crowd is judged.
const JUDGED_AT: f64 = 16.0;

/// Files of a version that were seen and are missing again after which everything seen is void: the
/// cache has let go of them.
const FORGOTTEN: u32 = 16;

/// Who ordered a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// The run with this number.
    Run(u32),
    /// A crowd.
    Crowd,
}

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing.
    Nothing,
    /// So many of the files that follow the opened one, for a run.
    Following(u32, Tag),
    /// These numbers, whatever they are.
    These(Vec<u32>, Tag),
}

/// Opens in listing order.
#[derive(Debug)]
struct Run {
    number: u32,
    /// The farthest open.
    last: u32,
    opens: u32,
    window: u32,
    /// Fetched ahead and not opened yet.
    unused: u32,
}

/// Opens in no order among the files of `range`.
#[derive(Debug)]
struct Crowd {
    range: Range<u32>,
    opens: u32,
    ordered: u32,
    hits: u32,
    /// Hits that readers in random order would have made so far.
    expected: f64,
    /// Where to look for the next file nobody has seen.
    next: u32,
}

/// State of one version.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    /// Least recently used first.
    runs: Vec<Run>,
    /// Least recently used first.
    crowds: Vec<Crowd>,
    last_run: u32,
    /// Files opened or fetched ahead.
    seen: Bits,
    /// Opens of files that were seen before and are missing again.
    missed_again: u32,
}

impl Siblings {
    /// A file was opened: fetched ahead by `tag`, or without one missing from the disk.
    pub(crate) fn on_open(&mut self, seat: &Seat, tag: Option<Tag>) -> Order {
        let again = !self.seen.insert(seat.number);
        let run = match tag {
            Some(Tag::Run(run)) => self.follow(seat, run),
            Some(Tag::Crowd) => Order::Nothing,
            None => {
                self.notice_loss(seat, again);
                self.note_run(seat)
            }
        };
        match self.note_crowds(seat, tag.is_some()) {
            Order::Nothing => run,
            crowd => crowd,
        }
    }

    /// Marks what of `numbers` nobody has seen as ordered, and gives it back.
    pub(crate) fn order(&mut self, numbers: Vec<u32>, tag: Tag) -> Vec<u32> {
        let mut fresh = numbers;
        fresh.retain(|number| self.seen.insert(*number));
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        if let Tag::Run(number) = tag
            && let Some(run) = self.runs.iter_mut().find(|run| run.number == number)
        {
            run.unused += count;
        }
        fresh
    }

    /// A file that was ordered will not come: too large, here already, or failed.
    pub(crate) fn dropped(&mut self, tag: Tag) {
        if let Tag::Run(number) = tag
            && let Some(run) = self.runs.iter_mut().find(|run| run.number == number)
        {
            run.unused = run.unused.saturating_sub(1);
        }
    }

    /// A file that was ordered is too much for now: it may be ordered again.
    pub(crate) fn withdrawn(&mut self, number: u32, tag: Tag) {
        self.seen.remove(number);
        self.dropped(tag);
    }

    /// The network fails: readers have to earn what is fetched for them anew.
    pub(crate) fn failed(&mut self) {
        self.runs.clear();
        self.crowds.clear();
    }

    /// What was seen is gone again: nothing of it counts.
    fn notice_loss(&mut self, seat: &Seat, again: bool) {
        self.missed_again += u32::from(again);
        if self.missed_again >= FORGOTTEN {
            *self = Self {
                last_run: self.last_run,
                ..Self::default()
            };
            self.seen.insert(seat.number);
        }
    }

    /// An open of what a run fetched.
    fn follow(&mut self, seat: &Seat, number: u32) -> Order {
        let Some(at) = self.runs.iter().position(|run| run.number == number) else {
            return Order::Nothing;
        };
        let mut run = self.runs.remove(at);
        run.last = seat.number;
        run.opens = run.opens.saturating_add(1);
        run.unused = run.unused.saturating_sub(1);
        let wants = run.unused <= run.window / 2;
        if wants {
            run.window = (run.window * 2).min(MOST_FILES);
        }
        let order = Order::Following(run.window, Tag::Run(number));
        self.runs.push(run);
        if wants { order } else { Order::Nothing }
    }

    /// An open of what nobody fetched: of a run, or the first of a new one.
    fn note_run(&mut self, seat: &Seat) -> Order {
        let near = |run: &Run| run.last.abs_diff(seat.number) <= NEAR;
        let Some(at) = self.runs.iter().rposition(near) else {
            if self.runs.len() == RUNS {
                self.runs.remove(0);
            }
            self.last_run = self.last_run.wrapping_add(1);
            self.runs.push(Run {
                number: self.last_run,
                last: seat.number,
                opens: 1,
                window: 0,
                unused: 0,
            });
            return Order::Nothing;
        };
        let mut run = self.runs.remove(at);
        run.last = run.last.max(seat.number);
        run.opens = run.opens.saturating_add(1);
        let order = match run.opens >= HABIT {
            true => {
                run.window = run.window.max(FIRST_FILES);
                Order::Following(run.window, Tag::Run(run.number))
            }
            false => Order::Nothing,
        };
        self.runs.push(run);
        order
    }

    fn note_crowds(&mut self, seat: &Seat, hit: bool) -> Order {
        let mut order = Order::Nothing;
        let mut ranges = vec![seat.directory.clone()];
        if seat.directory.end - seat.directory.start < seat.end.saturating_sub(1) {
            ranges.push(0..seat.end);
        }
        for range in ranges {
            if range.end - range.start < LEAST_CROWD {
                continue;
            }
            let known = self.crowds.iter().position(|crowd| crowd.range == range);
            let mut crowd = match known {
                Some(at) => self.crowds.remove(at),
                None => Crowd::new(range),
            };
            crowd.note(hit);
            if order == Order::Nothing {
                let wanted = crowd.wanted();
                let numbers = self.seen.absent(&crowd.range, &mut crowd.next, wanted);
                if !numbers.is_empty() {
                    crowd.ordered += wanted;
                    order = Order::These(numbers, Tag::Crowd);
                }
            }
            self.crowds.push(crowd);
        }
        if self.crowds.len() > CROWDS {
            self.crowds.remove(0);
        }
        order
    }
}

impl Crowd {
    fn new(range: Range<u32>) -> Self {
        Self {
            next: range.start,
            range,
            opens: 0,
            ordered: 0,
            hits: 0,
            expected: 0.0,
        }
    }

    fn size(&self) -> u32 {
        self.range.end - self.range.start
    }

    fn note(&mut self, hit: bool) {
        let unused = self.ordered.saturating_sub(self.hits);
        let left = self.size().saturating_sub(self.opens).max(1);
        self.expected += f64::from(unused.min(left)) / f64::from(left);
        self.opens = self.opens.saturating_add(1);
        self.hits += u32::from(hit);
    }

    /// How many files to fetch now.
    fn wanted(&self) -> u32 {
        let crowded = self.opens >= CROWDED.max(self.size() / CROWDED_PART);
        let refuted = self.expected > JUDGED_AT && f64::from(self.hits) < self.expected / 4.0;
        let allowed = self.opens.saturating_mul(PER_OPEN);
        let more = allowed.saturating_sub(self.ordered).min(MOST_FILES);
        let worth = LEAST_ORDER.max(self.ordered / PART_OF_ORDERED);
        let left = self.size().saturating_sub(self.ordered);
        let worth = worth.min(MOST_FILES).min(self.size() / 2).min(left.max(1));
        match crowded && !refuted && more >= worth {
            true => more,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Plays opens of a directory of `size` files against the plan, where whatever was ordered comes
    /// at once. Gives back opens that had to wait, and files fetched.
    fn play(size: u32, opens: impl Iterator<Item = u32>) -> (usize, usize) {
        let mut plan = Siblings::default();
        let mut here: HashMap<u32, Tag> = HashMap::new();
        let (mut misses, mut fetched) = (0, 0);
        for number in opens {
            let seat = Seat {
                number,
                directory: 0..size,
                end: size,
            };
            let tag = here.remove(&number);
            misses += usize::from(tag.is_none());
            let (numbers, tag) = match plan.on_open(&seat, tag) {
                Order::Nothing => continue,
                Order::Following(count, tag) => {
                    ((number + 1..size).take(count as usize).collect(), tag)
                }
                Order::These(numbers, tag) => (numbers, tag),
            };
            for number in plan.order(numbers, tag) {
                assert!(number < size);
                fetched += 1;
                assert!(here.insert(number, tag).is_none(), "ordered twice");
            }
        }
        (misses, fetched)
    }

    /// A permutation of `0..size` for a size that 7,919 does not divide.
    fn shuffled(size: u32) -> impl Iterator<Item = u32> {
        (0..size).map(move |n| (u64::from(n) * 7919 % u64::from(size)) as u32)
    }

    #[test]
    fn files_in_listing_order_are_fetched_ahead_after_three() {
        let (misses, fetched) = play(10_000, 0..10_000);
        assert!(misses <= HABIT as usize, "{misses}");
        assert_eq!(fetched, 10_000 - misses);
    }

    #[test]
    fn a_whole_directory_in_random_order_is_fetched_ahead_once_it_is_a_crowd() {
        let (misses, fetched) = play(10_000, shuffled(10_000));
        assert!(misses < 1500, "{misses}");
        assert!(fetched > 8000, "{fetched}");
    }

    #[test]
    fn a_few_files_here_and_there_fetch_nothing() {
        let far = (0..30).map(|n| n * 33_331 % 1_000_000);
        assert_eq!(play(1_000_000, far), (30, 0));
    }

    #[test]
    fn a_crowd_that_never_opens_what_was_fetched_is_given_up() {
        // The odd files from the far end, while fetching begins at the near one.
        let odd = (0..5000).map(|n| 99_999 - (n * 7919 % 50_000));
        let (_, fetched) = play(100_000, odd);
        assert!(fetched < 12_000, "{fetched}");
    }

    proptest! {
        #[test]
        fn whatever_is_opened_no_file_is_ordered_twice_and_orders_are_bounded_by_the_opens(
            size in 1..2000u32,
            opens in proptest::collection::vec(0..2000u32, 1..300),
        ) {
            let mut distinct: Vec<u32> = opens.into_iter().map(|n| n % size).collect();
            let mut once = std::collections::HashSet::new();
            distinct.retain(|n| once.insert(*n));
            let count = distinct.len();
            let (_, fetched) = play(size, distinct.into_iter());
            prop_assert!(fetched <= count * PER_OPEN as usize * 8 + MOST_FILES as usize);
            prop_assert!(count >= HABIT as usize || fetched == 0);
        }
    }
}
