//! The client as the tree's [`Hub`]: one method, one request.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::answers::*;
use super::client::Client;
use super::convert::{self, Reached};
use super::failure::{Cause, Failure};
use super::operations::{self as op, Operation};
use super::transport::Variables;
use super::wire::{self, Connection};
use crate::model::{
    Applied, ArtifactId, ArtifactVersion, Collection, CollectionChange, CollectionName,
    CollectionPath, CreatedBy, Cursor, Entity, EntityName, Error, Hub, ListOptions, NodePath, Page,
    PageRequest, Project, ProjectArtifactType, ProjectPath, Run, RunArtifactsMode, RunPath, RunRef,
    SaveFailure, StoredAt, TypePath, VersionChange, VersionIndex, VersionPath, VersionSelector,
    Viewer,
};

/// Projects per page where the caller names no size (protocol §4.3).
pub(crate) const PROJECTS_PER_PAGE: u32 = 200;

/// Items per page of the other listings, likewise.
pub(crate) const ITEMS_PER_PAGE: u32 = 50;

/// Aliases per request, likewise.
pub(crate) const ALIASES_PER_PAGE: u32 = 1000;

/// What [`Hub::versions`] asks for where the caller names no filter, as the SDK does.
pub(crate) const COMMITTED: &str = r#"{"state":"COMMITTED"}"#;

/// Variables from a JSON object.
pub(crate) fn variables(object: Value) -> Variables {
    match object {
        Value::Object(members) => members,
        _ => Variables::new(),
    }
}

/// Adds page, filters and order to the variables of a listing.
pub(crate) fn listing(
    object: Value,
    page: &PageRequest,
    default_size: u32,
    options: &ListOptions,
) -> Variables {
    let mut all = variables(object);
    let cursor = page.after.as_ref().map(Cursor::as_str);
    all.insert("cursor".into(), json!(cursor));
    all.insert(
        "perPage".into(),
        json!(page.per_page.unwrap_or(default_size)),
    );
    all.insert("filters".into(), json!(options.filters));
    all.insert("order".into(), json!(options.order.as_deref().map(signed)));
    all
}

/// The order with its sign; ascending where there is none (protocol §5).
fn signed(order: &str) -> String {
    if order.starts_with(['+', '-']) {
        order.to_owned()
    } else {
        format!("+{order}")
    }
}

/// The page of a connection that must be there.
pub(crate) fn page_of<N, T>(
    operation: Operation,
    node: &str,
    connection: Option<Connection<N>>,
    mut convert: impl FnMut(N) -> Option<T>,
) -> Result<Page<T>, Error> {
    let connection = connection.ok_or_else(|| missing(operation, node))?;
    convert::page(connection, |edge| convert(edge.node?))
        .map_err(|cause| cause.at(operation.name, node).into())
}

fn missing(operation: Operation, node: &str) -> Failure {
    Cause::Missing.at(operation.name, node)
}

#[async_trait]
impl Hub for Client {
    async fn viewer(&self) -> Result<Viewer, Error> {
        let asked = self.execute::<ViewerAnswer>(op::GET_VIEWER, "", Variables::new());
        let Some(user) = asked.await?.viewer else {
            // A null viewer is how a server says that the key is none of its own (protocol §2.2).
            let (status, reason) = (401, "the server knows no user of this key".to_owned());
            return Err(Cause::Status { status, reason }
                .at(op::GET_VIEWER.name, "")
                .into());
        };
        if let Some(name) = &user.username {
            self.remember_user(name);
        }
        for organization in user.organizations.iter().flatten().flatten().cloned() {
            let entity = organization.org_entity.and_then(|entity| entity.name);
            let entity = entity.and_then(|name| EntityName::new(&name).ok());
            if let (Some(entity), Some(name)) = (entity, organization.name) {
                self.remember_organization(entity, name);
            }
        }
        Ok(convert::viewer(user))
    }

    async fn entity(&self, name: &EntityName) -> Result<Option<Entity>, Error> {
        let asked = variables(json!({ "name": name.as_str() }));
        let answer = self
            .execute::<EntityAnswer>(op::GET_ENTITY, name.as_str(), asked)
            .await?;
        // W&B answers an object without id for a name that nobody has taken.
        let entity = answer
            .entity
            .filter(|e| e.id.as_deref().is_some_and(|id| !id.is_empty()));
        Ok(entity.map(|entity| convert::entity(entity, name)))
    }

    async fn projects(
        &self,
        entity: &EntityName,
        page: &PageRequest,
    ) -> Result<Page<Project>, Error> {
        let asked = json!({ "entity": entity.as_str() });
        let asked = listing(asked, page, PROJECTS_PER_PAGE, &ListOptions::default());
        let node = entity.as_str();
        let answer = self
            .execute::<ModelsAnswer>(op::GET_PROJECTS, node, asked)
            .await?;
        page_of(op::GET_PROJECTS, node, answer.models, |project| {
            convert::project(project, entity)
        })
    }

    async fn project(&self, path: &ProjectPath) -> Result<Option<Project>, Error> {
        let (node, asked) = (path.to_string(), variables(project_variables(path)));
        let answer = self
            .execute::<ProjectAnswer>(op::GET_PROJECT, &node, asked)
            .await?;
        Ok(answer
            .project
            .and_then(|project| convert::project(project, &path.entity)))
    }

    async fn artifact_types(
        &self,
        project: &ProjectPath,
        page: &PageRequest,
    ) -> Result<Page<ProjectArtifactType>, Error> {
        let (node, asked) = (project.to_string(), project_variables(project));
        let asked = listing(asked, page, ITEMS_PER_PAGE, &ListOptions::default());
        let answer = self
            .execute::<TypesAnswer>(op::PROJECT_ARTIFACT_TYPES, &node, asked)
            .await?;
        let types = answer.project.and_then(|project| project.artifact_types);
        page_of(
            op::PROJECT_ARTIFACT_TYPES,
            &node,
            types,
            convert::artifact_type,
        )
    }

    async fn artifact_type(&self, path: &TypePath) -> Result<Option<ProjectArtifactType>, Error> {
        let (node, asked) = (path.to_string(), variables(type_variables(path)));
        let answer = self
            .execute::<TypeAnswer<wire::ArtifactType>>(op::PROJECT_ARTIFACT_TYPE, &node, asked)
            .await?;
        let found = answer.project.and_then(|project| project.artifact_type);
        Ok(found.and_then(convert::artifact_type))
    }

    async fn collections(
        &self,
        artifact_type: &TypePath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<Collection>, Error> {
        let operation = op::ARTIFACT_TYPE_ARTIFACT_COLLECTIONS;
        let (node, asked) = (artifact_type.to_string(), type_variables(artifact_type));
        let asked = listing(asked, page, ITEMS_PER_PAGE, options);
        let answer = self
            .execute::<TypeAnswer<CollectionsOf>>(operation, &node, asked)
            .await?;
        let found = answer.project.and_then(|project| project.artifact_type);
        let found = found.and_then(|found| found.artifact_collections);
        page_of(operation, &node, found, |collection| {
            let of = Some(&artifact_type.artifact_type);
            convert::collection(collection, &artifact_type.project, of)
        })
    }

    async fn collection(&self, path: &CollectionPath) -> Result<Option<Collection>, Error> {
        let (node, mut asked) = (
            path.to_string(),
            variables(type_variables(&path.type_path())),
        );
        asked.insert("name".into(), json!(path.name.as_str()));
        let answer = self
            .execute::<TypeAnswer<CollectionOf<wire::Collection>>>(
                op::PROJECT_ARTIFACT_COLLECTION,
                &node,
                asked,
            )
            .await?;
        let found = answer.project.and_then(|project| project.artifact_type);
        let found = found.and_then(|found| found.artifact_collection);
        let found =
            found.and_then(|c| convert::collection(c, &path.project, Some(&path.artifact_type)));
        Ok(found.filter(|collection| collection.path.artifact_type == path.artifact_type))
    }

    async fn collection_aliases(&self, collection: &Collection) -> Result<Vec<String>, Error> {
        let node = collection.path.to_string();
        let mut more = self.all_aliases(&collection.id, &node).await?;
        more.retain(|alias| !collection.aliases.contains(alias));
        Ok(more)
    }

    async fn versions(
        &self,
        collection: &CollectionPath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        let operation = op::PROJECT_ARTIFACTS;
        let mut asked = type_variables(&collection.type_path());
        asked["collection"] = json!(collection.name.as_str());
        let mut options = options.clone();
        let wants_states = options
            .filters
            .as_deref()
            .is_some_and(|f| f.contains("\"state\""));
        options.filters.get_or_insert_with(|| COMMITTED.to_owned());
        let asked = listing(asked, page, ITEMS_PER_PAGE, &options);
        let node = collection.to_string();
        let answer = self
            .execute::<TypeAnswer<CollectionOf<VersionsOf>>>(operation, &node, asked)
            .await?;
        let found = answer.project.and_then(|project| project.artifact_type);
        let found = found.and_then(|found| found.artifact_collection);
        let found = found.and_then(|found| found.artifacts);
        let found = found.ok_or_else(|| missing(operation, &node))?;
        let page = convert::page(found, |edge| {
            let index = edge.version.as_deref().and_then(VersionIndex::parse);
            let reached = Reached {
                index,
                ..Reached::default()
            };
            convert::version(edge.node?, collection.clone(), reached)
                .filter(|version| wants_states || version.is_committed())
        });
        page.map_err(|cause| cause.at(operation.name, node).into())
    }

    async fn version(
        &self,
        collection: &CollectionPath,
        selector: &VersionSelector,
    ) -> Result<Option<ArtifactVersion>, Error> {
        let found = self
            .membership(&collection.project, &collection.name, selector)
            .await?;
        let Some((path, version)) = found else {
            return Ok(None);
        };
        let is_asked_type = path.is_none_or(|answered| answered == collection.artifact_type);
        let mut version = convert_membership(version, collection);
        if !is_asked_type {
            version = None;
        }
        Ok(version.filter(ArtifactVersion::is_committed))
    }

    async fn collection_of_project(
        &self,
        project: &ProjectPath,
        name: &CollectionName,
    ) -> Result<Option<Collection>, Error> {
        let (node, mut asked) = (
            format!("{project}/{name}"),
            variables(project_variables(project)),
        );
        asked.insert("name".into(), json!(name.as_str()));
        let answer = self
            .execute::<CollectionAnswer<wire::Collection>>(
                op::PROJECT_COLLECTION_BY_NAME,
                &node,
                asked,
            )
            .await?;
        let found = answer
            .project
            .and_then(|project| project.artifact_collection);
        Ok(found.and_then(|collection| convert::collection(collection, project, None)))
    }

    async fn manifest_url(&self, artifact: &ArtifactId) -> Result<String, Error> {
        let operation = op::FETCH_ARTIFACT_MANIFEST;
        let asked = variables(json!({ "id": artifact.as_str() }));
        let answer = self
            .execute::<ArtifactAnswer<wire::Artifact>>(operation, "", asked)
            .await?;
        let manifest = answer
            .artifact
            .and_then(|artifact| artifact.current_manifest);
        let url = manifest.and_then(|manifest| manifest.file?.direct_url);
        let url = url.filter(|url| !url.is_empty());
        url.ok_or_else(|| missing(operation, artifact.as_str()).into())
    }

    async fn content_urls(&self, files: &[StoredAt]) -> Result<Vec<Option<String>>, Error> {
        self.urls_of(files).await
    }

    fn app_url(&self, path: &NodePath) -> Option<String> {
        super::app_url::of(self, path)
    }

    async fn runs(
        &self,
        project: &ProjectPath,
        options: &ListOptions,
        page: &PageRequest,
    ) -> Result<Page<Run>, Error> {
        self.page_of_runs(project, options, page).await
    }

    async fn run(&self, run: &RunPath) -> Result<Option<Run>, Error> {
        self.run_by_name(run).await
    }

    async fn run_artifacts(
        &self,
        run: &RunPath,
        mode: RunArtifactsMode,
        page: &PageRequest,
    ) -> Result<Page<ArtifactVersion>, Error> {
        self.page_of_run_artifacts(run, mode, page).await
    }

    async fn used_by(
        &self,
        artifact: &ArtifactId,
        page: &PageRequest,
    ) -> Result<Page<RunRef>, Error> {
        self.page_of_used_by(artifact, artifact.as_str(), page)
            .await
    }

    async fn logged_by(&self, artifact: &ArtifactId) -> Result<Option<CreatedBy>, Error> {
        self.creator_of(artifact, artifact.as_str()).await
    }

    async fn save_collection(
        &self,
        collection: &Collection,
        change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        self.saving_collection(collection, change).await
    }

    async fn delete_collection(&self, collection: &Collection) -> Result<(), Error> {
        self.deleting_collection(collection).await
    }

    async fn create_collection(
        &self,
        path: &CollectionPath,
        description: Option<&str>,
    ) -> Result<Collection, Error> {
        self.creating_collection(path, description).await
    }

    async fn save_version(
        &self,
        version: &ArtifactVersion,
        change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        self.saving_version(version, change).await
    }

    async fn delete_version(
        &self,
        version: &ArtifactVersion,
        delete_aliases: bool,
    ) -> Result<(), Error> {
        self.deleting_version(version, delete_aliases).await
    }

    async fn link_version(
        &self,
        source: &ArtifactVersion,
        target: &CollectionPath,
        aliases: &[String],
    ) -> Result<VersionIndex, Error> {
        self.linking_version(source, target, aliases).await
    }

    async fn unlink_version(&self, version: &ArtifactVersion) -> Result<(), Error> {
        self.unlinking_version(version).await
    }

    async fn use_version(
        &self,
        run: &RunPath,
        version: &VersionPath,
        artifact: &ArtifactId,
    ) -> Result<(), Error> {
        self.using_version(run, version, artifact).await
    }
}

impl Client {
    /// Every alias of a collection, `vN` left out.
    pub(crate) async fn all_aliases(&self, id: &str, node: &str) -> Result<Vec<String>, Error> {
        let operation = op::ARTIFACT_COLLECTION_ALIASES;
        let mut page = PageRequest::default();
        let mut aliases = Vec::new();
        loop {
            let asked = json!({ "id": id });
            let asked = listing(asked, &page, ALIASES_PER_PAGE, &ListOptions::default());
            let answer = self
                .execute::<CollectionOf<AliasesOf>>(operation, node, asked)
                .await?;
            let found = answer.artifact_collection.and_then(|found| found.aliases);
            let found = page_of(operation, node, found, |row| row.alias)?;
            aliases.extend(found.items);
            match found.next {
                None => return Ok(convert::custom_aliases(aliases.into_iter())),
                Some(cursor) if page.after.as_ref() == Some(&cursor) => {
                    let cause = Cause::Nonsense("the cursor of a page leads to the same page");
                    return Err(cause.at(operation.name, node).into());
                }
                Some(cursor) => page = page.following(cursor),
            }
        }
    }

    /// The membership `collection:selector`, with the type of its collection where the server says.
    pub(crate) async fn membership(
        &self,
        project: &ProjectPath,
        name: &CollectionName,
        selector: &VersionSelector,
    ) -> Result<Option<(Option<crate::model::TypeName>, wire::Membership)>, Error> {
        let node = format!("{project}/{name}:{selector}");
        let mut asked = variables(project_variables(project));
        asked.insert("name".into(), json!(format!("{name}:{selector}")));
        let answer = self
            .execute::<MembershipAnswer>(op::ARTIFACT_MEMBERSHIP_BY_NAME, &node, asked)
            .await?;
        let membership = answer
            .project
            .and_then(|project| project.artifact_collection_membership);
        Ok(membership.map(|membership| {
            let place = membership.artifact_collection.as_ref();
            let name = place.and_then(|place| place.artifact_type.as_ref()?.name.as_deref());
            let artifact_type = name.and_then(|name| crate::model::TypeName::new(name).ok());
            (artifact_type, membership)
        }))
    }
}

/// The version of a membership; its place is the answer's, which may spell a name otherwise
/// (protocol §3.3).
pub(crate) fn convert_membership(
    mut membership: wire::Membership,
    asked: &CollectionPath,
) -> Option<ArtifactVersion> {
    let reached = convert::reached(&mut membership);
    let place = membership.artifact_collection.take();
    let answered = place.as_ref().and_then(|place| place.name.as_deref());
    let path = CollectionPath {
        project: convert::place(
            place.as_ref().and_then(|p| p.project.as_ref()),
            &asked.project,
        ),
        artifact_type: asked.artifact_type.clone(),
        name: answered
            .and_then(|name| CollectionName::new(name).ok())
            .unwrap_or_else(|| asked.name.clone()),
    };
    convert::version(membership.artifact?, path, reached)
}

/// `entity` and `project`.
pub(crate) fn project_variables(path: &ProjectPath) -> Value {
    json!({ "entity": path.entity.as_str(), "project": path.project.as_str() })
}

/// `entity`, `project` and `type`.
pub(crate) fn type_variables(path: &TypePath) -> Value {
    let mut object = project_variables(&path.project);
    object["type"] = json!(path.artifact_type.as_str());
    object
}
