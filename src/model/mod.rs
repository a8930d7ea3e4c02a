//! The nouns of W&B as values, and the two traits through which the tree reaches the world.
//!
//! This room knows nobody and everybody knows it: no HTTP, no GraphQL, no kernel. What cannot be
//! wrong is a type made and checked in one place ([`ValidName`], [`VersionIndex`], [`Digest`],
//! [`Cursor`]); what can go wrong is an [`Error`] with a [`ErrorKind`] that the errno table of
//! `vfs` and the exit codes of `cli` both read.

mod changes;
mod content;
mod digest;
mod error;
pub mod manifest;
mod names;
mod nouns;
mod page;
mod path;
pub mod rules;
mod traits;

pub use changes::{
    Applied, CollectionChange, RunArtifactsMode, RunPath, SaveFailure, Ttl, VersionChange, refused,
};
pub use content::{Content, Origin, Seat, StoredAt, Upcoming};
pub use digest::{Digest, DigestAlgorithm, DigestError};
pub use error::{Error, ErrorKind};
pub use names::{
    ArtifactId, CollectionName, EntityName, NameError, ProjectName, RunName, TypeName, ValidName,
    VersionIndex, VersionSelector,
};
pub use nouns::{
    AliasOf, ArtifactVersion, Collection, CollectionKind, CreatedBy, Entity, EntityKind,
    LinkedVersion, ManifestFile, Membership, Project, ProjectArtifactType, Run, RunRef, Viewer,
};
pub use page::{Cursor, ListOptions, Page, PageRequest};
pub use path::{CollectionPath, NodePath, NodePathError, ProjectPath, TypePath, VersionPath};
pub use traits::{Blobs, Hub, OpenBlob};
