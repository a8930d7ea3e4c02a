//! `Artifact`: one version, with what it leads to.

use super::answers::{ArtifactAnswer, CreatedByOf, MembershipsOf, UsedByOf};
use super::artifact_collection::ArtifactCollection;
use super::artifact_files::ArtifactFiles;
use super::client::Client;
use super::convert;
use super::hub::{convert_membership, listing, page_of, variables};
use super::operations as op;
use super::paginator::{Paginator, singular};
use super::project::{invalid, not_found};
use super::wire;
use crate::model::{
    self, ArtifactId, ArtifactVersion, CollectionName, CollectionPath, CreatedBy, Error, ErrorKind,
    Hub, LinkedVersion, ListOptions, NodePath, Page, PageRequest, RunRef, TypeName, VersionChange,
    VersionSelector,
};
use serde_json::json;

/// Runs and links per request, as many as the SDK keeps.
const LINEAGE_PER_PAGE: u32 = 500;

/// A version of an artifact as reached through one collection, with every field of the API.
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
/// let artifact = client.artifact("scale/versions:latest").await?;
/// assert_eq!((artifact.name().as_str(), artifact.version().as_str()), ("versions:latest", "v2"));
/// let manifest = artifact.manifest().await?;
/// assert_eq!(Some(manifest.entries.len() as u64), artifact.file_count);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Artifact {
    pub(crate) client: Client,
    pub(crate) value: ArtifactVersion,
    /// What it was asked by; `vN` without.
    asked: Option<VersionSelector>,
    /// What was set and not saved yet.
    pub(super) draft: VersionChange,
}

singular!(Artifact around ArtifactVersion);

impl Artifact {
    pub(crate) fn new(
        client: Client,
        value: ArtifactVersion,
        asked: Option<VersionSelector>,
    ) -> Self {
        Self {
            client,
            value,
            asked,
            draft: VersionChange::default(),
        }
    }

    /// `collection:` and the alias it was asked by, or `vN`.
    pub fn name(&self) -> String {
        let collection = &self.value.collection.name;
        match &self.asked {
            Some(selector) => format!("{collection}:{selector}"),
            None => format!("{collection}:{}", self.index),
        }
    }

    /// The collection it was reached through.
    pub fn path(&self) -> &CollectionPath {
        &self.value.collection
    }

    /// `vN` in the collection it was reached through.
    pub fn version(&self) -> String {
        self.index.to_string()
    }

    /// `entity/project/` and its [name](Self::name).
    pub fn qualified_name(&self) -> String {
        format!("{}/{}", self.value.collection.project, self.name())
    }

    /// `vN` in its own sequence.
    pub fn source_version(&self) -> Option<String> {
        self.source_index.map(|index| index.to_string())
    }

    /// `sequence:vN`.
    pub fn source_name(&self) -> Option<String> {
        let index = self.source_index?;
        Some(format!("{}:{index}", self.source_collection))
    }

    /// `entity/project/sequence:vN`; empty parts where the caller may not see the source project.
    pub fn source_qualified_name(&self) -> Option<String> {
        let entity = self.source_entity.as_deref().unwrap_or_default();
        let project = self.source_project.as_deref().unwrap_or_default();
        Some(format!("{entity}/{project}/{}", self.source_name()?))
    }

    /// Since when it is linked (RFC 3339); links only.
    pub fn linked_at(&self) -> Option<&str> {
        let since = self.membership.created_at.as_deref();
        since.filter(|_| self.is_link())
    }

    /// Its page in the app.
    pub fn url(&self) -> Option<String> {
        self.client.app_url(&NodePath::Version {
            collection: self.value.collection.clone(),
            selector: VersionSelector::Index(self.index),
            below: String::new(),
        })
    }

    /// The collection it was reached through: 1 request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is gone meanwhile.
    pub async fn collection(&self) -> Result<ArtifactCollection, Error> {
        let path = &self.value.collection;
        let found = Hub::collection(&self.client, path).await?;
        let missing = || not_found(path.to_string(), "there is no such collection");
        Ok(ArtifactCollection::new(
            self.client.clone(),
            found.ok_or_else(missing)?,
        ))
    }

    /// Its files as the server lists them.
    pub fn files(&self) -> ArtifactFiles {
        ArtifactFiles::of(self.client.clone(), &self.value, None)
    }

    /// Those of its files that have one of these paths; a path that no file has is left out.
    pub fn files_named<S: Into<String>>(
        &self,
        names: impl IntoIterator<Item = S>,
    ) -> ArtifactFiles {
        let names = names.into_iter().map(Into::into).collect();
        ArtifactFiles::of(self.client.clone(), &self.value, Some(names))
    }

    /// The runs that use it: a request per 500.
    ///
    /// # Errors
    /// What a request failed of.
    pub async fn used_by(&self) -> Result<Vec<RunRef>, Error> {
        let (client, id, node) = (self.client.clone(), self.id.clone(), self.qualified_name());
        let runs = Paginator::new(move |page| {
            let (client, id, node) = (client.clone(), id.clone(), node.clone());
            async move { client.page_of_used_by(&id, &node, &page).await }
        });
        everything(runs).await
    }

    /// Who made it: 1 request. `None` where nobody knows.
    ///
    /// # Errors
    /// What the request failed of.
    pub async fn logged_by(&self) -> Result<Option<CreatedBy>, Error> {
        self.client
            .creator_of(&self.id, &self.qualified_name())
            .await
    }

    /// The portfolios that link it, all of them: a request per 500. Up to 500 came along in the
    /// field of the same name.
    ///
    /// # Errors
    /// What a request failed of.
    pub async fn linked_artifacts(&self) -> Result<Vec<LinkedVersion>, Error> {
        self.client.links_of(&self.id, &self.qualified_name()).await
    }

    /// The version in its own sequence, which for a link is another node: 1 request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the caller may not see it.
    pub async fn source_artifact(&self) -> Result<Self, Error> {
        let Some(name) = self.source_qualified_name().filter(|_| self.is_link()) else {
            return Ok(self.clone());
        };
        if self.source_entity.is_none() || self.source_project.is_none() {
            return Err(not_found(
                self.qualified_name(),
                "its source project is not visible",
            ));
        }
        self.client.artifact(&name).await
    }
}

impl Client {
    /// One page of the runs that use a version.
    pub(crate) async fn page_of_used_by(
        &self,
        id: &ArtifactId,
        node: &str,
        page: &PageRequest,
    ) -> Result<Page<RunRef>, Error> {
        let (operation, asked) = (op::ARTIFACT_USED_BY, json!({ "id": id.as_str() }));
        let asked = listing(asked, page, LINEAGE_PER_PAGE, &ListOptions::default());
        let answer = self
            .execute::<ArtifactAnswer<UsedByOf>>(operation, node, asked)
            .await?;
        let runs = answer.artifact.and_then(|artifact| artifact.used_by);
        page_of(operation, node, runs, |run| run_ref(run.name, run.project))
    }

    /// Who made a version.
    pub(crate) async fn creator_of(
        &self,
        id: &ArtifactId,
        node: &str,
    ) -> Result<Option<CreatedBy>, Error> {
        let asked = variables(json!({ "id": id.as_str() }));
        let answer = self
            .execute::<ArtifactAnswer<CreatedByOf>>(op::ARTIFACT_CREATED_BY, node, asked)
            .await?;
        let creator = answer.artifact.and_then(|artifact| artifact.created_by);
        Ok(
            creator.and_then(|creator| match creator.typename.as_deref() {
                Some("User") => creator.username.map(CreatedBy::User),
                _ => run_ref(creator.name, creator.project).map(CreatedBy::Run),
            }),
        )
    }

    /// The portfolios that link a version, all of them.
    pub(crate) async fn links_of(
        &self,
        id: &ArtifactId,
        node: &str,
    ) -> Result<Vec<LinkedVersion>, Error> {
        let (client, id, node) = (self.clone(), id.clone(), node.to_owned());
        let links = Paginator::new(move |page| {
            let (client, id, node) = (client.clone(), id.clone(), node.clone());
            async move {
                let (operation, asked) = (op::FETCH_LINKED_ARTIFACTS, json!({ "id": id.as_str() }));
                let asked = listing(asked, &page, LINEAGE_PER_PAGE, &ListOptions::default());
                let answer = client
                    .execute::<ArtifactAnswer<MembershipsOf>>(operation, &node, asked)
                    .await?;
                let found = answer
                    .artifact
                    .and_then(|artifact| artifact.artifact_memberships);
                page_of(operation, &node, found, convert::linked)
            }
        });
        everything(links).await
    }
}

async fn everything<T: 'static>(mut pages: Paginator<T>) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    while let Some(page) = pages.next_page().await? {
        all.extend(page);
    }
    Ok(all)
}

fn run_ref(name: Option<String>, project: Option<wire::Place>) -> Option<RunRef> {
    let (project, entity) = match project {
        Some(place) => (place.name, place.entity.and_then(|entity| entity.name)),
        None => (None, None),
    };
    Some(RunRef {
        entity,
        project,
        name: name?,
    })
}

impl Client {
    /// A version as the SDK names it: `[[entity/]project/]collection[:alias]`, `latest` without
    /// alias; a digest or commit hash does too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::Invalid`] when the name is not of
    /// that form.
    pub async fn artifact(&self, name: &str) -> Result<Artifact, Error> {
        let (left, alias) = name.split_once(':').unwrap_or((name, "latest"));
        let parts: Vec<&str> = left.split('/').collect();
        let (entity, project, collection) = match parts.as_slice() {
            [collection] => (None, None, *collection),
            [project, collection] => (None, Some(*project), *collection),
            [entity, project, collection] => (Some(*entity), Some(*project), *collection),
            _ => {
                let words = "at most entity/project/collection may stand left of the colon";
                return Err(Error::new(ErrorKind::Invalid, name, words));
            }
        };
        let collection = CollectionName::new(collection).map_err(|fault| invalid(name, fault))?;
        let selector = VersionSelector::parse(alias).map_err(|fault| invalid(name, fault))?;
        let project = self.complete(entity, project).await?;
        let missing = || not_found(name.to_owned(), "there is no such artifact");
        let found = self.membership(&project, &collection, &selector).await?;
        let (answered, membership) = found.ok_or_else(missing)?;
        let own = membership
            .artifact
            .as_ref()
            .and_then(|a| a.artifact_type.as_ref()?.name.as_deref());
        let own = own.and_then(|name| TypeName::new(name).ok());
        let path = CollectionPath {
            project,
            artifact_type: answered.or(own).ok_or_else(missing)?,
            name: collection,
        };
        let version = convert_membership(membership, &path).ok_or_else(missing)?;
        Ok(Artifact::new(self.clone(), version, Some(selector)))
    }

    /// A version by its global id, in its own sequence: 1 request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn artifact_by_id(&self, id: &ArtifactId) -> Result<Artifact, Error> {
        let asked = variables(json!({ "id": id.as_str() }));
        let answer = self
            .execute::<ArtifactAnswer<wire::Artifact>>(op::ARTIFACT_BY_ID, id.as_str(), asked)
            .await?;
        // Used for names that the answer leaves out, which only a foreign server does.
        let fallback = model::ProjectPath {
            entity: model::EntityName::new("unknown").map_err(|fault| invalid("unknown", fault))?,
            project: model::ProjectName::new("unknown").map_err(|f| invalid("unknown", f))?,
        };
        let found = answer
            .artifact
            .and_then(|wire| convert::source_version(wire, &fallback));
        let missing = || not_found(id.as_str().to_owned(), "there is no such artifact");
        Ok(Artifact::new(
            self.clone(),
            found.ok_or_else(missing)?,
            None,
        ))
    }

    /// `[entity/]project/collection` with a type.
    pub(crate) async fn collection_path(
        &self,
        type_name: &str,
        path: &str,
    ) -> Result<CollectionPath, Error> {
        let parts: Vec<&str> = path.split('/').collect();
        let (entity, project, name) = match parts.as_slice() {
            [name] => (None, None, *name),
            [project, name] => (None, Some(*project), *name),
            [entity, project, name] => (Some(*entity), Some(*project), *name),
            _ => {
                let words = "not of the form entity/project/collection";
                return Err(Error::new(ErrorKind::Invalid, path, words));
            }
        };
        Ok(CollectionPath {
            artifact_type: TypeName::new(type_name).map_err(|fault| invalid(type_name, fault))?,
            name: CollectionName::new(name).map_err(|fault| invalid(name, fault))?,
            project: self.complete(entity, project).await?,
        })
    }
}
