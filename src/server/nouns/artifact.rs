//! `Artifact`: a version.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, artifact_alias,
    artifact_type::ArtifactType,
    collection::{Collection, algorithm},
    connection, file,
    manifest::Manifest,
    membership::Membership,
    page_request, read,
    run::{self, Run},
    tag::Tag,
    user::User,
    viewer, whole,
};
use crate::server::store::{
    Kind, StoreError, accounts,
    collections::{self, CollectionRow},
    manifests, projects, runs,
    tags::{self, Owner},
    versions::{self, VersionRow},
};

/// Seconds to live of a version for which nobody chose: none.
const NO_TTL: i64 = -1;

/// An artifact version.
pub(super) struct Artifact(pub(super) VersionRow);

#[async_trait]
impl Noun for Artifact {
    fn type_name(&self) -> &'static str {
        "Artifact"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let row = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Artifact.id(row.id)),
            "digest" => Out::value(row.digest.as_str()),
            "digestAlgorithm" => Out::value(algorithm(row.xxh128)),
            "state" => Out::value(row.state.as_str()),
            "description" => Out::value(row.description.clone()),
            "metadata" => Out::value(row.metadata.clone()),
            "labels" => Out::value(row.labels.clone()),
            "size" | "storageBytes" => Out::value(row.size),
            "fileCount" => Out::value(row.file_count),
            "historyStep" => Out::value(row.history_step),
            "ttlDurationSeconds" => Out::value(row.ttl.unwrap_or(NO_TTL)),
            "ttlIsInherited" => Out::value(row.ttl.is_none()),
            "createdAt" => Out::value(row.created_at.as_str()),
            "updatedAt" => Out::value(row.updated_at.as_str()),
            "currentManifest" => match row.manifest_id {
                Some(id) => Out::maybe(
                    read(cx, |db| manifests::manifest(db, id))?
                        .map(|found| Manifest::of(found, row.id)),
                ),
                None => Out::Null,
            },
            "createdBy" => return self.created_by(cx),
            _ => return self.relations(cx, name, args),
        })
    }
}

impl Artifact {
    /// The fields that lead to other nouns.
    fn relations(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let row = &self.0;
        Ok(match name {
            "artifactSequence" => Out::node(Collection(self.sequence(cx)?)),
            "artifactType" => {
                let kind = self.sequence(cx)?.type_id;
                Out::node(ArtifactType(read(cx, |db| {
                    collections::artifact_type(db, kind)
                })?))
            }
            "versionIndex" => Out::value(
                self.member(cx, args)?
                    .and_then(|member| member.version_index()),
            ),
            "commitHash" => Out::value(self.member(cx, args)?.map(|member| member.commit_hash)),
            "aliases" => {
                let collection = match args.str("artifactCollectionName") {
                    // No collection has row 0: an unknown name selects nothing.
                    Some(_) => Some(
                        self.member(cx, args)?
                            .map_or(0, |member| member.collection_id),
                    ),
                    None => None,
                };
                return artifact_alias::of_version(cx, row.id, collection);
            }
            "tags" => Out::nodes(
                read(cx, |db| tags::of(db, Owner::Artifact(row.id)))?
                    .into_iter()
                    .map(Tag),
            ),
            "files" => return file::of_version(cx, row.clone(), args),
            "filesByManifestEntries" => return file::by_entries(cx, row, args),
            "usedBy" => return run::using(cx, row.id, args),
            "usedCount" => {
                let listing = runs::using(row.id, viewer(cx), None)?;
                Out::value(read(cx, |db| listing.count(db))?)
            }
            "artifactCollections" => return self.collections(cx),
            "artifactMemberships" => {
                let page = read(cx, |db| {
                    versions::membership_page(db, row.id, viewer(cx), &page_request(args))
                })?;
                Out::node(connection(
                    "ArtifactCollectionMembershipConnection",
                    page,
                    Membership,
                ))
            }
            _ => return Err(ServerError::unknown_field("Artifact", name)),
        })
    }

    /// The collections it is in that the caller sees.
    fn collections(&self, cx: &Cx) -> Answer {
        let members = read(cx, |db| versions::memberships_of(db, self.0.id))?;
        let found = members
            .into_iter()
            .filter_map(|member| {
                read(cx, |db| {
                    collections::visible_collection(db, viewer(cx), member.collection_id)
                })
                .transpose()
            })
            .map(|found| found.map(Collection))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Out::node(whole("ArtifactCollectionConnection", found)))
    }

    fn sequence(&self, cx: &Cx) -> Result<CollectionRow, ServerError> {
        let found = read(cx, |db| collections::collection(db, self.0.sequence_id))?;
        Ok(found.ok_or_else(|| StoreError::not_found("collection"))?)
    }

    /// The place the argument `artifactCollectionName` means; without it, the one in the version's sequence.
    fn member(&self, cx: &Cx, args: &Args) -> Result<Option<versions::MembershipRow>, ServerError> {
        let row = &self.0;
        read(cx, |db| match args.str("artifactCollectionName") {
            None => versions::membership(db, row.sequence_id, row.id),
            Some(name) => {
                for member in versions::memberships_of(db, row.id)? {
                    let found =
                        collections::visible_collection(db, viewer(cx), member.collection_id)?;
                    if found.is_some_and(|found| found.name == name) {
                        return Ok(Some(member));
                    }
                }
                Ok(None)
            }
        })
    }

    fn created_by(&self, cx: &Cx) -> Answer {
        if let Some(id) = self.0.run_id {
            let run = read(cx, |db| {
                let run = runs::run(db, id)?;
                run.map_or(Ok(None), |run| {
                    Ok(projects::project(db, viewer(cx), run.project_id)?.map(|_| run))
                })
            })?;
            return Ok(Out::maybe(run.map(Run)));
        }
        Ok(match self.0.user_id {
            Some(id) => Out::maybe(read(cx, |db| accounts::user(db, id))?.map(User)),
            None => Out::Null,
        })
    }
}
