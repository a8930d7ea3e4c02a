//! What no part of this file system can have, whoever asks.

use super::Vfs;
use super::errno::Errno;
use super::inodes::Known;
use crate::tree::Identity;

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A special file.
    Mknod,
    /// A hard link.
    Link,
    /// Reserved space.
    Fallocate,
    /// An extended attribute.
    Setxattr,
    /// Removal of one.
    Removexattr,
}

impl Vfs {
    /// The errno for a change that is never possible: `EROFS` in content, else what other file
    /// systems say that lack it, so that `cp -p` and editors pass over it.
    pub fn refuse(&self, mutation: Mutation, ino: u64) -> Errno {
        tracing::debug!(?mutation, ino, "refused: there is no such thing here");
        let known = self.inodes.lock().known(ino);
        let content = match known {
            Some(Known::Content { .. }) => true,
            Some(Known::Node(node)) => matches!(node.identity(), Identity::Content { .. }),
            None => false,
        };
        match mutation {
            _ if content || self.options.read_only => Errno::EROFS,
            Mutation::Mknod | Mutation::Link => Errno::EPERM,
            Mutation::Fallocate | Mutation::Setxattr | Mutation::Removexattr => Errno::EOPNOTSUPP,
        }
    }
}
