//! What Unix verbs do to the server: removing, making, linking, renaming.
//!
//! Each first looks at what is there, refuses what makes no sense or is not allowed here, asks the
//! server for its present state of what is to be changed, and then sends one change. Whatever this
//! changed is forgotten, so that the mount sees it at once; what the kernel keeps is named in
//! [`Changes`](super::Changes).

mod link;
mod make;
mod remove;
mod rename;

use std::ffi::OsStr;
use std::sync::Arc;

use super::change::{Refused, forbid};
use super::place::Node;
use super::shared::Shared;
use super::{Tree, lookup};
use crate::model::{Error, ErrorKind};

/// Path of a name in a directory, for sentences.
pub(crate) fn path_of(dir: &Node, name: &OsStr) -> String {
    let (dir, name) = (dir.path(), name.to_string_lossy());
    match dir.as_str() {
        "" => name.into_owned(),
        _ => format!("{dir}/{name}"),
    }
}

/// What is there under a name.
async fn existing(shared: &Arc<Shared>, dir: &Node, name: &OsStr) -> Result<Node, Refused> {
    let found = lookup(shared, dir, name).await?.0;
    found.ok_or_else(|| missing(dir, name))
}

fn missing(dir: &Node, name: &OsStr) -> Refused {
    Error::new(ErrorKind::NotFound, path_of(dir, name), "it is not there").into()
}

impl Shared {
    /// Refuses deletions where the mount was told to.
    pub(crate) fn deletable(&self, node: &Node) -> Result<(), Refused> {
        match self.options.no_delete {
            true => Err(forbid(
                node.path(),
                "this mount deletes nothing (--no-delete)",
            )),
            false => Ok(()),
        }
    }
}

impl Tree {
    /// The root, which every verb that follows a path starts from.
    async fn top(&self) -> Result<Node, Error> {
        Ok(self.rooted().await?.0.clone())
    }
}
