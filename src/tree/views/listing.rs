//! Walks through views.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use super::super::names::{escape, escape_again};
use super::super::node::{Child, Listing};
use super::super::place::{Node, Place};
use super::super::shared::{Answer, PageKey, PageOf, Shared, child_of};
use super::super::walk::Walk;
use super::links::{artifact_link, member_link, run_link};
use super::run::{project_of, run_node};
use super::{Selection, View, ViewDir, ViewLink, nested};
use crate::model::{CreatedBy, Cursor, Error, ErrorKind, ListOptions, Page, PageRequest};

/// A name of a view that only walking finds.
pub(super) async fn find(shared: &Arc<Shared>, mut walk: Box<dyn Listing>, file: &OsStr) -> Answer {
    while let Some(page) = walk.next_page().await? {
        if let Some(child) = page.iter().find(|child| child.name == file) {
            return shared.known(child.node.clone());
        }
    }
    shared.nothing()
}

/// The nodes of a selection, as links; numbered where the server was asked for an order, so that they
/// sort as it gave them.
pub(super) struct Selected {
    shared: Arc<Shared>,
    dir: Arc<ViewDir>,
    selection: Selection,
    walk: Walk,
    count: usize,
}

impl Selected {
    pub(super) fn new(shared: &Arc<Shared>, dir: &Arc<ViewDir>, selection: &Selection) -> Self {
        let walk = Walk::asking(
            shared.clone(),
            selection.base.clone(),
            selection.options.clone(),
            selection.tags.clone(),
        );
        Self {
            shared: shared.clone(),
            dir: dir.clone(),
            selection: selection.clone(),
            walk,
            count: 0,
        }
    }

    fn link(&mut self, node: &Node) -> Child {
        let name = match self.selection.options.order {
            Some(_) => format!("{:04}-{}", self.count, node.name()),
            None => node.name().to_owned(),
        };
        self.count += 1;
        child_of(member_link(&self.dir, &self.selection, node, name))
    }
}

#[async_trait]
impl Listing for Selected {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        let first = self.count == 0 && self.shared.options.show_views;
        let Some(page) = self.walk.next_page().await? else {
            return Ok(None);
        };
        let mut children: Vec<Child> = page.iter().map(|child| self.link(&child.node)).collect();
        if first {
            let above = Node(Place::View(self.dir.clone()));
            children.extend(nested(&above, &self.selection).into_iter().map(child_of));
        }
        Ok(Some(children.into()))
    }
}

/// The tags that something in a selection has, page by page.
pub(super) struct TagWalk {
    dir: Arc<ViewDir>,
    selection: Selection,
    walk: Walk,
    seen: HashSet<String>,
}

impl TagWalk {
    pub(super) fn new(shared: &Arc<Shared>, dir: &Arc<ViewDir>, selection: &Selection) -> Self {
        let options = selection.options.clone();
        let (base, tags) = (selection.base.clone(), selection.tags.clone());
        Self {
            dir: dir.clone(),
            selection: selection.clone(),
            walk: Walk::asking(shared.clone(), base, options, tags),
            seen: HashSet::new(),
        }
    }
}

#[async_trait]
impl Listing for TagWalk {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        let above = Node(Place::View(self.dir.clone()));
        while let Some(page) = self.walk.next_page().await? {
            let mut children = Vec::new();
            for child in page.iter() {
                let tags = match &child.node.0 {
                    Place::Version(version) => version.value().tags.clone(),
                    Place::Collection(dir) => dir
                        .value
                        .as_ref()
                        .map(|v| v.tags.clone())
                        .unwrap_or_default(),
                    _ => Vec::new(),
                };
                for tag in tags {
                    if self.seen.insert(tag.clone()) {
                        let name = escape(&tag, false).into_owned();
                        let mut narrower = self.selection.clone();
                        narrower.tags.push(tag);
                        children.push(child_of(ViewDir::node(
                            &above,
                            &name,
                            View::Selected(narrower),
                        )));
                    }
                }
            }
            if !children.is_empty() {
                return Ok(Some(children.into()));
            }
        }
        Ok(None)
    }
}

/// Runs, what runs logged and used, and the runs of a version: as the server pages them.
pub(super) struct Paged {
    shared: Arc<Shared>,
    dir: Arc<ViewDir>,
    after: Option<Cursor>,
    ended: bool,
    cursors: HashSet<Cursor>,
    seen: HashSet<String>,
}

impl Paged {
    pub(super) fn new(shared: &Arc<Shared>, dir: &Arc<ViewDir>) -> Self {
        Self {
            shared: shared.clone(),
            dir: dir.clone(),
            after: None,
            ended: false,
            cursors: HashSet::new(),
            seen: HashSet::new(),
        }
    }

    /// The next page, remembered within the TTL.
    async fn fetch(&self) -> Result<PageOf, Error> {
        let key = PageKey::whole(&Node(Place::View(self.dir.clone())), self.after.clone());
        let (shared, dir, after) = (self.shared.clone(), self.dir.clone(), self.after.clone());
        let ask = move || async move {
            let page = Self::asked(&shared, &dir, after).await?;
            Ok(PageOf {
                children: page.items.into_iter().map(child_of).collect(),
                next: page.next,
            })
        };
        Ok(self.shared.pages.get_or(key, ask).await?.value)
    }

    async fn asked(
        shared: &Shared,
        dir: &Arc<ViewDir>,
        after: Option<Cursor>,
    ) -> Result<Page<Node>, Error> {
        let Some(home) = project_of(dir) else {
            return Err(shared.vanished(&Node(Place::View(dir.clone()))));
        };
        let hub = &shared.hub;
        let request = PageRequest {
            after,
            per_page: shared.options.per_page,
        };
        let linked = |run: &crate::model::RunRef| run_link(dir, &home, run);
        match &dir.view {
            View::RunArtifacts(run, mode) => {
                let page = hub.run_artifacts(run, *mode, &request).await?;
                Ok(page.map(|version| artifact_link(dir, &home, &version)))
            }
            View::UsedBy(id) => {
                let page = hub.used_by(id, &request).await?;
                Ok(Page {
                    items: page.items.iter().filter_map(linked).collect(),
                    next: page.next,
                    total: page.total,
                })
            }
            View::LoggedBy(id) => {
                let creator = match hub.logged_by(id).await? {
                    Some(CreatedBy::Run(run)) => linked(&run),
                    _ => None,
                };
                Ok(Page {
                    items: creator.into_iter().collect(),
                    next: None,
                    total: None,
                })
            }
            _ => {
                let (parent, at) = (Node(Place::View(dir.clone())), Instant::now());
                let page = hub.runs(&home, &ListOptions::default(), &request).await?;
                Ok(page.map(|run| run_node(&parent, run, at)))
            }
        }
    }
}

#[async_trait]
impl Listing for Paged {
    async fn next_page(&mut self) -> Result<Option<Arc<[Child]>>, Error> {
        while !self.ended {
            let page = self.fetch().await?;
            if let Some(cursor) = &page.next
                && !self.cursors.insert(cursor.clone())
            {
                self.ended = true;
                let words = "the server repeats a page of this listing";
                let path = Node(Place::View(self.dir.clone())).path();
                return Err(Error::new(ErrorKind::Invalid, path, words));
            }
            self.ended = page.next.is_none();
            self.after = page.next;
            let mut children = Vec::with_capacity(page.children.len());
            for child in page.children.iter() {
                let mut name = child.node.name().to_owned();
                while !self.seen.insert(name.clone()) {
                    name = escape_again(&name); // two projects may have versions of one name
                }
                children.push(child_of(renamed(child.node.clone(), name)));
            }
            if !children.is_empty() {
                return Ok(Some(children.into()));
            }
        }
        Ok(None)
    }
}

/// A link under another name; anything else stays.
fn renamed(node: Node, name: String) -> Node {
    match &node.0 {
        Place::ViewLink(link) if link.name != name => Node(Place::ViewLink(Arc::new(ViewLink {
            dir: link.dir.clone(),
            name,
            target: link.target.clone(),
            changed_at: link.changed_at.clone(),
        }))),
        _ => node,
    }
}
