//! `ArtifactCollectionMembership`: a version in a collection.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, artifact::Artifact, artifact_alias,
    collection::Collection, file, read, viewer,
};
use crate::server::store::{
    Kind, StoreError, collections,
    versions::{self, MembershipRow},
};

/// A version's place in a collection.
pub(super) struct Membership(pub(super) MembershipRow);

#[async_trait]
impl Noun for Membership {
    fn type_name(&self) -> &'static str {
        "ArtifactCollectionMembership"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let row = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Membership.id(row.id)),
            "versionIndex" => Out::value(row.version_index()),
            "commitHash" => Out::value(row.commit_hash.as_str()),
            "createdAt" => Out::value(row.created_at.as_str()),
            "aliases" => {
                return artifact_alias::of_version(cx, row.artifact_id, Some(row.collection_id));
            }
            "artifact" => {
                Out::maybe(read(cx, |db| versions::version(db, row.artifact_id))?.map(Artifact))
            }
            "artifactCollection" => {
                let id = row.collection_id;
                Out::maybe(
                    read(cx, |db| collections::visible_collection(db, viewer(cx), id))?
                        .map(Collection),
                )
            }
            "files" => {
                let version = read(cx, |db| versions::version(db, row.artifact_id))?;
                return file::of_version(
                    cx,
                    version.ok_or_else(|| StoreError::not_found("artifact"))?,
                    args,
                );
            }
            _ => {
                return Err(ServerError::unknown_field(
                    "ArtifactCollectionMembership",
                    name,
                ));
            }
        })
    }
}
