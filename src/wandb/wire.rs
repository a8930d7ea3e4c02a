//! Answers as they come: every member may be missing or null, numbers may be texts, ids numbers.

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// `edges`, `pageInfo`, `totalCount`.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection<N> {
    #[serde(default, deserialize_with = "number")]
    pub(crate) total_count: Option<i64>,
    pub(crate) edges: Option<Vec<Option<Edge<N>>>>,
    pub(crate) page_info: Option<PageInfo>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Edge<N> {
    pub(crate) node: Option<N>,
    /// `vN` in this collection, on the edges of a collection's versions.
    pub(crate) version: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    pub(crate) has_next_page: Option<bool>,
    pub(crate) end_cursor: Option<String>,
}

impl<N> Connection<N> {
    /// The nodes that are there.
    pub(crate) fn into_nodes(self) -> impl Iterator<Item = N> {
        self.into_edges().filter_map(|edge| edge.node)
    }

    /// The edges that are there.
    pub(crate) fn into_edges(self) -> impl Iterator<Item = Edge<N>> {
        self.edges.unwrap_or_default().into_iter().flatten()
    }
}

/// Something of which only the name matters.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Named {
    pub(crate) name: Option<String>,
}

/// A project as the place of something else.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Place {
    pub(crate) name: Option<String>,
    pub(crate) entity: Option<Named>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) user_entity: Option<Named>,
    pub(crate) teams: Option<Connection<Named>>,
    pub(crate) organizations: Option<Vec<Option<Organization>>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Organization {
    pub(crate) name: Option<String>,
    pub(crate) org_entity: Option<OrganizationEntity>,
}

#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct OrganizationEntity {
    pub(crate) name: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entity {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) is_team: Option<bool>,
    pub(crate) entity_type: Option<String>,
    pub(crate) organization: Option<Organization>,
    pub(crate) user: Option<User>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Project {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) internal_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) entity: Option<Named>,
    pub(crate) description: Option<String>,
    pub(crate) access: Option<String>,
    pub(crate) read_only: Option<bool>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    pub(crate) allow_all_artifact_types: Option<bool>,
    pub(crate) artifact_types: Option<Connection<Named>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArtifactType {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) artifact_collections: Option<Connection<Named>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Collection {
    #[serde(rename = "__typename")]
    pub(crate) typename: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    pub(crate) project: Option<Place>,
    #[serde(rename = "type")]
    pub(crate) artifact_type: Option<Named>,
    pub(crate) tags: Option<Connection<Named>>,
    pub(crate) aliases: Option<Connection<Alias>>,
    pub(crate) artifacts: Option<Connection<Named>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alias {
    pub(crate) alias: Option<String>,
    pub(crate) artifact_collection: Option<CollectionPlace>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct CollectionPlace {
    #[serde(rename = "__typename")]
    pub(crate) typename: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) project: Option<Place>,
    #[serde(rename = "type")]
    pub(crate) artifact_type: Option<Named>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Membership {
    #[serde(default, deserialize_with = "number")]
    pub(crate) version_index: Option<i64>,
    pub(crate) created_at: Option<String>,
    pub(crate) aliases: Option<Vec<Option<Alias>>>,
    pub(crate) artifact_collection: Option<CollectionPlace>,
    pub(crate) artifact: Option<Artifact>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Artifact {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) digest: Option<String>,
    pub(crate) digest_algorithm: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) description: Option<String>,
    /// A text that holds JSON, or the object itself.
    pub(crate) metadata: Option<Value>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) size: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) file_count: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) history_step: Option<i64>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) ttl_duration_seconds: Option<i64>,
    pub(crate) ttl_is_inherited: Option<bool>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) version_index: Option<i64>,
    pub(crate) commit_hash: Option<String>,
    pub(crate) artifact_type: Option<Named>,
    pub(crate) artifact_sequence: Option<Sequence>,
    pub(crate) tags: Option<Vec<Option<Named>>>,
    pub(crate) aliases: Option<Vec<Option<Alias>>>,
    pub(crate) current_manifest: Option<Manifest>,
    pub(crate) artifact_memberships: Option<Connection<Membership>>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Sequence {
    pub(crate) name: Option<String>,
    pub(crate) project: Option<Place>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct Manifest {
    pub(crate) digest: Option<String>,
    pub(crate) file: Option<File>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) size_bytes: Option<i64>,
    pub(crate) digest: Option<String>,
    pub(crate) md5: Option<String>,
    pub(crate) mimetype: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) direct_url: Option<String>,
    pub(crate) storage_path: Option<String>,
    pub(crate) updated_at: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    #[serde(default, deserialize_with = "text")]
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) user: Option<RunUser>,
    pub(crate) group: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) tags: Option<Vec<Option<String>>>,
    pub(crate) config: Option<Value>,
    pub(crate) summary_metrics: Option<Value>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
    pub(crate) heartbeat_at: Option<String>,
    pub(crate) project: Option<Place>,
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct RunUser {
    pub(crate) username: Option<String>,
}

/// `createdBy`: a run, a user, or something newer.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Initiator {
    #[serde(rename = "__typename")]
    pub(crate) typename: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) project: Option<Place>,
    pub(crate) username: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Feature {
    pub(crate) name: Option<String>,
    pub(crate) is_enabled: Option<bool>,
}

/// A number, also as a text or with a fraction of zero; anything else is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        #[allow(clippy::cast_possible_truncation)] // a size of 2^53 bytes is beyond any artifact
        Value::Number(number) => number.as_i64().or(number.as_f64().map(|f| f as i64)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// A text, also as a number; anything else is none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
