//! `ArtifactType`.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError,
    artifact::Artifact,
    collection::{self, Collection},
    nothing,
    project::Project,
    read, viewer,
};
use crate::server::store::{
    Kind, StoreError,
    collections::{self, CollectionRow, Scope, TypeRow},
    projects, versions,
};

/// A type of artifacts in a project.
pub(super) struct ArtifactType(pub(super) TypeRow);

#[async_trait]
impl Noun for ArtifactType {
    fn type_name(&self) -> &'static str {
        "ArtifactType"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let row = &self.0;
        if matches!(
            name,
            "project"
                | "artifact"
                | "artifactCollection"
                | "artifactSequence"
                | "artifactCollections"
        ) && read(cx, |db| projects::project(db, viewer(cx), row.project_id))?.is_none()
        {
            // Reached through a version that is linked from a project the caller does not see.
            return match name {
                "project" => Err(StoreError::not_found("project").into()),
                "artifactCollections" => Ok(Out::node(nothing("ArtifactCollectionConnection"))),
                _ => Ok(Out::Null),
            };
        }
        Ok(match name {
            "id" => Out::value(Kind::Type.id(row.id)),
            "name" => Out::value(row.name.as_str()),
            "description" => Out::value(row.description.clone()),
            "createdAt" => Out::value(row.created_at.as_str()),
            "project" => Out::node(Project::new(read(cx, |db| {
                projects::project_unchecked(db, row.project_id)?
                    .ok_or_else(|| StoreError::not_found("project"))
            })?)),
            "artifact" => {
                let full = args.required("name")?;
                let (name, alias) = full.split_once(':').unwrap_or((full, ""));
                let Some(found) = self.named(cx, name)? else {
                    return Ok(Out::Null);
                };
                let member = read(cx, |db| versions::resolve(db, found.id, alias))?;
                match member {
                    Some(member) => Out::maybe(
                        read(cx, |db| versions::version(db, member.artifact_id))?.map(Artifact),
                    ),
                    None => Out::Null,
                }
            }
            "artifactCollection" => {
                Out::maybe(self.named(cx, args.required("name")?)?.map(Collection))
            }
            "artifactSequence" => {
                let found = self
                    .named(cx, args.required("name")?)?
                    .filter(|found| !found.portfolio);
                Out::maybe(found.map(Collection))
            }
            "artifactCollections" => return collection::listing(cx, Scope::Type(row.id), args),
            _ => return Err(ServerError::unknown_field("ArtifactType", name)),
        })
    }
}

impl ArtifactType {
    /// The collection of that name, if it is of this type.
    fn named(&self, cx: &Cx, name: &str) -> Result<Option<CollectionRow>, ServerError> {
        let found = read(cx, |db| collections::named(db, self.0.project_id, name))?;
        Ok(found.filter(|found| found.type_id == self.0.id))
    }
}
