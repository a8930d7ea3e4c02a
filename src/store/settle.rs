//! Verified small contents on their way to the disk.
//!
//! Giving a file its place costs more than fetching it: two inodes, two names, the ledger of the
//! cache. So nobody waits for it. One thread does it for the whole store, oldest first, many under
//! one lock of the ledger, while readers have the bytes from memory. That memory stays paid for until
//! the file is there, so a slow disk slows the fetching ahead and nothing else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Shared;
use super::body::Body;
use super::budget::Share;
use super::cache::{Kept, Scratch};
use super::partial::Part;

/// Contents brought to the disk under one lock: some ten milliseconds, for which another mount may
/// have to wait.
const BATCH: usize = 64;

/// A content to bring to the disk.
pub(crate) struct Job {
    pub(crate) body: Arc<Body>,
    pub(crate) bytes: Bytes,
    /// Who wants the file waits for this.
    pub(crate) part: Arc<Part>,
    /// Paid back when the job is done.
    pub(crate) _share: Option<Share>,
}

/// What waits.
#[derive(Default)]
pub(crate) struct Settling(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Whether a thread is at it.
    busy: bool,
}

impl Shared {
    /// Queues a content. The runtime waits for the queue to become empty before it ends.
    pub(super) fn settle(self: &Arc<Self>, job: Job) {
        let mut queue = self.settling.0.lock();
        queue.jobs.push_back(job);
        if !std::mem::replace(&mut queue.busy, true) {
            let shared = Arc::clone(self);
            tokio::task::spawn_blocking(move || shared.settle_all());
        }
    }

    fn settle_all(&self) {
        loop {
            let batch: Vec<Job> = {
                let mut queue = self.settling.0.lock();
                let count = queue.jobs.len().min(BATCH);
                queue.busy = count > 0;
                queue.jobs.drain(..count).collect()
            };
            if batch.is_empty() {
                return;
            }
            let written = batch.iter().map(|job| {
                let scratch = self.cache.scratch(job.bytes.len() as u64)?;
                self.write(&scratch, &[(0, &job.bytes)])?;
                Ok(scratch)
            });
            let written: Vec<io::Result<Scratch>> = written.collect();
            let to_keep = written.iter().zip(&batch).filter_map(|(scratch, job)| {
                let scratch = scratch.as_ref().ok()?;
                Some((scratch, job.body.place(), job.bytes.len() as u64))
            });
            let mut kept = self
                .cache
                .keep_all(&to_keep.collect::<Vec<_>>())
                .into_iter();
            for (job, written) in batch.into_iter().zip(&written) {
                let file = match written {
                    Ok(scratch) => Ok(kept.next().map_or_else(|| scratch.file(), Kept::file)),
                    Err(cause) => Err(io::Error::from(cause.kind())),
                };
                job.body.settled(&job.part, file);
            }
        }
    }
}
