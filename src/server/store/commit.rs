//! Commit: the one step in which a version gets its content, number and aliases and becomes visible.
//!
//! Everything happens in one transaction; a server killed in the middle leaves a pending version that no
//! listing shows, and a second commit starts over.

use rusqlite::{OptionalExtension as _, Statement, Transaction, params};

use super::{
    Kind, Result, Store, StoreError, aliases,
    blobs::{BlobDir, Received},
    collections::CollectionRow,
    manifests::{self, ManifestEntry, ManifestHead, ManifestRow},
    projects::Viewer,
    runs, time,
    versions::{self, VersionRow},
    writing::entity_of,
};
use crate::server::digest::{Algorithm, Digest};

impl Store {
    /// Commits a pending version; one that is committed already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its manifest, or the content of an entry, was not uploaded.
    pub(crate) fn commit_artifact(&self, viewer: Viewer, id: &str) -> Result<i64> {
        let id = Kind::Artifact
            .parse(id)
            .ok_or_else(|| StoreError::not_found("artifact"))?;
        self.write(|tx| {
            let (artifact, sequence) = versions::writable_version(tx, viewer, id)?;
            match artifact.state.as_str() {
                "COMMITTED" => return Ok(id),
                "PENDING" => {}
                other => return Err(StoreError::Conflict(format!("the artifact is {other}"))),
            }
            let manifest = fill(tx, self.blobs(), viewer, &artifact)?;
            publish(tx, viewer, &sequence, &artifact, manifest)?;
            Ok(id)
        })
    }
}

/// Brings the entries of an artifact's manifests into the table and answers the manifest that has them all.
fn fill(
    tx: &Transaction<'_>,
    blobs: &BlobDir,
    viewer: Viewer,
    artifact: &VersionRow,
) -> Result<i64> {
    let uploaded: Vec<ManifestRow> = manifests::of_artifact(tx, artifact.id)?
        .into_iter()
        .filter(|row| row.md5.is_some())
        .collect();
    let Some(last) = uploaded.last() else {
        return Err(StoreError::Conflict(
            "the artifact has no manifest yet".into(),
        ));
    };
    let mut filler = Filler::new(tx, viewer, artifact.sequence_id, last.id)?;
    let read = |row: &ManifestRow, filler: &mut Filler<'_>| -> Result<ManifestHead> {
        let md5 = row.md5.ok_or_else(|| StoreError::not_found("manifest"))?;
        manifests::parse(blobs.open_blob(md5)?, &mut |path, entry| {
            filler.add(&path, &entry)
        })
    };
    if last.kind == "FULL" {
        read(last, &mut filler)?;
        return Ok(last.id);
    }
    if let Some(base) = last.base_id.filter(|_| last.kind == "INCREMENTAL") {
        copy_base(tx, viewer, base, last.id)?;
    }
    let mut head = ManifestHead::default();
    for row in uploaded.iter().filter(|row| row.kind == last.kind) {
        head = read(row, &mut filler)?;
    }
    drop(filler);
    let merged = manifests::write_merged(tx, blobs, last.id, &head)?;
    remember_blob(tx, &merged)?;
    tx.execute(
        "UPDATE manifests SET md5 = ?2 WHERE id = ?1",
        params![last.id, merged.md5.bytes],
    )?;
    Ok(last.id)
}

/// Puts the base version's entries below those of an incremental manifest.
fn copy_base(tx: &Transaction<'_>, viewer: Viewer, base: i64, manifest: i64) -> Result<()> {
    let base = versions::visible_version(tx, viewer, base)?
        .ok_or_else(|| StoreError::not_found("base artifact"))?;
    tx.execute(
        "INSERT OR REPLACE INTO entries SELECT ?2, path, digest, md5, size, birth, ref, extra FROM entries WHERE manifest_id = ?1",
        params![base.manifest_id, manifest],
    )?;
    Ok(())
}

/// Notes that a blob is on disk.
pub(crate) fn remember_blob(tx: &Transaction<'_>, blob: &Received) -> Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO blobs (md5, xxh128, size) VALUES (?, ?, ?)")?
        .execute(params![
            blob.md5.bytes,
            blob.xxh128.bytes,
            i64::try_from(blob.size).unwrap_or(i64::MAX)
        ])?;
    Ok(())
}

/// Notes that an entity has a blob's content, brought by an artifact.
pub(crate) fn remember_birth(
    tx: &Transaction<'_>,
    entity: i64,
    blob: &Digest,
    artifact: i64,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO births (entity_id, md5, artifact_id) VALUES (?, ?, ?)",
    )?
    .execute(params![entity, blob.bytes, artifact])?;
    Ok(())
}

/// Inserts entries, checking that the content of each is there.
struct Filler<'a> {
    tx: &'a Transaction<'a>,
    viewer: Viewer,
    manifest: i64,
    entity: i64,
    insert: Statement<'a>,
    born: Statement<'a>,
    by_xxh: Statement<'a>,
}

impl<'a> Filler<'a> {
    fn new(tx: &'a Transaction<'a>, viewer: Viewer, sequence: i64, manifest: i64) -> Result<Self> {
        Ok(Self {
            tx,
            viewer,
            manifest,
            entity: entity_of(tx, sequence)?,
            insert: tx.prepare(
                "INSERT OR REPLACE INTO entries (manifest_id, path, digest, md5, size, birth, ref, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            born: tx.prepare("SELECT b.size FROM births x JOIN blobs b ON b.md5 = x.md5 WHERE x.entity_id = ? AND x.md5 = ?")?,
            by_xxh: tx.prepare("SELECT md5 FROM blobs WHERE xxh128 = ?")?,
        })
    }

    fn add(&mut self, path: &str, entry: &ManifestEntry) -> Result<()> {
        if path.is_empty() {
            return Err(StoreError::invalid(
                "the manifest has an entry without a path",
            ));
        }
        let (md5, stored) = match entry.reference {
            Some(_) => (None, 0),
            None => {
                let (md5, size) = self.content(path, entry)?;
                (Some(md5.bytes), size)
            }
        };
        self.insert.execute(params![
            self.manifest,
            path,
            entry.digest,
            md5,
            entry.size.unwrap_or(stored).max(0),
            entry.birth,
            entry.reference,
            entry.extra.as_ref().map(ToString::to_string),
        ])?;
        Ok(())
    }

    /// The blob of an entry and its size.
    fn content(&mut self, path: &str, entry: &ManifestEntry) -> Result<(Digest, i64)> {
        let missing = || StoreError::Conflict(format!("the content of '{path}' was not uploaded"));
        let md5 = if entry.is_xxh128() {
            let wanted =
                Digest::from_base64(Algorithm::Xxh128, &entry.digest).ok_or_else(missing)?;
            let bytes: Option<[u8; 16]> = self
                .by_xxh
                .query_row([wanted.bytes], |row| row.get(0))
                .optional()?;
            Digest {
                algorithm: Algorithm::Md5,
                bytes: bytes.ok_or_else(missing)?,
            }
        } else {
            Digest::from_base64(Algorithm::Md5, &entry.digest)
                .ok_or_else(|| StoreError::invalid(format!("the digest of '{path}' is no MD5")))?
        };
        if let Some(size) = self
            .born
            .query_row(params![self.entity, md5.bytes], |row| row.get(0))
            .optional()?
        {
            return Ok((md5, size));
        }
        // A draft of someone else's version refers to content that was born there.
        let birth = entry
            .birth
            .as_deref()
            .and_then(|id| Kind::Artifact.parse(id))
            .ok_or_else(missing)?;
        let origin = versions::visible_version(self.tx, self.viewer, birth)?.ok_or_else(missing)?;
        let there = entity_of(self.tx, origin.sequence_id)?;
        let size = self
            .born
            .query_row(params![there, md5.bytes], |row| row.get(0))
            .optional()?
            .ok_or_else(missing)?;
        remember_birth(self.tx, self.entity, &md5, birth)?;
        Ok((md5, size))
    }
}

/// Gives a filled version its number and aliases and makes it visible.
pub(crate) fn publish(
    tx: &Transaction<'_>,
    viewer: Viewer,
    sequence: &CollectionRow,
    artifact: &VersionRow,
    manifest: i64,
) -> Result<()> {
    let (count, size): (i64, i64) = tx.query_row(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM entries WHERE manifest_id = ?",
        [manifest],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    tx.execute(
        "UPDATE artifacts SET state = 'COMMITTED', manifest_id = ?2, size = ?3, file_count = ?4, updated_at = ?5 WHERE id = ?1",
        params![artifact.id, manifest, size, count, time::now()],
    )?;
    let index = next_index(tx, sequence.id)?;
    tx.execute(
        "UPDATE memberships SET version_index = ?3, state = 'COMMITTED' WHERE collection_id = ?1 AND artifact_id = ?2",
        params![sequence.id, artifact.id, index],
    )?;
    tx.execute(
        "UPDATE collections SET xxh128 = COALESCE(xxh128, ?2) WHERE id = ?1",
        params![sequence.id, artifact.xxh128],
    )?;
    let text: String = tx.query_row(
        "SELECT pending_aliases FROM artifacts WHERE id = ?",
        [artifact.id],
        |row| row.get(0),
    )?;
    let wanted: Vec<String> = serde_json::from_str(&text)?;
    aliases::set(tx, sequence.id, artifact.id, "latest")?;
    aliases::set_all(
        tx,
        viewer,
        sequence,
        artifact.id,
        wanted.iter().map(String::as_str),
    )?;
    match artifact.run_id {
        Some(run) => runs::record(tx, run, artifact.id, "output", None),
        None => Ok(()),
    }
}

/// Takes the next number of a collection; numbers are never given twice.
pub(super) fn next_index(tx: &Transaction<'_>, collection: i64) -> Result<i64> {
    Ok(tx.query_row(
        "UPDATE collections SET next_index = next_index + 1 WHERE id = ? RETURNING next_index - 1",
        [collection],
        |row| row.get(0),
    )?)
}
