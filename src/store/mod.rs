//! The data plane: bytes of contents, fetched once, verified, shared with the W&B SDK.
//!
//! What makes it hard, and the part that answers it:
//! 1. A reader wants its bytes now, the cache wants a verified file, the wire wants long transfers:
//!    [`body`] hands bytes up as they come and fills a nameless file on the side.
//! 2. How far to fetch is a guess that must be cheap when wrong: [`prefetch`], a pure plan.
//! 3. Wires, stores and URLs fail in every way: [`source`] resumes, renews, repeats within the
//!    deadline.
//! 4. The cache directory belongs to others too: [`cache`] puts in only what is complete and right,
//!    and removes only what mounts added.
//! 5. Many readers of many files, one small memory: [`budget`].
//! 6. Thousands of small files must not cost a round trip each: [`ahead`] fetches them before they
//!    are opened.
//!
//! The way of a read: [`Store::open`] finds or makes the one body of a content; the handle's plan
//! turns the read into a range; the body starts what is missing and not under way; the source
//! streams it; bytes go to whoever waits, then to disk; complete, the digest is checked and the
//! file gets its name in the cache; from then on reads come from that file.

mod ahead;
mod blocks;
mod body;
mod budget;
mod buffers;
mod cache;
mod direct;
mod handle;
mod hash;
mod local;
mod md5;
mod partial;
mod prefetch;
mod settle;
mod source;
mod urgent;

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

pub use cache::{CacheKeeper, CachedFile, Report as CacheReport};
pub use source::DownloadHandler;

use crate::model::{
    Blobs, Content, DigestAlgorithm, Error, ErrorKind, Hub, OpenBlob, Origin, Upcoming,
};
use crate::telemetry::Meter;
use ahead::Ahead;
use blocks::Blocks;
use body::Body;
use budget::Budget;
use cache::{Cache, Place, Scratch, is_full};
use handle::Handle;
use settle::Settling;
use source::{Net, Source, Sources, Urls, node_of};

/// Bodies of partly fetched files that stay after their last close, so that `tar`, `safetensors`
/// and the like, which open a file twice, fetch its head once. They cost disk, hardly memory.
const KEPT_PARTIAL: usize = 8;

/// Part of the cache that these bodies may be together: they are beside the limit, since nobody else
/// can use them.
const PART_KEPT_PARTIAL: u64 = 8;

/// How a store behaves.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Root of the cache: `$WANDB_CACHE_DIR`, or `wandb` in the user's cache directory. Blobs go to
    /// `artifacts/` below it, the mount's own files to `wandbfs/`.
    pub cache_dir: PathBuf,
    /// Bytes that mounts may keep there; 0 keeps nothing, `None` is a tenth of the disk.
    pub cache_limit: Option<u64>,
    /// Bytes of memory for all buffers; at least 4 MiB are taken.
    pub memory: u64,
    /// Longest wait of one operation without progress.
    pub deadline: Duration,
    /// Make no request at all.
    pub offline: bool,
    /// Read `file://` references from the local disk.
    pub allow_file_refs: bool,
}

/// Who the store talks to.
pub struct StoreLinks {
    /// For fresh URLs only.
    pub hub: Arc<dyn Hub>,
    /// Client for the transfers. Its redirect policy must drop `Authorization` at another host
    /// (reqwest's default does), and it must not decode bodies (`no_gzip`).
    pub http: reqwest::Client,
    /// Second way to stored contents, where the server has one.
    pub handler: Option<Arc<dyn DownloadHandler>>,
    /// Counts every GET.
    pub meter: Arc<Meter>,
}

/// The data plane of one mount or command. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

/// Lets go of what the store keeps alive, when its last clone goes: bodies point back at it.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let kept = std::mem::take(&mut *self.0.partial.lock());
        drop(kept);
    }
}

/// What every body and handle of a store shares.
pub(crate) struct Shared {
    cache: Cache,
    budget: Budget,
    blocks: Blocks,
    settling: Settling,
    ahead: Ahead,
    sources: Arc<Sources>,
    deadline: Duration,
    offline: bool,
    allow_file_refs: bool,
    /// Lock order: `bodies` before `partial` before the state of a body.
    bodies: Mutex<HashMap<Key, Weak<Body>>>,
    partial: Mutex<VecDeque<Arc<Body>>>,
}

/// What makes two contents one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Place(Place, Option<u64>),
    /// A content that has no place in the cache: by its address.
    Address(Arc<str>, Arc<str>),
}

/// A content as the store sees it.
struct Subject {
    key: Key,
    /// Where it is kept once complete; `None` where nothing vouches for its identity.
    place: Option<Place>,
    size: Option<u64>,
}

impl Store {
    /// Opens a store. Reads one file system statistic; counting and cleaning the cache happens in
    /// the background on the current runtime.
    pub fn open(options: StoreOptions, links: StoreLinks) -> Self {
        let sources = Sources {
            net: Net::new(links.http, links.meter, options.deadline),
            urls: Urls::new(Arc::clone(&links.hub)),
            hub: links.hub,
            handler: links.handler,
        };
        let budget = Budget::new(options.memory);
        let shared = Arc::new(Shared {
            cache: Cache::open(options.cache_dir, options.cache_limit),
            ahead: Ahead::new(budget.total()),
            budget,
            blocks: Blocks::default(),
            settling: Settling::default(),
            sources: Arc::new(sources),
            deadline: options.deadline,
            offline: options.offline,
            allow_file_refs: options.allow_file_refs,
            bodies: Mutex::default(),
            partial: Mutex::default(),
        });
        let tidied = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || tidied.cache.tidy_if_needed());
        let end = Arc::new(End(Arc::clone(&shared)));
        Self { shared, _end: end }
    }

    /// Bytes that mounts keep in the cache, as far as counted, and the limit.
    pub fn cache_usage(&self) -> (u64, u64) {
        (self.shared.cache.used(), self.shared.cache.limit())
    }

    /// Counts and cleans the cache now. Blocking.
    pub fn tidy(&self) {
        self.shared.cache.tidy();
    }

    fn body_of(&self, key: &Key) -> Option<Arc<Body>> {
        self.shared.bodies.lock().get(key).and_then(Weak::upgrade)
    }

    /// The body of a subject: the living one, or one made from what is on disk.
    async fn body(&self, content: &Content, subject: Subject) -> Result<Arc<Body>, Error> {
        if let Some(body) = self.body_of(&subject.key) {
            return Ok(body);
        }
        let hit = self.hit(&subject).await?;
        let body = Body::new(Arc::clone(&self.shared), content, subject, hit);
        let mut bodies = self.shared.bodies.lock();
        if let Some(other) = bodies.get(body.key()).and_then(Weak::upgrade) {
            drop(bodies);
            return Ok(other);
        }
        bodies.insert(body.key().clone(), Arc::downgrade(&body));
        Ok(body)
    }

    /// What is on disk of a subject: at once where the kernel knows the file, else off the async
    /// workers.
    async fn hit(&self, subject: &Subject) -> Result<Option<File>, Error> {
        let (Some(place), size) = (subject.place, subject.size) else {
            return Ok(None);
        };
        let shared = Arc::clone(&self.shared);
        let Ok(known) = shared.cache.open_hit_at_once(&place, size) else {
            return blocking(move || shared.cache.open_hit(&place, size)).await;
        };
        if known.is_some() && shared.cache.note_use(&place) {
            tokio::task::spawn_blocking(move || shared.cache.apply_uses());
        }
        Ok(known)
    }
}

#[async_trait]
impl Blobs for Store {
    async fn open(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error> {
        let subject = Subject::of(content);
        let body = self.body(content, subject).await?;
        let announcement = self.shared.opened(content, upcoming.as_ref());
        if body.is_verified() {
            return Ok(Arc::new(Handle::new(body, None, None)));
        }
        let source = self.source(content, upcoming)?;
        Ok(Arc::new(Handle::new(body, source, announcement)))
    }

    fn cached(&self, content: &Content) -> f64 {
        let subject = Subject::of(content);
        if let Some(body) = self.body_of(&subject.key) {
            return body.fraction();
        }
        let held = subject
            .place
            .is_some_and(|place| self.shared.cache.holds(&place, subject.size));
        f64::from(u8::from(held))
    }
}

impl Store {
    /// Where to fetch from; `None` for a local file, which the body copies itself.
    fn source(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Option<Source>, Error> {
        if let Some(path) = local::path_of(&content.origin) {
            return match self.shared.allow_file_refs {
                true => Ok(None),
                false => Err(Error::new(
                    ErrorKind::NotPermitted,
                    format!("file://{}", path.display()),
                    "this mount does not hand out local files; --allow-file-refs permits it",
                )),
            };
        }
        let sources = Arc::clone(&self.shared.sources);
        Source::new(sources, &content.origin, content.digest, upcoming).map(Some)
    }
}

impl Subject {
    fn of(content: &Content) -> Self {
        let place = match (&content.origin, content.digest) {
            (
                Origin::Manifest {
                    artifact,
                    manifest_digest,
                    ..
                },
                _,
            ) => Some(Place::manifest(
                artifact.as_str(),
                manifest_digest.as_deref().unwrap_or_default(),
            )),
            (Origin::Stored(_), digest) => digest.map(Place::Hash),
            (Origin::Reference { url, etag, .. }, digest) => {
                match local::path_of(&content.origin) {
                    Some(_) => local::digest_of(digest, etag).map(Place::Hash),
                    // A digest that is the address itself vouches for nothing.
                    None => (url != etag).then(|| Place::etag(url, etag)),
                }
            }
        };
        let size = match &content.origin {
            Origin::Reference { .. } => content.size.filter(|size| *size > 0),
            Origin::Manifest { .. } => None,
            // Hand-made manifests lie: no bytes have one digest only.
            Origin::Stored(_) => content
                .size
                .filter(|size| *size > 0 || content.digest.is_none_or(is_digest_of_nothing)),
        };
        let key = match (place, &content.origin) {
            (Some(place), _) => Key::Place(place, size),
            (None, Origin::Stored(at)) => {
                Key::Address(at.artifact.as_str().into(), Arc::clone(&at.path))
            }
            (None, Origin::Reference { url, etag, .. }) => {
                Key::Address(Arc::clone(url), Arc::clone(etag))
            }
            (None, Origin::Manifest { .. }) => {
                Key::Address(node_of(&content.origin).into(), "".into())
            }
        };
        Self { key, place, size }
    }
}

fn is_digest_of_nothing(digest: crate::model::Digest) -> bool {
    let algorithm: DigestAlgorithm = digest.algorithm();
    hash::of_bytes(algorithm, b"") == digest
}

impl Shared {
    /// Keeps a partly fetched body for a while after its last close.
    fn keep_partial(&self, body: Arc<Body>) {
        let most = self.cache.limit() / PART_KEPT_PARTIAL;
        let mut partial = self.partial.lock();
        partial.retain(|kept| !Arc::ptr_eq(kept, &body));
        partial.push_back(body);
        let mut bytes: u64 = partial.iter().map(|kept| kept.present()).sum();
        let mut gone = Vec::new();
        while partial.len() > KEPT_PARTIAL || bytes > most {
            let Some(oldest) = partial.pop_front() else {
                break;
            };
            bytes = bytes.saturating_sub(oldest.present());
            gone.push(oldest);
        }
        drop(partial);
        // Dropped outside the lock: the end of a body takes the other one.
        drop(gone);
    }

    /// Writes pieces of a content into its file. When the disk is full and the cache has nothing to
    /// give, what is kept of closed files goes. Blocking.
    fn write(&self, scratch: &Scratch, pieces: &[(u64, &[u8])]) -> std::io::Result<()> {
        let written = self.cache.write(scratch, pieces);
        match written {
            Err(cause) if is_full(&cause) => {
                let kept = std::mem::take(&mut *self.partial.lock());
                match kept.is_empty() {
                    true => Err(cause),
                    false => {
                        drop(kept);
                        self.cache.write(scratch, pieces)
                    }
                }
            }
            written => written,
        }
    }

    /// Forgets a body that is being dropped.
    fn forget(&self, key: &Key) {
        let mut bodies = self.bodies.lock();
        if bodies.get(key).is_some_and(|body| body.strong_count() == 0) {
            bodies.remove(key);
        }
    }
}

/// Runs disk work off the async workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::caused_by(ErrorKind::Io, "", "disk work was cut short", cause))
}

/// A local disk failure of `node`.
fn disk_error(node: &str, what: &'static str, cause: std::io::Error) -> Error {
    Error::caused_by(ErrorKind::Io, node, what, cause)
}

#[cfg(test)]
mod tests;
