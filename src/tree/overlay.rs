//! What lies beside the metadata files in memory only: editors' temporary, backup and swap files,
//! their lock links, the temporary link of `ln -sfn`, rejected texts. It vanishes with the mount.
//!
//! The server is never told of it. Bounded: 64 MiB of text ([`TOTAL_BYTES`]) and 4,096 nodes
//! ([`MAX_NODES`]); what is beyond is refused, because throwing something away that a person typed
//! is worse.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;

use super::change::{Reason, Refused, refuse};
use super::names::MAX_NAME_BYTES;
use super::node::Identity;
use super::place::{Node, Place};
use crate::model::ErrorKind;

/// Bytes of all texts in memory: hundreds of the largest metadata that the service takes.
const TOTAL_BYTES: usize = 64 << 20;

/// Bytes of one text, so that one runaway program does not take all.
const FILE_BYTES: usize = 16 << 20;

/// Nodes in memory, about 300 bytes each without their texts.
const MAX_NODES: usize = 4096;

/// How long a metadata file stays away that somebody removed to write it anew: tools do both at
/// once, and a plain `rm` should not look as if it had done something to the server.
const HIDDEN_FOR: Duration = Duration::from_secs(5);

/// Permission bits of a file nobody gave others.
const DEFAULT_MODE: u16 = 0o644;

/// A node that exists in this mount only.
pub(crate) struct MemoryNode {
    /// Tells it from every other one, whatever its name.
    pub(crate) id: u64,
    /// Where it is.
    pub(crate) dir: Node,
    /// Its file name.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) body: Body,
}

/// What a node in memory holds.
#[derive(Clone)]
pub(crate) enum Body {
    /// Bytes.
    File(Arc<Buffer>),
    /// The target of a symbolic link, as it was typed.
    Link(OsString),
}

/// The bytes of a file in memory, which count against the bound.
pub(crate) struct Buffer {
    used: Arc<AtomicUsize>,
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    mode: u16,
    mtime: SystemTime,
    /// Grows with every change of the bytes.
    generation: u64,
}

impl Buffer {
    pub(crate) fn len(&self) -> u64 {
        self.state.lock().bytes.len() as u64
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.state.lock().bytes)
    }

    /// The bytes, and the number of the change that made them.
    pub(crate) fn snapshot(&self) -> (Vec<u8>, u64) {
        let state = self.state.lock();
        (state.bytes.clone(), state.generation)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    pub(crate) fn read_at(&self, offset: u64, length: u32) -> Bytes {
        let state = self.state.lock();
        let end = state.bytes.len();
        let from = usize::try_from(offset).map_or(end, |at| at.min(end));
        let to = from.saturating_add(length as usize).min(end);
        Bytes::copy_from_slice(&state.bytes[from..to])
    }

    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Refused> {
        let mut state = self.state.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = from.saturating_add(bytes.len());
        if end > state.bytes.len() {
            self.resize(&mut state, end)?;
        }
        state.bytes[from..end].copy_from_slice(bytes);
        state.changed();
        Ok(())
    }

    pub(crate) fn set_len(&self, length: u64) -> Result<(), Refused> {
        let mut state = self.state.lock();
        self.resize(&mut state, usize::try_from(length).unwrap_or(usize::MAX))?;
        state.changed();
        Ok(())
    }

    pub(crate) fn mode(&self) -> u16 {
        self.state.lock().mode
    }

    pub(crate) fn mtime(&self) -> SystemTime {
        self.state.lock().mtime
    }

    pub(crate) fn adjust(&self, mode: Option<u16>, mtime: Option<SystemTime>) {
        let mut state = self.state.lock();
        state.mode = mode.map_or(state.mode, |mode| mode & 0o777);
        state.mtime = mtime.unwrap_or(state.mtime);
    }

    fn resize(&self, state: &mut State, length: usize) -> Result<(), Refused> {
        let old = state.bytes.len();
        if length > old {
            let more = length - old;
            let fits = |used: usize| Some(used + more).filter(|sum| *sum <= TOTAL_BYTES);
            let (get, set) = (Ordering::Relaxed, Ordering::Relaxed); // a plain sum, orders nothing
            if length > FILE_BYTES || self.used.fetch_update(get, set, fits).is_err() {
                return Err(full());
            }
        } else {
            self.used.fetch_sub(old - length, Ordering::Relaxed);
        }
        state.bytes.resize(length, 0);
        Ok(())
    }
}

impl State {
    fn changed(&mut self) {
        self.generation += 1;
        self.mtime = SystemTime::now();
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let length = self.state.get_mut().bytes.len();
        self.used.fetch_sub(length, Ordering::Relaxed);
    }
}

fn full() -> Refused {
    let words = "the memory for unsaved text is full";
    refuse(Reason::NoSpace, ErrorKind::Io, "", words)
}

/// Everything in memory, by directory.
#[derive(Default)]
pub(crate) struct Overlay {
    used: Arc<AtomicUsize>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    dirs: HashMap<Identity, BTreeMap<String, Arc<MemoryNode>>>,
    nodes: usize,
    next: u64,
    /// Metadata files that are away to be written anew, and since when.
    hidden: HashMap<Identity, Instant>,
}

impl Overlay {
    /// An empty text outside of any directory.
    pub(crate) fn buffer(&self, mode: u16) -> Arc<Buffer> {
        Arc::new(Buffer {
            used: self.used.clone(),
            state: Mutex::new(State {
                bytes: Vec::new(),
                mode: mode & 0o777,
                mtime: SystemTime::now(),
                generation: 0,
            }),
        })
    }

    /// A text outside of any directory.
    pub(crate) fn buffer_of(&self, bytes: &[u8]) -> Result<Arc<Buffer>, Refused> {
        let buffer = self.buffer(DEFAULT_MODE);
        buffer.write_at(0, bytes)?;
        Ok(buffer)
    }

    /// Puts something into a directory, in the place of what has that name.
    pub(crate) fn put(&self, dir: &Node, name: &str, body: Body) -> Result<Node, Refused> {
        let mut inner = self.inner.lock();
        if inner.nodes >= MAX_NODES {
            return Err(full());
        }
        inner.next += 1;
        let node = Arc::new(MemoryNode {
            id: inner.next,
            dir: dir.clone(),
            name: name.to_owned(),
            body,
        });
        inner.insert(node.clone());
        Ok(Node(Place::Memory(node)))
    }

    /// Gives a node another name, in the place of what has that name.
    pub(crate) fn rename(&self, node: &MemoryNode, dir: &Node, name: &str) -> Node {
        let mut inner = self.inner.lock();
        inner.remove(&node.dir.identity(), &node.name);
        let renamed = Arc::new(MemoryNode {
            id: node.id,
            dir: dir.clone(),
            name: name.to_owned(),
            body: node.body.clone(),
        });
        inner.insert(renamed.clone());
        Node(Place::Memory(renamed))
    }

    /// Takes a node away.
    pub(crate) fn remove(&self, node: &MemoryNode) {
        self.inner.lock().remove(&node.dir.identity(), &node.name);
    }

    /// A name in a directory.
    pub(crate) fn find(&self, dir: &Node, name: &OsStr) -> Option<Arc<MemoryNode>> {
        let inner = self.inner.lock();
        if inner.dirs.is_empty() {
            return None;
        }
        inner
            .dirs
            .get(&dir.identity())?
            .get(name.to_str()?)
            .cloned()
    }

    /// Everything in a directory.
    pub(crate) fn children(&self, dir: &Node) -> Vec<Node> {
        let inner = self.inner.lock();
        let own = inner.dirs.get(&dir.identity());
        let nodes = own.into_iter().flat_map(BTreeMap::values).cloned();
        nodes.map(|node| Node(Place::Memory(node))).collect()
    }

    /// Forgets a directory that is gone.
    pub(crate) fn forget(&self, dir: &Node) {
        let mut inner = self.inner.lock();
        if let Some(gone) = inner.dirs.remove(&dir.identity()) {
            inner.nodes -= gone.len();
        }
    }

    /// Takes everything of a directory along when it gets another name.
    pub(crate) fn follow(&self, old: &Node, new: &Node) {
        let (Identity::Named(from), Identity::Named(to)) = (old.identity(), new.identity()) else {
            return;
        };
        let mut inner = self.inner.lock();
        let below = format!("{from}/");
        let moves = |dir: &Identity| match dir {
            Identity::Named(text) if **text == *from => Some(to.clone()),
            Identity::Named(text) => {
                let rest = text.strip_prefix(&below)?;
                Some(format!("{to}/{rest}").into())
            }
            Identity::Content { .. } => None,
        };
        let moved: Vec<_> = inner
            .dirs
            .keys()
            .filter_map(|dir| Some((dir.clone(), Identity::Named(moves(dir)?))))
            .collect();
        for (from, to) in moved {
            if let Some(nodes) = inner.dirs.remove(&from) {
                inner.dirs.insert(to, nodes);
            }
        }
    }

    /// Makes a metadata file look away for the moment in which a tool writes it anew.
    pub(crate) fn hide(&self, file: &Node) {
        let mut inner = self.inner.lock();
        inner.hidden.retain(|_, since| since.elapsed() < HIDDEN_FOR);
        inner.hidden.insert(file.identity(), Instant::now());
    }

    /// Ends that; whether it was so.
    pub(crate) fn unhide(&self, file: &Node) -> bool {
        let since = self.inner.lock().hidden.remove(&file.identity());
        since.is_some_and(|since| since.elapsed() < HIDDEN_FOR)
    }

    /// Whether a metadata file looks away.
    pub(crate) fn hides(&self, file: &Node) -> bool {
        let inner = self.inner.lock();
        let since = inner.hidden.get(&file.identity());
        since.is_some_and(|since| since.elapsed() < HIDDEN_FOR)
    }
}

impl Inner {
    fn insert(&mut self, node: Arc<MemoryNode>) {
        let names = self.dirs.entry(node.dir.identity()).or_default();
        if names.insert(node.name.clone(), node).is_none() {
            self.nodes += 1;
        }
    }

    fn remove(&mut self, dir: &Identity, name: &str) {
        let Some(names) = self.dirs.get_mut(dir) else {
            return;
        };
        if names.remove(name).is_some() {
            self.nodes -= 1;
        }
        if names.is_empty() {
            self.dirs.remove(dir);
        }
    }
}

/// A name for something in memory.
///
/// # Errors
/// EINVAL for a name that is no text or too long.
pub(crate) fn memory_name<'a>(dir: &Node, name: &'a OsStr) -> Result<&'a str, Refused> {
    match name.to_str() {
        Some(text) if text.len() <= MAX_NAME_BYTES && !text.is_empty() => Ok(text),
        _ => {
            let words = "a file name here must be a text of at most 255 bytes";
            Err(super::change::invalid(dir.path(), words))
        }
    }
}

/// Whether a link of that name never reaches the server: editors' locks (`.#collection.json`), the
/// name that `ln -sfn` makes on its way (`CuXXXXXX`), and that of `rsync` (`.latest.XXXXXX`).
pub(crate) fn is_temporary_link(name: &str) -> bool {
    let random = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    name.starts_with(".#")
        || name.strip_prefix("Cu").is_some_and(random)
        || name
            .strip_prefix('.')
            .and_then(|rest| rest.rsplit_once('.'))
            .is_some_and(|(head, tail)| !head.is_empty() && random(tail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_that_tools_make_on_the_way_are_told_from_aliases() {
        for name in [".#collection.json", "CuAb3xYz", ".latest.a1B2c3"] {
            assert!(is_temporary_link(name), "{name}");
        }
        for name in [
            "latest",
            "Custom",
            "CuAb3xYzQ",
            "v1.2.release",
            "..a1B2c3",
            "production",
        ] {
            assert!(!is_temporary_link(name), "{name}");
        }
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let overlay = Overlay::default();
        let large = vec![b' '; FILE_BYTES];
        let texts: Vec<_> = (0..TOTAL_BYTES / FILE_BYTES)
            .map(|_| overlay.buffer_of(&large).unwrap())
            .collect();
        let refused = overlay.buffer_of(b"x").err().unwrap();
        assert_eq!(refused.reason, Reason::NoSpace);
        drop(texts);
        let text = overlay.buffer_of(b"x").unwrap();
        assert!(text.set_len(FILE_BYTES as u64 + 1).is_err());
        text.set_len(0).unwrap();
        assert_eq!(overlay.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bytes_are_read_and_written_at_any_place() {
        let overlay = Overlay::default();
        let text = overlay.buffer(0o600);
        text.write_at(2, b"cd").unwrap();
        text.write_at(0, b"ab").unwrap();
        assert_eq!(&text.read_at(1, 2)[..], b"bc");
        assert_eq!(&text.read_at(3, 10)[..], b"d");
        assert!(text.read_at(9, 10).is_empty());
    }
}
