//! `ArtifactAlias`: a stored alias, or the `vN` computed from a membership.

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, artifact::Artifact, collection::Collection, read,
    viewer,
};
use crate::server::store::{
    Kind, StoreError,
    aliases::{self, AliasRow},
    collections,
    versions::{self, MembershipRow},
};

/// A name of a version in a collection.
pub(super) enum Alias {
    /// A stored one.
    Named(AliasRow),
    /// `vN`.
    Version(MembershipRow, i64),
}

#[async_trait]
impl Noun for Alias {
    fn type_name(&self) -> &'static str {
        "ArtifactAlias"
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Answer {
        let (collection, artifact) = match self {
            Self::Named(row) => (row.collection_id, row.artifact_id),
            Self::Version(row, _) => (row.collection_id, row.artifact_id),
        };
        Ok(match (name, self) {
            ("id", Self::Named(row)) => Out::value(Kind::Alias.id(row.id)),
            ("id", Self::Version(row, _)) => Out::value(Kind::VersionAlias.id(row.id)),
            ("alias", Self::Named(row)) => Out::value(row.alias.as_str()),
            ("alias", Self::Version(_, index)) => Out::value(format!("v{index}")),
            ("artifact", _) => {
                Out::maybe(read(cx, |db| versions::version(db, artifact))?.map(Artifact))
            }
            ("artifactCollection", _) => Out::maybe(
                read(cx, |db| {
                    collections::visible_collection(db, viewer(cx), collection)
                })?
                .map(Collection),
            ),
            ("artifactCollectionName", _) => {
                let found = read(cx, |db| collections::collection(db, collection))?;
                Out::value(
                    found
                        .ok_or_else(|| StoreError::not_found("collection"))?
                        .name,
                )
            }
            _ => return Err(ServerError::unknown_field("ArtifactAlias", name)),
        })
    }
}

/// The aliases of a version in one collection or in all, `vN` of each included, first.
pub(super) fn of_version(
    cx: &Cx,
    artifact: i64,
    collection: Option<i64>,
) -> Result<Out, ServerError> {
    let me = viewer(cx);
    let (members, named) = read(cx, |db| {
        let mut members = Vec::new();
        for member in versions::memberships_of(db, artifact)? {
            let wanted = collection.is_none_or(|id| id == member.collection_id);
            if wanted && collections::visible_collection(db, me, member.collection_id)?.is_some() {
                members.push(member);
            }
        }
        Ok((members, aliases::of_version(db, artifact, collection)?))
    })?;
    let seen: Vec<i64> = members.iter().map(|member| member.collection_id).collect();
    let numbers = members.into_iter().filter_map(|member| {
        let index = member.version_index()?;
        Some(Alias::Version(member, index))
    });
    let names = named
        .into_iter()
        .filter(|row| seen.contains(&row.collection_id))
        .map(Alias::Named);
    Ok(Out::nodes(numbers.chain(names)))
}
