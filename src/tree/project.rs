//! A project: its artifact types and `project.json`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::names::{Decoded, Level};
use super::place::{Named, Node, Place, ProjectDir, TypeDir, join};
use super::shared::{Answer, PageOf, Shared, child_of};
use crate::model::{Error, PageRequest, ProjectArtifactType, ProjectPath, TypeName, TypePath};

fn key(path: &TypePath) -> Arc<str> {
    let ProjectPath { entity, project } = &path.project;
    let parent = join(
        &Level::Root.escape(entity.as_str()),
        &Level::Entity.escape(project.as_str()),
    );
    join(&parent, &Level::Project.escape(path.artifact_type.as_str()))
}

/// The node of an artifact type, known or not.
pub(crate) fn type_node(
    parent: Option<Node>,
    path: TypePath,
    value: Option<ProjectArtifactType>,
    at: Instant,
) -> Node {
    let key = key(&path);
    Node(Place::Type(Arc::new(Named {
        parent,
        name: Level::Project.escape(path.artifact_type.as_str()),
        path,
        identity: key.clone(),
        key,
        value,
        at,
    })))
}

/// One name: one request where it is not remembered.
pub(crate) async fn child(shared: &Arc<Shared>, dir: &Arc<ProjectDir>, file: &OsStr) -> Answer {
    let node = Node(Place::Project(dir.clone()));
    let name = match Level::Project.decode(file) {
        Decoded::Name(name) => name,
        Decoded::Shortened => return shared.find_listed(&node, file).await,
        Decoded::Impossible => return shared.nothing(),
    };
    let Ok(artifact_type) = TypeName::new(&name) else {
        return shared.nothing();
    };
    let path = TypePath {
        project: dir.path.clone(),
        artifact_type,
    };
    fetch(shared, Some(node), path).await
}

/// An artifact type as the server knows it.
pub(crate) async fn fetch(shared: &Arc<Shared>, parent: Option<Node>, path: TypePath) -> Answer {
    let ask = shared.clone();
    shared
        .answer(key(&path), move || async move {
            let at = Instant::now();
            let value = ask.hub.artifact_type(&path).await?;
            Ok(value.map(|value| type_node(parent, path, Some(value), at)))
        })
        .await
}

/// A type directory whose value is there and still counts.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    dir: &Arc<TypeDir>,
) -> Result<Arc<TypeDir>, Error> {
    if dir.value.is_some() && shared.counts(dir.at) {
        return Ok(dir.clone());
    }
    let answer = fetch(shared, dir.parent.clone(), dir.path.clone()).await?;
    match answer.0 {
        Some(Node(Place::Type(fresh))) => Ok(fresh),
        _ => Err(shared.vanished(&Node(Place::Type(dir.clone())))),
    }
}

/// One page of artifact types.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    dir: &Arc<ProjectDir>,
    request: &PageRequest,
) -> Result<PageOf, Error> {
    let at = Instant::now();
    let node = Node(Place::Project(dir.clone()));
    let page = shared.hub.artifact_types(&dir.path, request).await?;
    let children = page.items.into_iter().map(|artifact_type| {
        let path = TypePath {
            project: dir.path.clone(),
            artifact_type: artifact_type.name.clone(),
        };
        child_of(type_node(Some(node.clone()), path, Some(artifact_type), at))
    });
    Ok(PageOf {
        children: children.collect(),
        next: page.next,
    })
}
