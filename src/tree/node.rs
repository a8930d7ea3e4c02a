//! The shapes through which `vfs` sees the tree.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use super::Node;
use crate::model::{Error, OpenBlob};

/// What a node is to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
}

/// Attributes of a node, before owner and umask of the mount are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Kind.
    pub kind: Kind,
    /// Bytes; exact for every regular file, except a reference of unknown size (0).
    pub size: u64,
    /// Permission bits: 0755, 0444, 0644 or 0777 for links.
    pub mode: u16,
    /// Updated time of mutable nodes, created time of versions and their content.
    pub mtime: SystemTime,
}

/// What makes a node the same node at the next lookup: the key of the inode table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Anything above a version's content. The text is unique in the mount; an alias has its target
    /// in it, so that the kernel's symlink cache never keeps an old one.
    Named(Arc<str>),
    /// Entry `index` of the content of the version whose text this is. Computed inodes: no table
    /// ever holds one item per file.
    Content {
        /// Unique text of the version.
        version: Arc<str>,
        /// Number of the node in its content tree, the `files` directory itself being 0. The same
        /// for the same manifest in every process.
        index: u32,
    },
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Below a committed version: for ever.
    Immutable,
    /// What is left of the mount's TTL since the server was asked.
    For(Duration),
}

/// One name in a directory.
#[derive(Debug, Clone)]
pub struct Child {
    /// File name, escaped.
    pub name: OsString,
    /// The node.
    pub node: Node,
}

/// A walk through one directory, page by page; it holds its place, so the walk is linear.
#[async_trait]
pub trait Listing: Send {
    /// The next page; `None` at the end. Never an empty page. The first page comes as soon as it
    /// is here, whatever the second one does.
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error>;
}

/// An opened regular file.
#[derive(Clone)]
pub enum Opened {
    /// Bytes of this moment: metadata files, README, state of the mount.
    Snapshot {
        /// The bytes.
        bytes: Bytes,
        /// Whether the next open may give others: read past the page cache, which all opens share,
        /// so that each goes on with what it was given, whatever size `stat` gave.
        volatile: bool,
    },
    /// Immutable content.
    Blob {
        /// The open content.
        blob: Arc<dyn OpenBlob>,
        /// Whether `stat` could not know the size (references): read past the page cache.
        size_unknown: bool,
    },
}
