//! Enrolment: how users, keys, teams and organizations come to be, and what of them can be set.

use rand::Rng as _;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{
    Result, Store, StoreError,
    accounts::{Role, entity_named, hash, user_named},
    time,
};

/// A new account.
#[derive(Debug, Clone)]
pub(crate) struct NewUser {
    /// Login name.
    pub(crate) username: String,
    /// Personal entity.
    pub(crate) entity: String,
    /// The key, shown this once; the store keeps its hash.
    pub(crate) api_key: String,
}

/// A new team.
#[derive(Debug, Clone)]
pub(crate) struct NewTeam {
    /// The team's entity.
    pub(crate) team: String,
    /// The organization's name.
    pub(crate) org: String,
    /// The organization's entity, owner of the registries.
    pub(crate) org_entity: String,
}

/// What to make of a user.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserRequest<'a> {
    /// Login name; one is made up if there is none.
    pub(crate) name: Option<&'a str>,
    /// Administrator of the instance.
    pub(crate) admin: bool,
    /// The key may only read. Such a key can also be given to somebody who has an account.
    pub(crate) read_only: bool,
}

/// What [`Store::set_entity`] sets; `None` leaves a field.
#[derive(Debug, Clone, Default)]
pub(crate) struct EntityChange {
    /// Aliases that only admins may set and remove.
    pub(crate) protected_aliases: Option<Vec<String>>,
    /// Clients may name new artifacts by XXH128.
    pub(crate) xxh128: Option<bool>,
}

/// A key of the classic form: 40 hex digits.
fn new_key() -> String {
    hex::encode(rand::rng().random::<[u8; 20]>())
}

impl Store {
    /// Makes an account with a personal entity and a key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a user or entity of that name exists.
    #[cfg(test)]
    pub(crate) fn create_user(&self, name: Option<&str>, admin: bool) -> Result<NewUser> {
        let request = UserRequest {
            name,
            admin,
            read_only: false,
        };
        self.enrol(&request)
    }

    /// Makes an account as asked.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a user or entity of that name exists, unless a read-only key is
    /// asked for, which is then one more key of that user.
    pub(crate) fn enrol(&self, request: &UserRequest<'_>) -> Result<NewUser> {
        self.write(|tx| enrol(tx, request))
    }

    /// The same for the first user, with a key at hand.
    pub(crate) fn enrol_first(&self, name: &str, key: &str) -> Result<NewUser> {
        let request = UserRequest {
            name: Some(name),
            admin: true,
            read_only: false,
        };
        self.write(|tx| with_key(tx, &request, key))
    }

    /// Makes a team, and its organization unless one of that name exists; missing names are made up.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown member, [`StoreError::Conflict`] for a taken name.
    pub(crate) fn create_team(
        &self,
        team: Option<&str>,
        org: Option<&str>,
        members: &[(String, Role)],
    ) -> Result<NewTeam> {
        self.write(|tx| {
            let suffix = new_key()[..10].to_owned();
            let team = team.map_or_else(|| format!("team-{suffix}"), str::to_owned);
            let org = org.map_or_else(|| format!("org-{suffix}"), str::to_owned);
            let (organization, org_entity) = ensure_organization(tx, &org)?;
            let team_id = insert_entity(tx, &team, "team", None, Some(organization))?;
            for (username, role) in members {
                let user = user_named(tx, username)?
                    .ok_or_else(|| StoreError::not_found(format!("user {username:?}")))?;
                add_member(tx, team_id, user.id, *role)?;
                let entity = entity_named(tx, &org_entity)?
                    .ok_or_else(|| StoreError::not_found("organization"))?;
                add_member(tx, entity.id, user.id, *role)?;
            }
            Ok(NewTeam {
                team,
                org,
                org_entity,
            })
        })
    }

    /// Sets what can be set of an entity.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none of that name.
    pub(crate) fn set_entity(&self, name: &str, change: &EntityChange) -> Result<()> {
        let aliases = change
            .protected_aliases
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?;
        self.write(|tx| {
            let changed = tx.execute(
                "UPDATE entities SET protected_aliases = COALESCE(?2, protected_aliases), xxh128 = COALESCE(?3, xxh128) WHERE name = ?1",
                params![name, aliases, change.xxh128],
            )?;
            if changed == 0 {
                return Err(StoreError::not_found(format!("entity {name:?}")));
            }
            Ok(())
        })
    }
}

/// Makes an account as asked, see [`Store::enrol`].
pub(crate) fn enrol(tx: &Transaction<'_>, request: &UserRequest<'_>) -> Result<NewUser> {
    with_key(tx, request, &new_key())
}

fn with_key(tx: &Transaction<'_>, request: &UserRequest<'_>, key: &str) -> Result<NewUser> {
    let username = request
        .name
        .map_or_else(|| format!("user-{}", &new_key()[..10]), str::to_owned);
    let known = user_named(tx, &username)?.is_some();
    if !(known && request.read_only) {
        insert_user(tx, &username, request.admin)?;
    }
    add_key(tx, &username, key, None, request.read_only)?;
    Ok(NewUser {
        entity: username.clone(),
        username,
        api_key: key.to_owned(),
    })
}

/// Makes a user and the personal entity of the same name.
fn insert_user(tx: &Transaction<'_>, username: &str, admin: bool) -> Result<i64> {
    if username.is_empty() || username.len() > 128 || username.contains(['/', ':']) {
        return Err(StoreError::invalid(format!("{username:?} is no user name")));
    }
    if user_named(tx, username)?.is_some() {
        return Err(StoreError::Conflict(format!("user {username:?} exists")));
    }
    tx.execute(
        "INSERT INTO users (username, name, email, admin, created_at) VALUES (?1, ?1, ?1 || '@localhost', ?2, ?3)",
        params![username, admin, time::now()],
    )?;
    let id = tx.last_insert_rowid();
    let entity = insert_entity(tx, username, "user", Some(id), None)?;
    add_member(tx, entity, id, Role::Admin)?;
    Ok(id)
}

/// Gives a user one more key.
fn add_key(
    tx: &Transaction<'_>,
    username: &str,
    key: &str,
    description: Option<&str>,
    read_only: bool,
) -> Result<()> {
    let user = user_named(tx, username)?
        .ok_or_else(|| StoreError::not_found(format!("user {username:?}")))?;
    let hint = format!(
        "...{}",
        key.get(key.len().saturating_sub(4)..).unwrap_or_default()
    );
    tx.execute(
        "INSERT OR REPLACE INTO api_keys (user_id, hash, hint, description, read_only) VALUES (?, ?, ?, ?, ?)",
        params![user.id, hash(key), hint, description, read_only],
    )?;
    Ok(())
}

/// Makes an entity.
pub(crate) fn insert_entity(
    tx: &Transaction<'_>,
    name: &str,
    kind: &str,
    user: Option<i64>,
    organization: Option<i64>,
) -> Result<i64> {
    if entity_named(tx, name)?.is_some() {
        return Err(StoreError::Conflict(format!("entity {name:?} exists")));
    }
    tx.execute(
        "INSERT INTO entities (name, kind, user_id, organization_id, created_at) VALUES (?, ?, ?, ?, ?)",
        params![name, kind, user, organization, time::now()],
    )?;
    Ok(tx.last_insert_rowid())
}

/// The organization of that name and its entity's name, made if missing.
pub(crate) fn ensure_organization(tx: &Transaction<'_>, name: &str) -> Result<(i64, String)> {
    let sql = "SELECT o.id, e.name FROM organizations o JOIN entities e ON e.organization_id = o.id AND e.kind = 'org' WHERE o.name = ?";
    let found = tx
        .query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    tx.execute(
        "INSERT INTO organizations (name, org_type) VALUES (?, 'ORGANIZATION')",
        [name],
    )?;
    let id = tx.last_insert_rowid();
    let entity = format!("{}-org-entity", name.replace(['/', ':', ' '], "-"));
    insert_entity(tx, &entity, "org", None, Some(id))?;
    Ok((id, entity))
}

/// Gives a user a role in an entity.
pub(crate) fn add_member(tx: &Transaction<'_>, entity: i64, user: i64, role: Role) -> Result<()> {
    tx.execute(
        "INSERT OR REPLACE INTO members (entity_id, user_id, role) VALUES (?, ?, ?)",
        params![entity, user, role.name()],
    )?;
    Ok(())
}
