//! `Registry` and `Registries`: projects of an organisation's entity (protocol §13).

use serde_json::json;

use super::answers::{
    CollectionsOf, EntityAnswer, MembershipsOf, OrganizationAnswer, RegistriesOf, RegistryAnswer,
};
use super::app_url::REGISTRY_PREFIX;
use super::artifact::Artifact;
use super::artifact_collection::ArtifactCollection;
use super::client::Client;
use super::convert;
use super::hub::{convert_membership, listing, page_of, variables};
use super::operations as op;
use super::paginator::{Paginator, singular};
use super::project::{invalid, not_found};
use super::wire;
use crate::model::{
    self, CollectionName, CollectionPath, EntityName, Error, ErrorKind, ListOptions, PageRequest,
    TypeName,
};

/// Registries, collections and versions per page (protocol §13.2).
const PER_PAGE: u32 = 100;

/// The registries of an organisation.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Demo);
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// use wandbfs::model::ListOptions;
///
/// let registries = client.registries(Some("Demo Org"), &ListOptions::default()).await?;
/// let names: Vec<_> = registries.map_ok(|r| r.name().to_owned()).try_collect().await?;
/// assert_eq!(names, ["model"]);
/// # Ok(())
/// # }
/// ```
pub type Registries = Paginator<Registry>;

/// The collections of a registry; `len` is the server's count.
pub type RegistryCollections = Paginator<ArtifactCollection>;

/// The linked versions of a registry, as its collections number them. The server does not count
/// them.
pub type RegistryVersions = Paginator<Artifact>;

/// A registry.
///
/// ```
/// # use wandbfs::server::{Seed, ServerOptions, start};
/// # use wandbfs::wandb::{Authorization, Client, ClientConfig, Secret};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let data = tempfile::tempdir()?;
/// # let seed = Some(Seed::Demo);
/// # let server = start(ServerOptions { seed, ..ServerOptions::new(data.path()) }).await?;
/// # let key = Authorization::Basic(Secret::new(server.api_key()));
/// # let client = Client::connect(ClientConfig::new(server.base_url().parse()?, key))?;
/// use futures::TryStreamExt as _;
/// use wandbfs::model::ListOptions;
///
/// let registry = client.registry("model", Some("Demo Org")).await?;
/// let collections = registry.collections(&ListOptions::default());
/// let names: Vec<_> = collections.map_ok(|c| c.name().to_owned()).try_collect().await?;
/// assert_eq!(names, ["image-classifier"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    pub(super) client: Client,
    pub(super) value: model::Project,
    organization: Organization,
    /// Whether any artifact type may be linked into it.
    pub allow_all_artifact_types: Option<bool>,
    /// The artifact types that may be.
    pub artifact_types: Vec<String>,
}

singular!(Registry around model::Project);

/// An organisation: what users call it, and the entity that owns its registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Display name.
    pub name: String,
    /// Entity.
    pub entity: EntityName,
}

impl Registry {
    /// Its name without the prefix of its project.
    pub fn name(&self) -> &str {
        let project = self.path.project.as_str();
        project.strip_prefix(REGISTRY_PREFIX).unwrap_or(project)
    }

    /// The organisation it belongs to.
    pub fn organization(&self) -> &Organization {
        &self.organization
    }

    /// Its collections: portfolios. Filter keys are those of protocol §13.2.
    pub fn collections(&self, options: &ListOptions) -> RegistryCollections {
        let (registry, options) = (self.clone(), options.clone());
        Paginator::new(move |page| {
            let (registry, options) = (registry.clone(), options.clone());
            async move { registry.collection_page(&page, &options).await }
        })
    }

    /// The versions of all its collections; `collection` and `version` are filters as JSON text.
    pub fn versions(&self, collection: Option<&str>, version: Option<&str>) -> RegistryVersions {
        let registry = self.clone();
        let filters = (collection.map(str::to_owned), version.map(str::to_owned));
        Paginator::new(move |page| {
            let (registry, (collection, version)) = (registry.clone(), filters.clone());
            async move { registry.version_page(&page, collection, version).await }
        })
    }

    fn filter(&self) -> String {
        json!({ "name": self.path.project.as_str() }).to_string()
    }

    async fn collection_page(
        &self,
        page: &PageRequest,
        options: &ListOptions,
    ) -> Result<model::Page<ArtifactCollection>, Error> {
        let operation = op::REGISTRY_COLLECTIONS;
        let asked = json!({
            "organization": self.organization.name,
            "registryFilter": self.filter(),
            "collectionFilter": options.filters,
        });
        let order = ListOptions {
            filters: None,
            order: options.order.clone(),
        };
        let (node, asked) = (
            self.path.to_string(),
            listing(asked, page, PER_PAGE, &order),
        );
        let answer = self
            .client
            .execute::<OrganizationAnswer<CollectionsOf>>(operation, &node, asked)
            .await?;
        let found = answer
            .organization
            .and_then(|organization| organization.org_entity);
        let found = found.and_then(|entity| entity.artifact_collections);
        page_of(operation, &node, found, |collection| {
            // A registry or collection that the caller may not see has no project (protocol §4.2).
            collection.project.as_ref()?;
            let value = convert::collection(collection, &self.path, None)?;
            Some(ArtifactCollection::new(self.client.clone(), value))
        })
    }

    async fn version_page(
        &self,
        page: &PageRequest,
        collection: Option<String>,
        version: Option<String>,
    ) -> Result<model::Page<Artifact>, Error> {
        let operation = op::REGISTRY_VERSIONS;
        let asked = json!({
            "organization": self.organization.name,
            "registryFilter": self.filter(),
            "collectionFilter": collection,
            "artifactFilter": version,
        });
        let asked = listing(asked, page, PER_PAGE, &ListOptions::default());
        let node = self.path.to_string();
        let answer = self
            .client
            .execute::<OrganizationAnswer<MembershipsOf>>(operation, &node, asked)
            .await?;
        let found = answer
            .organization
            .and_then(|organization| organization.org_entity);
        let found = found.and_then(|entity| entity.artifact_memberships);
        page_of(operation, &node, found, |membership| {
            self.version(membership)
        })
    }

    fn version(&self, membership: wire::Membership) -> Option<Artifact> {
        let place = membership.artifact_collection.as_ref()?;
        let own = membership
            .artifact
            .as_ref()
            .and_then(|a| a.artifact_type.as_ref());
        let artifact_type = place.artifact_type.as_ref().or(own)?.name.as_deref()?;
        let path = CollectionPath {
            project: convert::place(place.project.as_ref(), &self.path),
            artifact_type: TypeName::new(artifact_type).ok()?,
            name: CollectionName::new(place.name.as_deref()?).ok()?,
        };
        let version = convert_membership(membership, &path)?;
        Some(Artifact::new(self.client.clone(), version, None))
    }
}

impl Client {
    /// The registries of an organisation, named as users or as the server name it; without a name,
    /// of the only one that the default entity has.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the organisation is not one, or not the only one.
    pub async fn registries(
        &self,
        organization: Option<&str>,
        options: &ListOptions,
    ) -> Result<Registries, Error> {
        let organization = self.organization(organization).await?;
        let (client, options) = (self.clone(), options.clone());
        Ok(Paginator::new(move |page| {
            let (client, options) = (client.clone(), options.clone());
            let organization = organization.clone();
            async move { client.registry_page(organization, &options, &page).await }
        }))
    }

    /// A registry by name, without the prefix of its project.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none.
    pub async fn registry(
        &self,
        name: &str,
        organization: Option<&str>,
    ) -> Result<Registry, Error> {
        let organization = self.organization(organization).await?;
        let project = format!("{REGISTRY_PREFIX}{name}");
        let asked = json!({ "entity": organization.entity.as_str(), "name": project });
        let node = format!("{}/{project}", organization.entity);
        let answer = self
            .execute::<RegistryAnswer>(op::FETCH_REGISTRY, &node, variables(asked))
            .await?;
        let found = answer.entity.and_then(|entity| entity.project);
        let found = found.and_then(|project| self.registry_of(project, organization));
        found.ok_or_else(|| not_found(node, "there is no such registry"))
    }

    async fn registry_page(
        &self,
        organization: Organization,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<model::Page<Registry>, Error> {
        let operation = op::FETCH_REGISTRIES;
        let mut options = options.clone();
        // Without a filter the listing would show every project of the organisation's entity.
        options.filters.get_or_insert_with(|| {
            json!({ "name": { "$regex": format!("^{REGISTRY_PREFIX}") } }).to_string()
        });
        let asked = json!({ "organization": organization.name });
        let asked = listing(asked, page, PER_PAGE, &options);
        let answer = self
            .execute::<OrganizationAnswer<RegistriesOf>>(operation, &organization.name, asked)
            .await?;
        let found = answer.organization.and_then(|found| found.org_entity);
        let found = found.and_then(|entity| entity.projects);
        page_of(operation, &organization.name, found, |project| {
            self.registry_of(project, organization.clone())
                .filter(|registry| registry.path.project.as_str().starts_with(REGISTRY_PREFIX))
        })
    }

    fn registry_of(&self, wire: wire::Project, organization: Organization) -> Option<Registry> {
        let allow_all_artifact_types = wire.allow_all_artifact_types;
        let mut wire = wire;
        let types = wire.artifact_types.take();
        let types = types.into_iter().flat_map(wire::Connection::into_nodes);
        let types: Vec<String> = types.filter_map(|t| t.name).collect();
        Some(Registry {
            client: self.clone(),
            value: convert::project(wire, &organization.entity)?,
            organization,
            allow_all_artifact_types,
            artifact_types: types,
        })
    }

    /// The organisation of the default entity: its own, or the one of that name, or the only one
    /// (protocol §13.1). 1 request.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is none such, or a choice.
    pub async fn organization(&self, name: Option<&str>) -> Result<Organization, Error> {
        let entity = self.default_entity().await?;
        let asked = variables(json!({ "entity": entity.as_str() }));
        let answer = self
            .execute::<EntityAnswer>(op::FETCH_ORG_INFO_FROM_ENTITY, entity.as_str(), asked)
            .await?;
        let found = answer.entity;
        let (own, user) = match found {
            Some(entity) => (entity.organization, entity.user),
            None => (None, None),
        };
        let of_user = user.and_then(|user| user.organizations).unwrap_or_default();
        let mut all: Vec<Organization> = Vec::new();
        for wire in own.into_iter().chain(of_user.into_iter().flatten()) {
            if let Some(organization) = organization_of(wire)?
                && !all.contains(&organization)
            {
                self.remember_organization(organization.entity.clone(), organization.name.clone());
                all.push(organization);
            }
        }
        if let Some(name) = name {
            all.retain(|org| org.name == name || org.entity.as_str() == name);
        }
        let known = all.len();
        match (all.pop(), known) {
            (Some(organization), 1) => Ok(organization),
            (None, _) => {
                let words = "this entity has no organization of that name";
                Err(Error::new(ErrorKind::Invalid, entity.as_str(), words))
            }
            _ => {
                let words = "this entity has several organizations: name one";
                Err(Error::new(ErrorKind::Invalid, entity.as_str(), words))
            }
        }
    }
}

fn organization_of(wire: wire::Organization) -> Result<Option<Organization>, Error> {
    let entity = wire.org_entity.and_then(|entity| entity.name);
    let Some((name, entity)) = wire.name.zip(entity) else {
        return Ok(None);
    };
    let entity = EntityName::new(&entity).map_err(|fault| invalid(&entity, fault))?;
    Ok(Some(Organization { name, entity }))
}
