//! Aliases: names of versions, unique within a collection.
//!
//! `vN` is never stored; it is computed from the membership. `latest` is a row like any other, moved on
//! commit and on link.

use rusqlite::{Connection, Row, Transaction, params, types::Value};

use super::{
    Result, StoreError,
    accounts::Role,
    collections::{self, CollectionRow},
    filter::Condition,
    page::{Listing, Order, Page, PageRequest},
    projects::{self, Viewer},
};

/// Longest alias, in characters.
const MAX_ALIAS: usize = 128;

/// An alias row.
#[derive(Debug, Clone)]
pub(crate) struct AliasRow {
    /// Row id.
    pub(crate) id: i64,
    /// Where it is unique.
    pub(crate) collection_id: i64,
    /// What it names.
    pub(crate) artifact_id: i64,
    /// The name.
    pub(crate) alias: String,
}

const COLUMNS: &str = "al.id, al.collection_id, al.artifact_id, al.alias";

fn alias_row(row: &Row<'_>) -> rusqlite::Result<AliasRow> {
    Ok(AliasRow {
        id: row.get(0)?,
        collection_id: row.get(1)?,
        artifact_id: row.get(2)?,
        alias: row.get(3)?,
    })
}

/// Whether `text` is a version name: `v` and digits.
pub(crate) fn version_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('v')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// The aliases of a version: in one collection, or in all.
pub(crate) fn of_version(
    db: &Connection,
    artifact: i64,
    collection: Option<i64>,
) -> Result<Vec<AliasRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM aliases al WHERE al.artifact_id = ?1 AND (?2 IS NULL OR al.collection_id = ?2) ORDER BY al.id"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params![artifact, collection], alias_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A page of the aliases of a collection.
pub(crate) fn of_collection(
    db: &Connection,
    collection: i64,
    request: &PageRequest,
) -> Result<Page<AliasRow>> {
    let listing = Listing {
        columns: COLUMNS,
        from: "aliases al",
        id: "al.id",
        condition: Condition::new("al.collection_id = ?", [Value::Integer(collection)]),
        order: Order {
            key: "al.alias",
            descending: false,
        },
    };
    listing.page(db, request, alias_row)
}

/// Puts an alias on a version, taking it from the one that has it.
pub(crate) fn set(tx: &Transaction<'_>, collection: i64, artifact: i64, alias: &str) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO aliases (collection_id, artifact_id, alias) VALUES (?1, ?2, ?3)
         ON CONFLICT (collection_id, alias) DO UPDATE SET artifact_id = ?2",
    )?
    .execute(params![collection, artifact, alias])?;
    Ok(())
}

/// Puts the caller's aliases on a version; version names are ignored, they are the server's.
pub(crate) fn set_all<'a>(
    tx: &Transaction<'_>,
    viewer: Viewer,
    collection: &CollectionRow,
    artifact: i64,
    aliases: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    for alias in aliases {
        if version_number(alias).is_some() {
            continue;
        }
        check(tx, viewer, collection, alias)?;
        set(tx, collection.id, artifact, alias)?;
    }
    collections::touch(tx, collection.id)
}

/// Takes an alias from a version, if that version has it.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    viewer: Viewer,
    collection: &CollectionRow,
    artifact: i64,
    alias: &str,
) -> Result<()> {
    check(tx, viewer, collection, alias)?;
    tx.execute(
        "DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ? AND alias = ?",
        params![collection.id, artifact, alias],
    )?;
    collections::touch(tx, collection.id)
}

/// Refuses what is no alias, and one that only admins of the owning entity may move.
pub(crate) fn check(
    tx: &Transaction<'_>,
    viewer: Viewer,
    collection: &CollectionRow,
    alias: &str,
) -> Result<()> {
    if alias.is_empty() || alias.chars().count() > MAX_ALIAS || alias.contains(['/', ':']) {
        return Err(StoreError::invalid(format!(
            "invalid alias {alias:?}: 1 to {MAX_ALIAS} characters, none of them / or :"
        )));
    }
    let project = projects::project_unchecked(tx, collection.project_id)?
        .ok_or_else(|| StoreError::not_found("project"))?;
    let protected: Vec<String> = serde_json::from_str(&project.entity.protected_aliases)?;
    if protected.iter().any(|name| name == alias)
        && projects::role(tx, viewer, &project)? != Some(Role::Admin)
    {
        return Err(StoreError::Forbidden(format!(
            "alias '{alias}' is protected"
        )));
    }
    Ok(())
}
