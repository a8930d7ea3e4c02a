//! The one body of a content, shared by everyone who has it open.
//!
//! What makes it hard, and the answer:
//! 1. Readers wait for bytes that others fetch: the state changes under one lock, and [`Body::wait`]
//!    looks again at every change, within the deadline counted from the last byte that came.
//! 2. Small contents are verified before anyone sees a byte ([`small`]); large ones are handed up
//!    as they come ([`ranged`]), and a read that finds them complete waits for the verdict.
//! 3. Disk and digest are off the read path ([`writer`]).
//! 4. A wrong content leaves nothing: the whole fill is replaced, a following read fetches once
//!    more, and a second failure stays until somebody opens the content again.

mod ranged;
mod small;
mod writer;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::ahead::Announcement;
use super::cache::Place;
use super::partial::{Fill, Part};
use super::prefetch::Pace;
use super::source::Source;
use super::{Key, Shared, Subject, blocking, local};
use crate::model::{Content, Digest, Error, ErrorKind, Origin};

/// Contents up to this size come whole in one GET: a round trip costs what 1 MiB costs at 1 Gbit/s
/// and 8 ms, and whole content can be verified before a byte of it is believed.
pub(crate) const SMALL: u64 = 1 << 20;

/// Verification failures after which a content is not fetched again until it is opened again.
const STRIKES: u32 = 2;

/// How long after the deadline a waiting reader leaves the word to the fetch, which knows the
/// cause: at most this, and a tenth of the deadline.
const LAST_WORD: Duration = Duration::from_millis(500);

/// How a content is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whole, verified before it is read.
    Small,
    /// By ranges on demand.
    Ranged,
    /// Whole, by a plain GET, read while it comes: manifests.
    Stream,
    /// Copied from the local disk.
    Local,
}

/// A content with at least one open handle.
pub(crate) struct Body {
    shared: Arc<Shared>,
    key: Key,
    node: String,
    origin: Origin,
    place: Option<Place>,
    digest: Option<Digest>,
    mode: Mode,
    /// Open handles; a stream that nobody reads any more stops.
    handles: AtomicUsize,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    length: Option<u64>,
    /// The whole content, verified, on disk.
    verified: Option<Arc<File>>,
    /// A small content, verified, until it is on disk.
    memory: Option<Bytes>,
    /// The fetch of a small or local content.
    whole: Option<Arc<Part>>,
    fill: Fill,
    pace: Pace,
    /// Ranges that readers wait for.
    awaited: Vec<Range<u64>>,
    /// Times that what came was thrown away.
    strikes: u32,
    /// Number of strikes at which nothing is fetched any more; each open grants [`STRIKES`] more.
    struck_out_at: u32,
    /// Why the last fill was thrown away.
    last_wrong: Option<Error>,
    progress: Instant,
}

impl Body {
    pub(super) fn new(
        shared: Arc<Shared>,
        content: &Content,
        subject: Subject,
        hit: Option<File>,
    ) -> Arc<Self> {
        let mode = match (&content.origin, subject.size) {
            (Origin::Manifest { .. }, _) => Mode::Stream,
            _ if local::path_of(&content.origin).is_some() => Mode::Local,
            (_, Some(size)) if size <= SMALL => Mode::Small,
            _ => Mode::Ranged,
        };
        let length_on_disk = hit
            .as_ref()
            .and_then(|f| f.metadata().ok())
            .map(|m| m.len());
        let digest = match &content.origin {
            Origin::Manifest { .. } => None,
            _ => content.digest,
        };
        Arc::new(Self {
            node: super::node_of(&content.origin),
            origin: content.origin.clone(),
            place: subject.place,
            digest,
            mode,
            handles: AtomicUsize::new(0),
            state: Mutex::new(State {
                length: length_on_disk.or(subject.size),
                verified: hit.map(Arc::new),
                memory: (subject.size == Some(0)).then(Bytes::new),
                whole: None,
                fill: Fill::new(0),
                pace: Pace::default(),
                awaited: Vec::new(),
                strikes: 0,
                struck_out_at: STRIKES,
                last_wrong: None,
                progress: Instant::now(),
            }),
            changed: Notify::new(),
            key: subject.key,
            shared,
        })
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn is_verified(&self) -> bool {
        self.state.lock().verified.is_some()
    }

    /// Where the content is kept.
    pub(super) fn place(&self) -> Option<Place> {
        self.place
    }

    /// Tells the store that this content is read and was not here.
    pub(super) fn announce(&self, announcement: Announcement) {
        self.shared.read_missing(announcement);
    }

    /// How often the content was thrown away, and why the last time.
    pub(super) fn strikes(&self) -> (u32, Option<Error>) {
        let state = self.state.lock();
        (state.strikes, state.last_wrong.clone())
    }

    /// Fraction that is here, 0.0 to 1.0.
    pub(super) fn fraction(&self) -> f64 {
        let state = self.state.lock();
        if state.verified.is_some() || state.memory.is_some() {
            return 1.0;
        }
        match state.length {
            Some(length) if length > 0 => state.fill.present() as f64 / length as f64,
            _ => 0.0,
        }
    }

    /// Bytes that are here.
    pub(super) fn present(&self) -> u64 {
        let state = self.state.lock();
        match state.verified.is_some() || state.memory.is_some() {
            true => state.length.unwrap_or(0),
            false => state.fill.present(),
        }
    }

    /// The verified file on disk.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.state.lock().verified.clone()
    }

    /// Length, where it is known.
    pub(super) fn known_length(&self) -> Option<u64> {
        self.state.lock().length
    }

    /// A handle was opened: it may try as often as the first one did.
    pub(super) fn retain(&self) {
        self.handles.fetch_add(1, Relaxed);
        let mut state = self.state.lock();
        state.struck_out_at = state.strikes + STRIKES;
    }

    /// A handle was closed. What is partly here stays for a while.
    pub(super) fn release(self: &Arc<Self>) {
        let last = self.handles.fetch_sub(1, Relaxed) == 1;
        let worth_keeping = {
            let mut state = self.state.lock();
            if last {
                state.fill.postponed.clear();
            }
            let fill = &state.fill;
            let any = fill.present() > 0 && !fill.is_diskless();
            state.verified.is_none() && state.strikes == 0 && any
        };
        if last && worth_keeping && self.mode == Mode::Ranged {
            self.shared.keep_partial(Arc::clone(self));
        }
    }

    /// Bytes of `range` from the small content in memory; `None` where it is not there.
    pub(super) fn in_memory(&self, range: &Range<u64>) -> Option<Bytes> {
        let state = self.state.lock();
        let bytes = state.memory.as_ref()?;
        let clip = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
        Some(bytes.slice(clip(range.start)..clip(range.end)))
    }

    /// Begins what brings the length, or the whole of a small content, if nothing does yet.
    /// Afterwards [`in_memory`](Self::in_memory) or [`file`](Self::file) answers.
    pub(super) async fn fetch_whole(
        self: &Arc<Self>,
        source: Option<&Source>,
        until_on_disk: bool,
    ) -> Result<(), Error> {
        let mut mine: Option<Arc<Part>> = None;
        self.wait(|state| {
            let here = state.verified.is_some() || (state.memory.is_some() && !until_on_disk);
            if here {
                return Some(Ok(()));
            }
            let parts = [mine.as_ref(), state.whole.as_ref()];
            if let Some(failure) = parts.into_iter().flatten().find_map(|part| part.failure()) {
                return Some(Err(failure.clone()));
            }
            if mine.is_none() || state.whole.is_none() {
                match self.begin_whole(state, source) {
                    Ok(part) => mine = Some(part),
                    Err(error) => return Some(Err(error)),
                }
            }
            None
        })
        .await
    }

    /// Joins the fetch of a whole content, or begins it.
    fn begin_whole(
        self: &Arc<Self>,
        state: &mut State,
        source: Option<&Source>,
    ) -> Result<Arc<Part>, Error> {
        if let Some(part) = &state.whole {
            return Ok(Arc::clone(part));
        }
        self.refuse_if_struck_out(state)?;
        let part = Arc::new(Part::default());
        let body = Arc::clone(self);
        let task_part = Arc::clone(&part);
        if let Some(bytes) = state.memory.clone() {
            tokio::spawn(async move { body.settle_small(bytes, None) });
            state.whole = Some(Arc::clone(&part));
            return Ok(part);
        }
        match (self.mode, source) {
            (Mode::Local, _) => {
                tokio::spawn(async move { body.run_import(&task_part).await });
            }
            (_, Some(source)) => {
                self.require_network()?;
                let source = source.clone();
                tokio::spawn(async move { body.run_small(&source, &task_part).await });
            }
            (_, None) => return Err(self.lost_source()),
        }
        state.whole = Some(Arc::clone(&part));
        Ok(part)
    }

    async fn run_import(&self, part: &Arc<Part>) {
        let (origin, place) = (self.origin.clone(), self.place);
        let shared = Arc::clone(&self.shared);
        let work = move || local::import(&shared.cache, &origin, place.as_ref());
        let outcome = blocking(work).await.and_then(|imported| imported);
        let mut state = self.state.lock();
        state.whole = None;
        match outcome {
            Ok(file) => {
                state.length = file.metadata().ok().map(|meta| meta.len());
                state.verified = Some(file);
            }
            Err(error) => part.fail(error),
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn require_network(&self) -> Result<(), Error> {
        match self.shared.offline {
            true => {
                let what = "not on disk, and this mount makes no requests";
                Err(Error::new(ErrorKind::Offline, &*self.node, what))
            }
            false => Ok(()),
        }
    }

    fn refuse_if_struck_out(&self, state: &State) -> Result<(), Error> {
        match &state.last_wrong {
            Some(error) if state.strikes >= state.struck_out_at => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The content was on disk when it was opened, so the handle has no source; it cannot be lost
    /// while it is open.
    fn lost_source(&self) -> Error {
        let what = "the content has no source";
        Error::new(ErrorKind::Io, &*self.node, what)
    }

    /// The content is wrong: nothing of it stays, and everyone who waits for it is told.
    fn throw_away(&self, state: &mut State, error: &Error) {
        tracing::warn!(node = %self.node, error = %error.chain(), "content thrown away");
        state.fill.fail_all(error);
        state.fill = Fill::new(state.fill.generation + 1);
        state.memory = None;
        state.strikes += 1;
        state.last_wrong = Some(error.clone());
        self.changed.notify_waiters();
    }

    fn wrong_digest(&self, found: Digest) -> Error {
        let what = format!("the bytes have the digest {found}, which is not the manifest's");
        Error::new(ErrorKind::Corrupt, &*self.node, what)
    }

    /// Waits until `check`, called under the lock at every change, has an answer; or until no byte
    /// has come for the deadline.
    async fn wait<T>(
        &self,
        mut check: impl FnMut(&mut State) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let patience = self.shared.deadline + LAST_WORD.min(self.shared.deadline / 10);
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let until = {
                let mut state = self.state.lock();
                if let Some(answer) = check(&mut state) {
                    return answer;
                }
                state.progress.max(begun) + patience
            };
            if timeout_at(until.into(), notified).await.is_err() && Instant::now() >= until {
                let seconds = self.shared.deadline.as_secs_f32();
                let what = format!("no byte came within {seconds} s");
                return Err(Error::new(ErrorKind::Deadline, &*self.node, what));
            }
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.shared.forget(&self.key);
    }
}
