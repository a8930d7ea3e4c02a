//! From the nouns of `vfs` to those of the crate.

use std::time::Duration;

use fuser::{FileAttr, FileType, FopenFlags, INodeNo};

use crate::tree::Kind;
use crate::vfs::{Attr, Errno};

/// Preferred size of a request that `stat` names: one request of the kernel carries up to 1 MiB,
/// and tools that go by this value (`cp`, `cat`) then read in such pieces.
const BLOCK_SIZE: u32 = 1 << 20;

/// Unit of `st_blocks`, whatever `st_blksize` says.
const SECTOR: u64 = 512;

pub(crate) fn errno(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.code())
}

pub(crate) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Symlink => FileType::Symlink,
    }
}

pub(crate) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        blocks: attr.size.div_ceil(SECTOR),
        atime: attr.mtime,
        mtime: attr.mtime,
        ctime: attr.mtime,
        crtime: attr.mtime,
        kind: file_type(attr.kind),
        perm: attr.mode,
        // Of a directory, "unknown" to `find`: it then does not count on it.
        nlink: 1,
        uid: attr.uid,
        gid: attr.gid,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

/// What the kernel takes for "there is no such name, remember that".
pub(crate) fn negative_entry() -> FileAttr {
    file_attr(&Attr {
        ino: 0,
        kind: Kind::File,
        size: 0,
        mode: 0,
        mtime: std::time::SystemTime::UNIX_EPOCH,
        uid: 0,
        gid: 0,
        ttl: Duration::ZERO,
    })
}

/// Flags of an opened directory. The kernel drops a cached listing at each open unless told to
/// keep it.
pub(crate) fn directory_flags(immutable: bool) -> FopenFlags {
    if immutable {
        FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE
    } else {
        FopenFlags::empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_the_size() {
        for (size, blocks) in [(0, 0), (1, 1), (512, 1), (513, 2), (64 << 20, 131_072)] {
            let mut attr = Attr {
                ino: 2,
                kind: Kind::File,
                size,
                mode: 0o444,
                mtime: std::time::SystemTime::UNIX_EPOCH,
                uid: 0,
                gid: 0,
                ttl: Duration::ZERO,
            };
            assert_eq!(file_attr(&attr).blocks, blocks);
            attr.kind = Kind::Directory;
            assert_eq!(file_attr(&attr).nlink, 1);
        }
    }
}
