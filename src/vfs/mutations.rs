//! Everything that would change something. This mount changes nothing, so each is `EROFS`; the
//! kernel never retries that, and every tool has a clear sentence for it.

use super::Vfs;
use super::errno::Errno;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Attributes, truncation included.
    Setattr,
    /// A special file.
    Mknod,
    /// A directory.
    Mkdir,
    /// Removal of a file or link.
    Unlink,
    /// Removal of a directory.
    Rmdir,
    /// A symbolic link.
    Symlink,
    /// A new name for a node.
    Rename,
    /// A hard link.
    Link,
    /// A new file.
    Create,
    /// New bytes.
    Write,
    /// Reserved space.
    Fallocate,
    /// An extended attribute.
    Setxattr,
    /// Removal of one.
    Removexattr,
}

impl Vfs {
    /// Refuses a change of the node `ino` or, for names, in the directory `ino`.
    pub fn refuse(&self, mutation: Mutation, ino: u64) -> Errno {
        tracing::debug!(?mutation, ino, "refused: read-only");
        Errno::EROFS
    }
}
