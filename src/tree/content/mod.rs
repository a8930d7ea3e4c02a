//! The content of a version: the tree that its manifest describes, held compactly.
//!
//! About 70 bytes a file when it stands: 16 for the node, its name, and 32 for what the entry says.
//! Children of a directory are contiguous and sorted by name, so a lookup is a binary search and a
//! listing a range. Node 0 is `files/` itself; numbers depend on the manifest alone, so a tree may be
//! dropped and built again under the kernel's feet.

mod build;
mod key;
mod load;
mod records;
mod survey;
mod upcoming;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use load::{load, manifest_content};
use records::{NONE, Record, StoredExtra, Texts};
pub use survey::Survey;
pub(crate) use upcoming::Following;

use super::resolve::Weigh;
use super::version::VersionDir;
use crate::model::{ArtifactId, Content, Digest, Origin, StoredAt, VersionPath};

/// In [`NodeRecord::count`]: not a directory.
const FILE: u32 = u32::MAX;

/// A node: 16 bytes.
#[derive(Debug, Clone, Copy)]
struct NodeRecord {
    /// Place of its name: a length byte and the bytes.
    name: u32,
    parent: u32,
    /// First child of a directory, record of a file.
    first: u32,
    /// Number of children, or [`FILE`].
    count: u32,
}

impl NodeRecord {
    fn directory(name: u32, parent: u32, first: u32, count: usize) -> Self {
        Self {
            name,
            parent,
            first,
            count: u32::try_from(count).unwrap_or(FILE - 1),
        }
    }

    fn is_directory(&self) -> bool {
        self.count != FILE
    }

    fn name<'n>(&self, names: &'n [u8]) -> &'n [u8] {
        let at = self.name as usize;
        let length = usize::from(names[at]);
        &names[at + 1..at + 1 + length]
    }
}

/// The content tree of one manifest. Immutable.
#[derive(Debug)]
pub(crate) struct ContentTree {
    nodes: Vec<NodeRecord>,
    names: Vec<u8>,
    records: Vec<Record>,
    texts: Texts,
    births: Vec<ArtifactId>,
    /// By record: keys that are not the path of their node.
    odd_keys: HashMap<u32, Box<str>>,
    layout_v2: bool,
    region: Option<Arc<str>>,
}

/// What the manifest says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileFacts {
    /// Bytes; `None` where the manifest says nothing, or 0 for a reference.
    pub(crate) size: Option<u64>,
    /// Digest of the content.
    pub(crate) digest: Option<Digest>,
    /// Address of a reference.
    pub(crate) url: Option<String>,
    /// The digest's text where it is no digest: a reference's ETag.
    pub(crate) etag: Option<String>,
    /// `extra.versionID` of a reference.
    pub(crate) version_id: Option<String>,
}

impl Weigh for Arc<ContentTree> {
    fn weigh(&self) -> usize {
        self.bytes()
    }
}

impl ContentTree {
    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let odd: usize = self.odd_keys.values().map(|key| key.len() + 24).sum();
        self.nodes.len() * size_of::<NodeRecord>()
            + self.names.len()
            + self.records.len() * size_of::<Record>()
            + self.texts.bytes()
            + self
                .births
                .iter()
                .map(|id| id.as_str().len() + 32)
                .sum::<usize>()
            + odd
    }

    /// Number of nodes, `files/` included.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Whether node `index` is a directory. As for all methods here, `index` is below [`Self::len`].
    pub(crate) fn is_directory(&self, index: u32) -> bool {
        self.node(index).is_directory()
    }

    /// File name of a node; empty for `files/` itself.
    pub(crate) fn name(&self, index: u32) -> &str {
        // Names were made from text, byte by byte at character boundaries.
        std::str::from_utf8(self.node(index).name(&self.names)).unwrap_or_default()
    }

    /// Directory of a node; itself for `files/`.
    pub(crate) fn parent(&self, index: u32) -> u32 {
        self.node(index).parent
    }

    /// Children of a directory, sorted by name; none for a file.
    pub(crate) fn children(&self, index: u32) -> Range<u32> {
        let node = self.node(index);
        match node.is_directory() {
            true => node.first..node.first + node.count,
            false => 0..0,
        }
    }

    /// The child of that name.
    pub(crate) fn find(&self, directory: u32, name: &[u8]) -> Option<u32> {
        let range = self.children(directory);
        let children = &self.nodes[range.start as usize..range.end as usize];
        let at = children
            .binary_search_by(|child| child.name(&self.names).cmp(name))
            .ok()?;
        Some(range.start + u32::try_from(at).ok()?)
    }

    /// Path of a node below `files/`, components joined by `/`.
    pub(crate) fn path(&self, mut index: u32) -> String {
        let mut names = Vec::new();
        while index != 0 {
            names.push(self.name(index));
            index = self.parent(index);
        }
        names.reverse();
        names.join("/")
    }

    /// Bytes of a file as `stat` shows them: 0 where nobody knows yet.
    pub(crate) fn size(&self, index: u32) -> u64 {
        self.record(index).and_then(Record::size).unwrap_or(0)
    }

    /// Whether the size is not known before the content's source is asked: not said at all, or a
    /// reference of 0 bytes, which is how a reference of unknown size is written (protocol §8).
    pub(crate) fn size_unknown(&self, index: u32) -> bool {
        match self.record(index).map(|record| (record.size(), record)) {
            Some((None, _)) => true,
            Some((Some(0), record)) => self.is_reference(record),
            _ => false,
        }
    }

    fn is_reference(&self, record: &Record) -> bool {
        self.extra(record).is_some_and(|extra| extra.base.is_some())
    }

    /// What the manifest says about a file; `None` for a directory.
    pub(crate) fn facts(&self, index: u32) -> Option<FileFacts> {
        let record = self.record(index)?;
        let extra = self.extra(record);
        let url = extra.and_then(|extra| {
            let base = extra.base?;
            Some(match extra.ends_in_key {
                true => format!("{base}{}", self.key(index)),
                false => base.to_owned(),
            })
        });
        Some(FileFacts {
            size: (!self.size_unknown(index)).then(|| self.size(index)),
            digest: record.digest(),
            url,
            etag: extra.map(|extra| extra.etag.to_owned()),
            version_id: extra.and_then(|extra| extra.version_id.map(str::to_owned)),
        })
    }

    /// The manifest key of a file, byte for byte.
    pub(crate) fn key(&self, index: u32) -> String {
        match self.odd_keys.get(&self.node(index).first) {
            Some(key) => key.to_string(),
            None => self.path(index),
        }
    }

    /// The content of a file, as reached through `version`; `None` for a directory.
    pub(crate) fn content(&self, index: u32, version: &VersionDir) -> Option<Content> {
        let record = self.record(index)?;
        let facts = self.facts(index)?;
        let origin = match facts.url {
            Some(ref url) => Origin::Reference {
                version: version.path().clone(),
                artifact: version.value().id.clone(),
                url: url.as_str().into(),
                etag: facts.etag.as_deref().unwrap_or_default().into(),
                version_id: facts.version_id.as_deref().map(Into::into),
            },
            None => Origin::Stored(self.stored_at(index, record, &facts, version)),
        };
        Some(Content {
            origin,
            digest: facts.digest,
            size: facts.size,
        })
    }

    fn stored_at(
        &self,
        index: u32,
        record: &Record,
        facts: &FileFacts,
        version: &VersionDir,
    ) -> StoredAt {
        let path: &Arc<VersionPath> = version.path();
        StoredAt {
            version: path.clone(),
            artifact: version.value().id.clone(),
            path: self.key(index).into(),
            birth_artifact: self.births.get(record.birth as usize).cloned(),
            layout_v2: self.layout_v2,
            region: self.region.clone(),
            digest: facts
                .digest
                .map(Digest::to_base64)
                .unwrap_or_default()
                .into(),
            size: facts.size,
        }
    }

    /// The node after `index` when every directory is walked where it stands.
    fn successor(&self, mut index: u32) -> Option<u32> {
        let children = self.children(index);
        if !children.is_empty() {
            return Some(children.start);
        }
        while index != 0 {
            let parent = self.parent(index);
            if index + 1 < self.children(parent).end {
                return Some(index + 1);
            }
            index = parent;
        }
        None
    }

    fn node(&self, index: u32) -> &NodeRecord {
        &self.nodes[index as usize]
    }

    fn record(&self, index: u32) -> Option<&Record> {
        let node = self.node(index);
        match node.is_directory() {
            true => None,
            false => self.records.get(node.first as usize),
        }
    }

    fn extra(&self, record: &Record) -> Option<StoredExtra<'_>> {
        match record.extra {
            NONE => None,
            place => self.texts.get(place),
        }
    }
}
