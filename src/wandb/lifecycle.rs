//! Making, linking, unlinking, deleting, and recording a use: what must not be done twice.

use serde_json::json;

use super::client::Client;
use super::failure::Cause;
use super::mutation::{Mutation, Witness};
use super::operations as op;
use crate::model::{
    self, ArtifactId, ArtifactVersion, Collection, CollectionKind, CollectionPath, Error,
    ErrorKind, Hub, RunPath, TypePath, VersionIndex, VersionPath, rules,
};

/// The alias that W&B moves by itself to the newest version.
const LATEST: &str = "latest";

/// The feature of servers that want to know where a used version is (protocol §2.4).
const USE_WITH_PLACE: &str = "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION";

impl Client {
    /// See [`Hub::delete_collection`].
    pub(super) async fn deleting_collection(&self, collection: &Collection) -> Result<(), Error> {
        let (operation, id) = match collection.kind {
            CollectionKind::Sequence => (op::DELETE_ARTIFACT_SEQUENCE, "artifactSequenceID"),
            CollectionKind::Portfolio => (op::DELETE_ARTIFACT_PORTFOLIO, "artifactPortfolioID"),
        };
        let mutation = Mutation {
            operation,
            node: collection.path.to_string(),
            what: "deleted".to_owned(),
            input: json!({ id: collection.id }),
            undo: None,
        };
        let witness = Witness::CollectionGone(&collection.path);
        self.mutate_once(&mutation, &witness).await.map(drop)
    }

    /// See [`Hub::create_collection`].
    pub(super) async fn creating_collection(
        &self,
        path: &CollectionPath,
        description: Option<&str>,
    ) -> Result<Collection, Error> {
        let (name, type_name) = (path.name.as_str(), path.artifact_type.as_str());
        rules::collection_name(name)
            .and_then(|()| rules::collection_type(type_name, name))
            .map_err(|rule| model::refused(path.to_string(), rule))?;
        let type_id = self.type_id(&path.type_path()).await?;
        let mutation = Mutation {
            operation: op::CREATE_ARTIFACT_PORTFOLIO,
            node: path.to_string(),
            what: "created".to_owned(),
            input: json!({
                "entityName": path.project.entity.as_str(),
                "projectName": path.project.project.as_str(),
                "artifactTypeID": type_id,
                "name": name,
                "description": description,
            }),
            undo: Some(format!("rmdir {path}")),
        };
        let witness = Witness::CollectionMade(path);
        self.mutate_once(&mutation, &witness).await?;
        let made = Hub::collection(self, path).await?;
        let missing = || Cause::Missing.at(op::CREATE_ARTIFACT_PORTFOLIO.name, path.to_string());
        made.ok_or_else(|| missing().into())
    }

    /// The id of a type, which is made where the project lacks it.
    async fn type_id(&self, path: &TypePath) -> Result<String, Error> {
        if let Some(found) = Hub::artifact_type(self, path).await? {
            return Ok(found.id);
        }
        let mutation = Mutation {
            operation: op::CREATE_ARTIFACT_TYPE,
            node: path.to_string(),
            what: "artifact type created".to_owned(),
            input: json!({
                "entityName": path.project.entity.as_str(),
                "projectName": path.project.project.as_str(),
                "name": path.artifact_type.as_str(),
            }),
            undo: None,
        };
        // A type is its name, so that making it twice makes one.
        self.mutate(&mutation).await?;
        let made = Hub::artifact_type(self, path).await?;
        let missing = || Cause::Missing.at(op::CREATE_ARTIFACT_TYPE.name, path.to_string());
        Ok(made.ok_or_else(missing)?.id)
    }

    /// See [`Hub::delete_version`].
    pub(super) async fn deleting_version(
        &self,
        version: &ArtifactVersion,
        delete_aliases: bool,
    ) -> Result<(), Error> {
        if version.is_link() {
            return self.unlinking_version(version).await;
        }
        let with_aliases = delete_aliases || self.is_free_but_for_latest(version).await?;
        self.delete_artifact(version, with_aliases).await
    }

    /// `deleteArtifact` as the SDK sends it: the server refuses while there are aliases that the
    /// caller does not give up.
    pub(super) async fn delete_artifact(
        &self,
        version: &ArtifactVersion,
        delete_aliases: bool,
    ) -> Result<(), Error> {
        let node = format!("{}/{}", version.collection, version.index);
        let with = if delete_aliases {
            " with its aliases"
        } else {
            ""
        };
        let mutation = Mutation {
            operation: op::DELETE_ARTIFACT,
            node: node.clone(),
            what: format!("deleted{with}"),
            input: json!({ "artifactID": version.id.as_str(), "deleteAliases": delete_aliases }),
            undo: None,
        };
        let witness = Witness::VersionGone(&version.id);
        let answer = self.mutate_once(&mutation, &witness).await;
        answer.map(drop).map_err(|error| {
            let is_alias = error.chain().to_ascii_lowercase().contains("alias");
            match error.kind() {
                ErrorKind::Invalid | ErrorKind::Busy if is_alias && !delete_aliases => {
                    Error::caused_by(ErrorKind::Busy, node, "it still has aliases", error)
                }
                _ => error,
            }
        })
    }

    /// Whether a version has no alias, in whatever collection, but `latest` in its own: 1 request,
    /// because what is known of it may be older than an alias that somebody gave it.
    async fn is_free_but_for_latest(&self, version: &ArtifactVersion) -> Result<bool, Error> {
        let node = || format!("{}/{}", version.collection, version.index);
        let found = self.artifact_as_it_is(&version.id).await?;
        let found = found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                node(),
                "there is no such version any more",
            )
        })?;
        let mut has_latest = false;
        for row in found.aliases.into_iter().flatten().flatten() {
            let place = row.artifact_collection.and_then(|place| place.name);
            let is_own = place
                .as_deref()
                .is_none_or(|name| name == version.source_collection);
            match row.alias.as_deref() {
                None => {}
                Some(alias) if VersionIndex::parse(alias).is_some() => {}
                Some(LATEST) if is_own => has_latest = true,
                Some(alias) => {
                    let place = place.unwrap_or_default();
                    let words = format!("it still has the alias {alias:?} in {place:?}");
                    return Err(Error::new(ErrorKind::Busy, node(), words));
                }
            }
        }
        Ok(has_latest)
    }

    /// See [`Hub::link_version`].
    pub(super) async fn linking_version(
        &self,
        source: &ArtifactVersion,
        target: &CollectionPath,
        aliases: &[String],
    ) -> Result<VersionIndex, Error> {
        let name = target.name.as_str();
        rules::collection_name(name)
            .and_then(|()| aliases.iter().try_for_each(|alias| rules::alias(alias)))
            .map_err(|rule| model::refused(target.to_string(), rule))?;
        let placed = aliases
            .iter()
            .map(|alias| json!({ "artifactCollectionName": name, "alias": alias }));
        let mutation = Mutation {
            operation: op::LINK_ARTIFACT,
            node: target.to_string(),
            what: format!(
                "linked {}/{} as {aliases:?}",
                source.collection, source.index
            ),
            input: json!({
                "artifactID": source.id.as_str(),
                "artifactPortfolioName": name,
                "entityName": target.project.entity.as_str(),
                "projectName": target.project.project.as_str(),
                "aliases": placed.collect::<Vec<_>>(),
            }),
            undo: Some(format!(
                "rmdir the version of {target} that this link became"
            )),
        };
        let witness = Witness::Linked(&source.id, target);
        let done = self.mutate_once(&mutation, &witness).await?;
        if let Some(index) = done.and_then(|done| done.version_index) {
            return Ok(VersionIndex(index));
        }
        let found = self.linked_at(&source.id, target).await?;
        found.ok_or_else(|| {
            let cause = Cause::Nonsense("the new link has no number");
            cause.at(op::LINK_ARTIFACT.name, target.to_string()).into()
        })
    }

    /// See [`Hub::unlink_version`].
    pub(super) async fn unlinking_version(&self, version: &ArtifactVersion) -> Result<(), Error> {
        let node = format!("{}/{}", version.collection, version.index);
        if !version.is_link() {
            let words = "it is a version in its own collection, not a link";
            return Err(Error::new(ErrorKind::Invalid, node, words));
        }
        let portfolio = Hub::collection(self, &version.collection).await?;
        let portfolio = portfolio.ok_or_else(|| {
            let words = "its collection is gone";
            Error::new(ErrorKind::NotFound, node.clone(), words)
        })?;
        let mutation = Mutation {
            operation: op::UNLINK_ARTIFACT,
            node,
            what: "unlinked".to_owned(),
            input: json!({
                "artifactID": version.id.as_str(),
                "artifactPortfolioID": portfolio.id,
            }),
            undo: version.source_index.map(|index| {
                let source = &version.source_collection;
                format!("ln -s …/{source}/{index} {}/<alias>", version.collection)
            }),
        };
        let witness = Witness::LinkGone(&version.collection, version.index);
        self.mutate_once(&mutation, &witness).await.map(drop)
    }

    /// See [`Hub::use_version`].
    pub(super) async fn using_version(
        &self,
        run: &RunPath,
        version: &VersionPath,
        artifact: &ArtifactId,
    ) -> Result<(), Error> {
        let mut input = json!({
            "entityName": run.project.entity.as_str(),
            "projectName": run.project.project.as_str(),
            "runName": run.name.as_str(),
            "artifactID": artifact.as_str(),
        });
        if self.server_features().await.contains(USE_WITH_PLACE) {
            let place = &version.collection.project;
            input["artifactEntityName"] = json!(place.entity.as_str());
            input["artifactProjectName"] = json!(place.project.as_str());
        }
        let mutation = Mutation {
            operation: op::USE_ARTIFACT,
            node: version.to_string(),
            what: format!("recorded as an input of {run}"),
            input,
            undo: None,
        };
        self.mutate(&mutation).await.map(drop)
    }
}
