//! How a body goes out: at the link's speed, whole or cut, true or corrupted, and counted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::control::Counters;

/// Largest piece that is paid for at once on a limited link. At 1 Gbit/s it takes half a
/// millisecond, well below the timer's resolution; slower links use smaller pieces.
const PIECE: usize = 64 * 1024;

/// How far a sender may run ahead of the limited link before it sleeps: the timer ticks once a
/// millisecond, and sleeping for less would waste the rest of the tick.
const SLACK: Duration = Duration::from_millis(2);

/// One link that all answers share.
#[derive(Debug)]
pub(crate) struct Link {
    bytes_per_s: u64,
    free_at: Mutex<Instant>,
}

impl Link {
    /// A link of this many bytes a second, at least one.
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s: bytes_per_s.max(1),
            free_at: Mutex::new(Instant::now()),
        }
    }

    fn piece(&self) -> usize {
        usize::try_from(self.bytes_per_s / 20)
            .unwrap_or(PIECE)
            .clamp(1, PIECE)
    }

    async fn pass(&self, bytes: usize) {
        let seconds = bytes as f64 / self.bytes_per_s as f64;
        let free_at = {
            let mut free_at = self.free_at.lock();
            *free_at = (*free_at).max(Instant::now()) + Duration::from_secs_f64(seconds);
            *free_at
        };
        if free_at > Instant::now() + SLACK {
            tokio::time::sleep_until(free_at).await;
        }
    }
}

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Ends after half of it, and the connection with it.
    Truncate,
    /// One bit is wrong in each piece, the first included.
    Corrupt,
}

/// How a body goes out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    /// The limited link, if there is one.
    pub(crate) link: Option<Arc<Link>>,
    /// What is done to the body.
    pub(crate) damage: Option<Damage>,
    /// Where the bytes are counted.
    pub(crate) counters: Option<Arc<Counters>>,
}

impl Shape {
    /// A body of `len` bytes that are at hand.
    pub(crate) fn bytes(self, bytes: Bytes) -> Body {
        if self.link.is_none() && self.damage.is_none() {
            return Body::from(bytes);
        }
        let len = bytes.len() as u64;
        self.stream(Box::pin(stream::once(async { Ok(bytes) })), len)
    }

    /// A body of `len` bytes that come from a stream. The caller sets `Content-Length`.
    pub(crate) fn stream<S>(self, source: S, len: u64) -> Body
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let left = if self.damage == Some(Damage::Truncate) {
            len / 2
        } else {
            len
        };
        let outgoing = Outgoing {
            source,
            pending: Bytes::new(),
            left,
            shape: self,
        };
        Body::from_stream(stream::unfold(Some(outgoing), step))
    }
}

struct Outgoing<S> {
    source: S,
    pending: Bytes,
    left: u64,
    shape: Shape,
}

async fn step<S>(state: Option<Outgoing<S>>) -> Option<(io::Result<Bytes>, Option<Outgoing<S>>)>
where
    S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
{
    let mut state = state?;
    if state.left == 0 {
        if state.shape.damage != Some(Damage::Truncate) {
            return None;
        }
        // The pause lets hyper flush what it holds; an error drops the connection and the buffer.
        tokio::time::sleep(Duration::from_millis(20)).await;
        return Some((Err(io::ErrorKind::ConnectionAborted.into()), None));
    }
    if state.pending.is_empty() {
        match state.source.next().await? {
            Ok(bytes) => state.pending = bytes,
            Err(error) => return Some((Err(error), None)),
        }
    }
    let limit = usize::try_from(state.left).unwrap_or(usize::MAX);
    let piece = state
        .shape
        .link
        .as_ref()
        .map_or(usize::MAX, |link| link.piece());
    let mut bytes = state
        .pending
        .split_to(state.pending.len().min(limit).min(piece));
    state.left -= bytes.len() as u64;
    if state.shape.damage == Some(Damage::Corrupt) && !bytes.is_empty() {
        let mut wrong = BytesMut::from(&*bytes);
        wrong[0] ^= 1;
        bytes = wrong.freeze();
    }
    if let Some(link) = &state.shape.link {
        link.pass(bytes.len()).await;
    }
    if let Some(counters) = &state.shape.counters {
        counters.sent(bytes.len() as u64);
    }
    Some((Ok(bytes), Some(state)))
}
