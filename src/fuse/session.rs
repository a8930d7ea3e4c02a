//! A mount that runs, and its end.
//!
//! It can end from outside (`umount`, `fusermount3 -u`) or by [`Mounted::unmount`], and both may
//! happen at once. The kernel's end of the connection is the one truth: when the session thread has
//! stopped, nothing is unmounted any more, whatever stands at that place now.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::mount_table::{self, MountEntry};
use super::notifier::Notices;
use super::shared::Shared;
use super::watcher::Watcher;

/// How long running requests may take to finish once no new ones are taken in. Well below the ten
/// seconds that supervisors give between SIGTERM and SIGKILL at the least.
const DRAIN: Duration = Duration::from_secs(5);

/// How long changes that are on their way to the server may take then: the default deadline of a
/// request. Whoever kills the process before does what giving up would have done.
const SAVES: Duration = Duration::from_secs(30);

/// How often it is looked whether changes are still on their way.
const LOOK: Duration = Duration::from_millis(100);

/// How long the session may take to notice that it is unmounted. A detached mount with open files
/// goes on until they are closed or the process ends; nobody waits for that.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A mount that answers. Dropping it unmounts.
pub struct Mounted {
    pub(super) entry: MountEntry,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: TaskTracker,
    pub(super) notices: Arc<Notices>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) watcher: Mutex<Option<Watcher>>,
}

impl Mounted {
    /// Where it is mounted, canonical.
    pub fn mount_point(&self) -> &Path {
        &self.entry.mount_point
    }

    /// Requests of the kernel to open a file or directory so far; a mount that needs no opens gets
    /// the first of each kind only.
    pub fn opens(&self) -> u64 {
        self.shared.opens()
    }

    /// Whether the kernel reads verified files on disk by itself.
    pub fn passthrough(&self) -> bool {
        self.shared.passthrough()
    }

    /// Ends when the mount has ended, whoever unmounted it.
    pub async fn wait(&self) {
        let mut ended = self.ended.clone();
        // An error says that the session thread is gone, which is an end too.
        let _ended = ended.wait_for(|ended| *ended).await;
    }

    /// Ends the mount: takes in nothing new, lets running requests finish for up to five seconds
    /// and changes on their way for up to thirty, unmounts. A busy mount is detached. Does nothing where the mount has ended already.
    ///
    /// # Errors
    /// What the kernel or the helper said to the unmount.
    pub async fn unmount(&self) -> io::Result<()> {
        self.stop_intake();
        if !self.drained().await {
            warn!(
                running = self.requests.len(),
                "unmounting before all requests are done"
            );
        }
        if !*self.ended.borrow() {
            let entry = self.entry.clone();
            tokio::task::spawn_blocking(move || mount_table::unmount_entry(&entry)).await??;
            if tokio::time::timeout(LAST_WORDS, self.wait()).await.is_err() {
                debug!("the mount is detached and ends with its last open file");
            }
        }
        let watcher = self.watcher.lock().take();
        tokio::task::spawn_blocking(move || drop(watcher)).await?;
        Ok(())
    }

    /// Waits for the running requests; whether all are done.
    async fn drained(&self) -> bool {
        let begun = Instant::now();
        loop {
            let saving = self.shared.vfs.pending_saves() > 0;
            let bound = if saving { SAVES } else { DRAIN };
            let left = bound.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return false;
            }
            let done = tokio::time::timeout(left.min(LOOK), self.requests.wait());
            if done.await.is_ok() {
                return true;
            }
        }
    }

    /// Notifications stop first: they could wait for requests that are not answered any more.
    fn stop_intake(&self) {
        self.notices.disarm();
        self.shared.close();
        self.requests.close();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if *self.ended.borrow() {
            return;
        }
        self.stop_intake();
        if let Err(why) = mount_table::unmount_entry(&self.entry) {
            warn!(mount_point = %self.mount_point().display(), %why, "not unmounted");
        }
    }
}
