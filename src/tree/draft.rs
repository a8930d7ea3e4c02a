//! Texts being written: one draft for each file that is open for writing, shared by all its handles.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::change::Refused;
use super::node::Identity;
use super::overlay::Buffer;
use super::place::Node;

/// An open text. A metadata file's is saved by [`Tree::save`](super::Tree::save); a file in memory
/// is its own text.
pub struct Draft {
    /// The file.
    pub(crate) file: Node,
    /// What is typed.
    pub(crate) buffer: Arc<Buffer>,
    /// What the file said when it was opened; none for files in memory.
    pub(crate) base: Mutex<Option<Map<String, Value>>>,
    /// One save at a time, the next one seeing what the last one did.
    pub(crate) saving: tokio::sync::Mutex<()>,
    /// The generation that is saved, or that the open started with.
    pub(crate) saved: AtomicU64,
    /// Whether a byte was ever written: an emptied file alone is no text.
    pub(crate) written: AtomicBool,
    /// The generation that was rejected, and why.
    pub(crate) rejected: Mutex<Option<(u64, Refused)>>,
}

impl Draft {
    /// A draft that starts with what `buffer` holds.
    pub(crate) fn new(file: Node, buffer: Arc<Buffer>, base: Option<Map<String, Value>>) -> Self {
        Self {
            file,
            saved: AtomicU64::new(buffer.generation()),
            buffer,
            base: Mutex::new(base),
            saving: tokio::sync::Mutex::new(()),
            written: AtomicBool::new(false),
            rejected: Mutex::new(None),
        }
    }

    /// The file that is written.
    pub fn file(&self) -> &Node {
        &self.file
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty)] // a length for `stat`
    pub fn len(&self) -> u64 {
        self.buffer.len()
    }

    /// Bytes `offset .. offset + length`, shorter only at the end.
    pub fn read_at(&self, offset: u64, length: u32) -> Bytes {
        self.buffer.read_at(offset, length)
    }

    /// Writes bytes; a gap before them is filled with zeros.
    ///
    /// # Errors
    /// [`Reason::NoSpace`](super::Reason::NoSpace).
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Refused> {
        self.buffer.write_at(offset, bytes)?;
        self.written.store(true, Ordering::Release);
        Ok(())
    }

    /// Cuts or extends the text.
    ///
    /// # Errors
    /// [`Reason::NoSpace`](super::Reason::NoSpace).
    pub fn set_len(&self, length: u64) -> Result<(), Refused> {
        self.buffer.set_len(length)
    }

    /// When it was last written.
    pub(crate) fn mtime(&self) -> SystemTime {
        self.buffer.mtime()
    }

    /// Whether there is a text that no save has taken yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.base.lock().is_some()
            && self.written.load(Ordering::Acquire)
            && self.buffer.generation() != self.saved.load(Ordering::Acquire)
    }
}

/// The open drafts; as many as files are open for writing.
#[derive(Default)]
pub(crate) struct Drafts(Mutex<HashMap<Identity, (Arc<Draft>, usize)>>);

impl Drafts {
    /// The draft of a file that is open already.
    pub(crate) fn of(&self, file: &Node) -> Option<Arc<Draft>> {
        let drafts = self.0.lock();
        if drafts.is_empty() {
            return None;
        }
        drafts.get(&file.identity()).map(|(draft, _)| draft.clone())
    }

    /// One more handle of a file, whose draft is `make`'s if it is the first.
    pub(crate) fn open(&self, file: &Node, make: impl FnOnce() -> Arc<Draft>) -> Arc<Draft> {
        let mut drafts = self.0.lock();
        let (draft, handles) = drafts.entry(file.identity()).or_insert_with(|| (make(), 0));
        *handles += 1;
        draft.clone()
    }

    /// One handle less; whether it was the last one.
    pub(crate) fn close(&self, draft: &Arc<Draft>) -> bool {
        let mut drafts = self.0.lock();
        let identity = draft.file.identity();
        let Some((known, handles)) = drafts.get_mut(&identity) else {
            return false;
        };
        if !Arc::ptr_eq(known, draft) {
            return false;
        }
        *handles -= 1;
        let last = *handles == 0;
        if last {
            drafts.remove(&identity);
        }
        last
    }
}
