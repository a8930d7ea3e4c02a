//! Mutations of runs.

use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Args, Cx, Out, file::File, payload::Payload, read, run::Run, viewer, write};
use crate::server::store::{
    Kind, StoreError, projects,
    projects::Viewer,
    runs::{self, RunChange, RunRow},
};

/// Project of a run for which none was named.
const DEFAULT_PROJECT: &str = "uncategorized";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Upsert {
    id: Option<String>,
    name: Option<String>,
    model_name: Option<String>,
    entity_name: Option<String>,
    display_name: Option<String>,
    group_name: Option<String>,
    job_type: Option<String>,
    job_program: Option<String>,
    description: Option<String>,
    notes: Option<String>,
    commit: Option<String>,
    host: Option<String>,
    config: Option<String>,
    summary_metrics: Option<String>,
    state: Option<String>,
    sweep: Option<String>,
    tags: Option<Vec<String>>,
}

impl Upsert {
    /// What it sets on the run.
    fn change(&self) -> Result<RunChange<'_>, StoreError> {
        for (what, text) in [
            ("config", &self.config),
            ("summaryMetrics", &self.summary_metrics),
        ] {
            if text.as_deref().is_some_and(|text| {
                serde_json::from_str::<serde_json::Map<String, Value>>(text).is_err()
            }) {
                return Err(StoreError::invalid(format!("{what} is not a JSON object")));
            }
        }
        Ok(RunChange {
            display_name: self.display_name.as_deref(),
            state: self.state.as_deref(),
            group: self.group_name.as_deref(),
            job_type: self.job_type.as_deref(),
            sweep: self.sweep.as_deref(),
            commit: self.commit.as_deref(),
            host: self.host.as_deref(),
            program: self.job_program.as_deref(),
            description: self.description.as_deref(),
            notes: self.notes.as_deref(),
            tags: self.tags.as_ref().map(serde_json::to_string).transpose()?,
            config: self.config.as_deref(),
            summary: self.summary_metrics.as_deref(),
        })
    }
}

/// `upsertBucket`: makes or changes a run, and its project if that is missing.
pub(super) async fn upsert(cx: &Cx, args: &Args) -> Answer {
    let input: Upsert = args.deserialize("input")?;
    let me = viewer(cx);
    let default_entity = cx.caller.entity.clone();
    let (id, inserted) = write(cx, move |store| {
        store.write(|tx| {
            let (run, inserted) = match input.id.as_deref().and_then(|id| Kind::Run.parse(id)) {
                Some(id) => (writable(tx, me, id)?, false),
                None => {
                    let name = input.name.as_deref().or(input.id.as_deref());
                    let name =
                        name.ok_or_else(|| StoreError::invalid("the run's name is missing"))?;
                    let entity = input
                        .entity_name
                        .as_deref()
                        .filter(|name| !name.is_empty())
                        .unwrap_or(&default_entity);
                    let project = input
                        .model_name
                        .as_deref()
                        .filter(|name| !name.is_empty())
                        .unwrap_or(DEFAULT_PROJECT);
                    let (project, _) = projects::ensure(tx, me, entity, project)?;
                    runs::ensure(tx, project.id, me.user_id, name)?
                }
            };
            let change = input.change()?;
            runs::update(tx, run.id, &change)?;
            Ok((run.id, inserted))
        })
    })
    .await?;
    let run = read(cx, |db| {
        runs::run(db, id)?.ok_or_else(|| StoreError::not_found("run"))
    })?;
    let made = Payload::new("UpsertBucketPayload")
        .value("inserted", inserted)
        .value("updateAvailable", false)
        .node(
            "serverSettings",
            Payload::new("ServerSettings").nodes("serverMessages", [] as [Payload; 0]),
        );
    Ok(Out::node(made.node("bucket", Run(run))))
}

/// A run that the viewer may change.
fn writable(tx: &rusqlite::Transaction<'_>, viewer: Viewer, id: i64) -> Result<RunRow, StoreError> {
    let run = runs::run(tx, id)?.ok_or_else(|| StoreError::not_found("run"))?;
    let project = projects::project(tx, viewer, run.project_id)?
        .ok_or_else(|| StoreError::not_found("run"))?;
    projects::check_writable(tx, viewer, &project)?;
    Ok(run)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Files {
    entity_name: String,
    project_name: String,
    run_name: String,
    files: Vec<String>,
}

/// `createRunFiles`.
pub(super) async fn create_files(cx: &Cx, args: &Args) -> Answer {
    let input: Files = args.deserialize("input")?;
    let me = viewer(cx);
    let (run, rows) = write(cx, move |store| {
        store.write(|tx| {
            let project = projects::writable(tx, me, &input.entity_name, &input.project_name)?;
            let run = runs::named(tx, project.id, &input.run_name)?
                .ok_or_else(|| StoreError::not_found("run"))?;
            let rows = input
                .files
                .iter()
                .map(|name| runs::ensure_file(tx, run.id, name))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((run.id, rows))
        })
    })
    .await?;
    let made = Payload::new("CreateRunFilesPayload").value("runID", Kind::Run.id(run));
    Ok(Out::node(
        made.value("uploadHeaders", Value::Array(Vec::new()))
            .nodes("files", rows.into_iter().map(File::Run)),
    ))
}

/// `markRunFilesUploaded`: nothing to do, an upload speaks for itself here.
pub(super) fn mark_uploaded(cx: &Cx, args: &Args) -> Answer {
    let input: Files = args.deserialize("input")?;
    read(cx, |db| {
        projects::writable(db, viewer(cx), &input.entity_name, &input.project_name)
    })?;
    Ok(Out::node(Payload::success("MarkRunFilesUploadedPayload")))
}

/// `deleteFiles`: of runs; files of versions cannot be deleted one by one.
pub(super) async fn delete_files(cx: &Cx, args: &Args) -> Answer {
    #[derive(Deserialize)]
    struct Delete {
        files: Vec<String>,
    }
    let input: Delete = args.deserialize("input")?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            for id in &input.files {
                let file = Kind::RunFile
                    .parse(id)
                    .ok_or_else(|| StoreError::not_found("file"))?;
                let run =
                    runs::run_of_file(tx, file)?.ok_or_else(|| StoreError::not_found("file"))?;
                writable(tx, me, run.id)?;
                runs::delete_file(tx, file)?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(Out::node(Payload::success("DeleteFilesPayload")))
}

/// The run that input member `id` names.
fn run_id(args: &Args) -> Result<i64, StoreError> {
    let id = args
        .input("input")
        .and_then(|input| input.get("id"))
        .and_then(Value::as_str);
    id.and_then(|id| Kind::Run.parse(id))
        .ok_or_else(|| StoreError::not_found("run"))
}

/// `deleteRun`.
pub(super) async fn delete(cx: &Cx, args: &Args) -> Answer {
    let id = run_id(args)?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let run = writable(tx, me, id)?;
            runs::delete(tx, run.id)
        })
    })
    .await?;
    Ok(Out::node(Payload::new("DeleteRunPayload")))
}

/// `stopRun`.
pub(super) async fn stop(cx: &Cx, args: &Args) -> Answer {
    let id = run_id(args)?;
    let me = viewer(cx);
    write(cx, move |store| {
        store.write(|tx| {
            let run = writable(tx, me, id)?;
            runs::update(
                tx,
                run.id,
                &RunChange {
                    state: Some("killed"),
                    ..RunChange::default()
                },
            )
        })
    })
    .await?;
    Ok(Out::node(Payload::success("StopRunPayload")))
}

/// `notifyScriptableRunAlert`: accepted, nobody is told.
pub(super) fn alert() -> Answer {
    Ok(Out::node(Payload::success(
        "NotifyScriptableRunAlertPayload",
    )))
}
