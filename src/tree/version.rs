//! A version: `artifact.json`, `manifest.json`, `files/`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::attributes::time_of;
use super::collection;
use super::node::Freshness;
use super::place::{CollectionDir, Node, Place, join};
use super::shared::Shared;
use crate::model::{ArtifactVersion, Error, VersionPath};

/// A version directory with everything that a lookup or a listing said about it.
#[derive(Debug)]
pub(crate) struct VersionDir {
    /// Its collection; none at the mount point.
    pub(crate) parent: Option<Node>,
    /// The node of its content that is the mount point, where one is.
    pub(crate) root: Option<u32>,
    /// Key of what is remembered of it.
    pub(crate) key: Arc<str>,
    collection: Arc<CollectionDir>,
    path: Arc<VersionPath>,
    name: String,
    value: ArtifactVersion,
    /// Created time, read once for all files of the content.
    created: Option<SystemTime>,
    at: Instant,
    identity: Arc<str>,
}

impl VersionDir {
    /// The directory of a version of `collection`, asked for at `at`. Its id is in its identity, so
    /// that what the kernel keeps of a content never serves another one.
    pub(crate) fn new(
        collection: &Arc<CollectionDir>,
        value: ArtifactVersion,
        at: Instant,
    ) -> Self {
        let name = value.index.to_string();
        let identity = format!(
            "{}//{}",
            join(&collection.identity, &name),
            value.id.as_str()
        );
        Self {
            parent: Some(Node(Place::Collection(collection.clone()))),
            root: None,
            key: join(&collection.key, &name),
            path: Arc::new(VersionPath {
                collection: collection.path.clone(),
                index: value.index,
            }),
            collection: collection.clone(),
            name,
            created: time_of(value.created_at.as_deref()),
            value,
            at,
            identity: identity.into(),
        }
    }

    /// The same version with a directory of its content as the root of the mount.
    pub(crate) fn at_the_mount_point(self, directory: u32) -> Self {
        Self {
            parent: None,
            root: Some(directory),
            ..self
        }
    }

    /// Its collection.
    pub(crate) fn collection(&self) -> &Arc<CollectionDir> {
        &self.collection
    }

    /// How it is reached.
    pub(crate) fn path(&self) -> &Arc<VersionPath> {
        &self.path
    }

    /// What the server says about it.
    pub(crate) fn value(&self) -> &ArtifactVersion {
        &self.value
    }

    /// When it was created, where the server says so.
    pub(crate) fn created(&self) -> Option<SystemTime> {
        self.created
    }

    /// When the server was asked.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// `vN`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Unique in the mount.
    pub(crate) fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// Its path in the mount, or its full path where the mount point is its files.
    pub(crate) fn mount_path(&self) -> String {
        match &self.parent {
            Some(parent) => format!("{}/{}", parent.path(), self.name),
            None => self.path.to_string(),
        }
    }

    /// Path of its `files/` in the mount.
    pub(crate) fn files_path(&self) -> String {
        match self.root {
            Some(0) => String::new(),
            _ => format!("{}/files", self.mount_path()),
        }
    }

    /// Bytes on the heap, roughly: 2,000 for names, times and URLs, and the metadata.
    pub(crate) fn weight(&self) -> usize {
        let metadata = self.value.metadata.iter();
        2000 + metadata
            .map(|(key, value)| key.len() + 64 + json_weight(value))
            .sum::<usize>()
    }
}

fn json_weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => items.iter().map(json_weight).sum::<usize>() + 32,
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| key.len() + 64 + json_weight(value))
            .sum(),
        _ => 32,
    }
}

/// One name; no request.
pub(crate) fn child(version: &Arc<VersionDir>, file: &OsStr) -> Option<Node> {
    let place = match file.to_str()? {
        "artifact.json" => return Some(Node(Place::Version(version.clone())).metadata()),
        "manifest.json" => Place::Manifest(version.clone()),
        "files" => Place::Files(version.clone()),
        _ => return None,
    };
    Some(Node(place))
}

/// How long a name in a version directory holds.
pub(crate) fn child_freshness(shared: &Shared, node: Option<&Node>) -> Freshness {
    match node.map(|node| &node.0) {
        Some(Place::Manifest(_) | Place::Files(_)) => Freshness::Immutable,
        _ => Freshness::For(shared.ttl()),
    }
}

/// All there is in a version directory.
pub(crate) fn children(version: &Arc<VersionDir>) -> Vec<Node> {
    ["artifact.json", "manifest.json", "files"]
        .into_iter()
        .filter_map(|name| child(version, OsStr::new(name)))
        .collect()
}

/// The version with a value that still counts. One whose files are the mount point never changes.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    version: &Arc<VersionDir>,
) -> Result<Arc<VersionDir>, Error> {
    if version.root.is_some() || shared.counts_in(&version.collection.key, version.at) {
        return Ok(version.clone());
    }
    let answer = collection::version(shared, &version.collection, version.path.index).await?;
    match answer.0 {
        Some(Node(Place::Version(fresh))) if fresh.value.id == version.value.id => Ok(fresh),
        _ => Err(shared.vanished(&Node(Place::Version(version.clone())))),
    }
}
