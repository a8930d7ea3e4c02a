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
    Applied, ArtifactId, ArtifactVersion, Collection, CollectionChange, CollectionPath, Content,
    CreatedBy, Entity, EntityName, Error, ErrorKind, ListOptions, Page, PageRequest, Project,
    ProjectArtifactType, ProjectPath, Run, RunArtifactsMode, RunPath, RunRef, SaveFailure,
    StoredAt, TypePath, Upcoming, VersionChange, VersionIndex, VersionPath, VersionSelector,
    Viewer,
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

    /// One page of the runs of a project; its own default order where the options name none.
    async fn runs(
        &self,
        project: &ProjectPath,
        _options: &ListOptions,
        _page: &PageRequest,
    ) -> Result<Page<Run>, Error> {
        unsupported(project)
    }

    /// A run by id: 1 request.
    async fn run(&self, run: &RunPath) -> Result<Option<Run>, Error> {
        unsupported(run)
    }

    /// One page of what a run logged or used, each as its own sequence knows it.
    async fn run_artifacts(
        &self,
        run: &RunPath,
        _mode: RunArtifactsMode,
        _page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        unsupported(run)
    }

    /// One page of the runs that use a version.
    async fn used_by(
        &self,
        artifact: &ArtifactId,
        _page: &PageRequest,
    ) -> Result<Page<RunRef>, Error> {
        unsupported(artifact.as_str())
    }

    /// Who made a version: 1 request; `None` where nobody knows.
    async fn logged_by(&self, artifact: &ArtifactId) -> Result<Option<CreatedBy>, Error> {
        unsupported(artifact.as_str())
    }

    /// Saves what differs in a collection, in the order of the SDK: name and description, type,
    /// tags added, tags removed (protocol §6.3). Returns what was sent; an empty change sends
    /// nothing, a change against the rules nothing either ([`ErrorKind::Invalid`]).
    async fn save_collection(
        &self,
        collection: &Collection,
        _change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        unsupported(&collection.path).map_err(SaveFailure::from)
    }

    /// Deletes a collection whole: a sequence with its versions, a portfolio with its links.
    async fn delete_collection(&self, collection: &Collection) -> Result<(), Error> {
        unsupported(&collection.path)
    }

    /// Makes an empty portfolio. Its type is created where the project lacks it.
    /// [`ErrorKind::Busy`] when the name is taken.
    async fn create_collection(
        &self,
        path: &CollectionPath,
        _description: Option<&str>,
    ) -> Result<Collection, Error> {
        unsupported(path)
    }

    /// Saves what differs in a version, in the order of the SDK: aliases added, aliases removed,
    /// then everything else in one request (protocol §6.1). Returns what was sent; an empty change
    /// sends nothing, a change against the rules nothing either ([`ErrorKind::Invalid`]).
    async fn save_version(
        &self,
        version: &ArtifactVersion,
        _change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        unsupported(&version.collection).map_err(SaveFailure::from)
    }

    /// Deletes a version. [`ErrorKind::Busy`] while it has aliases, unless `delete_aliases`. Given
    /// a link it unlinks, as the SDK does.
    async fn delete_version(
        &self,
        version: &ArtifactVersion,
        _delete_aliases: bool,
    ) -> Result<(), Error> {
        unsupported(&version.collection)
    }

    /// Gives an alias to a version in the collection it was reached through; a version that has it
    /// there loses it.
    async fn add_alias(&self, version: &ArtifactVersion, alias: &str) -> Result<(), Error> {
        let change = VersionChange {
            aliases_added: vec![alias.to_owned()],
            ..VersionChange::default()
        };
        self.save_version(version, &change).await?;
        Ok(())
    }

    /// Takes an alias away from a version in the collection it was reached through.
    async fn remove_alias(&self, version: &ArtifactVersion, alias: &str) -> Result<(), Error> {
        let change = VersionChange {
            aliases_removed: vec![alias.to_owned()],
            ..VersionChange::default()
        };
        self.save_version(version, &change).await?;
        Ok(())
    }

    /// Links a version into a portfolio, which is made where missing, under `latest` and the
    /// aliases given. Returns its number there. The source of a link is what is linked.
    async fn link_version(
        &self,
        _source: &ArtifactVersion,
        target: &CollectionPath,
        _aliases: &[String],
    ) -> Result<VersionIndex, Error> {
        unsupported(target)
    }

    /// Takes a link out of the portfolio it was reached through. [`ErrorKind::Invalid`] for a
    /// version in its own sequence.
    async fn unlink_version(&self, version: &ArtifactVersion) -> Result<(), Error> {
        unsupported(&version.collection)
    }

    /// Registers a version as an input of a run; again changes nothing.
    async fn use_version(
        &self,
        _run: &RunPath,
        version: &VersionPath,
        _artifact: &ArtifactId,
    ) -> Result<(), Error> {
        unsupported(version)
    }
}

/// What a hub that cannot do something answers.
fn unsupported<T>(node: impl ToString) -> Result<T, Error> {
    let words = "this is not offered here";
    Err(Error::new(ErrorKind::Unsupported, node.to_string(), words))
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

    /// Bytes of the content that are here, on disk or in memory, as far as they are counted. Fetches
    /// nothing.
    fn present(&self) -> u64 {
        0
    }

    /// The verified file on disk, where the whole content is there: what passthrough and `pread`
    /// read from. Fetches nothing.
    fn file(&self) -> Option<Arc<std::fs::File>>;

    /// The whole content as a file on disk, fetching what is missing; for parsers that want
    /// [`std::io::Read`]. Without room on the disk of the cache an anonymous temporary file serves.
    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error>;
}
