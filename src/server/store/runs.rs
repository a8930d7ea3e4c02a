//! Runs: what logs and uses artifacts.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, types::Value};

use super::{
    Result, StoreError,
    blobs::md5_column,
    filter::{self, Condition, Key},
    page::{Listing, Order, Page, PageRequest},
    projects::{self, Viewer},
    time,
};
use crate::server::digest::Digest;

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    /// Row id.
    pub(crate) id: i64,
    /// Its project.
    pub(crate) project_id: i64,
    /// Its id in URLs.
    pub(crate) name: String,
    /// The human name.
    pub(crate) display_name: Option<String>,
    /// Who started it.
    pub(crate) user_id: Option<i64>,
    /// `running`, `finished`, …
    pub(crate) state: String,
    /// Group.
    pub(crate) group: Option<String>,
    /// Job type.
    pub(crate) job_type: Option<String>,
    /// Sweep.
    pub(crate) sweep: Option<String>,
    /// Commit of the code.
    pub(crate) commit: Option<String>,
    /// Where it runs.
    pub(crate) host: Option<String>,
    /// Description.
    pub(crate) description: Option<String>,
    /// Notes.
    pub(crate) notes: Option<String>,
    /// JSON list.
    pub(crate) tags: String,
    /// JSON object.
    pub(crate) config: String,
    /// JSON object.
    pub(crate) summary: String,
    /// When it was made.
    pub(crate) created_at: String,
    /// When it last said something.
    pub(crate) updated_at: String,
}

/// What [`upsert`] sets; `None` leaves a field.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunChange<'a> {
    /// The human name.
    pub(crate) display_name: Option<&'a str>,
    /// State.
    pub(crate) state: Option<&'a str>,
    /// Group.
    pub(crate) group: Option<&'a str>,
    /// Job type.
    pub(crate) job_type: Option<&'a str>,
    /// Sweep.
    pub(crate) sweep: Option<&'a str>,
    /// Commit of the code.
    pub(crate) commit: Option<&'a str>,
    /// Host.
    pub(crate) host: Option<&'a str>,
    /// Program.
    pub(crate) program: Option<&'a str>,
    /// Description.
    pub(crate) description: Option<&'a str>,
    /// Notes.
    pub(crate) notes: Option<&'a str>,
    /// JSON list.
    pub(crate) tags: Option<String>,
    /// JSON object.
    pub(crate) config: Option<&'a str>,
    /// JSON object.
    pub(crate) summary: Option<&'a str>,
}

/// A file of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunFileRow {
    /// Row id.
    pub(crate) id: i64,
    /// The run.
    pub(crate) run_id: i64,
    /// Name.
    pub(crate) name: String,
    /// Content, once uploaded.
    pub(crate) md5: Option<Digest>,
    /// Bytes.
    pub(crate) size: i64,
    /// When it was last announced or uploaded.
    pub(crate) updated_at: String,
}

const COLUMNS: &str = "r.id, r.project_id, r.name, r.display_name, r.user_id, r.state, r.run_group, r.job_type, r.sweep, r.commit_hash, \
     r.host, r.description, r.notes, r.tags, r.config, r.summary, r.created_at, r.updated_at";
const FILE: &str = "f.id, f.run_id, f.name, f.md5, f.size, f.updated_at";

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get(0)?,
        project_id: row.get(1)?,
        name: row.get(2)?,
        display_name: row.get(3)?,
        user_id: row.get(4)?,
        state: row.get(5)?,
        group: row.get(6)?,
        job_type: row.get(7)?,
        sweep: row.get(8)?,
        commit: row.get(9)?,
        host: row.get(10)?,
        description: row.get(11)?,
        notes: row.get(12)?,
        tags: row.get(13)?,
        config: row.get(14)?,
        summary: row.get(15)?,
        created_at: row.get(16)?,
        updated_at: row.get(17)?,
    })
}

fn file_row(row: &Row<'_>) -> rusqlite::Result<RunFileRow> {
    let md5: Option<Vec<u8>> = row.get(3)?;
    Ok(RunFileRow {
        id: row.get(0)?,
        run_id: row.get(1)?,
        name: row.get(2)?,
        md5: md5.and_then(|bytes| md5_column(&bytes).ok()),
        size: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// A run by row.
pub(crate) fn run(db: &Connection, id: i64) -> Result<Option<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM runs r WHERE r.id = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], run_row)
        .optional()?)
}

/// The run of that id in a project.
pub(crate) fn named(db: &Connection, project: i64, name: &str) -> Result<Option<RunRow>> {
    let sql = format!("SELECT {COLUMNS} FROM runs r WHERE r.project_id = ? AND r.name = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![project, name], run_row)
        .optional()?)
}

/// The run of that id, made if missing. True: it is new.
pub(crate) fn ensure(
    tx: &Transaction<'_>,
    project: i64,
    user: i64,
    name: &str,
) -> Result<(RunRow, bool)> {
    if let Some(found) = named(tx, project, name)? {
        return Ok((found, false));
    }
    if name.is_empty() || name.len() > 128 || name.contains(['/', '\\', '#', '?', '%', ':']) {
        return Err(StoreError::invalid(format!("invalid run id {name:?}")));
    }
    tx.execute(
        "INSERT INTO runs (project_id, name, display_name, user_id, created_at, updated_at) VALUES (?1, ?2, ?2, ?3, ?4, ?4)",
        params![project, name, user, time::now()],
    )?;
    let made = run(tx, tx.last_insert_rowid())?.ok_or_else(|| StoreError::not_found("run"))?;
    Ok((made, true))
}

/// Changes a run.
pub(crate) fn update(tx: &Transaction<'_>, id: i64, change: &RunChange<'_>) -> Result<()> {
    tx.execute(
        "UPDATE runs SET display_name = COALESCE(?2, display_name), state = COALESCE(?3, state), run_group = COALESCE(?4, run_group),
         job_type = COALESCE(?5, job_type), sweep = COALESCE(?6, sweep), commit_hash = COALESCE(?7, commit_hash),
         host = COALESCE(?8, host), program = COALESCE(?9, program), description = COALESCE(?10, description),
         notes = COALESCE(?11, notes), tags = COALESCE(?12, tags), config = COALESCE(?13, config),
         summary = COALESCE(?14, summary), updated_at = ?15 WHERE id = ?1",
        params![
            id, change.display_name, change.state, change.group, change.job_type, change.sweep, change.commit, change.host,
            change.program, change.description, change.notes, change.tags, change.config, change.summary, time::now()
        ],
    )?;
    Ok(())
}

/// Records that a run made or used a version.
pub(crate) fn record(
    tx: &Transaction<'_>,
    run: i64,
    artifact: i64,
    direction: &str,
    used_as: Option<&str>,
) -> Result<()> {
    tx.execute(
        "INSERT INTO run_artifacts (run_id, artifact_id, direction, used_as) VALUES (?, ?, ?, ?)
         ON CONFLICT (run_id, direction, artifact_id) DO UPDATE SET used_as = COALESCE(excluded.used_as, used_as)",
        params![run, artifact, direction, used_as],
    )?;
    Ok(())
}

/// As what a run uses a version.
pub(crate) fn used_as(db: &Connection, run: i64, artifact: i64) -> Result<Option<String>> {
    let mut statement =
        db.prepare_cached("SELECT used_as FROM run_artifacts WHERE run_id = ? AND artifact_id = ? AND direction = 'input'")?;
    Ok(statement
        .query_row([run, artifact], |row| row.get(0))
        .optional()?
        .flatten())
}

/// Deletes a run; what it logged stays.
pub(crate) fn delete(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute("DELETE FROM run_artifacts WHERE run_id = ?", [id])?;
    tx.execute("UPDATE artifacts SET run_id = NULL WHERE run_id = ?", [id])?;
    tx.execute("DELETE FROM runs WHERE id = ?", [id])?;
    Ok(())
}

fn filter_key(name: &str) -> Option<Key> {
    for (prefix, column) in [("config.", "r.config"), ("summary_metrics.", "r.summary")] {
        if let Some(path) = name.strip_prefix(prefix) {
            return Some(Key::Json {
                column,
                path: path.to_owned(),
            });
        }
    }
    Some(match name {
        "id" => Key::Id("r.id"),
        "name" => Key::Text("r.name"),
        "display_name" | "displayName" => Key::Text("r.display_name"),
        "state" => Key::Text("r.state"),
        "group" => Key::Text("r.run_group"),
        "job_type" | "jobType" => Key::Text("r.job_type"),
        "created_at" | "createdAt" => Key::Time("r.created_at"),
        "updated_at" | "updatedAt" | "heartbeat_at" | "heartbeatAt" => Key::Time("r.updated_at"),
        "tags" | "tag" => Key::Set {
            value: "j.value",
            from: "FROM json_each(r.tags) j WHERE 1",
        },
        _ => return None,
    })
}

/// The runs of a project, oldest first unless ordered otherwise.
pub(crate) fn listing(project: i64, filters: Option<&str>, order: Option<&str>) -> Result<Listing> {
    let mut condition = Condition::new("r.project_id = ?", [Value::Integer(project)]);
    condition.and_condition(filter::compile(filters, &filter_key)?);
    let order = Order::parse(
        order,
        Order {
            key: "r.id",
            descending: false,
        },
        |field| {
            Some(match field {
                "id" => "r.id",
                "name" => "r.name",
                "display_name" => "COALESCE(r.display_name, '')",
                "created_at" | "createdAt" => "r.created_at",
                "updated_at" | "updatedAt" | "heartbeat_at" | "heartbeatAt" => "r.updated_at",
                "state" => "r.state",
                _ => return None,
            })
        },
    )?;
    Ok(Listing {
        columns: COLUMNS,
        from: "runs r",
        id: "r.id",
        condition,
        order,
    })
}

/// The runs that use a version, in the order they began to.
pub(crate) fn using(artifact: i64, viewer: Viewer, filters: Option<&str>) -> Result<Listing> {
    let mut condition = Condition::new(
        "ra.artifact_id = ? AND ra.direction = 'input'",
        [Value::Integer(artifact)],
    );
    condition.and_condition(filter::compile(filters, &filter_key)?);
    condition.and_condition(projects::visible(viewer));
    let from =
        "run_artifacts ra JOIN runs r ON r.id = ra.run_id JOIN projects p ON p.id = r.project_id";
    Ok(Listing {
        columns: COLUMNS,
        from,
        id: "ra.id",
        condition,
        order: Order {
            key: "ra.id",
            descending: false,
        },
    })
}

/// A page of runs.
pub(crate) fn page(
    db: &Connection,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<RunRow>> {
    listing.page(db, request, run_row)
}

/// Announces a file of a run.
pub(crate) fn ensure_file(tx: &Transaction<'_>, run: i64, name: &str) -> Result<RunFileRow> {
    tx.execute(
        "INSERT INTO run_files (run_id, name, updated_at) VALUES (?1, ?2, ?3) ON CONFLICT (run_id, name) DO UPDATE SET updated_at = ?3",
        params![run, name, time::now()],
    )?;
    file(tx, run, name)?.ok_or_else(|| StoreError::not_found("file"))
}

/// A file of a run.
pub(crate) fn file(db: &Connection, run: i64, name: &str) -> Result<Option<RunFileRow>> {
    let sql = format!("SELECT {FILE} FROM run_files f WHERE f.run_id = ? AND f.name = ?");
    Ok(db
        .prepare_cached(&sql)?
        .query_row(params![run, name], file_row)
        .optional()?)
}

/// The files of a run by name; with `names`, only those.
pub(crate) fn files(run: i64, names: Option<&[&str]>) -> Result<Listing> {
    let mut condition = Condition::new("f.run_id = ?", [Value::Integer(run)]);
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        condition.and(
            "f.name IN (SELECT value FROM json_each(?))",
            [Value::Text(serde_json::to_string(names)?)],
        );
    }
    Ok(Listing {
        columns: FILE,
        from: "run_files f",
        id: "f.id",
        condition,
        order: Order {
            key: "f.name",
            descending: false,
        },
    })
}

/// A page of files.
pub(crate) fn file_page(
    db: &Connection,
    listing: &Listing,
    request: &PageRequest,
) -> Result<Page<RunFileRow>> {
    listing.page(db, request, file_row)
}

/// Deletes files of a project's runs by row.
pub(crate) fn delete_file(tx: &Transaction<'_>, id: i64) -> Result<()> {
    tx.execute("DELETE FROM run_files WHERE id = ?", [id])?;
    Ok(())
}

/// The run a file belongs to.
pub(crate) fn run_of_file(db: &Connection, id: i64) -> Result<Option<RunRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM runs r WHERE r.id = (SELECT run_id FROM run_files WHERE id = ?)"
    );
    Ok(db
        .prepare_cached(&sql)?
        .query_row([id], run_row)
        .optional()?)
}
