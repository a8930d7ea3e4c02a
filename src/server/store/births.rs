//! Births: which project has which content, and the artifact that brought it there.
//!
//! They decide who may have content by its digest: whoever sees a project that has it, and whoever sees a
//! version with it that is linked into a project they see. Every stored entry of a committed manifest has
//! a birth in the project of its version, so births also keep blobs from being swept.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    Result, Store,
    projects::{self, Viewer},
    versions,
    writing::file_object,
};
use crate::server::digest::{Algorithm, Digest};

/// Content that a project has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birth {
    /// The artifact that brought it.
    pub(crate) artifact: i64,
    /// Bytes.
    pub(crate) size: i64,
}

/// Where content may be looked for: a project, then what `viewer` sees of the projects beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The project.
    pub(crate) project: i64,
    /// The entity that owns it. Deduplication stays within an entity.
    pub(crate) entity: i64,
}

/// Notes that a project has a blob's content, brought by an artifact.
pub(crate) fn remember(
    tx: &Transaction<'_>,
    project: i64,
    md5: Digest,
    artifact: i64,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO births (md5, project_id, artifact_id) VALUES (?, ?, ?)",
    )?
    .execute(params![md5.bytes, project, artifact])?;
    Ok(())
}

/// The project and entity of a collection.
pub(crate) fn place_of(db: &Connection, collection: i64) -> Result<Place> {
    Ok(db
        .prepare_cached("SELECT project_id, entity_id FROM collections WHERE id = ?")?
        .query_row([collection], |row| {
            Ok(Place {
                project: row.get(0)?,
                entity: row.get(1)?,
            })
        })?)
}

/// Some content, if the project has it.
pub(crate) fn in_project(db: &Connection, project: i64, md5: Digest) -> Result<Option<Birth>> {
    let sql = "SELECT x.artifact_id, b.size FROM births x JOIN blobs b ON b.md5 = x.md5
               WHERE x.md5 = ? AND x.project_id = ?";
    Ok(db
        .prepare_cached(sql)?
        .query_row(params![md5.bytes, project], |row| {
            Ok(Birth {
                artifact: row.get(0)?,
                size: row.get(1)?,
            })
        })
        .optional()?)
}

/// Some content, if the project has it, or another of its entity that `viewer` sees.
pub(crate) fn in_place(
    db: &Connection,
    viewer: Viewer,
    place: Place,
    md5: Digest,
) -> Result<Option<Birth>> {
    if let Some(birth) = in_project(db, place.project, md5)? {
        return Ok(Some(birth));
    }
    for (project, _) in projects_with(db, md5)? {
        let found = projects::project(db, viewer, project)?;
        if found.is_some_and(|project| project.entity.id == place.entity) {
            return in_project(db, project, md5);
        }
    }
    Ok(None)
}

/// The projects that have some content, with the artifact that brought it there.
fn projects_with(db: &Connection, md5: Digest) -> Result<Vec<(i64, i64)>> {
    let mut statement =
        db.prepare_cached("SELECT project_id, artifact_id FROM births WHERE md5 = ?")?;
    let rows = statement.query_map([md5.bytes], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Whether `viewer` sees a version of `project` that has the content, through a link of it elsewhere.
fn linked(db: &Connection, viewer: Viewer, project: i64, md5: Digest) -> Result<bool> {
    let mut links = db.prepare_cached(
        "SELECT DISTINCT a.id, a.manifest_id FROM collections c JOIN artifacts a ON a.sequence_id = c.id
         JOIN memberships m ON m.artifact_id = a.id AND m.collection_id <> c.id
         WHERE c.project_id = ? AND a.manifest_id IS NOT NULL",
    )?;
    let mut entry = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE manifest_id = ? AND md5 = ?)",
    )?;
    let mut rows = links.query([project])?;
    while let Some(row) = rows.next()? {
        let (artifact, manifest): (i64, i64) = (row.get(0)?, row.get(1)?);
        if versions::visible_version(db, viewer, artifact)?.is_some()
            && entry.query_row(params![manifest, md5.bytes], |row| row.get(0))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Store {
    /// The object behind a download-handler URL: content named by its digest (either algorithm), if
    /// `viewer` sees a project that has it or a link of a version that has it.
    pub(crate) fn handler_object(&self, viewer: Viewer, hex: &str) -> Result<Option<String>> {
        let Some(named) = Digest::from_hex(Algorithm::Md5, hex) else {
            return Ok(None);
        };
        self.read(|db| {
            let mut same =
                db.prepare_cached("SELECT ?1 UNION SELECT md5 FROM blobs WHERE xxh128 = ?1")?;
            let same = same.query_map([named.bytes], |row| row.get::<_, [u8; 16]>(0))?;
            for bytes in same {
                let algorithm = Algorithm::Md5;
                let md5 = Digest {
                    algorithm,
                    bytes: bytes?,
                };
                for (project, artifact) in projects_with(db, md5)? {
                    if projects::project(db, viewer, project)?.is_some()
                        || linked(db, viewer, project, md5)?
                    {
                        let brought = versions::version(db, artifact)?;
                        let sequence = brought.map_or(0, |version| version.sequence_id);
                        return Ok(Some(file_object(sequence, artifact, md5)));
                    }
                }
            }
            Ok(None)
        })
    }
}
