//! Large contents: ranges on demand and ahead, in parts that several readers share.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};

use super::{Body, Mode, State};
use crate::model::{Error, ErrorKind};
use crate::store::blocks::BLOCK;
use crate::store::budget::Share;
use crate::store::cache::Scratch;
use crate::store::partial::{Part, Piece, Segment};
use crate::store::prefetch::{PART, Wish};
use crate::store::source::{Head, Receiver, Request, Source};
use crate::store::{disk_error, handle::pread};

/// Most memory that one content may take for what nobody waits for: the largest window, and half of
/// it for bytes that a slow disk has not taken yet. The rest of the budget is for other files. Once
/// that much waits for the disk, so do readers whose bytes are not here.
const MOST_HELD: u64 = 48 << 20;

/// How far a request that someone waits for runs on beyond what is waited for: the first window of
/// the plan. More would hold memory that others wait for.
const RUN_ON: u64 = (1 << 20) + (128 << 10);

/// Memory paid in advance for a body that comes whole: one block.
const STREAM_SHARE: u64 = BLOCK;

/// Times that a read begins anew after its bytes were fetched and lost again.
const RESTARTS: usize = 16;

/// Where the bytes of an answer come from.
pub(in crate::store) enum Found {
    Pieces(Vec<Piece>, Option<Arc<Scratch>>),
    /// The content was verified meanwhile.
    Verified,
}

impl Body {
    /// Bytes of `range`, shorter only at the end of the content.
    pub(in crate::store) async fn read_range(
        self: &Arc<Self>,
        source: Option<&Source>,
        wish: &Wish,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        match self.bring(source, wish, &range).await? {
            Found::Pieces(pieces, scratch) => self.assemble(pieces, scratch).await,
            Found::Verified => {
                let file = self.file().ok_or_else(|| self.lost_source())?;
                pread(file, range.start, range.end - range.start)
                    .await
                    .map_err(|cause| disk_error(&self.node, "the cache cannot be read", cause))
            }
        }
    }

    /// Fetches `range` where it is not here yet.
    pub(in crate::store) async fn bring(
        self: &Arc<Self>,
        source: Option<&Source>,
        wish: &Wish,
        range: &Range<u64>,
    ) -> Result<Found, Error> {
        for _ in 0..RESTARTS {
            if let Some(found) = self.find(source, wish, range).await? {
                return Ok(found);
            }
        }
        let what = "the bytes were fetched again and again without staying";
        Err(Error::new(ErrorKind::Io, &*self.node, what))
    }

    /// One try; `None` when the bytes were lost on the way and nobody fetches them any more.
    async fn find(
        self: &Arc<Self>,
        source: Option<&Source>,
        wish: &Wish,
        range: &Range<u64>,
    ) -> Result<Option<Found>, Error> {
        self.await_disk(&wish.demand).await?;
        let (parts, generation) = {
            let mut state = self.state.lock();
            if state.verified.is_some() {
                return Ok(Some(Found::Verified));
            }
            self.refuse_if_struck_out(&state)?;
            self.start(&mut state, source, wish)?;
            (state.fill.parts_for(&wish.demand), state.fill.generation)
        };
        let _awaited = self.await_bytes(range);
        self.wait(|state| {
            if state.verified.is_some() {
                return Some(Ok(Some(Found::Verified)));
            }
            if state.fill.generation != generation {
                return Some(state.last_wrong.clone().map_or(Ok(None), Err));
            }
            let end = state
                .length
                .map_or(range.end, |length| range.end.min(length));
            let wanted = range.start.min(end)..end;
            let found = state.fill.pieces(&wanted);
            if let Some(pieces) = found {
                // Reads come out of order, so whichever finds the content complete waits for the
                // verdict: nobody can have read all of a wrong content without meeting it.
                let awaits = state.length.is_some_and(|length| {
                    state.fill.is_complete(length) && !state.fill.is_diskless()
                });
                return match awaits {
                    true => None,
                    false => Some(Ok(Some(Found::Pieces(pieces, state.fill.scratch.clone())))),
                };
            }
            if let Some(failure) = parts.iter().find_map(|part| part.failure()) {
                return Some(Err(failure.clone()));
            }
            let lost = !state.fill.missing(&wanted).is_empty();
            lost.then_some(Ok(None))
        })
        .await
    }

    /// Waits until the disk has taken so much that it is worth fetching what is missing of `demand`.
    async fn await_disk(&self, demand: &Range<u64>) -> Result<(), Error> {
        self.wait(|state| {
            let fill = &state.fill;
            let is_behind = fill.unwritten() > MOST_HELD && !fill.missing(demand).is_empty();
            (!is_behind).then_some(Ok(()))
        })
        .await
    }

    /// Has blocks handed on early, while the guard lives, where they complete `range`.
    fn await_bytes(&self, range: &Range<u64>) -> Awaited<'_> {
        self.state.lock().awaited.push(range.clone());
        Awaited {
            body: self,
            range: range.clone(),
        }
    }

    /// Begins `wish` and waits until the length is known.
    pub(in crate::store) async fn await_length(
        self: &Arc<Self>,
        source: Option<&Source>,
        wish: &Wish,
    ) -> Result<(), Error> {
        let parts = {
            let mut state = self.state.lock();
            self.refuse_if_struck_out(&state)?;
            self.start(&mut state, source, wish)?;
            state.fill.parts_for(&wish.demand)
        };
        self.wait(|state| {
            if state.length.is_some() {
                return Some(Ok(()));
            }
            let failure = parts.iter().find_map(|part| part.failure());
            failure.map(|failure| Err(failure.clone()))
        })
        .await
    }

    /// The verified file of a content whose bytes are all here.
    pub(in crate::store) async fn await_verdict(&self) -> Result<Arc<std::fs::File>, Error> {
        let generation = self.state.lock().fill.generation;
        self.wait(|state| {
            if let Some(file) = &state.verified {
                return Some(Ok(Arc::clone(file)));
            }
            if state.fill.is_diskless() {
                let what = "there is no room on any disk for the whole content";
                return Some(Err(Error::new(ErrorKind::Io, &*self.node, what)));
            }
            let wrong = state.fill.generation != generation;
            let cause = state.last_wrong.clone().filter(|_| wrong);
            cause.map(Err)
        })
        .await
    }

    async fn assemble(
        &self,
        mut pieces: Vec<Piece>,
        scratch: Option<Arc<Scratch>>,
    ) -> Result<Bytes, Error> {
        if let [Piece::Memory(bytes)] = &mut pieces[..] {
            return Ok(std::mem::take(bytes));
        }

        if let [Piece::Disk(range)] = &pieces[..] {
            return self.read_scratch(scratch.as_ref(), range).await;
        }
        let length = pieces.iter().map(Piece::len).sum();
        let mut all = BytesMut::with_capacity(length);
        for piece in pieces {
            match piece {
                Piece::Memory(bytes) => all.extend_from_slice(&bytes),
                Piece::Disk(range) => {
                    let bytes = self.read_scratch(scratch.as_ref(), &range).await?;
                    all.extend_from_slice(&bytes);
                }
            }
        }
        Ok(all.freeze())
    }

    async fn read_scratch(
        &self,
        scratch: Option<&Arc<Scratch>>,
        range: &Range<u64>,
    ) -> Result<Bytes, Error> {
        let scratch = scratch.ok_or_else(|| self.lost_source())?;
        pread(scratch.file(), range.start, range.end - range.start)
            .await
            .map_err(|cause| disk_error(&self.node, "the partial file cannot be read", cause))
    }

    /// Begins what the wish names and nobody fetches yet.
    fn start(
        self: &Arc<Self>,
        state: &mut State,
        source: Option<&Source>,
        wish: &Wish,
    ) -> Result<(), Error> {
        let demanded = !state.fill.missing(&wish.demand).is_empty();
        if !demanded && wish.ahead.is_empty() {
            self.go_on(state);
            return Ok(());
        }
        let Some(source) = source else {
            return Err(self.lost_source());
        };
        if self.mode == Mode::Stream {
            let all = 0..state.length.unwrap_or(u64::MAX);
            if !state.fill.missing(&all).is_empty() && !state.fill.streaming {
                self.require_network()?;
                state.fill.streaming = true;
                self.spawn_part(state, source, 0..u64::MAX, None);
            }
            return Ok(());
        }
        // Without a disk, what is fetched far ahead is gone before it is read.
        let modest = state.fill.is_diskless().then(|| wish.at_most(RUN_ON));
        let wish = modest.as_ref().unwrap_or(wish);
        // Demand and what follows it go out as one request where they touch.
        let touching = wish.ahead.start <= wish.demand.end;
        let mut end = match touching {
            true => wish.ahead.end.max(wish.demand.end),
            false => wish.demand.end,
        };
        if demanded {
            // A request must go out anyway: a sequential reader's may as well bring more.
            let size = state.length.unwrap_or(u64::MAX);
            end = end.max(wish.demand.end.saturating_add(wish.run_on).min(size));
        }
        let first = wish.demand.start..end;
        let later = self.start_range(state, source, first, &wish.demand)?;
        state.fill.postponed.push(source, later);
        if !touching {
            state.fill.postponed.push(source, wish.ahead.clone());
        }
        self.go_on(state);
        Ok(())
    }

    /// Begins what was planned ahead and had to wait, as far as that is possible by now.
    pub(super) fn go_on(self: &Arc<Self>, state: &mut State) {
        if self.handles.load(Relaxed) == 0 || self.shared.offline {
            return;
        }
        for _ in 0..state.fill.postponed.len() {
            let Some((source, range)) = state.fill.postponed.pop() else {
                return;
            };
            // Nothing is demanded, so nothing can be refused.
            let later = self.start_range(state, &source, range, &(0..0));
            state.fill.postponed.push(&source, later.unwrap_or(0..0));
        }
    }

    /// Begins what is missing of `range`; gives back what has to wait, because nobody waits for it.
    fn start_range(
        self: &Arc<Self>,
        state: &mut State,
        source: &Source,
        range: Range<u64>,
        demand: &Range<u64>,
    ) -> Result<Range<u64>, Error> {
        let largest = self.shared.budget.part();
        let ahead = largest.min(PART);
        let parallel = state.pace.parallel(ahead);
        for gap in state.fill.missing(&range) {
            let mut at = gap.start;
            while at < gap.end {
                let demanded = at < demand.end && demand.start < gap.end;
                let enough = match demanded {
                    true => largest.min(demand.end - at + RUN_ON),
                    false => ahead,
                };
                let part = at..at.saturating_add(enough).min(gap.end);
                if demanded {
                    self.require_network()?;
                    at = part.end;
                    self.spawn_part(state, source, part, None);
                    continue;
                }
                let later = at..range.end;
                // Nobody waits for the rest: it is fetched only where memory is free for it.
                let is_busy = state.fill.parts_under_way() >= parallel
                    || state.fill.held().saturating_add(ahead) > MOST_HELD;
                if self.shared.offline || is_busy {
                    return Ok(later);
                }
                at = part.end;
                match self.shared.budget.try_pay(part.end - part.start) {
                    Some(share) => self.spawn_part(state, source, part, Some(share)),
                    None => return Ok(later),
                }
            }
        }
        Ok(range.end..range.end)
    }

    fn spawn_part(
        self: &Arc<Self>,
        state: &mut State,
        source: &Source,
        range: Range<u64>,
        share: Option<Share>,
    ) {
        let part = state.fill.begin(range.clone());
        let (body, source) = (Arc::clone(self), source.clone());
        let generation = state.fill.generation;
        tokio::spawn(async move { body.run_part(&source, range, part, share, generation).await });
    }

    async fn run_part(
        self: Arc<Self>,
        source: &Source,
        range: Range<u64>,
        part: Arc<Part>,
        share: Option<Share>,
        generation: u64,
    ) {
        let whole = range.end == u64::MAX;
        let cost = if whole {
            STREAM_SHARE
        } else {
            range.end - range.start
        };
        let share = match share {
            Some(share) => Some(share),
            None => self.shared.budget.pay(cost).await,
        };
        let pin = Arc::clone(&self.state.lock().fill.pin);
        let mut sink = Sink {
            body: Arc::clone(&self),
            part: Arc::clone(&part),
            share,
            generation,
            streaming: whole,
            block: BytesMut::new(),
            lent: false,
            sent: Instant::now(),
            head: None,
            begun: range.start,
            end: range.start,
            asked: range.end,
        };
        let request = Request {
            from: range.start,
            to: (!whole).then_some(range.end),
        };
        let fetched = source.fetch(request, &pin, &mut sink).await;
        // What came before a failure need not come again.
        let outcome = sink.hand_on().await.and(fetched);
        sink.renew_block(0);
        self.end_part(&sink, outcome);
    }

    fn end_part(self: &Arc<Self>, sink: &Sink, outcome: Result<(), Error>) {
        let mut state = self.state.lock();
        if let (Ok(()), Some(head)) = (&outcome, sink.head) {
            let (came, parallel) = (sink.end - sink.begun, state.fill.parts_under_way());
            let (wait, body) = (head - sink.sent, head.elapsed());
            state.pace.note(came, wait, body, parallel);
        }
        if state.fill.generation == sink.generation {
            match outcome {
                Ok(()) if sink.streaming => state.length = Some(sink.end),
                Ok(()) => {}
                // Superseded: whoever waits begins anew or finds the bytes of the other fetch.
                Err(error) if error.kind() == ErrorKind::Busy => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    sink.part.fail(error.clone());
                    self.throw_away(&mut state, &error);
                }
                Err(error) => sink.part.fail(error),
            }
            state.fill.end(&sink.part);
            if sink.streaming {
                state.fill.streaming = false;
            }
            self.go_on(&mut state);
            self.nudge_writer(&mut state);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// Takes the bytes of a part: to whoever waits, and on to the writer.
struct Sink {
    body: Arc<Body>,
    part: Arc<Part>,
    share: Option<Share>,
    generation: u64,
    /// Whether this part brings everything to the end of the content.
    streaming: bool,
    /// Received and not handed on.
    block: BytesMut,
    /// Whether the block belongs to [`Blocks`](crate::store::blocks::Blocks).
    lent: bool,
    /// When the request was sent, when the first head came, and from where bytes came then.
    sent: Instant,
    head: Option<Instant>,
    begun: u64,
    /// End of what was received.
    end: u64,
    /// End of what was asked for.
    asked: u64,
}

/// A range that a reader waits for.
struct Awaited<'a> {
    body: &'a Body,
    range: Range<u64>,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut state = self.body.state.lock();
        if let Some(at) = state.awaited.iter().position(|range| *range == self.range) {
            state.awaited.swap_remove(at);
        }
    }
}

#[async_trait]
impl Receiver for Sink {
    fn begin(&mut self, head: &Head, from: u64) -> Result<(), Error> {
        let mut state = self.body.state.lock();
        if state.fill.generation != self.generation {
            return Err(self.superseded());
        }
        debug_assert!(self.block.is_empty() || from == self.end);
        self.head.get_or_insert_with(Instant::now);
        self.end = self.end.max(from);
        if let Some(total) = head.total {
            state.length = Some(total);
        }
        if !head.ranged && !self.streaming {
            if state.fill.streaming {
                return Err(self.superseded());
            }
            self.streaming = true;
            let end = head.end.unwrap_or(u64::MAX);
            state.fill.widen(&self.part, from..end);
        }
        if self.streaming {
            self.asked = head.end.unwrap_or(u64::MAX);
        }
        drop(state);
        self.body.changed.notify_waiters();
        Ok(())
    }

    async fn receive(&mut self, offset: u64, mut bytes: Bytes) -> Result<(), Error> {
        let abandoned = self.streaming && self.body.handles.load(Relaxed) == 0;
        if abandoned && self.body.mode != Mode::Stream {
            return Err(self.superseded());
        }
        self.end = offset;
        while bytes.has_remaining() {
            let boundary = (self.end / BLOCK + 1).saturating_mul(BLOCK);
            let room = usize::try_from(boundary - self.end).unwrap_or(usize::MAX);
            let some = bytes.split_to(room.min(bytes.len()));
            self.append(&some, boundary);
            if self.end == boundary {
                self.hand_on().await?;
            }
        }
        if self.is_awaited() {
            self.hand_on().await?;
        }
        Ok(())
    }
}

impl Sink {
    fn append(&mut self, bytes: &[u8], boundary: u64) {
        if self.block.capacity() - self.block.len() < bytes.len() {
            let to_come = self.asked.min(boundary).saturating_sub(self.end);
            let room = usize::try_from(to_come).unwrap_or(0);
            self.renew_block(room.max(bytes.len()));
        }
        self.block.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    /// A block with room for `room` bytes more; what is in the old one goes along.
    fn renew_block(&mut self, room: usize) {
        let blocks = &self.body.shared.blocks;
        let (mut block, lent) = match self.block.len() + room {
            0 => (BytesMut::new(), false),
            room => blocks.take(room),
        };
        block.extend_from_slice(&self.block);
        self.block.clear();
        let old = std::mem::replace(&mut self.block, block);
        if std::mem::replace(&mut self.lent, lent) {
            blocks.give_back(old);
        }
    }

    /// Whether what was received and not handed on is all that some reader still waits for here.
    fn is_awaited(&self) -> bool {
        let mut state = self.body.state.lock();
        state.progress = Instant::now();
        let from = self.end - self.block.len() as u64;
        let completed = |range: &Range<u64>| range.end > from && range.end <= self.end;
        !self.block.is_empty() && state.awaited.iter().any(completed)
    }

    /// Gives the block to whoever waits, and to the writer.
    async fn hand_on(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let bytes = self.block.split().freeze();
        let offset = self.end - bytes.len() as u64;
        let mut share = self.charge(bytes.len() as u64).await;
        let mut state = self.body.state.lock();
        if state.fill.generation != self.generation {
            return Err(self.superseded());
        }
        state.progress = Instant::now();
        for (offset, bytes) in state.fill.received(offset, &bytes) {
            if state.fill.is_diskless() {
                break;
            }
            let segment = Segment {
                offset,
                bytes,
                _share: share.take(),
            };
            self.body.hand_to_writer(&mut state, segment);
        }
        drop(state);
        self.body.changed.notify_waiters();
        Ok(())
    }

    /// Memory for bytes received: from what was paid in advance, anew once that is used up.
    async fn charge(&mut self, bytes: u64) -> Option<Share> {
        if let Some(share) = self.share.as_mut().and_then(|share| share.split(bytes)) {
            return Some(share);
        }
        let budget = &self.body.shared.budget;
        budget.pay(bytes.min(budget.part())).await
    }

    /// Nobody waits for this part any more, or another brings the same; the message is for nobody.
    fn superseded(&self) -> Error {
        Error::new(
            ErrorKind::Busy,
            self.body.node(),
            "another fetch brings the same bytes",
        )
    }
}
