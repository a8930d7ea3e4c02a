//! The one table from what failed to what the caller gets.

use std::fmt;

use crate::model::ErrorKind;
use crate::tree::{Reason, Refused};

/// An error number with its symbolic name. Zero cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "` of errno(3).")]
                pub const $name: Self = Self(libc::$name);
            )*

            /// Symbolic name: `EIO`.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $(libc::$name => stringify!($name),)*
                    _ => "EIO",
                }
            }
        }
    };
}

errnos! {
    EACCES EBADF EBUSY EEXIST EINVAL EIO EISDIR ENODATA ENODEV ENOENT ENOSPC ENOSYS ENOTDIR
    ENOTEMPTY EOPNOTSUPP EPERM ERANGE EROFS ESTALE ETIMEDOUT
}

impl Errno {
    /// The number as the kernel knows it, positive.
    pub fn code(self) -> i32 {
        self.0
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the kernel asked for, as the log and `errors.log` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Resolving one name.
    Lookup,
    /// `stat`.
    Getattr,
    /// Target of a symlink.
    Readlink,
    /// Checking permission.
    Access,
    /// Reading an extended attribute.
    Getxattr,
    /// Naming the extended attributes.
    Listxattr,
    /// Opening a file.
    Open,
    /// Reading a file.
    Read,
    /// Opening a directory.
    Opendir,
    /// Walking a directory.
    Readdir,
    /// Making a file.
    Create,
    /// Writing to a file.
    Write,
    /// Setting attributes, the size among them.
    Setattr,
    /// Closing a descriptor: a save point.
    Flush,
    /// `fsync`: a save point.
    Fsync,
    /// The last close of an open file.
    Release,
    /// Making a directory.
    Mkdir,
    /// Removing a directory.
    Rmdir,
    /// Making a symbolic link.
    Symlink,
    /// Removing a file or a link.
    Unlink,
    /// Giving another name.
    Rename,
}

impl Operation {
    /// Name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Getattr => "getattr",
            Self::Readlink => "readlink",
            Self::Access => "access",
            Self::Getxattr => "getxattr",
            Self::Listxattr => "listxattr",
            Self::Open => "open",
            Self::Read => "read",
            Self::Opendir => "opendir",
            Self::Readdir => "readdir",
            Self::Create => "create",
            Self::Write => "write",
            Self::Setattr => "setattr",
            Self::Flush => "flush",
            Self::Fsync => "fsync",
            Self::Release => "release",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Symlink => "symlink",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
        }
    }
}

/// The errno that `kind` becomes in `operation`.
///
/// Time is the only kind that depends on the operation: programs treat ETIMEDOUT from `read` as
/// something a socket would say and some retry for ever, while a walk that says EIO looks like a
/// broken disk. `Network` is what outlived every retry, so it is EIO everywhere. EAGAIN and ESTALE
/// are never given for a failure of the server: the kernel or the C library would repeat the call.
pub(crate) fn errno_of(operation: Operation, kind: ErrorKind) -> Errno {
    match kind {
        ErrorKind::NotFound => Errno::ENOENT,
        ErrorKind::NotSignedIn | ErrorKind::Forbidden => Errno::EACCES,
        ErrorKind::Deadline | ErrorKind::Offline if operation == Operation::Read => Errno::EIO,
        ErrorKind::Deadline | ErrorKind::Offline => Errno::ETIMEDOUT,
        ErrorKind::Network | ErrorKind::Corrupt | ErrorKind::Io => Errno::EIO,
        ErrorKind::Invalid => Errno::EINVAL,
        ErrorKind::Busy => Errno::EBUSY,
        ErrorKind::Unsupported => Errno::EOPNOTSUPP,
        ErrorKind::NotPermitted => Errno::EPERM,
    }
}

/// The errno of a change that was refused: what POSIX has a word for, else by its kind.
pub(crate) fn errno_of_refusal(operation: Operation, why: &Refused) -> Errno {
    match why.reason {
        Reason::ByKind => errno_of(operation, why.error.kind()),
        Reason::Exists => Errno::EEXIST,
        Reason::NotEmpty => Errno::ENOTEMPTY,
        Reason::NotDirectory => Errno::ENOTDIR,
        Reason::IsDirectory => Errno::EISDIR,
        Reason::ReadOnly => Errno::EROFS,
        Reason::NoSpace => Errno::ENOSPC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_errno_that_the_contract_names() {
        use ErrorKind as K;
        let table = [
            (K::NotFound, "ENOENT", "ENOENT"),
            (K::NotSignedIn, "EACCES", "EACCES"),
            (K::Forbidden, "EACCES", "EACCES"),
            (K::Deadline, "EIO", "ETIMEDOUT"),
            (K::Network, "EIO", "EIO"),
            (K::Invalid, "EINVAL", "EINVAL"),
            (K::Busy, "EBUSY", "EBUSY"),
            (K::Corrupt, "EIO", "EIO"),
            (K::Unsupported, "EOPNOTSUPP", "EOPNOTSUPP"),
            (K::NotPermitted, "EPERM", "EPERM"),
            (K::Offline, "EIO", "ETIMEDOUT"),
            (K::Io, "EIO", "EIO"),
        ];
        for (kind, read, walk) in table {
            assert_eq!(
                errno_of(Operation::Read, kind).name(),
                read,
                "read {kind:?}"
            );
            for operation in [Operation::Lookup, Operation::Readdir, Operation::Open] {
                assert_eq!(
                    errno_of(operation, kind).name(),
                    walk,
                    "{operation:?} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn names_belong_to_the_numbers_of_the_platform() {
        assert_eq!(Errno::EIO.code(), 5);
        assert_eq!(Errno::EOPNOTSUPP.name(), "EOPNOTSUPP");
        assert_eq!(format!("{:?}", Errno::EROFS), "EROFS");
    }
}
