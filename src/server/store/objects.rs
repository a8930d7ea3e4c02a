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

use std::io::{self, Write};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Result, Store, StoreError, births,
    blobs::{BlobWriter, Received},
    commit::remember_blob,
    manifests, parts, time, versions,
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

impl Receiver {
    /// The MD5 of what was written so far.
    pub(crate) fn md5(&self) -> Digest {
        self.blob.received().md5
    }
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
                    let project = births::place_of(tx, found.sequence_id)?.project;
                    births::remember(tx, project, received.md5, *artifact)?;
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
                Object::Part { upload, number } => parts::remember_part(tx, *upload, *number, received.md5)?,
            }
            Ok(())
        })?;
        Ok(received)
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
        Object::Part { upload, number } => parts::announced(db, *upload, *number),
    }
}

fn blob_size(db: &Connection, md5: Digest) -> Result<Option<u64>> {
    let mut statement = db.prepare_cached("SELECT size FROM blobs WHERE md5 = ?")?;
    let size: Option<i64> = statement
        .query_row([md5.bytes], |row| row.get(0))
        .optional()?;
    Ok(size.and_then(|size| u64::try_from(size).ok()))
}
