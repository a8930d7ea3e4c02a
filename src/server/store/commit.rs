//! Commit: the step in which a version gets its content, number and aliases and becomes visible.
//!
//! Two phases. First the entries of its manifests go into the table, some thousands to a transaction, so
//! that a manifest of a million neither fills the memory nor keeps other writers waiting; nothing lists
//! them yet. Then one short transaction numbers and shows the version. A server killed in between leaves
//! a pending version, which nothing lists, and a second commit starts over.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, params};

use super::{
    Kind, Result, Store, StoreError, aliases,
    births::{self, Place},
    blobs::Received,
    collections::CollectionRow,
    manifests::{self, ManifestEntry, ManifestHead, ManifestRow},
    parts,
    projects::{self, Viewer},
    runs, time,
    versions::{self, VersionRow},
};
use crate::server::digest::{Algorithm, Digest};

/// Entries inserted in one transaction: some tens of milliseconds of the writer's time, and about
/// 1 MB of memory while they wait.
const CHUNK: usize = 4096;

/// What the entries of a manifest come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents {
    /// How many.
    files: i64,
    /// Bytes of them all.
    size: i64,
}

/// Counts the entries of a filled manifest.
pub(crate) fn measure(db: &Connection, manifest: i64) -> Result<Contents> {
    let sql = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM entries WHERE manifest_id = ?";
    Ok(db.query_row(sql, [manifest], |row| {
        Ok(Contents {
            files: row.get(0)?,
            size: row.get(1)?,
        })
    })?)
}

impl Store {
    /// Commits a pending version; one that is committed already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if its manifest, or the content of an entry, was not uploaded.
    pub(crate) fn commit_artifact(&self, viewer: Viewer, id: &str) -> Result<i64> {
        let id = Kind::Artifact
            .parse(id)
            .ok_or_else(|| StoreError::not_found("artifact"))?;
        // A second commit of one version must not fill the same table.
        let _turn = self.committing.enter(id);
        let (artifact, _) = self.read(|db| versions::writable_version(db, viewer, id))?;
        if is_done(&artifact)? {
            return Ok(id);
        }
        let _kept = self.keep_unnamed();
        let (manifest, merged) = self.fill(viewer, &artifact)?;
        let contents = self.read(|db| measure(db, manifest.id))?;
        self.write(|tx| {
            let (artifact, sequence) = versions::writable_version(tx, viewer, id)?;
            if is_done(&artifact)? {
                return Ok(id);
            }
            if manifests::manifest(tx, manifest.id)?.is_none_or(|now| now.md5 != manifest.md5) {
                return Err(StoreError::Conflict(
                    "the manifest was replaced while it was committed".into(),
                ));
            }
            if let Some(merged) = &merged {
                remember_blob(tx, merged)?;
                tx.execute(
                    "UPDATE manifests SET md5 = ?2 WHERE id = ?1",
                    params![manifest.id, merged.md5.bytes],
                )?;
            }
            publish(tx, viewer, &sequence, &artifact, manifest.id, contents)?;
            Ok(id)
        })
    }

    /// Brings the entries of an artifact's manifests into the table. Answers the manifest that has them
    /// all, and its merged text unless it is the one that was uploaded.
    fn fill(
        &self,
        viewer: Viewer,
        artifact: &VersionRow,
    ) -> Result<(ManifestRow, Option<Received>)> {
        let uploaded: Vec<ManifestRow> = self
            .read(|db| manifests::of_artifact(db, artifact.id))?
            .into_iter()
            .filter(|row| row.md5.is_some())
            .collect();
        let Some(last) = uploaded.last() else {
            return Err(StoreError::Conflict(
                "the artifact has no manifest yet".into(),
            ));
        };
        self.clear_entries(last.id)?;
        if last.kind == "FULL" {
            self.add_entries(viewer, artifact, last, last.id)?;
            return Ok((last.clone(), None));
        }
        if let Some(base) = last.base_id.filter(|_| last.kind == "INCREMENTAL") {
            self.copy_base(viewer, base, last)?;
        }
        let mut head = ManifestHead::default();
        for row in uploaded.iter().filter(|row| row.kind == last.kind) {
            head = self.add_entries(viewer, artifact, row, last.id)?;
        }
        let merged = self.read(|db| manifests::write_merged(db, self.blobs(), last.id, &head))?;
        Ok((last.clone(), Some(merged)))
    }

    /// Removes what a commit that did not get to its end has left.
    pub(super) fn clear_entries(&self, manifest: i64) -> Result<()> {
        let left = "SELECT EXISTS (SELECT 1 FROM entries WHERE manifest_id = ?)";
        while self.read(|db| Ok(db.query_row(left, [manifest], |row| row.get(0))?))? {
            self.write(|tx| {
                tx.execute(
                    "DELETE FROM entries WHERE manifest_id = ?1 AND path IN
                     (SELECT path FROM entries WHERE manifest_id = ?1 ORDER BY path LIMIT ?2)",
                    params![manifest, CHUNK],
                )?;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Puts the entries of one uploaded manifest into the table of manifest `into`.
    fn add_entries(
        &self,
        viewer: Viewer,
        artifact: &VersionRow,
        from: &ManifestRow,
        into: i64,
    ) -> Result<ManifestHead> {
        let md5 = from.md5.ok_or_else(|| StoreError::not_found("manifest"))?;
        let mut waiting = Vec::new();
        let insert = |entries: &mut Vec<(String, ManifestEntry)>| {
            self.write(|tx| {
                let mut filler = Filler::new(tx, viewer, artifact.sequence_id, into)?;
                for (path, entry) in entries.drain(..) {
                    filler.add(&path, &entry)?;
                }
                Ok(())
            })
        };
        let head = manifests::parse(self.blobs().open_blob(md5)?, &mut |path, entry| {
            waiting.push((path, entry));
            if waiting.len() == CHUNK {
                insert(&mut waiting)?;
            }
            Ok(())
        })?;
        insert(&mut waiting)?;
        Ok(head)
    }

    /// Puts the base version's entries below those of an incremental manifest.
    fn copy_base(&self, viewer: Viewer, base: i64, manifest: &ManifestRow) -> Result<()> {
        let (from, there, here) = self.read(|db| {
            let missing = || StoreError::not_found("base artifact");
            let base = versions::visible_version(db, viewer, base)?.ok_or_else(missing)?;
            let own = versions::version(db, manifest.artifact_id)?.ok_or_else(missing)?;
            Ok((
                base.manifest_id.ok_or_else(missing)?,
                births::place_of(db, base.sequence_id)?.project,
                births::place_of(db, own.sequence_id)?.project,
            ))
        })?;
        let mut after: Option<String> = Some(String::new());
        while let Some(path) = after {
            after = self.write(|tx| {
                tx.execute(
                    "INSERT OR REPLACE INTO entries SELECT ?2, path, digest, md5, size, birth, ref, extra
                     FROM entries WHERE manifest_id = ?1 AND path > ?3 ORDER BY path LIMIT ?4",
                    params![from, manifest.id, path, CHUNK],
                )?;
                if there != here {
                    tx.execute(
                        "INSERT OR IGNORE INTO births SELECT x.md5, ?5, x.artifact_id FROM
                         (SELECT md5 FROM entries WHERE manifest_id = ?1 AND path > ?2 ORDER BY path LIMIT ?3) e
                         JOIN births x ON x.md5 = e.md5 AND x.project_id = ?4",
                        params![from, path, CHUNK, there, here],
                    )?;
                }
                let last = "SELECT MAX(path) FROM (SELECT path FROM entries
                            WHERE manifest_id = ? AND path > ? ORDER BY path LIMIT ?)";
                Ok(tx.query_row(last, params![from, path, CHUNK], |row| row.get(0))?)
            })?;
        }
        Ok(())
    }
}

/// Whether a version is committed already; an error if it cannot be any more.
fn is_done(artifact: &VersionRow) -> Result<bool> {
    match artifact.state.as_str() {
        "COMMITTED" => Ok(true),
        "PENDING" => Ok(false),
        other => Err(StoreError::Conflict(format!("the artifact is {other}"))),
    }
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

/// Inserts entries, checking that the content of each is there.
struct Filler<'a> {
    tx: &'a Transaction<'a>,
    viewer: Viewer,
    manifest: i64,
    place: Place,
    insert: CachedStatement<'a>,
    by_xxh: CachedStatement<'a>,
}

impl<'a> Filler<'a> {
    fn new(tx: &'a Transaction<'a>, viewer: Viewer, sequence: i64, manifest: i64) -> Result<Self> {
        Ok(Self {
            tx,
            viewer,
            manifest,
            place: births::place_of(tx, sequence)?,
            insert: tx.prepare_cached(
                "INSERT OR REPLACE INTO entries (manifest_id, path, digest, md5, size, birth, ref, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            by_xxh: tx.prepare_cached("SELECT md5 FROM blobs WHERE xxh128 = ?")?,
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
                if entry.size.is_some_and(|stated| stated != size) {
                    return Err(StoreError::invalid(format!(
                        "the manifest gives '{path}' another size than its content has"
                    )));
                }
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
        if let Some(birth) = births::in_place(self.tx, self.viewer, self.place, md5)? {
            births::remember(self.tx, self.place.project, md5, birth.artifact)?;
            return Ok((md5, birth.size));
        }
        // A draft of someone else's version refers to content that was born there.
        let stated = entry
            .birth
            .as_deref()
            .and_then(|id| Kind::Artifact.parse(id))
            .ok_or_else(missing)?;
        let origin =
            versions::visible_version(self.tx, self.viewer, stated)?.ok_or_else(missing)?;
        let there = births::place_of(self.tx, origin.sequence_id)?.project;
        let birth = births::in_project(self.tx, there, md5)?.ok_or_else(missing)?;
        // Who sees one version through a link has no claim to what else its project has.
        if birth.artifact != stated && projects::project(self.tx, self.viewer, there)?.is_none() {
            return Err(missing());
        }
        births::remember(self.tx, self.place.project, md5, birth.artifact)?;
        Ok((md5, birth.size))
    }
}

/// Gives a filled version its number and aliases and makes it visible.
pub(crate) fn publish(
    tx: &Transaction<'_>,
    viewer: Viewer,
    sequence: &CollectionRow,
    artifact: &VersionRow,
    manifest: i64,
    contents: Contents,
) -> Result<()> {
    tx.execute(
        "UPDATE artifacts SET state = 'COMMITTED', manifest_id = ?2, size = ?3, file_count = ?4, updated_at = ?5 WHERE id = ?1",
        params![artifact.id, manifest, contents.size, contents.files, time::now()],
    )?;
    parts::forget(tx, artifact.id)?;
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
