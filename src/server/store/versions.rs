//! Artifact versions and their memberships in collections: looking up, listing, editing, deleting.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, types::Value};

use super::{
    Result, StoreError, aliases,
    collections::{self, CollectionRow},
    filter::{self, Condition, Key},
    page::{Listing, Order, Page, PageRequest},
    projects::{self, Viewer},
    tags::{self, Owner, TagInput},
    time,
};

/// An artifact version.
#[derive(Debug, Clone)]
pub(crate) struct VersionRow {
    /// Row id.
    pub(crate) id: i64,
    /// The sequence it was logged to.
    pub(crate) sequence_id: i64,
    /// Artifact digest, hex.
    pub(crate) digest: String,
    /// Its digest is an XXH128, else an MD5.
    pub(crate) xxh128: bool,
    /// `PENDING`, `COMMITTED` or `DELETED`.
    pub(crate) state: String,
    /// Description.
    pub(crate) description: Option<String>,
    /// JSON text of an object.
    pub(crate) metadata: Option<String>,
    /// JSON text.
    pub(crate) labels: Option<String>,
    /// Bytes, references included.
    pub(crate) size: i64,
    /// Entries of its manifest.
    pub(crate) file_count: i64,
    /// Step of the run that logged it.
    pub(crate) history_step: Option<i64>,
    /// Seconds to live; none: inherited.
    pub(crate) ttl: Option<i64>,
    /// The run that logged it.
    pub(crate) run_id: Option<i64>,
    /// The user who did.
    pub(crate) user_id: Option<i64>,
    /// Its merged manifest, once committed.
    pub(crate) manifest_id: Option<i64>,
    /// When it was created.
    pub(crate) created_at: String,
    /// When it was changed.
    pub(crate) updated_at: String,
}

/// A version's place in a collection.
#[derive(Debug, Clone)]
pub(crate) struct MembershipRow {
    /// Row id.
    pub(crate) id: i64,
    /// The collection.
    pub(crate) collection_id: i64,
    /// The version.
    pub(crate) artifact_id: i64,
    /// Its number there; negative while it has none.
    version_index: i64,
    /// Twenty hex digits.
    pub(crate) commit_hash: String,
    /// When it was put there.
    pub(crate) created_at: String,
}

impl MembershipRow {
    /// The number of the version in this collection; none while it is pending.
    pub(crate) fn version_index(&self) -> Option<i64> {
        (self.version_index >= 0).then_some(self.version_index)
    }
}

/// Fields of a version to change; `None` leaves one.
#[derive(Debug, Clone, Default)]
pub(crate) struct VersionChange {
    /// Description.
    pub(crate) description: Option<String>,
    /// Metadata, JSON text; replaces.
    pub(crate) metadata: Option<String>,
    /// Labels, JSON text.
    pub(crate) labels: Option<String>,
    /// Seconds to live; −1 inherits, −2 is never.
    pub(crate) ttl: Option<i64>,
    /// Tags to add.
    pub(crate) tags_to_add: Vec<TagInput>,
    /// Tags to remove.
    pub(crate) tags_to_delete: Vec<TagInput>,
}

const VERSION: &str = "a.id, a.sequence_id, a.digest, a.xxh128, a.state, a.description, a.metadata, a.labels, a.size, a.file_count, \
     a.history_step, a.ttl, a.run_id, a.user_id, a.manifest_id, a.created_at, a.updated_at";
const MEMBERSHIP: &str =
    "m.id, m.collection_id, m.artifact_id, m.version_index, m.commit_hash, m.created_at";
/// Both, [`MEMBERSHIP`] first.
const LISTED: &str = "m.id, m.collection_id, m.artifact_id, m.version_index, m.commit_hash, m.created_at, \
     a.id, a.sequence_id, a.digest, a.xxh128, a.state, a.description, a.metadata, a.labels, a.size, a.file_count, \
     a.history_step, a.ttl, a.run_id, a.user_id, a.manifest_id, a.created_at, a.updated_at";
/// Columns of [`MEMBERSHIP`].
const MEMBERSHIP_WIDTH: usize = 6;

fn version_row(row: &Row<'_>, from: usize) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        id: row.get(from)?,
        sequence_id: row.get(from + 1)?,
        digest: row.get(from + 2)?,
        xxh128: row.get(from + 3)?,
        state: row.get(from + 4)?,
        description: row.get(from + 5)?,
        metadata: row.get(from + 6)?,
        labels: row.get(from + 7)?,
        size: row.get(from + 8)?,
        file_count: row.get(from + 9)?,
        history_step: row.get(from + 10)?,
        ttl: row.get(from + 11)?,
        run_id: row.get(from + 12)?,
        user_id: row.get(from + 13)?,
        manifest_id: row.get(from + 14)?,
        created_at: row.get(from + 15)?,
        updated_at: row.get(from + 16)?,
    })
}

fn membership_row(row: &Row<'_>) -> rusqlite::Result<MembershipRow> {
    Ok(MembershipRow {
        id: row.get(0)?,
        collection_id: row.get(1)?,
        artifact_id: row.get(2)?,
        version_index: row.get(3)?,
        commit_hash: row.get(4)?,
        created_at: row.get(5)?,
    })
}

fn listed_row(row: &Row<'_>) -> rusqlite::Result<(MembershipRow, VersionRow)> {
    Ok((membership_row(row)?, version_row(row, MEMBERSHIP_WIDTH)?))
}

/// A version by row, whoever asks.
pub(crate) fn version(db: &Connection, id: i64) -> Result<Option<VersionRow>> {
    let sql = format!("SELECT {VERSION} FROM artifacts a WHERE a.id = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], |row| version_row(row, 0))
        .optional()?)
}

/// A version by row, if `viewer` sees its own project or one it is linked into.
pub(crate) fn visible_version(
    db: &Connection,
    viewer: Viewer,
    id: i64,
) -> Result<Option<VersionRow>> {
    let Some(found) = version(db, id)? else {
        return Ok(None);
    };
    if collections::visible_collection(db, viewer, found.sequence_id)?.is_some() {
        return Ok(Some(found));
    }
    for membership in memberships_of(db, id)? {
        if collections::visible_collection(db, viewer, membership.collection_id)?.is_some() {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A version to be changed: its row and sequence.
///
/// # Errors
/// [`StoreError::NotFound`] if `viewer` does not see it, [`StoreError::Forbidden`] if they may only read.
pub(crate) fn writable_version(
    db: &Connection,
    viewer: Viewer,
    id: i64,
) -> Result<(VersionRow, CollectionRow)> {
    let found =
        visible_version(db, viewer, id)?.ok_or_else(|| StoreError::not_found("artifact"))?;
    let sequence = collections::collection(db, found.sequence_id)?
        .ok_or_else(|| StoreError::not_found("collection"))?;
    let project = projects::project_unchecked(db, sequence.project_id)?
        .ok_or_else(|| StoreError::not_found("project"))?;
    projects::check_writable(db, viewer, &project)?;
    Ok((found, sequence))
}

/// A version's place in one collection.
pub(crate) fn membership(
    db: &Connection,
    collection: i64,
    artifact: i64,
) -> Result<Option<MembershipRow>> {
    let sql = format!(
        "SELECT {MEMBERSHIP} FROM memberships m WHERE m.collection_id = ? AND m.artifact_id = ?"
    );
    Ok(db
        .prepare_cached(&sql)?
        .query_row([collection, artifact], membership_row)
        .optional()?)
}

/// All places of a version, the sequence first.
pub(crate) fn memberships_of(db: &Connection, artifact: i64) -> Result<Vec<MembershipRow>> {
    let sql =
        format!("SELECT {MEMBERSHIP} FROM memberships m WHERE m.artifact_id = ? ORDER BY m.id");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map([artifact], membership_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The committed version of a collection that `name` means: `vN`, an alias, a digest or a commit hash;
/// an empty name means `latest`.
pub(crate) fn resolve(
    db: &Connection,
    collection: i64,
    name: &str,
) -> Result<Option<MembershipRow>> {
    let name = if name.is_empty() { "latest" } else { name };
    let one = |test: &str, value: Value| -> Result<Option<MembershipRow>> {
        let sql = format!(
            "SELECT {MEMBERSHIP} FROM {test} AND m.state = 'COMMITTED' ORDER BY m.version_index DESC LIMIT 1"
        );
        Ok(db
            .prepare_cached(&sql)?
            .query_row(params![collection, value], membership_row)
            .optional()?)
    };
    if let Some(index) = aliases::version_number(name) {
        return one(
            "memberships m WHERE m.collection_id = ?1 AND m.version_index = ?2",
            Value::Integer(index),
        );
    }
    let text = || Value::Text(name.to_owned());
    if let Some(found) = one(
        "aliases al JOIN memberships m ON m.collection_id = al.collection_id AND m.artifact_id = al.artifact_id
         WHERE al.collection_id = ?1 AND al.alias = ?2",
        text(),
    )? {
        return Ok(Some(found));
    }
    if let Some(found) = one(
        "memberships m WHERE m.collection_id = ?1 AND m.commit_hash = ?2",
        text(),
    )? {
        return Ok(Some(found));
    }
    one(
        "memberships m JOIN artifacts a ON a.id = m.artifact_id WHERE m.collection_id = ?1 AND a.digest = ?2",
        text(),
    )
}

/// Keys of version filters, those of registries included.
pub(crate) fn filter_key(name: &str) -> Option<Key> {
    for prefix in ["metadata.", "artifact_metadata."] {
        if let Some(path) = name.strip_prefix(prefix) {
            return Some(Key::Json {
                column: "a.metadata",
                path: path.to_owned(),
            });
        }
    }
    Some(match name {
        "id" | "artifact_id" => Key::Id("a.id"),
        "state" => Key::Upper("a.state"),
        "version" | "version_index" => Key::Version("m.version_index"),
        "created_at" | "artifact_created_at" => Key::Time("a.created_at"),
        "updated_at" => Key::Time("a.updated_at"),
        "linked_at" | "acm_created_at" => Key::Time("m.created_at"),
        "digest" => Key::Text("a.digest"),
        "commit_hash" => Key::Text("m.commit_hash"),
        "description" => Key::Text("a.description"),
        "size" | "artifact_size" => Key::Number("a.size"),
        "file_count" => Key::Number("a.file_count"),
        "metadata" | "artifact_metadata" => Key::Json {
            column: "a.metadata",
            path: String::new(),
        },
        "alias" | "aliases" => Key::Set {
            value: "al.alias",
            from: "FROM aliases al WHERE al.artifact_id = m.artifact_id AND al.collection_id = m.collection_id",
        },
        "tag" | "tags" => Key::Set {
            value: "g.name",
            from: "FROM artifact_tags ag JOIN tags g ON g.id = ag.tag_id WHERE ag.artifact_id = m.artifact_id",
        },
        _ => return None,
    })
}

fn order(text: Option<&str>, default: Order) -> Result<Order> {
    Order::parse(text, default, |field| {
        Some(match field {
            "version_index" | "version" => "m.version_index",
            "created_at" | "artifact_created_at" => "a.created_at",
            "updated_at" => "a.updated_at",
            "linked_at" | "acm_created_at" => "m.created_at",
            "size" | "artifact_size" => "a.size",
            "file_count" => "a.file_count",
            "digest" => "a.digest",
            "id" | "artifact_id" => "m.id",
            _ => return None,
        })
    })
}

/// The versions of a collection, newest first unless ordered otherwise. Only committed ones, unless the
/// filter speaks of states itself.
pub(crate) fn listing(
    collection: i64,
    portfolio: bool,
    filters: Option<&str>,
    order_text: Option<&str>,
) -> Result<Listing> {
    let mut condition = Condition::new("m.collection_id = ?", [Value::Integer(collection)]);
    if !filter::mentions(filters, "state") {
        condition.and("m.state = 'COMMITTED'", []);
    }
    condition.and_condition(filter::compile(filters, &filter_key)?);
    let order = order(
        order_text,
        Order {
            key: "m.version_index",
            descending: true,
        },
    )?;
    let from = if !portfolio && matches!(order.key, "a.created_at" | "a.updated_at") {
        // All are of the one sequence, so an index has them in order: start there.
        condition.and("a.sequence_id = ?", [Value::Integer(collection)]);
        "artifacts a CROSS JOIN memberships m ON m.artifact_id = a.id"
    } else {
        "memberships m JOIN artifacts a ON a.id = m.artifact_id"
    };
    Ok(Listing {
        columns: LISTED,
        from,
        id: "m.id",
        condition,
        order,
    })
}

/// The versions of all collections of an entity that `viewer` sees, newest membership first.
pub(crate) fn entity_listing(
    entity: i64,
    viewer: Viewer,
    project_filters: Option<&str>,
    collection_filters: Option<&str>,
    filters: Option<&str>,
    order_text: Option<&str>,
) -> Result<Listing> {
    let mut condition = Condition::new("m.entity_id = ?", [Value::Integer(entity)]);
    if !filter::mentions(filters, "state") {
        condition.and("m.state = 'COMMITTED'", []);
    }
    condition.and("c.state = 'READY'", []);
    condition.and_condition(filter::compile(project_filters, &projects::filter_key)?);
    condition.and_condition(filter::compile(
        collection_filters,
        &collections::filter_key,
    )?);
    condition.and_condition(filter::compile(filters, &filter_key)?);
    condition.and_condition(projects::visible(viewer));
    let from = "memberships m JOIN artifacts a ON a.id = m.artifact_id JOIN collections c ON c.id = m.collection_id \
                JOIN projects p ON p.id = c.project_id";
    let order = order(
        order_text,
        Order {
            key: "m.id",
            descending: true,
        },
    )?;
    Ok(Listing {
        columns: LISTED,
        from,
        id: "m.id",
        condition,
        order,
    })
}

/// The condition on `a` that keeps versions in some collection that `viewer` sees.
fn somewhere_visible(viewer: Viewer) -> Condition {
    let seen = projects::visible(viewer);
    if viewer.admin {
        return seen;
    }
    seen.inside(
        "EXISTS (SELECT 1 FROM memberships vm JOIN collections vc ON vc.id = vm.collection_id
         JOIN projects p ON p.id = vc.project_id WHERE vm.artifact_id = a.id AND ",
        ")",
    )
}

/// The inputs or outputs of a run that `viewer` sees, in the order they were recorded.
pub(crate) fn run_listing(
    run: i64,
    viewer: Viewer,
    direction: &str,
    filters: Option<&str>,
) -> Result<Listing> {
    let mut condition = Condition::new(
        "ra.run_id = ? AND ra.direction = ? AND a.state = 'COMMITTED'",
        [Value::Integer(run), Value::Text(direction.to_owned())],
    );
    condition.and_condition(filter::compile(filters, &filter_key)?);
    condition.and_condition(somewhere_visible(viewer));
    let from = "run_artifacts ra JOIN artifacts a ON a.id = ra.artifact_id \
                JOIN memberships m ON m.artifact_id = a.id AND m.collection_id = a.sequence_id";
    Ok(Listing {
        columns: LISTED,
        from,
        id: "ra.id",
        condition,
        order: Order {
            key: "ra.id",
            descending: false,
        },
    })
}

/// A page of any of these listings.
pub(crate) fn page(
    db: &Connection,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<(MembershipRow, VersionRow)>> {
    listing.page(db, request, listed_row)
}

/// The places of a version that `viewer` sees, as a page.
pub(crate) fn membership_page(
    db: &Connection,
    artifact: i64,
    viewer: Viewer,
    request: &PageRequest,
) -> Result<Page<MembershipRow>> {
    let mut condition = Condition::new(
        "m.artifact_id = ? AND c.state = 'READY'",
        [Value::Integer(artifact)],
    );
    condition.and_condition(projects::visible(viewer));
    let listing = Listing {
        columns: MEMBERSHIP,
        from: "memberships m JOIN collections c ON c.id = m.collection_id JOIN projects p ON p.id = c.project_id",
        id: "m.id",
        condition,
        order: Order {
            key: "m.id",
            descending: false,
        },
    };
    listing.page(db, request, membership_row)
}

/// The newest committed version of a sequence.
pub(crate) fn newest(db: &Connection, collection: i64) -> Result<Option<VersionRow>> {
    let sql = format!(
        "SELECT {VERSION} FROM memberships m JOIN artifacts a ON a.id = m.artifact_id
         WHERE m.collection_id = ? AND m.state = 'COMMITTED' ORDER BY m.version_index DESC LIMIT 1"
    );
    Ok(db
        .prepare_cached(&sql)?
        .query_row([collection], |row| version_row(row, 0))
        .optional()?)
}

/// Changes fields and tags of a version.
pub(crate) fn update(tx: &Transaction<'_>, id: i64, change: &VersionChange) -> Result<()> {
    for (what, text) in [("metadata", &change.metadata), ("labels", &change.labels)] {
        if let Some(text) = text {
            serde_json::from_str::<serde_json::Value>(text)
                .map_err(|error| StoreError::invalid(format!("{what} is not JSON: {error}")))?;
        }
    }
    if change.ttl.is_some_and(|ttl| ttl < -2) {
        return Err(StoreError::invalid(
            "ttlDurationSeconds must be positive, -1 or -2",
        ));
    }
    tx.execute(
        "UPDATE artifacts SET description = COALESCE(?2, description), metadata = COALESCE(?3, metadata),
         labels = COALESCE(?4, labels), ttl = CASE WHEN ?5 = -1 THEN NULL ELSE COALESCE(?5, ttl) END, updated_at = ?6 WHERE id = ?1",
        params![id, change.description, change.metadata, change.labels, change.ttl, time::now()],
    )?;
    tags::remove(tx, Owner::Artifact(id), &change.tags_to_delete)?;
    tags::add(tx, Owner::Artifact(id), &change.tags_to_add)
}

/// Deletes a version: it leaves all listings, its links go, its number is not used again.
///
/// # Errors
/// [`StoreError::Conflict`] if it has aliases and `delete_aliases` is false.
pub(crate) fn delete(tx: &Transaction<'_>, found: &VersionRow, delete_aliases: bool) -> Result<()> {
    let aliases = aliases::of_version(tx, found.id, None)?;
    if !delete_aliases && !aliases.is_empty() {
        let names = aliases
            .iter()
            .map(|row| row.alias.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        return Err(StoreError::Conflict(format!(
            "cannot delete an artifact version with aliases ({names})"
        )));
    }
    tx.execute("DELETE FROM aliases WHERE artifact_id = ?", [found.id])?;
    tx.execute(
        "DELETE FROM memberships WHERE artifact_id = ? AND collection_id <> ?",
        [found.id, found.sequence_id],
    )?;
    tx.execute(
        "UPDATE memberships SET state = 'DELETED' WHERE artifact_id = ?",
        [found.id],
    )?;
    tx.execute(
        "UPDATE artifacts SET state = 'DELETED', updated_at = ?2 WHERE id = ?1",
        params![found.id, time::now()],
    )?;
    if aliases
        .iter()
        .any(|row| row.alias == "latest" && row.collection_id == found.sequence_id)
    {
        // `latest` stays on the newest version there is.
        if let Some(newest) = newest(tx, found.sequence_id)? {
            aliases::set(tx, found.sequence_id, newest.id, "latest")?;
        }
    }
    collections::touch(tx, found.sequence_id)
}
