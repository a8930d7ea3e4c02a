//! Multipart uploads: putting the parts together.
//!
//! A client waits half a minute for the completion of an upload and then asks again, whatever the size. So
//! only one completion of an upload runs at a time, those that ask meanwhile get its answer, and an upload
//! that was completed says so until its version is committed.

use std::io::{Read as _, Write as _};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    Kind, Result, Store, StoreError, births, blobs::BlobWriter, commit::remember_blob,
    projects::Viewer, versions, writing::PartSpec,
};
use crate::server::digest::{Algorithm, Digest};

/// Bytes copied at once: few system calls, and the hashes find them in the processor's cache.
const BUFFER: usize = 256 * 1024;

/// A multipart upload as its rows tell it.
struct Upload {
    md5: Digest,
    project: i64,
    completed: bool,
    stored: Vec<(i64, Digest)>,
}

impl Upload {
    fn find(db: &Connection, viewer: Viewer, id: i64, artifact: i64) -> Result<Self> {
        let (_, sequence) = versions::writable_version(db, viewer, artifact)?;
        let row: Option<([u8; 16], bool)> = db
            .query_row(
                "SELECT md5, completed FROM uploads WHERE id = ? AND artifact_id = ?",
                [id, artifact],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (bytes, completed) = row.ok_or_else(|| StoreError::not_found("upload"))?;
        Ok(Self {
            md5: md5(bytes),
            project: sequence.project_id,
            completed,
            stored: stored_parts(db, id)?,
        })
    }
}

impl Store {
    /// Puts the parts of a multipart upload together and answers the whole's digest, which is all that
    /// happens the next time. Blocks for as long as copying takes.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if a part is missing or is not what the caller says, or the whole has another MD5.
    pub(crate) fn complete_upload(
        &self,
        viewer: Viewer,
        artifact: &str,
        upload: &str,
        parts: &[PartSpec],
    ) -> Result<Digest> {
        let missing = || StoreError::not_found("upload");
        let id = Kind::Upload.parse(upload).ok_or_else(missing)?;
        let artifact = Kind::Artifact.parse(artifact).ok_or_else(missing)?;
        let _turn = self.completing.enter(id);
        let upload = self.read(|db| Upload::find(db, viewer, id, artifact))?;
        if upload.completed {
            return Ok(upload.md5);
        }
        let whole = self.assemble(&upload.stored, parts)?;
        if whole.received().md5 != upload.md5 {
            return Err(StoreError::invalid(
                "the parts together do not have the announced MD5",
            ));
        }
        let kept = self.keep_unnamed();
        let received = self.blobs().commit(whole)?;
        self.write(|tx| {
            remember_blob(tx, &received)?;
            births::remember(tx, upload.project, received.md5, artifact)?;
            tx.execute("UPDATE uploads SET completed = 1 WHERE id = ?", [id])?;
            for table in ["upload_parts", "upload_specs"] {
                tx.execute(&format!("DELETE FROM {table} WHERE upload_id = ?"), [id])?;
            }
            Ok(())
        })?;
        drop(kept);
        let parts: Vec<Digest> = upload.stored.into_iter().map(|(_, md5)| md5).collect();
        self.drop_unnamed(&parts)?;
        Ok(received.md5)
    }

    /// The content of an upload: all its parts in order, whatever order the caller names them in.
    fn assemble(&self, stored: &[(i64, Digest)], parts: &[PartSpec]) -> Result<BlobWriter> {
        let mut parts: Vec<&PartSpec> = parts.iter().collect();
        parts.sort_by_key(|part| part.part_number);
        let numbers = parts.iter().map(|part| part.part_number);
        if !numbers.eq(stored.iter().map(|(number, _)| *number)) {
            return Err(StoreError::invalid(
                "the completed parts are not the ones that were uploaded",
            ));
        }
        for (part, (_, md5)) in parts.iter().zip(stored) {
            // An entity tag is sent back the way HTTP writes it, with quotes.
            let stated = Digest::from_hex(Algorithm::Md5, part.hex_md5.trim_matches('"'));
            if stated != Some(*md5) {
                return Err(StoreError::invalid(format!(
                    "part {} has another MD5",
                    part.part_number
                )));
            }
        }
        let mut whole = self.blobs().create_temp()?;
        let mut buffer = vec![0; BUFFER];
        for (_, md5) in stored {
            let mut part = self.blobs().open_blob(*md5)?;
            loop {
                let read = part.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                whole.write_all(&buffer[..read])?;
            }
        }
        Ok(whole)
    }
}

/// Notes that a part has arrived.
pub(super) fn remember_part(
    tx: &Transaction<'_>,
    upload: i64,
    number: i64,
    part: Digest,
) -> Result<()> {
    tx.execute(
        "INSERT OR REPLACE INTO upload_parts (upload_id, part, md5) VALUES (?, ?, ?)",
        params![upload, number, part.bytes],
    )?;
    Ok(())
}

/// The digest that a part was announced with, if it was.
///
/// # Errors
/// [`StoreError::NotFound`] if the part was not announced at all.
pub(super) fn announced(db: &Connection, upload: i64, number: i64) -> Result<Option<Digest>> {
    let sql = "SELECT md5 FROM upload_specs WHERE upload_id = ? AND part = ?";
    let found: Option<Option<[u8; 16]>> = db
        .query_row(sql, [upload, number], |row| row.get(0))
        .optional()?;
    Ok(found
        .ok_or_else(|| StoreError::not_found("part of an upload"))?
        .map(md5))
}

/// Forgets the uploads of a version that needs them no more.
pub(super) fn forget(tx: &Transaction<'_>, artifact: i64) -> Result<()> {
    tx.execute("DELETE FROM uploads WHERE artifact_id = ?", [artifact])?;
    Ok(())
}

fn stored_parts(db: &Connection, upload: i64) -> Result<Vec<(i64, Digest)>> {
    let mut statement =
        db.prepare("SELECT part, md5 FROM upload_parts WHERE upload_id = ? ORDER BY part")?;
    let rows = statement.query_map([upload], |row| Ok((row.get(0)?, md5(row.get(1)?))))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn md5(bytes: [u8; 16]) -> Digest {
    Digest {
        algorithm: Algorithm::Md5,
        bytes,
    }
}
