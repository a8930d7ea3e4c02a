//! Projects, which includes registries, and who may see and change them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, types::Value};

use super::{
    Result, StoreError,
    accounts::{self, EntityRow, MemberRow, Role},
    filter::{self, Condition, Key},
    page::{Listing, Order, Page, PageRequest},
    time,
};

/// Prefix of a project that is a registry.
pub(crate) const REGISTRY_PREFIX: &str = "wandb-registry-";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Viewer {
    /// Row of the user.
    pub(crate) user_id: i64,
    /// Sees and changes everything.
    pub(crate) admin: bool,
}

/// A project with its entity.
#[derive(Debug, Clone)]
pub(crate) struct ProjectRow {
    /// Row id.
    pub(crate) id: i64,
    /// Its owner.
    pub(crate) entity: Arc<EntityRow>,
    /// Name.
    pub(crate) name: String,
    /// Description.
    pub(crate) description: Option<String>,
    /// `PRIVATE`, `RESTRICTED`, `USER_READ` or `USER_WRITE`.
    pub(crate) access: String,
    /// A registry takes artifacts of any type.
    pub(crate) all_types: bool,
    /// Who made it.
    pub(crate) user_id: Option<i64>,
    /// When it was made.
    pub(crate) created_at: String,
    /// When it was changed.
    pub(crate) updated_at: String,
}

/// What [`change`] sets; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProjectChange<'a> {
    /// Description.
    pub(crate) description: Option<&'a str>,
    /// Access.
    pub(crate) access: Option<&'a str>,
    /// A registry takes artifacts of any type.
    pub(crate) all_types: Option<bool>,
}

const COLUMNS: &str = "p.id, p.entity_id, p.name, p.description, p.access, p.all_types, p.user_id, p.created_at, p.updated_at";

/// Condition on `p` and `?1 = user`: what that user sees. A registry (its entity is an organization's) is
/// seen by the organization unless RESTRICTED; RESTRICTED projects by their own members only.
const VISIBLE: &str = "(p.access IN ('USER_READ', 'USER_WRITE')
  OR EXISTS (SELECT 1 FROM project_members pm LEFT JOIN members tm ON tm.entity_id = pm.team_id
             WHERE pm.project_id = p.id AND (pm.user_id = ? OR tm.user_id = ?))
  OR EXISTS (SELECT 1 FROM members m WHERE m.entity_id = p.entity_id AND m.user_id = ? AND (p.access <> 'RESTRICTED' OR m.role = 'admin')))";

/// The condition on `p` that keeps what `viewer` sees.
pub(crate) fn visible(viewer: Viewer) -> Condition {
    if viewer.admin {
        return Condition::default();
    }
    let user = Value::Integer(viewer.user_id);
    Condition::new(VISIBLE, [user.clone(), user.clone(), user])
}

fn project_row(row: &Row<'_>, entity: &Arc<EntityRow>) -> rusqlite::Result<ProjectRow> {
    Ok(ProjectRow {
        id: row.get(0)?,
        entity: entity.clone(),
        name: row.get(2)?,
        description: row.get(3)?,
        access: row.get(4)?,
        all_types: row.get(5)?,
        user_id: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// A project by row, if `viewer` sees it.
pub(crate) fn project(db: &Connection, viewer: Viewer, id: i64) -> Result<Option<ProjectRow>> {
    Ok(project_unchecked(db, id)?
        .filter(|project| matches!(role(db, viewer, project), Ok(Some(_)))))
}

/// A project by row, whoever asks.
pub(crate) fn project_unchecked(db: &Connection, id: i64) -> Result<Option<ProjectRow>> {
    let sql = format!("SELECT {COLUMNS} FROM projects p WHERE p.id = ?");
    let entity: Option<i64> = db
        .prepare_cached("SELECT entity_id FROM projects WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(entity) = entity else {
        return Ok(None);
    };
    let entity = Arc::new(accounts::entity(db, entity)?);
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], |row| project_row(row, &entity))
        .optional()?)
}

/// The project of that name, if `viewer` sees it.
pub(crate) fn find(
    db: &Connection,
    viewer: Viewer,
    entity: &str,
    name: &str,
) -> Result<Option<ProjectRow>> {
    let Some(entity) = accounts::entity_named(db, entity)? else {
        return Ok(None);
    };
    find_in(db, viewer, &Arc::new(entity), name)
}

/// The same for an entity at hand.
pub(crate) fn find_in(
    db: &Connection,
    viewer: Viewer,
    entity: &Arc<EntityRow>,
    name: &str,
) -> Result<Option<ProjectRow>> {
    Ok(find_unchecked(db, entity, name)?
        .filter(|project| matches!(role(db, viewer, project), Ok(Some(_)))))
}

fn find_unchecked(
    db: &Connection,
    entity: &Arc<EntityRow>,
    name: &str,
) -> Result<Option<ProjectRow>> {
    let sql = format!("SELECT {COLUMNS} FROM projects p WHERE p.entity_id = ? AND p.name = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![entity.id, name], |row| project_row(row, entity))
        .optional()?)
}

/// What `viewer` may do in a project; none: it does not exist for them.
pub(crate) fn role(db: &Connection, viewer: Viewer, project: &ProjectRow) -> Result<Option<Role>> {
    if viewer.admin {
        return Ok(Some(Role::Admin));
    }
    let mut best = match project.access.as_str() {
        "USER_WRITE" => Some(Role::Member),
        "USER_READ" => Some(Role::Viewer),
        _ => None,
    };
    let mut consider = |role: Option<Role>| {
        let rank = |role: Option<Role>| match role {
            Some(Role::Admin) => 3,
            Some(Role::Member) => 2,
            Some(Role::Viewer) => 1,
            None => 0,
        };
        if rank(role) > rank(best) {
            best = role;
        }
    };
    let in_entity = accounts::role_in(db, project.entity.id, viewer.user_id)?;
    consider(in_entity.filter(|role| project.access != "RESTRICTED" || *role == Role::Admin));
    let mut statement = db.prepare_cached(
        "SELECT pm.role FROM project_members pm LEFT JOIN members tm ON tm.entity_id = pm.team_id
         WHERE pm.project_id = ?1 AND (pm.user_id = ?2 OR tm.user_id = ?2)",
    )?;
    for name in statement.query_map([project.id, viewer.user_id], |row| row.get::<_, String>(0))? {
        consider(Role::parse(&name?));
    }
    Ok(best)
}

/// A project to be changed.
///
/// # Errors
/// [`StoreError::NotFound`] if the viewer does not see it, [`StoreError::Forbidden`] if they may only read.
pub(crate) fn writable(
    db: &Connection,
    viewer: Viewer,
    entity: &str,
    name: &str,
) -> Result<ProjectRow> {
    let project = find(db, viewer, entity, name)?
        .ok_or_else(|| StoreError::not_found(format!("project '{name}' in entity '{entity}'")))?;
    check_writable(db, viewer, &project)?;
    Ok(project)
}

/// Refuses unless `viewer` may change things in `project`.
pub(crate) fn check_writable(db: &Connection, viewer: Viewer, project: &ProjectRow) -> Result<()> {
    match role(db, viewer, project)? {
        Some(role) if role.writes() => Ok(()),
        Some(_) => Err(StoreError::Forbidden(format!(
            "project {}/{} is read-only for you",
            project.entity.name, project.name
        ))),
        None => Err(StoreError::not_found("project")),
    }
}

/// The project of that name, made if missing and the viewer may make it. True: it is new.
pub(crate) fn ensure(
    tx: &Transaction<'_>,
    viewer: Viewer,
    entity: &str,
    name: &str,
) -> Result<(ProjectRow, bool)> {
    let owner = accounts::entity_named(tx, entity)?
        .ok_or_else(|| StoreError::not_found(format!("entity '{entity}'")))?;
    let owner = Arc::new(owner);
    if let Some(project) = find_unchecked(tx, &owner, name)? {
        check_writable(tx, viewer, &project)?;
        return Ok((project, false));
    }
    let role = accounts::role_in(tx, owner.id, viewer.user_id)?;
    if !viewer.admin && !role.is_some_and(Role::writes) {
        return Err(StoreError::Forbidden(format!(
            "you cannot create projects in entity '{entity}'"
        )));
    }
    check_name(name)?;
    let now = time::now();
    tx.execute(
        "INSERT INTO projects (entity_id, name, user_id, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![owner.id, name, viewer.user_id, now],
    )?;
    let made = find_unchecked(tx, &owner, name)?.ok_or_else(|| StoreError::not_found("project"))?;
    Ok((made, true))
}

/// Refuses a name that cannot be a project's.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.len() > 128
        || name.contains(['/', '\\', '#', '?', '%', ':', '\r', '\n'])
    {
        return Err(StoreError::invalid(format!(
            "invalid project name {name:?}: cannot be empty, longer than 128 or contain / \\ # ? % :"
        )));
    }
    Ok(())
}

/// Changes a project's own fields.
pub(crate) fn change(tx: &Transaction<'_>, id: i64, change: &ProjectChange<'_>) -> Result<()> {
    tx.execute(
        "UPDATE projects SET description = COALESCE(?2, description), access = COALESCE(?3, access),
         all_types = COALESCE(?4, all_types), updated_at = ?5 WHERE id = ?1",
        params![id, change.description, change.access, change.all_types, time::now()],
    )?;
    Ok(())
}

/// Gives a project another name.
pub(crate) fn rename(tx: &Transaction<'_>, project: &ProjectRow, name: &str) -> Result<()> {
    check_name(name)?;
    if find_unchecked(tx, &project.entity, name)?.is_some() {
        return Err(StoreError::Conflict(format!("project '{name}' exists")));
    }
    tx.execute(
        "UPDATE projects SET name = ?2, updated_at = ?3 WHERE id = ?1",
        params![project.id, name, time::now()],
    )?;
    Ok(())
}

/// Keys of registry filters.
pub(crate) fn filter_key(name: &str) -> Option<Key> {
    Some(match name {
        "id" | "project_id" => Key::Id("p.id"),
        "name" => Key::Text("p.name"),
        "entity_id" => Key::Id("p.entity_id"),
        "description" => Key::Text("p.description"),
        "created_at" => Key::Time("p.created_at"),
        "updated_at" => Key::Time("p.updated_at"),
        _ => return None,
    })
}

/// The projects of an entity that `viewer` sees, newest first unless ordered otherwise.
pub(crate) fn listing(
    viewer: Viewer,
    entity: i64,
    filters: Option<&str>,
    order: Option<&str>,
) -> Result<Listing> {
    let mut condition = Condition::new("p.entity_id = ?", [Value::Integer(entity)]);
    condition.and_condition(filter::compile(filters, &filter_key)?);
    condition.and_condition(visible(viewer));
    let order = Order::parse(
        order,
        Order {
            key: "p.id",
            descending: true,
        },
        |field| {
            Some(match field {
                "id" => "p.id",
                "name" => "p.name",
                "created_at" => "p.created_at",
                "updated_at" => "p.updated_at",
                _ => return None,
            })
        },
    )?;
    Ok(Listing {
        columns: COLUMNS,
        from: "projects p",
        id: "p.id",
        condition,
        order,
    })
}

/// A page of a project listing.
pub(crate) fn page(
    db: &Connection,
    entity: &Arc<EntityRow>,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<ProjectRow>> {
    listing.page(db, request, |row| project_row(row, entity))
}

/// A project's own members.
pub(crate) fn members(db: &Connection, project: i64) -> Result<Vec<MemberRow>> {
    let mut statement = db.prepare_cached(
        "SELECT user_id, role FROM project_members WHERE project_id = ? AND user_id IS NOT NULL ORDER BY rowid",
    )?;
    let rows = statement.query_map([project], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut members = Vec::new();
    for row in rows {
        let (id, role) = row?;
        if let Some(user) = accounts::user(db, id)? {
            members.push(MemberRow { user, role });
        }
    }
    Ok(members)
}

/// The teams that are members of a project, with their role.
pub(crate) fn team_members(db: &Connection, project: i64) -> Result<Vec<(EntityRow, String)>> {
    let mut statement = db.prepare_cached(
        "SELECT team_id, role FROM project_members WHERE project_id = ? AND team_id IS NOT NULL ORDER BY rowid",
    )?;
    let rows = statement.query_map([project], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    rows.map(|row| {
        let (id, role) = row?;
        Ok((accounts::entity(db, id)?, role))
    })
    .collect()
}

/// Sets, or with `None` ends, the membership of a user or team in a project.
pub(crate) fn set_member(
    tx: &Transaction<'_>,
    project: i64,
    user: Option<i64>,
    team: Option<i64>,
    role: Option<Role>,
) -> Result<()> {
    tx.execute(
        "DELETE FROM project_members WHERE project_id = ? AND user_id IS ? AND team_id IS ?",
        params![project, user, team],
    )?;
    if let Some(role) = role {
        tx.execute(
            "INSERT INTO project_members (project_id, user_id, team_id, role) VALUES (?, ?, ?, ?)",
            params![project, user, team, role.name()],
        )?;
    }
    Ok(())
}

/// Ends a project with all that is in it. Its blobs stay until a sweep finds that no other has them.
pub(crate) fn delete(tx: &Transaction<'_>, project: i64) -> Result<()> {
    // Rows refer to each other both ways (runs and artifacts); checked at the end instead.
    tx.pragma_update(None, "defer_foreign_keys", true)?;
    let own = "SELECT id FROM collections WHERE project_id = ?1";
    let versions = format!("SELECT id FROM artifacts WHERE sequence_id IN ({own})");
    for sql in [
        format!("DELETE FROM aliases WHERE collection_id IN ({own}) OR artifact_id IN ({versions})"),
        format!("DELETE FROM memberships WHERE collection_id IN ({own}) OR artifact_id IN ({versions})"),
        format!("DELETE FROM collection_tags WHERE collection_id IN ({own})"),
        format!("DELETE FROM artifact_tags WHERE artifact_id IN ({versions})"),
        format!("DELETE FROM client_ids WHERE artifact_id IN ({versions})"),
        format!("DELETE FROM run_artifacts WHERE artifact_id IN ({versions}) OR run_id IN (SELECT id FROM runs WHERE project_id = ?1)"),
        "UPDATE artifacts SET run_id = NULL WHERE run_id IN (SELECT id FROM runs WHERE project_id = ?1)".to_owned(),
        format!("DELETE FROM artifacts WHERE sequence_id IN ({own})"),
        "DELETE FROM collections WHERE project_id = ?1".to_owned(),
        "DELETE FROM artifact_types WHERE project_id = ?1".to_owned(),
        "DELETE FROM runs WHERE project_id = ?1".to_owned(),
        "DELETE FROM births WHERE project_id = ?1".to_owned(),
        "DELETE FROM projects WHERE id = ?1".to_owned(),
    ] {
        tx.execute(&sql, [project])?;
    }
    Ok(())
}
