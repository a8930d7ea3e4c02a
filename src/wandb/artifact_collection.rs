//! `ArtifactCollections` and `ArtifactCollection`.

use super::answers::{CollectionsAnswer, CollectionsOf};
use super::artifacts::Artifacts;
use super::client::Client;
use super::convert;
use super::hub::{ITEMS_PER_PAGE, listing, page_of, project_variables};
use super::operations as op;
use super::paginator::{Paginator, singular};
use super::project::{invalid, not_found};
use crate::model::{
    self, CollectionKind, CollectionName, Error, Hub, ListOptions, NodePath, ProjectPath,
};

/// Collections of a type, of a project, or of a registry. `len` is the server's count.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Artifacts(3));
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// use wandbfs::model::ListOptions;
///
/// let dataset = client.artifact_type("scale", "dataset").await?;
/// let mut collections = dataset.collections(&ListOptions::default()).with_per_page(2);
/// assert_eq!(collections.len().await?, 3);
/// while let Some(collection) = collections.try_next().await? {
///     assert!(collection.name().starts_with("artifact-"));
/// }
/// # Ok(())
/// # }
/// ```
pub type ArtifactCollections = Paginator<ArtifactCollection>;

/// A collection: a sequence of versions, or a portfolio of links.
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
/// let collection = client.artifact_collection("scale", "versions").await?;
/// assert!(collection.is_sequence());
/// assert!(collection.aliases().await?.contains(&"latest".to_owned()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ArtifactCollection {
    pub(crate) client: Client,
    pub(crate) value: model::Collection,
}

singular!(ArtifactCollection around model::Collection);

impl ArtifactCollection {
    /// Its name.
    pub fn name(&self) -> &str {
        self.path.name.as_str()
    }

    /// The name of its type.
    pub fn artifact_type(&self) -> &str {
        self.path.artifact_type.as_str()
    }

    /// All its aliases, each once and without `vN`. Costs a request per 1,000 only where more exist
    /// than came along.
    ///
    /// # Errors
    /// What such a request failed of.
    pub async fn aliases(&self) -> Result<Vec<String>, Error> {
        let mut aliases = self.value.aliases.clone();
        if self.more_aliases {
            aliases.extend(Hub::collection_aliases(&self.client, &self.value).await?);
        }
        Ok(aliases)
    }

    /// Whether it holds versions of its own (and not links).
    pub fn is_sequence(&self) -> bool {
        self.kind == CollectionKind::Sequence
    }

    /// Its versions, filtered and ordered by the server (protocol §5); committed ones where the
    /// options name no filter.
    pub fn artifacts(&self, options: &ListOptions) -> Artifacts {
        Artifacts::of(self.client.clone(), self.path.clone(), options.clone())
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        self.client
            .app_url(&NodePath::Collection(self.path.clone()))
    }
}

impl Client {
    /// The collections of a type of `[entity/]project`.
    ///
    /// # Errors
    /// When a name cannot be one, or the entity cannot be found out.
    pub async fn artifact_collections(
        &self,
        project: &str,
        type_name: &str,
        options: &ListOptions,
    ) -> Result<ArtifactCollections, Error> {
        let artifact_type = super::artifact_type::ArtifactType {
            client: self.clone(),
            project: self.project_path(project).await?,
            value: model::ProjectArtifactType {
                id: String::new(),
                name: model::TypeName::new(type_name).map_err(|f| invalid(type_name, f))?,
                description: None,
                created_at: None,
                collection_count: None,
            },
        };
        Ok(artifact_type.collections(options))
    }

    /// A collection of `[entity/]project` by name, whatever its type.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](model::ErrorKind::NotFound) when there is none.
    pub async fn artifact_collection(
        &self,
        project: &str,
        name: &str,
    ) -> Result<ArtifactCollection, Error> {
        let project = self.project_path(project).await?;
        let name = CollectionName::new(name).map_err(|fault| invalid(name, fault))?;
        let found = Hub::collection_of_project(self, &project, &name).await?;
        let missing = || not_found(format!("{project}/{name}"), "there is no such collection");
        Ok(ArtifactCollection {
            client: self.clone(),
            value: found.ok_or_else(missing)?,
        })
    }

    /// Every collection of a project, of all types.
    pub(crate) fn collections_of_project(
        &self,
        project: ProjectPath,
        options: &ListOptions,
    ) -> ArtifactCollections {
        let (client, options) = (self.clone(), options.clone());
        Paginator::new(move |page| {
            let (client, project, options) = (client.clone(), project.clone(), options.clone());
            async move {
                let operation = op::PROJECT_ARTIFACT_COLLECTIONS;
                let (node, asked) = (project.to_string(), project_variables(&project));
                let asked = listing(asked, &page, ITEMS_PER_PAGE, &options);
                let answer = client
                    .execute::<CollectionsAnswer>(operation, &node, asked)
                    .await?;
                let found = answer
                    .project
                    .and_then(|found: CollectionsOf| found.artifact_collections);
                page_of(operation, &node, found, |collection| {
                    let value = convert::collection(collection, &project, None)?;
                    Some(ArtifactCollection {
                        client: client.clone(),
                        value,
                    })
                })
            }
        })
    }
}
