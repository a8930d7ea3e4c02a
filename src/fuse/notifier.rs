//! Notifications to the kernel.
//!
//! Each enters the kernel and may wait there for a page or directory lock whose holder waits for an
//! answer of ours. So they go out from a thread of its own that answers no request and holds no
//! lock, and [`Notices::disarm`] comes first at shutdown, when requests are no longer answered.

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::vfs::KernelCache;

/// Notices that may wait: about 100 bytes each. Beyond, dropped names are left to the kernel's own
/// forgetting, and dropped pages to the next open, which keeps nothing unverified.
const QUEUE: usize = 1024;

/// Notices between two pauses, and the pause: a flood of invalidations keeps the locks of a busy
/// directory so long that other processes cannot get them.
const BATCH: usize = 64;
const PAUSE: Duration = Duration::from_millis(10);

enum Notice {
    Pages(u64),
    Entry(u64, OsString),
    /// Everything before it is done.
    Settled(oneshot::Sender<()>),
}

/// Where notices are left. Never waits.
pub(crate) struct Notices {
    queue: SyncSender<Notice>,
    armed: Arc<AtomicBool>,
}

impl Notices {
    /// Starts the thread. It ends when the last handle is dropped, or at the next notice after
    /// [`Notices::disarm`].
    pub(crate) fn start(kernel: Notifier) -> io::Result<Arc<Self>> {
        let (queue, notices) = sync_channel(QUEUE);
        let armed = Arc::new(AtomicBool::new(true));
        let still_armed = Arc::clone(&armed);
        thread::Builder::new()
            .name("wandbfs-notify".into())
            .spawn(move || send_all(&kernel, &notices, &still_armed))?;
        Ok(Arc::new(Self { queue, armed }))
    }

    /// Sends nothing from now on.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Relaxed);
    }

    fn leave(&self, notice: Notice) {
        if !self.armed.load(Relaxed) {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.queue.try_send(notice) {
            debug!("a notification to the kernel was left out: too many wait");
        }
    }
}

impl KernelCache for Notices {
    fn drop_pages(&self, ino: u64) {
        self.leave(Notice::Pages(ino));
    }

    fn drop_entry(&self, parent: u64, name: &OsStr) {
        self.leave(Notice::Entry(parent, name.to_owned()));
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        let (done, wait) = oneshot::channel();
        self.leave(Notice::Settled(done));
        // An error says that the notice was left out or will never be reached.
        Box::pin(async move { wait.await.unwrap_or_default() })
    }
}

fn send_all(kernel: &Notifier, notices: &Receiver<Notice>, armed: &AtomicBool) {
    let mut sent = 0;
    while let Ok(notice) = notices.recv() {
        if !armed.load(Relaxed) {
            return;
        }
        let result = match &notice {
            // From the first byte, to the end of the file.
            Notice::Pages(ino) => kernel.inval_inode(INodeNo(*ino), 0, 0),
            Notice::Entry(parent, name) => kernel.inval_entry(INodeNo(*parent), name),
            Notice::Settled(_) => Ok(()),
        };
        match (result, notice) {
            (Ok(()), Notice::Settled(waiting)) => waiting.send(()).unwrap_or_default(),
            (_, Notice::Settled(_)) | (Ok(()), _) => {}
            // ENOTEMPTY, EBUSY: someone works below that name; it is offered again later.
            (Err(why), Notice::Entry(..)) => debug!(%why, "the kernel keeps a name"),
            (Err(why), Notice::Pages(ino)) => {
                warn!(ino, %why, "the kernel did not drop the pages of a file that is wrong");
            }
        }
        sent += 1;
        if sent % BATCH == 0 {
            thread::sleep(PAUSE);
        }
    }
}
