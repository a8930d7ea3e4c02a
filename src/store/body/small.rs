//! Small contents: one GET, verified before a byte is believed, kept in the background.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{Body, SMALL};
use crate::model::{Error, ErrorKind};
use crate::store::budget::Share;
use crate::store::partial::Part;
use crate::store::settle::Job;
use crate::store::source::{Head, Pin, Receiver, Request, Source};
use crate::store::{blocking, disk_error, hash};

/// Most bytes accepted where the manifest says at most [`SMALL`]: sizes of hand-made manifests lie,
/// but memory was paid for a small content.
const ACCEPTED: u64 = 4 * SMALL;

/// Largest content hashed on an async worker: 64 KiB of MD5 take 0.1 ms, less than a hand-over
/// under load.
const HASHED_INLINE: usize = 64 << 10;

/// Collects a whole content in memory.
struct Collector<'a> {
    body: &'a Body,
    bytes: BytesMut,
}

#[async_trait]
impl Receiver for Collector<'_> {
    fn begin(&mut self, head: &Head, _from: u64) -> Result<(), Error> {
        match head.total {
            Some(total) if total > ACCEPTED => Err(self.too_long(total)),
            _ => Ok(()),
        }
    }

    async fn receive(&mut self, offset: u64, bytes: Bytes) -> Result<(), Error> {
        let end = offset + bytes.len() as u64;
        if end > ACCEPTED {
            return Err(self.too_long(end));
        }
        self.bytes.extend_from_slice(&bytes);
        self.body.state.lock().progress = Instant::now();
        Ok(())
    }
}

impl Collector<'_> {
    fn too_long(&self, length: u64) -> Error {
        let what = format!("the store serves {length} bytes, far more than the manifest says");
        Error::new(ErrorKind::Corrupt, self.body.node(), what)
    }
}

impl Body {
    pub(super) async fn run_small(self: &Arc<Self>, source: &Source, part: &Arc<Part>) {
        match self.collect(source).await {
            Ok((bytes, share)) => self.settle_small(bytes, share),
            Err(error) => {
                let mut state = self.state.lock();
                state.whole = None;
                if error.kind() == ErrorKind::Corrupt {
                    self.throw_away(&mut state, &error);
                }
                part.fail(error);
            }
        }
        self.changed.notify_waiters();
    }

    /// The verified bytes, with the memory that was paid for them.
    async fn collect(&self, source: &Source) -> Result<(Bytes, Option<Share>), Error> {
        let size = self.known_length().unwrap_or(SMALL);
        let share = self.shared.budget.pay(size).await;
        let mut collector = Collector {
            body: self,
            bytes: BytesMut::with_capacity(usize::try_from(size.min(SMALL)).unwrap_or(0)),
        };
        let request = Request { from: 0, to: None };
        source
            .fetch(request, &Pin::default(), &mut collector)
            .await?;
        let bytes = collector.bytes.freeze();
        if let Some(digest) = self.digest {
            let algorithm = digest.algorithm();
            let found = match bytes.len() {
                0..=HASHED_INLINE => hash::of_bytes(algorithm, &bytes),
                _ => {
                    let bytes = bytes.clone();
                    blocking(move || hash::of_bytes(algorithm, &bytes)).await?
                }
            };
            if found != digest {
                return Err(self.wrong_digest(found));
            }
        }
        Ok((bytes, share))
    }

    /// Hands the verified bytes to whoever waits, and on to the disk.
    pub(super) fn settle_small(self: &Arc<Self>, bytes: Bytes, share: Option<Share>) {
        let part = Arc::new(Part::default());
        {
            let mut state = self.state.lock();
            state.length = Some(bytes.len() as u64);
            state.memory = Some(bytes.clone());
            // Whoever wants the file waits for this part; whoever wants bytes has them.
            state.whole = Some(Arc::clone(&part));
        }
        self.changed.notify_waiters();
        self.shared.settle(Job {
            body: Arc::clone(self),
            bytes,
            part,
            _share: share,
        });
    }

    /// The content is on disk, or there is no room for it anywhere.
    pub(in crate::store) fn settled(&self, part: &Arc<Part>, kept: io::Result<Arc<File>>) {
        let mut state = self.state.lock();
        state.progress = Instant::now();
        match kept {
            Ok(file) => {
                state.whole = None;
                state.verified = Some(file);
                state.memory = None;
            }
            // The bytes stay in memory as long as the content is open.
            Err(cause) => {
                self.shared.cache.warn_no_room(&cause);
                let what = "there is no room on any disk";
                part.fail(disk_error(&self.node, what, cause));
                state.whole = Some(Arc::clone(part));
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }
}
