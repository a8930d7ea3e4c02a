//! An artifact type: its collections and `type.json`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::names::{Decoded, Level};
use super::place::{CollectionDir, Named, Node, Place, TypeDir, join};
use super::shared::{Answer, PageOf, Shared, child_of};
use crate::model::{Collection, CollectionName, CollectionPath, Error, ListOptions, PageRequest};

pub(crate) fn key(path: &CollectionPath) -> Arc<str> {
    let project = join(
        &Level::Root.escape(path.project.entity.as_str()),
        &Level::Entity.escape(path.project.project.as_str()),
    );
    let artifact_type = join(
        &project,
        &Level::Project.escape(path.artifact_type.as_str()),
    );
    join(&artifact_type, &Level::Type.escape(path.name.as_str()))
}

/// The node of a collection, known or not. The id is in its identity, since a collection deleted and
/// made anew under the same name numbers its versions from 0 again.
pub(crate) fn collection_node(
    parent: Option<Node>,
    path: CollectionPath,
    value: Option<Collection>,
    at: Instant,
) -> Arc<CollectionDir> {
    let key = key(&path);
    let identity = match &value {
        Some(value) => format!("{key}//{}", value.id).into(),
        None => key.clone(),
    };
    Arc::new(Named {
        parent,
        name: Level::Type.escape(path.name.as_str()),
        path,
        key,
        value,
        at,
        identity,
    })
}

/// One name: one request where it is not remembered.
pub(crate) async fn child(shared: &Arc<Shared>, dir: &Arc<TypeDir>, file: &OsStr) -> Answer {
    let node = Node(Place::Type(dir.clone()));
    let name = match Level::Type.decode(file) {
        Decoded::Name(name) => name,
        Decoded::Shortened => return shared.find_listed(&node, file).await,
        Decoded::Impossible => return shared.nothing(),
    };
    let Ok(name) = CollectionName::new(&name) else {
        return shared.nothing();
    };
    let path = CollectionPath {
        project: dir.path.project.clone(),
        artifact_type: dir.path.artifact_type.clone(),
        name,
    };
    fetch(shared, Some(node), path).await
}

/// A collection as the server knows it.
pub(crate) async fn fetch(
    shared: &Arc<Shared>,
    parent: Option<Node>,
    path: CollectionPath,
) -> Answer {
    let ask = shared.clone();
    shared
        .answer(key(&path), move || async move {
            let at = Instant::now();
            let value = ask.hub.collection(&path).await?;
            Ok(value.map(|value| {
                Node(Place::Collection(collection_node(
                    parent,
                    path,
                    Some(value),
                    at,
                )))
            }))
        })
        .await
}

/// A collection directory whose value is there and still counts.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
) -> Result<Arc<CollectionDir>, Error> {
    let dir = &shared.current(dir);
    if dir.value.is_some() && shared.counts_in(&dir.key, dir.at) {
        return Ok(dir.clone());
    }
    let answer = fetch(shared, dir.parent.clone(), dir.path.clone()).await?;
    match answer.0 {
        Some(Node(Place::Collection(fresh))) => Ok(fresh),
        _ => Err(shared.vanished(&Node(Place::Collection(dir.clone())))),
    }
}

/// One page of collections.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    dir: &Arc<TypeDir>,
    options: &ListOptions,
    request: &PageRequest,
) -> Result<PageOf, Error> {
    let at = Instant::now();
    let node = Node(Place::Type(dir.clone()));
    let page = shared.hub.collections(&dir.path, options, request).await?;
    let children = page.items.into_iter().map(|collection| {
        let path = CollectionPath {
            project: dir.path.project.clone(),
            artifact_type: dir.path.artifact_type.clone(),
            name: collection.path.name.clone(),
        };
        let made = collection_node(Some(node.clone()), path, Some(collection), at);
        child_of(Node(Place::Collection(made)))
    });
    Ok(PageOf {
        children: children.collect(),
        next: page.next,
    })
}
