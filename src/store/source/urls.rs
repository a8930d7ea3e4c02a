//! Presigned URLs: asked for in bulk, kept while they live.
//!
//! What makes it hard, and the answer:
//! 1. `tar` of 10,000 files must cost about a dozen requests and one `cat` one: a miss asks for the
//!    wanted file and its followers, in batches that grow while the followers are used ([`STEPS`]).
//! 2. Readers miss together: requests of one version run one at a time and everyone looks again
//!    afterwards; whoever waited while one failed shares its failure.
//! 3. When one URL of a batch expires, all do: a refused URL voids everything as old as itself.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use url::Url;

use crate::model::{ArtifactId, Error, Hub, Origin, StoredAt, Upcoming};

/// Life of a URL after it was issued. Core counts an hour (protocol §9.4); ten minutes are left for
/// the transfer that begins last.
const LIFE: Duration = Duration::from_secs(50 * 60);

/// Files of one request, step by step.
const STEPS: [usize; 5] = [1, 8, 64, 512, LARGEST_STEP];

/// What one request of [`Hub::content_urls`] carries.
const LARGEST_STEP: usize = 1000;

/// URLs kept. Each is about 600 bytes with its key, so a full table costs about 2.5 MB.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Versions whose batches are remembered; 150 bytes each.
const VERSIONS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A batch of which less than this part was used was a bad guess: the next one is smaller.
const USEFUL_PART: usize = 16;

type Key = (ArtifactId, Arc<str>);

struct Known {
    /// `None` where the server has no URL.
    url: Option<Arc<str>>,
    issued: Instant,
    used: bool,
}

/// The table.
pub(crate) struct Urls {
    hub: Arc<dyn Hub>,
    known: Mutex<LruCache<Key, Known>>,
    versions: Mutex<LruCache<ArtifactId, Arc<Version>>>,
}

/// What is known about the requests of one version.
#[derive(Default)]
struct Version {
    /// Held during a request.
    turn: tokio::sync::Mutex<()>,
    batch: Mutex<Batch>,
}

#[derive(Default)]
struct Batch {
    /// Index into [`STEPS`] of the next request.
    step: usize,
    asked: usize,
    used: usize,
    /// URLs issued before are void.
    valid_from: Option<Instant>,
    failed: Option<(Instant, Error)>,
}

impl Urls {
    pub(crate) fn new(hub: Arc<dyn Hub>) -> Self {
        Self {
            hub,
            known: Mutex::new(LruCache::new(KEPT)),
            versions: Mutex::new(LruCache::new(VERSIONS)),
        }
    }

    /// The URL of a stored file, `None` where the server has none. `stale` is a URL that was
    /// refused: it is not given again.
    pub(crate) async fn get(
        &self,
        at: &StoredAt,
        upcoming: Option<&dyn Upcoming>,
        stale: Option<&Url>,
    ) -> Result<Option<Arc<str>>, Error> {
        let key = (at.artifact.clone(), Arc::clone(&at.path));
        let version = self.version(&at.artifact);
        if let Some(stale) = stale {
            self.void(&key, &version, stale);
        }
        if let Some(url) = self.look_up(&key, &version) {
            return Ok(url);
        }
        let waiting_since = Instant::now();
        let _turn = version.turn.lock().await;
        if let Some(url) = self.look_up(&key, &version) {
            return Ok(url);
        }
        if let Some((when, error)) = &version.batch.lock().failed
            && *when >= waiting_since
        {
            return Err(error.clone());
        }
        self.ask(at, &version, upcoming).await
    }

    /// Brings the URLs of files of one version that are to be fetched, as far as they are unknown:
    /// one request per 1,000. It takes no turn: nobody else asks for the same files, and a reader
    /// that misses must not wait for them.
    pub(crate) async fn bring(&self, files: Vec<StoredAt>) -> Result<(), Error> {
        let Some(first) = files.first() else {
            return Ok(());
        };
        let version = self.version(&first.artifact);
        let valid_from = version.batch.lock().valid_from;
        let mut unknown = files;
        {
            let known = self.known.lock();
            unknown.retain(|file| {
                let known = known.peek(&key_of(file));
                !known.is_some_and(|known| known.lives(valid_from))
            });
        }
        for files in unknown.chunks(LARGEST_STEP) {
            let issued = Instant::now();
            let urls = self.hub.content_urls(files).await?;
            let mut known = self.known.lock();
            for (file, url) in files.iter().zip(urls) {
                let url = url.map(Arc::<str>::from);
                let used = false;
                known.put(key_of(file), Known { url, issued, used });
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        at: &StoredAt,
        version: &Version,
        upcoming: Option<&dyn Upcoming>,
    ) -> Result<Option<Arc<str>>, Error> {
        let size = version.batch.lock().next_size();
        let files = self.batch_of(at, version, upcoming, size);
        let issued = Instant::now();
        let urls = match self.hub.content_urls(&files).await {
            Ok(urls) => urls,
            Err(error) => {
                version.batch.lock().failed = Some((Instant::now(), error.clone()));
                return Err(error);
            }
        };
        let mut urls = urls.into_iter().map(|url| url.map(Arc::<str>::from));
        let wanted = urls.next().flatten();
        let mut known = self.known.lock();
        for (file, url) in files.iter().skip(1).zip(urls) {
            let used = false;
            known.put(key_of(file), Known { url, issued, used });
        }
        let entry = Known {
            url: wanted.clone(),
            issued,
            used: true,
        };
        known.put(key_of(at), entry);
        Ok(wanted)
    }

    /// The wanted file and those of its followers in the same version that have no URL yet.
    fn batch_of(
        &self,
        at: &StoredAt,
        version: &Version,
        upcoming: Option<&dyn Upcoming>,
        size: usize,
    ) -> Vec<StoredAt> {
        let mut files = vec![at.clone()];
        let Some(upcoming) = upcoming.filter(|_| size > 1) else {
            version.batch.lock().asked(1);
            return files;
        };
        let followers = upcoming.next(size - 1);
        let valid_from = version.batch.lock().valid_from;
        let known = self.known.lock();
        let mut seen = HashSet::from([Arc::clone(&at.path)]);
        for content in followers {
            let Origin::Stored(file) = content.origin else {
                continue;
            };
            let fresh = known
                .peek(&key_of(&file))
                .is_some_and(|k| k.lives(valid_from));
            if file.artifact == at.artifact && !fresh && seen.insert(Arc::clone(&file.path)) {
                files.push(file);
            }
        }
        drop(known);
        version.batch.lock().asked(files.len());
        files
    }

    /// What the table knows; the outer `None` is a miss.
    fn look_up(&self, key: &Key, version: &Version) -> Option<Option<Arc<str>>> {
        let valid_from = version.batch.lock().valid_from;
        let mut known = self.known.lock();
        let entry = known.get_mut(key).filter(|entry| entry.lives(valid_from))?;
        let first_use = !std::mem::replace(&mut entry.used, true);
        let url = entry.url.clone();
        drop(known);
        if first_use {
            version.batch.lock().used += 1;
        }
        Some(url)
    }

    fn void(&self, key: &Key, version: &Version, stale: &Url) {
        let mut known = self.known.lock();
        let same = |url: &str| Url::parse(url).is_ok_and(|url| url == *stale);
        let refused = known
            .peek(key)
            .filter(|k| k.url.as_deref().is_some_and(same));
        let Some(issued) = refused.map(|k| k.issued) else {
            return;
        };
        known.pop(key);
        drop(known);
        let mut batch = version.batch.lock();
        let after = issued + Duration::from_nanos(1);
        batch.valid_from = Some(batch.valid_from.map_or(after, |old| old.max(after)));
        // What was not used for its expiry says nothing about the guess.
        batch.used = batch.asked;
    }

    fn version(&self, artifact: &ArtifactId) -> Arc<Version> {
        let mut versions = self.versions.lock();
        Arc::clone(versions.get_or_insert(artifact.clone(), Arc::default))
    }
}

impl Known {
    fn lives(&self, valid_from: Option<Instant>) -> bool {
        self.issued.elapsed() < LIFE && valid_from.is_none_or(|from| self.issued >= from)
    }
}

impl Batch {
    /// Size of the next request, from how the last one was used.
    fn next_size(&mut self) -> usize {
        if self.asked > 0 {
            let useful = self.used * USEFUL_PART >= self.asked;
            self.step = match useful {
                true => (self.step + 1).min(STEPS.len() - 1),
                false => self.step.saturating_sub(1),
            };
        }
        STEPS[self.step]
    }

    fn asked(&mut self, count: usize) {
        self.asked = count;
        self.used = 1;
    }
}

fn key_of(file: &StoredAt) -> Key {
    (file.artifact.clone(), Arc::clone(&file.path))
}
