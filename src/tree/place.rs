//! Nodes: which place of the mount they are, and the value that was fetched for it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::alias::AliasLink;
use super::content::ContentTree;
use super::node::{Identity, Kind};
use super::overlay::{Body, MemoryNode};
use super::resolve::Weigh;
use super::root::RootDir;
use super::state::StateFile;
use super::version::VersionDir;
use super::views::{RUN_FILE, ViewDir, ViewLink};
use crate::model::{
    Collection, CollectionPath, Entity, EntityName, Project, ProjectArtifactType, ProjectPath,
    TypePath,
};

/// A node of the tree with the value that it had when it was fetched. Clones by reference count.
///
/// A content node holds its version's content tree in memory: keep [`Node::version`] and
/// [`Tree::content_node`](super::Tree::content_node) in tables instead.
#[derive(Clone)]
pub struct Node(pub(crate) Place);

/// What a node is.
#[derive(Clone)]
pub(crate) enum Place {
    /// The root of a mount of everything.
    Root(Arc<RootDir>),
    Entity(Arc<EntityDir>),
    Project(Arc<ProjectDir>),
    Type(Arc<TypeDir>),
    Collection(Arc<CollectionDir>),
    Version(Arc<VersionDir>),
    /// `files/` of a version, node 0 of its content; nothing of it may be loaded yet.
    Files(Arc<VersionDir>),
    /// A node below `files/`.
    Content(ContentNode),
    /// The metadata file of a directory.
    Metadata(Arc<Node>),
    /// `manifest.json`.
    Manifest(Arc<VersionDir>),
    Alias(Arc<AliasLink>),
    Readme(Arc<RootDir>),
    /// `.wandbfs`, with the directory that it is in.
    State(Arc<Node>),
    StateFile(Arc<Node>, StateFile),
    /// A directory that is reached by name only.
    View(Arc<ViewDir>),
    /// A link in such a directory.
    ViewLink(Arc<ViewLink>),
    /// `run.json` in the directory of a run.
    RunFile(Arc<ViewDir>),
    /// What this mount alone has.
    Memory(Arc<MemoryNode>),
}

/// A node below `files/`.
#[derive(Clone)]
pub(crate) struct ContentNode {
    pub(crate) tree: Arc<ContentTree>,
    pub(crate) version: Arc<VersionDir>,
    /// At least 1.
    pub(crate) index: u32,
}

/// A directory that the server knows by name.
#[derive(Debug)]
pub(crate) struct Named<P, V> {
    /// The directory above; none at the mount point and for paths of the command line.
    pub(crate) parent: Option<Node>,
    /// How the server is asked for it.
    pub(crate) path: P,
    /// Its file name.
    pub(crate) name: String,
    /// Escaped path from the entity on: the key of what is remembered of it.
    pub(crate) key: Arc<str>,
    /// What the server said, where it was asked.
    pub(crate) value: Option<V>,
    /// When it was asked, or when the node was made.
    pub(crate) at: Instant,
    /// Unique in the mount.
    pub(crate) identity: Arc<str>,
}

pub(crate) type EntityDir = Named<EntityName, Entity>;
pub(crate) type ProjectDir = Named<ProjectPath, Project>;
pub(crate) type TypeDir = Named<TypePath, ProjectArtifactType>;
pub(crate) type CollectionDir = Named<CollectionPath, Collection>;

/// `parent/name` of escaped names; the name alone below the root.
pub(crate) fn join(parent: &str, name: &str) -> Arc<str> {
    match parent {
        "" => name.into(),
        _ => format!("{parent}/{name}").into(),
    }
}

impl Node {
    /// What makes this node the same at the next lookup.
    pub fn identity(&self) -> Identity {
        match &self.0 {
            Place::Root(_) => Identity::Named("/".into()),
            Place::Entity(dir) => Identity::Named(dir.identity.clone()),
            Place::Project(dir) => Identity::Named(dir.identity.clone()),
            Place::Type(dir) => Identity::Named(dir.identity.clone()),
            Place::Collection(dir) => Identity::Named(dir.identity.clone()),
            Place::Version(dir) => Identity::Named(dir.identity().clone()),
            Place::Alias(link) => Identity::Named(link.identity()),
            Place::Files(version) => content_identity(version, 0),
            Place::Content(node) => content_identity(&node.version, node.index),
            Place::Readme(_) => Identity::Named("/README.md".into()),
            Place::State(_) => Identity::Named("/.wandbfs".into()),
            Place::StateFile(_, file) => {
                Identity::Named(format!("/.wandbfs/{}", file.name()).into())
            }
            Place::Memory(node) => Identity::Named(format!("//memory/{}", node.id).into()),
            Place::View(view) => Identity::Named(view.identity.clone()),
            Place::ViewLink(link) => Identity::Named(link.identity()),
            Place::RunFile(run) => Identity::Named(join(&run.identity, RUN_FILE)),
            Place::Metadata(_) | Place::Manifest(_) => {
                let Identity::Named(dir) = self.parent().identity() else {
                    return self.parent().identity(); // metadata files lie in named directories only
                };
                Identity::Named(join(&dir, self.name()))
            }
        }
    }

    /// What it is to the kernel.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Place::Alias(_) | Place::ViewLink(_) => Kind::Symlink,
            Place::Memory(node) => match node.body {
                Body::File(_) => Kind::File,
                Body::Link(_) => Kind::Symlink,
            },
            Place::Metadata(_)
            | Place::Manifest(_)
            | Place::Readme(_)
            | Place::StateFile(..)
            | Place::RunFile(_) => Kind::File,
            Place::Content(node) if !node.tree.is_directory(node.index) => Kind::File,
            _ => Kind::Directory,
        }
    }

    /// The directory above; itself for the root of the mount.
    pub fn parent(&self) -> Node {
        self.above().unwrap_or_else(|| self.clone())
    }

    /// The directory above; none for the root of the mount.
    pub(crate) fn above(&self) -> Option<Node> {
        match &self.0 {
            Place::Root(_) => None,
            Place::Entity(dir) => dir.parent.clone(),
            Place::Project(dir) => dir.parent.clone(),
            Place::Type(dir) => dir.parent.clone(),
            Place::Collection(dir) => dir.parent.clone(),
            Place::Version(dir) => dir.parent.clone(),
            Place::Files(version) if version.root == Some(0) => None,
            Place::Content(node) if node.version.root == Some(node.index) => None,
            Place::Files(version) | Place::Manifest(version) => {
                Some(Node(Place::Version(version.clone())))
            }
            Place::Content(node) => Some(node.at(node.tree.parent(node.index))),
            Place::Metadata(dir) | Place::State(dir) => Some(Node::clone(dir)),
            Place::Alias(link) => Some(Node(Place::Collection(link.collection.clone()))),
            Place::Readme(root) => Some(Node(Place::Root(root.clone()))),
            Place::StateFile(dir, _) => Some(Node(Place::State(dir.clone()))),
            Place::Memory(node) => Some(node.dir.clone()),
            Place::View(view) => Some(view.parent.clone()),
            Place::ViewLink(link) => Some(Node(Place::View(link.dir.clone()))),
            Place::RunFile(run) => Some(Node(Place::View(run.clone()))),
        }
    }

    /// Its file name; of the root of the mount the name that it has elsewhere.
    pub fn name(&self) -> &str {
        match &self.0 {
            Place::Root(_) => "",
            Place::Entity(dir) => &dir.name,
            Place::Project(dir) => &dir.name,
            Place::Type(dir) => &dir.name,
            Place::Collection(dir) => &dir.name,
            Place::Version(dir) => dir.name(),
            Place::Files(_) => "files",
            Place::Content(node) => node.tree.name(node.index),
            Place::Metadata(dir) => dir.metadata_name(),
            Place::Manifest(_) => "manifest.json",
            Place::Alias(link) => &link.name,
            Place::Readme(_) => "README.md",
            Place::State(_) => super::names::STATE,
            Place::StateFile(_, file) => file.name(),
            Place::Memory(node) => &node.name,
            Place::View(view) => &view.name,
            Place::ViewLink(link) => &link.name,
            Place::RunFile(_) => RUN_FILE,
        }
    }

    /// Whether it exists in this mount only, as a file or link in memory.
    pub fn is_memory(&self) -> bool {
        matches!(self.0, Place::Memory(_))
    }

    /// Whether it is a metadata file whose writing saves.
    pub fn is_writable_metadata(&self) -> bool {
        match &self.0 {
            Place::Metadata(dir) => dir.holds_memory(),
            _ => false,
        }
    }

    /// Whether files and links in memory may lie in it: directories with a writable metadata file.
    pub(crate) fn holds_memory(&self) -> bool {
        matches!(self.0, Place::Collection(_) | Place::Version(_))
    }

    /// Path relative to the mount point, for logs; empty for the mount point itself.
    pub fn path(&self) -> String {
        let mut names = Vec::new();
        let mut node = self.clone();
        while let Some(above) = node.above() {
            names.push(node.name().to_owned());
            node = above;
        }
        names.reverse();
        names.join("/")
    }

    /// The version directory that a node of its content belongs to; `None` outside of content.
    /// It holds no content tree.
    pub fn version(&self) -> Option<Node> {
        match &self.0 {
            Place::Files(version) => Some(Node(Place::Version(version.clone()))),
            Place::Content(node) => Some(Node(Place::Version(node.version.clone()))),
            _ => None,
        }
    }

    /// Name of the metadata file in this directory.
    pub(crate) fn metadata_name(&self) -> &'static str {
        match &self.0 {
            Place::Entity(_) => "entity.json",
            Place::Project(_) => "project.json",
            Place::Type(_) => "type.json",
            Place::Collection(_) => "collection.json",
            _ => "artifact.json",
        }
    }

    /// The metadata file in this directory.
    pub(crate) fn metadata(&self) -> Node {
        Node(Place::Metadata(Arc::new(self.clone())))
    }
}

fn content_identity(version: &VersionDir, index: u32) -> Identity {
    Identity::Content {
        version: version.identity().clone(),
        index,
    }
}

impl ContentNode {
    /// Another node of the same content.
    pub(crate) fn at(&self, index: u32) -> Node {
        match index {
            0 => Node(Place::Files(self.version.clone())),
            _ => Node(Place::Content(Self {
                index,
                ..self.clone()
            })),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.kind(), self.path())
    }
}

/// What an entry of the resolve cache costs besides its texts: key, LRU links, node and `Arc`s.
const NODE_BYTES: usize = 400;

impl Weigh for Option<Node> {
    fn weigh(&self) -> usize {
        let texts = match self.as_ref().map(|node| &node.0) {
            Some(Place::Version(version)) => version.weight(),
            Some(Place::Collection(dir)) => dir.value.as_ref().map_or(0, |value| {
                let names = value.aliases.iter().chain(&value.tags);
                names.map(|name| name.len() + 24).sum::<usize>() + 600
            }),
            Some(_) => 600,
            None => 0,
        };
        NODE_BYTES + texts
    }
}
