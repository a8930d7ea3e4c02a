//! Tags of versions and collections.

use std::sync::LazyLock;

use regex::Regex;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::Deserialize;

use super::{Result, StoreError};

/// Longest tag, in characters.
const MAX_TAG: usize = 128;

/// Most tags one mutation may name.
const MAX_TAGS: usize = 20;

/// What a tag looks like (protocol §3.2). The pattern is constant, so `None` cannot happen; it would refuse all.
static RULE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[-\w]+( +[-\w]+)*$").ok());

/// A tag as a mutation names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TagInput {
    /// Its name.
    pub(crate) tag_name: String,
    /// Its category.
    #[serde(default)]
    pub(crate) tag_category_name: Option<String>,
    /// JSON text.
    #[serde(default)]
    pub(crate) attributes: Option<String>,
}

/// A tag.
#[derive(Debug, Clone)]
pub(crate) struct TagRow {
    /// Row id.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// Its category, usually empty.
    pub(crate) category: String,
    /// JSON text.
    pub(crate) attributes: String,
}

/// What has tags.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// A version.
    Artifact(i64),
    /// A collection.
    Collection(i64),
}

impl Owner {
    fn table(self) -> (&'static str, &'static str, i64) {
        match self {
            Self::Artifact(id) => ("artifact_tags", "artifact_id", id),
            Self::Collection(id) => ("collection_tags", "collection_id", id),
        }
    }
}

fn tag_row(row: &Row<'_>) -> rusqlite::Result<TagRow> {
    Ok(TagRow {
        id: row.get(0)?,
        name: row.get(1)?,
        category: row.get(2)?,
        attributes: row.get(3)?,
    })
}

/// The tags of a version or collection, in the order they were given.
pub(crate) fn of(db: &Connection, owner: Owner) -> Result<Vec<TagRow>> {
    let (table, column, id) = owner.table();
    let sql = format!(
        "SELECT g.id, g.name, g.category, g.attributes FROM {table} x JOIN tags g ON g.id = x.tag_id WHERE x.{column} = ? ORDER BY x.id"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([id], tag_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Adds tags; those there already stay where they are.
///
/// # Errors
/// [`StoreError::Invalid`] for a name that is no tag, or too many.
pub(crate) fn add(tx: &Transaction<'_>, owner: Owner, tags: &[TagInput]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(StoreError::invalid(format!(
            "at most {MAX_TAGS} tags at once"
        )));
    }
    let (table, column, id) = owner.table();
    for tag in tags {
        let fits = tag.tag_name.chars().count() <= MAX_TAG
            && RULE
                .as_ref()
                .is_some_and(|rule| rule.is_match(&tag.tag_name));
        if !fits {
            return Err(StoreError::invalid(format!(
                "invalid tag {:?}: letters, digits, _, - and spaces between them",
                tag.tag_name
            )));
        }
        let category = tag.tag_category_name.as_deref().unwrap_or_default();
        let attributes = tag.attributes.as_deref().unwrap_or("{}");
        tx.execute(
            "INSERT OR IGNORE INTO tags (name, category, attributes) VALUES (?, ?, ?)",
            params![tag.tag_name, category, attributes],
        )?;
        tx.execute(
            &format!("INSERT OR IGNORE INTO {table} ({column}, tag_id) SELECT ?, id FROM tags WHERE name = ? AND category = ?"),
            params![id, tag.tag_name, category],
        )?;
    }
    Ok(())
}

/// Removes tags; those not there are no error.
pub(crate) fn remove(tx: &Transaction<'_>, owner: Owner, tags: &[TagInput]) -> Result<()> {
    let (table, column, id) = owner.table();
    for tag in tags {
        let found: Option<i64> = tx
            .query_row(
                "SELECT id FROM tags WHERE name = ? AND category = ?",
                params![
                    tag.tag_name,
                    tag.tag_category_name.as_deref().unwrap_or_default()
                ],
                |row| row.get(0),
            )
            .optional()?;
        tx.execute(
            &format!("DELETE FROM {table} WHERE {column} = ? AND tag_id = ?"),
            params![id, found],
        )?;
    }
    Ok(())
}
