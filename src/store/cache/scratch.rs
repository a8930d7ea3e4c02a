//! Files being filled, and how they get a name.
//!
//! What makes it hard, and the answer:
//! 1. kill -9 must leave nothing wrong: the file has no name (`O_TMPFILE`) until its content is
//!    complete and verified, so the kernel frees it with the process. A restart begins anew.
//! 2. Some file systems know no such files (NFS, 9p, older overlays): there the file has a name
//!    below `partial/` and an advisory lock that dies with its process; [`sweep`] removes what is
//!    not locked.
//! 3. Modes follow the umask without asking for it, because the kernel applies it at creation.
//!    The owner is that of the cache directory, when a mount of root fills a user's cache.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags};
use rustix::io::Errno;

use super::disk::{Disk, full};

/// A file being filled. Dropping it frees its space.
pub(crate) struct Scratch {
    file: Arc<File>,
    /// Its name where the file system has no nameless files.
    named: Option<Named>,
    /// Whether it lies on the cache's file system, so that it can get a name there.
    inside: bool,
}

/// Removes a name when dropped; gone already is fine.
struct Named(PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// A file in the cache.
pub(super) fn create(root: &Path) -> io::Result<Scratch> {
    let dir = root.join("wandbfs/partial");
    let nameless = nameless(&dir).or_else(|cause| match cause.kind() {
        io::ErrorKind::NotFound => make_dirs(root, &dir).and_then(|()| nameless(&dir)),
        _ => Err(cause),
    });
    match nameless {
        Ok(file) => Ok(Scratch {
            file: Arc::new(file),
            named: None,
            inside: true,
        }),
        Err(cause) if unsupported(&cause) => named(&dir),
        Err(cause) => Err(cause),
    }
}

/// A file that can never get a name in the cache, in the directory for temporary files, if `size`
/// bytes fit there.
pub(super) fn create_elsewhere(size: u64) -> io::Result<Scratch> {
    if Disk::of(&std::env::temp_dir())?.short_of(size) > 0 {
        return Err(full());
    }
    Ok(Scratch {
        file: Arc::new(tempfile::tempfile()?),
        named: None,
        inside: false,
    })
}

fn nameless(dir: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::TMPFILE.bits().cast_signed())
        .mode(0o666)
        .open(dir)
}

fn named(dir: &Path) -> io::Result<Scratch> {
    loop {
        let path = dir.join(format!("{:032x}", rand::random::<u128>()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o666)
            .open(&path)?;
        let named = Some(Named(path));
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // A sweep may have seen it before the lock was there.
        if file.metadata()?.nlink() > 0 {
            return Ok(Scratch {
                file: Arc::new(file),
                named,
                inside: true,
            });
        }
    }
}

fn unsupported(cause: &io::Error) -> bool {
    let errno = Errno::from_io_error(cause);
    matches!(
        errno,
        Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT)
    )
}

impl Scratch {
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Writes at a position; holes read as zeros and cost nothing.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Whether it lies on the cache's file system.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    /// The same file, opened for reading only.
    pub(super) fn reopen(&self) -> io::Result<File> {
        File::open(own_path(&self.file))
    }

    /// As root, gives the file to the owner of the cache directory.
    pub(super) fn adopt_owner(&self, root: &Path) -> io::Result<()> {
        adopt_owner(&self.file, root)
    }

    /// Gives the content its name at once. False when a content of the right size has it already.
    pub(super) fn name(&self, path: &Path, size: u64) -> io::Result<bool> {
        if !self.inside {
            return Err(Errno::XDEV.into());
        }
        if self.named.is_none() && self.link(path)? {
            return Ok(true);
        }
        let settled = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == size);
        if settled {
            return Ok(false);
        }
        if let Some(named) = &self.named {
            std::fs::rename(&named.0, path)?;
            return Ok(true);
        }
        // Something of another size is in the way: replace it in one step.
        let aside = path.with_extension(format!("{:016x}", rand::random::<u64>()));
        if !self.link(&aside)? {
            return Err(Errno::EXIST.into());
        }
        let aside = Named(aside);
        std::fs::rename(&aside.0, path)?;
        Ok(true)
    }

    /// False when the name is taken.
    fn link(&self, path: &Path) -> io::Result<bool> {
        let own = own_path(&self.file);
        match rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// Path by which the kernel reaches an open file that has no name.
fn own_path(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// As root, gives a file to the owner of the cache directory.
pub(super) fn adopt_owner(file: &File, root: &Path) -> io::Result<()> {
    match foreign_owner(root)? {
        Some((uid, gid)) => std::os::unix::fs::fchown(file, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Owner of the cache directory, where this process is root and it is someone else's.
fn foreign_owner(root: &Path) -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let meta = std::fs::metadata(root)?;
    let owner = (meta.uid(), meta.gid());
    Ok((owner != (0, 0)).then_some(owner))
}

/// Does what needs the directory of a file, and does it again with that where it was missing: nearly
/// always it is there, and looking first would be half of the work.
pub(super) fn with_parent<T>(
    root: &Path,
    path: &Path,
    work: impl Fn() -> io::Result<T>,
) -> io::Result<T> {
    match work() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), |dir| make_dirs(root, dir))?;
            work()
        }
        done => done,
    }
}

/// Makes a directory, and those above it, with the owner of the cache directory.
fn make_dirs(root: &Path, dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(root)?;
    let owner = foreign_owner(root)?;
    let below: Vec<&Path> = dir.ancestors().take_while(|up| *up != root).collect();
    for dir in below.into_iter().rev() {
        match DirBuilder::new().mode(0o777).create(dir) {
            Ok(()) => {
                if let Some((uid, gid)) = owner {
                    std::os::unix::fs::chown(dir, Some(uid), Some(gid))?;
                }
            }
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// Removes named files whose process is gone.
pub(super) fn sweep(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root.join("wandbfs/partial")) else {
        return; // no directory, nothing left behind
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _gone = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_has_no_name_until_it_is_given_one_and_then_all_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = create(dir.path()).unwrap();
        scratch.write_at(b"hello", 0).unwrap();
        let path = dir.path().join("blob");
        assert!(!path.exists());
        assert!(scratch.name(&path, 5).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"hello");
        let second = create(dir.path()).unwrap();
        assert!(!second.name(&path, 5).unwrap(), "the right size is settled");
        std::fs::write(&path, "x").unwrap();
        second.write_at(b"world", 0).unwrap();
        assert!(second.name(&path, 5).unwrap(), "another size is replaced");
        assert_eq!(std::fs::read(&path).unwrap(), b"world");
    }

    #[test]
    fn named_files_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("wandbfs/partial");
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join("dead"), "x").unwrap();
        let living = named(&partial).unwrap();
        sweep(dir.path());
        let left: Vec<_> = std::fs::read_dir(&partial).unwrap().collect();
        assert_eq!(left.len(), 1);
        let path = dir.path().join("blob");
        living.write_at(b"ok", 0).unwrap();
        assert!(living.name(&path, 2).unwrap());
        drop(living);
        assert_eq!(std::fs::read(&path).unwrap(), b"ok");
    }
}
