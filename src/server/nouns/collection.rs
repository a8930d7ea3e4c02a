//! `ArtifactSequence` and `ArtifactPortfolio`.

use async_trait::async_trait;

use super::{
    Answer, Args, Connection, Cx, Edge, Noun, Out, ServerError, artifact::Artifact,
    artifact_alias::Alias, artifact_type::ArtifactType, connection, membership::Membership,
    nothing, page_request, project::Project, read, tag::Tag, total, viewer, whole,
};
use crate::server::store::{
    Kind, aliases,
    collections::{self, CollectionRow, Scope},
    projects,
    tags::{self, Owner},
    versions,
};

/// A collection of either kind.
pub(super) struct Collection(pub(super) CollectionRow);

#[async_trait]
impl Noun for Collection {
    fn type_name(&self) -> &'static str {
        if self.0.portfolio {
            "ArtifactPortfolio"
        } else {
            "ArtifactSequence"
        }
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let row = &self.0;
        if let Some(hidden) = self.hidden(cx, name)? {
            return Ok(hidden);
        }
        Ok(match name {
            "id" => Out::value(Kind::Collection.id(row.id)),
            "name" => Out::value(row.name.as_str()),
            "description" => Out::value(row.description.clone()),
            "state" => Out::value(row.state.as_str()),
            "createdAt" => Out::value(row.created_at.as_str()),
            "updatedAt" => Out::value(row.updated_at.as_str()),
            "project" => Out::maybe(
                read(cx, |db| projects::project(db, viewer(cx), row.project_id))?.map(Project::new),
            ),
            "defaultArtifactType" => Out::node(ArtifactType(read(cx, |db| {
                collections::artifact_type(db, row.type_id)
            })?)),
            "tags" => {
                let tags = read(cx, |db| tags::of(db, Owner::Collection(row.id)))?;
                Out::node(whole("TagConnection", tags.into_iter().map(Tag).collect()))
            }
            "aliases" => {
                let page = read(cx, |db| {
                    aliases::of_collection(db, row.id, &page_request(args))
                })?;
                Out::node(connection("ArtifactAliasConnection", page, Alias::Named))
            }
            "artifacts" => return self.artifacts(cx, args),
            "artifactMembership" => {
                let alias = args.required("aliasName")?;
                Out::maybe(read(cx, |db| versions::resolve(db, row.id, alias))?.map(Membership))
            }
            "artifactMemberships" => {
                let listing = versions::listing(row.id, row.portfolio, None, None)?;
                let page = read(cx, |db| versions::page(db, &listing, &page_request(args)))?;
                Out::node(connection(
                    "ArtifactCollectionMembershipConnection",
                    page,
                    |(row, _)| Membership(row),
                ))
            }
            "latestArtifact" if !row.portfolio => {
                Out::maybe(read(cx, |db| versions::newest(db, row.id))?.map(Artifact))
            }
            "digestAlgorithm" if !row.portfolio => Out::value(row.xxh128.map(algorithm)),
            _ => return Err(ServerError::unknown_field(self.type_name(), name)),
        })
    }
}

impl Collection {
    /// What the fields that show more than the collection itself answer to a caller who only came here
    /// through a version that is linked from a project they do not see; none: the caller sees it.
    fn hidden(&self, cx: &Cx, name: &str) -> Result<Option<Out>, ServerError> {
        let answer = match name {
            "tags" => Out::node(nothing("TagConnection")),
            "aliases" => Out::node(nothing("ArtifactAliasConnection")),
            "artifacts" => Out::node(nothing("VersionedArtifactConnection")),
            "artifactMemberships" => Out::node(nothing("ArtifactCollectionMembershipConnection")),
            "description" | "artifactMembership" | "latestArtifact" => Out::Null,
            _ => return Ok(None),
        };
        let project = self.0.project_id;
        let seen = read(cx, |db| projects::project(db, viewer(cx), project))?.is_some();
        Ok((!seen).then_some(answer))
    }

    /// The versions, each edge with its number in *this* collection.
    fn artifacts(&self, cx: &Cx, args: &Args) -> Answer {
        let listing = versions::listing(
            self.0.id,
            self.0.portfolio,
            args.str("filters"),
            args.str("order"),
        )?;
        let page = read(cx, |db| versions::page(db, &listing, &page_request(args)))?;
        let edges = page
            .items
            .into_iter()
            .map(|(cursor, (member, version))| {
                let number = member
                    .version_index()
                    .map(|index| format!("v{index}"))
                    .unwrap_or_default();
                Edge::new(cursor, Artifact(version)).with("version", number)
            })
            .collect();
        let made = Connection::new("VersionedArtifactConnection", edges, page.has_next)
            .after_others(page.has_previous);
        Ok(Out::node(made.total(total(listing))))
    }
}

/// The SDL's name of a digest algorithm.
pub(super) fn algorithm(xxh128: bool) -> &'static str {
    if xxh128 {
        "MANIFEST_XXH128"
    } else {
        "MANIFEST_MD5"
    }
}

/// The collections of a type, project or entity.
pub(super) fn listing(cx: &Cx, scope: Scope, args: &Args) -> Answer {
    let kinds = args.strings("collectionTypes");
    let listing = collections::listing(
        scope,
        viewer(cx),
        kinds.as_deref(),
        args.str("projectFilters"),
        args.str("filters"),
        args.str("order"),
    )?;
    let page = read(cx, |db| {
        collections::page(db, &listing, &page_request(args))
    })?;
    Ok(Out::node(
        connection("ArtifactCollectionConnection", page, Collection).total(total(listing)),
    ))
}
