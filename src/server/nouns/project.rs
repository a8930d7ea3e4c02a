//! `Project`, its members and roles.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Answer, Args, Cx, Noun, Out, ServerError,
    artifact::Artifact,
    artifact_type::ArtifactType,
    collection::{self, Collection},
    connection,
    entity::Entity,
    membership::Membership,
    page_request,
    payload::Payload,
    read,
    run::{self, Run},
    total,
    user::User,
    viewer,
};
use crate::server::store::{
    Kind,
    accounts::{self, EntityRow, MemberRow, Role},
    collections::{self, Scope},
    projects::{self, ProjectRow},
    runs,
    versions::{self, MembershipRow},
};

/// A project, or a registry.
pub(super) struct Project(pub(super) Arc<ProjectRow>);

impl Project {
    /// From its row.
    pub(super) fn new(row: ProjectRow) -> Self {
        Self(Arc::new(row))
    }
}

#[async_trait]
impl Noun for Project {
    fn type_name(&self) -> &'static str {
        "Project"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let project = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Project.id(project.id)),
            "internalId" => Out::value(Kind::ProjectInternal.id(project.id)),
            "name" => Out::value(project.name.as_str()),
            "entity" => Out::node(Entity(project.entity.clone())),
            "entityName" => Out::value(project.entity.name.as_str()),
            "description" => Out::value(project.description.clone()),
            "access" => Out::value(project.access.as_str()),
            "views" => Out::value("{}"),
            "readOnly" => {
                let role = read(cx, |db| projects::role(db, viewer(cx), project))?;
                Out::value(cx.caller.read_only || !role.is_some_and(Role::writes))
            }
            "isBenchmark" => Out::value(false),
            "createdAt" => Out::value(project.created_at.as_str()),
            "updatedAt" => Out::value(project.updated_at.as_str()),
            "allowAllArtifactTypesInRegistry" => Out::value(project.all_types),
            "user" => match project.user_id {
                Some(id) => Out::maybe(read(cx, |db| accounts::user(db, id))?.map(User)),
                None => Out::Null,
            },
            "members" => Out::nodes(
                read(cx, |db| projects::members(db, project.id))?
                    .into_iter()
                    .map(member),
            ),
            "teamMembers" => Out::nodes(
                read(cx, |db| projects::team_members(db, project.id))?
                    .into_iter()
                    .map(team),
            ),
            "run" | "bucket" => {
                let found = read(cx, |db| {
                    runs::named(db, project.id, args.required("name").unwrap_or_default())
                })?;
                Out::maybe(found.map(Run))
            }
            "runs" | "runCount" => {
                return run::of_project(cx, project.id, name == "runCount", args);
            }
            _ => return self.artifacts(cx, name, args),
        })
    }
}

impl Project {
    /// The fields about artifacts.
    fn artifacts(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let id = self.0.id;
        Ok(match name {
            "artifact" => match self.member(cx, args.required("name")?)? {
                Some(row) => {
                    Out::maybe(read(cx, |db| versions::version(db, row.artifact_id))?.map(Artifact))
                }
                None => Out::Null,
            },
            "artifactType" => {
                let name = args.required("name")?;
                Out::maybe(read(cx, |db| collections::type_named(db, id, name))?.map(ArtifactType))
            }
            "artifactTypes" => {
                let page = read(cx, |db| collections::types(db, id, &page_request(args)))?;
                Out::node(connection("ArtifactTypeConnection", page, ArtifactType))
            }
            "artifactCollection" => {
                let name = args.required("name")?;
                Out::maybe(read(cx, |db| collections::named(db, id, name))?.map(Collection))
            }
            "artifactCollections" => return collection::listing(cx, Scope::Project(id), args),
            "artifactCollectionMembership" => {
                Out::maybe(self.member(cx, args.required("name")?)?.map(Membership))
            }
            _ => return Err(ServerError::unknown_field("Project", name)),
        })
    }

    /// The version that `collection[:alias]` means.
    fn member(&self, cx: &Cx, name: &str) -> Result<Option<MembershipRow>, ServerError> {
        let (collection, alias) = name.split_once(':').unwrap_or((name, ""));
        read(cx, |db| {
            match collections::named(db, self.0.id, collection)? {
                Some(found) => versions::resolve(db, found.id, alias),
                None => Ok(None),
            }
        })
    }
}

/// The projects of an entity.
pub(super) fn of_entity(cx: &Cx, entity: &Arc<EntityRow>, args: &Args) -> Answer {
    let listing = projects::listing(
        viewer(cx),
        entity.id,
        args.str("filters"),
        args.str("order"),
    )?;
    let page = read(cx, |db| {
        projects::page(db, entity, &listing, &page_request(args))
    })?;
    Ok(Out::node(
        connection("ProjectConnection", page, Project::new).total(total(listing)),
    ))
}

fn role(name: &str) -> Payload {
    Payload::new("Role").value("name", name)
}

fn member(row: MemberRow) -> Payload {
    Payload::new("ProjectMember")
        .value("id", Kind::User.id(row.user.id))
        .value("name", row.user.name)
        .value("username", row.user.username)
        .value("email", row.user.email)
        .node("role", role(&row.role))
}

fn team((entity, name): (EntityRow, String)) -> Payload {
    Payload::new("ProjectTeamMember")
        .node("team", Entity::new(entity))
        .node("role", role(&name))
}
