//! What is likely to be opened after a file: the stored files behind it in listing order, and those
//! around it.

use std::sync::Arc;

use super::ContentTree;
use crate::model::{Content, Origin, Seat, Upcoming};
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

impl Following {
    /// The contents that follow with their numbers, as far as `wanted` takes them.
    fn walk<T>(&self, count: usize, wanted: impl Fn(u32) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        let mut at = self.after;
        for _ in 0..count.saturating_mul(STEPS_PER_CONTENT) {
            let Some(next) = self.tree.successor(at) else {
                break;
            };
            at = next;
            if let Some(item) = wanted(at) {
                found.push(item);
                if found.len() == count {
                    break;
                }
            }
        }
        found
    }

    fn stored_content(&self, number: u32) -> Option<Content> {
        let content = self.tree.content(number, &self.version);
        content.filter(|content| matches!(content.origin, Origin::Stored(_)))
    }
}

impl Upcoming for Following {
    fn next(&self, count: usize) -> Vec<Content> {
        self.walk(count, |number| self.stored_content(number))
    }

    fn seat(&self) -> Option<Seat> {
        Some(Seat {
            number: self.after,
            directory: self.tree.children(self.tree.parent(self.after)),
            end: self.tree.len(),
        })
    }

    fn following(&self, count: usize) -> Vec<u32> {
        self.walk(count, |number| {
            (!self.tree.is_directory(number)).then_some(number)
        })
    }

    fn stored(&self, number: u32) -> Option<(Content, Arc<dyn Upcoming>)> {
        let content = self.stored_content(number)?;
        let upcoming = Following {
            tree: Arc::clone(&self.tree),
            version: Arc::clone(&self.version),
            after: number,
        };
        Some((content, Arc::new(upcoming)))
    }
}
