//! Writes versions with their content in one transaction, without the round trips of an upload.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
};

use md5::{Digest as _, Md5};
use rusqlite::{Transaction, params};
use serde_json::{Value, json};

use crate::server::{
    digest::Digest,
    store::{
        BlobDir, Kind, StoreError, births,
        blobs::Received,
        collections::{self, CollectionRow},
        commit::{measure, publish, remember_blob},
        projects::{self, ProjectRow, Viewer},
        runs,
        tags::{self, Owner, TagInput},
        time,
        versions::{self, VersionRow},
        writing::insert_membership,
    },
};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// First line of what an artifact digest is taken over (protocol §7.1).
const DIGEST_HEADER: &str = "wandb-artifact-manifest-v1\n";

/// When the oldest version of a seed was made: 2026-01-05, a Monday.
pub(super) const EPOCH: i64 = 1_767_607_200;

/// Content of an entry.
pub(super) enum Content {
    /// A stored blob.
    Stored(Received),
    /// A reference by http.
    Reference {
        /// Where it points.
        url: String,
        /// Entity tag without quotes.
        etag: String,
        /// Bytes.
        size: u64,
    },
}

/// A version's own fields.
#[derive(Default)]
pub(super) struct About<'a> {
    /// Aliases besides `latest`.
    pub(super) aliases: &'a [&'a str],
    /// Tags.
    pub(super) tags: &'a [&'a str],
    /// Description.
    pub(super) description: Option<&'a str>,
    /// Metadata object.
    pub(super) metadata: Option<Value>,
    /// The run that logged it.
    pub(super) run: Option<i64>,
    /// Seconds after [`EPOCH`].
    pub(super) at: i64,
}

/// Writes into one transaction for one user.
pub(super) struct Writer<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) blobs: &'a BlobDir,
    pub(super) viewer: Viewer,
    pub(super) username: &'a str,
    /// Who brought which content, by project.
    births: HashMap<(i64, Digest), i64>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        tx: &'a Transaction<'a>,
        blobs: &'a BlobDir,
        viewer: Viewer,
        username: &'a str,
    ) -> Self {
        Self {
            tx,
            blobs,
            viewer,
            username,
            births: HashMap::new(),
        }
    }

    /// The project of that name, made if missing.
    pub(super) fn project(
        &self,
        entity: &str,
        name: &str,
        description: Option<&str>,
    ) -> Result<ProjectRow> {
        let (project, _) = projects::ensure(self.tx, self.viewer, entity, name)?;
        projects::change(
            self.tx,
            project.id,
            &projects::ProjectChange {
                description,
                ..Default::default()
            },
        )?;
        Ok(project)
    }

    /// A new collection; none if the project has it, which is how a seed knows that it was planted before.
    pub(super) fn collection(
        &self,
        project: i64,
        kind: &str,
        name: &str,
        description: Option<&str>,
        tags: &[&str],
    ) -> Result<Option<CollectionRow>> {
        if collections::named(self.tx, project, name)?.is_some() {
            return Ok(None);
        }
        let kind = collections::ensure_type(self.tx, project, kind, None)?;
        let made = collections::create(self.tx, &kind, false, name, description)?;
        tags::add(self.tx, Owner::Collection(made.id), &tag_inputs(tags))?;
        Ok(Some(made))
    }

    /// A finished run.
    pub(super) fn run(
        &self,
        project: i64,
        name: &str,
        display_name: &str,
        config: &Value,
    ) -> Result<i64> {
        let (run, _) = runs::ensure(self.tx, project, self.viewer.user_id, name)?;
        let config = config.to_string();
        let change = runs::RunChange {
            display_name: Some(display_name),
            state: Some("finished"),
            job_type: Some("train"),
            config: Some(&config),
            ..Default::default()
        };
        runs::update(self.tx, run.id, &change)?;
        Ok(run.id)
    }

    /// Stores content.
    pub(super) fn store(&self, bytes: &[u8]) -> Result<Received> {
        let received = self.blobs.put_unsynced(bytes)?;
        remember_blob(self.tx, &received)?;
        Ok(received)
    }

    /// Logs a version. `entries` come in ascending order of their paths.
    pub(super) fn version(
        &mut self,
        sequence: &CollectionRow,
        about: &About<'_>,
        entries: impl Iterator<Item = Result<(String, Content)>>,
    ) -> Result<VersionRow> {
        let artifact = self.pending(sequence, about)?;
        let manifest = self.manifest(sequence, artifact, entries)?;
        let row = versions::version(self.tx, artifact)?
            .ok_or_else(|| StoreError::not_found("artifact"))?;
        let contents = measure(self.tx, manifest)?;
        publish(self.tx, self.viewer, sequence, &row, manifest, contents)?;
        versions::version(self.tx, artifact)?.ok_or_else(|| StoreError::not_found("artifact"))
    }

    /// The row of a version without content yet.
    pub(super) fn pending(&self, sequence: &CollectionRow, about: &About<'_>) -> Result<i64> {
        let aliases = serde_json::to_string(about.aliases)?;
        let at = time::at(EPOCH + about.at);
        self.tx
            .prepare_cached(
                "INSERT INTO artifacts (sequence_id, digest, description, metadata, run_id, user_id, pending_aliases, created_at, updated_at)
                 VALUES (?1, '', ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            )?
            .execute(params![
                sequence.id,
                about.description,
                about.metadata.as_ref().map(Value::to_string),
                about.run,
                self.viewer.user_id,
                aliases,
                at
            ])?;
        let id = self.tx.last_insert_rowid();
        insert_membership(self.tx, sequence.id, id, -id, "PENDING")?;
        tags::add(self.tx, Owner::Artifact(id), &tag_inputs(about.tags))?;
        Ok(id)
    }

    /// Writes manifest and entries in one pass, and sets the artifact's digest.
    fn manifest(
        &mut self,
        sequence: &CollectionRow,
        artifact: i64,
        entries: impl Iterator<Item = Result<(String, Content)>>,
    ) -> Result<i64> {
        self.tx.execute(
            "INSERT INTO manifests (artifact_id, type, name, created_at) VALUES (?, 'FULL', 'wandb_manifest.json', ?)",
            params![artifact, time::now()],
        )?;
        let manifest = self.tx.last_insert_rowid();
        let mut insert = self.tx.prepare(
            "INSERT INTO entries (manifest_id, path, digest, md5, size, birth, ref, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let mut digest = Md5::new();
        digest.update(DIGEST_HEADER);
        let mut out = BufWriter::with_capacity(1 << 18, self.blobs.create_temp()?);
        write!(
            out,
            r#"{{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{{"storageLayout":"V2"}},"contents":{{"#
        )?;
        for (index, entry) in entries.enumerate() {
            let (path, content) = entry?;
            let comma = if index == 0 { "" } else { "," };
            let entry = self.entry(sequence.project_id, artifact, content)?;
            digest.update(format!("{path}:{}\n", entry.digest));
            write!(out, "{comma}{}:{}", Value::from(path.as_str()), entry.json)?;
            insert.execute(params![
                manifest,
                path,
                entry.digest,
                entry.md5.map(|md5| md5.bytes),
                entry.size,
                entry.birth,
                entry.url,
                entry.extra
            ])?;
        }
        out.write_all(b"}}")?;
        let temp = out
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        let blob = self.blobs.commit(temp)?;
        remember_blob(self.tx, &blob)?;
        self.tx.execute(
            "UPDATE manifests SET md5 = ?2, digest = ?3 WHERE id = ?1",
            params![manifest, blob.md5.bytes, blob.md5.base64()],
        )?;
        self.tx.execute(
            "UPDATE artifacts SET digest = ?2 WHERE id = ?1",
            params![artifact, hex::encode(digest.finalize())],
        )?;
        Ok(manifest)
    }

    fn entry(&mut self, project: i64, artifact: i64, content: Content) -> Result<Entry> {
        Ok(match content {
            Content::Stored(blob) => {
                let birth = match self.births.get(&(project, blob.md5)) {
                    Some(birth) => *birth,
                    None => {
                        births::remember(self.tx, project, blob.md5, artifact)?;
                        self.births.insert((project, blob.md5), artifact);
                        artifact
                    }
                };
                let (digest, birth) = (blob.md5.base64(), Kind::Artifact.id(birth));
                // Neither base64 nor a number needs escaping; a million entries are written this way.
                let json = format!(
                    r#"{{"digest":"{digest}","birthArtifactID":"{birth}","size":{}}}"#,
                    blob.size
                );
                Entry {
                    json,
                    digest,
                    md5: Some(blob.md5),
                    size: blob.size,
                    birth: Some(birth),
                    url: None,
                    extra: None,
                }
            }
            Content::Reference { url, etag, size } => {
                let extra = json!({"etag": format!("\"{etag}\"")});
                let json =
                    json!({"digest": etag, "ref": url, "size": size, "extra": extra}).to_string();
                Entry {
                    json,
                    digest: etag,
                    md5: None,
                    size,
                    birth: None,
                    url: Some(url),
                    extra: Some(extra.to_string()),
                }
            }
        })
    }
}

/// An entry, ready for both places it goes to.
struct Entry {
    json: String,
    digest: String,
    md5: Option<Digest>,
    size: u64,
    birth: Option<String>,
    url: Option<String>,
    extra: Option<String>,
}

fn tag_inputs(names: &[&str]) -> Vec<TagInput> {
    names
        .iter()
        .map(|name| TagInput {
            tag_name: (*name).to_owned(),
            tag_category_name: None,
            attributes: None,
        })
        .collect()
}
