//! The links in views: relative, so that they hold wherever the mount is.

use std::sync::Arc;

use super::super::artifact_type;
use super::super::names::Level;
use super::super::place::{Node, Place, join};
use super::{Selection, ViewDir, ViewLink};
use crate::model::{ArtifactVersion, ProjectPath, Run, RunName, RunRef};

/// Directories from what a run logged or used (`.runs/<id>/logged`) up to its project.
const RUN_TO_PROJECT: usize = 3;

/// Directories from `<type>/<collection>/<version>/.lineage/used_by` up to the project.
const LINEAGE_TO_PROJECT: usize = 5;

fn link(dir: &Arc<ViewDir>, name: String, target: String, changed_at: Option<String>) -> Node {
    Node(Place::ViewLink(Arc::new(ViewLink {
        dir: dir.clone(),
        name,
        target,
        changed_at,
    })))
}

/// A node of a selection, under a name of the view.
pub(super) fn member_link(
    dir: &Arc<ViewDir>,
    selection: &Selection,
    node: &Node,
    name: String,
) -> Node {
    let base = selection.base.identity();
    let mut depth = 0;
    let mut above = Some(Node(Place::View(dir.clone())));
    while let Some(node) = above.filter(|node| node.identity() != base) {
        depth += 1;
        above = node.above();
    }
    let changed_at = match &node.0 {
        Place::Version(version) => version.value().created_at.clone(),
        Place::Collection(dir) => dir.value.as_ref().and_then(|value| {
            let updated = value.updated_at.as_ref();
            updated.or(value.created_at.as_ref()).cloned()
        }),
        _ => None,
    };
    let target = format!("{}{}", "../".repeat(depth), node.name());
    link(dir, name, target, changed_at)
}

/// The way from a view, `depth` directories below `home`, to something in `project`.
fn into_project(depth: usize, home: &ProjectPath, project: &ProjectPath) -> String {
    if home == project {
        return "../".repeat(depth);
    }
    let (entity, name) = (project.entity.as_str(), project.project.as_str());
    let path = join(&Level::Root.escape(entity), &Level::Entity.escape(name));
    format!("{}{path}/", "../".repeat(depth + 2))
}

/// A version that a run logged or used: `<collection>:<version>`.
pub(super) fn artifact_link(
    dir: &Arc<ViewDir>,
    home: &ProjectPath,
    value: &ArtifactVersion,
) -> Node {
    let path = &value.collection;
    let name = format!("{}:{}", Level::Type.escape(path.name.as_str()), value.index);
    let key = artifact_type::key(path);
    let inside = key.splitn(3, '/').nth(2).unwrap_or_default();
    let way = into_project(RUN_TO_PROJECT, home, &path.project);
    let target = format!("{way}{inside}/{}", value.index);
    link(dir, name, target, value.created_at.clone())
}

/// A run that made or uses a version. `None` for one whose project the caller may not see.
pub(super) fn run_link(dir: &Arc<ViewDir>, home: &ProjectPath, run: &RunRef) -> Option<Node> {
    let project = match (&run.entity, &run.project) {
        (Some(entity), Some(project)) => ProjectPath {
            entity: crate::model::EntityName::new(entity).ok()?,
            project: crate::model::ProjectName::new(project).ok()?,
        },
        _ => home.clone(),
    };
    let way = into_project(LINEAGE_TO_PROJECT, home, &project);
    let name = run_name(&RunName::new(&run.name).ok()?);
    let target = format!("{way}{}/{name}", super::RUNS);
    Some(link(dir, name, target, None))
}

/// File name of a run.
pub(crate) fn run_name(run: &RunName) -> String {
    super::super::names::escape(run.as_str(), false).into_owned()
}

/// File name of a run that was listed.
pub(super) fn name_of(run: &Run) -> String {
    run_name(&run.name)
}
