//! What the requests of one mount and its owner share: the way to `vfs`, the bound on reads, the
//! open modes, and whether the mount still takes requests in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use fuser::{BackingId, FileHandle, FopenFlags, ReplyOpen};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::debug;

use super::open_mode::{Mode, OpenModes, Wanted};
use crate::vfs::{Caching, Errno, OpenFile, Vfs};

/// Reads that run at once. The kernel asks for up to 1 MiB each, so replies hold 64 MiB at most.
const READS: usize = 64;

/// Smallest file that the kernel reads by itself. Below, registering the file costs more than the
/// copies it saves: 26 k opens a second instead of 64 k.
pub const PASSTHROUGH_FROM: u64 = 1 << 20;

/// What requests and the mount's owner share.
pub(crate) struct Shared {
    pub(super) vfs: Arc<Vfs>,
    pub(super) reads: Semaphore,
    pub(super) modes: Mutex<OpenModes<BackingId>>,
    closing: AtomicBool,
    stack_depth: Option<u32>,
    passthrough: AtomicBool,
    unopened: bool,
    opens: AtomicU64,
}

impl Shared {
    /// `stack_depth` is given where passthrough is wanted and allowed; `unopened` lets the kernel
    /// read without opening.
    pub(crate) fn new(vfs: Arc<Vfs>, stack_depth: Option<u32>, unopened: bool) -> Self {
        Self {
            vfs,
            reads: Semaphore::new(READS),
            modes: Mutex::default(),
            closing: AtomicBool::new(false),
            stack_depth,
            passthrough: AtomicBool::new(false),
            unopened,
            opens: AtomicU64::new(0),
        }
    }

    /// Takes in nothing new from now on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// What passthrough needs of the kernel; `None` where it is not wanted or not allowed.
    pub(crate) fn stack_depth(&self) -> Option<u32> {
        self.stack_depth
    }

    /// Remembers what the kernel said to it.
    pub(crate) fn passthrough_granted(&self, granted: bool) {
        self.passthrough.store(granted, Relaxed);
    }

    /// Whether the kernel granted passthrough and no file was refused since.
    pub(crate) fn passthrough(&self) -> bool {
        self.passthrough.load(Relaxed)
    }

    /// Counts a request to open; whether it is to be answered with "not needed".
    pub(crate) fn needs_no_open(&self) -> bool {
        self.opens.fetch_add(1, Relaxed);
        self.unopened
    }

    /// Requests to open a file or directory so far.
    pub(crate) fn opens(&self) -> u64 {
        self.opens.load(Relaxed)
    }

    /// `ENODEV` once the mount takes nothing in.
    pub(crate) fn is_open(&self) -> Result<(), Errno> {
        if self.closing.load(Relaxed) {
            Err(Errno::ENODEV)
        } else {
            Ok(())
        }
    }

    /// Fixes the mode of an open and answers it.
    pub(crate) fn answer_open(&self, ino: u64, open: &OpenFile, reply: ReplyOpen) {
        let wanted = wanted(&open.caching, self.passthrough());
        let mode = self.modes.lock().open(ino, wanted, || {
            let Caching::Keep { file } = &open.caching else {
                return None;
            };
            reply
                .open_backing(file)
                .inspect_err(|why| {
                    debug!(%why, "the kernel refuses passthrough; reading files here from now on");
                    self.passthrough.store(false, Relaxed);
                })
                .ok()
        });
        let handle = FileHandle(open.handle);
        // Nothing is ever written, so there is nothing to flush at close.
        let flags = FopenFlags::FOPEN_NOFLUSH;
        match mode {
            Mode::Cached { keep: true } => {
                reply.opened(handle, flags | FopenFlags::FOPEN_KEEP_CACHE);
            }
            Mode::Cached { keep: false } => reply.opened(handle, flags),
            Mode::Direct => reply.opened(handle, flags | FopenFlags::FOPEN_DIRECT_IO),
            Mode::Passthrough(id) => reply.opened_passthrough(handle, flags, &id),
        }
    }
}

/// How a file is best opened. `passthrough` says whether the kernel granted that, which an old one
/// never does: what is verified then stays in the page cache across opens.
fn wanted(caching: &Caching, passthrough: bool) -> Wanted {
    match caching {
        Caching::Keep { file } => {
            let large = || file.metadata().is_ok_and(|m| m.len() >= PASSTHROUGH_FROM);
            match passthrough && large() {
                true => Wanted::Passthrough,
                false => Wanted::Cached { keep: true },
            }
        }
        Caching::UntilNextOpen => Wanted::Cached { keep: false },
        Caching::Never => Wanted::Direct,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_large_verified_files_are_the_kernels_and_only_where_it_granted_that() {
        let file = |length| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(length).unwrap();
            Caching::Keep { file: file.into() }
        };
        let (large, small) = (file(PASSTHROUGH_FROM), file(PASSTHROUGH_FROM - 1));
        let kept = Wanted::Cached { keep: true };
        assert_eq!(wanted(&large, true), Wanted::Passthrough);
        assert_eq!(wanted(&small, true), kept);
        assert_eq!(
            wanted(&large, false),
            kept,
            "an old kernel, an ordinary user"
        );
        for granted in [true, false] {
            let unverified = wanted(&Caching::UntilNextOpen, granted);
            assert_eq!(unverified, Wanted::Cached { keep: false });
            assert_eq!(wanted(&Caching::Never, granted), Wanted::Direct);
        }
    }
}
