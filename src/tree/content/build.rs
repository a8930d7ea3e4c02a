//! Builds a content tree while the manifest streams by.
//!
//! Difficulties, and what answers each:
//!
//! 1. A million entries: encoded paths lie in one byte arena and what an entry says in 32 bytes
//!    ([`Record`]); the arena is gone when the tree stands.
//! 2. Any order of keys: an index is sorted; with the separator as the lowest byte, sorting paths
//!    sorts every directory.
//! 3. Stable numbers: directories are laid out breadth first in that order, so a node's number
//!    depends on the manifest only.
//! 4. `a` beside `a/b`: the directory keeps the name, the file's first character is encoded; the
//!    children of that one directory are sorted again.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::{self, Oddity, SEPARATOR};
use super::records::{Extra, NONE, Record, Texts};
use super::{ContentTree, FILE, NodeRecord};
use crate::model::manifest::{Entry, Header, Sink};
use crate::model::{ArtifactId, Digest};
use crate::tree::names;

/// Lines reported per version one by one; the others are summed up in one line, so that a hostile
/// manifest does not wash everything else out of an error ring of 1,000 lines.
const MAX_REPORTS: usize = 100;

/// Receives the entries and becomes the tree.
#[derive(Default)]
pub(super) struct Builder {
    paths: Vec<u8>,
    ends: Vec<u32>,
    records: Vec<Record>,
    texts: Texts,
    births: Vec<ArtifactId>,
    birth_numbers: HashMap<ArtifactId, u32>,
    /// Number of the birth artifact met last: most entries have that of the entry before.
    last_birth: usize,
    odd_keys: HashMap<u32, Box<str>>,
    reports: Reports,
    overflow: bool,
}

/// What the error log is to say about a manifest.
#[derive(Default)]
pub(super) struct Reports {
    /// Path below `files/` and sentence.
    pub(super) lines: Vec<(String, String)>,
    /// How many more there were.
    pub(super) more: usize,
}

impl Reports {
    fn add(&mut self, path: &[u8], key: &str, why: &str) {
        if self.lines.len() == MAX_REPORTS {
            self.more += 1;
            return;
        }
        let shown: String = key.chars().take(200).collect();
        self.lines.push((
            String::from_utf8_lossy(path).replace('\0', "/"),
            format!("key {shown:?} of the manifest: {why}"),
        ));
    }
}

/// Most nodes of a tree: 600 MB of them. The largest artifact that the SDK makes has 10,000,000 files;
/// a hostile manifest of short deep paths would have fifty directories for each of its entries.
const MAX_NODES: usize = 1 << 25;

/// More nodes than [`MAX_NODES`], or more text than 32-bit offsets reach.
#[derive(Debug, thiserror::Error)]
#[error("the manifest describes more than 33 million nodes, or over 4 GiB of names")]
pub(super) struct TooLarge;

impl Sink for Builder {
    fn entry(&mut self, key: &str, entry: Entry) {
        if self.overflow {
            return;
        }
        let number = self.records.len();
        let start = self.paths.len();
        let oddity = key::encode(key, &mut self.paths);
        let (Ok(end), Ok(number)) = (u32::try_from(self.paths.len()), u32::try_from(number)) else {
            self.overflow = true;
            return;
        };
        let path = &self.paths[start..];
        if !same_path(path, key) {
            self.odd_keys.insert(number, key.into());
        }
        if let Some(oddity) = oddity {
            self.reports.add(path, key, Oddity::why(oddity));
        }
        self.ends.push(end);
        let stored = entry.reference.is_none();
        let record = self.record(key, entry);
        if stored && record.digest().is_none() {
            let why = "its digest is not one, so its content cannot be verified";
            self.reports.add(&self.paths[start..], key, why);
        }
        self.records.push(record);
    }
}

fn same_path(path: &[u8], key: &str) -> bool {
    path.len() == key.len()
        && path
            .iter()
            .zip(key.bytes())
            .all(|(&ours, theirs)| ours == theirs || (ours == SEPARATOR && theirs == b'/'))
}

impl Builder {
    fn record(&mut self, key: &str, entry: Entry) -> Record {
        let algorithm = entry.algorithm();
        let digest = match entry.reference.as_deref() {
            None => Digest::from_base64(algorithm, &entry.digest).ok(),
            // An ETag says nothing about the content; these two schemes name its MD5 (protocol §11).
            Some(url) if url.starts_with("file://") || url.starts_with("wandb-artifact://") => {
                Digest::from_base64(algorithm, &entry.digest).ok()
            }
            Some(_) => None,
        };
        let extra = if digest.is_none() || entry.reference.is_some() {
            let version = entry.extra_text("versionID");
            self.texts.add(&Extra {
                url: entry.reference.as_deref(),
                etag: &entry.digest,
                version_id: version.as_deref(),
                key,
            })
        } else {
            Some(NONE)
        };
        let Some(extra) = extra else {
            self.overflow = true;
            return Record::default();
        };
        let birth = match entry.birth_artifact_id {
            Some(id) => self.intern_birth(&id),
            None => NONE,
        };
        Record::new(digest, entry.size, birth, extra)
    }

    fn intern_birth(&mut self, id: &str) -> u32 {
        let last = self.births.get(self.last_birth);
        if last.is_none_or(|last| last.as_str() != id) {
            let id = ArtifactId::new(id);
            self.last_birth = match self.birth_numbers.get(&id) {
                Some(&number) => number as usize,
                None => self.add_birth(id),
            };
        }
        u32::try_from(self.last_birth).unwrap_or(NONE)
    }

    fn add_birth(&mut self, id: ArtifactId) -> usize {
        let number = self.births.len();
        self.births.push(id.clone());
        if let Ok(number) = u32::try_from(number) {
            self.birth_numbers.insert(id, number);
        }
        number
    }

    fn path(&self, record: u32) -> &[u8] {
        let at = record as usize;
        let start = match at {
            0 => 0,
            _ => self.ends[at - 1] as usize,
        };
        &self.paths[start..self.ends[at] as usize]
    }

    /// Record numbers in path order, each path once. Of a key that is there twice the last one
    /// counts, as it does for the SDK's JSON reader.
    fn sorted(&mut self) -> Vec<u32> {
        let count = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|&a, &b| self.path(a).cmp(self.path(b)));
        let mut kept: Vec<u32> = Vec::with_capacity(order.len());
        for record in order {
            match kept.last_mut() {
                Some(last) if self.path(*last) == self.path(record) => {
                    *last = record;
                    let path = self.path(record).to_vec();
                    let key = String::from_utf8_lossy(&path).replace('\0', "/");
                    let why = "it is there more than once; the last entry counts";
                    self.reports.add(&path, &key, why);
                }
                _ => kept.push(record),
            }
        }
        kept
    }

    /// Lays the tree out.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(super) fn finish(mut self, header: Header) -> Result<(ContentTree, Reports), TooLarge> {
        self.birth_numbers = HashMap::new();
        let order = self.sorted();
        let mut layout = Layout {
            nodes: vec![NodeRecord::directory(0, 0, 0, order.len())],
            names: vec![0],
            order,
        };
        let mut next = 0;
        while next < layout.nodes.len() {
            if layout.nodes[next].is_directory() {
                layout.expand(next, &mut self);
            }
            if layout.nodes.len() > MAX_NODES {
                return Err(TooLarge);
            }
            next += 1;
        }
        if self.overflow || u32::try_from(layout.names.len()).is_err() {
            return Err(TooLarge);
        }
        let Layout {
            mut nodes,
            mut names,
            ..
        } = layout;
        nodes.shrink_to_fit();
        names.shrink_to_fit();
        self.records.shrink_to_fit();
        self.texts.shrink();
        let tree = ContentTree {
            nodes,
            names,
            records: self.records,
            texts: self.texts,
            births: self.births,
            odd_keys: self.odd_keys,
            layout_v2: header.layout_v2,
            region: header.region.map(Arc::from),
        };
        Ok((tree, self.reports))
    }
}

/// The tree while it is laid out. A directory not yet expanded holds its range of `order` in the
/// place where its range of children will be.
struct Layout {
    order: Vec<u32>,
    nodes: Vec<NodeRecord>,
    names: Vec<u8>,
}

impl Layout {
    fn expand(&mut self, parent: usize, builder: &mut Builder) {
        let (mut low, count) = (self.nodes[parent].first, self.nodes[parent].count);
        let high = low + count;
        let prefix = self.prefix(parent);
        let first = self.nodes.len();
        let mut twins = false;
        while low < high {
            let record = self.order[low as usize];
            let path = &builder.path(record)[prefix..];
            let length = path
                .iter()
                .position(|&byte| byte == SEPARATOR)
                .unwrap_or(path.len());
            if length == path.len() {
                let twin = low + 1 < high && {
                    let next = &builder.path(self.order[low as usize + 1])[prefix..];
                    next.get(length) == Some(&SEPARATOR) && next.starts_with(path)
                };
                let name = if twin {
                    twins = true;
                    Self::twin(record, builder)
                } else {
                    path.to_vec()
                };
                self.push(parent, &name, record, FILE);
                low += 1;
            } else {
                let head = path[..=length].to_vec();
                let range = &self.order[low as usize..high as usize];
                let inside =
                    range.partition_point(|&r| builder.path(r)[prefix..].starts_with(&head));
                let inside = u32::try_from(inside).unwrap_or(u32::MAX);
                self.push(parent, &head[..length], low, inside);
                low += inside;
            }
        }
        if twins {
            let names = std::mem::take(&mut self.names);
            self.nodes[first..].sort_by(|a, b| a.name(&names).cmp(b.name(&names)));
            self.names = names;
        }
        let added = self.nodes.len() - first;
        self.nodes[parent].first = u32::try_from(first).unwrap_or(u32::MAX);
        self.nodes[parent].count = u32::try_from(added).unwrap_or(FILE - 1);
    }

    /// The other name of a file whose name is also a directory's.
    fn twin(record: u32, builder: &mut Builder) -> Vec<u8> {
        let path = String::from_utf8_lossy(builder.path(record)).replace('\0', "/");
        let key = match builder.odd_keys.get(&record) {
            Some(key) => key.clone(),
            None => path.clone().into_boxed_str(),
        };
        let plain = path.rsplit('/').next().unwrap_or_default();
        // Escapes in the name are not escaped again: what the name says is the key's component.
        let name = names::escape_again(plain);
        let why = format!("it is a file and a directory; the file is offered as {name:?}");
        builder.reports.add(path.as_bytes(), &key, &why);
        builder.odd_keys.insert(record, key);
        name.into_bytes()
    }

    /// Bytes of a directory's encoded path with its separator at the end; none for the top.
    fn prefix(&self, mut node: usize) -> usize {
        let mut bytes = 0;
        while node != 0 {
            bytes += self.nodes[node].name(&self.names).len() + 1;
            node = self.nodes[node].parent as usize;
        }
        bytes
    }

    fn push(&mut self, parent: usize, name: &[u8], first: u32, count: u32) {
        let record = NodeRecord {
            name: u32::try_from(self.names.len()).unwrap_or(u32::MAX),
            parent: u32::try_from(parent).unwrap_or(u32::MAX),
            first,
            count,
        };
        self.nodes.push(record);
        self.names.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.names.extend_from_slice(name);
    }
}
