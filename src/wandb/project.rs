//! Projects, and how paths that leave out the entity or the project are completed.

use super::artifact_collection::ArtifactCollections;
use super::artifact_type::ArtifactTypes;
use super::client::Client;
use super::paginator::{Paginator, singular};
use super::run::Run;
use crate::model::{
    self, EntityName, Error, ErrorKind, Hub, ListOptions, ProjectName, ProjectPath,
};

/// Project of a path that names none (protocol §1.1).
const DEFAULT_PROJECT: &str = "uncategorized";

/// The projects of an entity, 200 a page unless asked otherwise. The server does not count them.
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
/// let projects: Vec<_> = client.projects(None).await?.try_collect().await?;
/// assert!(projects.iter().any(|project| project.path.project.as_str() == "scale"));
/// # Ok(())
/// # }
/// ```
pub type Projects = Paginator<Project>;

/// A project.
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
/// let project = client.project("scale").await?;
/// assert_eq!(project.path.entity.as_str(), server.entity());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Project {
    pub(crate) client: Client,
    pub(crate) value: model::Project,
}

singular!(Project around model::Project);

impl Project {
    /// Its artifact types.
    pub fn artifact_types(&self) -> ArtifactTypes {
        self.client.types_of(self.path.clone())
    }

    /// Its collections of every type.
    pub fn collections(&self, options: &ListOptions) -> ArtifactCollections {
        self.client
            .collections_of_project(self.path.clone(), options)
    }

    /// A run of it by id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn run(&self, id: &str) -> Result<Run, Error> {
        self.client.run_of(&self.path, id).await
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        self.client
            .app_url(&model::NodePath::Project(self.path.clone()))
    }
}

impl Client {
    /// The signed-in user.
    ///
    /// # Errors
    /// [`ErrorKind::NotSignedIn`] when the server does not know the key.
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
    /// let viewer = client.viewer().await?;
    /// assert_eq!(viewer.entities[0].as_str(), server.entity());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn viewer(&self) -> Result<model::Viewer, Error> {
        Hub::viewer(self).await
    }

    /// The projects of an entity, the default one without a name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the name cannot be an entity's.
    pub async fn projects(&self, entity: Option<&str>) -> Result<Projects, Error> {
        let entity = match entity {
            Some(name) => EntityName::new(name).map_err(|fault| invalid(name, fault))?,
            None => self.default_entity().await?,
        };
        let client = self.clone();
        Ok(Paginator::new(move |page| {
            let (client, entity) = (client.clone(), entity.clone());
            async move {
                let found = Hub::projects(&client, &entity, &page).await?;
                Ok(found.map(|value| Project {
                    client: client.clone(),
                    value,
                }))
            }
        }))
    }

    /// A project by path, `entity/project`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn project(&self, path: &str) -> Result<Project, Error> {
        let path = self.project_path(path).await?;
        let found = Hub::project(self, &path).await?;
        let value = found.ok_or_else(|| not_found(path.to_string(), "there is no such project"))?;
        let client = self.clone();
        Ok(Project { client, value })
    }

    /// `[entity/]project`, completed from the configuration and the viewer.
    pub(crate) async fn project_path(&self, text: &str) -> Result<ProjectPath, Error> {
        let (entity, project) = match text.split_once('/') {
            Some((entity, project)) => (Some(entity), project),
            None => (None, text),
        };
        self.complete(entity, Some(project)).await
    }

    /// The project of a path, its parts completed from the configuration and the viewer.
    pub(crate) async fn complete(
        &self,
        entity: Option<&str>,
        project: Option<&str>,
    ) -> Result<ProjectPath, Error> {
        let project = project.or(self.config().default_project.as_deref());
        let project = project
            .filter(|name| !name.is_empty())
            .unwrap_or(DEFAULT_PROJECT);
        let project = ProjectName::new(project).map_err(|fault| invalid(project, fault))?;
        let entity = match entity {
            Some(name) => EntityName::new(name).map_err(|fault| invalid(name, fault))?,
            None => self.default_entity().await?,
        };
        Ok(ProjectPath { entity, project })
    }

    /// The configured default entity, else the viewer's.
    pub(crate) async fn default_entity(&self) -> Result<EntityName, Error> {
        if let Some(entity) = &self.config().default_entity {
            return Ok(entity.clone());
        }
        let viewer = Hub::viewer(self).await?;
        let first = viewer.entities.into_iter().next();
        viewer.entity.or(first).ok_or_else(|| {
            let words = "the path names no entity, and the user has no default one";
            Error::new(ErrorKind::Invalid, "", words)
        })
    }
}

/// A name that cannot be, as an error about it.
pub(crate) fn invalid(
    node: &str,
    fault: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::caused_by(ErrorKind::Invalid, node, "not a valid name", fault)
}

/// A missing noun.
pub(crate) fn not_found(node: String, words: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, node, words)
}
