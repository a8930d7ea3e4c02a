//! What a mount wants its nodes to look like.

use std::path::PathBuf;

/// Options of the file system, whatever kernel it is mounted on.
#[derive(Debug, Clone)]
pub struct VfsOptions {
    /// Owner of every node.
    pub uid: u32,
    /// Group of every node.
    pub gid: u32,
    /// Permission bits to take away.
    pub umask: u16,
    /// Refuses every change and shows writable files as read-only.
    pub read_only: bool,
    /// Lets a process remove what it has listed itself.
    pub allow_recursive_delete: bool,
    /// Serves extended attributes; without, the kernel is told once that there are none.
    pub xattrs: bool,
    /// A path on the disk whose free space `statfs` reports: the cache directory. It need not exist
    /// yet; the nearest directory above it then serves.
    pub statfs_path: PathBuf,
}
