//! From memory to disk, and the verdict: off every read path.
//!
//! One task per fill takes segments in the order they came, writes them and pays their memory back.
//! Beside it a thread hashes on from the last byte that was hashed, as far as the file goes without a
//! gap: what waits for the digest is only the verdict, never memory of the budget. A content read in
//! order is hashed while it comes, so the verdict is not far behind the last byte. It is read from the
//! file: through a buffer that stays in the processor's cache that costs less than taking it in from
//! the blocks, which have left it by then.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::{Body, State};
use crate::model::{Digest, Error};
use crate::store::cache::Scratch;
use crate::store::hash::Hasher;
use crate::store::partial::Segment;
use crate::store::urgent::Urgent;
use crate::store::{blocking, disk_error};

/// Bytes written by one piece of disk work, so that memory comes back soon.
const BATCH: u64 = 4 << 20;

/// The hash of what is on disk without a gap.
struct Progress {
    scratch: Arc<Scratch>,
    hasher: Option<Hasher>,
    hashed: u64,
}

impl Body {
    /// Queues a segment, with a scratch file and a writer for the first one.
    pub(super) fn hand_to_writer(self: &Arc<Self>, state: &mut State, segment: Segment) {
        if state.fill.writer.is_none() {
            let (sender, receiver) = unbounded_channel();
            state.fill.writer = Some(sender);
            let (body, generation) = (Arc::downgrade(self), state.fill.generation);
            let length = state.length.unwrap_or(0);
            tokio::spawn(run(body, generation, length, receiver));
        }
        if let Some(writer) = &state.fill.writer {
            // A writer that is gone gave up on the disk and said so.
            let _gave_up = writer.send(segment);
        }
    }

    /// Makes the writer look again, because the length became known or the content is empty.
    pub(super) fn nudge_writer(self: &Arc<Self>, state: &mut State) {
        let complete = state
            .length
            .is_some_and(|length| state.fill.is_complete(length));
        if complete && state.verified.is_none() && !state.fill.is_diskless() {
            let nothing = Segment {
                offset: 0,
                bytes: bytes::Bytes::new(),
                _share: None,
            };
            self.hand_to_writer(state, nothing);
        }
    }
}

async fn run(
    body: Weak<Body>,
    generation: u64,
    length: u64,
    mut segments: UnboundedReceiver<Segment>,
) {
    let Some(begun) = body.upgrade() else {
        return;
    };
    let opened = begun.open_scratch(generation, length).await;
    drop(begun);
    let Some(progress) = opened else {
        return;
    };
    let mut fill = Filling {
        generation,
        scratch: Arc::clone(&progress.scratch),
        frontier: 0,
        complete: None,
        idle: Some(progress),
        hashing: None,
        writing: None,
    };
    loop {
        if let Some((progress, length)) = fill.hash_on() {
            if let Some(body) = body.upgrade() {
                body.judge(generation, progress, length).await;
            }
            return;
        }
        // The digest is what is waited for in the end: it must not stand still while the disk works.
        let event = tokio::select! {
            first = segments.recv(), if fill.writing.is_none() => match first {
                Some(first) => Event::Came(batch_of(first, &mut segments)),
                None => return,
            },
            written = done(&mut fill.writing) => Event::Written(written),
            hashed = done(&mut fill.hashing) => Event::Hashed(hashed),
        };
        let Some(body) = body.upgrade() else {
            return;
        };
        if body.advance(&mut fill, event).is_none() {
            return;
        }
    }
}

/// What the writer waits for.
enum Event {
    Came(Vec<Segment>),
    Written(io::Result<Vec<Segment>>),
    Hashed(io::Result<Progress>),
}

/// Waits for the work under way; for ever where there is none.
async fn done<T>(work: &mut Option<JoinHandle<io::Result<T>>>) -> io::Result<T> {
    match work {
        Some(handle) => {
            let done = handle.await.map_err(io::Error::other);
            *work = None;
            done?
        }
        None => std::future::pending().await,
    }
}

/// A segment with what follows it in the queue, up to [`BATCH`].
fn batch_of(first: Segment, segments: &mut UnboundedReceiver<Segment>) -> Vec<Segment> {
    let mut size = first.bytes.len() as u64;
    let mut batch = vec![first];
    while size < BATCH
        && let Ok(next) = segments.try_recv()
    {
        size += next.bytes.len() as u64;
        batch.push(next);
    }
    batch
}

/// A fill as its writer sees it.
struct Filling {
    generation: u64,
    scratch: Arc<Scratch>,
    /// End of what is written without a gap.
    frontier: u64,
    /// Length of the content, once all of it is written.
    complete: Option<u64>,
    /// The hash, while nobody works on it.
    idle: Option<Progress>,
    hashing: Option<JoinHandle<io::Result<Progress>>>,
    writing: Option<JoinHandle<io::Result<Vec<Segment>>>>,
}

impl Filling {
    /// Sets a thread to hash what was written since. Gives back the hash and the length when all is
    /// hashed.
    fn hash_on(&mut self) -> Option<(Progress, u64)> {
        let progress = self.idle.take()?;
        if let Some(length) = self.complete
            && progress.hashed >= length
        {
            return Some((progress, length));
        }
        let frontier = self.frontier;
        match frontier > progress.hashed {
            true => {
                let work = move || progress.advance(frontier);
                self.hashing = Some(tokio::task::spawn_blocking(work));
            }
            false => self.idle = Some(progress),
        }
        None
    }
}

impl Body {
    async fn open_scratch(&self, generation: u64, length: u64) -> Option<Progress> {
        let shared = Arc::clone(&self.shared);
        let scratch = blocking(move || shared.cache.scratch(length)).await;
        let scratch = match scratch {
            Ok(Ok(scratch)) => Arc::new(scratch),
            Ok(Err(cause)) => return self.give_up_disk(generation, &cause),
            Err(error) => return self.give_up_disk(generation, &io::Error::other(error)),
        };
        let mut state = self.state.lock();
        if state.fill.generation != generation {
            return None;
        }
        state.fill.scratch = Some(Arc::clone(&scratch));
        Some(Progress {
            scratch,
            hasher: self.digest.map(|digest| Hasher::new(digest.algorithm())),
            hashed: 0,
        })
    }

    fn give_up_disk<T>(&self, generation: u64, cause: &io::Error) -> Option<T> {
        self.shared.cache.warn_no_room(cause);
        let mut state = self.state.lock();
        if state.fill.generation == generation {
            state.fill.lose_disk();
        }
        drop(state);
        self.changed.notify_waiters();
        None
    }

    /// Goes on after an event; `None` when the fill is over.
    fn advance(self: &Arc<Self>, fill: &mut Filling, event: Event) -> Option<()> {
        match event {
            Event::Came(batch) => {
                let scratch = Arc::clone(&fill.scratch);
                let shared = Arc::clone(&self.shared);
                fill.writing = Some(tokio::task::spawn_blocking(move || {
                    let pieces = batch
                        .iter()
                        .map(|segment| (segment.offset, &*segment.bytes));
                    shared.write(&scratch, &pieces.collect::<Vec<_>>())?;
                    Ok(batch)
                }));
                Some(())
            }
            Event::Written(Ok(batch)) => self.written(fill, &batch),
            Event::Hashed(Ok(progress)) => {
                fill.idle = Some(progress);
                Some(())
            }
            Event::Written(Err(cause)) | Event::Hashed(Err(cause)) => {
                self.give_up_disk(fill.generation, &cause)
            }
        }
    }

    /// A batch is on disk; `None` when the fill is over.
    fn written(self: &Arc<Self>, fill: &mut Filling, batch: &[Segment]) -> Option<()> {
        let mut state = self.state.lock();
        if state.fill.generation != fill.generation {
            return None;
        }
        state.progress = Instant::now();
        for segment in batch {
            let length = segment.bytes.len() as u64;
            state.fill.written(segment.offset, length);
        }
        fill.complete = state.length.filter(|length| state.fill.is_written(*length));
        fill.frontier = state.fill.written_from(fill.frontier);
        self.go_on(&mut state);
        drop(state);
        self.changed.notify_waiters();
        Some(())
    }

    /// The content is complete: the right one gets its place, the wrong one goes.
    async fn judge(&self, generation: u64, progress: Progress, length: u64) {
        let found = progress.hasher.map(Hasher::finish);
        if let Err(error) = self.compare(found) {
            let mut state = self.state.lock();
            if state.fill.generation == generation {
                self.throw_away(&mut state, &error);
            }
            return;
        }
        let (shared, place) = (Arc::clone(&self.shared), self.place);
        let scratch = progress.scratch;
        let unverifiable = self.digest.is_none();
        let kept = blocking(move || {
            if unverifiable {
                // Nothing tells a torn file of this kind apart after a power failure.
                scratch.file().sync_data()?;
            }
            Ok(shared.cache.keep(&scratch, place.as_ref(), length).file())
        })
        .await;
        let kept = kept.and_then(|kept: io::Result<_>| {
            kept.map_err(|cause| disk_error(&self.node, "the file cannot be kept", cause))
        });
        let mut state = self.state.lock();
        if state.fill.generation != generation {
            return;
        }
        match kept {
            Ok(file) => {
                state.verified = Some(file);
                self.shared.blocks.clear();
                state.fill = crate::store::partial::Fill::new(generation + 1);
            }
            Err(error) => self.throw_away(&mut state, &error),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn compare(&self, found: Option<Digest>) -> Result<(), Error> {
        match (self.digest, found) {
            (Some(wanted), Some(found)) if wanted != found => Err(self.wrong_digest(found)),
            _ => Ok(()),
        }
    }
}

impl Progress {
    /// Hashes on up to `frontier`. Blocking.
    fn advance(mut self, frontier: u64) -> io::Result<Self> {
        // One core's work, while all else shares the others: what it loses, the last read waits for.
        let _urgent = Urgent::begin();
        if let Some(hasher) = &mut self.hasher {
            hasher.update_from(&self.scratch.file(), self.hashed, frontier)?;
        }
        self.hashed = frontier;
        Ok(self)
    }
}
