//! The root of a mount of everything: entities, `README.md`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::names::{Decoded, Level};
use super::place::{EntityDir, Named, Node, Place};
use super::shared::{Answer, PageOf, Shared, child_of};
use crate::model::{Entity, EntityName, Error};

/// The root of the mount.
#[derive(Debug)]
pub(crate) struct RootDir;

/// How to use the mount, for whoever lands in it.
pub(crate) const README: &str = include_str!("readme.md");

/// The node of an entity, known or not.
pub(crate) fn entity_node(parent: Option<Node>, name: EntityName, value: Option<Entity>) -> Node {
    let file = Level::Root.escape(name.as_str());
    Node(Place::Entity(Arc::new(Named {
        parent,
        key: file.as_str().into(),
        identity: file.as_str().into(),
        path: name,
        name: file,
        value,
        at: Instant::now(),
    })))
}

/// One name. The viewer's entities cost no request, any other possible one costs one.
pub(crate) async fn child(shared: &Arc<Shared>, root: &Arc<RootDir>, file: &OsStr) -> Answer {
    if file == "README.md" {
        return shared.known(Node(Place::Readme(root.clone())));
    }
    let dir = Node(Place::Root(root.clone()));
    let name = match Level::Root.decode(file) {
        Decoded::Name(name) => name,
        Decoded::Shortened => return shared.find_listed(&dir, file).await,
        Decoded::Impossible => return shared.nothing(),
    };
    let Ok(entity) = EntityName::new(&name) else {
        return shared.nothing();
    };
    if shared.viewer().await?.entities.contains(&entity) {
        return shared.known(entity_node(Some(dir), entity, None));
    }
    if !EntityName::is_possible(&name) {
        return shared.nothing();
    }
    fetch(shared, Some(dir), entity).await
}

/// An entity as the server knows it.
pub(crate) async fn fetch(shared: &Arc<Shared>, parent: Option<Node>, name: EntityName) -> Answer {
    let key = Level::Root.escape(name.as_str()).into();
    let ask = shared.clone();
    shared
        .answer(key, move || async move {
            let value = ask.hub.entity(&name).await?;
            Ok(value.map(|value| entity_node(parent, name, Some(value))))
        })
        .await
}

/// An entity directory whose value is there and still counts.
pub(crate) async fn refresh(
    shared: &Arc<Shared>,
    dir: &Arc<EntityDir>,
) -> Result<Arc<EntityDir>, Error> {
    if dir.value.is_some() && shared.counts(dir.at) {
        return Ok(dir.clone());
    }
    let answer = fetch(shared, dir.parent.clone(), dir.path.clone()).await?;
    match answer.0 {
        Some(Node(Place::Entity(fresh))) => Ok(fresh),
        _ => Err(shared.vanished(&Node(Place::Entity(dir.clone())))),
    }
}

/// The viewer's entities: one page, known since the start.
pub(crate) async fn page(shared: &Arc<Shared>, root: &Arc<RootDir>) -> Result<PageOf, Error> {
    let dir = Node(Place::Root(root.clone()));
    let entities = &shared.viewer().await?.entities;
    let children = entities
        .iter()
        .map(|name| child_of(entity_node(Some(dir.clone()), name.clone(), None)));
    Ok(PageOf {
        children: children.collect(),
        next: None,
    })
}
