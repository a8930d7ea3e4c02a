//! The promises of the tree, against a world in memory that counts.

#![allow(clippy::unwrap_used)]

mod budget;
mod editing;
mod listing;
mod naming;
mod reading;
mod roots;
mod verbs;
mod views;

use std::ffi::OsStr;

use super::testing::World;
use super::{Kind, Listing, Node, Tree, TreeOptions};

/// Walks down from the root like the kernel: a lookup and the attributes of each component.
pub(crate) async fn stat(tree: &Tree, path: &str) -> Option<Node> {
    let mut node = tree.root().await.unwrap();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        node = tree.lookup(&node, OsStr::new(name)).await.unwrap().0?;
        tree.attributes(&node).await.unwrap();
    }
    Some(node)
}

/// Every page of a listing.
pub(crate) async fn names(mut listing: Box<dyn Listing>) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    while let Some(page) = listing.next_page().await.unwrap() {
        let name = |child: &super::Child| child.name.to_str().unwrap().to_owned();
        pages.push(page.iter().map(name).collect());
    }
    pages
}

/// The text of a snapshot file.
pub(crate) async fn text(tree: &Tree, node: &Node) -> String {
    match tree.open(node).await.unwrap() {
        super::Opened::Snapshot { bytes, .. } => String::from_utf8(bytes.to_vec()).unwrap(),
        super::Opened::Blob { blob, .. } => {
            let bytes = blob.read_at(0, 1 << 20).await.unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        }
    }
}
