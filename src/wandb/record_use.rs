//! `--record-use`: every version whose content is read becomes an input of a run, once.
//!
//! A wrapper around the data plane sees the reads and drops a note into a bounded queue; one task
//! takes the notes to the server. So a read never waits, and a server that is away is asked again
//! until it is back or the mount ends.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::model::{
    ArtifactId, Blobs, Content, Error, ErrorKind, Hub, OpenBlob, Origin, RunPath, Upcoming,
    VersionPath,
};

/// Versions that wait to be recorded. A note is two pointers and an id, some 100 bytes.
const QUEUE: usize = 4096;

/// Versions that are remembered as recorded, about 100 bytes each; beyond them a version may be
/// recorded again, which changes nothing.
const REMEMBERED: usize = 65_536;

/// Waits between two rounds while the server is away: the first, doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Rounds after which a version or run that is not there counts as gone. A job may mount before its
/// run exists; with the waits above this is some ten minutes.
const ROUNDS_OF_MISSING: u32 = 24;

/// Takes notes of reads to the server. Clones share the queue.
#[derive(Clone)]
pub struct UseRecorder {
    shared: Arc<Shared>,
}

struct Shared {
    run: RunPath,
    queue: mpsc::Sender<Note>,
    seen: Mutex<HashSet<ArtifactId>>,
    /// Notes that are not settled yet.
    open: AtomicUsize,
    settled: Notify,
    /// The mount ends: no more waits.
    ending: AtomicBool,
    hurry: Notify,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// A version to record.
struct Note {
    version: Arc<VersionPath>,
    artifact: ArtifactId,
    missing: u32,
}

/// What became of a note.
enum Fate {
    Settled,
    Again(Note),
}

impl UseRecorder {
    /// Starts recording inputs of `run`. Must be called within a runtime. Sends nothing yet.
    pub fn start(hub: Arc<dyn Hub>, run: RunPath) -> Self {
        let (queue, notes) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            run,
            queue,
            seen: Mutex::default(),
            open: AtomicUsize::new(0),
            settled: Notify::new(),
            ending: AtomicBool::new(false),
            hurry: Notify::new(),
            worker: Mutex::new(None),
        });
        let worker = tokio::spawn(work(Arc::clone(&shared), hub, notes));
        *shared.worker.lock() = Some(worker);
        Self { shared }
    }

    /// The data plane, with every read of content noted.
    pub fn watch(&self, blobs: Arc<dyn Blobs>) -> Arc<dyn Blobs> {
        Arc::new(Watched {
            blobs,
            recorder: self.clone(),
        })
    }

    /// Ends recording: what waits is tried at once, for at most `patience`. Returns how many
    /// versions could not be recorded.
    pub async fn finish(&self, patience: Duration) -> usize {
        self.shared.ending.store(true, Relaxed);
        self.shared.hurry.notify_one();
        let all_settled = async {
            loop {
                let settled = self.shared.settled.notified();
                if self.shared.open.load(Relaxed) == 0 {
                    return;
                }
                settled.await;
            }
        };
        let in_time = timeout(patience, all_settled).await.is_ok();
        if let Some(worker) = self.shared.worker.lock().take() {
            worker.abort();
        }
        let left = self.shared.open.load(Relaxed);
        if !in_time {
            let run = self.shared.run.to_string();
            tracing::warn!(
                left,
                run,
                "versions that were read are not recorded as inputs"
            );
        }
        left
    }

    /// Notes that a version was read. Never waits.
    fn note(&self, version: &Arc<VersionPath>, artifact: &ArtifactId) {
        {
            let mut seen = self.shared.seen.lock();
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
            if !seen.insert(artifact.clone()) {
                return;
            }
        }
        let note = Note {
            version: Arc::clone(version),
            artifact: artifact.clone(),
            missing: 0,
        };
        self.shared.open.fetch_add(1, Relaxed);
        if self.shared.queue.try_send(note).is_err() {
            // Full: the next read of the version finds room, perhaps.
            self.shared.open.fetch_sub(1, Relaxed);
            self.shared.seen.lock().remove(artifact);
        }
    }
}

/// Takes notes to the server until nobody can make any.
async fn work(shared: Arc<Shared>, hub: Arc<dyn Hub>, mut notes: mpsc::Receiver<Note>) {
    let mut waiting: VecDeque<Note> = VecDeque::new();
    let mut wait = FIRST_WAIT;
    loop {
        if waiting.is_empty() {
            let Some(note) = notes.recv().await else {
                return;
            };
            waiting.push_back(note);
        }
        while let Ok(note) = notes.try_recv() {
            waiting.push_back(note);
        }
        let mut again = VecDeque::new();
        let mut any_settled = false;
        while let Some(note) = waiting.pop_front() {
            match record(&shared, &*hub, note).await {
                Fate::Settled => {
                    any_settled = true;
                    shared.open.fetch_sub(1, Relaxed);
                    shared.settled.notify_waiters();
                }
                Fate::Again(note) => again.push_back(note),
            }
        }
        waiting = again;
        if waiting.is_empty() || any_settled {
            wait = FIRST_WAIT;
        }
        if !waiting.is_empty() {
            let pause = if shared.ending.load(Relaxed) {
                FIRST_WAIT / 4
            } else {
                wait
            };
            // A new note does not cut the wait short: the server is not back because of it.
            let _ = timeout(pause, shared.hurry.notified()).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
    }
}

/// Records one version.
async fn record(shared: &Shared, hub: &dyn Hub, mut note: Note) -> Fate {
    let error = match hub
        .use_version(&shared.run, &note.version, &note.artifact)
        .await
    {
        Ok(()) => return Fate::Settled,
        Err(error) => error,
    };
    let passes = match error.kind() {
        ErrorKind::Network | ErrorKind::Deadline | ErrorKind::Busy | ErrorKind::Io => true,
        ErrorKind::NotFound => {
            note.missing += 1;
            note.missing < ROUNDS_OF_MISSING
        }
        _ => false,
    };
    let version = note.version.to_string();
    if passes {
        tracing::debug!(version, "not recorded as an input yet: {}", error.chain());
        Fate::Again(note)
    } else {
        let run = shared.run.to_string();
        tracing::warn!(
            version,
            run,
            "cannot be recorded as an input: {}",
            error.chain()
        );
        Fate::Settled
    }
}

/// The data plane under watch.
struct Watched {
    blobs: Arc<dyn Blobs>,
    recorder: UseRecorder,
}

#[async_trait]
impl Blobs for Watched {
    async fn open(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error> {
        let blob = self.blobs.open(content, upcoming).await?;
        let (version, artifact) = match &content.origin {
            Origin::Stored(at) => (&at.version, &at.artifact),
            Origin::Reference {
                version, artifact, ..
            } => (version, artifact),
            // A manifest is read to show names; that is no use of the version.
            Origin::Manifest { .. } => return Ok(blob),
        };
        Ok(Arc::new(WatchedBlob {
            blob,
            version: Arc::clone(version),
            artifact: artifact.clone(),
            noted: AtomicBool::new(false),
            recorder: self.recorder.clone(),
        }))
    }

    fn cached(&self, content: &Content) -> f64 {
        self.blobs.cached(content)
    }
}

/// An open content under watch.
struct WatchedBlob {
    blob: Arc<dyn OpenBlob>,
    version: Arc<VersionPath>,
    artifact: ArtifactId,
    /// Spares the lock of the recorder on every further read.
    noted: AtomicBool,
    recorder: UseRecorder,
}

impl WatchedBlob {
    fn note(&self) {
        if !self.noted.swap(true, Relaxed) {
            self.recorder.note(&self.version, &self.artifact);
        }
    }
}

#[async_trait]
impl OpenBlob for WatchedBlob {
    async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error> {
        self.note();
        self.blob.read_at(offset, length).await
    }

    async fn len(&self) -> Result<u64, Error> {
        self.blob.len().await
    }

    fn present(&self) -> u64 {
        self.blob.present()
    }

    /// Whoever has the file reads it without us, as the kernel does.
    fn file(&self) -> Option<Arc<std::fs::File>> {
        let file = self.blob.file()?;
        self.note();
        Some(file)
    }

    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error> {
        self.note();
        self.blob.whole_file().await
    }
}
