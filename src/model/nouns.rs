//! The nouns of the W&B API as values, each with every field the metadata files show.
//!
//! Servers of another make send null where the schema promises a value (protocol §19), so whatever
//! is not needed to name a node is an `Option`. Times are the server's RFC 3339 text, parsed where
//! a number is needed.

use serde_json::{Map, Value};

use super::{
    ArtifactId, CollectionName, CollectionPath, EntityName, ProjectName, ProjectPath, RunName,
    TypeName, VersionIndex,
};

/// The signed-in user.
#[derive(Debug, Clone, PartialEq)]
pub struct Viewer {
    /// Global id.
    pub id: String,
    /// Login name.
    pub username: Option<String>,
    /// Human name.
    pub name: Option<String>,
    /// Mail address.
    pub email: Option<String>,
    /// Default entity: what a path without entity means.
    pub entity: Option<EntityName>,
    /// The user's own entity, their teams and organisations, in the server's order, each once.
    pub entities: Vec<EntityName>,
}

/// What an entity stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityKind {
    /// A person.
    User,
    /// A team.
    Team,
    /// An organisation's own entity, which holds registries.
    Organization,
}

/// A user, team or organisation entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Global id.
    pub id: String,
    /// Name in paths.
    pub name: EntityName,
    /// What it stands for, where the server says.
    pub kind: Option<EntityKind>,
    /// Display name of its organisation.
    pub organization: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

/// A project; a registry is the project `wandb-registry-<name>` of an organisation entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Global id.
    pub id: String,
    /// Id that decodes to the number used in registry filters (protocol §3.1).
    pub internal_id: Option<String>,
    /// Entity and name.
    pub path: ProjectPath,
    /// Free text.
    pub description: Option<String>,
    /// `PRIVATE`, `RESTRICTED`, ….
    pub access: Option<String>,
    /// Whether the signed-in user may not write there.
    pub read_only: Option<bool>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

/// An artifact type of a project (`ArtifactType` in the API).
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectArtifactType {
    /// Global id.
    pub id: String,
    /// Name.
    pub name: TypeName,
    /// Free text.
    pub description: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// Number of collections, where the server says.
    pub collection_count: Option<u64>,
}

/// Whether a collection holds versions or links to versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CollectionKind {
    /// `ArtifactSequence`: versions logged by runs.
    Sequence,
    /// `ArtifactPortfolio`: links, numbered on their own.
    Portfolio,
}

/// A collection (`ArtifactCollection` in the API).
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Global id.
    pub id: String,
    /// Project, type and name.
    pub path: CollectionPath,
    /// Sequence or portfolio.
    pub kind: CollectionKind,
    /// Free text; null and `""` are different.
    pub description: Option<String>,
    /// Tag names in the server's order.
    pub tags: Vec<String>,
    /// Aliases that came along, `vN` left out, each once.
    pub aliases: Vec<String>,
    /// Whether there are more aliases than those ([`Hub::collection_aliases`](super::Hub)).
    pub more_aliases: bool,
    /// Number of versions, where the server says.
    pub version_count: Option<u64>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

/// An alias together with the collection in which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasOf {
    /// The alias; may be `vN`.
    pub alias: String,
    /// Entity, project and collection, where the server says.
    pub collection: Option<(EntityName, ProjectName, CollectionName)>,
}

/// A collection that links a version, and how it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedVersion {
    /// Entity of the portfolio.
    pub entity: String,
    /// Project of the portfolio.
    pub project: String,
    /// The portfolio.
    pub collection: String,
    /// Number there.
    pub version: Option<VersionIndex>,
}

/// How a version belongs to the collection through which it was reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// Number in that collection.
    pub index: Option<VersionIndex>,
    /// When it came into that collection (RFC 3339): `linked_at` of links.
    pub created_at: Option<String>,
}

/// The stored manifest of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// `currentManifest.digest`.
    pub digest: Option<String>,
    /// Length in bytes; servers of another make say 0 or nothing.
    pub size: Option<u64>,
    /// A presigned URL that came along; a secret, never logged.
    pub url: Option<String>,
}

/// Who made a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedBy {
    /// A run.
    Run(RunRef),
    /// A person.
    User(String),
}

/// Entity, project and id of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRef {
    /// Entity.
    pub entity: Option<String>,
    /// Project.
    pub project: Option<String>,
    /// Id in URLs.
    pub name: String,
}

/// A version of an artifact, as reached through one collection: every field of protocol §12.
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactVersion {
    /// Global id.
    pub id: ArtifactId,
    /// The collection it was reached through.
    pub collection: CollectionPath,
    /// Number within that collection.
    pub index: VersionIndex,
    /// Its membership there.
    pub membership: Membership,
    /// `artifactType.name`.
    pub type_name: String,
    /// Source entity; `None` when the caller may not see the source project.
    pub source_entity: Option<String>,
    /// Source project, likewise.
    pub source_project: Option<String>,
    /// Source sequence.
    pub source_collection: String,
    /// Number in the source sequence.
    pub source_index: Option<VersionIndex>,
    /// Free text.
    pub description: Option<String>,
    /// The metadata object; empty for null.
    pub metadata: Map<String, Value>,
    /// Aliases in this collection, `vN` left out, in the server's order.
    pub aliases: Vec<String>,
    /// Tag names.
    pub tags: Vec<String>,
    /// Seconds to live; `None` for no limit (wire value ≤ 0).
    pub ttl_seconds: Option<i64>,
    /// Whether the limit is the team's default.
    pub ttl_is_inherited: Option<bool>,
    /// `PENDING`, `COMMITTED`, `DELETED`, upper case.
    pub state: String,
    /// Bytes, references included.
    pub size: Option<u64>,
    /// Hex digest of the manifest.
    pub digest: String,
    /// `MANIFEST_MD5` or `MANIFEST_XXH128`.
    pub digest_algorithm: Option<String>,
    /// Opaque hex.
    pub commit_hash: Option<String>,
    /// Number of entries.
    pub file_count: Option<u64>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339; `None` means as created.
    pub updated_at: Option<String>,
    /// The SDK's value: the wire's minus one, never below 0.
    pub history_step: Option<i64>,
    /// The portfolios that link it, where the server says.
    pub linked_artifacts: Vec<LinkedVersion>,
    /// Its manifest; `None` before commit.
    pub manifest: Option<ManifestFile>,
}

impl ArtifactVersion {
    /// Whether this is a link: reached through another collection than its source (protocol §12).
    /// A source project that the caller may not see is another one than that of the collection.
    pub fn is_link(&self) -> bool {
        let project = &self.collection.project;
        self.source_collection != self.collection.name.as_str()
            || self.source_project.as_deref() != Some(project.project.as_str())
            || self.source_entity.as_deref() != Some(project.entity.as_str())
    }

    /// Whether a listing shows it: committed ones only (another make may list others).
    pub fn is_committed(&self) -> bool {
        self.state.eq_ignore_ascii_case("COMMITTED")
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Global id.
    pub id: String,
    /// Id in URLs.
    pub name: RunName,
    /// Its project.
    pub project: ProjectPath,
    /// Human name.
    pub display_name: Option<String>,
    /// `running`, `finished`, ….
    pub state: Option<String>,
    /// Login name of who started it.
    pub user: Option<String>,
    /// Group.
    pub group: Option<String>,
    /// Job type.
    pub job_type: Option<String>,
    /// Notes.
    pub notes: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// The config, as JSON.
    pub config: Option<Value>,
    /// The summary, as JSON.
    pub summary: Option<Value>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
    /// RFC 3339.
    pub heartbeat_at: Option<String>,
}
