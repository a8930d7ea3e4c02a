//! What is likely to be opened after a file: the stored files behind it, in listing order.

use std::sync::Arc;

use super::ContentTree;
use crate::model::{Content, Origin, Upcoming};
use crate::tree::version::VersionDir;

/// Nodes looked at per wanted content, so that a run of a million references costs no second.
const STEPS_PER_CONTENT: usize = 16;

/// The followers of one file.
pub(crate) struct Following {
    /// The tree.
    pub(crate) tree: Arc<ContentTree>,
    /// The version it is reached through.
    pub(crate) version: Arc<VersionDir>,
    /// The file.
    pub(crate) after: u32,
}

impl Upcoming for Following {
    fn next(&self, count: usize) -> Vec<Content> {
        let mut found = Vec::new();
        let mut at = self.after;
        for _ in 0..count.saturating_mul(STEPS_PER_CONTENT) {
            let Some(next) = self.tree.successor(at) else {
                break;
            };
            at = next;
            if let Some(content) = self.tree.content(at, &self.version)
                && matches!(content.origin, Origin::Stored(_))
            {
                found.push(content);
                if found.len() == count {
                    break;
                }
            }
        }
        found
    }
}
