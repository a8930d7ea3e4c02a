//! An entity: its projects, registries among them, and `entity.json`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::names::{Decoded, Level};
use super::place::{EntityDir, Named, Node, Place, ProjectDir, join};
use super::shared::{Answer, PageOf, Shared, child_of};
use crate::model::{Error, PageRequest, Project, ProjectName, ProjectPath};

/// The node of a project, known or not.
pub(crate) fn project_node(
    parent: Option<Node>,
    path: ProjectPath,
    value: Option<Project>,
    at: Instant,
) -> Node {
    let file = Level::Entity.escape(path.project.as_str());
    let key = join(&Level::Root.escape(path.entity.as_str()), &file);
    Node(Place::Project(Arc::new(Named {
        parent,
        path,
        name: file,
        identity: key.clone(),
        key,
        value,
        at,
    })))
}

/// One name: one request where it is not remembered.
pub(crate) async fn child(shared: &Arc<Shared>, dir: &Arc<EntityDir>, file: &OsStr) -> Answer {
    let node = Node(Place::Entity(dir.clone()));
    let name = match Level::Entity.decode(file) {
        Decoded::Name(name) => name,
        Decoded::Shortened => return shared.find_listed(&node, file).await,
        Decoded::Impossible => return shared.nothing(),
    };
    let Ok(project) = ProjectName::new(&name) else {
        return shared.nothing();
    };
    let path = ProjectPath {
        entity: dir.path.clone(),
        project,
    };
    fetch(shared, Some(node), path).await
}

/// A project as the server knows it.
pub(crate) async fn fetch(shared: &Arc<Shared>, parent: Option<Node>, path: ProjectPath) -> Answer {
    let key = join(
        &Level::Root.escape(path.entity.as_str()),
        &Level::Entity.escape(path.project.as_str()),
    );
    let ask = shared.clone();
    shared
        .answer(key, move || async move {
            let at = Instant::now();
            let value = ask.hub.project(&path).await?;
            Ok(value.map(|value| project_node(parent, path, Some(value), at)))
        })
        .await
}

/// A project directory whose value is there and still counts.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    dir: &Arc<ProjectDir>,
) -> Result<Arc<ProjectDir>, Error> {
    if dir.value.is_some() && shared.counts(dir.at) {
        return Ok(dir.clone());
    }
    let answer = fetch(shared, dir.parent.clone(), dir.path.clone()).await?;
    match answer.0 {
        Some(Node(Place::Project(fresh))) => Ok(fresh),
        _ => Err(shared.vanished(&Node(Place::Project(dir.clone())))),
    }
}

/// One page of projects.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    dir: &Arc<EntityDir>,
    request: &PageRequest,
) -> Result<PageOf, Error> {
    let at = Instant::now();
    let node = Node(Place::Entity(dir.clone()));
    let page = shared.hub.projects(&dir.path, request).await?;
    let children = page.items.into_iter().map(|project| {
        let path = ProjectPath {
            entity: dir.path.clone(),
            project: project.path.project.clone(),
        };
        child_of(project_node(Some(node.clone()), path, Some(project), at))
    });
    Ok(PageOf {
        children: children.collect(),
        next: page.next,
    })
}
