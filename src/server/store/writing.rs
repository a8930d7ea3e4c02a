//! How a version comes to be, up to its commit: the artifact row, its manifests, the files to upload.

use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::Deserialize;

use super::{
    Kind, Result, Store, StoreError, aliases,
    births::{self, Place},
    collections::{self, CollectionRow},
    manifests::{self, ManifestRow},
    projects::{self, Viewer},
    runs,
    tags::{self, Owner, TagInput},
    time,
    versions::{self, VersionRow},
};
use crate::server::digest::{Algorithm, Digest};

/// Regions content can be stored in: this server has the one.
const REGION: &str = "default";

/// `CreateArtifactInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateArtifact {
    entity_name: String,
    project_name: String,
    run_name: Option<String>,
    artifact_type_name: String,
    artifact_collection_name: Option<String>,
    #[serde(default)]
    artifact_collection_names: Vec<String>,
    digest: String,
    digest_algorithm: String,
    #[serde(default)]
    enable_digest_deduplication: bool,
    description: Option<String>,
    metadata: Option<String>,
    labels: Option<String>,
    #[serde(default)]
    aliases: Vec<AliasInput>,
    #[serde(default)]
    tags: Vec<TagInput>,
    history_step: Option<i64>,
    ttl_duration_seconds: Option<i64>,
    #[serde(rename = "distributedID")]
    distributed_id: Option<String>,
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    #[serde(rename = "sequenceClientID")]
    sequence_client_id: Option<String>,
    storage_region: Option<String>,
}

/// `ArtifactAliasInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AliasInput {
    /// The alias.
    pub(crate) alias: String,
}

/// `CreateArtifactManifestInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateManifest {
    #[serde(rename = "artifactID")]
    artifact_id: String,
    #[serde(rename = "baseArtifactID")]
    base_artifact_id: Option<String>,
    name: String,
    #[serde(default)]
    digest: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `UpdateArtifactManifestInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateManifest {
    #[serde(rename = "artifactManifestID")]
    manifest_id: String,
    #[serde(rename = "baseArtifactID")]
    base_artifact_id: Option<String>,
    digest: Option<String>,
}

/// `CreateArtifactFileSpecInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileSpec {
    #[serde(rename = "artifactID")]
    artifact_id: String,
    name: String,
    md5: String,
    #[serde(default)]
    upload_parts_input: Vec<PartSpec>,
}

/// `UploadPartsInput`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartSpec {
    /// From 1.
    pub(crate) part_number: i64,
    /// Hex MD5, or the part's `ETag` with quotes.
    #[serde(rename = "hexMD5")]
    pub(crate) hex_md5: String,
}

/// Where one file of a new version goes.
#[derive(Debug, Clone)]
pub(crate) struct FileTarget {
    /// Its path in the version.
    pub(crate) name: String,
    /// Its content.
    pub(crate) md5: Digest,
    /// The artifact that brought, or brings, the content.
    pub(crate) birth: i64,
    /// The object of the content.
    pub(crate) object: String,
    /// The content is there already, nothing is to be sent.
    pub(crate) present: bool,
    /// A multipart upload: its row and part numbers.
    pub(crate) multipart: Option<(i64, Vec<i64>)>,
}

/// Object of an artifact file's content.
pub(crate) fn file_object(sequence: i64, artifact: i64, md5: Digest) -> String {
    format!("wandb_artifacts/{sequence}/{artifact}/{}", md5.hex())
}

impl Store {
    /// Creates a pending version, or answers the one that has this content or distributed id already.
    pub(crate) fn create_artifact(&self, viewer: Viewer, input: &CreateArtifact) -> Result<i64> {
        self.write(|tx| {
            if let Some(region) = input
                .storage_region
                .as_deref()
                .filter(|region| !region.is_empty() && *region != REGION)
            {
                return Err(StoreError::invalid(format!(
                    "storage region '{region}' does not exist"
                )));
            }
            let (project, _) =
                projects::ensure(tx, viewer, &input.entity_name, &input.project_name)?;
            let sequence = sequence_for(tx, project.id, input)?;
            let run = match input.run_name.as_deref() {
                Some(name) => Some(runs::ensure(tx, project.id, viewer.user_id, name)?.0.id),
                None => None,
            };
            let xxh128 = input.digest_algorithm == "MANIFEST_XXH128";
            let id = match existing(tx, &sequence, input, xxh128)? {
                Some(found) => {
                    reuse(tx, viewer, &sequence, &found, input, run)?;
                    found.id
                }
                None => insert(tx, viewer, &sequence, input, xxh128, run)?,
            };
            if let Some(client) = &input.client_id {
                tx.execute(
                    "INSERT OR REPLACE INTO client_ids (client_id, artifact_id) VALUES (?, ?)",
                    params![client, id],
                )?;
            }
            Ok(id)
        })
    }

    /// The artifact a client made under its own id.
    pub(crate) fn client_id(&self, client: &str) -> Result<Option<i64>> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT artifact_id FROM client_ids WHERE client_id = ?")?;
            Ok(statement.query_row([client], |row| row.get(0)).optional()?)
        })
    }

    /// Announces a manifest. For a full or incremental one the second announcement is the same manifest;
    /// each distributed writer has its own patch.
    pub(crate) fn create_manifest(
        &self,
        viewer: Viewer,
        input: &CreateManifest,
    ) -> Result<ManifestRow> {
        self.write(|tx| {
            let artifact = pending(tx, viewer, &input.artifact_id)?;
            let base = base_id(input.base_artifact_id.as_deref())?;
            let same = manifests::of_artifact(tx, artifact.id)?
                .into_iter()
                .find(|row| input.kind != "PATCH" && row.kind == input.kind && row.name == input.name);
            let id = if let Some(row) = same {
                tx.execute(
                    "UPDATE manifests SET md5 = CASE WHEN digest = ?2 THEN md5 END, digest = ?2, base_id = COALESCE(?3, base_id) WHERE id = ?1",
                    params![row.id, input.digest, base],
                )?;
                row.id
            } else {
                tx.execute(
                    "INSERT INTO manifests (artifact_id, type, name, digest, base_id, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                    params![artifact.id, input.kind, input.name, input.digest, base, time::now()],
                )?;
                tx.last_insert_rowid()
            };
            manifests::manifest(tx, id)?.ok_or_else(|| StoreError::not_found("manifest"))
        })
    }

    /// Says which bytes an announced manifest will have.
    pub(crate) fn update_manifest(
        &self,
        viewer: Viewer,
        input: &UpdateManifest,
    ) -> Result<ManifestRow> {
        self.write(|tx| {
            let id = Kind::Manifest.parse(&input.manifest_id).ok_or_else(|| StoreError::not_found("manifest"))?;
            let row = manifests::manifest(tx, id)?.ok_or_else(|| StoreError::not_found("manifest"))?;
            pending(tx, viewer, &Kind::Artifact.id(row.artifact_id))?;
            let base = base_id(input.base_artifact_id.as_deref())?;
            tx.execute(
                "UPDATE manifests SET md5 = CASE WHEN digest = COALESCE(?2, digest) THEN md5 END, digest = COALESCE(?2, digest),
                 base_id = COALESCE(?3, base_id) WHERE id = ?1",
                params![id, input.digest, base],
            )?;
            manifests::manifest(tx, id)?.ok_or_else(|| StoreError::not_found("manifest"))
        })
    }

    /// Where the files of new versions go, in the order asked.
    pub(crate) fn create_files(
        &self,
        viewer: Viewer,
        specs: &[FileSpec],
    ) -> Result<Vec<FileTarget>> {
        self.write(|tx| {
            let mut checked: Option<(String, VersionRow, Place)> = None;
            let mut targets = Vec::with_capacity(specs.len());
            for spec in specs {
                // A batch is of one artifact; its permission is checked once.
                if checked
                    .as_ref()
                    .is_none_or(|(id, _, _)| *id != spec.artifact_id)
                {
                    let artifact = pending(tx, viewer, &spec.artifact_id)?;
                    let place = births::place_of(tx, artifact.sequence_id)?;
                    checked = Some((spec.artifact_id.clone(), artifact, place));
                }
                if let Some((_, artifact, place)) = &checked {
                    targets.push(target(tx, viewer, artifact, *place, spec)?);
                }
            }
            Ok(targets)
        })
    }

    /// Records that a run uses a version; answers both rows.
    pub(crate) fn use_artifact(
        &self,
        viewer: Viewer,
        entity: &str,
        project: &str,
        run: &str,
        artifact: &str,
        used_as: Option<&str>,
    ) -> Result<(i64, i64)> {
        self.write(|tx| {
            let id = Kind::Artifact
                .parse(artifact)
                .ok_or_else(|| StoreError::not_found("artifact"))?;
            let found = versions::visible_version(tx, viewer, id)?
                .ok_or_else(|| StoreError::not_found("artifact"))?;
            let project = projects::writable(tx, viewer, entity, project)?;
            let (run, _) = runs::ensure(tx, project.id, viewer.user_id, run)?;
            runs::record(tx, run.id, found.id, "input", used_as)?;
            Ok((found.id, run.id))
        })
    }
}

fn base_id(id: Option<&str>) -> Result<Option<i64>> {
    id.filter(|id| !id.is_empty())
        .map(|id| {
            Kind::Artifact
                .parse(id)
                .ok_or_else(|| StoreError::not_found("base artifact"))
        })
        .transpose()
}

/// The pending version of that id, if `viewer` may write it.
fn pending(tx: &Transaction<'_>, viewer: Viewer, id: &str) -> Result<VersionRow> {
    let id = Kind::Artifact
        .parse(id)
        .ok_or_else(|| StoreError::not_found("artifact"))?;
    let (found, _) = versions::writable_version(tx, viewer, id)?;
    if found.state != "PENDING" {
        return Err(StoreError::Conflict(format!(
            "the artifact is {}, its content cannot change",
            found.state
        )));
    }
    Ok(found)
}

fn sequence_for(
    tx: &Transaction<'_>,
    project: i64,
    input: &CreateArtifact,
) -> Result<CollectionRow> {
    let name = input
        .artifact_collection_name
        .as_deref()
        .or_else(|| input.artifact_collection_names.first().map(String::as_str))
        .ok_or_else(|| StoreError::invalid("artifactCollectionName is missing"))?;
    let Some(found) = collections::named(tx, project, name)? else {
        let kind = collections::ensure_type(tx, project, &input.artifact_type_name, None)?;
        let made = collections::create(tx, &kind, false, name, None)?;
        tx.execute(
            "UPDATE collections SET client_id = ?2 WHERE id = ?1",
            params![made.id, input.sequence_client_id],
        )?;
        return Ok(made);
    };
    if found.portfolio {
        return Err(StoreError::Conflict(format!(
            "'{name}' holds links, nothing can be logged to it"
        )));
    }
    let kind = collections::artifact_type(tx, found.type_id)?;
    if kind.name != input.artifact_type_name {
        return Err(StoreError::Conflict(format!(
            "artifact '{name}' has type '{}', not '{}'",
            kind.name, input.artifact_type_name
        )));
    }
    Ok(found)
}

/// What answers the request without a new version: a pending one of the same distributed id, or a
/// committed one with the same content (the newest of several).
fn existing(
    tx: &Transaction<'_>,
    sequence: &CollectionRow,
    input: &CreateArtifact,
    xxh128: bool,
) -> Result<Option<VersionRow>> {
    let id: Option<i64> = if let Some(distributed) = &input.distributed_id {
        tx.query_row(
            "SELECT id FROM artifacts WHERE sequence_id = ? AND distributed_id = ? AND state = 'PENDING'",
            params![sequence.id, distributed],
            |row| row.get(0),
        )
        .optional()?
    } else if input.enable_digest_deduplication || input.client_id.is_none() {
        tx.query_row(
            "SELECT id FROM artifacts WHERE sequence_id = ? AND digest = ? AND xxh128 = ? AND state = 'COMMITTED' ORDER BY id DESC LIMIT 1",
            params![sequence.id, input.digest, xxh128],
            |row| row.get(0),
        )
        .optional()?
    } else {
        None
    };
    id.map_or(Ok(None), |id| versions::version(tx, id))
}

fn reuse(
    tx: &Transaction<'_>,
    viewer: Viewer,
    sequence: &CollectionRow,
    found: &VersionRow,
    input: &CreateArtifact,
    run: Option<i64>,
) -> Result<()> {
    if found.state == "PENDING" {
        let known: String = tx.query_row(
            "SELECT pending_aliases FROM artifacts WHERE id = ?",
            [found.id],
            |row| row.get(0),
        )?;
        let mut aliases: Vec<String> = serde_json::from_str(&known)?;
        for alias in &input.aliases {
            if !aliases.contains(&alias.alias) {
                aliases.push(alias.alias.clone());
            }
        }
        // The digest of the last writer stands: it is the one that finishes.
        tx.execute(
            "UPDATE artifacts SET pending_aliases = ?2, digest = ?3 WHERE id = ?1",
            params![found.id, serde_json::to_string(&aliases)?, input.digest],
        )?;
        return Ok(());
    }
    aliases::set_all(
        tx,
        viewer,
        sequence,
        found.id,
        input.aliases.iter().map(|alias| alias.alias.as_str()),
    )?;
    tags::add(tx, Owner::Artifact(found.id), &input.tags)?;
    match run {
        Some(run) => runs::record(tx, run, found.id, "output", None),
        None => Ok(()),
    }
}

fn insert(
    tx: &Transaction<'_>,
    viewer: Viewer,
    sequence: &CollectionRow,
    input: &CreateArtifact,
    xxh128: bool,
    run: Option<i64>,
) -> Result<i64> {
    for (what, text) in [("metadata", &input.metadata), ("labels", &input.labels)] {
        if let Some(text) = text {
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|error| StoreError::invalid(format!("{what} is not JSON: {error}")))?;
        }
    }
    let aliases: Vec<&str> = input
        .aliases
        .iter()
        .map(|alias| alias.alias.as_str())
        .collect();
    for alias in &aliases {
        if aliases::version_number(alias).is_none() {
            aliases::check(tx, viewer, sequence, alias)?;
        }
    }
    let now = time::now();
    tx.execute(
        "INSERT INTO artifacts (sequence_id, digest, xxh128, description, metadata, labels, history_step, ttl, run_id, user_id,
         distributed_id, storage_region, pending_aliases, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14)",
        params![
            sequence.id, input.digest, xxh128, input.description, input.metadata, input.labels, input.history_step,
            input.ttl_duration_seconds.filter(|ttl| *ttl != -1 && *ttl != 0), run, viewer.user_id, input.distributed_id,
            input.storage_region, serde_json::to_string(&aliases)?, now
        ],
    )?;
    let id = tx.last_insert_rowid();
    insert_membership(tx, sequence.id, id, -id, "PENDING")?;
    tags::add(tx, Owner::Artifact(id), &input.tags)?;
    Ok(id)
}

/// Puts a version into a collection.
pub(crate) fn insert_membership(
    tx: &Transaction<'_>,
    collection: i64,
    artifact: i64,
    index: i64,
    state: &str,
) -> Result<i64> {
    let hash = hex::encode(rand::random::<[u8; 10]>());
    tx.prepare_cached(
        "INSERT INTO memberships (entity_id, collection_id, artifact_id, version_index, commit_hash, state, created_at)
         VALUES ((SELECT entity_id FROM collections WHERE id = ?1), ?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![collection, artifact, index, hash, state, time::now()])?;
    Ok(tx.last_insert_rowid())
}

fn target(
    tx: &Transaction<'_>,
    viewer: Viewer,
    artifact: &VersionRow,
    place: Place,
    spec: &FileSpec,
) -> Result<FileTarget> {
    let md5 = Digest::from_base64(Algorithm::Md5, &spec.md5).ok_or_else(|| {
        StoreError::invalid(format!(
            "md5 {:?} of file '{}' is not base64 of 16 bytes",
            spec.md5, spec.name
        ))
    })?;
    let birth = births::in_place(tx, viewer, place, md5)?.map(|birth| birth.artifact);
    let mut multipart = None;
    if birth.is_none() && !spec.upload_parts_input.is_empty() {
        tx.execute(
            "INSERT INTO uploads (artifact_id, md5, parts) VALUES (?, ?, ?)",
            params![artifact.id, md5.bytes, spec.upload_parts_input.len()],
        )?;
        let upload = tx.last_insert_rowid();
        for part in &spec.upload_parts_input {
            announce_part(tx, upload, part)?;
        }
        let numbers = spec.upload_parts_input.iter();
        multipart = Some((upload, numbers.map(|part| part.part_number).collect()));
    }
    Ok(FileTarget {
        name: spec.name.clone(),
        md5,
        birth: birth.unwrap_or(artifact.id),
        object: file_object(artifact.sequence_id, birth.unwrap_or(artifact.id), md5),
        present: birth.is_some(),
        multipart,
    })
}

fn announce_part(tx: &Transaction<'_>, upload: i64, part: &PartSpec) -> Result<()> {
    let md5 = Digest::from_hex(Algorithm::Md5, &part.hex_md5);
    if md5.is_none() && !part.hex_md5.is_empty() {
        return Err(StoreError::invalid(format!(
            "hexMD5 {:?} of part {} is no MD5",
            part.hex_md5, part.part_number
        )));
    }
    let added = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO upload_specs (upload_id, part, md5) VALUES (?, ?, ?)",
        )?
        .execute(params![upload, part.part_number, md5.map(|md5| md5.bytes)])?;
    if added == 0 || part.part_number < 1 {
        return Err(StoreError::invalid(format!(
            "part {} is named twice or below 1",
            part.part_number
        )));
    }
    Ok(())
}
