//! Manifests: what is in a version.
//!
//! The manifest itself is a blob, served as it was uploaded. On commit its entries also go, one by one
//! as the parser meets them, into a table ordered by path, so that a page of files or one file of a
//! million costs an index lookup. Nothing here holds a whole manifest in memory.

use std::{
    fmt,
    io::{BufReader, BufWriter, Read, Write},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Value};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};
use serde_json::Value as Json;

use super::{
    Result, StoreError,
    blobs::{BlobDir, Received, md5_column},
    filter::Condition,
    page::{Listing, Order, Page, PageRequest},
};
use crate::server::digest::Digest;

/// The one storage policy there is.
const POLICY: &str = "wandb-storage-policy-v1";

/// Bytes read at once from a manifest: few system calls, no memory to speak of.
const BUFFER: usize = 1 << 18;

/// One entry as a manifest states it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestEntry {
    /// Base64 of the content's digest; an etag or URL for references.
    pub(crate) digest: String,
    /// Bytes.
    #[serde(default)]
    pub(crate) size: Option<i64>,
    /// The artifact under which the content was first stored.
    #[serde(default, rename = "birthArtifactID")]
    pub(crate) birth: Option<String>,
    /// Where a reference points.
    #[serde(default, rename = "ref")]
    pub(crate) reference: Option<String>,
    /// `alg`, `etag`, `versionID`.
    #[serde(default)]
    pub(crate) extra: Option<Json>,
}

impl ManifestEntry {
    /// The digest is an XXH128.
    pub(crate) fn is_xxh128(&self) -> bool {
        self.extra
            .as_ref()
            .and_then(|extra| extra.get("alg"))
            .and_then(Json::as_str)
            == Some("XXH128")
    }
}

/// The head of a manifest: all but the entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct ManifestHead {
    /// `storagePolicyConfig`.
    pub(crate) config: Option<Json>,
}

/// A manifest row.
#[derive(Debug, Clone)]
pub(crate) struct ManifestRow {
    /// Row id.
    pub(crate) id: i64,
    /// The artifact it was made for.
    pub(crate) artifact_id: i64,
    /// `FULL`, `INCREMENTAL` or `PATCH`.
    pub(crate) kind: String,
    /// File name.
    pub(crate) name: String,
    /// Base64 MD5 it was announced with.
    pub(crate) digest: String,
    /// The version an incremental one builds on.
    pub(crate) base_id: Option<i64>,
    /// Its blob, once uploaded.
    pub(crate) md5: Option<Digest>,
    /// Bytes of that blob.
    pub(crate) size: i64,
    /// When it was made.
    pub(crate) created_at: String,
}

/// A file of a committed version.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    /// Its key in the manifest.
    pub(crate) path: String,
    /// Digest as the manifest states it.
    pub(crate) digest: String,
    /// The blob; none for references.
    pub(crate) md5: Option<Digest>,
    /// Bytes.
    pub(crate) size: i64,
    /// Global id of the artifact that brought the content.
    pub(crate) birth: Option<String>,
    /// Where a reference points.
    pub(crate) reference: Option<String>,
}

const MANIFEST: &str = "id, artifact_id, type, name, digest, base_id, md5, created_at, \
     COALESCE((SELECT size FROM blobs WHERE blobs.md5 = manifests.md5), 0)";
const ENTRY: &str = "e.path, e.digest, e.md5, e.size, e.birth, e.ref";

fn blob_column(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Digest>> {
    let bytes: Option<Vec<u8>> = row.get(index)?;
    bytes
        .map(|bytes| md5_column(&bytes))
        .transpose()
        .map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                index,
                rusqlite::types::Type::Blob,
                Box::new(error),
            )
        })
}

fn manifest_row(row: &Row<'_>) -> rusqlite::Result<ManifestRow> {
    Ok(ManifestRow {
        id: row.get(0)?,
        artifact_id: row.get(1)?,
        kind: row.get(2)?,
        name: row.get(3)?,
        digest: row.get(4)?,
        base_id: row.get(5)?,
        md5: blob_column(row, 6)?,
        created_at: row.get(7)?,
        size: row.get(8)?,
    })
}

fn entry_row(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    Ok(EntryRow {
        path: row.get(0)?,
        digest: row.get(1)?,
        md5: blob_column(row, 2)?,
        size: row.get(3)?,
        birth: row.get(4)?,
        reference: row.get(5)?,
    })
}

/// A manifest by row.
pub(crate) fn manifest(db: &Connection, id: i64) -> Result<Option<ManifestRow>> {
    let sql = format!("SELECT {MANIFEST} FROM manifests WHERE id = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], manifest_row)
        .optional()?)
}

/// The manifests of an artifact, oldest first.
pub(crate) fn of_artifact(db: &Connection, artifact: i64) -> Result<Vec<ManifestRow>> {
    let sql = format!("SELECT {MANIFEST} FROM manifests WHERE artifact_id = ? ORDER BY id");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([artifact], manifest_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The files of a manifest by path; with `names`, only those.
pub(crate) fn listing(manifest: i64, names: Option<&[&str]>) -> Result<Listing> {
    let mut condition = Condition::new("e.manifest_id = ?", [Value::Integer(manifest)]);
    if let Some(names) = names {
        condition.and(
            "e.path IN (SELECT value FROM json_each(?))",
            [Value::Text(serde_json::to_string(names)?)],
        );
    }
    Ok(Listing {
        columns: ENTRY,
        from: "entries e",
        id: "e.path",
        condition,
        order: Order {
            key: "e.path",
            descending: false,
        },
    })
}

/// A page of files.
pub(crate) fn page(
    db: &Connection,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<EntryRow>> {
    listing.page(db, request, entry_row)
}

/// One file.
pub(crate) fn entry(db: &Connection, manifest: i64, path: &str) -> Result<Option<EntryRow>> {
    let sql = format!("SELECT {ENTRY} FROM entries e WHERE e.manifest_id = ? AND e.path = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![manifest, path], entry_row)
        .optional()?)
}

/// Parses a manifest, handing each entry to `sink` as it is met.
///
/// # Errors
/// [`StoreError::Invalid`] if it is not a manifest of a known version and policy; the sink's own errors.
pub(crate) fn parse(
    reader: impl Read,
    sink: &mut dyn FnMut(String, ManifestEntry) -> Result<()>,
) -> Result<ManifestHead> {
    let mut failed = None;
    let mut head = ManifestHead::default();
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER, reader));
    let document = Document {
        head: &mut head,
        sink,
        failed: &mut failed,
    };
    let parsed = document.deserialize(&mut json).and_then(|()| json.end());
    match (failed, parsed) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(StoreError::invalid(format!(
            "the manifest cannot be read: {error}"
        ))),
        (None, Ok(())) => Ok(head),
    }
}

struct Document<'a> {
    head: &'a mut ManifestHead,
    sink: &'a mut dyn FnMut(String, ManifestEntry) -> Result<()>,
    failed: &'a mut Option<StoreError>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" if map.next_value::<Json>()? != 1 => {
                    return Err(de::Error::custom("only version 1 is known"));
                }
                "version" => {}
                "storagePolicy" if map.next_value::<Json>()? != POLICY => {
                    return Err(de::Error::custom("unknown storage policy"));
                }
                "storagePolicy" => {}
                "storagePolicyConfig" => self.head.config = map.next_value()?,
                "contents" => map.next_value_seed(Contents {
                    sink: &mut *self.sink,
                    failed: &mut *self.failed,
                })?,
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Contents<'a> {
    sink: &'a mut dyn FnMut(String, ManifestEntry) -> Result<()>,
    failed: &'a mut Option<StoreError>,
}

impl<'de> DeserializeSeed<'de> for Contents<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Contents<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the entries of a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((path, entry)) = map.next_entry::<String, ManifestEntry>()? {
            if let Err(error) = (self.sink)(path, entry) {
                *self.failed = Some(error);
                return Err(de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Writes the manifest that the entry table of `manifest` describes, as a blob.
pub(crate) fn write_merged(
    db: &Connection,
    blobs: &BlobDir,
    manifest: i64,
    head: &ManifestHead,
) -> Result<Received> {
    let mut out = BufWriter::with_capacity(BUFFER, blobs.create_temp()?);
    let config = head
        .config
        .clone()
        .unwrap_or_else(|| serde_json::json!({"storageLayout": "V2"}));
    write!(
        out,
        "{{\"version\":1,\"storagePolicy\":\"{POLICY}\",\"storagePolicyConfig\":{config},\"contents\":{{"
    )?;
    let mut statement =
        db.prepare("SELECT path, digest, size, birth, ref, extra FROM entries WHERE manifest_id = ? ORDER BY path")?;
    let mut rows = statement.query([manifest])?;
    let mut first = true;
    while let Some(row) = rows.next()? {
        let mut entry = serde_json::Map::new();
        entry.insert("digest".into(), Json::from(row.get::<_, String>(1)?));
        entry.insert("size".into(), Json::from(row.get::<_, i64>(2)?));
        for (index, name) in [(3, "birthArtifactID"), (4, "ref")] {
            if let Some(text) = row.get::<_, Option<String>>(index)? {
                entry.insert(name.into(), Json::from(text));
            }
        }
        if let Some(extra) = row.get::<_, Option<String>>(5)? {
            entry.insert("extra".into(), serde_json::from_str(&extra)?);
        }
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(
            out,
            "{comma}{}:{}",
            Json::from(row.get::<_, String>(0)?),
            Json::Object(entry)
        )?;
    }
    out.write_all(b"}}")?;
    let temp = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    Ok(blobs.commit(temp)?)
}
