//! Values to JSON, a function for each noun. The keys are the contract; see protocol §12 for those
//! of a version.

use serde_json::{Value, json};

use crate::model::{
    ArtifactVersion, Collection, CollectionKind, Entity, EntityKind, EntityName, Hub,
    LinkedVersion, NodePath, Project, ProjectArtifactType, Run, VersionSelector,
};

pub(super) fn entity(name: &EntityName, value: Option<&Entity>, hub: &dyn Hub) -> Value {
    let kind = value.and_then(|value| value.kind).map(|kind| match kind {
        EntityKind::User => "user",
        EntityKind::Team => "team",
        EntityKind::Organization => "organization",
    });
    json!({
        "id": value.map(|value| &value.id),
        "name": name.as_str(),
        "kind": kind,
        "organization": value.and_then(|value| value.organization.as_ref()),
        "created_at": value.and_then(|value| value.created_at.as_ref()),
        "updated_at": value.and_then(|value| value.updated_at.as_ref()),
        "url": hub.app_url(&NodePath::Entity(name.clone())),
    })
}

pub(super) fn project(value: &Project, hub: &dyn Hub) -> Value {
    json!({
        "id": value.id,
        "internal_id": value.internal_id,
        "name": value.path.project.as_str(),
        "entity": value.path.entity.as_str(),
        "description": value.description,
        "access": value.access,
        "read_only": value.read_only,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "url": hub.app_url(&NodePath::Project(value.path.clone())),
    })
}

pub(super) fn artifact_type(value: &ProjectArtifactType) -> Value {
    json!({
        "id": value.id,
        "name": value.name.as_str(),
        "description": value.description,
        "created_at": value.created_at,
        "collection_count": value.collection_count,
    })
}

pub(super) fn collection(value: &Collection, aliases: &[String]) -> Value {
    json!({
        "id": value.id,
        "name": value.path.name.as_str(),
        "type": value.path.artifact_type.as_str(),
        "is_sequence": value.kind == CollectionKind::Sequence,
        "description": value.description,
        "tags": value.tags,
        "aliases": aliases,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "version_count": value.version_count,
    })
}

/// The properties of the SDK's `Artifact`, in the order of protocol §12. Where a property is another
/// artifact, its qualified name stands for it.
pub(super) fn version(value: &ArtifactVersion, hub: &dyn Hub) -> Value {
    let collection = &value.collection;
    let entity = collection.project.entity.as_str();
    let project = collection.project.project.as_str();
    let name = format!("{}:{}", collection.name, value.index);
    let qualified_name = format!("{entity}/{project}/{name}");
    let source_entity = value.source_entity.as_deref().unwrap_or_default();
    let source_project = value.source_project.as_deref().unwrap_or_default();
    let source_version = value.source_index.unwrap_or(value.index).to_string();
    let source_name = format!("{}:{source_version}", value.source_collection);
    let source_qualified_name = format!("{source_entity}/{source_project}/{source_name}");
    let is_link = value.is_link();
    let linked_at = is_link
        .then_some(value.membership.created_at.as_deref())
        .flatten();
    let source_artifact = match is_link {
        true => &source_qualified_name,
        false => &qualified_name,
    };
    let linked: Vec<String> = value.linked_artifacts.iter().map(linked_name).collect();
    json!({
        "id": value.id.as_str(),
        "name": name,
        "version": value.index.to_string(),
        "entity": entity,
        "project": project,
        "collection": collection.name.as_str(),
        "qualified_name": qualified_name,
        "source_entity": source_entity,
        "source_project": source_project,
        "source_collection": value.source_collection,
        "source_name": source_name,
        "source_version": source_version,
        "source_qualified_name": source_qualified_name,
        "is_link": is_link,
        "linked_at": linked_at,
        "linked_artifacts": linked,
        "source_artifact": source_artifact,
        "type": value.type_name,
        "description": value.description,
        "metadata": value.metadata,
        "aliases": value.aliases,
        "tags": value.tags,
        "ttl": value.ttl_seconds,
        "ttl_is_inherited": value.ttl_is_inherited,
        "state": value.state,
        "size": value.size,
        "digest": value.digest,
        "digest_algorithm": value.digest_algorithm,
        "commit_hash": value.commit_hash,
        "file_count": value.file_count,
        "created_at": value.created_at,
        "updated_at": value.updated_at.as_ref().or(value.created_at.as_ref()),
        "history_step": value.history_step,
        "url": hub.app_url(&path_of(value)),
    })
}

pub(super) fn run(value: &Run, hub: &dyn Hub) -> Value {
    let path = NodePath::Run(value.project.clone(), value.name.clone());
    json!({
        "id": value.name.as_str(),
        "name": value.display_name,
        "entity": value.project.entity.as_str(),
        "project": value.project.project.as_str(),
        "state": value.state,
        "user": value.user,
        "group": value.group,
        "job_type": value.job_type,
        "notes": value.notes,
        "tags": value.tags,
        "config": value.config,
        "summary": value.summary,
        "created_at": value.created_at,
        "updated_at": value.updated_at,
        "heartbeat_at": value.heartbeat_at,
        "url": hub.app_url(&path),
    })
}

fn path_of(value: &ArtifactVersion) -> NodePath {
    NodePath::Version {
        collection: value.collection.clone(),
        selector: VersionSelector::Index(value.index),
        below: String::new(),
    }
}

fn linked_name(linked: &LinkedVersion) -> String {
    let LinkedVersion {
        entity,
        project,
        collection,
        version,
    } = linked;
    match version {
        Some(version) => format!("{entity}/{project}/{collection}:{version}"),
        None => format!("{entity}/{project}/{collection}"),
    }
}
