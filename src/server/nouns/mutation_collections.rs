//! Mutations of types and collections.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Args, Cx, Out, ServerError, artifact_type::ArtifactType, collection::Collection,
    payload::Payload, read, tag::Tag, viewer, write,
};
use crate::server::store::{
    Kind, StoreError,
    collections::{self, CollectionRow},
    links::writable_collection,
    projects,
    tags::{self, Owner, TagInput},
};

/// A text member of the input.
fn member(args: &Args, name: &str) -> Option<String> {
    args.input("input")?
        .get(name)
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn needed(args: &Args, name: &str) -> Result<String, ServerError> {
    member(args, name)
        .ok_or_else(|| ServerError::Invalid(format!("input member \"{name}\" is required")))
}

/// `createArtifactType`.
pub(super) async fn create_type(cx: &Cx, args: &Args) -> Answer {
    let (entity, project, name) = (
        needed(args, "entityName")?,
        needed(args, "projectName")?,
        needed(args, "name")?,
    );
    let description = member(args, "description");
    let me = viewer(cx);
    let row = write(cx, move |store| {
        store.write(|tx| {
            let (project, _) = projects::ensure(tx, me, &entity, &project)?;
            collections::ensure_type(tx, project.id, &name, description.as_deref())
        })
    })
    .await?;
    Ok(Out::node(
        Payload::new("CreateArtifactTypePayload").node("artifactType", ArtifactType(row)),
    ))
}

/// `updateArtifactType`.
pub(super) async fn update_type(cx: &Cx, args: &Args) -> Answer {
    let id = Kind::Type.parse(&needed(args, "artifactTypeID")?);
    let id = id.ok_or_else(|| StoreError::not_found("artifact type"))?;
    let description = member(args, "description");
    let me = viewer(cx);
    let row = write(cx, move |store| {
        store.write(|tx| {
            let found = collections::artifact_type(tx, id)?;
            let project = projects::project(tx, me, found.project_id)?
                .ok_or_else(|| StoreError::not_found("artifact type"))?;
            projects::check_writable(tx, me, &project)?;
            collections::describe_type(tx, id, description.as_deref())?;
            collections::artifact_type(tx, id)
        })
    })
    .await?;
    Ok(Out::node(
        Payload::new("UpdateArtifactTypePayload").node("artifactType", ArtifactType(row)),
    ))
}

/// `createArtifactSequence` and `createArtifactPortfolio`.
pub(super) async fn create(cx: &Cx, args: &Args, portfolio: bool) -> Answer {
    let (entity, project, name) = (
        needed(args, "entityName")?,
        needed(args, "projectName")?,
        needed(args, "name")?,
    );
    let kind = Kind::Type.parse(&needed(args, "artifactTypeID")?);
    let kind = kind.ok_or_else(|| StoreError::not_found("artifact type"))?;
    let description = member(args, "description");
    let me = viewer(cx);
    let row = write(cx, move |store| {
        store.write(|tx| {
            let project = projects::writable(tx, me, &entity, &project)?;
            let kind = collections::artifact_type(tx, kind)?;
            if kind.project_id != project.id {
                return Err(StoreError::invalid(
                    "the artifact type is one of another project",
                ));
            }
            collections::create(tx, &kind, portfolio, &name, description.as_deref())
        })
    })
    .await?;
    Ok(Out::node(
        Payload::new("CreateArtifactCollectionPayload").node("artifactCollection", Collection(row)),
    ))
}

/// Runs a change of the collection that input member `id_name` means, and answers it as it is then.
async fn change(
    cx: &Cx,
    args: &Args,
    id_name: &str,
    f: impl FnOnce(&rusqlite::Transaction<'_>, &CollectionRow) -> Result<(), StoreError>
    + Send
    + 'static,
) -> Result<Collection, ServerError> {
    let id = Kind::Collection
        .parse(&needed(args, id_name)?)
        .ok_or_else(|| StoreError::not_found("collection"))?;
    let portfolio = id_name == "artifactPortfolioID";
    let me = viewer(cx);
    let row = write(cx, move |store| {
        store.write(|tx| {
            let found = writable_collection(tx, me, id)?;
            if found.portfolio != portfolio {
                return Err(StoreError::invalid(format!(
                    "'{}' is a collection of the other kind",
                    found.name
                )));
            }
            f(tx, &found)?;
            collections::collection(tx, id)?.ok_or_else(|| StoreError::not_found("collection"))
        })
    })
    .await?;
    Ok(Collection(row))
}

/// `updateArtifactSequence` and `updateArtifactPortfolio`.
pub(super) async fn update(cx: &Cx, args: &Args, id_name: &str) -> Answer {
    let (name, description) = (member(args, "name"), member(args, "description"));
    let found = change(cx, args, id_name, move |tx, found| {
        collections::update(tx, found, name.as_deref(), description.as_deref())
    });
    Ok(Out::node(
        Payload::new("UpdateArtifactCollectionPayload").node("artifactCollection", found.await?),
    ))
}

/// `moveArtifactSequence`.
pub(super) async fn change_type(cx: &Cx, args: &Args) -> Answer {
    let kind = needed(args, "destinationArtifactTypeName")?;
    let found = change(cx, args, "artifactSequenceID", move |tx, found| {
        collections::move_to_type(tx, found, &kind)
    });
    Ok(Out::node(
        Payload::new("MoveArtifactCollectionPayload").node("artifactCollection", found.await?),
    ))
}

/// `deleteArtifactSequence` and `deleteArtifactPortfolio`.
pub(super) async fn delete(cx: &Cx, args: &Args, id_name: &str) -> Answer {
    let found = change(cx, args, id_name, collections::delete);
    Ok(Out::node(
        Payload::new("DeleteArtifactCollectionPayload").node("artifactCollection", found.await?),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tags {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    tags: Vec<TagInput>,
}

/// Adds or removes tags of a collection; answers its row.
async fn change_tags(cx: &Cx, args: &Args, add: bool) -> Result<i64, ServerError> {
    let input: Tags = args.deserialize("input")?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let project = projects::writable(tx, me, &input.entity_name, &input.project_name)?;
            let found = collections::named(tx, project.id, &input.artifact_collection_name)?
                .ok_or_else(|| {
                    StoreError::not_found(format!(
                        "collection '{}'",
                        input.artifact_collection_name
                    ))
                })?;
            let owner = Owner::Collection(found.id);
            if add {
                tags::add(tx, owner, &input.tags)?;
            } else {
                tags::remove(tx, owner, &input.tags)?;
            }
            collections::touch(tx, found.id)?;
            Ok(found.id)
        })
    })
    .await
}

/// `createArtifactCollectionTagAssignments`.
pub(super) async fn add_tags(cx: &Cx, args: &Args) -> Answer {
    let id = change_tags(cx, args, true).await?;
    let tags = read(cx, |db| tags::of(db, Owner::Collection(id)))?;
    Ok(Out::node(
        Payload::new("CreateArtifactCollectionTagAssignmentsPayload")
            .nodes("tags", tags.into_iter().map(Tag)),
    ))
}

/// `deleteArtifactCollectionTagAssignments`.
pub(super) async fn remove_tags(cx: &Cx, args: &Args) -> Answer {
    change_tags(cx, args, false).await?;
    Ok(Out::node(Payload::success(
        "DeleteArtifactCollectionTagAssignmentsPayload",
    )))
}
