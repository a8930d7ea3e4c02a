//! Operations on names and nodes: look-up, attributes, links, extended attributes, free space.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::attributes::{Attr, Entry};
use super::errno::{Errno, Operation};
use super::{Vfs, lifetimes};
use crate::model::ErrorKind;
use crate::tree::Kind;

/// Bits of `access(2)`, as in unistd.h.
const WANTS_WRITE: i32 = libc::W_OK;
const WANTS_EXECUTE: i32 = libc::X_OK;

/// Longest file name, as on every local file system.
const NAME_MAX: u32 = 255;

/// Namespace of all extended attributes that there are.
const XATTR_NAMESPACE: &[u8] = b"user.";

/// Free space, in the units of `statvfs(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// Blocks of `frsize` bytes.
    pub blocks: u64,
    /// Free ones.
    pub bfree: u64,
    /// Free ones for ordinary users.
    pub bavail: u64,
    /// Inodes.
    pub files: u64,
    /// Free ones.
    pub ffree: u64,
    /// Preferred size of a request, bytes.
    pub bsize: u32,
    /// Longest name, bytes.
    pub namelen: u32,
    /// Size of a block, bytes.
    pub frsize: u32,
}

impl Vfs {
    /// Resolves one name; raises the lookup count of what it finds. Lists nothing.
    ///
    /// # Errors
    /// Errno by the table of this room; a missing name is an [`Entry::Missing`].
    pub async fn lookup(&self, parent: u64, name: &OsStr) -> Result<Entry, Errno> {
        let directory = self.node(Operation::Lookup, parent).await?;
        if directory.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let fail = |why| self.fail(Operation::Lookup, &directory, Some(name), &why);
        let (found, freshness) = match self.tree.lookup(&directory, name).await {
            Ok(found) => found,
            Err(why) if why.kind() == ErrorKind::NotFound => return Err(Errno::ENOENT),
            Err(why) => return Err(fail(why)),
        };
        let Some(node) = found else {
            return Ok(Entry::Missing {
                ttl: lifetimes::of_missing(freshness),
            });
        };
        let (attributes, kept) = self.tree.attributes(&node).await.map_err(fail)?;
        let ino = self.remember(&node);
        let attr = Attr::new(ino, &attributes, lifetimes::of_present(kept), &self.options);
        let ttl = self.name_ttl(&attr, freshness);
        Ok(Entry::Present { attr, ttl })
    }

    /// The kernel takes back `lookups` of a node.
    pub fn forget(&self, ino: u64, lookups: u64) {
        self.inodes.lock().forget(ino, lookups);
    }

    /// `stat`.
    ///
    /// # Errors
    /// `ESTALE` for a number that the kernel gave back, else by the table.
    pub async fn getattr(&self, ino: u64) -> Result<Attr, Errno> {
        let node = self.node(Operation::Getattr, ino).await?;
        match self.tree.attributes(&node).await {
            Ok((attributes, kept)) => Ok(Attr::new(
                ino,
                &attributes,
                lifetimes::of_present(kept),
                &self.options,
            )),
            Err(why) => Err(self.fail(Operation::Getattr, &node, None, &why)),
        }
    }

    /// Target of a symlink.
    ///
    /// # Errors
    /// `EINVAL` for what is no symlink.
    pub async fn readlink(&self, ino: u64) -> Result<OsString, Errno> {
        let node = self.node(Operation::Readlink, ino).await?;
        if node.kind() != Kind::Symlink {
            return Err(Errno::EINVAL);
        }
        self.tree
            .read_link(&node)
            .map_err(|why| self.fail(Operation::Readlink, &node, None, &why))
    }

    /// `access(2)`, where the kernel does not check modes itself.
    ///
    /// # Errors
    /// `EROFS` for writing what can never be written, `EACCES` for executing a file that has no
    /// such bit.
    pub async fn access(&self, ino: u64, mask: i32) -> Result<(), Errno> {
        let node = self.node(Operation::Access, ino).await?;
        if mask & WANTS_WRITE != 0 {
            let node = self.changeable(Operation::Access, ino).await?;
            if node.kind() == Kind::File && !self.getattr(ino).await?.is_writable_file() {
                return Err(Errno::EROFS);
            }
        }
        // No file of an artifact carries an execute bit: manifests do not record modes.
        if mask & WANTS_EXECUTE != 0 && node.kind() == Kind::File {
            return Err(Errno::EACCES);
        }
        Ok(())
    }

    /// One extended attribute; costs no request.
    ///
    /// # Errors
    /// `ENODATA` where the node has none of that name, `EOPNOTSUPP` where nothing here ever has:
    /// `ls -l` then asks once for a whole file system what it would ask of each file (access
    /// lists, security labels). `ENOSYS` on a mount without any.
    pub async fn getxattr(&self, ino: u64, name: &OsStr) -> Result<Vec<u8>, Errno> {
        if !self.options.xattrs {
            return Err(Errno::ENOSYS);
        }
        if !name.as_bytes().starts_with(XATTR_NAMESPACE) {
            return Err(Errno::EOPNOTSUPP);
        }
        let node = self.node(Operation::Getxattr, ino).await?;
        self.tree.xattr(&node, name).ok_or(Errno::ENODATA)
    }

    /// Names of the extended attributes, each ended by a NUL, as `listxattr(2)` gives them.
    ///
    /// # Errors
    /// `ENOSYS` on a mount without any.
    pub async fn listxattr(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        if !self.options.xattrs {
            return Err(Errno::ENOSYS);
        }
        let node = self.node(Operation::Listxattr, ino).await?;
        let mut names = Vec::new();
        for name in self.tree.xattr_names(&node) {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok(names)
    }

    /// Free space of the disk that holds the cache. Touches a disk, so off the async workers.
    ///
    /// # Errors
    /// `EIO` if no directory on the way to the cache can be asked.
    pub async fn statfs(&self) -> Result<Statfs, Errno> {
        let path = self.options.statfs_path.clone();
        tokio::task::spawn_blocking(move || statfs_of(&path))
            .await
            .ok()
            .flatten()
            .ok_or(Errno::EIO)
    }
}

fn statfs_of(path: &Path) -> Option<Statfs> {
    let found = path
        .ancestors()
        .find_map(|path| rustix::fs::statvfs(path).ok())?;
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Some(Statfs {
        blocks: found.f_blocks,
        bfree: found.f_bfree,
        bavail: found.f_bavail,
        files: found.f_files,
        ffree: found.f_ffree,
        bsize: narrow(found.f_bsize),
        namelen: NAME_MAX,
        frsize: narrow(found.f_frsize),
    })
}
