//! The two seams between the tree and the world.
//!
//! A test double implements one of them, counts, and fails on demand; `wandb` and `store` are the
//! real ones. Both promise: every method ends within the deadline its implementation was given,
//! never panics on what a server says, and answers a missing thing with `None` where the signature
//! has an `Option` and with [`ErrorKind::NotFound`](super::ErrorKind::NotFound) elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    ArtifactVersion, Collection, CollectionPath, Content, Entity, EntityName, Error, ListOptions,
    Page, PageRequest, Project, ProjectArtifactType, ProjectPath, StoredAt, TypePath, Upcoming,
    VersionSelector, Viewer,
};

/// Control plane: resolve one node by name, or fetch one page of children.
///
/// One call is one request to the server (a page, a node), so that callers can promise costs.
#[async_trait]
pub trait Hub: Send + Sync + 'static {
    /// The signed-in user with their entities.
    async fn viewer(&self) -> Result<Viewer, Error>;

    /// An entity by name: 1 request.
    async fn entity(&self, name: &EntityName) -> Result<Option<Entity>, Error>;

    /// One page of the projects of an entity; a registry is one of them.
    async fn projects(
        &self,
        entity: &EntityName,
        page: &PageRequest,
    ) -> Result<Page<Project>, Error>;

    /// A project by name: 1 request.
    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>, Error>;

    /// One page of the artifact types of a project.
    async fn artifact_types(
        &self,
        project: &ProjectPath,
        page: &PageRequest,
    ) -> Result<Page<ProjectArtifactType>, Error>;

    /// An artifact type by name: 1 request.
    async fn artifact_type(&self, path: &TypePath) -> Result<Option<ProjectArtifactType>, Error>;

    /// One page of the collections of a type.
    async fn collections(
        &self,
        artifact_type: &TypePath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<Collection>, Error>;

    /// A collection by name, whose type must match: 1 request.
    async fn collection(&self, path: &CollectionPath) -> Result<Option<Collection>, Error>;

    /// All aliases of a collection beyond those that came with it, `vN` left out: one request per
    /// 1,000.
    async fn collection_aliases(&self, collection: &Collection) -> Result<Vec<String>, Error>;

    /// One page of the versions of a collection; committed ones unless the filter says otherwise.
    async fn versions(
        &self,
        collection: &CollectionPath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error>;

    /// A version by `vN`, alias, digest or commit hash, with its manifest's URL: 1 request.
    async fn version(
        &self,
        collection: &CollectionPath,
        selector: &VersionSelector,
    ) -> Result<Option<ArtifactVersion>, Error>;

    /// A collection's type when only `entity/project/collection` is known, as the SDK names it.
    async fn collection_of_project(
        &self,
        project: &ProjectPath,
        name: &super::CollectionName,
    ) -> Result<Option<Collection>, Error>;

    /// A fresh presigned URL of the version's manifest: 1 request.
    async fn manifest_url(&self, artifact: &super::ArtifactId) -> Result<String, Error>;

    /// Fresh presigned URLs for stored files of one version, in the order asked; `None` where the
    /// server has none. One request per 1,000 files.
    async fn content_urls(&self, files: &[StoredAt]) -> Result<Vec<Option<String>>, Error>;

    /// Address of the page of a node in the W&B app, for the `url` xattr; no request.
    fn app_url(&self, path: &super::NodePath) -> Option<String>;
}

/// Data plane: open one content and read ranges of it.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Opens a content. Costs no request: the first read that is not on disk does.
    async fn open(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error>;

    /// Fraction of the content that is on disk, 0.0 to 1.0; no request.
    fn cached(&self, content: &Content) -> f64;
}

/// An open content. Reads may run concurrently.
#[allow(clippy::len_without_is_empty)] // emptiness would cost what the length costs
#[async_trait]
pub trait OpenBlob: Send + Sync + 'static {
    /// Bytes `offset .. offset + length`, shorter only at the end of the content, because the
    /// kernel takes a short read for a truncation.
    async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes, Error>;

    /// Length in bytes; asks the source where nobody knew it before.
    async fn len(&self) -> Result<u64, Error>;

    /// The verified file on disk, where the whole content is there: what passthrough and `pread`
    /// read from. Fetches nothing.
    fn file(&self) -> Option<Arc<std::fs::File>>;

    /// The whole content as a file on disk, fetching what is missing; for parsers that want
    /// [`std::io::Read`]. Without room on the disk of the cache an anonymous temporary file serves.
    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error>;
}
