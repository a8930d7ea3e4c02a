//! Mutations that change, delete and link versions.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Args, Cx, Out, membership::Membership, mutation_artifacts::artifact, payload::Payload,
    read, viewer, write,
};
use crate::server::store::{
    Kind, StoreError, aliases,
    collections::{self, CollectionRow},
    links::LinkRequest,
    projects::{self, Viewer},
    tags::TagInput,
    versions::{self, VersionChange},
    writing::AliasInput,
};

fn artifact_id(id: &str) -> Result<i64, StoreError> {
    Kind::Artifact
        .parse(id)
        .ok_or_else(|| StoreError::not_found("artifact"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    #[serde(rename = "artifactID")]
    artifact_id: String,
    description: Option<String>,
    metadata: Option<String>,
    labels: Option<String>,
    aliases: Option<Vec<AliasInput>>,
    #[serde(default)]
    tags_to_add: Vec<TagInput>,
    #[serde(default)]
    tags_to_delete: Vec<TagInput>,
    ttl_duration_seconds: Option<i64>,
}

/// `updateArtifact`. The list `aliases`, which only older clients send, replaces those in the sequence.
pub(super) async fn update(cx: &Cx, args: &Args) -> Answer {
    let input: Update = args.deserialize("input")?;
    let me = viewer(cx);
    let id = write(cx, move |store| {
        store.write(|tx| {
            let (found, sequence) =
                versions::writable_version(tx, me, artifact_id(&input.artifact_id)?)?;
            let change = VersionChange {
                description: input.description,
                metadata: input.metadata,
                labels: input.labels,
                ttl: input.ttl_duration_seconds,
                tags_to_add: input.tags_to_add,
                tags_to_delete: input.tags_to_delete,
            };
            versions::update(tx, found.id, &change)?;
            if let Some(wanted) = input.aliases {
                for row in aliases::of_version(tx, found.id, Some(sequence.id))? {
                    if !wanted.iter().any(|alias| alias.alias == row.alias) {
                        aliases::remove(tx, me, &sequence, found.id, &row.alias)?;
                    }
                }
                aliases::set_all(
                    tx,
                    me,
                    &sequence,
                    found.id,
                    wanted.iter().map(|alias| alias.alias.as_str()),
                )?;
            }
            collections::touch(tx, sequence.id)?;
            Ok(found.id)
        })
    })
    .await?;
    Ok(Out::node(
        Payload::new("UpdateArtifactPayload").node("artifact", artifact(cx, id)?),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Aliases {
    #[serde(rename = "artifactID")]
    artifact_id: String,
    aliases: Vec<PlacedAlias>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlacedAlias {
    alias: String,
    artifact_collection_name: String,
    entity_name: String,
    project_name: String,
}

impl PlacedAlias {
    /// The collection it is in, which the viewer may change.
    fn collection(
        &self,
        tx: &rusqlite::Transaction<'_>,
        viewer: Viewer,
    ) -> Result<CollectionRow, StoreError> {
        let project = projects::writable(tx, viewer, &self.entity_name, &self.project_name)?;
        collections::named(tx, project.id, &self.artifact_collection_name)?.ok_or_else(|| {
            StoreError::not_found(format!("collection '{}'", self.artifact_collection_name))
        })
    }

    fn payload(self) -> Payload {
        Payload::new("ArtifactCollectionAlias")
            .value("alias", self.alias)
            .value("artifactCollectionName", self.artifact_collection_name)
            .value("entityName", self.entity_name)
            .value("projectName", self.project_name)
    }
}

/// `addAliases`.
pub(super) async fn add_aliases(cx: &Cx, args: &Args) -> Answer {
    let input: Aliases = args.deserialize("input")?;
    let me = viewer(cx);
    let shown = input.aliases.clone();
    let id = write(cx, move |store| {
        store.write(|tx| {
            let id = artifact_id(&input.artifact_id)?;
            for alias in &input.aliases {
                let collection = alias.collection(tx, me)?;
                let member = versions::membership(tx, collection.id, id)?;
                member.ok_or_else(|| {
                    StoreError::not_found(format!("artifact in collection '{}'", collection.name))
                })?;
                aliases::set_all(tx, me, &collection, id, [alias.alias.as_str()])?;
            }
            Ok(id)
        })
    })
    .await?;
    let made = Payload::success("AddAliasesPayload").node("artifact", artifact(cx, id)?);
    Ok(Out::node(made.nodes(
        "aliases",
        shown.into_iter().map(PlacedAlias::payload),
    )))
}

/// `deleteAliases`.
pub(super) async fn delete_aliases(cx: &Cx, args: &Args) -> Answer {
    let input: Aliases = args.deserialize("input")?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let id = artifact_id(&input.artifact_id)?;
            for alias in &input.aliases {
                let collection = alias.collection(tx, me)?;
                aliases::remove(tx, me, &collection, id, &alias.alias)?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(Out::node(Payload::success("DeleteAliasesPayload")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    #[serde(rename = "artifactID")]
    artifact_id: String,
    #[serde(default)]
    delete_aliases: bool,
}

/// `deleteArtifact`.
pub(super) async fn delete(cx: &Cx, args: &Args) -> Answer {
    let input: Delete = args.deserialize("input")?;
    let me = viewer(cx);
    let id = write(cx, move |store| {
        store.write(|tx| {
            let (found, _) = versions::writable_version(tx, me, artifact_id(&input.artifact_id)?)?;
            versions::delete(tx, &found, input.delete_aliases)?;
            Ok(found.id)
        })
    })
    .await?;
    Ok(Out::node(
        Payload::new("DeleteArtifactPayload").node("artifact", artifact(cx, id)?),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    #[serde(rename = "artifactID")]
    artifact_id: Option<String>,
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    #[serde(rename = "artifactPortfolioID")]
    portfolio_id: Option<String>,
    artifact_portfolio_name: Option<String>,
    entity_name: Option<String>,
    project_name: Option<String>,
    #[serde(default)]
    aliases: Vec<AliasInput>,
}

/// `linkArtifact`.
pub(super) async fn link(cx: &Cx, args: &Args) -> Answer {
    let input: Link = args.deserialize("input")?;
    let me = viewer(cx);
    let names: Vec<String> = input
        .aliases
        .iter()
        .map(|alias| alias.alias.clone())
        .collect();
    let member = write(cx, move |store| {
        store.link(
            me,
            &LinkRequest {
                artifact: input.artifact_id.as_deref(),
                client: input.client_id.as_deref(),
                portfolio: input.portfolio_id.as_deref(),
                name: input.artifact_portfolio_name.as_deref(),
                entity: input.entity_name.as_deref(),
                project: input.project_name.as_deref(),
                aliases: input
                    .aliases
                    .iter()
                    .map(|alias| alias.alias.as_str())
                    .collect(),
            },
        )
    })
    .await?;
    let (collection, project) = read(cx, |db| {
        let missing = || StoreError::not_found("collection");
        let collection = collections::collection(db, member.collection_id)?.ok_or_else(missing)?;
        let project =
            projects::project_unchecked(db, collection.project_id)?.ok_or_else(missing)?;
        Ok((collection, project))
    })?;
    let placed = names.into_iter().map(|alias| {
        PlacedAlias {
            alias,
            artifact_collection_name: collection.name.clone(),
            entity_name: project.entity.name.clone(),
            project_name: project.name.clone(),
        }
        .payload()
    });
    let made = Payload::new("LinkArtifactPayload")
        .value(
            "versionIndex",
            member.version_index().map_or(Value::Null, Value::from),
        )
        .value("artifactID", Kind::Artifact.id(member.artifact_id))
        .value(
            "artifactCollectionID",
            Kind::Collection.id(member.collection_id),
        )
        .value("createdAt", member.created_at.as_str())
        .nodes("aliases", placed.collect::<Vec<_>>());
    Ok(Out::node(
        made.node("artifactMembership", Membership(member)),
    ))
}

/// `unlinkArtifact`.
pub(super) async fn unlink(cx: &Cx, args: &Args) -> Answer {
    let input = args.input("input").cloned().unwrap_or_default();
    let text = |name: &str| {
        input
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (artifact, portfolio) = (text("artifactID"), text("artifactPortfolioID"));
    let me = viewer(cx);
    let shown = artifact.clone();
    write(cx, move |store| store.unlink(me, &artifact, &portfolio)).await?;
    Ok(Out::node(
        Payload::success("UnlinkArtifactPayload").value("artifactID", shown),
    ))
}
