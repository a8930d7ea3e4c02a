//! What all levels share: the two traits, the options, and what is remembered.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::content::{self, ContentTree};
use super::draft::Drafts;
use super::node::{Child, Freshness, Identity, Listing as _};
use super::options::TreeOptions;
use super::overlay::Overlay;
use super::place::{CollectionDir, Node, Place, join};
use super::readings::Readings;
use super::resolve::{Recall, Stamped, Weigh};
use super::version::VersionDir;
use super::walk::Walk;
use super::{artifact_type, collection, entity, project, root};
use crate::model::{Blobs, Cursor, Error, ErrorKind, Hub, ListOptions, PageRequest, Viewer};

/// What a lookup answers.
pub(crate) type Answer = Result<(Option<Node>, Freshness), Error>;

/// Bytes of remembered names, about 100,000 entries of 650 bytes: a node with its value.
const ANSWERS_BYTES: usize = 64 << 20;

/// Bytes of remembered pages. Their nodes are those of the names, so an item weighs 100 bytes.
const PAGES_BYTES: usize = 16 << 20;

/// Bytes of content trees: three versions of a million files, or thousands of usual ones. The newest
/// one is kept however large it is.
const CONTENTS_BYTES: usize = 256 << 20;

/// Bytes of alias lists of the collections that have more aliases than come with them.
const ALIASES_BYTES: usize = 4 << 20;

/// Nodes whose last failure is kept for `user.wandbfs.error`: about 300 KB of sentences.
const ERRORS_KEPT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// A value serves the operation that fetched it even when the TTL is shorter than the operation.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// One page of a listing.
#[derive(Debug, Clone)]
pub(crate) struct PageOf {
    /// In listing order.
    pub(crate) children: Arc<[Child]>,
    /// Where the next one begins.
    pub(crate) next: Option<Cursor>,
}

impl Weigh for PageOf {
    fn weigh(&self) -> usize {
        200 + 100 * self.children.len()
    }
}

impl Weigh for Arc<[String]> {
    fn weigh(&self) -> usize {
        self.iter().map(|text| text.len() + 24).sum()
    }
}

/// Which page of which listing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) dir: Identity,
    options: ListOptions,
    after: Option<Cursor>,
}

impl PageKey {
    /// A page of everything in `dir`.
    pub(crate) fn whole(dir: &Node, after: Option<Cursor>) -> Self {
        Self {
            dir: dir.identity(),
            options: ListOptions::default(),
            after,
        }
    }
}

/// The tree's state; levels are functions over it.
pub(crate) struct Shared {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) options: TreeOptions,
    /// Time of what the server gives no time for.
    pub(crate) started: SystemTime,
    pub(crate) root: OnceCell<(Node, String)>,
    pub(crate) aliases: Recall<Arc<str>, Arc<[String]>>,
    /// With pinned aliases: each alias ever seen, by key. As many as the user looked at.
    pub(crate) pins: Mutex<HashMap<Arc<str>, Node>>,
    pub(crate) failures: Mutex<LruCache<Identity, String>>,
    /// Texts that are open for writing.
    pub(crate) drafts: Drafts,
    /// What this mount alone has.
    pub(crate) overlay: Overlay,
    /// What was last handed out of metadata files: the texts that edits start from.
    pub(crate) readings: Readings,
    /// Collections that this mount changed, by key, and when: older values do not count. Kept for a
    /// TTL.
    pub(crate) floors: Mutex<HashMap<Arc<str>, Instant>>,
    /// Collections that this mount moved, by id: about 1 KB for each.
    pub(crate) moved: Mutex<HashMap<String, Arc<CollectionDir>>>,
    pub(crate) viewer: OnceCell<Viewer>,
    pub(crate) answers: Recall<Arc<str>, Option<Node>>,
    pub(crate) pages: Recall<PageKey, PageOf>,
    contents: Recall<Arc<str>, Arc<ContentTree>>,
    /// Versions whose odd keys were reported: one short text for each version that has some.
    reported: Mutex<HashSet<Arc<str>>>,
}

impl Shared {
    pub(crate) fn new(hub: Arc<dyn Hub>, blobs: Arc<dyn Blobs>, options: TreeOptions) -> Self {
        let ttl = Some(options.ttl);
        Self {
            hub,
            blobs,
            options,
            started: SystemTime::now(),
            root: OnceCell::new(),
            aliases: Recall::new(ALIASES_BYTES, ttl),
            pins: Mutex::default(),
            failures: Mutex::new(LruCache::new(ERRORS_KEPT)),
            drafts: Drafts::default(),
            overlay: Overlay::default(),
            readings: Readings::default(),
            floors: Mutex::default(),
            moved: Mutex::default(),
            viewer: OnceCell::new(),
            answers: Recall::new(ANSWERS_BYTES, ttl),
            pages: Recall::new(PAGES_BYTES, ttl),
            contents: Recall::new(CONTENTS_BYTES, None),
            reported: Mutex::default(),
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.options.ttl
    }

    /// Whether a value of that age needs no asking again.
    pub(crate) fn counts(&self, at: Instant) -> bool {
        at.elapsed() < self.ttl().max(GRACE)
    }

    /// What is left of the TTL of an answer.
    pub(crate) fn remaining(&self, at: Instant) -> Freshness {
        Freshness::For(self.ttl().saturating_sub(at.elapsed()))
    }

    /// The signed-in user, asked for once.
    pub(crate) async fn viewer(&self) -> Result<&Viewer, Error> {
        self.viewer.get_or_try_init(|| self.hub.viewer()).await
    }

    /// A node that is there without asking.
    pub(crate) fn known(&self, node: Node) -> Answer {
        Ok((Some(node), Freshness::For(self.ttl())))
    }

    /// No node, without asking.
    pub(crate) fn nothing(&self) -> Answer {
        Ok((None, Freshness::For(self.ttl())))
    }

    /// What is remembered under `key`, or what `ask` says.
    pub(crate) async fn answer<F>(&self, key: Arc<str>, ask: impl FnOnce() -> F) -> Answer
    where
        F: Future<Output = Result<Option<Node>, Error>> + Send + 'static,
    {
        let stamped = self.answers.get_or(key, ask).await?;
        Ok((stamped.value, self.remaining(stamped.at)))
    }

    /// Remembers a node that came along with something else.
    pub(crate) fn remember(&self, key: Arc<str>, node: Node, at: Instant) {
        let value = Some(node);
        self.answers.put(key, Stamped { value, at });
    }

    /// The error of a node that was there and is no more.
    pub(crate) fn vanished(&self, node: &Node) -> Error {
        Error::new(
            ErrorKind::NotFound,
            node.path(),
            "it is no longer on the server",
        )
    }

    /// A child whose name was cut: the only lookup that walks the listing, as the rest of the name is
    /// known to nobody else.
    pub(crate) async fn find_listed(self: &Arc<Self>, dir: &Node, file: &OsStr) -> Answer {
        let mut walk = Walk::new(self.clone(), dir.clone());
        while let Some(page) = walk.next_page().await? {
            if let Some(child) = page.iter().find(|child| child.name == file) {
                return self.known(child.node.clone());
            }
        }
        self.nothing()
    }

    /// One page of the server's part of a directory, remembered within the TTL.
    pub(crate) async fn page(
        self: &Arc<Self>,
        dir: &Node,
        options: &ListOptions,
        after: Option<Cursor>,
    ) -> Result<PageOf, Error> {
        let key = PageKey {
            dir: dir.identity(),
            options: options.clone(),
            after: after.clone(),
        };
        let request = PageRequest {
            after,
            per_page: self.options.per_page,
        };
        let (shared, dir, options) = (self.clone(), dir.clone(), options.clone());
        let ask = move || async move { shared.fetch_page(&dir, &options, &request).await };
        Ok(self.pages.get_or(key, ask).await?.value)
    }

    async fn fetch_page(
        self: &Arc<Self>,
        dir: &Node,
        options: &ListOptions,
        request: &PageRequest,
    ) -> Result<PageOf, Error> {
        let at = Instant::now();
        let (page, key) = match &dir.0 {
            Place::Root(dir) => return root::page(self, dir).await,
            Place::Entity(dir) => (entity::page(self, dir, request).await?, &dir.key),
            Place::Project(dir) => (project::page(self, dir, request).await?, &dir.key),
            Place::Type(dir) => (
                artifact_type::page(self, dir, options, request).await?,
                &dir.key,
            ),
            Place::Collection(dir) => (
                collection::page(self, dir, options, request).await?,
                &dir.key,
            ),
            _ => return Err(not_a_directory(dir)),
        };
        for child in page.children.iter() {
            self.remember(join(key, child.node.name()), child.node.clone(), at);
        }
        Ok(page)
    }

    /// The content tree of a version, loaded where it is not in memory. Odd keys are reported the
    /// first time.
    pub(crate) async fn content(
        self: &Arc<Self>,
        version: &Arc<VersionDir>,
    ) -> Result<Arc<ContentTree>, Error> {
        let (shared, wanted) = (self.clone(), version.clone());
        let ask = move || async move {
            let silent = shared.reported.lock().contains(wanted.identity());
            content::load(&*shared.blobs, &wanted, |path, message| {
                if !silent {
                    shared.reported.lock().insert(wanted.identity().clone());
                    (shared.options.report)(path, message);
                }
            })
            .await
        };
        let key = version.identity().clone();
        Ok(self.contents.get_or(key, ask).await?.value)
    }
}

/// The error of asking a file for children.
pub(crate) fn not_a_directory(node: &Node) -> Error {
    Error::new(ErrorKind::Invalid, node.path(), "it is not a directory")
}

/// A node as an item of its directory.
pub(crate) fn child_of(node: Node) -> Child {
    Child {
        name: OsString::from(node.name()),
        node,
    }
}
