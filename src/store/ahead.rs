//! Fetching small files before they are opened.
//!
//! [`prefetch::Siblings`](super::prefetch) says which; this carries it out. What makes it hard, and
//! the answer:
//! 1. 10,000 files must not cost 10,000 round trips: URLs come by the thousand, bodies over
//!    [`AT_ONCE`] kept-alive connections.
//! 2. A reader that arrives while its file is on the way must join, not fetch again: what is fetched
//!    ahead is an ordinary body, held until it is on disk.
//! 3. Readers go first: bodies fetched ahead share half of the memory budget and leave requests
//!    free, and a failure ends the whole order, so that a broken network is asked by readers only.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::{Body, SMALL};
use super::budget::units;
use super::prefetch::{Order, Siblings, Tag};
use super::source::Source;
use super::{Shared, Subject};
use crate::model::{ArtifactId, Content, Origin, Upcoming};

/// Bodies under way at once: 2,400 files a second at 20 ms. The rest of the connections is left to
/// readers.
const AT_ONCE: usize = 48;

/// Versions watched at once; each costs a bit per file and 40 bytes per file that is fetched and not
/// opened yet.
const VERSIONS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Bytes of files that nobody has opened yet: a second or two of a fast wire. Where readers stop, it
/// is what was fetched for nothing.
const MOST_UNUSED: u64 = 256 << 20;

/// Misses after which what was fetched ahead and not opened is given up.
const STARVED: u32 = 32;

/// Part of a small cache that they may take: what was fetched ahead must not push out what is in use.
const PART_OF_CACHE: u64 = 8;

/// What is fetched ahead in one store.
pub(crate) struct Ahead {
    versions: Mutex<LruCache<ArtifactId, Arc<Version>>>,
    slots: Arc<Semaphore>,
    /// Half of the memory budget, in its units.
    memory: Arc<Semaphore>,
    memory_units: u32,
}

/// One version.
#[derive(Default)]
struct Version {
    state: Mutex<State>,
    /// Bytes fetched or ordered and not opened yet.
    unused: AtomicU64,
    /// Grows with every failure: an order of an earlier number is over.
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    plan: Siblings,
    /// Files ordered and not opened yet.
    ordered: HashMap<u32, Ordered>,
    /// Files that readers missed while so much was unused that nothing was ordered.
    starved: u32,
}

struct Ordered {
    tag: Tag,
    /// Bytes, once they are known.
    size: u64,
}

/// Tells, at the first read of a file that was not on disk when it was opened.
pub(crate) struct Announcement {
    artifact: ArtifactId,
    upcoming: Arc<dyn Upcoming>,
}

impl Ahead {
    pub(crate) fn new(memory: u64) -> Self {
        let half = units(memory / 2);
        Self {
            versions: Mutex::new(LruCache::new(VERSIONS)),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            memory: Arc::new(Semaphore::new(half as usize)),
            memory_units: half,
        }
    }
}

impl Shared {
    /// A content was opened. Gives back what [`read_missing`](Self::read_missing) wants to know
    /// where the content had not been fetched ahead.
    pub(super) fn opened(
        self: &Arc<Self>,
        content: &Content,
        upcoming: Option<&Arc<dyn Upcoming>>,
    ) -> Option<Announcement> {
        let (Origin::Stored(at), Some(upcoming)) = (&content.origin, upcoming) else {
            return None;
        };
        let seat = upcoming.seat()?;
        let version = self.ahead.versions.lock().get(&at.artifact).cloned();
        if let Some(version) = version {
            let mut state = version.state.lock();
            if let Some(ordered) = state.ordered.remove(&seat.number) {
                version.forget(ordered.size);
                let order = state.plan.on_open(&seat, Some(ordered.tag));
                drop(state);
                self.carry_out(&version, order, upcoming);
                return None;
            }
        }
        Some(Announcement {
            artifact: at.artifact.clone(),
            upcoming: Arc::clone(upcoming),
        })
    }

    /// A content that is not on disk is read for the first time.
    pub(super) fn read_missing(self: &Arc<Self>, announcement: Announcement) {
        if self.offline || self.cache.limit() == 0 {
            return;
        }
        let Announcement { artifact, upcoming } = announcement;
        let Some(seat) = upcoming.seat() else { return };
        let version = {
            let mut versions = self.ahead.versions.lock();
            Arc::clone(versions.get_or_insert(artifact, Arc::default))
        };
        let mut state = version.state.lock();
        let ordered = state.ordered.remove(&seat.number);
        if let Some(ordered) = &ordered {
            version.forget(ordered.size);
        }
        let order = state
            .plan
            .on_open(&seat, ordered.map(|ordered| ordered.tag));
        if version.is_full(self) {
            version.starve(&mut state);
        }
        drop(state);
        self.carry_out(&version, order, &upcoming);
    }

    fn carry_out(
        self: &Arc<Self>,
        version: &Arc<Version>,
        order: Order,
        upcoming: &Arc<dyn Upcoming>,
    ) {
        if order == Order::Nothing || version.is_full(self) {
            return;
        }
        let (version, upcoming) = (Arc::clone(version), Arc::clone(upcoming));
        let shared = Arc::downgrade(self);
        tokio::task::spawn_blocking(move || {
            let (numbers, tag) = match order {
                Order::Nothing => return,
                Order::Following(count, tag) => (upcoming.following(count as usize), tag),
                Order::These(numbers, tag) => (numbers, tag),
            };
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let wanted = version.choose(&shared, numbers, tag, upcoming.as_ref());
            if !wanted.is_empty() {
                tokio::spawn(fetch_all(Arc::downgrade(&shared), version, wanted));
            }
        });
    }
}

/// A file to fetch.
struct Wanted {
    number: u32,
    content: Content,
    subject: Subject,
    upcoming: Arc<dyn Upcoming>,
}

impl Version {
    fn forget(&self, size: u64) {
        // Only what was added is taken away, so this cannot pass below zero.
        self.unused.fetch_sub(size, Relaxed);
    }

    /// Which of these files to fetch: small, verifiable, seen by nobody, and not on disk. Blocking,
    /// one `stat` a file.
    fn choose(
        &self,
        shared: &Shared,
        numbers: Vec<u32>,
        tag: Tag,
        upcoming: &dyn Upcoming,
    ) -> Vec<Wanted> {
        let numbers = {
            let mut state = self.state.lock();
            let fresh = state.plan.order(numbers, tag);
            for number in &fresh {
                state.ordered.insert(*number, Ordered { tag, size: 0 });
            }
            fresh
        };
        let largest = SMALL.min(shared.cache.limit() / PART_OF_CACHE);
        let mut wanted = Vec::with_capacity(numbers.len());
        for number in numbers {
            if self.is_full(shared) {
                self.withdraw(number);
                continue;
            }
            let found = upcoming.stored(number).and_then(|(content, upcoming)| {
                let subject = Subject::of(&content);
                let place = subject.place.as_ref()?;
                let small = content.digest.is_some()
                    && subject
                        .size
                        .is_some_and(|size| (1..=largest).contains(&size));
                (small && !shared.cache.holds(place, subject.size)).then_some(Wanted {
                    number,
                    content,
                    subject,
                    upcoming,
                })
            });
            match found {
                Some(file) => {
                    self.keep_size(number, file.subject.size.unwrap_or(0));
                    wanted.push(file);
                }
                None => self.drop_order(number),
            }
        }
        wanted
    }

    /// Whether enough was fetched that nobody has opened yet.
    fn is_full(&self, shared: &Shared) -> bool {
        let most = MOST_UNUSED.min(shared.cache.limit() / PART_OF_CACHE);
        self.unused.load(Relaxed) >= most
    }

    /// A reader misses a file while enough lies there unopened: after some, what lies there is for
    /// nobody and does not count any more.
    fn starve(&self, state: &mut State) {
        state.starved += 1;
        if state.starved < STARVED {
            return;
        }
        state.starved = 0;
        for (_, ordered) in state.ordered.drain() {
            self.forget(ordered.size);
            state.plan.dropped(ordered.tag);
        }
    }

    fn withdraw(&self, number: u32) {
        let mut state = self.state.lock();
        if let Some(ordered) = state.ordered.remove(&number) {
            state.plan.withdrawn(number, ordered.tag);
        }
    }

    fn keep_size(&self, number: u32, size: u64) {
        // Opened meanwhile, it is not unused any more.
        if let Some(ordered) = self.state.lock().ordered.get_mut(&number) {
            ordered.size = size;
            self.unused.fetch_add(size, Relaxed);
        }
    }

    fn drop_order(&self, number: u32) {
        let mut state = self.state.lock();
        if let Some(ordered) = state.ordered.remove(&number) {
            self.forget(ordered.size);
            state.plan.dropped(ordered.tag);
        }
    }

    /// A fetch failed: the order is over, and the plan begins anew.
    fn fail(&self) {
        self.failures.fetch_add(1, Relaxed);
        self.state.lock().plan.failed();
    }
}

/// A slot for the connection, and memory.
type Turn = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Fetches URLs in bulk, then the bodies.
async fn fetch_all(shared: Weak<Shared>, version: Arc<Version>, wanted: Vec<Wanted>) {
    let failures = version.failures.load(Relaxed);
    let stored = wanted.iter().filter_map(|file| match &file.content.origin {
        Origin::Stored(at) => Some(at.clone()),
        _ => None,
    });
    let stored: Vec<_> = stored.collect();
    let urls = match shared.upgrade() {
        Some(shared) => shared.sources.urls.bring(stored).await,
        None => return,
    };
    if let Err(error) = urls {
        tracing::debug!(error = %error.chain(), "no addresses to fetch ahead");
        version.fail();
    }
    for file in wanted {
        let Some(strong) = shared.upgrade() else {
            return;
        };
        if version.failures.load(Relaxed) != failures {
            version.drop_order(file.number);
            continue;
        }
        let Some(turn) = strong.ahead.turn(&file).await else {
            return;
        };
        let version = Arc::clone(&version);
        tokio::spawn(async move {
            fetch_one(&strong, &version, file, turn).await;
        });
    }
}

impl Ahead {
    /// Waits until another body may be begun: a slot, and memory. Without an answer the store is
    /// gone.
    async fn turn(&self, file: &Wanted) -> Option<Turn> {
        let size = file.subject.size.unwrap_or(SMALL);
        let cost = units(size).min(self.memory_units);
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(cost).await;
        Some((slot, memory.ok()?))
    }
}

async fn fetch_one(shared: &Arc<Shared>, version: &Version, file: Wanted, (slot, memory): Turn) {
    // A reader that came first fetches it, or has done so.
    if !version.state.lock().ordered.contains_key(&file.number) {
        return;
    }
    let sources = Arc::clone(&shared.sources);
    let source = Source::new(
        sources,
        &file.content.origin,
        file.content.digest,
        Some(file.upcoming),
    );
    let Ok(source) = source else {
        return version.drop_order(file.number);
    };
    let body = shared.body_for(&file.content, file.subject);
    body.retain();
    let mut fetched = body.fetch_whole(Some(&source), false).await;
    // The connection is free for the next; the memory is when the disk has the bytes.
    drop(slot);
    if fetched.is_ok() {
        fetched = body.fetch_whole(Some(&source), true).await;
    }
    drop(memory);
    body.release();
    if let Err(error) = fetched {
        tracing::debug!(error = %error.chain(), "not fetched ahead");
        version.drop_order(file.number);
        version.fail();
    }
}

impl Shared {
    /// The body of a content that is not on disk.
    fn body_for(self: &Arc<Self>, content: &Content, subject: Subject) -> Arc<Body> {
        let key = subject.key.clone();
        let mut bodies = self.bodies.lock();
        if let Some(body) = bodies.get(&key).and_then(Weak::upgrade) {
            return body;
        }
        let body = Body::new(Arc::clone(self), content, subject, None);
        bodies.insert(key, Arc::downgrade(&body));
        body
    }
}
