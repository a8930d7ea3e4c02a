//! What each directory of the mount is: one small module per level, names and their escaping,
//! metadata files, the content tree of a manifest.
//!
//! Async, pure of kernel and of HTTP: it talks to the world through [`Hub`](crate::model::Hub) and
//! [`Blobs`](crate::model::Blobs) only.

mod node;

pub use node::{Attributes, Child, Freshness, Identity, Kind, Listing, Opened};

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::model::{Blobs, Error, Hub};

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Node;

/// The tree.
pub struct Tree;

impl Tree {
    /// A tree.
    pub fn new(_hub: Arc<dyn Hub>, _blobs: Arc<dyn Blobs>) -> Self {
        Self
    }
    /// Resolves the root.
    pub async fn root(&self) -> Result<Node, Error> {
        Ok(Node)
    }
    /// One name.
    pub async fn lookup(
        &self,
        _dir: &Node,
        _name: &OsStr,
    ) -> Result<(Option<Node>, Freshness), Error> {
        Ok((None, Freshness::Immutable))
    }
    /// A walk.
    pub fn list(&self, _dir: &Node) -> Result<Box<dyn Listing>, Error> {
        Err(Error::new(crate::model::ErrorKind::NotFound, "", ""))
    }
    /// Attributes.
    pub async fn attributes(&self, _node: &Node) -> Result<(Attributes, Freshness), Error> {
        Err(Error::new(crate::model::ErrorKind::NotFound, "", ""))
    }
    /// Target of a symlink.
    pub fn read_link(&self, _node: &Node) -> Result<OsString, Error> {
        Ok(OsString::new())
    }
    /// Opens a regular file.
    pub async fn open(&self, _node: &Node) -> Result<Opened, Error> {
        Err(Error::new(crate::model::ErrorKind::NotFound, "", ""))
    }
    /// Names of extended attributes; no request.
    pub fn xattr_names(&self, _node: &Node) -> Vec<&'static str> {
        Vec::new()
    }
    /// One extended attribute; no request.
    pub fn xattr(&self, _node: &Node, _name: &OsStr) -> Option<Vec<u8>> {
        None
    }
}

impl Node {
    /// Identity.
    pub fn identity(&self) -> Identity {
        Identity::Named("".into())
    }
    /// Kind.
    pub fn kind(&self) -> Kind {
        Kind::Directory
    }
    /// The directory above; itself for the root.
    pub fn parent(&self) -> Node {
        Node
    }
    /// Path relative to the mount point, for logs.
    pub fn path(&self) -> String {
        String::new()
    }
}
