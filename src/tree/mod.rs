//! What each directory of the mount is: one small module per level, names and their escaping,
//! metadata files, the content tree of a manifest.
//!
//! Async, pure of kernel and of HTTP: it talks to the world through [`Hub`] and [`Blobs`] only. A lookup asks for one name and never lists; a listing is a
//! cursor over pages; everything asked is remembered in one bounded place (`resolve`).

mod address;
mod alias;
mod artifact_type;
mod attributes;
mod change;
mod collection;
mod content;
mod draft;
mod entity;
mod forget;
mod metadata;
mod names;
mod node;
mod options;
mod overlay;
mod place;
mod project;
mod readings;
mod resolve;
mod root;
mod save;
mod shared;
mod state;
mod target;
mod verbs;
mod version;
mod views;
mod walk;
mod xattr;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use change::{Adjust, Changes, Everywhere, Reason, Refused};
pub use content::Survey;
pub use draft::Draft;
pub use node::{Attributes, Child, Freshness, Identity, Kind, Listing, Opened};
pub use options::{MountState, Report, TreeOptions};
pub use place::Node;

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Blobs, Error, ErrorKind, Hub, ListOptions, NodePath, Upcoming};
use content::{Following, manifest_content};
use overlay::Body;
use place::{ContentNode, Place};
use root::README;
use shared::{Answer, Shared, not_a_directory};
use walk::{ContentWalk, KnownWalk, Walk};

/// The tree. Clones by reference count.
#[derive(Clone)]
pub struct Tree {
    shared: Arc<Shared>,
}

impl Tree {
    /// A tree over a control plane and a data plane. Asks for nothing yet.
    pub fn new(hub: Arc<dyn Hub>, blobs: Arc<dyn Blobs>, options: TreeOptions) -> Self {
        Self {
            shared: Arc::new(Shared::new(hub, blobs, options)),
        }
    }

    /// The root of the mount. The first call resolves it, and an alias in it for good; with the whole
    /// tree as root it also learns the viewer's entities.
    ///
    /// # Errors
    /// What the server says; [`ErrorKind::NotFound`] for a root that is not there.
    pub async fn root(&self) -> Result<Node, Error> {
        Ok(self.rooted().await?.0.clone())
    }

    /// What the root resolved to: `/`, or a path like `entity/project/type/collection/v7`.
    ///
    /// # Errors
    /// As [`Self::root`].
    pub async fn resolved(&self) -> Result<String, Error> {
        Ok(self.rooted().await?.1.clone())
    }

    /// What the files of the version at the mount point are like; `None` where the root is no
    /// content of one version. Reads its manifest.
    ///
    /// # Errors
    /// What the data plane says.
    pub async fn survey(&self, large_from: u64) -> Result<Option<Survey>, Error> {
        let version = match &self.rooted().await?.0.0 {
            Place::Files(version) => version,
            Place::Content(node) => &node.version,
            _ => return Ok(None),
        };
        let tree = self.shared.content(version).await?;
        Ok(Some(tree.survey(large_from)))
    }

    async fn rooted(&self) -> Result<&(Node, String), Error> {
        let root = &self.shared.root;
        root.get_or_try_init(|| address::mount_root(&self.shared))
            .await
    }

    /// One name in a directory: at most one request, whatever the directory holds. The answer, also
    /// that there is none, holds for the [`Freshness`].
    ///
    /// # Errors
    /// What the server says.
    pub async fn lookup(&self, dir: &Node, name: &OsStr) -> Answer {
        lookup(&self.shared, dir, name).await
    }

    /// A walk through a directory. Costs nothing before its first page.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no directory.
    pub fn list(&self, dir: &Node) -> Result<Box<dyn Listing>, Error> {
        let shared = self.shared.clone();
        let dir = &shared.current_node(dir);
        Ok(match &dir.0 {
            Place::Files(version) => Box::new(ContentWalk::new(shared, version.clone(), 0)),
            Place::Content(node) if node.tree.is_directory(node.index) => {
                Box::new(ContentWalk::new(shared, node.version.clone(), node.index))
            }
            Place::Version(version) => {
                let mut nodes = version::children(version);
                nodes.retain(|node| !self.shared.overlay.hides(node));
                nodes.extend(self.shared.overlay.children(dir));
                if self.shared.options.show_views {
                    nodes.extend(views::of(dir));
                }
                Box::new(KnownWalk::new(nodes))
            }
            Place::State(above) => Box::new(KnownWalk::new(state::files(above))),
            Place::View(view) => views::list(&shared, view),
            _ if dir.kind() == Kind::Directory => Box::new(Walk::new(shared, dir.clone())),
            _ => return Err(not_a_directory(dir)),
        })
    }

    /// A walk through the collections of a type or the versions of a collection that match: `options`
    /// go to the server, `tags` must all be there. No links, no metadata file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for any other node.
    pub fn list_with(
        &self,
        dir: &Node,
        options: ListOptions,
        tags: Vec<String>,
    ) -> Result<Box<dyn Listing>, Error> {
        match &dir.0 {
            Place::Type(_) | Place::Collection(_) => {
                let walk = Walk::asking(self.shared.clone(), dir.clone(), options, tags);
                Ok(Box::new(walk))
            }
            _ => {
                let message =
                    "only a type or a collection can be filtered, ordered or searched by tag";
                Err(Error::new(ErrorKind::Invalid, dir.path(), message))
            }
        }
    }

    /// Any node by its path from the top, whatever the root of the mount is. An alias gives its
    /// version; the SDK's spelling gives the version directory.
    ///
    /// # Errors
    /// What the server says; [`ErrorKind::NotFound`] when there is no such node.
    pub async fn resolve(&self, path: &NodePath) -> Result<Node, Error> {
        address::resolve(&self.shared, path).await
    }

    /// Node `index` of the content of `version` (the directory that [`Node::version`] gives), 0 being
    /// `files/`. Free while the content tree is in memory, else it is read again from the disk cache.
    ///
    /// # Errors
    /// What the data plane says; [`ErrorKind::NotFound`] for a number that is not there.
    pub async fn content_node(&self, version: &Node, index: u32) -> Result<Node, Error> {
        let version = match &version.0 {
            Place::Version(version) | Place::Files(version) => version.clone(),
            Place::Content(node) => node.version.clone(),
            _ => return Err(not_a_directory(version)),
        };
        if index == 0 {
            return Ok(Node(Place::Files(version)));
        }
        let tree = self.shared.content(&version).await?;
        if index >= tree.len() {
            let message = "its manifest has no such node";
            return Err(Error::new(
                ErrorKind::NotFound,
                version.mount_path(),
                message,
            ));
        }
        Ok(Node(Place::Content(ContentNode {
            tree,
            version,
            index,
        })))
    }

    /// Attributes. A metadata file whose value has grown old asks for it again.
    ///
    /// # Errors
    /// What the server says.
    pub async fn attributes(&self, node: &Node) -> Result<(Attributes, Freshness), Error> {
        attributes::of(&self.shared, node).await
    }

    /// Target of a symbolic link.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    pub fn read_link(&self, node: &Node) -> Result<OsString, Error> {
        match &node.0 {
            Place::Alias(link) => Ok(link.target.to_string().into()),
            Place::ViewLink(link) => Ok(link.target.clone().into()),
            Place::Memory(memory) => match &memory.body {
                Body::Link(target) => Ok(target.clone()),
                Body::File(_) => Err(not_a_link(node)),
            },
            _ => Err(not_a_link(node)),
        }
    }

    /// Opens a regular file.
    ///
    /// # Errors
    /// What the server or the data plane says; [`ErrorKind::Invalid`] for a directory or a link.
    pub async fn open(&self, node: &Node) -> Result<Opened, Error> {
        let snapshot = |bytes: Vec<u8>, volatile| Opened::Snapshot {
            bytes: bytes.into(),
            volatile,
        };
        match &node.0 {
            Place::Metadata(dir) => {
                if let Some(draft) = self.shared.drafts.of(node) {
                    return Ok(snapshot(draft.buffer.bytes().into(), true));
                }
                let rendered = metadata::render(&self.shared, dir).await?;
                self.shared.readings.note(node, &rendered.value);
                Ok(snapshot(rendered.bytes, true))
            }
            Place::RunFile(run) => {
                let rendered = views::run_file(&self.shared, run).await?;
                Ok(snapshot(rendered.bytes, true))
            }
            Place::Memory(memory) => match &memory.body {
                Body::File(buffer) => Ok(snapshot(buffer.bytes().into(), true)),
                Body::Link(_) => Err(not_a_file(node)),
            },
            Place::Readme(_) => Ok(snapshot(README.into(), false)),
            Place::StateFile(_, file) => {
                let state = self.shared.options.state.as_deref();
                let bytes = state.map(|state| file.bytes(state)).unwrap_or_default();
                Ok(snapshot(bytes, true))
            }
            Place::Manifest(version) => {
                let content = manifest_content(version);
                let blob = self.shared.blobs.open(&content, None).await?;
                let size_unknown = false;
                Ok(Opened::Blob { blob, size_unknown })
            }
            Place::Content(content) => self.open_content(node, content).await,
            _ => Err(not_a_file(node)),
        }
    }

    async fn open_content(&self, node: &Node, at: &ContentNode) -> Result<Opened, Error> {
        let Some(content) = at.tree.content(at.index, &at.version) else {
            let message = "it is a directory";
            return Err(Error::new(ErrorKind::Invalid, node.path(), message));
        };
        let upcoming: Arc<dyn Upcoming> = Arc::new(Following {
            tree: at.tree.clone(),
            version: at.version.clone(),
            after: at.index,
        });
        Ok(Opened::Blob {
            blob: self.shared.blobs.open(&content, Some(upcoming)).await?,
            size_unknown: at.tree.size_unknown(at.index),
        })
    }

    /// Names of extended attributes; no request.
    pub fn xattr_names(&self, node: &Node) -> Vec<&'static str> {
        xattr::names(&self.shared, node)
    }

    /// One extended attribute; no request.
    pub fn xattr(&self, node: &Node, name: &OsStr) -> Option<Vec<u8>> {
        xattr::value(&self.shared, node, name.to_str()?)
    }

    /// Keeps why the last operation on a node failed, for `user.wandbfs.error`; `None` forgets it.
    /// The newest 1,024 are kept.
    pub fn note_error(&self, node: &Node, message: Option<&str>) {
        xattr::note(&self.shared, node, message);
    }

    /// The server's id of a node, where its value is known; no request.
    pub fn id(&self, node: &Node) -> Option<String> {
        xattr::id(node)
    }
}

async fn lookup(shared: &Arc<Shared>, dir: &Node, name: &OsStr) -> Answer {
    if let Some(state) = state::child(shared, dir, name) {
        return shared.known(state);
    }
    let dir = &shared.current_node(dir);
    if dir.holds_memory() {
        if let Some(memory) = shared.overlay.find(dir, name) {
            let at_once = Freshness::For(Duration::ZERO);
            return Ok((Some(Node(Place::Memory(memory))), at_once));
        }
        if name == dir.metadata_name() && shared.overlay.hides(&dir.metadata()) {
            return Ok((None, Freshness::For(Duration::ZERO)));
        }
    }
    if let Some(view) = views::of(dir).into_iter().find(|view| name == view.name()) {
        return shared.known(view);
    }
    if name == dir.metadata_name() && has_metadata(dir) {
        return shared.known(dir.metadata());
    }
    match &dir.0 {
        Place::Root(dir) => root::child(shared, dir, name).await,
        Place::Entity(dir) => entity::child(shared, dir, name).await,
        Place::Project(dir) => project::child(shared, dir, name).await,
        Place::Type(dir) => artifact_type::child(shared, dir, name).await,
        Place::Collection(dir) => collection::child(shared, dir, name).await,
        Place::Version(dir) => {
            let node = version::child(dir, name);
            let freshness = version::child_freshness(shared, node.as_ref());
            Ok((node, freshness))
        }
        Place::Files(version) => {
            let tree = shared.content(version).await?;
            Ok(content_child(&tree, version, 0, name))
        }
        Place::Content(node) => Ok(content_child(&node.tree, &node.version, node.index, name)),
        Place::View(view) => views::child(shared, view, name).await,
        Place::State(above) => {
            let file = state::files(above)
                .into_iter()
                .find(|file| name == file.name());
            Ok((file, Freshness::Immutable))
        }
        _ => Err(not_a_directory(dir)),
    }
}

fn not_a_file(node: &Node) -> Error {
    Error::new(ErrorKind::Invalid, node.path(), "it is not a regular file")
}

fn not_a_link(node: &Node) -> Error {
    Error::new(ErrorKind::Invalid, node.path(), "it is not a symbolic link")
}

fn has_metadata(dir: &Node) -> bool {
    matches!(
        dir.0,
        Place::Entity(_) | Place::Project(_) | Place::Type(_) | Place::Collection(_)
    )
}

fn content_child(
    tree: &Arc<content::ContentTree>,
    version: &Arc<version::VersionDir>,
    directory: u32,
    name: &OsStr,
) -> (Option<Node>, Freshness) {
    let index = tree.find(directory, name.as_encoded_bytes());
    let node = index.map(|index| {
        Node(Place::Content(ContentNode {
            tree: tree.clone(),
            version: version.clone(),
            index,
        }))
    });
    (node, Freshness::Immutable)
}
