//! From answers to values: what a server of another make leaves out is filled in or skipped here,
//! once (protocol §3.3, §12, §19).

use serde_json::{Map, Value};

use super::failure::Cause;
use super::wire;
use crate::model::{
    ArtifactId, ArtifactVersion, Collection, CollectionKind, CollectionName, CollectionPath,
    Cursor, Entity, EntityKind, EntityName, LinkedVersion, ManifestFile, Membership, Page, Project,
    ProjectArtifactType, ProjectName, ProjectPath, Run, RunName, TypeName, VersionIndex, Viewer,
};

/// A page from a connection; edges that convert to nothing are skipped.
pub(crate) fn page<N, T>(
    connection: wire::Connection<N>,
    convert: impl FnMut(wire::Edge<N>) -> Option<T>,
) -> Result<Page<T>, Cause> {
    let total = connection.total_count.and_then(count);
    let info = connection.page_info.as_ref();
    let next = match info.filter(|info| info.has_next_page == Some(true)) {
        None => None,
        Some(wire::PageInfo {
            end_cursor: Some(cursor),
            ..
        }) if !cursor.is_empty() => Some(Cursor::new(cursor.clone())),
        Some(_) => return Err(Cause::Nonsense("more pages, but no cursor to them")),
    };
    Ok(Page {
        items: connection.into_edges().filter_map(convert).collect(),
        next,
        total,
    })
}

fn count(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

pub(crate) fn viewer(user: wire::User) -> Viewer {
    let own = user.user_entity.and_then(|entity| entity.name);
    let own = own.or_else(|| user.username.clone());
    let teams = user
        .teams
        .into_iter()
        .flat_map(wire::Connection::into_nodes);
    let teams = teams.filter_map(|team| team.name);
    let organizations = user.organizations.unwrap_or_default().into_iter().flatten();
    let organizations = organizations.filter_map(|org| org.org_entity?.name);
    let mut entities: Vec<EntityName> = Vec::new();
    let all = own.into_iter().chain(user.entity.clone()).chain(teams);
    for name in all.chain(organizations) {
        match EntityName::new(&name) {
            Ok(name) if !entities.contains(&name) => entities.push(name),
            _ => {}
        }
    }
    Viewer {
        id: user.id.unwrap_or_default(),
        username: user.username,
        name: user.name,
        email: user.email,
        entity: user.entity.and_then(|name| EntityName::new(&name).ok()),
        entities,
    }
}

pub(crate) fn entity(wire: wire::Entity, asked: &EntityName) -> Entity {
    let kind = match wire.entity_type.as_deref().map(str::to_ascii_lowercase) {
        Some(kind) if kind.starts_with("org") => Some(EntityKind::Organization),
        Some(kind) if kind == "team" => Some(EntityKind::Team),
        Some(kind) if kind == "user" || kind == "personal" => Some(EntityKind::User),
        _ => wire.is_team.map(|is_team| match is_team {
            true => EntityKind::Team,
            false => EntityKind::User,
        }),
    };
    Entity {
        id: wire.id.unwrap_or_default(),
        name: wire
            .name
            .and_then(|n| EntityName::new(&n).ok())
            .unwrap_or_else(|| asked.clone()),
        kind,
        organization: wire.organization.and_then(|organization| organization.name),
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    }
}

pub(crate) fn project(wire: wire::Project, entity: &EntityName) -> Option<Project> {
    let name = ProjectName::new(&wire.name?).ok()?;
    let answered = wire.entity.and_then(|entity| entity.name);
    let answered = answered.and_then(|name| EntityName::new(&name).ok());
    Some(Project {
        id: wire.id.unwrap_or_default(),
        internal_id: wire.internal_id,
        path: ProjectPath {
            entity: answered.unwrap_or_else(|| entity.clone()),
            project: name,
        },
        description: wire.description,
        access: wire.access,
        read_only: wire.read_only,
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    })
}

pub(crate) fn artifact_type(wire: wire::ArtifactType) -> Option<ProjectArtifactType> {
    let collections = wire.artifact_collections;
    Some(ProjectArtifactType {
        id: wire.id.unwrap_or_default(),
        name: TypeName::new(&wire.name?).ok()?,
        description: wire.description,
        created_at: wire.created_at,
        collection_count: collections.and_then(|c| c.total_count).and_then(count),
    })
}

/// The place of a project where the server names one, else `fallback`.
pub(crate) fn place(wire: Option<&wire::Place>, fallback: &ProjectPath) -> ProjectPath {
    let entity = wire.and_then(|place| place.entity.as_ref()?.name.as_deref());
    let project = wire.and_then(|place| place.name.as_deref());
    ProjectPath {
        entity: entity
            .and_then(|name| EntityName::new(name).ok())
            .unwrap_or_else(|| fallback.entity.clone()),
        project: project
            .and_then(|name| ProjectName::new(name).ok())
            .unwrap_or_else(|| fallback.project.clone()),
    }
}

/// A collection; `None` for a deleted one, or one whose type nobody knows.
pub(crate) fn collection(
    wire: wire::Collection,
    project: &ProjectPath,
    artifact_type: Option<&TypeName>,
) -> Option<Collection> {
    let gone = wire
        .state
        .as_deref()
        .is_some_and(|s| s.eq_ignore_ascii_case("DELETED"));
    if gone {
        return None;
    }
    let answered = wire.artifact_type.and_then(|t| t.name);
    let answered = answered.and_then(|name| TypeName::new(&name).ok());
    let kind = match wire.typename.as_deref() {
        Some("ArtifactPortfolio") => CollectionKind::Portfolio,
        _ => CollectionKind::Sequence,
    };
    let aliases = wire.aliases;
    let more_aliases = aliases.as_ref().is_some_and(|aliases| {
        aliases
            .page_info
            .as_ref()
            .and_then(|info| info.has_next_page)
            == Some(true)
    });
    let aliases = aliases.into_iter().flat_map(wire::Connection::into_nodes);
    let tags = wire.tags.into_iter().flat_map(wire::Connection::into_nodes);
    Some(Collection {
        id: wire.id.unwrap_or_default(),
        path: CollectionPath {
            project: place(wire.project.as_ref(), project),
            artifact_type: answered.or_else(|| artifact_type.cloned())?,
            name: CollectionName::new(&wire.name?).ok()?,
        },
        kind,
        description: wire.description,
        tags: tags.filter_map(|tag| tag.name).collect(),
        aliases: custom_aliases(aliases.filter_map(|row| row.alias)),
        more_aliases,
        version_count: wire.artifacts.and_then(|a| a.total_count).and_then(count),
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    })
}

/// Aliases that people gave, each once: `v<digits>` is a version and never an alias.
pub(crate) fn custom_aliases(rows: impl Iterator<Item = String>) -> Vec<String> {
    let mut aliases: Vec<String> = Vec::new();
    for alias in rows {
        if !is_version(&alias) && !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    aliases
}

fn is_version(alias: &str) -> bool {
    let digits = alias.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// How a version was reached, as far as the answer says.
#[derive(Default)]
pub(crate) struct Reached {
    /// Number in the collection.
    pub(crate) index: Option<VersionIndex>,
    /// Since when it is there.
    pub(crate) since: Option<String>,
    /// Its aliases there, `vN` perhaps among them.
    pub(crate) aliases: Option<Vec<String>>,
}

/// A membership's own part.
pub(crate) fn reached(membership: &mut wire::Membership) -> Reached {
    let aliases = membership.aliases.take();
    Reached {
        index: membership.version_index.and_then(index),
        since: membership.created_at.take(),
        aliases: aliases.map(|rows| rows.into_iter().flatten().filter_map(|r| r.alias).collect()),
    }
}

fn index(number: i64) -> Option<VersionIndex> {
    count(number).map(VersionIndex)
}

/// A version as reached through `path`. `None` where there is nothing to name it by.
pub(crate) fn version(
    wire: wire::Artifact,
    path: CollectionPath,
    reached: Reached,
) -> Option<ArtifactVersion> {
    let id = ArtifactId::new(wire.id?);
    let memberships = wire.artifact_memberships.into_iter();
    let memberships: Vec<_> = memberships.flat_map(wire::Connection::into_nodes).collect();
    let here = memberships.iter().find(|m| {
        m.artifact_collection
            .as_ref()
            .is_some_and(|place| is_at(place, &path))
    });
    let rows = wire.aliases.unwrap_or_default().into_iter().flatten();
    let rows = rows.filter(|row| {
        row.artifact_collection
            .as_ref()
            .is_none_or(|c| is_at(c, &path))
    });
    let rows: Vec<String> = rows.filter_map(|row| row.alias).collect();
    let rows = reached.aliases.unwrap_or(rows);

    let (source_entity, source_project, source_collection) = source(wire.artifact_sequence, &path);
    let source_index = wire.version_index.and_then(index);
    let number = reached
        .index
        .or_else(|| here.and_then(|m| m.version_index).and_then(index))
        .or_else(|| rows.iter().find_map(|alias| VersionIndex::parse(alias)))
        .or(source_index)?;
    let membership = Membership {
        index: Some(number),
        created_at: reached
            .since
            .or_else(|| here.and_then(|m| m.created_at.clone())),
    };
    let state = wire.state.map(|state| state.to_ascii_uppercase());
    Some(ArtifactVersion {
        id,
        index: number,
        membership,
        type_name: wire
            .artifact_type
            .and_then(|t| t.name)
            .unwrap_or_else(|| path.artifact_type.as_str().to_owned()),
        source_entity,
        source_project,
        source_collection: source_collection.unwrap_or_else(|| path.name.as_str().to_owned()),
        source_index,
        description: wire.description,
        metadata: object(wire.metadata),
        aliases: custom_aliases(rows.into_iter()),
        tags: names(wire.tags),
        ttl_seconds: wire.ttl_duration_seconds.filter(|seconds| *seconds > 0),
        ttl_is_inherited: wire.ttl_is_inherited,
        state: state.unwrap_or_else(|| "COMMITTED".to_owned()),
        size: wire.size.and_then(count),
        digest: wire.digest.unwrap_or_default(),
        digest_algorithm: wire.digest_algorithm,
        commit_hash: wire.commit_hash,
        file_count: wire.file_count.and_then(count),
        created_at: wire.created_at,
        updated_at: wire.updated_at,
        history_step: wire.history_step.map(|step| (step - 1).max(0)),
        linked_artifacts: memberships.into_iter().filter_map(linked).collect(),
        manifest: wire.current_manifest.map(manifest),
        collection: path,
    })
}

/// Entity, project and name of the sequence that a version was logged to. A server that tells of none
/// is taken to mean the collection that was asked; one whose project is null may not be seen.
fn source(
    sequence: Option<wire::Sequence>,
    path: &CollectionPath,
) -> (Option<String>, Option<String>, Option<String>) {
    let Some(sequence) = sequence else {
        let project = &path.project;
        let text = |name: &str| Some(name.to_owned());
        let (entity, project) = (
            text(project.entity.as_str()),
            text(project.project.as_str()),
        );
        return (entity, project, None);
    };
    match sequence.project {
        Some(place) => (place.entity.and_then(|e| e.name), place.name, sequence.name),
        None => (None, None, sequence.name),
    }
}

/// The version in its own sequence, for answers that name no collection (runs, ids).
pub(crate) fn source_version(
    wire: wire::Artifact,
    fallback: &ProjectPath,
) -> Option<ArtifactVersion> {
    let sequence = wire.artifact_sequence.as_ref()?;
    let path = CollectionPath {
        project: place(sequence.project.as_ref(), fallback),
        artifact_type: TypeName::new(wire.artifact_type.as_ref()?.name.as_deref()?).ok()?,
        name: CollectionName::new(sequence.name.as_deref()?).ok()?,
    };
    version(wire, path, Reached::default())
}

fn is_at(place: &wire::CollectionPlace, path: &CollectionPath) -> bool {
    let same = |answered: Option<&str>, asked: &str| {
        answered.is_none_or(|answered| answered.eq_ignore_ascii_case(asked))
    };
    let project = place.project.as_ref();
    let entity = project.and_then(|p| p.entity.as_ref()?.name.as_deref());
    place.name.as_deref() == Some(path.name.as_str())
        && same(
            project.and_then(|p| p.name.as_deref()),
            path.project.project.as_str(),
        )
        && same(entity, path.project.entity.as_str())
}

/// A portfolio that links the version; memberships of the source, and those nobody may see, are
/// none.
pub(crate) fn linked(membership: wire::Membership) -> Option<LinkedVersion> {
    let place = membership.artifact_collection?;
    if place.typename.as_deref() != Some("ArtifactPortfolio") {
        return None;
    }
    let project = place.project?;
    Some(LinkedVersion {
        entity: project.entity?.name?,
        project: project.name?,
        collection: place.name?,
        version: membership.version_index.and_then(index),
    })
}

fn manifest(wire: wire::Manifest) -> ManifestFile {
    let (size, url) = match wire.file {
        Some(file) => (file.size_bytes.and_then(count), file.direct_url),
        None => (None, None),
    };
    ManifestFile {
        digest: wire.digest,
        // No manifest is empty: 0 is how some servers say that they do not know.
        size: size.filter(|bytes| *bytes > 0),
        url: url.filter(|url| !url.is_empty()),
    }
}

fn names(rows: Option<Vec<Option<wire::Named>>>) -> Vec<String> {
    let rows = rows.unwrap_or_default().into_iter().flatten();
    rows.filter_map(|row| row.name).collect()
}

/// A JSON object, given as such or as a text that holds one; anything else is the empty object.
fn object(value: Option<Value>) -> Map<String, Value> {
    match json(value) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// JSON, given as such or as a text that holds it.
fn json(value: Option<Value>) -> Option<Value> {
    match value? {
        Value::String(text) => serde_json::from_str(&text).ok(),
        Value::Null => None,
        other => Some(other),
    }
}

pub(crate) fn run(wire: wire::Run, fallback: &ProjectPath) -> Option<Run> {
    let tags = wire.tags.unwrap_or_default().into_iter().flatten();
    Some(Run {
        id: wire.id.unwrap_or_default(),
        name: RunName::new(&wire.name?).ok()?,
        project: place(wire.project.as_ref(), fallback),
        display_name: wire.display_name,
        state: wire.state,
        user: wire.user.and_then(|user| user.username),
        group: wire.group,
        job_type: wire.job_type,
        notes: wire.notes,
        tags: tags.collect(),
        config: json(wire.config),
        summary: json(wire.summary_metrics),
        created_at: wire.created_at,
        updated_at: wire.updated_at,
        heartbeat_at: wire.heartbeat_at,
    })
}
