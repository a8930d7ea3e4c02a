//! An alias: a symbolic link to its version.

use std::sync::Arc;

use super::change::source_of;
use super::names::Level;
use super::place::{CollectionDir, join};
use super::version::VersionDir;
use crate::model::{ArtifactId, VersionIndex};

/// An alias, a digest or a commit hash of a version.
#[derive(Debug)]
pub(crate) struct AliasLink {
    /// Where it is.
    pub(crate) collection: Arc<CollectionDir>,
    /// The alias as the server spells it.
    pub(crate) alias: String,
    /// Its file name.
    pub(crate) name: String,
    /// The version it points to.
    pub(crate) target: VersionIndex,
    /// That version's created time (RFC 3339).
    pub(crate) created_at: Option<String>,
    /// That version's id.
    pub(crate) target_id: ArtifactId,
    /// The sequence that it was logged to, where that is known.
    pub(crate) source: Option<String>,
}

impl AliasLink {
    /// The link of `name` to `version`.
    pub(crate) fn new(collection: &Arc<CollectionDir>, name: &str, version: &VersionDir) -> Self {
        Self {
            collection: collection.clone(),
            alias: name.to_owned(),
            name: Level::Collection.escape(name),
            target: version.path().index,
            created_at: version.value().created_at.clone(),
            target_id: version.value().id.clone(),
            source: source_of(version.value()),
        }
    }

    /// Unique in the mount, and another one when the alias moves: the kernel keeps what a link says as
    /// long as it keeps the inode.
    pub(crate) fn identity(&self) -> Arc<str> {
        let place = join(&self.collection.identity, &self.name);
        format!("{place}//{}", self.target).into()
    }
}
