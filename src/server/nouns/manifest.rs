//! `ArtifactManifest`.

use async_trait::async_trait;

use super::{Answer, Args, Cx, Noun, Out, ServerError, artifact::Artifact, file::File, read};
use crate::server::store::{Kind, StoreError, manifests::ManifestRow, versions};

/// A manifest of a version. Versions may share one, so the version is part of it.
pub(super) struct Manifest {
    row: ManifestRow,
    artifact: i64,
}

impl Manifest {
    /// The manifest as `artifact` has it.
    pub(super) fn of(row: ManifestRow, artifact: i64) -> Self {
        Self { row, artifact }
    }
}

#[async_trait]
impl Noun for Manifest {
    fn type_name(&self) -> &'static str {
        "ArtifactManifest"
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Answer {
        let row = &self.row;
        Ok(match name {
            "id" => Out::value(Kind::Manifest.id(row.id)),
            "type" => Out::value(row.kind.as_str()),
            "digest" => Out::value(row.digest.as_str()),
            "createdAt" => Out::value(row.created_at.as_str()),
            "artifact" => {
                let found = read(cx, |db| versions::version(db, self.artifact))?;
                Out::node(Artifact(
                    found.ok_or_else(|| StoreError::not_found("artifact"))?,
                ))
            }
            "file" => Out::node(File::Manifest(row.clone())),
            _ => return Err(ServerError::unknown_field("ArtifactManifest", name)),
        })
    }
}
