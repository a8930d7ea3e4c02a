//! What this mount changed, it sees at once: answers to forget, values that no longer count, and
//! collections that were given another path while somebody is still in them.

use std::sync::Arc;
use std::time::Instant;

use super::artifact_type::{self, collection_node};
use super::change::{Changes, Everywhere};
use super::names::Level;
use super::node::Identity;
use super::place::{CollectionDir, Node, Place, join};
use super::shared::{GRACE, PageOf, Shared};
use super::version::VersionDir;
use super::views;
use crate::model::CollectionPath;

impl Shared {
    /// Forgets everything about a collection, what is below it, and the listings it is in.
    pub(crate) fn forget_collection(&self, path: &CollectionPath) {
        let key = artifact_type::key(path);
        let below = format!("{key}/");
        let is_ours = |text: &str| *text == *key || text.starts_with(&below);
        let above = key.rsplit_once('/').map_or("", |(above, _)| above);
        let project = above.rsplit_once('/').map_or("", |(above, _)| above);
        let runs = format!("{project}/{}/", views::RUNS);
        let of_above = |text: &str| {
            let rest = text.strip_prefix(above);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("/.") || rest.starts_with("//")
            })
        };
        {
            let mut floors = self.floors.lock();
            let kept = self.ttl().max(GRACE);
            floors.retain(|_, at| at.elapsed() < kept);
            floors.insert(key.clone(), Instant::now());
        }
        self.answers
            .forget(|asked| is_ours(asked) || **asked == *above);
        self.aliases.forget(|asked| is_ours(asked));
        self.pages.forget(|page| match &page.dir {
            Identity::Named(dir) => {
                is_ours(dir) || of_above(dir) || **dir == *project || dir.starts_with(&runs)
            }
            Identity::Content { .. } => false,
        });
    }

    /// Whether a value of a collection, or of what is below it, needs no asking again.
    pub(crate) fn counts_in(&self, collection: &Arc<str>, at: Instant) -> bool {
        let changed = self.floors.lock().get(collection).copied();
        self.counts(at) && changed.is_none_or(|changed| at >= changed)
    }

    /// Where a collection is now that this mount has moved it; what it is itself otherwise. Whoever
    /// holds a directory or file of it goes on with the new path.
    pub(crate) fn current(&self, dir: &Arc<CollectionDir>) -> Arc<CollectionDir> {
        let moved = self.moved.lock();
        let found = dir.value.as_ref().and_then(|value| moved.get(&value.id));
        match found {
            Some(now) if dir.at < now.at => now.clone(),
            _ => dir.clone(),
        }
    }

    /// The same directory under the path that this mount gave its collection.
    pub(crate) fn current_node(&self, dir: &Node) -> Node {
        match &dir.0 {
            Place::Collection(dir) => Node(Place::Collection(self.current(dir))),
            Place::Version(version) => {
                let now = self.current(version.collection());
                if Arc::ptr_eq(&now, version.collection()) {
                    return dir.clone();
                }
                let moved = VersionDir::new(&now, version.value().clone(), version.at());
                Node(Place::Version(Arc::new(moved)))
            }
            _ => dir.clone(),
        }
    }

    /// Forgets everything about the collection that a node is or is in.
    pub(crate) fn forget_of(&self, node: &Node) {
        match &node.0 {
            Place::Collection(dir) => self.forget_collection(&dir.path),
            Place::Version(version) => self.forget_collection(&version.path().collection),
            _ => {}
        }
    }

    /// An alias was given, moved or taken away by this mount: also one that was pinned.
    pub(crate) fn alias_changed(
        &self,
        dir: &Arc<CollectionDir>,
        alias: &str,
        changes: &mut Changes,
    ) {
        let name = Level::Collection.escape(alias);
        self.pins.lock().remove(&join(&dir.key, &name));
        let node = Node(Place::Collection(dir.clone()));
        changes.name(&node, name);
        changes.nodes.push(node.metadata());
    }

    /// Forgets what is known of versions that changed in all their places. A look at everything that
    /// is remembered, which costs milliseconds at 100,000 names; the kernel is told of what it knows.
    pub(crate) fn forget_everywhere(&self, what: Everywhere, changes: &mut Changes) {
        let place = |node: &Node| match &node.0 {
            Place::Version(version) => Some(version.collection().clone()),
            Place::Alias(link) => Some(link.collection.clone()),
            _ => None,
        };
        let concerned = |node: &Node| place(node).filter(|_| what.concerns(node));
        let mut places = self.answers.find_all(|node| concerned(node.as_ref()?));
        let of_page = |page: &PageOf| {
            page.children
                .iter()
                .find_map(|child| concerned(&child.node))
        };
        places.extend(self.pages.find_all(of_page));
        for dir in places {
            for alias in dir.value.iter().flat_map(|value| &value.aliases) {
                self.pins
                    .lock()
                    .remove(&join(&dir.key, &Level::Collection.escape(alias)));
            }
            self.forget_collection(&dir.path);
        }
        changes.everywhere.push(what);
    }

    /// Writes down what this mount changed on the server: who, what, where, and the id.
    pub(crate) fn log(&self, what: &str, node: &Node, id: &str, detail: &str) {
        let viewer = self.viewer.get();
        let who = viewer
            .and_then(|viewer| viewer.username.as_deref())
            .unwrap_or_default();
        let path = node.path();
        tracing::info!(who, what, path, id, detail, "changed on the server");
    }

    /// Takes note of a collection's new path. Its value is asked for when it is needed.
    pub(crate) fn moved_to(
        &self,
        dir: &Arc<CollectionDir>,
        parent: Option<Node>,
        path: CollectionPath,
    ) -> Arc<CollectionDir> {
        let value = dir.value.clone().map(|mut value| {
            value.path = path.clone();
            value
        });
        let now = collection_node(parent, path.clone(), value, Instant::now());
        self.overlay.follow(
            &Node(Place::Collection(dir.clone())),
            &Node(Place::Collection(now.clone())),
        );
        if let Some(value) = &now.value {
            self.moved.lock().insert(value.id.clone(), now.clone());
        }
        self.forget_collection(&dir.path);
        self.forget_collection(&path);
        now
    }
}
