//! Mutations by which a version comes to be and is used.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, artifact::Artifact, file::File, manifest::Manifest,
    payload::Payload, read, run::Run, viewer, whole, write,
};
use crate::server::store::{
    StoreError, runs, versions,
    writing::{CreateArtifact, CreateManifest, FileSpec, FileTarget, PartSpec, UpdateManifest},
};

/// `createArtifact`.
pub(super) async fn create(cx: &Cx, args: &Args) -> Answer {
    let input: CreateArtifact = args.deserialize("input")?;
    let me = viewer(cx);
    let id = write(cx, move |store| store.create_artifact(me, &input)).await?;
    Ok(Out::node(
        Payload::new("CreateArtifactPayload").node("artifact", artifact(cx, id)?),
    ))
}

/// `createArtifactManifest`.
pub(super) async fn create_manifest(cx: &Cx, args: &Args) -> Answer {
    let input: CreateManifest = args.deserialize("input")?;
    let me = viewer(cx);
    let row = write(cx, move |store| store.create_manifest(me, &input)).await?;
    let artifact = row.artifact_id;
    Ok(Out::node(
        Payload::new("CreateArtifactManifestPayload")
            .node("artifactManifest", Manifest::of(row, artifact)),
    ))
}

/// `updateArtifactManifest`.
pub(super) async fn update_manifest(cx: &Cx, args: &Args) -> Answer {
    let input: UpdateManifest = args.deserialize("input")?;
    let me = viewer(cx);
    let row = write(cx, move |store| store.update_manifest(me, &input)).await?;
    let artifact = row.artifact_id;
    Ok(Out::node(
        Payload::new("UpdateArtifactManifestPayload")
            .node("artifactManifest", Manifest::of(row, artifact)),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateFiles {
    artifact_files: Vec<FileSpec>,
}

/// `createArtifactFiles`.
pub(super) async fn create_files(cx: &Cx, args: &Args) -> Answer {
    let input: CreateFiles = args.deserialize("input")?;
    let me = viewer(cx);
    let targets = write(cx, move |store| {
        store.create_files(me, &input.artifact_files)
    })
    .await?;
    Ok(Out::node(FilesPayload(targets)))
}

/// `CreateArtifactFilesPayload`: all files asked for, in that order, whatever page is asked.
struct FilesPayload(Vec<FileTarget>);

#[async_trait]
impl Noun for FilesPayload {
    fn type_name(&self) -> &'static str {
        "CreateArtifactFilesPayload"
    }

    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Answer {
        Ok(match name {
            "files" => {
                let files = self.0.iter().cloned().map(File::Target).collect();
                Out::node(
                    whole("FileConnection", files).with("uploadHeaders", Value::Array(Vec::new())),
                )
            }
            "clientMutationId" => Out::Null,
            _ => return Err(ServerError::unknown_field(self.type_name(), name)),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CompleteUpload {
    completed_parts: Vec<PartSpec>,
    #[serde(rename = "artifactID")]
    artifact_id: String,
    #[serde(rename = "uploadID")]
    upload_id: String,
}

/// `completeMultipartUploadArtifact`.
pub(super) async fn complete_upload(cx: &Cx, args: &Args) -> Answer {
    let input: CompleteUpload = args.deserialize("input")?;
    let me = viewer(cx);
    let digest = write(cx, move |store| {
        store.complete_upload(
            me,
            &input.artifact_id,
            &input.upload_id,
            &input.completed_parts,
        )
    })
    .await?;
    Ok(Out::node(
        Payload::new("CompleteMultipartUploadArtifactPayload").value("digest", digest.base64()),
    ))
}

#[derive(Deserialize)]
struct Commit {
    #[serde(rename = "artifactID")]
    artifact_id: String,
}

/// `commitArtifact`.
pub(super) async fn commit(cx: &Cx, args: &Args) -> Answer {
    let input: Commit = args.deserialize("input")?;
    let me = viewer(cx);
    let id = write(cx, move |store| {
        store.commit_artifact(me, &input.artifact_id)
    })
    .await?;
    Ok(Out::node(
        Payload::new("CommitArtifactPayload").node("artifact", artifact(cx, id)?),
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Use {
    entity_name: String,
    project_name: String,
    run_name: String,
    #[serde(rename = "artifactID")]
    artifact_id: String,
    used_as: Option<String>,
}

/// `useArtifact`.
pub(super) async fn use_artifact(cx: &Cx, args: &Args) -> Answer {
    let input: Use = args.deserialize("input")?;
    let me = viewer(cx);
    let (id, run) = write(cx, move |store| {
        let used_as = input.used_as.as_deref();
        store.use_artifact(
            me,
            &input.entity_name,
            &input.project_name,
            &input.run_name,
            &input.artifact_id,
            used_as,
        )
    })
    .await?;
    let run = read(cx, |db| {
        runs::run(db, run)?.ok_or_else(|| StoreError::not_found("run"))
    })?;
    Ok(Out::node(
        Payload::new("UseArtifactPayload")
            .node("artifact", artifact(cx, id)?)
            .node("run", Run(run)),
    ))
}

/// A version that a mutation has just touched.
pub(super) fn artifact(cx: &Cx, id: i64) -> Result<Artifact, ServerError> {
    Ok(Artifact(read(cx, |db| {
        versions::version(db, id)?.ok_or_else(|| StoreError::not_found("artifact"))
    })?))
}
