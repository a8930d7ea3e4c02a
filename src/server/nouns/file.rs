//! `File`: an entry of a version, a file to upload, a manifest, or a file of a run.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{
    Answer, Args, Connection, Cx, Edge, Noun, Out, ServerError, Total, artifact::Artifact,
    connection, nothing, page_request, payload::Payload, read, total,
};
use crate::server::store::{
    Kind, StoreError,
    manifests::{self, EntryRow, ManifestRow},
    objects::{manifest_object, part_object, run_file_object},
    runs::RunFileRow,
    versions::{self, VersionRow},
    writing::{FileTarget, file_object},
};

/// Media type of content nobody described.
const OCTETS: &str = "application/octet-stream";

/// A file of whichever origin.
pub(super) enum File {
    /// An entry of a committed version.
    Entry(EntryRow, Arc<VersionRow>),
    /// A file of a version being made.
    Target(FileTarget),
    /// A manifest.
    Manifest(ManifestRow),
    /// A file of a run.
    Run(RunFileRow),
}

#[async_trait]
impl Noun for File {
    fn type_name(&self) -> &'static str {
        "File"
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Answer {
        Ok(match name {
            "id" => Out::value(self.id()),
            "name" | "displayName" => Out::value(self.name()),
            "sizeBytes" => Out::value(self.size()),
            "digest" => Out::value(self.digest()),
            "md5" => Out::value(self.md5()),
            "mimetype" => Out::value(if self.reference().is_some() {
                None
            } else {
                Some(OCTETS)
            }),
            "storagePath" => Out::value(self.object()),
            "isReference" => Out::value(self.reference().is_some()),
            "exists" => Out::value(self.exists()),
            "createdAt" | "updatedAt" => Out::value(self.time()),
            "deletedAt" => Out::Null,
            "artifact" => self.artifact(cx)?,
            "url" | "directUrl" => Out::value(match self.reference() {
                Some(url) => url.to_owned(),
                None => self
                    .object()
                    .map(|object| cx.urls.download(&object))
                    .unwrap_or_default(),
            }),
            "uploadUrl" => self.upload_url(cx),
            "uploadHeaders" => Out::value(self.upload_headers()),
            "uploadMultipartUrls" => self.multipart(cx),
            _ => return Err(ServerError::unknown_field("File", name)),
        })
    }
}

impl File {
    fn id(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        match self {
            Self::Entry(entry, version) => {
                STANDARD.encode(format!("ArtifactFile:{}:{}", version.id, entry.path))
            }
            Self::Target(target) => {
                STANDARD.encode(format!("ArtifactFile:{}:{}", target.birth, target.name))
            }
            Self::Manifest(row) => STANDARD.encode(format!("ManifestFile:{}", row.id)),
            Self::Run(row) => Kind::RunFile.id(row.id),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Entry(entry, _) => &entry.path,
            Self::Target(target) => &target.name,
            Self::Manifest(row) => &row.name,
            Self::Run(row) => &row.name,
        }
    }

    fn size(&self) -> i64 {
        match self {
            Self::Entry(entry, _) => entry.size,
            Self::Run(row) => row.size,
            Self::Manifest(row) => row.size,
            Self::Target(_) => 0,
        }
    }

    fn digest(&self) -> Option<String> {
        match self {
            Self::Entry(entry, _) => Some(entry.digest.clone()),
            Self::Manifest(row) => Some(row.digest.clone()),
            Self::Target(_) | Self::Run(_) => self.md5(),
        }
    }

    fn md5(&self) -> Option<String> {
        let md5 = match self {
            Self::Entry(entry, _) => entry.md5,
            Self::Target(target) => Some(target.md5),
            Self::Manifest(row) => row.md5,
            Self::Run(row) => row.md5,
        };
        md5.map(|md5| md5.base64())
    }

    fn reference(&self) -> Option<&str> {
        match self {
            Self::Entry(entry, _) => entry.reference.as_deref(),
            _ => None,
        }
    }

    fn exists(&self) -> bool {
        match self {
            Self::Entry(..) => true,
            Self::Target(target) => target.present,
            Self::Manifest(row) => row.md5.is_some(),
            Self::Run(row) => row.md5.is_some(),
        }
    }

    fn time(&self) -> Option<String> {
        match self {
            Self::Entry(_, version) => Some(version.created_at.clone()),
            Self::Target(_) => None,
            Self::Manifest(row) => Some(row.created_at.clone()),
            Self::Run(row) => Some(row.updated_at.clone()),
        }
    }

    /// The object of the content; none for references.
    fn object(&self) -> Option<String> {
        match self {
            Self::Entry(entry, version) => {
                let birth = entry
                    .birth
                    .as_deref()
                    .and_then(|id| Kind::Artifact.parse(id))
                    .unwrap_or(version.id);
                entry
                    .md5
                    .map(|md5| file_object(version.sequence_id, birth, md5))
            }
            Self::Target(target) => Some(target.object.clone()),
            Self::Manifest(row) => Some(manifest_object(row.id)),
            Self::Run(row) => Some(run_file_object(row.run_id, &row.name)),
        }
    }

    fn artifact(&self, cx: &Cx) -> Answer {
        let id = match self {
            Self::Entry(_, version) => return Ok(Out::node(Artifact(VersionRow::clone(version)))),
            Self::Target(target) => target.birth,
            Self::Manifest(row) => row.artifact_id,
            Self::Run(_) => return Ok(Out::Null),
        };
        Ok(Out::maybe(
            read(cx, |db| versions::version(db, id))?.map(Artifact),
        ))
    }

    /// Where to send the content: nowhere if it is there. With a multipart upload it is still given, since
    /// clients take a file without it for present.
    fn upload_url(&self, cx: &Cx) -> Out {
        let wanted = match self {
            Self::Target(target) => !target.present,
            Self::Manifest(_) | Self::Run(_) => true,
            Self::Entry(..) => false,
        };
        Out::value(
            self.object()
                .filter(|_| wanted)
                .map(|object| cx.urls.upload(&object)),
        )
    }

    fn upload_headers(&self) -> Vec<String> {
        match self {
            Self::Target(target) if !target.present => {
                vec![
                    format!("Content-MD5:{}", target.md5.base64()),
                    format!("Content-Type:{OCTETS}"),
                ]
            }
            Self::Manifest(row) if !row.digest.is_empty() => {
                vec![
                    format!("Content-MD5:{}", row.digest),
                    "Content-Type:application/json".to_owned(),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn multipart(&self, cx: &Cx) -> Out {
        let Self::Target(FileTarget {
            multipart: Some((upload, numbers)),
            ..
        }) = self
        else {
            return Out::Null;
        };
        let parts = numbers.iter().map(|number| {
            Payload::new("UploadUrlPart")
                .value("partNumber", *number)
                .value("uploadUrl", cx.urls.upload(&part_object(*upload, *number)))
        });
        let made = Payload::new("UploadMultipartUrls").value("uploadID", Kind::Upload.id(*upload));
        Out::node(made.nodes("uploadUrlParts", parts))
    }
}

/// The files of a version: all, or those of the names asked for.
pub(super) fn of_version(cx: &Cx, version: VersionRow, args: &Args) -> Answer {
    let headers = Value::Array(Vec::new());
    let Some(manifest) = version.manifest_id else {
        return Ok(Out::node(
            nothing("FileConnection").with("uploadHeaders", headers),
        ));
    };
    let names = args.strings("names").filter(|names| !names.is_empty());
    let listing = manifests::listing(manifest, names.as_deref())?;
    let page = read(cx, |db| manifests::page(db, &listing, &page_request(args)))?;
    let version = Arc::new(version);
    let counted = if names.is_none() {
        Total::Known(u64::try_from(version.file_count).unwrap_or(0))
    } else {
        total(listing)
    };
    let made = connection("FileConnection", page, |entry| {
        File::Entry(entry, version.clone())
    });
    Ok(Out::node(
        made.total(counted).with("uploadHeaders", headers),
    ))
}

/// The files that entries of the caller's copy of the manifest stand for, in the order given. An entry the
/// version does not have with that digest is left out.
pub(super) fn by_entries(cx: &Cx, version: &VersionRow, args: &Args) -> Answer {
    let text =
        |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    let asked = args.list("entries").unwrap_or_default();
    let mut edges = Vec::with_capacity(asked.len());
    if let Some(manifest) = version.manifest_id {
        let version = Arc::new(version.clone());
        read(cx, |db| {
            for (index, wanted) in asked.iter().enumerate() {
                let path = text(wanted, "name")
                    .ok_or_else(|| StoreError::invalid("an entry has no name"))?;
                let found = manifests::entry(db, manifest, &path)?;
                if let Some(entry) = found.filter(|entry| {
                    text(wanted, "digest").is_none_or(|digest| digest == entry.digest)
                }) {
                    edges.push(Edge::new(
                        index.to_string(),
                        File::Entry(entry, version.clone()),
                    ));
                }
            }
            Ok(())
        })?;
    }
    let count = edges.len() as u64;
    let made = Connection::new("FileConnection", edges, false).total(Total::Known(count));
    Ok(Out::node(
        made.with("uploadHeaders", Value::Array(Vec::new())),
    ))
}
