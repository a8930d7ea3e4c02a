//! `Entity` and `Member`: who owns projects.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError, collection, connection,
    membership::Membership,
    organization, page_request,
    payload::Payload,
    project::{self, Project},
    read, total,
    user::User,
    viewer,
};
use crate::server::store::{
    Kind,
    accounts::{self, EntityRow, MemberRow, Role},
    collections::Scope,
    projects, versions,
};

/// A user's entity, a team or an organization's entity.
pub(super) struct Entity(pub(super) Arc<EntityRow>);

impl Entity {
    /// From its row.
    pub(super) fn new(row: EntityRow) -> Self {
        Self(Arc::new(row))
    }
}

#[async_trait]
impl Noun for Entity {
    fn type_name(&self) -> &'static str {
        "Entity"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let entity = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Entity.id(entity.id)),
            "name" => Out::value(entity.name.as_str()),
            "available" => Out::value(false),
            "isTeam" => Out::value(entity.kind != "user"),
            "entityType" => Out::value(entity_type(&entity.kind)),
            "isPaid" | "codeSavingEnabled" => Out::value(true),
            "xxhashDigestsEnabled" => Out::value(entity.xxh128),
            "photoUrl" => Out::Null,
            "readOnly" => Out::value(
                cx.caller.read_only
                    || (!cx.caller.admin && !role(cx, entity.id)?.is_some_and(Role::writes)),
            ),
            "readOnlyAdmin" | "privateOnly" => Out::value(false),
            "defaultAccess" => Out::value("PRIVATE"),
            "storageBytes" => Out::value(0),
            "createdAt" => Out::value(entity.created_at.as_str()),
            "updatedAt" => Out::Null,
            "members" if !cx.caller.admin && role(cx, entity.id)?.is_none() => {
                Out::Nodes(Vec::new())
            }
            "members" => Out::nodes(
                read(cx, |db| accounts::members_of(db, entity.id))?
                    .into_iter()
                    .map(member),
            ),
            "user" => match entity.user_id {
                Some(id) => Out::maybe(read(cx, |db| accounts::user(db, id))?.map(User)),
                None => Out::Null,
            },
            "organization" => match entity.organization_id {
                Some(id) => Out::maybe(organization::visible(cx, |db| {
                    accounts::organization(db, id)
                })?),
                None => Out::Null,
            },
            "protectedAliases" => Out::value(protected(entity)?),
            "project" => match args.str("name") {
                Some(name) => Out::maybe(
                    read(cx, |db| projects::find_in(db, viewer(cx), entity, name))?
                        .map(Project::new),
                ),
                None => Out::Null,
            },
            "projects" => return project::of_entity(cx, entity, args),
            "artifactCollections" => {
                return collection::listing(cx, Scope::Entity(entity.id), args);
            }
            "artifactMemberships" => return memberships(cx, entity.id, args),
            _ => return Err(ServerError::unknown_field("Entity", name)),
        })
    }
}

fn entity_type(kind: &str) -> &'static str {
    match kind {
        "org" => "organization",
        "team" => "team",
        _ => "user",
    }
}

/// The caller's role in an entity.
fn role(cx: &Cx, entity: i64) -> Result<Option<Role>, ServerError> {
    read(cx, |db| accounts::role_in(db, entity, cx.caller.user_id))
}

fn protected(entity: &EntityRow) -> Result<serde_json::Value, ServerError> {
    serde_json::from_str(&entity.protected_aliases)
        .map_err(|error| ServerError::internal("reading protected aliases", error))
}

fn member(row: MemberRow) -> Payload {
    let MemberRow { user, role } = row;
    Payload::new("Member")
        .value("id", Kind::User.id(user.id))
        .value("name", user.name)
        .value("username", user.username)
        .value("email", user.email)
        .value("admin", role == "admin")
        .value("role", role)
        .value("pending", false)
        .value("accountType", "USER")
        .value("photoUrl", serde_json::Value::Null)
        .value("apiKey", serde_json::Value::Null)
}

/// All versions of an entity's collections, the way registries are searched.
fn memberships(cx: &Cx, entity: i64, args: &Args) -> Answer {
    let listing = versions::entity_listing(
        entity,
        viewer(cx),
        args.str("projectFilters"),
        args.str("collectionFilters"),
        args.str("filters"),
        args.str("order"),
    )?;
    let page = read(cx, |db| versions::page(db, &listing, &page_request(args)))?;
    let type_name = "ArtifactCollectionMembershipConnection";
    Ok(Out::node(
        connection(type_name, page, |(row, _)| Membership(row)).total(total(listing)),
    ))
}
