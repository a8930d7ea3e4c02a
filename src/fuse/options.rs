//! What a mount is asked for, and every way in which it can be refused.

use std::io;
use std::path::PathBuf;

/// Options of one mount. What concerns attributes (owner, umask, xattrs) is in
/// [`VfsOptions`](crate::vfs::VfsOptions).
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// An existing directory.
    pub mount_point: PathBuf,
    /// Let the kernel refuse changes (`ro`).
    pub read_only: bool,
    /// Let other users in; the kernel then checks modes (`default_permissions`).
    pub allow_other: bool,
    /// Have the mount removed when this process dies, even by kill -9.
    pub auto_unmount: bool,
    /// Refuse to execute files (`noexec`).
    pub no_exec: bool,
    /// Let the kernel read verified files on disk by itself where it can (Linux 6.9+, privilege).
    pub passthrough: bool,
    /// Tell the kernel once that files and directories need no open. Only for a tree that never
    /// changes and whose sizes and digests are all known; excludes passthrough.
    pub unopened: bool,
    /// Where those files lie: its file system decides how deep the kernel has to stack.
    pub cache_dir: PathBuf,
}

/// Why a mount did not come about. [`MountError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point does not exist.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The mount point.
        path: PathBuf,
    },
    /// The mount point is not a directory.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// Something is mounted there already.
    #[error("{} is busy: a file system of type {kind} is mounted there", path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// Type of what is mounted, as in `/proc/mounts`.
        kind: String,
    },
    /// A mount whose process died is in the way and could not be removed.
    #[error("{} holds a dead mount that could not be removed", path.display())]
    Dead {
        /// The mount point.
        path: PathBuf,
        /// What the kernel or the helper said.
        #[source]
        source: io::Error,
    },
    /// `/dev/fuse` is missing or this user may not open it; the helper cannot help there.
    #[error("/dev/fuse cannot be opened")]
    NoDevice {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// This user may not mount and `fusermount3` is not installed.
    #[error("mounting needs root or the helper fusermount3, which is not installed")]
    NoHelper,
    /// The helper refused.
    #[error("fusermount3 refused: {message}")]
    Helper {
        /// Its words.
        message: String,
    },
    /// The mount point cannot be looked at, or the kernel refused the mount.
    #[error("{}: {action}", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The mount was made but did not answer in time; it was removed again.
    #[error("{} did not answer within {seconds} s", path.display())]
    NotReady {
        /// The mount point.
        path: PathBuf,
        /// How long it was given.
        seconds: u64,
    },
}

impl MountError {
    /// What the person can do about it, one line.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { path } => format!("create it: mkdir -p {}", path.display()),
            Self::NotADirectory { .. } => "name a directory to mount on".into(),
            Self::Busy { path, .. } | Self::Dead { path, .. } => format!(
                "unmount it first: wandbfs unmount {0} (or umount {0})",
                path.display()
            ),
            Self::NoDevice { source } if source.kind() == io::ErrorKind::NotFound => {
                "load the module (modprobe fuse); in a container, pass --device /dev/fuse \
                 --cap-add SYS_ADMIN; without a mount, `wandbfs ls` and `wandbfs cat` work"
                    .into()
            }
            Self::NoDevice { .. } => {
                "let users open it: chmod 0666 /dev/fuse, as root; without a mount, `wandbfs ls` \
                 and `wandbfs cat` work"
                    .into()
            }
            Self::NoHelper => {
                "install fuse3 (apt install fuse3, dnf install fuse3) or run as root; without a \
                 mount, `wandbfs ls` and `wandbfs cat` work"
                    .into()
            }
            Self::Helper { message } if message.contains("user_allow_other") => {
                "add the line user_allow_other to /etc/fuse.conf, or leave --allow-other out".into()
            }
            Self::Helper { .. } | Self::Refused { .. } => {
                "check that you own the directory; `wandbfs doctor` names what is missing".into()
            }
            Self::NotReady { .. } => "try again with WANDBFS_LOG=debug and --foreground".into(),
        }
    }
}
