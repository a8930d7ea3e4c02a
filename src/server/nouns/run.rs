//! `Run`.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    Answer, Args, Connection, Cx, Edge, Noun, Out, ServerError, artifact::Artifact, connection,
    file::File, nothing, page_request, payload::Payload, project::Project, read, total, user::User,
    viewer,
};
use crate::server::store::{
    Kind, accounts,
    page::Listing,
    projects,
    runs::{self, RunRow},
    versions,
};

/// A run.
pub(super) struct Run(pub(super) RunRow);

#[async_trait]
impl Noun for Run {
    fn type_name(&self) -> &'static str {
        "Run"
    }

    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Answer {
        let run = &self.0;
        Ok(match name {
            "id" => Out::value(Kind::Run.id(run.id)),
            "name" => Out::value(run.name.as_str()),
            "displayName" => Out::value(run.display_name.clone()),
            "projectId" => Out::value(run.project_id.to_string()),
            "state" => Out::value(run.state.as_str()),
            "stopped" | "shouldStop" => Out::value(false),
            "group" => Out::value(run.group.clone()),
            "jobType" => Out::value(run.job_type.clone()),
            "sweepName" => Out::value(run.sweep.clone()),
            "commit" => Out::value(run.commit.clone()),
            "host" => Out::value(run.host.clone()),
            "description" => Out::value(run.description.clone()),
            "notes" => Out::value(run.notes.clone()),
            "tags" => Out::value(parsed(&run.tags)?),
            "createdAt" => Out::value(run.created_at.as_str()),
            "updatedAt" | "heartbeatAt" => Out::value(run.updated_at.as_str()),
            "config" => Out::value(chosen(&run.config, args)?),
            "wandbConfig" => Out::value(wandb_config(&run.config)?),
            "summaryMetrics" => Out::value(chosen(&run.summary, args)?),
            "project" => Out::maybe(
                read(cx, |db| projects::project(db, viewer(cx), run.project_id))?.map(Project::new),
            ),
            "readOnly" => {
                let project = read(cx, |db| projects::project(db, viewer(cx), run.project_id))?;
                let role = project.map_or(Ok(None), |project| {
                    read(cx, |db| projects::role(db, viewer(cx), &project))
                })?;
                Out::value(cx.caller.read_only || !role.is_some_and(accounts::Role::writes))
            }
            "user" => match run.user_id {
                Some(id) => Out::maybe(read(cx, |db| accounts::user(db, id))?.map(User)),
                None => Out::Null,
            },
            "fileCount" => Out::value(read(cx, |db| runs::files(run.id, None)?.count(db))?),
            "files" => return self.files(cx, args),
            "inputArtifacts" => return self.inputs(cx, args),
            "outputArtifacts" => return self.outputs(cx, args),
            _ => return self.history(name),
        })
    }
}

impl Run {
    /// Metrics and logs: this server keeps artifacts, not metrics.
    fn history(&self, name: &str) -> Answer {
        Ok(match name {
            "systemMetrics" => Out::value("{}"),
            "historyKeys" => Out::Null,
            "historyLineCount" | "eventsLineCount" | "logLineCount" => Out::value(0),
            // One empty row: SDK 0.19 takes the last row of the list for granted.
            "historyTail" | "eventsTail" => Out::value(r#"["{}"]"#),
            "history" | "sampledHistory" | "events" => Out::Value(Value::Array(Vec::new())),
            "logLines" => Out::node(nothing("LogLineConnection")),
            "parquetHistory" => Out::node(
                Payload::new("ParquetHistory")
                    .value("parquetUrls", Value::Array(Vec::new()))
                    .value("liveData", Value::Array(Vec::new())),
            ),
            _ => return Err(ServerError::unknown_field("Run", name)),
        })
    }

    fn files(&self, cx: &Cx, args: &Args) -> Answer {
        let names = args.strings("names");
        let listing = runs::files(self.0.id, names.as_deref())?;
        let page = read(cx, |db| runs::file_page(db, &listing, &page_request(args)))?;
        let made = connection("FileConnection", page, File::Run).total(total(listing));
        Ok(Out::node(
            made.with("uploadHeaders", Value::Array(Vec::new())),
        ))
    }

    fn outputs(&self, cx: &Cx, args: &Args) -> Answer {
        let listing = versions::run_listing(self.0.id, viewer(cx), "output", args.str("filters"))?;
        let page = read(cx, |db| versions::page(db, &listing, &page_request(args)))?;
        Ok(Out::node(
            connection("ArtifactConnection", page, |(_, version)| Artifact(version))
                .total(total(listing)),
        ))
    }

    fn inputs(&self, cx: &Cx, args: &Args) -> Answer {
        let listing = versions::run_listing(self.0.id, viewer(cx), "input", args.str("filters"))?;
        let page = read(cx, |db| versions::page(db, &listing, &page_request(args)))?;
        let mut edges = Vec::with_capacity(page.items.len());
        for (cursor, (_, version)) in page.items {
            let used_as: Vec<String> = read(cx, |db| runs::used_as(db, self.0.id, version.id))?
                .into_iter()
                .collect();
            edges.push(Edge::new(cursor, Artifact(version)).with("usedAs", used_as));
        }
        let made = Connection::new("InputArtifactConnection", edges, page.has_next)
            .after_others(page.has_previous);
        Ok(Out::node(made.total(total(listing))))
    }
}

fn parsed(text: &str) -> Result<Value, ServerError> {
    serde_json::from_str(text).map_err(|error| ServerError::internal("reading a run", error))
}

/// A stored object, narrowed to the keys asked for.
fn chosen(text: &str, args: &Args) -> Result<String, ServerError> {
    let Some(keys) = args.strings("keys") else {
        return Ok(text.to_owned());
    };
    let Value::Object(map) = parsed(text)? else {
        return Ok(text.to_owned());
    };
    let kept: Map<String, Value> = map
        .into_iter()
        .filter(|(key, _)| keys.contains(&key.as_str()))
        .collect();
    Ok(Value::Object(kept).to_string())
}

/// The client library's own part of the configuration. It must hold `t`, or a run cannot be resumed.
fn wandb_config(config: &str) -> Result<String, ServerError> {
    let own = parsed(config)?.pointer("/_wandb/value").cloned();
    let mut own = own
        .filter(Value::is_object)
        .unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(map) = own.as_object_mut() {
        map.entry("t").or_insert_with(|| Value::Object(Map::new()));
    }
    Ok(own.to_string())
}

/// The runs of a project, or how many there are.
pub(super) fn of_project(cx: &Cx, project: i64, only_count: bool, args: &Args) -> Answer {
    let listing = runs::listing(project, args.str("filters"), args.str("order"))?;
    if only_count {
        return Ok(Out::value(read(cx, |db| listing.count(db))?));
    }
    page(cx, listing, args)
}

/// The runs that use a version.
pub(super) fn using(cx: &Cx, artifact: i64, args: &Args) -> Answer {
    page(
        cx,
        runs::using(artifact, viewer(cx), args.str("filters"))?,
        args,
    )
}

fn page(cx: &Cx, listing: Listing, args: &Args) -> Answer {
    let page = read(cx, |db| runs::page(db, &listing, &page_request(args)))?;
    Ok(Out::node(
        connection("RunConnection", page, Run).total(total(listing)),
    ))
}
