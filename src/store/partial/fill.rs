//! One attempt at filling a content.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::ranges::RangeSet;
use crate::model::Error;
use crate::store::budget::Share;
use crate::store::cache::Scratch;
use crate::store::source::{Pin, Source};

/// Received bytes kept in memory when the disk takes none: two of the largest parts, so that a
/// reader finds what was fetched for it even when the next part follows at once.
const KEPT_IN_MEMORY: u64 = 16 << 20;

/// Plans that may wait to be fetched: more readers than that in one file at once fetch ahead in turns.
const POSTPONED: usize = 8;

/// A range being fetched. Its failure is everyone's who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Part {
    failure: OnceLock<Error>,
}

impl Part {
    pub(crate) fn fail(&self, error: Error) {
        // Only the first failure counts.
        let _already_failed = self.failure.set(error);
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }
}

/// Bytes on their way to the disk, with the memory they were charged.
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
    /// Paid back when the segment is dropped.
    pub(crate) _share: Option<Share>,
}

/// A piece of an answer to a reader.
#[derive(Debug)]
pub(crate) enum Piece {
    Memory(Bytes),
    Disk(Range<u64>),
}

impl Piece {
    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Disk(range) => index(range.end - range.start),
        }
    }
}

/// State of a partly fetched content.
pub(crate) struct Fill {
    /// Tells attempts apart.
    pub(crate) generation: u64,
    /// Written to the scratch file.
    have: RangeSet,
    /// Received and not written yet, by offset; never overlapping.
    memory: BTreeMap<u64, Bytes>,
    /// Here or being fetched; covers `have` and `memory`.
    busy: RangeSet,
    /// What is being fetched.
    parts: Vec<(Range<u64>, Arc<Part>)>,
    /// What was planned ahead and waits for a connection or memory.
    postponed: VecDeque<(Source, Range<u64>)>,
    /// A server without ranges is sending everything.
    pub(crate) streaming: bool,
    /// `None` until the first byte, and when no disk takes it.
    pub(crate) scratch: Option<Arc<Scratch>>,
    /// The way to the writer, with it.
    pub(crate) writer: Option<UnboundedSender<Segment>>,
    /// No disk takes the bytes: only the newest are here.
    diskless: bool,
    pub(crate) pin: Arc<Pin>,
}

impl Fill {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation,
            have: RangeSet::default(),
            memory: BTreeMap::new(),
            busy: RangeSet::default(),
            parts: Vec::new(),
            postponed: VecDeque::new(),
            streaming: false,
            scratch: None,
            writer: None,
            diskless: false,
            pin: Arc::default(),
        }
    }

    /// Bytes here, on disk or in memory.
    pub(crate) fn present(&self) -> u64 {
        let memory: usize = self.memory.values().map(Bytes::len).sum();
        self.have.len() + memory as u64
    }

    /// Whether all of a content of `length` bytes is here.
    pub(crate) fn is_complete(&self, length: u64) -> bool {
        self.present() >= length
    }

    /// Whether all of a content of `length` bytes is on disk.
    pub(crate) fn is_written(&self, length: u64) -> bool {
        !self.diskless && self.have.contains(&(0..length))
    }

    /// End of what is on disk without a gap from `from` on.
    pub(crate) fn written_from(&self, from: u64) -> u64 {
        self.have.run_from(from)
    }

    /// Ranges of `range` that are neither here nor under way.
    pub(crate) fn missing(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        self.busy.missing(range)
    }

    /// How many parts are under way.
    pub(crate) fn parts_under_way(&self) -> usize {
        self.parts.len()
    }

    /// Parts under way that bring some of `range`.
    pub(crate) fn parts_for(&self, range: &Range<u64>) -> Vec<Arc<Part>> {
        let touching = |r: &Range<u64>| r.start < range.end && range.start < r.end;
        let parts = self.parts.iter().filter(|(r, _)| touching(r));
        parts.map(|(_, part)| Arc::clone(part)).collect()
    }

    /// Remembers to fetch `range` later. It continues what waits already where it touches that.
    pub(crate) fn postpone(&mut self, source: &Source, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        if let Some((_, before)) = self
            .postponed
            .iter_mut()
            .find(|(_, r)| r.start <= range.start && range.start <= r.end)
        {
            before.end = before.end.max(range.end);
            return;
        }
        self.postponed.push_back((source.clone(), range));
        if self.postponed.len() > POSTPONED {
            self.postponed.pop_front();
        }
    }

    /// How many ranges wait.
    pub(crate) fn postponed(&self) -> usize {
        self.postponed.len()
    }

    /// The range that waited longest.
    pub(crate) fn next_postponed(&mut self) -> Option<(Source, Range<u64>)> {
        self.postponed.pop_front()
    }

    /// Nobody reads any more.
    pub(crate) fn forget_postponed(&mut self) {
        self.postponed.clear();
    }

    /// Registers a range as being fetched.
    pub(crate) fn begin(&mut self, range: Range<u64>) -> Arc<Part> {
        let part = Arc::new(Part::default());
        self.busy.insert(range.clone());
        self.parts.push((range, Arc::clone(&part)));
        part
    }

    /// A part turned out to bring `range` instead, because the server sends everything.
    pub(crate) fn widen(&mut self, part: &Arc<Part>, range: Range<u64>) {
        self.streaming = true;
        self.busy.insert(range.clone());
        for (old, other) in &mut self.parts {
            if Arc::ptr_eq(other, part) {
                *old = range.clone();
            }
        }
    }

    /// A part is over, successful or not: what it did not bring is free to be fetched again.
    pub(crate) fn end(&mut self, part: &Arc<Part>) {
        let Some(at) = self.parts.iter().position(|(_, p)| Arc::ptr_eq(p, part)) else {
            return;
        };
        let (range, _) = self.parts.swap_remove(at);
        let mut here = self.have.clone();
        for (&offset, bytes) in &self.memory {
            here.insert(offset..offset + bytes.len() as u64);
        }
        for (other, _) in &self.parts {
            here.insert(other.clone());
        }
        for gap in here.missing(&range) {
            self.busy.remove(gap);
        }
    }

    /// Fails everything under way and everyone who waits for it.
    pub(crate) fn fail_all(&self, error: &Error) {
        for (_, part) in &self.parts {
            part.fail(error.clone());
        }
    }

    /// Bytes came in. False where they are here already (two parts overlapped), so that nothing is
    /// written twice.
    pub(crate) fn received(&mut self, offset: u64, bytes: &Bytes) -> bool {
        let end = offset + bytes.len() as u64;
        if self.have.contains(&(offset..end)) || self.memory.contains_key(&offset) {
            return false;
        }
        self.memory.insert(offset, bytes.clone());
        self.busy.insert(offset..end);
        if self.diskless {
            self.drop_oldest();
        }
        true
    }

    /// Bytes reached the disk.
    pub(crate) fn written(&mut self, offset: u64, length: u64) {
        if length > 0 {
            self.have.insert(offset..offset + length);
            self.memory.remove(&offset);
        }
    }

    /// The disk takes no more.
    pub(crate) fn lose_disk(&mut self) {
        self.diskless = true;
        self.drop_oldest();
    }

    /// Whether no disk takes the bytes.
    pub(crate) fn is_diskless(&self) -> bool {
        self.diskless
    }

    /// Lets go of the lowest positions, which a reader has passed first.
    fn drop_oldest(&mut self) {
        let mut total: u64 = self.memory.values().map(|bytes| bytes.len() as u64).sum();
        while total > KEPT_IN_MEMORY {
            let Some((offset, bytes)) = self.memory.pop_first() else {
                return;
            };
            let length = bytes.len() as u64;
            total -= length;
            self.busy.remove(offset..offset + length);
        }
    }

    /// The bytes of `range` as pieces in order, `None` while some are not here.
    pub(crate) fn pieces(&self, range: &Range<u64>) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let below = self.memory.range(..=at).next_back();
            let held = below.filter(|(offset, bytes)| *offset + bytes.len() as u64 > at);
            if let Some((offset, bytes)) = held {
                let end = (offset + bytes.len() as u64).min(range.end);
                pieces.push(Piece::Memory(
                    bytes.slice(index(at - offset)..index(end - offset)),
                ));
                at = end;
                continue;
            }
            let next = self
                .memory
                .range(at..)
                .next()
                .map_or(range.end, |(&next, _)| next);
            let end = self.have.run_from(at).min(range.end).min(next);
            if end == at {
                return None;
            }
            pieces.push(Piece::Disk(at..end));
            at = end;
        }
        Some(pieces)
    }
}

/// Differences of offsets within one buffer fit.
fn index(difference: u64) -> usize {
    usize::try_from(difference).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_bytes_received_whatever_reached_the_disk(
            chunks in proptest::collection::vec((0..16u64, any::<bool>()), 0..32),
            ask in (0..64u64, 1..40u64),
        ) {
            let content: Vec<u8> = (0..64).collect();
            let mut fill = Fill::new(0);
            let mut here = [false; 64];
            for (slot, written) in chunks {
                let (offset, end) = (slot * 4, slot * 4 + 4);
                let bytes = Bytes::copy_from_slice(&content[index(offset)..index(end)]);
                fill.received(offset, &bytes);
                if written { fill.written(offset, 4) }
                here[index(offset)..index(end)].fill(true);
            }
            let range = ask.0..(ask.0 + ask.1).min(64);
            let all_here = here[index(range.start)..index(range.end)].iter().all(|h| *h);
            let pieces = fill.pieces(&range);
            prop_assert_eq!(pieces.is_some(), all_here);
            let mut read = Vec::new();
            for piece in pieces.unwrap_or_default() {
                match piece {
                    Piece::Memory(bytes) => read.extend_from_slice(&bytes),
                    Piece::Disk(r) => read.extend_from_slice(&content[index(r.start)..index(r.end)]),
                }
            }
            if all_here {
                prop_assert_eq!(&read[..], &content[index(range.start)..index(range.end)]);
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
}
