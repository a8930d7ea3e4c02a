//! Artifact types and collections: sequences, which number what is logged, and portfolios, which number
//! what is linked.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, types::Value};

use super::{
    Result, StoreError,
    filter::{self, Condition, Key},
    page::{Listing, Order, Page, PageRequest},
    projects::{self, Viewer},
    time,
};

/// Longest name of a collection or type, in characters.
const MAX_NAME: usize = 128;

/// An artifact type of a project.
#[derive(Debug, Clone)]
pub(crate) struct TypeRow {
    /// Row id.
    pub(crate) id: i64,
    /// Its project.
    pub(crate) project_id: i64,
    /// Name.
    pub(crate) name: String,
    /// Description.
    pub(crate) description: Option<String>,
    /// When it was made.
    pub(crate) created_at: String,
}

/// A collection.
#[derive(Debug, Clone)]
pub(crate) struct CollectionRow {
    /// Row id.
    pub(crate) id: i64,
    /// Its project.
    pub(crate) project_id: i64,
    /// Its type.
    pub(crate) type_id: i64,
    /// A portfolio, else a sequence.
    pub(crate) portfolio: bool,
    /// Name.
    pub(crate) name: String,
    /// Description; null and empty are different.
    pub(crate) description: Option<String>,
    /// `READY` or `DELETED`.
    pub(crate) state: String,
    /// Its versions are named by XXH128 (fixed by the first version); unknown before that.
    pub(crate) xxh128: Option<bool>,
    /// When it was made.
    pub(crate) created_at: String,
    /// When it was changed.
    pub(crate) updated_at: String,
}

/// Which collections a listing holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope {
    /// Those of a type.
    Type(i64),
    /// Those of a project.
    Project(i64),
    /// Those of all projects of an entity.
    Entity(i64),
}

const TYPE: &str = "t.id, t.project_id, t.name, t.description, t.created_at";
const COLUMNS: &str = "c.id, c.project_id, c.type_id, c.portfolio, c.name, c.description, c.state, c.xxh128, c.created_at, c.updated_at";

fn type_row(row: &Row<'_>) -> rusqlite::Result<TypeRow> {
    Ok(TypeRow {
        id: row.get(0)?,
        project_id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        created_at: row.get(4)?,
    })
}

fn collection_row(row: &Row<'_>) -> rusqlite::Result<CollectionRow> {
    Ok(CollectionRow {
        id: row.get(0)?,
        project_id: row.get(1)?,
        type_id: row.get(2)?,
        portfolio: row.get(3)?,
        name: row.get(4)?,
        description: row.get(5)?,
        state: row.get(6)?,
        xxh128: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// A type by row.
pub(crate) fn artifact_type(db: &Connection, id: i64) -> Result<TypeRow> {
    let sql = format!("SELECT {TYPE} FROM artifact_types t WHERE t.id = ?");
    Ok(db.prepare_cached(&sql)?.query_row([id], type_row)?)
}

/// The type of that name.
pub(crate) fn type_named(db: &Connection, project: i64, name: &str) -> Result<Option<TypeRow>> {
    let sql = format!("SELECT {TYPE} FROM artifact_types t WHERE t.project_id = ? AND t.name = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![project, name], type_row)
        .optional()?)
}

/// The type of that name, made if missing.
pub(crate) fn ensure_type(
    tx: &Transaction<'_>,
    project: i64,
    name: &str,
    description: Option<&str>,
) -> Result<TypeRow> {
    check_name("type", name)?;
    if let Some(found) = type_named(tx, project, name)? {
        return Ok(found);
    }
    tx.execute(
        "INSERT INTO artifact_types (project_id, name, description, created_at) VALUES (?, ?, ?, ?)",
        params![project, name, description, time::now()],
    )?;
    artifact_type(tx, tx.last_insert_rowid())
}

/// Describes a type.
pub(crate) fn describe_type(
    tx: &Transaction<'_>,
    id: i64,
    description: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE artifact_types SET description = ?2 WHERE id = ?1 AND ?2 IS NOT NULL",
        params![id, description],
    )?;
    Ok(())
}

/// The types of a project, oldest first.
pub(crate) fn types(db: &Connection, project: i64, request: &PageRequest) -> Result<Page<TypeRow>> {
    let listing = Listing {
        columns: TYPE,
        from: "artifact_types t",
        id: "t.id",
        condition: Condition::new("t.project_id = ?", [Value::Integer(project)]),
        order: Order {
            key: "t.id",
            descending: false,
        },
    };
    listing.page(db, request, type_row)
}

/// A collection by row, deleted ones too.
pub(crate) fn collection(db: &Connection, id: i64) -> Result<Option<CollectionRow>> {
    let sql = format!("SELECT {COLUMNS} FROM collections c WHERE c.id = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], collection_row)
        .optional()?)
}

/// A collection by row, if `viewer` sees its project.
pub(crate) fn visible_collection(
    db: &Connection,
    viewer: Viewer,
    id: i64,
) -> Result<Option<CollectionRow>> {
    let Some(found) = collection(db, id)? else {
        return Ok(None);
    };
    Ok(projects::project(db, viewer, found.project_id)?.map(|_| found))
}

/// The collection of that name in a project.
pub(crate) fn named(db: &Connection, project: i64, name: &str) -> Result<Option<CollectionRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM collections c WHERE c.project_id = ? AND c.name = ? AND c.state = 'READY'"
    );
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![project, name], collection_row)
        .optional()?)
}

/// Makes a collection.
///
/// # Errors
/// [`StoreError::Conflict`] if the project has one of that name.
pub(crate) fn create(
    tx: &Transaction<'_>,
    kind: &TypeRow,
    portfolio: bool,
    name: &str,
    description: Option<&str>,
) -> Result<CollectionRow> {
    check_name("collection", name)?;
    if named(tx, kind.project_id, name)?.is_some() {
        return Err(StoreError::Conflict(format!("collection '{name}' exists")));
    }
    tx.execute(
        "INSERT INTO collections (entity_id, project_id, type_id, portfolio, name, description, created_at, updated_at)
         VALUES ((SELECT entity_id FROM projects WHERE id = ?1), ?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        params![kind.project_id, kind.id, portfolio, name, description, time::now()],
    )?;
    let id = tx.last_insert_rowid();
    collection(tx, id)?.ok_or_else(|| StoreError::not_found("collection"))
}

/// Changes name and description; `None` leaves them.
pub(crate) fn update(
    tx: &Transaction<'_>,
    found: &CollectionRow,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<()> {
    if let Some(name) = name.filter(|name| *name != found.name) {
        check_name("collection", name)?;
        if named(tx, found.project_id, name)?.is_some() {
            return Err(StoreError::Conflict(format!("collection '{name}' exists")));
        }
    }
    tx.execute(
        "UPDATE collections SET name = COALESCE(?2, name), description = COALESCE(?3, description), updated_at = ?4 WHERE id = ?1",
        params![found.id, name, description, time::now()],
    )?;
    Ok(())
}

/// Moves a sequence to another type of its project, made if missing.
pub(crate) fn move_to_type(
    tx: &Transaction<'_>,
    found: &CollectionRow,
    type_name: &str,
) -> Result<()> {
    let kind = ensure_type(tx, found.project_id, type_name, None)?;
    tx.execute(
        "UPDATE collections SET type_id = ?2, updated_at = ?3 WHERE id = ?1",
        params![found.id, kind.id, time::now()],
    )?;
    Ok(())
}

/// Deletes a collection. A sequence takes its versions along, links included; a portfolio only its links.
pub(crate) fn delete(tx: &Transaction<'_>, found: &CollectionRow) -> Result<()> {
    let now = time::now();
    tx.execute("DELETE FROM aliases WHERE collection_id = ?", [found.id])?;
    if found.portfolio {
        tx.execute(
            "DELETE FROM memberships WHERE collection_id = ?",
            [found.id],
        )?;
    } else {
        let own = "SELECT id FROM artifacts WHERE sequence_id = ?1";
        tx.execute(
            &format!("DELETE FROM aliases WHERE artifact_id IN ({own})"),
            [found.id],
        )?;
        tx.execute(
            &format!("UPDATE memberships SET state = 'DELETED' WHERE artifact_id IN ({own})"),
            [found.id],
        )?;
        tx.execute(
            "UPDATE artifacts SET state = 'DELETED', updated_at = ?2 WHERE sequence_id = ?1",
            params![found.id, now],
        )?;
    }
    tx.execute(
        "UPDATE collections SET state = 'DELETED', updated_at = ?2 WHERE id = ?1",
        params![found.id, now],
    )?;
    Ok(())
}

/// Notes that something in the collection changed.
pub(crate) fn touch(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.prepare_cached("UPDATE collections SET updated_at = ?2 WHERE id = ?1")?
        .execute(params![id, time::now()])?;
    Ok(())
}

/// Keys of collection filters.
pub(crate) fn filter_key(name: &str) -> Option<Key> {
    Some(match name {
        "id" | "collection_id" | "artifact_collection_id" => Key::Id("c.id"),
        "name" | "collection_name" | "artifact_collection_name" => Key::Text("c.name"),
        "description" => Key::Text("c.description"),
        "created_at" => Key::Time("c.created_at"),
        "updated_at" => Key::Time("c.updated_at"),
        "state" => Key::Upper("c.state"),
        "type" => Key::Text("(SELECT name FROM artifact_types WHERE id = c.type_id)"),
        "tag" | "tags" => Key::Set {
            value: "g.name",
            from: "FROM collection_tags ct JOIN tags g ON g.id = ct.tag_id WHERE ct.collection_id = c.id",
        },
        "alias" | "aliases" => Key::Set {
            value: "al.alias",
            from: "FROM aliases al WHERE al.collection_id = c.id",
        },
        _ => return None,
    })
}

/// A listing of collections, newest first unless ordered otherwise.
pub(crate) fn listing(
    scope: Scope,
    viewer: Viewer,
    kinds: Option<&[&str]>,
    project_filters: Option<&str>,
    filters: Option<&str>,
    order: Option<&str>,
) -> Result<Listing> {
    let (mut condition, from) = match scope {
        Scope::Type(id) => (
            Condition::new("c.type_id = ?", [Value::Integer(id)]),
            "collections c",
        ),
        Scope::Project(id) => (
            Condition::new("c.project_id = ?", [Value::Integer(id)]),
            "collections c",
        ),
        Scope::Entity(id) => (
            Condition::new("c.entity_id = ?", [Value::Integer(id)]),
            "collections c JOIN projects p ON p.id = c.project_id",
        ),
    };
    if !filter::mentions(filters, "state") {
        condition.and("c.state = 'READY'", []);
    }
    if matches!(scope, Scope::Entity(_)) {
        condition.and_condition(filter::compile(project_filters, &projects::filter_key)?);
        condition.and_condition(projects::visible(viewer));
    }
    if let Some(kinds) = kinds.filter(|kinds| !kinds.is_empty()) {
        match (kinds.contains(&"SEQUENCE"), kinds.contains(&"PORTFOLIO")) {
            (true, false) => condition.and("c.portfolio = 0", []),
            (false, true) => condition.and("c.portfolio = 1", []),
            _ => {}
        }
    }
    condition.and_condition(filter::compile(filters, &filter_key)?);
    Ok(Listing {
        columns: COLUMNS,
        from,
        id: "c.id",
        condition,
        order: order_of(order)?,
    })
}

fn order_of(text: Option<&str>) -> Result<Order> {
    let newest_first = Order {
        key: "c.id",
        descending: true,
    };
    Order::parse(text, newest_first, |field| {
        Some(match field {
            "id" | "artifact_collection_id" | "collection_id" => "c.id",
            "name" => "c.name",
            "created_at" => "c.created_at",
            "updated_at" => "c.updated_at",
            "description" => "COALESCE(c.description, '')",
            _ => return None,
        })
    })
}

/// A page of such a listing.
pub(crate) fn page(
    db: &Connection,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<CollectionRow>> {
    listing.page(db, request, collection_row)
}

/// Refuses a name that cannot be a type's or collection's. Wider than what the client library allows on
/// creation: names with spaces exist.
fn check_name(what: &str, name: &str) -> Result<()> {
    let bad = name.is_empty()
        || name.chars().count() > MAX_NAME
        || name.contains(['/', ':', '\0'])
        || name == "."
        || name == "..";
    if bad {
        return Err(StoreError::invalid(format!(
            "invalid {what} name {name:?}: 1 to {MAX_NAME} characters, none of them / or :"
        )));
    }
    Ok(())
}
