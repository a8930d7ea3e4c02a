//! The file system without a kernel: inode numbers and lookup counts, handles, directory cursors,
//! lifetimes, and the one table from failures to errnos.
//!
//! Every operation is an async method by inode number or handle on [`Vfs`], so that the adapter
//! above only decodes and replies, and so that a test needs no mount. Every failure passes one
//! place ([`Vfs`]'s `fail`), which logs it, records it for `errors.log` and leaves the reason in
//! the node's `user.wandbfs.error`.
//!
//! Locks: the inode table and the handle maps are held for a few instructions each, never across an
//! await, never two at once. A directory's cursor is held across the request for its next page; the
//! kernel sends one readdir per handle at a time, so nobody queues behind it.

mod attributes;
mod changes;
mod cursor;
mod directories;
mod errno;
mod files;
mod handles;
mod inodes;
mod lifetimes;
mod listed;
mod mutations;
mod nodes;
mod options;
mod process;
mod unopened;
mod writing;

#[cfg(test)]
mod tests;

pub use attributes::{Attr, Entry};
pub use directories::{DirEntry, OpenDirectory};
pub use errno::Errno;
pub use files::{Caching, OpenFile};
pub use mutations::Mutation;
pub use nodes::Statfs;
pub use options::VfsOptions;
pub use process::Caller;
pub use writing::{Created, Intent, NewAttributes, Unsaved};

use std::ffi::OsStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tracing::{debug, error, info, warn};

use crate::model::{Error, ErrorKind};
use crate::telemetry::{ErrorRecord, Meter};
use crate::tree::{Identity, Node, Tree};
use errno::{Operation, errno_of};
use handles::Handles;
use inodes::{Inodes, Known, NodeLike};
use listed::Listed;

/// What the kernel keeps for us and can be asked to drop. Calls must return at once: they only
/// hand over to whoever talks to the kernel.
pub trait KernelCache: Send + Sync + 'static {
    /// Drops the cached pages of a file.
    fn drop_pages(&self, ino: u64);
    /// Drops a name in a directory, and with it, in time, the inode behind it.
    fn drop_entry(&self, parent: u64, name: &OsStr);
    /// Resolves once everything asked before has been done or given up.
    fn settled(&self) -> BoxFuture<'static, ()>;
}

/// The file system.
pub struct Vfs {
    tree: Arc<Tree>,
    meter: Arc<Meter>,
    options: VfsOptions,
    inodes: Mutex<Inodes<Node>>,
    files: Handles<files::File>,
    directories: Handles<directories::Directory>,
    unopened: Arc<unopened::Unopened>,
    kernel: OnceLock<Arc<dyn KernelCache>>,
    listed: Listed,
    pending_saves: AtomicUsize,
}

impl NodeLike for Node {
    fn identity(&self) -> Identity {
        Node::identity(self)
    }

    fn version(&self) -> Option<Self> {
        Node::version(self)
    }
}

impl Vfs {
    /// The file system over a tree.
    ///
    /// # Errors
    /// Whatever keeps the root from being resolved: not signed in, unknown root, no network. A
    /// mount that could only show errors is not worth making.
    pub async fn new(
        tree: Arc<Tree>,
        meter: Arc<Meter>,
        options: VfsOptions,
    ) -> Result<Arc<Self>, Error> {
        let root = tree.root().await?;
        Ok(Arc::new(Self {
            tree,
            meter,
            options,
            inodes: Mutex::new(Inodes::new(root)),
            files: Handles::default(),
            directories: Handles::default(),
            unopened: Arc::default(),
            kernel: OnceLock::new(),
            listed: Listed::default(),
            pending_saves: AtomicUsize::new(0),
        }))
    }

    /// Lets the file system ask a kernel to drop what it caches. The first one stays.
    pub fn attach_kernel(&self, kernel: Arc<dyn KernelCache>) {
        let _first_stays = self.kernel.set(kernel);
    }

    /// Open files and directories.
    pub fn open_handles(&self) -> usize {
        self.files.len() + self.directories.len() + self.unopened.len()
    }

    /// The node behind a number. At once, except for content whose manifest the tree has dropped
    /// meanwhile: it is then read from the cache again.
    async fn node(&self, operation: Operation, ino: u64) -> Result<Node, Errno> {
        let known = self.inodes.lock().known(ino).ok_or(Errno::ESTALE)?;
        match known {
            Known::Node(node) => Ok(node),
            Known::Content { version, index } => self
                .tree
                .content_node(&version, index)
                .await
                .map_err(|why| self.fail(operation, &version, None, &why)),
        }
    }

    /// Counts a lookup, and offers the kernel's oldest names for dropping when there are too many.
    fn remember(&self, node: &Node) -> u64 {
        let (ino, excess) = {
            let mut inodes = self.inodes.lock();
            (inodes.remember(node), inodes.excess())
        };
        if let Some(kernel) = self.kernel.get() {
            for node in excess {
                let parent = self.inodes.lock().number(&node.parent().identity());
                kernel.drop_entry(parent, OsStr::new(node.name()));
            }
        }
        ino
    }

    /// The one place where a failure becomes an errno. A missing node is an answer, not a failure.
    fn fail(&self, operation: Operation, node: &Node, name: Option<&OsStr>, why: &Error) -> Errno {
        let errno = errno_of(operation, why.kind());
        let path = changes::path_of(node, name);
        let (op, message) = (operation.name(), why.chain());
        match why.kind() {
            ErrorKind::NotFound => {
                debug!(op, path, errno = errno.name(), "{message}");
                return errno;
            }
            ErrorKind::Corrupt | ErrorKind::Io => {
                error!(op, path, errno = errno.name(), "{message}");
            }
            ErrorKind::Deadline | ErrorKind::Network | ErrorKind::NotSignedIn => {
                warn!(op, path, errno = errno.name(), "{message}");
            }
            _ => info!(op, path, errno = errno.name(), "{message}"),
        }
        self.tree.note_error(node, Some(&message));
        self.meter.record_error(&ErrorRecord {
            op,
            path,
            errno: errno.name(),
            message,
        });
        errno
    }
}
