//! What a change of the tree answers.

use std::ffi::OsString;
use std::time::SystemTime;

use super::place::{Node, Place};
use crate::model::{ArtifactId, ArtifactVersion, CollectionPath, Error, ErrorKind, SaveFailure};

/// What the kernel must forget after a change. Names and nodes that it does not know are skipped;
/// the order is of no meaning.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Names to look up anew: the directory and the file name in it.
    pub names: Vec<(Node, OsString)>,
    /// Nodes whose pages and attributes are old.
    pub nodes: Vec<Node>,
    /// Versions that changed wherever they are linked: what is known of them by other names too.
    pub everywhere: Vec<Everywhere>,
}

/// Versions that changed in all their places: one that is linked is the same version there, with the
/// same fields, and goes when it is deleted.
#[derive(Debug, Clone)]
pub enum Everywhere {
    /// The fields of a version.
    Changed(ArtifactId),
    /// A version is deleted.
    Gone(ArtifactId),
    /// All versions of a sequence are deleted.
    AllGone(CollectionPath),
    /// A collection has another name or type, or a portfolio is deleted: versions that name it.
    Named(CollectionPath),
}

impl Everywhere {
    /// Whether it is about what a node is or leads to.
    pub(crate) fn concerns(&self, node: &Node) -> bool {
        match (&node.0, self) {
            (Place::Version(version), Self::Named(path)) => {
                is_from(source_of(version.value()).as_deref(), path)
                    || version.value().linked_artifacts.iter().any(|linked| {
                        let project = &path.project;
                        linked.entity == project.entity.as_str()
                            && linked.project == project.project.as_str()
                            && linked.collection == path.name.as_str()
                    })
            }
            (Place::Version(version), Self::Changed(id) | Self::Gone(id)) => {
                version.value().id == *id
            }
            (Place::Version(version), Self::AllGone(path)) => {
                is_from(source_of(version.value()).as_deref(), path)
            }
            (Place::Alias(link), Self::Gone(id)) => link.target_id == *id,
            (Place::Alias(link), Self::AllGone(path)) => is_from(link.source.as_deref(), path),
            _ => false,
        }
    }

    /// What the kernel must forget of a node that is concerned.
    pub fn of(&self, node: &Node) -> Changes {
        let mut changes = Changes::default();
        if !self.concerns(node) {
            return changes;
        }
        match (self, node.above()) {
            (Self::Changed(_) | Self::Named(_), _) => {}
            (_, Some(collection)) => {
                changes.nodes.push(collection.metadata());
                changes.name(&collection, node.name());
            }
            (_, None) => {}
        }
        if matches!(node.0, Place::Version(_)) {
            changes.nodes.push(node.metadata());
        }
        changes
    }
}

impl Changes {
    /// A name to look up anew.
    pub(crate) fn name(&mut self, dir: &Node, name: impl Into<OsString>) {
        self.names.push((dir.clone(), name.into()));
    }

    /// Whether there is nothing to forget.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.nodes.is_empty() && self.everywhere.is_empty()
    }

    /// Everything of `other` too.
    pub(crate) fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.nodes.extend(other.nodes);
        self.everywhere.extend(other.everywhere);
    }
}

/// The sequence that a version was logged to, as `entity/project/name`; none where its project is not
/// visible.
pub(crate) fn source_of(version: &ArtifactVersion) -> Option<String> {
    let (entity, project) = (
        version.source_entity.as_ref()?,
        version.source_project.as_ref()?,
    );
    Some(format!("{entity}/{project}/{}", version.source_collection))
}

/// Whether a sequence by that name is that collection.
fn is_from(source: Option<&str>, path: &CollectionPath) -> bool {
    source.is_some_and(|source| source == format!("{}/{}", path.project, path.name))
}

/// What a refusal means beyond the kind of its error: what only a file system can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The kind of the error says it.
    ByKind,
    /// The name is taken (EEXIST).
    Exists,
    /// The directory to be replaced or removed has something in it (ENOTEMPTY).
    NotEmpty,
    /// A directory is wanted (ENOTDIR).
    NotDirectory,
    /// A directory is there (EISDIR).
    IsDirectory,
    /// Nothing can be written there (EROFS).
    ReadOnly,
    /// The memory for unsaved text is full (ENOSPC).
    NoSpace,
}

/// Why a change did not happen.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// What it means to a program.
    pub reason: Reason,
    /// What it means to a person: the node and a sentence.
    #[source]
    pub error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            reason: Reason::ByKind,
            error,
        }
    }
}

impl From<SaveFailure> for Refused {
    fn from(failure: SaveFailure) -> Self {
        Error::from(failure).into()
    }
}

/// What `chmod`, `utimensat` and their like may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adjust {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Time of the last change.
    pub mtime: Option<SystemTime>,
}

/// A refusal in words about the name `name` in `dir` (empty for the directory itself).
pub(crate) fn refuse(
    reason: Reason,
    kind: ErrorKind,
    node: impl Into<String>,
    words: impl Into<String>,
) -> Refused {
    Refused {
        reason,
        error: Error::new(kind, node, words),
    }
}

/// A refusal by the rules of this file system: EPERM.
pub(crate) fn forbid(node: impl Into<String>, words: impl Into<String>) -> Refused {
    refuse(Reason::ByKind, ErrorKind::NotPermitted, node, words)
}

/// A refusal of something that makes no sense: EINVAL.
pub(crate) fn invalid(node: impl Into<String>, words: impl Into<String>) -> Refused {
    refuse(Reason::ByKind, ErrorKind::Invalid, node, words)
}
