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
    self, Applied, CollectionChange, CollectionKind, CollectionName, Error, Hub, ListOptions,
    NodePath, ProjectPath, SaveFailure, TypeName,
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
    /// What was set and not saved yet.
    draft: CollectionChange,
}

singular!(ArtifactCollection around model::Collection);

impl ArtifactCollection {
    pub(crate) fn new(client: Client, value: model::Collection) -> Self {
        Self {
            client,
            value,
            draft: CollectionChange::default(),
        }
    }

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

    /// Sets the name that [`save`](Self::save) gives it.
    pub fn set_name(&mut self, name: &str) {
        self.draft.name = (name != self.name()).then(|| name.to_owned());
    }

    /// Sets its description; `""` clears it.
    pub fn set_description(&mut self, text: &str) {
        let is_new = self.description.as_deref() != Some(text);
        self.draft.description = is_new.then(|| text.to_owned());
    }

    /// Sets its type; a portfolio's cannot be saved.
    pub fn set_type(&mut self, type_name: &str) {
        let is_new = self.artifact_type() != type_name;
        self.draft.artifact_type = is_new.then(|| type_name.to_owned());
    }

    /// Sets its tags.
    pub fn set_tags<'a>(&mut self, tags: impl IntoIterator<Item = &'a str>) {
        (self.draft.tags_added, self.draft.tags_removed) = difference(&self.value.tags, tags);
    }

    /// Saves what was set: only what differs, nothing where nothing does, in the order of the SDK.
    /// Afterwards this value shows it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](model::ErrorKind::Invalid) before anything is sent when a rule is
    /// broken; else why a step failed, with the steps before it that were applied. What was set
    /// stays set.
    ///
    /// ```
    /// # use wandbfs::server::{Seed, ServerOptions, start};
    /// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let data = tempfile::tempdir()?;
    /// # let seed = Some(Seed::Versions(2));
    /// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
    /// # let key = Authorization::Basic(Secret::new(server.api_key()));
    /// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
    /// use wandbfs::model::Applied;
    ///
    /// let mut collection = client.artifact_collection("scale", "versions").await?;
    /// collection.set_description("three digits, by hand");
    /// collection.set_tags(["digits", "small"]);
    /// let applied = collection.save().await?;
    /// assert_eq!(applied, [Applied::Description, Applied::TagsAdded]);
    /// let again = client.artifact_collection("scale", "versions").await?;
    /// assert_eq!(again.description.as_deref(), Some("three digits, by hand"));
    /// assert_eq!(collection.save().await?, []);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn save(&mut self) -> Result<Vec<Applied>, SaveFailure> {
        let (name, type_name) = (self.draft.name.as_deref(), &self.draft.artifact_type);
        let mut path = self.value.path.clone();
        if let Some(name) = name {
            path.name = CollectionName::new(name).map_err(|fault| invalid(name, fault))?;
        }
        if let Some(name) = type_name {
            path.artifact_type = TypeName::new(name).map_err(|fault| invalid(name, fault))?;
        }
        let applied = Hub::save_collection(&self.client, &self.value, &self.draft).await?;
        let draft = std::mem::take(&mut self.draft);
        self.value.path = path;
        if draft.description.is_some() {
            self.value.description = draft.description;
        }
        exchange(&mut self.value.tags, draft.tags_added, &draft.tags_removed);
        Ok(applied)
    }

    /// Changes its type at once.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    ///
    /// ```
    /// # use wandbfs::server::{Seed, ServerOptions, start};
    /// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let data = tempfile::tempdir()?;
    /// # let seed = Some(Seed::Versions(2));
    /// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
    /// # let key = Authorization::Basic(Secret::new(server.api_key()));
    /// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
    /// let mut collection = client.artifact_collection("scale", "versions").await?;
    /// collection.change_type("table").await?;
    /// let version = client.artifact("scale/versions:v0").await?;
    /// assert_eq!(version.type_name, "table");
    /// assert!(collection.change_type("job").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn change_type(&mut self, type_name: &str) -> Result<(), SaveFailure> {
        let before = self.draft.clone();
        self.draft = CollectionChange::default();
        self.set_type(type_name);
        let saved = self.save().await;
        let moved = saved.is_ok();
        self.draft = before;
        if moved {
            self.draft.artifact_type = None;
        }
        saved.map(drop)
    }

    /// Deletes it: a sequence with all its versions, a portfolio with its links only.
    ///
    /// # Errors
    /// What the request failed of.
    ///
    /// ```
    /// # use wandbfs::server::{Seed, ServerOptions, start};
    /// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let data = tempfile::tempdir()?;
    /// # let seed = Some(Seed::Versions(2));
    /// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
    /// # let key = Authorization::Basic(Secret::new(server.api_key()));
    /// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
    /// client.artifact_collection("scale", "versions").await?.delete().await?;
    /// assert!(client.artifact("scale/versions:v0").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete(self) -> Result<(), Error> {
        Hub::delete_collection(&self.client, &self.value).await
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        self.client
            .app_url(&NodePath::Collection(self.path.clone()))
    }
}

/// What `now` has and `before` lacks, each once, and what `now` lacks.
pub(crate) fn difference<'a>(
    before: &[String],
    now: impl IntoIterator<Item = &'a str>,
) -> (Vec<String>, Vec<String>) {
    let mut wanted: Vec<String> = Vec::new();
    for name in now {
        if !wanted.iter().any(|known| known == name) {
            wanted.push(name.to_owned());
        }
    }
    let gone = before.iter().filter(|name| !wanted.contains(name));
    let gone = gone.cloned().collect();
    wanted.retain(|name| !before.contains(name));
    (wanted, gone)
}

/// Applies a difference.
pub(crate) fn exchange(names: &mut Vec<String>, added: Vec<String>, removed: &[String]) {
    names.retain(|name| !removed.contains(name));
    names.extend(added);
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
        Ok(ArtifactCollection::new(
            self.clone(),
            found.ok_or_else(missing)?,
        ))
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
                    Some(ArtifactCollection::new(client.clone(), value))
                })
            }
        })
    }
}
