//! Saving what differs in a collection or a version, in the order of the SDK (protocol §6).

use serde_json::{Value, json};

use super::client::Client;
use super::mutation::Mutation;
use super::operations as op;
use crate::model::rules::MAX_TAGS_PER_MUTATION;
use crate::model::{
    Applied, ArtifactVersion, Collection, CollectionChange, CollectionKind, EntityName, Error,
    ErrorKind, Hub, ProjectName, ProjectPath, SaveFailure, VersionChange, VersionSelector,
};

/// A save on its way: what is done of it.
#[derive(Default)]
struct Progress(Vec<Applied>);

impl Progress {
    /// The failure of the next step.
    fn fail(&self, error: Error) -> SaveFailure {
        SaveFailure {
            applied: self.0.clone(),
            error,
        }
    }

    /// Notes what a step has done.
    fn note(
        &mut self,
        step: Result<(), Error>,
        parts: impl IntoIterator<Item = Applied>,
    ) -> Result<(), SaveFailure> {
        step.map_err(|error| self.fail(error))?;
        self.0.extend(parts);
        Ok(())
    }
}

fn tag_inputs(tags: &[String]) -> Value {
    tags.iter().map(|tag| json!({ "tagName": tag })).collect()
}

impl Client {
    /// See [`Hub::save_collection`].
    pub(super) async fn saving_collection(
        &self,
        collection: &Collection,
        change: &CollectionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        change.check(collection)?;
        let mut progress = Progress::default();
        if change.name.is_some() || change.description.is_some() {
            let parts = [
                change.name.as_ref().map(|_| Applied::Name),
                change.description.as_ref().map(|_| Applied::Description),
            ];
            let step = self.update_collection(collection, change).await;
            progress.note(step, parts.into_iter().flatten())?;
        }
        if let Some(artifact_type) = &change.artifact_type {
            let step = self.move_collection(collection, artifact_type).await;
            progress.note(step, [Applied::Type])?;
        }
        let name = change.name.as_deref();
        let name = name.unwrap_or(collection.path.name.as_str());
        for (tags, all, some, operation) in [
            (
                &change.tags_added,
                Applied::TagsAdded,
                Applied::SomeTagsAdded,
                op::ADD_ARTIFACT_COLLECTION_TAGS,
            ),
            (
                &change.tags_removed,
                Applied::TagsRemoved,
                Applied::SomeTagsRemoved,
                op::DELETE_ARTIFACT_COLLECTION_TAGS,
            ),
        ] {
            let portions = tags.len().div_ceil(MAX_TAGS_PER_MUTATION);
            for (number, portion) in tags.chunks(MAX_TAGS_PER_MUTATION).enumerate() {
                progress.0.retain(|part| *part != some);
                let input = json!({
                    "entityName": collection.path.project.entity.as_str(),
                    "projectName": collection.path.project.project.as_str(),
                    "artifactCollectionName": name,
                    "tags": tag_inputs(portion),
                });
                let mutation = Mutation {
                    operation,
                    node: collection.path.to_string(),
                    what: format!("{all} {portion:?}"),
                    input,
                    undo: None,
                };
                let step = self.mutate(&mutation).await.map(drop);
                let is_last = number + 1 == portions;
                progress.note(step, [if is_last { all } else { some }])?;
            }
        }
        Ok(progress.0)
    }

    async fn update_collection(
        &self,
        collection: &Collection,
        change: &CollectionChange,
    ) -> Result<(), Error> {
        let (operation, id) = match collection.kind {
            CollectionKind::Sequence => (op::UPDATE_ARTIFACT_SEQUENCE, "artifactSequenceID"),
            CollectionKind::Portfolio => (op::UPDATE_ARTIFACT_PORTFOLIO, "artifactPortfolioID"),
        };
        let described = change.description.as_ref().map(|_| "description");
        let named = change.name.as_ref().map(|name| format!("name {name:?}"));
        let what: Vec<String> = named
            .into_iter()
            .chain(described.map(str::to_owned))
            .collect();
        let undo = change.name.as_ref().map(|name| {
            let kind = collection.path.type_path();
            format!("mv {kind}/{name} {}", collection.path)
        });
        let mut input = json!({ "name": change.name, "description": change.description });
        input[id] = json!(collection.id);
        let mutation = Mutation {
            operation,
            node: collection.path.to_string(),
            what: what.join(", "),
            input,
            undo,
        };
        self.mutate(&mutation).await.map(drop)
    }

    async fn move_collection(
        &self,
        collection: &Collection,
        artifact_type: &str,
    ) -> Result<(), Error> {
        let input = json!({
            "artifactSequenceID": collection.id,
            "destinationArtifactTypeName": artifact_type,
        });
        let path = &collection.path;
        let mutation = Mutation {
            operation: op::UPDATE_ARTIFACT_SEQUENCE_TYPE,
            node: path.to_string(),
            what: format!("type {artifact_type:?}"),
            input,
            undo: Some(format!(
                "mv {}/{artifact_type}/{} {}/",
                path.project,
                path.name,
                path.type_path()
            )),
        };
        self.mutate(&mutation).await.map(drop)
    }

    /// See [`Hub::save_version`].
    pub(super) async fn saving_version(
        &self,
        version: &ArtifactVersion,
        change: &VersionChange,
    ) -> Result<Vec<Applied>, SaveFailure> {
        change.check(version)?;
        let mut progress = Progress::default();
        if !change.aliases_added.is_empty() {
            let step = self.add_aliases(version, &change.aliases_added).await;
            progress.note(step, [Applied::AliasesAdded])?;
        }
        if !change.aliases_removed.is_empty() {
            let step = self.delete_aliases(version, &change.aliases_removed).await;
            progress.note(step, [Applied::AliasesRemoved])?;
        }
        if change.is_beyond_aliases() {
            let allowed = self.check_source(version).await;
            progress.note(allowed, [])?;
            let (mutation, parts) = update_of(version, change);
            let step = self.mutate(&mutation).await.map(drop);
            progress.note(step, parts)?;
        }
        Ok(progress.0)
    }

    /// A link's fields are its source's, whose project must be visible and writable.
    async fn check_source(&self, version: &ArtifactVersion) -> Result<(), Error> {
        if !version.is_link() {
            return Ok(());
        }
        let refuse = |words| Err(Error::new(ErrorKind::Forbidden, node(version), words));
        let entity = version.source_entity.as_deref().map(EntityName::new);
        let project = version.source_project.as_deref().map(ProjectName::new);
        let (Some(Ok(entity)), Some(Ok(project))) = (entity, project) else {
            return refuse("the project of the version it links is not visible");
        };
        let source = ProjectPath { entity, project };
        match Hub::project(self, &source).await? {
            None => refuse("the project of the version it links is not visible"),
            Some(project) if project.read_only == Some(true) => {
                refuse("the project of the version it links is read-only")
            }
            Some(_) => Ok(()),
        }
    }

    async fn add_aliases(&self, version: &ArtifactVersion, names: &[String]) -> Result<(), Error> {
        let mut undo = Vec::new();
        for alias in names {
            undo.push(self.undo_of_alias(version, alias).await);
        }
        let mutation = Mutation {
            operation: op::ADD_ALIASES,
            node: node(version),
            what: format!("aliases added {names:?}"),
            input: aliases_input(version, names),
            undo: Some(undo.join("; ")),
        };
        self.mutate(&mutation).await.map(drop)
    }

    async fn delete_aliases(
        &self,
        version: &ArtifactVersion,
        names: &[String],
    ) -> Result<(), Error> {
        let (index, collection) = (version.index, &version.collection);
        let undo = names
            .iter()
            .map(|alias| format!("ln -s {index} {collection}/{alias}"));
        let mutation = Mutation {
            operation: op::DELETE_ALIASES,
            node: node(version),
            what: format!("aliases removed {names:?}"),
            input: aliases_input(version, names),
            undo: Some(undo.collect::<Vec<_>>().join("; ")),
        };
        self.mutate(&mutation).await.map(drop)
    }

    /// How an alias goes back to where it is now: a request, since nothing else remembers it once
    /// it has moved.
    async fn undo_of_alias(&self, version: &ArtifactVersion, alias: &str) -> String {
        let place = format!("{}/{alias}", version.collection);
        let Ok(selector) = VersionSelector::parse(alias) else {
            return format!("rm {place}");
        };
        match Hub::version(self, &version.collection, &selector).await {
            // A digest or commit hash resolves too, without being an alias.
            Ok(Some(holder)) if holder.aliases.iter().any(|held| held == alias) => {
                format!("ln -sfn {} {place}", holder.index)
            }
            Ok(_) => format!("rm {place}"),
            Err(error) => {
                tracing::debug!("where {place} led is not known: {}", error.chain());
                format!("where {place} led before is not known")
            }
        }
    }
}

fn node(version: &ArtifactVersion) -> String {
    format!("{}/{}", version.collection, version.index)
}

fn aliases_input(version: &ArtifactVersion, names: &[String]) -> Value {
    let place = &version.collection;
    let alias = |name: &String| {
        json!({
            "entityName": place.project.entity.as_str(),
            "projectName": place.project.project.as_str(),
            "artifactCollectionName": place.name.as_str(),
            "alias": name,
        })
    };
    let aliases: Vec<Value> = names.iter().map(alias).collect();
    json!({ "artifactID": version.id.as_str(), "aliases": aliases })
}

/// Everything but aliases in one mutation, and what it changes.
fn update_of(version: &ArtifactVersion, change: &VersionChange) -> (Mutation, Vec<Applied>) {
    let tags = |tags: &[String]| (!tags.is_empty()).then(|| tag_inputs(tags));
    let metadata = change.metadata.clone();
    let metadata = metadata.map(|metadata| Value::Object(metadata).to_string());
    let input = json!({
        "artifactID": version.id.as_str(),
        "description": change.description,
        "metadata": metadata,
        "tagsToAdd": tags(&change.tags_added),
        "tagsToDelete": tags(&change.tags_removed),
        "ttlDurationSeconds": change.ttl.map(crate::model::Ttl::wire),
    });
    let parts: Vec<Applied> = [
        (change.description.is_some(), Applied::Description),
        (change.metadata.is_some(), Applied::Metadata),
        (!change.tags_added.is_empty(), Applied::TagsAdded),
        (!change.tags_removed.is_empty(), Applied::TagsRemoved),
        (change.ttl.is_some(), Applied::Ttl),
    ]
    .into_iter()
    .filter_map(|(differs, part)| differs.then_some(part))
    .collect();
    let words: Vec<String> = parts.iter().map(Applied::to_string).collect();
    let mutation = Mutation {
        operation: op::UPDATE_ARTIFACT,
        node: node(version),
        what: words.join(", "),
        input,
        undo: None,
    };
    (mutation, parts)
}
