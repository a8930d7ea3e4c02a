//! What was handed out of each metadata file: the text that an edit started from.
//!
//! A person reads a file, thinks, and writes it back; meanwhile somebody else may have changed other
//! fields. What differs is what the person changed of the text *they saw*, so the newest different
//! texts that left this mount are kept for each file.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::node::Identity;
use super::place::Node;

/// Files remembered; about 10 KB each with usual metadata.
const FILES: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// Texts remembered of one file: an editor's, and those of who looked meanwhile.
const TEXTS: usize = 4;

/// A text as an object.
pub(crate) type Reading = Arc<Map<String, Value>>;

/// Texts by file.
pub(crate) struct Readings(Mutex<LruCache<Identity, Vec<Reading>>>);

impl Default for Readings {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FILES)))
    }
}

impl Readings {
    /// Notes that a text was handed out.
    pub(crate) fn note(&self, file: &Node, text: &Value) {
        let Value::Object(text) = text else {
            return;
        };
        if !file.is_writable_metadata() {
            return;
        }
        let mut files = self.0.lock();
        let texts = files.get_or_insert_mut(file.identity(), Vec::new);
        texts.retain(|known| **known != *text);
        texts.insert(0, Arc::new(text.clone()));
        texts.truncate(TEXTS);
    }

    /// The texts of a file, newest first.
    pub(crate) fn of(&self, file: &Node) -> Vec<Reading> {
        self.0
            .lock()
            .get(&file.identity())
            .cloned()
            .unwrap_or_default()
    }

    /// Forgets the texts of a file, after a save or when the person was told that they are old.
    pub(crate) fn forget(&self, file: &Node) {
        self.0.lock().pop(&file.identity());
    }
}
