//! The control plane of `--offline`: it asks nobody and says so.

use async_trait::async_trait;

use crate::model::{
    Applied, ArtifactId, ArtifactVersion, Collection, CollectionChange, CollectionName,
    CollectionPath, CreatedBy, Entity, EntityName, Error, ErrorKind, Hub, ListOptions, NodePath,
    Page, PageRequest, Project, ProjectArtifactType, ProjectPath, Run, RunArtifactsMode, RunPath,
    RunRef, SaveFailure, StoredAt, TypePath, VersionChange, VersionIndex, VersionSelector, Viewer,
};
use crate::wandb::Client;

/// Refuses every question; knows addresses in the app, which cost no request.
pub(crate) struct OfflineHub(Client);

impl OfflineHub {
    /// The client is there for addresses only.
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }
}

fn refused<T>(node: impl ToString) -> Result<T, Error> {
    let message = "--offline, and this is not on disk";
    Err(Error::new(ErrorKind::Offline, node.to_string(), message))
}

#[async_trait]
impl Hub for OfflineHub {
    async fn viewer(&self) -> Result<Viewer, Error> {
        refused("")
    }

    async fn entity(&self, name: &EntityName) -> Result<Option<Entity>, Error> {
        refused(name)
    }

    async fn projects(
        &self,
        entity: &EntityName,
        _page: &PageRequest,
    ) -> Result<Page<Project>, Error> {
        refused(entity)
    }

    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>, Error> {
        refused(path)
    }

    async fn artifact_types(
        &self,
        project: &ProjectPath,
        _page: &PageRequest,
    ) -> Result<Page<ProjectArtifactType>, Error> {
        refused(project)
    }

    async fn artifact_type(&self, path: &TypePath) -> Result<Option<ProjectArtifactType>, Error> {
        refused(path)
    }

    async fn collections(
        &self,
        artifact_type: &TypePath,
        _options: &ListOptions,
        _page: &PageRequest,
    ) -> Result<Page<Collection>, Error> {
        refused(artifact_type)
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Option<Collection>, Error> {
        refused(path)
    }

    async fn collection_aliases(&self, _collection: &Collection) -> Result<Vec<String>, Error> {
        refused("")
    }

    async fn versions(
        &self,
        collection: &CollectionPath,
        _options: &ListOptions,
        _page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        refused(collection)
    }

    async fn version(
        &self,
        collection: &CollectionPath,
        _selector: &VersionSelector,
    ) -> Result<Option<ArtifactVersion>, Error> {
        refused(collection)
    }

    async fn collection_of_project(
        &self,
        project: &ProjectPath,
        _name: &CollectionName,
    ) -> Result<Option<Collection>, Error> {
        refused(project)
    }

    async fn manifest_url(&self, _artifact: &ArtifactId) -> Result<String, Error> {
        refused("")
    }

    async fn content_urls(&self, _files: &[StoredAt]) -> Result<Vec<Option<String>>, Error> {
        refused("")
    }

    async fn runs(
        &self,
        project: &ProjectPath,
        _options: &ListOptions,
        _page: &PageRequest,
    ) -> Result<Page<Run>, Error> {
        refused(project)
    }

    async fn run(&self, run: &RunPath) -> Result<Option<Run>, Error> {
        refused(run)
    }

    async fn run_artifacts(
        &self,
        run: &RunPath,
        _mode: RunArtifactsMode,
        _page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        refused(run)
    }

    async fn used_by(
        &self,
        _artifact: &ArtifactId,
        _page: &PageRequest,
    ) -> Result<Page<RunRef>, Error> {
        refused("")
    }

    async fn logged_by(&self, _artifact: &ArtifactId) -> Result<Option<CreatedBy>, Error> {
        refused("")
    }

    async fn save_collection(
        &self,
        collection: &Collection,
        _change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        refused(&collection.path).map_err(SaveFailure::from)
    }

    async fn delete_collection(&self, collection: &Collection) -> Result<(), Error> {
        refused(&collection.path)
    }

    async fn create_collection(
        &self,
        path: &CollectionPath,
        _description: Option<&str>,
    ) -> Result<Collection, Error> {
        refused(path)
    }

    async fn save_version(
        &self,
        version: &ArtifactVersion,
        _change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        refused(&version.collection).map_err(SaveFailure::from)
    }

    async fn delete_version(
        &self,
        version: &ArtifactVersion,
        _delete_aliases: bool,
    ) -> Result<(), Error> {
        refused(&version.collection)
    }

    async fn link_version(
        &self,
        _source: &ArtifactVersion,
        target: &CollectionPath,
        _aliases: &[String],
    ) -> Result<VersionIndex, Error> {
        refused(target)
    }

    async fn unlink_version(&self, version: &ArtifactVersion) -> Result<(), Error> {
        refused(&version.collection)
    }

    fn app_url(&self, path: &NodePath) -> Option<String> {
        self.0.app_url(path)
    }
}
