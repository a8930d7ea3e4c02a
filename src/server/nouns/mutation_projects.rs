//! Mutations of projects and registries, and of who belongs to them.

use serde::Deserialize;

use super::{
    Answer, Args, Cx, Out, ServerError, payload::Payload, project::Project, read, viewer, write,
};
use crate::server::store::{
    Kind, StoreError,
    accounts::Role,
    collections,
    projects::{self, ProjectChange, ProjectRow, Viewer},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upsert {
    id: Option<String>,
    name: Option<String>,
    entity_name: Option<String>,
    description: Option<String>,
    access: Option<String>,
    allow_all_artifact_types_in_registry: Option<bool>,
    #[serde(default)]
    artifact_types: Vec<TypeInput>,
}

#[derive(Deserialize)]
struct TypeInput {
    name: String,
    description: Option<String>,
}

/// The payload that shows a project.
fn shown(cx: &Cx, id: i64, inserted: bool) -> Answer {
    let project = read(cx, |db| {
        projects::project_unchecked(db, id)?.ok_or_else(|| StoreError::not_found("project"))
    })?;
    let entity = project.entity.name.clone();
    let project = std::sync::Arc::new(project);
    let made = Payload::new("UpsertModelPayload")
        .value("inserted", inserted)
        .value("entityName", entity);
    Ok(Out::node(
        made.node("project", Project(project.clone()))
            .node("model", Project(project)),
    ))
}

/// `upsertModel`.
pub(super) async fn upsert(cx: &Cx, args: &Args) -> Answer {
    let input: Upsert = args.deserialize("input")?;
    let me = viewer(cx);
    let default_entity = cx.caller.entity.clone();
    let (id, inserted) = write(cx, move |store| {
        store.write(|tx| {
            let (project, inserted) = if let Some(id) = &input.id {
                (owned(tx, me, id)?, false)
            } else {
                let name = input
                    .name
                    .as_deref()
                    .ok_or_else(|| StoreError::invalid("the project's name is missing"))?;
                projects::ensure(
                    tx,
                    me,
                    input.entity_name.as_deref().unwrap_or(&default_entity),
                    name,
                )?
            };
            let change = ProjectChange {
                description: input.description.as_deref(),
                access: input.access.as_deref(),
                all_types: input.allow_all_artifact_types_in_registry,
            };
            projects::change(tx, project.id, &change)?;
            for kind in &input.artifact_types {
                collections::ensure_type(tx, project.id, &kind.name, kind.description.as_deref())?;
            }
            if inserted {
                projects::set_member(tx, project.id, Some(me.user_id), None, Some(Role::Admin))?;
            }
            Ok((project.id, inserted))
        })
    })
    .await?;
    shown(cx, id, inserted)
}

/// `renameProject`.
pub(super) async fn rename(cx: &Cx, args: &Args) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rename {
        entity_name: String,
        old_project_name: String,
        new_project_name: String,
    }
    let input: Rename = args.deserialize("input")?;
    let me = viewer(cx);
    let id = write(cx, move |store| {
        store.write(|tx| {
            let project = projects::writable(tx, me, &input.entity_name, &input.old_project_name)?;
            projects::rename(tx, &project, &input.new_project_name)?;
            Ok(project.id)
        })
    })
    .await?;
    shown(cx, id, false)
}

/// `deleteModel`.
pub(super) async fn delete(cx: &Cx, args: &Args) -> Answer {
    #[derive(Deserialize)]
    struct Delete {
        id: String,
    }
    let input: Delete = args.deserialize("input")?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let project = owned(tx, me, &input.id)?;
            projects::delete(tx, project.id)
        })
    })
    .await?;
    Ok(Out::node(Payload::success("DeleteModelPayload")))
}

/// A project by id that the viewer may change.
fn owned(
    tx: &rusqlite::Transaction<'_>,
    viewer: Viewer,
    id: &str,
) -> Result<ProjectRow, StoreError> {
    let row = Kind::Project
        .parse(id)
        .or_else(|| Kind::ProjectInternal.parse(id));
    let row = row.ok_or_else(|| StoreError::not_found("project"))?;
    let project =
        projects::project(tx, viewer, row)?.ok_or_else(|| StoreError::not_found("project"))?;
    projects::check_writable(tx, viewer, &project)?;
    Ok(project)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    project_id: String,
    #[serde(default)]
    user_ids: Vec<String>,
    #[serde(default)]
    team_ids: Vec<String>,
}

async fn set_members(cx: &Cx, members: Members, role: Option<Role>) -> Result<(), ServerError> {
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let project = owned(tx, me, &members.project_id)?;
            for id in &members.user_ids {
                let user = Kind::User
                    .parse(id)
                    .ok_or_else(|| StoreError::not_found("user"))?;
                projects::set_member(tx, project.id, Some(user), None, role)?;
            }
            for id in &members.team_ids {
                let team = Kind::Entity
                    .parse(id)
                    .ok_or_else(|| StoreError::not_found("team"))?;
                projects::set_member(tx, project.id, None, Some(team), role)?;
            }
            Ok(())
        })
    })
    .await
}

/// `createProjectMembers`.
pub(super) async fn add_members(cx: &Cx, args: &Args) -> Answer {
    set_members(cx, args.deserialize("input")?, Some(Role::Member)).await?;
    Ok(Out::node(Payload::success("CreateProjectMembersPayload")))
}

/// `deleteProjectMembers`.
pub(super) async fn remove_members(cx: &Cx, args: &Args) -> Answer {
    set_members(cx, args.deserialize("input")?, None).await?;
    Ok(Out::node(Payload::success("DeleteProjectMembersPayload")))
}

fn role(name: &str) -> Result<Role, ServerError> {
    Role::parse(name).ok_or_else(|| ServerError::Invalid(format!("unknown role {name:?}")))
}

/// `updateProjectMember`.
pub(super) async fn update_member(cx: &Cx, args: &Args) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Update {
        project_id: String,
        user_id: String,
        user_project_role: String,
    }
    let input: Update = args.deserialize("input")?;
    let role = role(&input.user_project_role)?;
    let members = Members {
        project_id: input.project_id,
        user_ids: vec![input.user_id],
        team_ids: Vec::new(),
    };
    set_members(cx, members, Some(role)).await?;
    Ok(Out::node(Payload::success("UpdateProjectMemberPayload")))
}

/// `updateProjectTeamMember`.
pub(super) async fn update_team_member(cx: &Cx, args: &Args) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Update {
        project_id: String,
        team_id: String,
        team_project_role: String,
    }
    let input: Update = args.deserialize("input")?;
    let role = role(&input.team_project_role)?;
    let members = Members {
        project_id: input.project_id,
        user_ids: Vec::new(),
        team_ids: vec![input.team_id],
    };
    set_members(cx, members, Some(role)).await?;
    Ok(Out::node(Payload::success(
        "UpdateProjectTeamMemberPayload",
    )))
}
