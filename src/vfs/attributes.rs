//! What the kernel is told about a node.

use std::time::{Duration, SystemTime};

use super::options::VfsOptions;
use crate::tree::{Attributes, Kind};

/// Bits that let somebody write.
const WRITE_BITS: u16 = 0o222;

/// Attributes with the owner and the umask of the mount applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: u64,
    /// Kind.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u16,
    /// Time of the last change; stands for access and change time, too.
    pub mtime: SystemTime,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How long the kernel may keep this.
    pub ttl: Duration,
}

impl Attr {
    pub(crate) fn new(
        ino: u64,
        attributes: &Attributes,
        ttl: Duration,
        options: &VfsOptions,
    ) -> Self {
        let mut mode = attributes.mode;
        if attributes.kind != Kind::Symlink {
            mode &= !options.umask;
        }
        if attributes.kind == Kind::File && options.read_only {
            mode &= !WRITE_BITS;
        }
        // What can be written here can change at once, and no notification reaches the kernel
        // before the answer to the rename that did it.
        let writable = attributes.kind == Kind::File && mode & WRITE_BITS != 0;
        let ttl = if writable { Duration::ZERO } else { ttl };
        Self {
            ino,
            kind: attributes.kind,
            size: attributes.size,
            mode,
            mtime: attributes.mtime,
            uid: options.uid,
            gid: options.gid,
            ttl,
        }
    }

    /// Whether it is a file that somebody can write.
    pub(crate) fn is_writable_file(&self) -> bool {
        self.kind == Kind::File && self.mode & WRITE_BITS != 0
    }

    /// Attributes for a place in a listing whose real ones are not known: never kept.
    pub(crate) fn placeholder(ino: u64, kind: Kind, options: &VfsOptions) -> Self {
        let mode = if kind == Kind::File { 0o444 } else { 0o755 };
        let attributes = Attributes {
            kind,
            size: 0,
            mode,
            mtime: SystemTime::UNIX_EPOCH,
        };
        Self::new(ino, &attributes, Duration::ZERO, options)
    }
}

/// The answer to a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The name exists; the kernel's lookup count was raised.
    Present {
        /// Attributes of the node.
        attr: Attr,
        /// How long the kernel may keep the name.
        ttl: Duration,
    },
    /// The name does not exist.
    Missing {
        /// How long the kernel may keep that.
        ttl: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(mode: u16, kind: Kind, umask: u16, read_only: bool) -> u16 {
        let options = VfsOptions {
            uid: 1,
            gid: 2,
            umask,
            read_only,
            allow_recursive_delete: false,
            xattrs: true,
            statfs_path: "/".into(),
        };
        let attributes = Attributes {
            kind,
            size: 0,
            mode,
            mtime: SystemTime::UNIX_EPOCH,
        };
        Attr::new(9, &attributes, Duration::ZERO, &options).mode
    }

    #[test]
    fn umask_takes_bits_from_everything_but_links() {
        assert_eq!(mode(0o755, Kind::Directory, 0o027, false), 0o750);
        assert_eq!(mode(0o444, Kind::File, 0o077, false), 0o400);
        assert_eq!(mode(0o777, Kind::Symlink, 0o077, false), 0o777);
    }

    #[test]
    fn a_read_only_mount_has_no_writable_files() {
        assert_eq!(mode(0o644, Kind::File, 0, true), 0o444);
        assert_eq!(mode(0o644, Kind::File, 0, false), 0o644);
        assert_eq!(mode(0o755, Kind::Directory, 0, true), 0o755);
    }
}
