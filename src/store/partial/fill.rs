//! One attempt at filling a content.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::postponed::Postponed;
use super::ranges::RangeSet;
use crate::model::Error;
use crate::store::budget::Share;
use crate::store::cache::Scratch;
use crate::store::source::{Pin, Source};

/// Received bytes kept in memory when the disk takes none: two of the largest parts, so that a
/// reader finds what was fetched for it even when the next part follows at once.
const KEPT_IN_MEMORY: u64 = 16 << 20;

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

/// Bytes in memory.
struct Kept {
    bytes: Bytes,
    /// Grows with every piece that comes.
    arrival: u64,
}

/// State of a partly fetched content.
pub(crate) struct Fill {
    /// Tells attempts apart.
    pub(crate) generation: u64,
    /// Written to the scratch file.
    have: RangeSet,
    /// Received and not written yet, by offset; pieces overlap neither each other nor `have`.
    memory: BTreeMap<u64, Kept>,
    /// All of `have` and `memory`.
    here: RangeSet,
    /// Here or being fetched.
    busy: RangeSet,
    /// What is being fetched.
    parts: Vec<(Range<u64>, Arc<Part>)>,
    /// What was planned ahead and waits for a connection or memory.
    pub(crate) postponed: Postponed<Source>,
    /// A server without ranges is sending everything.
    pub(crate) streaming: bool,
    /// `None` until the first byte, and when no disk takes it.
    pub(crate) scratch: Option<Arc<Scratch>>,
    /// The way to the writer, with it.
    pub(crate) writer: Option<UnboundedSender<Segment>>,
    /// No disk takes the bytes: beside what was written, only the newest are here.
    diskless: bool,
    /// Pieces that came so far.
    arrivals: u64,
    pub(crate) pin: Arc<Pin>,
}

impl Fill {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation,
            have: RangeSet::default(),
            memory: BTreeMap::new(),
            here: RangeSet::default(),
            busy: RangeSet::default(),
            parts: Vec::new(),
            postponed: Postponed::default(),
            streaming: false,
            scratch: None,
            writer: None,
            diskless: false,
            arrivals: 0,
            pin: Arc::default(),
        }
    }

    /// Bytes here, on disk or in memory.
    pub(crate) fn present(&self) -> u64 {
        self.here.len()
    }

    /// Whether all of a content of `length` bytes is here.
    pub(crate) fn is_complete(&self, length: u64) -> bool {
        self.here.contains(&(0..length))
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

    /// Memory that is taken or promised: bytes not on disk yet, and parts under way. A part that has
    /// half come counts for both, until it is over.
    pub(crate) fn held(&self) -> u64 {
        let parts = self.parts.iter().map(|(r, _)| r.end - r.start);
        parts.fold(self.unwritten(), u64::saturating_add)
    }

    /// Bytes that are here and not on disk.
    pub(crate) fn unwritten(&self) -> u64 {
        let memory = self.memory.values().map(|kept| kept.bytes.len() as u64);
        memory.sum()
    }

    /// Parts under way that bring some of `range`.
    pub(crate) fn parts_for(&self, range: &Range<u64>) -> Vec<Arc<Part>> {
        let touching = |r: &Range<u64>| r.start < range.end && range.start < r.end;
        let parts = self.parts.iter().filter(|(r, _)| touching(r));
        parts.map(|(_, part)| Arc::clone(part)).collect()
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
        let mut accounted = self.here.clone();
        for (other, _) in &self.parts {
            accounted.insert(other.clone());
        }
        for gap in accounted.missing(&range) {
            self.busy.remove(gap);
        }
    }

    /// Fails everything under way and everyone who waits for it.
    pub(crate) fn fail_all(&self, error: &Error) {
        for (_, part) in &self.parts {
            part.fail(error.clone());
        }
    }

    /// Bytes came in. Gives back what of them was not here yet, since parts may overlap: so nothing
    /// is written twice.
    pub(crate) fn received(&mut self, offset: u64, bytes: &Bytes) -> Vec<(u64, Bytes)> {
        let range = offset..offset + bytes.len() as u64;
        let mut fresh = Vec::new();
        for gap in self.here.missing(&range) {
            let new = bytes.slice(index(gap.start - offset)..index(gap.end - offset));
            let kept = Kept {
                bytes: new.clone(),
                arrival: self.arrivals,
            };
            self.arrivals += 1;
            self.memory.insert(gap.start, kept);
            fresh.push((gap.start, new));
        }
        self.here.insert(range.clone());
        self.busy.insert(range);
        if self.diskless {
            self.drop_oldest();
        }
        fresh
    }

    /// A piece that came in reached the disk.
    pub(crate) fn written(&mut self, offset: u64, length: u64) {
        let range = offset..offset + length;
        if self.memory.remove(&offset).is_none() && length > 0 {
            // Let go of meanwhile, and here again.
            self.here.insert(range.clone());
            self.busy.insert(range.clone());
        }
        self.have.insert(range);
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

    /// Lets go of what came first: whoever waits for bytes is told as they come.
    fn drop_oldest(&mut self) {
        let kept = self.memory.values().map(|kept| kept.bytes.len() as u64);
        let mut total: u64 = kept.sum();
        while total > KEPT_IN_MEMORY {
            let oldest = self.memory.iter().min_by_key(|(_, kept)| kept.arrival);
            let Some((&offset, kept)) = oldest else {
                return;
            };
            let length = kept.bytes.len() as u64;
            self.memory.remove(&offset);
            total -= length;
            self.here.remove(offset..offset + length);
            self.busy.remove(offset..offset + length);
        }
    }

    /// The bytes of `range` as pieces in order, `None` while some are not here.
    pub(crate) fn pieces(&self, range: &Range<u64>) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let below = self.memory.range(..=at).next_back();
            let held = below.map(|(offset, kept)| (*offset, &kept.bytes));
            let held = held.filter(|(offset, bytes)| offset + bytes.len() as u64 > at);
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
mod tests;
