//! A fill against a plain model, step by step in any order.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::model::ErrorKind;

/// Positions of the content; a step is about a tenth of it.
const SIZE: u64 = 64;

/// What happens to a fill.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody asks for a range: what is missing becomes parts.
    Ask(Range<u64>),
    /// A part under way brings its next bytes.
    Bring { part: usize, length: u64 },
    /// A part ends, whatever it brought.
    End { part: usize },
    /// The server of a part sends everything.
    Widen { part: usize },
    /// The writer writes some of what it was handed, in the order it was.
    Write { pieces: usize },
    /// No disk takes more.
    LoseDisk,
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..SIZE, 1..20u64).prop_map(|(start, length)| start..(start + length).min(SIZE))
}

fn step() -> impl Strategy<Value = Step> {
    let part = 0..8usize;
    prop_oneof![
        4 => range().prop_map(Step::Ask),
        8 => (part.clone(), 1..9u64).prop_map(|(part, length)| Step::Bring { part, length }),
        3 => part.clone().prop_map(|part| Step::End { part }),
        1 => part.prop_map(|part| Step::Widen { part }),
        4 => (1..6usize).prop_map(|pieces| Step::Write { pieces }),
        1 => Just(Step::LoseDisk),
    ]
}

/// A part as whoever fetches it sees it.
struct Fetch {
    part: Arc<Part>,
    at: u64,
    end: u64,
}

/// The fill, and what must be true of it.
struct Model {
    fill: Fill,
    content: Bytes,
    fetches: Vec<Fetch>,
    /// Handed to the writer and not written yet.
    queue: Vec<(u64, Bytes)>,
    written: [u32; SIZE as usize],
    received: [bool; SIZE as usize],
}

impl Model {
    fn new() -> Self {
        Self {
            fill: Fill::new(0),
            content: (0..SIZE as u8).collect::<Vec<_>>().into(),
            fetches: Vec::new(),
            queue: Vec::new(),
            written: [0; SIZE as usize],
            received: [false; SIZE as usize],
        }
    }

    fn slice(&self, range: &Range<u64>) -> Bytes {
        self.content.slice(index(range.start)..index(range.end))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Ask(range) => {
                for gap in self.fill.missing(&range) {
                    let (at, end) = (gap.start, gap.end);
                    let part = self.fill.begin(gap);
                    self.fetches.push(Fetch { part, at, end });
                }
            }
            Step::Bring { part, length } => self.bring(part, length),
            Step::End { part } => self.end(part),
            Step::Widen { part } if !self.fill.streaming => {
                let count = self.fetches.len().max(1);
                if let Some(fetch) = self.fetches.get_mut(part % count) {
                    fetch.at = 0;
                    fetch.end = SIZE;
                    self.fill.widen(&fetch.part, 0..SIZE);
                }
            }
            Step::Widen { .. } => {}
            Step::Write { pieces } => {
                let count = pieces.min(self.queue.len());
                for (offset, bytes) in self.queue.drain(..count) {
                    let range = offset..offset + bytes.len() as u64;
                    self.fill.written(offset, bytes.len() as u64);
                    for at in range {
                        self.written[index(at)] += 1;
                    }
                }
            }
            Step::LoseDisk => {
                self.fill.lose_disk();
                self.queue.clear();
            }
        }
    }

    fn bring(&mut self, part: usize, length: u64) {
        let count = self.fetches.len().max(1);
        let Some(fetch) = self.fetches.get_mut(part % count) else {
            return;
        };
        let range = fetch.at..(fetch.at + length).min(fetch.end);
        fetch.at = range.end;
        let bytes = self.slice(&range);
        let fresh = self.fill.received(range.start, &bytes);
        for at in range {
            self.received[index(at)] = true;
        }
        if !self.fill.is_diskless() {
            self.queue.extend(fresh);
        }
    }

    fn end(&mut self, part: usize) {
        if self.fetches.is_empty() {
            return;
        }
        let fetch = self.fetches.swap_remove(part % self.fetches.len());
        self.fill.end(&fetch.part);
    }

    /// The whole of what readers and the writer rely on.
    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(
            self.written.iter().all(|times| *times <= 1),
            "written twice"
        );
        let here = |at: u64| self.received[index(at)];
        for at in 0..SIZE {
            let one = at..at + 1;
            let pieces = self.fill.pieces(&one);
            prop_assert_eq!(pieces.is_some(), here(at), "position {}", at);
            let under_way = self.fill.parts_for(&one);
            let awaited = here(at) || !under_way.is_empty();
            // Neither here nor under way must be missing, or a reader waits for ever.
            prop_assert_eq!(
                self.fill.missing(&one).is_empty(),
                awaited,
                "position {}",
                at
            );
        }
        let count = (0..SIZE).filter(|at| here(*at)).count() as u64;
        prop_assert_eq!(self.fill.present(), count);
        prop_assert_eq!(self.fill.is_complete(SIZE), count == SIZE);
        let written = self.written.iter().all(|times| *times == 1);
        prop_assert_eq!(
            self.fill.is_written(SIZE),
            written && !self.fill.is_diskless()
        );
        let run = self.written.iter().take_while(|times| **times == 1);
        prop_assert_eq!(self.fill.written_from(0), run.count() as u64);
        Ok(())
    }

    fn check_read(&self, range: &Range<u64>) -> Result<(), TestCaseError> {
        let here = range.clone().all(|at| self.received[index(at)]);
        let pieces = self.fill.pieces(range);
        prop_assert_eq!(pieces.is_some(), here);
        let mut read = Vec::new();
        for piece in pieces.into_iter().flatten() {
            match piece {
                Piece::Memory(bytes) => read.extend_from_slice(&bytes),
                Piece::Disk(range) => {
                    let on_disk = range.clone().all(|at| self.written[index(at)] == 1);
                    prop_assert!(on_disk, "{:?} was never written", range);
                    read.extend_from_slice(&self.slice(&range));
                }
            }
        }
        if here {
            prop_assert_eq!(read, self.slice(range));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_awaited_in_vain_in_any_order(
        steps in proptest::collection::vec(step(), 1..80),
        ask in range(),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
            model.check()?;
            model.check_read(&ask)?;
        }
        // Every part ends some day; what nobody brought can be fetched again then.
        while !model.fetches.is_empty() {
            model.end(0);
        }
        model.check()?;
        prop_assert_eq!(model.fill.parts_under_way(), 0);
    }

    #[test]
    fn without_a_disk_the_newest_bytes_stay_wherever_they_lie(
        offsets in proptest::collection::vec(0..40u64, 1..60),
    ) {
        let mut fill = Fill::new(0);
        fill.lose_disk();
        let piece = Bytes::from(vec![7; 1 << 20]);
        for slot in offsets {
            let range = slot << 20..(slot + 1) << 20;
            fill.received(range.start, &piece);
            prop_assert!(fill.pieces(&range).is_some(), "the newest is here");
            prop_assert!(fill.present() <= KEPT_IN_MEMORY);
            prop_assert_eq!(SIZE << 20, fill.present() + fill
                .missing(&(0..SIZE << 20)).iter().map(|gap| gap.end - gap.start).sum::<u64>());
        }
    }
}

#[test]
fn what_a_failed_part_did_not_bring_is_missing_again() {
    let mut fill = Fill::new(0);
    let part = fill.begin(0..100);
    assert!(fill.missing(&(0..100)).is_empty());
    fill.received(0, &Bytes::from_static(&[1; 30]));
    fill.end(&part);
    assert_eq!(fill.missing(&(0..100)).first(), Some(&(30..100)));
}

#[test]
fn a_failure_of_everything_reaches_everyone_who_waits() {
    let mut fill = Fill::new(0);
    let parts = [fill.begin(0..10), fill.begin(20..30)];
    fill.fail_all(&Error::new(ErrorKind::Corrupt, "", "wrong"));
    let failed = |part: &Arc<Part>| part.failure().map(Error::kind);
    assert!(
        parts
            .iter()
            .all(|part| failed(part) == Some(ErrorKind::Corrupt))
    );
}
