//! From memory to disk, and the verdict: off every read path.
//!
//! One task per fill takes segments in the order they came, writes them, pays their memory back,
//! and hashes on from the last byte that was hashed, as far as the file goes without a gap. A
//! content read in order is hashed while it comes, so the verdict follows the last byte at once.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Body, State};
use crate::model::{Digest, Error};
use crate::store::cache::Scratch;
use crate::store::hash::Hasher;
use crate::store::partial::Segment;
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
    let Some(mut progress) = opened else {
        return;
    };
    while let Some(first) = segments.recv().await {
        let mut batch = vec![first];
        let mut size = 0;
        while size < BATCH
            && let Ok(next) = segments.try_recv()
        {
            size += next.bytes.len() as u64;
            batch.push(next);
        }
        let Some(body) = body.upgrade() else {
            return;
        };
        match body.write_batch(generation, progress, batch).await {
            Some(on) => progress = on,
            None => return,
        }
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

    fn give_up_disk(&self, generation: u64, cause: &io::Error) -> Option<Progress> {
        self.shared.cache.warn_no_room(cause);
        let mut state = self.state.lock();
        if state.fill.generation == generation {
            state.fill.lose_disk();
        }
        drop(state);
        self.changed.notify_waiters();
        None
    }

    /// Writes and hashes a batch; `None` when the fill is over.
    async fn write_batch(
        self: Arc<Self>,
        generation: u64,
        progress: Progress,
        batch: Vec<Segment>,
    ) -> Option<Progress> {
        let scratch = Arc::clone(&progress.scratch);
        let written = blocking(move || {
            for segment in &batch {
                scratch.write_at(&segment.bytes, segment.offset)?;
            }
            Ok(batch)
        })
        .await;
        let batch = match written {
            Ok(Ok(batch)) => batch,
            Ok(Err(cause)) => return self.give_up_disk(generation, &cause),
            Err(error) => return self.give_up_disk(generation, &io::Error::other(error)),
        };
        let (frontier, length) = {
            let mut state = self.state.lock();
            if state.fill.generation != generation {
                return None;
            }
            state.progress = Instant::now();
            for segment in batch {
                state
                    .fill
                    .written(segment.offset, segment.bytes.len() as u64);
            }
            let complete = state.length.filter(|length| state.fill.is_written(*length));
            (state.fill.written_from(progress.hashed), complete)
        };
        let node = self.node.clone();
        let hashed = blocking(move || progress.advance(frontier)).await;
        let progress = match hashed.and_then(|done| {
            done.map_err(|cause| disk_error(&node, "the partial file cannot be read", cause))
        }) {
            Ok(progress) => progress,
            Err(error) => return self.give_up_disk(generation, &io::Error::other(error)),
        };
        match length {
            Some(length) => {
                self.judge(generation, progress, length).await;
                None
            }
            None => Some(progress),
        }
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
        if let Some(hasher) = &mut self.hasher
            && frontier > self.hashed
        {
            hasher.update_from(&self.scratch.file(), self.hashed, frontier)?;
            self.hashed = frontier;
        }
        Ok(self)
    }
}
