//! Objects: what the signed URLs of the HTTP layer stand for.
//!
//! | object | read | written |
//! |---|---|---|
//! | `wandb_artifacts/<sequence>/<artifact>/<md5>` | a file's content | by upload; must have that MD5 |
//! | `manifests/<manifest>/<name>` | a manifest | by upload; must have the announced MD5 |
//! | `run_files/<run>/<name>` | a file of a run | by upload |
//! | `parts/<upload>/<n>` | – | one part of a multipart upload |
//!
//! The signature proves that this server made the URL for this object, so no permission is checked here.

use std::{
    fs,
    io::{self, Write},
};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Kind, Result, Store, StoreError, accounts,
    blobs::{BlobWriter, Received, md5_column},
    commit::{remember_birth, remember_blob},
    manifests,
    projects::Viewer,
    time, versions,
    writing::{PartSpec, entity_of, file_object},
};
use crate::server::digest::{Algorithm, Digest};

/// Bytes that an object stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// The blob.
    pub(crate) md5: Digest,
    /// Its bytes.
    pub(crate) size: u64,
}

/// An object, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    File { artifact: i64, md5: Digest },
    Manifest { id: i64 },
    RunFile { run: i64, name: String },
    Part { upload: i64, number: i64 },
}

impl Object {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (first, last) = rest.split_once('/')?;
        let first = first.parse().ok()?;
        Some(match kind {
            "wandb_artifacts" => {
                let (artifact, hex) = last.split_once('/')?;
                Self::File {
                    artifact: artifact.parse().ok()?,
                    md5: Digest::from_hex(Algorithm::Md5, hex)?,
                }
            }
            "manifests" => Self::Manifest { id: first },
            "run_files" => Self::RunFile {
                run: first,
                name: last.to_owned(),
            },
            "parts" => Self::Part {
                upload: first,
                number: last.parse().ok()?,
            },
            _ => return None,
        })
    }
}

/// Object of a manifest. Its last segment is the name by which clients tell a manifest's URL from a file's.
pub(crate) fn manifest_object(id: i64) -> String {
    format!("manifests/{id}/wandb_manifest.json")
}

/// Object of a run's file.
pub(crate) fn run_file_object(run: i64, name: &str) -> String {
    format!("run_files/{run}/{name}")
}

/// Object of a part of a multipart upload.
pub(crate) fn part_object(upload: i64, number: i64) -> String {
    format!("parts/{upload}/{number}")
}

/// An upload under way. Dropped unfinished, it leaves nothing.
pub(crate) struct Receiver {
    object: Object,
    blob: BlobWriter,
}

impl Write for Receiver {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blob.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl Store {
    /// The bytes of an object.
    pub(crate) fn locate(&self, object: &str) -> Result<Located> {
        let missing = || StoreError::not_found("object");
        let object = Object::parse(object).ok_or_else(missing)?;
        self.read(|db| {
            let md5 = match object {
                Object::File { md5, .. } => Some(md5),
                Object::Manifest { id } => manifests::manifest(db, id)?.and_then(|row| row.md5),
                Object::RunFile { run, ref name } => {
                    super::runs::file(db, run, name)?.and_then(|row| row.md5)
                }
                Object::Part { .. } => None,
            };
            let md5 = md5.ok_or_else(missing)?;
            Ok(Located {
                md5,
                size: blob_size(db, md5)?.ok_or_else(missing)?,
            })
        })
    }

    /// Starts an upload.
    pub(crate) fn begin_receive(&self, object: &str) -> Result<Receiver> {
        let object = Object::parse(object).ok_or_else(|| StoreError::not_found("object"))?;
        Ok(Receiver {
            object,
            blob: self.blobs().create_temp()?,
        })
    }

    /// Finishes an upload: makes the bytes durable under their digest, then the rows that need them. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the bytes are not those announced; nothing is kept then.
    pub(crate) fn finish_receive(&self, receiver: Receiver) -> Result<Received> {
        let Receiver { object, blob } = receiver;
        let received = blob.received();
        let expected = self.read(|db| expected(db, &object))?;
        if expected.is_some_and(|md5| md5 != received.md5) {
            return Err(StoreError::invalid(
                "the content does not have the announced MD5",
            ));
        }
        let _kept = self.keep_unnamed();
        self.blobs().commit(blob)?;
        self.write(|tx| {
            remember_blob(tx, &received)?;
            match &object {
                Object::File { artifact, .. } => {
                    let found = versions::version(tx, *artifact)?.ok_or_else(|| StoreError::not_found("artifact"))?;
                    remember_birth(tx, entity_of(tx, found.sequence_id)?, &received.md5, *artifact)?;
                }
                Object::Manifest { id } => {
                    tx.execute("UPDATE manifests SET md5 = ?2 WHERE id = ?1", params![id, received.md5.bytes])?;
                }
                Object::RunFile { run, name } => {
                    tx.execute(
                        "INSERT INTO run_files (run_id, name, md5, size, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (run_id, name) DO UPDATE SET md5 = ?3, size = ?4, updated_at = ?5",
                        params![run, name, received.md5.bytes, i64::try_from(received.size).unwrap_or(i64::MAX), time::now()],
                    )?;
                }
                Object::Part { upload, number } => {
                    tx.execute(
                        "INSERT OR REPLACE INTO upload_parts (upload_id, part, md5) VALUES (?, ?, ?)",
                        params![upload, number, received.md5.bytes],
                    )?;
                }
            }
            Ok(())
        })?;
        Ok(received)
    }

    /// Puts the parts of a multipart upload together and answers the whole's digest.
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
        let upload = Kind::Upload.parse(upload).ok_or_else(missing)?;
        let artifact = Kind::Artifact.parse(artifact).ok_or_else(missing)?;
        let (md5, entity, stored) = self.read(|db| {
            let (_, sequence) = versions::writable_version(db, viewer, artifact)?;
            let md5: Option<Vec<u8>> = db
                .query_row(
                    "SELECT md5 FROM uploads WHERE id = ? AND artifact_id = ?",
                    [upload, artifact],
                    |row| row.get(0),
                )
                .optional()?;
            let entity: i64 = db.query_row(
                "SELECT entity_id FROM collections WHERE id = ?",
                [sequence.id],
                |row| row.get(0),
            )?;
            Ok((
                md5_column(&md5.ok_or_else(missing)?)?,
                entity,
                stored_parts(db, upload)?,
            ))
        })?;
        let whole = self.assemble(&stored, parts)?;
        if whole.received().md5 != md5 {
            return Err(StoreError::invalid(
                "the parts together do not have the announced MD5",
            ));
        }
        let kept = self.keep_unnamed();
        let received = self.blobs().commit(whole)?;
        self.write(|tx| {
            remember_blob(tx, &received)?;
            remember_birth(tx, entity, &received.md5, artifact)?;
            tx.execute("DELETE FROM uploads WHERE id = ?", [upload])?;
            Ok(())
        })?;
        drop(kept);
        self.drop_parts(&stored)?;
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
        let mut whole = self.blobs().create_temp()?;
        for (part, (_, md5)) in parts.iter().zip(stored) {
            // An entity tag is sent back the way HTTP writes it, with quotes.
            let stated = Digest::from_hex(Algorithm::Md5, part.hex_md5.trim_matches('"'));
            if stated != Some(*md5) {
                return Err(StoreError::invalid(format!(
                    "part {} has another MD5",
                    part.part_number
                )));
            }
            io::copy(&mut self.blobs().open_blob(*md5)?, &mut whole)?;
        }
        Ok(whole)
    }

    /// Removes the blobs of parts that nothing else is made of.
    fn drop_parts(&self, parts: &[(i64, Digest)]) -> Result<()> {
        let _alone = self.naming.write();
        for (_, md5) in parts {
            let unused = self.write(|tx| {
                let used: bool = tx.query_row(
                    "SELECT EXISTS (SELECT 1 FROM births WHERE md5 = ?1) OR EXISTS (SELECT 1 FROM upload_parts WHERE md5 = ?1)
                     OR EXISTS (SELECT 1 FROM manifests WHERE md5 = ?1) OR EXISTS (SELECT 1 FROM run_files WHERE md5 = ?1)",
                    [md5.bytes],
                    |row| row.get(0),
                )?;
                if !used {
                    tx.execute("DELETE FROM blobs WHERE md5 = ?", [md5.bytes])?;
                }
                Ok(!used)
            })?;
            if unused {
                fs::remove_file(self.blobs().path(*md5))?;
            }
        }
        Ok(())
    }

    /// The object behind a download-handler URL: content named by its digest (either algorithm), if the user
    /// sees an artifact that brought it, or belongs to the entity that has it.
    pub(crate) fn handler_object(
        &self,
        user_id: i64,
        admin: bool,
        entity: &str,
        hex: &str,
    ) -> Result<Option<String>> {
        let viewer = Viewer { user_id, admin };
        let Some(digest) = Digest::from_hex(Algorithm::Md5, hex) else {
            return Ok(None);
        };
        self.read(|db| {
            let named = accounts::entity_named(db, entity)?.map(|entity| entity.id);
            let mut statement = db.prepare_cached(
                "SELECT x.md5, x.entity_id, x.artifact_id FROM births x
                 WHERE x.md5 = ?1 OR x.md5 IN (SELECT md5 FROM blobs WHERE xxh128 = ?1)",
            )?;
            let rows = statement.query_map(params![digest.bytes], |row| {
                Ok((
                    row.get::<_, [u8; 16]>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                ))
            })?;
            for row in rows {
                let (bytes, owner, artifact) = row?;
                let member =
                    named == Some(owner) && accounts::role_in(db, owner, user_id)?.is_some();
                let seen = versions::visible_version(db, viewer, artifact)?;
                let sequence = match seen {
                    Some(found) => found.sequence_id,
                    None if member => 0,
                    None => continue,
                };
                return Ok(Some(file_object(
                    sequence,
                    artifact,
                    Digest {
                        algorithm: Algorithm::Md5,
                        bytes,
                    },
                )));
            }
            Ok(None)
        })
    }
}

/// The digest an object must have, if that is known.
fn expected(db: &Connection, object: &Object) -> Result<Option<Digest>> {
    match object {
        Object::File { md5, .. } => Ok(Some(*md5)),
        Object::Manifest { id } => {
            let row =
                manifests::manifest(db, *id)?.ok_or_else(|| StoreError::not_found("manifest"))?;
            let digest = Digest::from_base64(Algorithm::Md5, &row.digest);
            digest.map(Some).ok_or_else(|| {
                StoreError::invalid("the manifest was not announced with its digest")
            })
        }
        Object::RunFile { .. } => Ok(None),
        Object::Part { upload, number } => {
            let sql = "SELECT md5 FROM upload_specs WHERE upload_id = ? AND part = ?";
            let announced: Option<Option<[u8; 16]>> = db
                .query_row(sql, [upload, number], |row| row.get(0))
                .optional()?;
            let md5 = announced.ok_or_else(|| StoreError::not_found("part of an upload"))?;
            Ok(md5.map(|bytes| Digest {
                algorithm: Algorithm::Md5,
                bytes,
            }))
        }
    }
}

fn stored_parts(db: &Connection, upload: i64) -> Result<Vec<(i64, Digest)>> {
    let mut statement =
        db.prepare("SELECT part, md5 FROM upload_parts WHERE upload_id = ? ORDER BY part")?;
    let rows = statement.query_map([upload], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?))
    })?;
    rows.map(|row| {
        let (number, bytes) = row?;
        Ok((
            number,
            Digest {
                algorithm: Algorithm::Md5,
                bytes,
            },
        ))
    })
    .collect()
}

fn blob_size(db: &Connection, md5: Digest) -> Result<Option<u64>> {
    let mut statement = db.prepare_cached("SELECT size FROM blobs WHERE md5 = ?")?;
    let size: Option<i64> = statement
        .query_row([md5.bytes], |row| row.get(0))
        .optional()?;
    Ok(size.and_then(|size| u64::try_from(size).ok()))
}
