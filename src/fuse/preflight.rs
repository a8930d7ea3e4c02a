//! What is looked at before mounting, so that a refusal names the thing that is missing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::mount_table::{self, topmost};
use super::options::MountError;

/// The device that connects a daemon to the kernel.
pub(crate) const DEVICE: &str = "/dev/fuse";

/// The helper that mounts for ordinary users.
const HELPER: &str = "fusermount3";

/// Where the helper is when PATH does not say: daemons often run with a short one.
const HELPER_FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// How long a mount that is in the way may take to say that it lives.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this machine offers for mounting.
#[derive(Debug)]
pub struct Prerequisites {
    /// Whether `/dev/fuse` opens, or why not.
    pub device: io::Result<()>,
    /// Path of `fusermount3`.
    pub helper: Option<PathBuf>,
    /// Whether this process is root.
    pub root: bool,
}

impl Prerequisites {
    /// Looks. Mounts nothing.
    pub fn probe() -> Self {
        Self {
            device: open_device().map(drop),
            helper: helper(),
            root: rustix::process::geteuid().is_root(),
        }
    }
}

/// The canonical mount point, if one can mount there. A dead mount of ours (its process was killed)
/// is removed first.
///
/// # Errors
/// [`MountError::Missing`], [`NotADirectory`](MountError::NotADirectory),
/// [`Busy`](MountError::Busy), [`Dead`](MountError::Dead), [`Refused`](MountError::Refused).
pub fn check_mount_point(path: &Path) -> Result<PathBuf, MountError> {
    let refused = |action| {
        move |source| MountError::Refused {
            path: path.to_owned(),
            action,
            source,
        }
    };
    // The last component is not followed: a dead mount cannot even be looked at.
    if let Ok(absolute) = absolute(path) {
        remove_dead_mount(&absolute)?;
    }
    let canonical = match path.canonicalize() {
        Ok(canonical) => canonical,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return Err(MountError::Missing {
                path: path.to_owned(),
            });
        }
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => {
            return Err(MountError::NotADirectory {
                path: path.to_owned(),
            });
        }
        Err(why) => return Err(refused("cannot be looked at")(why)),
    };
    let metadata = canonical
        .metadata()
        .map_err(refused("cannot be looked at"))?;
    if !metadata.is_dir() {
        return Err(MountError::NotADirectory { path: canonical });
    }
    match topmost(&canonical).map_err(refused("the mount table cannot be read"))? {
        Some(entry) => Err(MountError::Busy {
            path: canonical,
            kind: entry.kind,
        }),
        None => Ok(canonical),
    }
}

fn remove_dead_mount(absolute: &Path) -> Result<(), MountError> {
    let Ok(Some(entry)) = topmost(absolute) else {
        return Ok(());
    };
    if !entry.is_ours() || ask(absolute, PATIENCE) != Some(Err(Errno::NOTCONN)) {
        return Ok(());
    }
    tracing::info!(mount_point = %absolute.display(), "removing a dead mount");
    mount_table::unmount_entry(&entry).map_err(|source| MountError::Dead {
        path: absolute.to_owned(),
        source,
    })
}

/// Asks a mount whether it answers; `None` if it does not within `patience`.
///
/// By `statfs`, which the kernel never answers from memory: the root of a dead mount still has its
/// attributes while their lifetime lasts. From a thread of its own, because a mount that hangs holds
/// whoever asks.
pub(crate) fn ask(mount_point: &Path, patience: Duration) -> Option<Result<(), Errno>> {
    let (tell, answer) = mpsc::channel();
    let path = mount_point.to_owned();
    thread::Builder::new()
        .name("wandbfs-ask".into())
        .spawn(move || {
            let _nobody_may_wait = tell.send(rustix::fs::statvfs(&path).map(drop));
        })
        .ok()?;
    answer.recv_timeout(patience).ok()
}

/// The path as the mount table writes it, without touching what is mounted there.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let plain = parent.canonicalize()?.join(name);
            let is_link = std::fs::symlink_metadata(&plain).is_ok_and(|m| m.is_symlink());
            if is_link {
                plain.canonicalize()
            } else {
                Ok(plain)
            }
        }
        // The root, or something that ends in `..`.
        _ => path.canonicalize(),
    }
}

/// Opens the device, close-on-exec.
pub(crate) fn open_device() -> io::Result<File> {
    File::options().read(true).write(true).open(DEVICE)
}

/// The mount helper, if it is installed.
pub(crate) fn helper() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(HELPER_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(HELPER))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_bad_mount_point_has_its_own_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let missing = check_mount_point(&dir.path().join("missing"));
        assert!(matches!(missing, Err(MountError::Missing { .. })));
        let not_a_directory = check_mount_point(&file);
        assert!(matches!(
            not_a_directory,
            Err(MountError::NotADirectory { .. })
        ));
        let below_a_file = check_mount_point(&file.join("x"));
        assert!(matches!(
            below_a_file,
            Err(MountError::NotADirectory { .. })
        ));
        let busy = check_mount_point(Path::new("/proc"));
        assert!(matches!(busy, Err(MountError::Busy { kind, .. }) if kind == "proc"));
    }

    #[test]
    fn a_good_mount_point_comes_back_canonical() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let expected = dir.path().canonicalize().unwrap().join("real");
        assert_eq!(check_mount_point(&link).unwrap(), expected);
    }
}
