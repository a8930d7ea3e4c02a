//! Walks through directories.
//!
//! Difficulties, and what answers each:
//!
//! 1. The first entry must not wait for the second page: a page is fetched when it is asked for.
//! 2. What is ours (`collection.json`) comes with the first page, and its `stat` costs no request
//!    that a plain listing does not make: what it lacks is fetched beside the first page.
//! 3. Pages shift while others write: a name is handed out once ([`Walk::seen`]).
//! 4. A server that repeats a cursor would make the walk endless: that is an error.
//! 5. A content of a million files needs no page of the server: [`ContentWalk`] cuts its range.

use std::collections::HashSet;
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::metadata;
use super::node::{Child, Listing};
use super::place::{Node, Place};
use super::shared::{Shared, child_of};
use super::state;
use super::version;
use super::views;
use crate::model::{Cursor, Error, ErrorKind, ListOptions};

/// Children per page of a content: about 200 KB of nodes at a time.
const CONTENT_PAGE: u32 = 1024;

/// Where a walk is.
#[derive(Debug, Clone)]
enum Position {
    Start,
    After(Cursor),
    End,
}

/// A walk through a directory that the server pages.
pub(crate) struct Walk {
    shared: Arc<Shared>,
    dir: Node,
    /// Filters, order and tags where the command line asked for some; then only what the server has.
    asked: Option<(ListOptions, Vec<String>)>,
    position: Position,
    cursors: HashSet<Cursor>,
    /// Names handed out; 50 bytes each while the walk lasts.
    seen: HashSet<OsString>,
}

impl Walk {
    /// A walk through everything in `dir`.
    pub(crate) fn new(shared: Arc<Shared>, dir: Node) -> Self {
        Self {
            shared,
            dir,
            asked: None,
            position: Position::Start,
            cursors: HashSet::new(),
            seen: HashSet::new(),
        }
    }

    /// A walk through what matches, without links and metadata file. `tags` must all be there; the
    /// server cannot filter by them (protocol §5), so every page is looked through.
    pub(crate) fn asking(
        shared: Arc<Shared>,
        dir: Node,
        options: ListOptions,
        tags: Vec<String>,
    ) -> Self {
        Self {
            asked: Some((options, tags)),
            ..Self::new(shared, dir)
        }
    }

    fn wanted(&self, child: &Child) -> bool {
        let Some((_, tags)) = &self.asked else {
            return true;
        };
        let own = match &child.node.0 {
            Place::Version(version) => Some(&version.value().tags),
            Place::Collection(dir) => dir.value.as_ref().map(|value| &value.tags),
            Place::Alias(_) => return false,
            _ => None,
        };
        tags.iter()
            .all(|tag| own.is_some_and(|own| own.contains(tag)))
    }

    fn local(&self) -> Vec<Child> {
        if self.asked.is_some() {
            return Vec::new();
        }
        let mut nodes = match &self.dir.0 {
            Place::Root(root) => vec![Node(Place::Readme(root.clone()))],
            _ => vec![self.dir.metadata()],
        };
        if self.dir.holds_memory() {
            nodes.retain(|node| !self.shared.overlay.hides(node));
            nodes.extend(self.shared.overlay.children(&self.dir));
        }
        if self.shared.options.show_views {
            nodes.extend(state::directory(&self.shared, &self.dir));
            nodes.extend(views::of(&self.dir));
        }
        nodes.into_iter().map(child_of).collect()
    }

    async fn fetch(&self, after: Option<Cursor>) -> Result<super::shared::PageOf, Error> {
        let options = self.asked.as_ref().map(|(options, _)| options.clone());
        let options = options.unwrap_or_default();
        let first = after.is_none();
        let page = self.shared.page(&self.dir, &options, after);
        if first && self.asked.is_none() {
            let (page, ()) = futures::join!(page, metadata::prepare(&self.shared, &self.dir));
            return page;
        }
        page.await
    }

    fn advance(&mut self, next: Option<&Cursor>) -> Result<(), Error> {
        self.position = match next {
            None => Position::End,
            Some(cursor) if self.cursors.insert(cursor.clone()) => Position::After(cursor.clone()),
            Some(_) => {
                self.position = Position::End;
                let message = "the server repeats a page of this listing";
                return Err(Error::new(ErrorKind::Invalid, self.dir.path(), message));
            }
        };
        Ok(())
    }
}

#[async_trait]
impl Listing for Walk {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        loop {
            let (after, mut children) = match &self.position {
                Position::Start => (None, self.local()),
                Position::After(cursor) => (Some(cursor.clone()), Vec::new()),
                Position::End => return Ok(None),
            };
            let page = self.fetch(after).await?;
            self.advance(page.next.as_ref())?;
            for child in page.children.iter() {
                if self.wanted(child) && self.seen.insert(child.name.clone()) {
                    children.push(child.clone());
                }
            }
            if !children.is_empty() {
                return Ok(Some(children.into()));
            }
        }
    }
}

/// A walk through a directory that is known at once.
pub(crate) struct KnownWalk(Option<Arc<[Child]>>);

impl KnownWalk {
    /// These nodes.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        let children: Arc<[Child]> = nodes.into_iter().map(child_of).collect();
        Self(Some(children).filter(|children| !children.is_empty()))
    }
}

#[async_trait]
impl Listing for KnownWalk {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        Ok(self.0.take())
    }
}

/// A walk through a directory of a content.
pub(crate) struct ContentWalk {
    shared: Arc<Shared>,
    version: Arc<version::VersionDir>,
    directory: u32,
    /// Children not yet handed out; unknown before the first page.
    rest: Option<Range<u32>>,
}

impl ContentWalk {
    /// The children of node `directory` of a version's content.
    pub(crate) fn new(
        shared: Arc<Shared>,
        version: Arc<version::VersionDir>,
        directory: u32,
    ) -> Self {
        Self {
            shared,
            version,
            directory,
            rest: None,
        }
    }
}

#[async_trait]
impl Listing for ContentWalk {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        let tree = self.shared.content(&self.version).await?;
        let rest = match self.rest.take() {
            Some(rest) => rest,
            None => tree.children(self.directory),
        };
        let end = rest.end.min(rest.start.saturating_add(CONTENT_PAGE));
        let page = rest.start..end;
        self.rest = Some(end..rest.end);
        if page.is_empty() {
            return Ok(None);
        }
        let child = |index| {
            child_of(Node(Place::Content(super::place::ContentNode {
                tree: tree.clone(),
                version: self.version.clone(),
                index,
            })))
        };
        Ok(Some(page.map(child).collect()))
    }
}
