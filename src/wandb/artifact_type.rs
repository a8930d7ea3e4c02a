//! `ArtifactTypes` and `ArtifactType`.

use super::artifact_collection::{ArtifactCollection, ArtifactCollections};
use super::client::Client;
use super::paginator::{Paginator, singular};
use super::project::{invalid, not_found};
use crate::model::{
    self, CollectionName, CollectionPath, Error, Hub, ListOptions, NodePath, ProjectPath, TypeName,
    TypePath,
};

/// The artifact types of a project. The server does not count them.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Versions(3));
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// let types: Vec<_> = client.artifact_types("scale").await?.try_collect().await?;
/// assert_eq!(types[0].name.as_str(), "dataset");
/// # Ok(())
/// # }
/// ```
pub type ArtifactTypes = Paginator<ArtifactType>;

/// An artifact type of a project: its id, name, description, creation time, and its collections.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Versions(3));
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// let dataset = client.artifact_type("scale", "dataset").await?;
/// assert_eq!(dataset.collection("versions").await?.name(), "versions");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ArtifactType {
    pub(crate) client: Client,
    pub(crate) project: ProjectPath,
    pub(crate) value: model::ProjectArtifactType,
}

singular!(ArtifactType around model::ProjectArtifactType);

impl ArtifactType {
    /// Where it is.
    pub fn path(&self) -> TypePath {
        TypePath {
            project: self.project.clone(),
            artifact_type: self.name.clone(),
        }
    }

    /// A collection of this type by name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](model::ErrorKind::NotFound) when there is none of this type.
    pub async fn collection(&self, name: &str) -> Result<ArtifactCollection, Error> {
        let path = self.path();
        let path = CollectionPath {
            project: path.project,
            artifact_type: path.artifact_type,
            name: CollectionName::new(name).map_err(|fault| invalid(name, fault))?,
        };
        let found = Hub::collection(&self.client, &path).await?;
        let missing = || not_found(path.to_string(), "there is no such collection");
        Ok(ArtifactCollection::new(
            self.client.clone(),
            found.ok_or_else(missing)?,
        ))
    }

    /// Its collections, filtered and ordered by the server (protocol §5).
    pub fn collections(&self, options: &ListOptions) -> ArtifactCollections {
        let (client, path, options) = (self.client.clone(), self.path(), options.clone());
        Paginator::new(move |page| {
            let (client, path, options) = (client.clone(), path.clone(), options.clone());
            async move {
                let found = Hub::collections(&client, &path, &options, &page).await?;
                Ok(found.map(|value| ArtifactCollection::new(client.clone(), value)))
            }
        })
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        self.client.app_url(&NodePath::Type(self.path()))
    }
}

impl Client {
    /// The artifact types of `[entity/]project`.
    ///
    /// # Errors
    /// When the path cannot be one, or its entity cannot be found out.
    pub async fn artifact_types(&self, project: &str) -> Result<ArtifactTypes, Error> {
        Ok(self.types_of(self.project_path(project).await?))
    }

    /// An artifact type of `[entity/]project` by name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](model::ErrorKind::NotFound) when there is none.
    pub async fn artifact_type(&self, project: &str, name: &str) -> Result<ArtifactType, Error> {
        let project = self.project_path(project).await?;
        let artifact_type = TypeName::new(name).map_err(|fault| invalid(name, fault))?;
        let path = TypePath {
            project: project.clone(),
            artifact_type,
        };
        let found = Hub::artifact_type(self, &path).await?;
        let missing = || not_found(path.to_string(), "there is no such artifact type");
        Ok(ArtifactType {
            client: self.clone(),
            project,
            value: found.ok_or_else(missing)?,
        })
    }

    pub(crate) fn types_of(&self, project: ProjectPath) -> ArtifactTypes {
        let client = self.clone();
        Paginator::new(move |page| {
            let (client, project) = (client.clone(), project.clone());
            async move {
                let found = Hub::artifact_types(&client, &project, &page).await?;
                Ok(found.map(|value| ArtifactType {
                    client: client.clone(),
                    project: project.clone(),
                    value,
                }))
            }
        })
    }
}
