//! The W&B API as a library of its own: artifacts, usable without any mount.
//!
//! The classes are those of the Python SDK's public API under their names. A plural noun is a
//! [`Paginator`]: a lazy stream with a length, a page size and a cursor to resume from. A singular
//! noun is a value with the [`Client`] through which it acts. The same client is the tree's
//! [`Hub`](crate::model::Hub), where one call is one request.
//!
//! What a server does not know is left out of the question, and what it leaves out of the answer is
//! an `Option` (`prune`, `wire`): a server of another make can be browsed. One `transport` signs,
//! counts, retries within one deadline, and turns every refusal into an [`Error`](crate::model::Error)
//! with the server's own reason, which never holds a key or the query of a URL.

mod answers;
mod app_url;
mod artifact;
mod artifact_changes;
mod artifact_collection;
mod artifact_files;
mod artifact_type;
mod artifacts;
mod auth;
mod client;
mod complaint;
pub mod config;
mod convert;
mod failure;
mod http;
mod hub;
mod lifecycle;
mod manifest;
mod mutation;
mod operations;
mod paginator;
mod project;
mod prune;
mod record_use;
mod registry;
mod registry_changes;
mod retry;
mod run;
mod save;
mod sdl;
mod transport;
mod urls;
mod wire;

pub use crate::model::{RunArtifactsMode, Viewer};
pub use artifact::Artifact;
pub use artifact_collection::{ArtifactCollection, ArtifactCollections};
pub use artifact_files::{ArtifactFile, ArtifactFiles};
pub use artifact_type::{ArtifactType, ArtifactTypes};
pub use artifacts::Artifacts;
pub use auth::{Authorization, Secret, TokenSource};
pub use client::{Client, ClientConfig};
pub use http::{Purpose, extra_headers, http_client};
pub use manifest::Manifest;
pub use paginator::Paginator;
pub use project::{Project, Projects};
pub use record_use::UseRecorder;
pub use registry::{Organization, Registries, Registry, RegistryCollections, RegistryVersions};
pub use registry_changes::NewRegistry;
pub use run::{Run, RunArtifacts, Runs};
pub use urls::handler_url;
