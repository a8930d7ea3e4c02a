//! Runs: `.runs/<id>/run.json`.

use std::sync::Arc;
use std::time::Instant;

use super::super::metadata::{self, Rendered};
use super::super::names::unescape;
use super::super::place::{Node, Place, join};
use super::super::shared::{Answer, Shared};
use super::links::name_of;
use super::{View, ViewDir};
use crate::model::{Error, ProjectPath, Run, RunName, RunPath};

/// The metadata file of a run.
pub(crate) const RUN_FILE: &str = "run.json";

/// The project that a view is in.
pub(super) fn project_of(dir: &ViewDir) -> Option<ProjectPath> {
    let mut node = dir.parent.clone();
    loop {
        match &node.0 {
            Place::Project(project) => return Some(project.path.clone()),
            Place::Type(of) => return Some(of.path.project.clone()),
            Place::Collection(of) => return Some(of.path.project.clone()),
            _ => node = node.above()?,
        }
    }
}

/// A run by its id: one request where it is not remembered.
pub(super) async fn child(shared: &Arc<Shared>, dir: &Arc<ViewDir>, name: &str) -> Answer {
    let run = unescape(name).and_then(|name| RunName::new(&name).ok());
    let (Some(project), Some(run)) = (project_of(dir), run) else {
        return shared.nothing();
    };
    let path = RunPath { project, name: run };
    let (ask, parent) = (shared.clone(), Node(Place::View(dir.clone())));
    shared
        .answer(join(&dir.identity, name), move || async move {
            let at = Instant::now();
            let value = ask.hub.run(&path).await?;
            Ok(value.map(|value| run_node(&parent, value, at)))
        })
        .await
}

/// The directory of a run that was asked for at `at`.
pub(super) fn run_node(parent: &Node, value: Run, at: Instant) -> Node {
    let path = RunPath {
        project: value.project.clone(),
        name: value.name.clone(),
    };
    let name = name_of(&value);
    let value = Box::new(value);
    ViewDir::new(parent, &name, View::Run { path, value, at })
}

/// `run.json`, asked for again when it has grown old.
pub(crate) async fn run_file(shared: &Arc<Shared>, dir: &Arc<ViewDir>) -> Result<Rendered, Error> {
    let gone = || shared.vanished(&Node(Place::View(dir.clone())));
    if let View::Run { value, at, .. } = &dir.view
        && shared.counts(*at)
    {
        return Ok(metadata::run(shared, value, *at));
    }
    let Place::View(runs) = &dir.parent.0 else {
        return Err(gone());
    };
    let Some(Node(Place::View(fresh))) = child(shared, runs, &dir.name).await?.0 else {
        return Err(gone());
    };
    match &fresh.view {
        View::Run { value, at, .. } => Ok(metadata::run(shared, value, *at)),
        _ => Err(gone()),
    }
}
