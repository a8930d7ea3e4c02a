//! A collection: its versions, their aliases as links, and `collection.json`.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::alias::AliasLink;
use super::names::{Decoded, Level};
use super::node::Child;
use super::place::{CollectionDir, Node, Place, join};
use super::shared::{Answer, PageOf, Shared, child_of};
use super::version::VersionDir;
use crate::model::{Error, ListOptions, PageRequest, VersionIndex, VersionSelector};

/// One name: one request where it is not remembered. `vN` is a version; what the server finds under
/// any other name (alias, digest, commit hash) is a link to one.
pub(crate) async fn child(shared: &Arc<Shared>, dir: &Arc<CollectionDir>, file: &OsStr) -> Answer {
    let dir = &shared.current(dir);
    let node = Node(Place::Collection(dir.clone()));
    let name = match Level::Collection.decode(file) {
        Decoded::Name(name) => name,
        Decoded::Shortened => return shared.find_listed(&node, file).await,
        Decoded::Impossible => return shared.nothing(),
    };
    match VersionSelector::parse(&name) {
        Ok(VersionSelector::Index(index)) => version(shared, dir, index).await,
        // A colon ends the collection's part of a name on the wire, so no alias holds one.
        Ok(VersionSelector::Name(name)) if !name.contains(':') => alias(shared, dir, &name).await,
        _ => shared.nothing(),
    }
}

/// The version of that number.
pub(crate) async fn version(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
    index: VersionIndex,
) -> Answer {
    let dir = &shared.current(dir);
    let key = join(&dir.key, &index.to_string());
    let (ask, dir) = (shared.clone(), dir.clone());
    shared
        .answer(key, move || async move {
            let at = Instant::now();
            let selector = VersionSelector::Index(index);
            let value = ask.hub.version(&dir.path, &selector).await?;
            let value = value.filter(|value| value.is_committed());
            Ok(value.map(|value| Node(Place::Version(Arc::new(VersionDir::new(&dir, value, at))))))
        })
        .await
}

async fn alias(shared: &Arc<Shared>, dir: &Arc<CollectionDir>, name: &Arc<str>) -> Answer {
    if let Some(pinned) = shared.pinned(dir, name) {
        return shared.known(pinned);
    }
    let key = join(&dir.key, &Level::Collection.escape(name));
    let (ask, dir, name) = (shared.clone(), dir.clone(), name.clone());
    shared
        .answer(key, move || async move {
            let at = Instant::now();
            let selector = VersionSelector::Name(name.clone());
            let value = ask.hub.version(&dir.path, &selector).await?;
            let Some(value) = value.filter(|value| value.is_committed()) else {
                return Ok(None);
            };
            let version = Arc::new(VersionDir::new(&dir, value, at));
            let link = ask.link(&dir, &name, &version);
            // Whoever asks for an alias goes on to its version.
            ask.remember(version.key.clone(), Node(Place::Version(version)), at);
            Ok(Some(link))
        })
        .await
}

impl Shared {
    /// The link of an alias, or the one that it was when this mount first saw it.
    fn link(&self, dir: &Arc<CollectionDir>, name: &str, version: &VersionDir) -> Node {
        let link = || Node(Place::Alias(Arc::new(AliasLink::new(dir, name, version))));
        if !self.options.pin_aliases {
            return link();
        }
        let key = join(&dir.key, &Level::Collection.escape(name));
        self.pins.lock().entry(key).or_insert_with(link).clone()
    }

    fn pinned(&self, dir: &CollectionDir, name: &str) -> Option<Node> {
        if !self.options.pin_aliases {
            return None;
        }
        let key = join(&dir.key, &Level::Collection.escape(name));
        self.pins.lock().get(&key).cloned()
    }
}

/// One page of committed versions, each followed by its aliases.
pub(crate) async fn page(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
    options: &ListOptions,
    request: &PageRequest,
) -> Result<PageOf, Error> {
    let at = Instant::now();
    let dir = &shared.current(dir);
    let page = shared.hub.versions(&dir.path, options, request).await?;
    let mut children: Vec<Child> = Vec::with_capacity(page.items.len());
    for value in page.items.into_iter().filter(|value| value.is_committed()) {
        let version = Arc::new(VersionDir::new(dir, value, at));
        children.push(child_of(Node(Place::Version(version.clone()))));
        for alias in &version.value().aliases {
            if VersionIndex::parse(alias).is_none() {
                children.push(child_of(shared.link(dir, alias, &version)));
            }
        }
    }
    Ok(PageOf {
        children: children.into(),
        next: page.next,
    })
}
