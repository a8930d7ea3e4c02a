//! Users, keys, teams, organizations and entities, as they are; [`super::enrol`] makes them.
//!
//! An entity owns projects: each user has a personal one, each team is one, and each organization has
//! one whose projects are its registries.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::{Result, Store};

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    /// Row of the user.
    pub(crate) user_id: i64,
    /// Login name.
    pub(crate) username: String,
    /// Default entity: the personal one.
    pub(crate) entity: String,
    /// The key reads only.
    pub(crate) read_only: bool,
    /// May see and change everything.
    pub(crate) admin: bool,
}

/// A role in a team or a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// May do everything, protected aliases included.
    Admin,
    /// May read and write.
    Member,
    /// May read.
    Viewer,
}

impl Role {
    /// From the name in a request; `restricted_viewer` and the like read as viewer.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "admin" | "owner" => Some(Self::Admin),
            "member" => Some(Self::Member),
            "viewer" | "view-only" | "restricted_viewer" | "restricted-viewer" => {
                Some(Self::Viewer)
            }
            _ => None,
        }
    }

    /// The stored name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// May change things.
    pub(crate) fn writes(self) -> bool {
        self != Self::Viewer
    }
}

/// A user.
#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    /// Row id.
    pub(crate) id: i64,
    /// Login name.
    pub(crate) username: String,
    /// Display name.
    pub(crate) name: String,
    /// Mail address.
    pub(crate) email: Option<String>,
    /// Administrator of the instance.
    pub(crate) admin: bool,
    /// When the account was made.
    pub(crate) created_at: String,
}

/// An entity.
#[derive(Debug, Clone)]
pub(crate) struct EntityRow {
    /// Row id.
    pub(crate) id: i64,
    /// Name in paths.
    pub(crate) name: String,
    /// `user`, `team` or `org`.
    pub(crate) kind: String,
    /// The user of a personal entity.
    pub(crate) user_id: Option<i64>,
    /// The organization of a team or an organization's entity.
    pub(crate) organization_id: Option<i64>,
    /// Aliases that only admins may set and remove, a JSON list.
    pub(crate) protected_aliases: String,
    /// When it was made.
    pub(crate) created_at: String,
    /// Clients may name its new artifacts by XXH128.
    pub(crate) xxh128: bool,
}

/// An organization.
#[derive(Debug, Clone)]
pub(crate) struct OrganizationRow {
    /// Row id.
    pub(crate) id: i64,
    /// Display name, which users write in registry paths.
    pub(crate) name: String,
    /// `ORGANIZATION` or `PERSONAL`.
    pub(crate) org_type: String,
}

/// A member of a team or project.
#[derive(Debug, Clone)]
pub(crate) struct MemberRow {
    /// The user.
    pub(crate) user: UserRow,
    /// The role's name.
    pub(crate) role: String,
}

const USER: &str = "u.id, u.username, u.name, u.email, u.admin, u.created_at";
const ENTITY: &str = "e.id, e.name, e.kind, e.user_id, e.organization_id, e.protected_aliases, e.created_at, e.xxh128";

fn user_row(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        id: row.get(0)?,
        username: row.get(1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        admin: row.get(4)?,
        created_at: row.get(5)?,
    })
}

fn entity_row(row: &Row<'_>) -> rusqlite::Result<EntityRow> {
    Ok(EntityRow {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        user_id: row.get(3)?,
        organization_id: row.get(4)?,
        protected_aliases: row.get(5)?,
        created_at: row.get(6)?,
        xxh128: row.get(7)?,
    })
}

pub(super) fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

impl Store {
    /// Who holds `api_key`; none if nobody does.
    pub(crate) fn key_owner(&self, api_key: &str) -> Result<Option<KeyOwner>> {
        // Looked up by hash, so the time it takes says nothing about a key.
        self.read(|db| owner(db, "k.hash = ?1", hash(api_key)))
    }

    /// The account of that name, as if one of its ordinary keys had been used.
    pub(crate) fn user_by_name(&self, username: &str) -> Result<Option<KeyOwner>> {
        self.read(|db| {
            let found = user_named(db, username)?;
            Ok(found.map(|user| KeyOwner {
                user_id: user.id,
                entity: user.username.clone(),
                username: user.username,
                read_only: false,
                admin: user.admin,
            }))
        })
    }

    /// Whether nobody has an account yet.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        self.read(|db| {
            Ok(db
                .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM users)")?
                .query_row([], |row| row.get(0))?)
        })
    }
}

fn owner(db: &Connection, test: &str, parameter: Vec<u8>) -> Result<Option<KeyOwner>> {
    let sql = format!(
        "SELECT u.id, u.username, k.read_only, u.admin FROM api_keys k JOIN users u ON u.id = k.user_id WHERE {test}"
    );
    let found = db
        .prepare_cached(&sql)?
        .query_row([parameter], |row| {
            Ok(KeyOwner {
                user_id: row.get(0)?,
                username: row.get(1)?,
                entity: row.get(1)?,
                read_only: row.get(2)?,
                admin: row.get(3)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// The user of that login name.
pub(crate) fn user_named(db: &Connection, username: &str) -> Result<Option<UserRow>> {
    let sql = format!("SELECT {USER} FROM users u WHERE u.username = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([username], user_row)
        .optional()?)
}

/// A user by row.
pub(crate) fn user(db: &Connection, id: i64) -> Result<Option<UserRow>> {
    let sql = format!("SELECT {USER} FROM users u WHERE u.id = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], user_row)
        .optional()?)
}

/// The entity of that name.
pub(crate) fn entity_named(db: &Connection, name: &str) -> Result<Option<EntityRow>> {
    let sql = format!("SELECT {ENTITY} FROM entities e WHERE e.name = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([name], entity_row)
        .optional()?)
}

/// An entity by row.
pub(crate) fn entity(db: &Connection, id: i64) -> Result<EntityRow> {
    let sql = format!("SELECT {ENTITY} FROM entities e WHERE e.id = ?");
    Ok(db.prepare_cached(&sql)?.query_row([id], entity_row)?)
}

/// Whether two users are members of one team or organization.
pub(crate) fn acquainted(db: &Connection, one: i64, other: i64) -> Result<bool> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM members a JOIN members b ON b.entity_id = a.entity_id
         WHERE a.user_id = ? AND b.user_id = ?)",
    )?;
    Ok(statement.query_row([one, other], |row| row.get(0))?)
}

/// The teams of a user, by name; organizations' entities are no teams.
pub(crate) fn teams_of(db: &Connection, user: i64) -> Result<Vec<EntityRow>> {
    let sql = format!(
        "SELECT {ENTITY} FROM members m JOIN entities e ON e.id = m.entity_id WHERE m.user_id = ? AND e.kind = 'team' ORDER BY e.name"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([user], entity_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The organizations of a user, by name.
pub(crate) fn organizations_of(db: &Connection, user: i64) -> Result<Vec<OrganizationRow>> {
    let mut statement = db.prepare_cached(
        "SELECT DISTINCT o.id, o.name, o.org_type FROM members m JOIN entities e ON e.id = m.entity_id
         JOIN organizations o ON o.id = e.organization_id WHERE m.user_id = ? ORDER BY o.name",
    )?;
    let rows = statement.query_map([user], organization_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn organization_row(row: &Row<'_>) -> rusqlite::Result<OrganizationRow> {
    Ok(OrganizationRow {
        id: row.get(0)?,
        name: row.get(1)?,
        org_type: row.get(2)?,
    })
}

/// An organization by row.
pub(crate) fn organization(db: &Connection, id: i64) -> Result<Option<OrganizationRow>> {
    let mut statement =
        db.prepare_cached("SELECT id, name, org_type FROM organizations WHERE id = ?")?;
    Ok(statement.query_row([id], organization_row).optional()?)
}

/// The organization of that display name, or whose entity has that name.
pub(crate) fn organization_named(db: &Connection, name: &str) -> Result<Option<OrganizationRow>> {
    let mut statement = db.prepare_cached(
        "SELECT id, name, org_type FROM organizations WHERE name = ?1
         OR id = (SELECT organization_id FROM entities WHERE name = ?1 AND kind = 'org')",
    )?;
    Ok(statement.query_row([name], organization_row).optional()?)
}

/// An organization's entity.
pub(crate) fn org_entity(db: &Connection, organization: i64) -> Result<Option<EntityRow>> {
    let sql =
        format!("SELECT {ENTITY} FROM entities e WHERE e.organization_id = ? AND e.kind = 'org'");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([organization], entity_row)
        .optional()?)
}

/// An organization's teams, by name.
pub(crate) fn org_teams(db: &Connection, organization: i64) -> Result<Vec<EntityRow>> {
    let sql = format!(
        "SELECT {ENTITY} FROM entities e WHERE e.organization_id = ? AND e.kind = 'team' ORDER BY e.name"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([organization], entity_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The role of a user in an entity, if any.
pub(crate) fn role_in(db: &Connection, entity: i64, user: i64) -> Result<Option<Role>> {
    let mut statement =
        db.prepare_cached("SELECT role FROM members WHERE entity_id = ? AND user_id = ?")?;
    let name: Option<String> = statement
        .query_row([entity, user], |row| row.get(0))
        .optional()?;
    Ok(name.as_deref().and_then(Role::parse))
}

/// The members of an entity, by login name.
pub(crate) fn members_of(db: &Connection, entity: i64) -> Result<Vec<MemberRow>> {
    let sql = format!(
        "SELECT {USER}, m.role FROM members m JOIN users u ON u.id = m.user_id WHERE m.entity_id = ? ORDER BY u.username"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([entity], |row| {
        Ok(MemberRow {
            user: user_row(row)?,
            role: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The keys of a user: row, hint and description, never the key.
pub(crate) fn keys_of(db: &Connection, user: i64) -> Result<Vec<(i64, String, Option<String>)>> {
    let mut statement = db.prepare_cached(
        "SELECT id, hint, description FROM api_keys WHERE user_id = ? ORDER BY id",
    )?;
    let rows = statement.query_map([user], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The users a search matches: by login names, by rows, or by a piece of the name; all if nothing is asked.
pub(crate) fn search_users(
    db: &Connection,
    query: Option<&str>,
    names: Option<&[&str]>,
    ids: Option<&[i64]>,
) -> Result<Vec<UserRow>> {
    let sql = format!(
        "SELECT {USER} FROM users u WHERE (?1 IS NULL OR instr(u.username, ?1) OR u.email = ?1)
         AND (?2 IS NULL OR u.username IN (SELECT value FROM json_each(?2)))
         AND (?3 IS NULL OR u.id IN (SELECT value FROM json_each(?3))) ORDER BY u.id LIMIT 1000"
    );
    let names = names.map(serde_json::to_string).transpose()?;
    let ids = ids.map(serde_json::to_string).transpose()?;
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![query, names, ids], user_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
