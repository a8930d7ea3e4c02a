//! From a path that a person wrote to a node.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::artifact_type::{self, collection_node};
use super::options::UNCATEGORIZED;
use super::place::{CollectionDir, ContentNode, Node, Place, join};
use super::root::{self, RootDir, entity_node};
use super::shared::{Answer, Shared};
use super::version::VersionDir;
use super::{Kind, collection, entity, lookup, project, views};
use crate::model::{
    Collection, CollectionName, CollectionPath, EntityName, Error, ErrorKind, NodePath,
    ProjectName, ProjectPath, RunName, TypePath, VersionSelector,
};

/// The root of the mount, and what it resolved to.
pub(crate) async fn mount_root(shared: &Arc<Shared>) -> Result<(Node, String), Error> {
    root_at(shared, &shared.options.root).await
}

async fn root_at(shared: &Arc<Shared>, path: &NodePath) -> Result<(Node, String), Error> {
    let (answer, text) = match path {
        NodePath::Root => {
            shared.viewer().await?;
            return Ok((Node(Place::Root(Arc::new(RootDir))), "/".to_owned()));
        }
        NodePath::Entity(name) => (
            root::fetch(shared, None, name.clone()).await,
            name.to_string(),
        ),
        NodePath::Project(path) => (
            entity::fetch(shared, None, path.clone()).await,
            path.to_string(),
        ),
        NodePath::Type(path) => (
            project::fetch(shared, None, path.clone()).await,
            path.to_string(),
        ),
        NodePath::Collection(path) => (
            artifact_type::fetch(shared, None, path.clone()).await,
            path.to_string(),
        ),
        NodePath::Version {
            collection,
            selector,
            below,
        } => {
            let dir = collection_node(None, collection.clone(), None, Instant::now());
            return version_root(shared, &dir, selector, below).await;
        }
        NodePath::Sdk {
            entity,
            project,
            collection,
            selector,
        } => {
            let found = sdk(shared, entity.as_ref(), project.as_ref(), collection).await?;
            let path = found.path.clone();
            let dir = collection_node(None, path, Some(found), Instant::now());
            return version_root(shared, &dir, selector, "").await;
        }
        NodePath::Run(project, run) => {
            let path = view_of_run(project, run);
            return Box::pin(root_at(shared, &path)).await;
        }
        NodePath::View { of, below } => {
            let (above, text) = Box::pin(root_at(shared, of)).await?;
            let node = walk(shared, above, below).await?;
            return match node.kind() {
                Kind::Directory => Ok((node, format!("{text}/{below}"))),
                _ => {
                    let message = "only a directory can be mounted";
                    Err(Error::new(ErrorKind::Invalid, node.path(), message))
                }
            };
        }
    };
    Ok((found(answer, &text)?, text))
}

/// A version's files, or a directory in them, as the root. An alias is resolved here, once.
async fn version_root(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
    selector: &VersionSelector,
    below: &str,
) -> Result<(Node, String), Error> {
    let at = Instant::now();
    let text = format!("{}/{selector}", dir.path);
    let value = shared.hub.version(&dir.path, selector).await?;
    let value = value.filter(|value| value.is_committed());
    let value = value.ok_or_else(|| missing(&text))?;
    let version = VersionDir::new(dir, value, at);
    let resolved = version.path().to_string();
    let below = below.trim_matches('/');
    let inside = match below.strip_prefix("files") {
        _ if below.is_empty() => "",
        Some(inside) if inside.is_empty() || inside.starts_with('/') => {
            inside.trim_start_matches('/')
        }
        _ => {
            let message = "it is not a directory that can be mounted";
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{text}/{below}"),
                message,
            ));
        }
    };
    if inside.is_empty() {
        let version = Arc::new(version.at_the_mount_point(0));
        return Ok((Node(Place::Files(version)), resolved));
    }
    let version = Arc::new(version);
    let tree = shared.content(&version).await?;
    let mut index = 0;
    for name in inside.split('/').filter(|name| !name.is_empty()) {
        let child = tree.find(index, name.as_bytes());
        index = child.ok_or_else(|| missing(&format!("{text}/{below}")))?;
    }
    let value = version.value().clone();
    let version = Arc::new(VersionDir::new(dir, value, at).at_the_mount_point(index));
    let node = ContentNode {
        tree,
        version,
        index,
    };
    if !node.tree.is_directory(index) {
        let message = "it is a file; only a directory can be mounted";
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{text}/{below}"),
            message,
        ));
    }
    Ok((Node(Place::Content(node)), format!("{resolved}/{below}")))
}

/// Any node by its path from the top, whatever the root of the mount is; directories on the way are
/// not asked for. An alias gives its version.
pub(crate) async fn resolve(shared: &Arc<Shared>, path: &NodePath) -> Result<Node, Error> {
    let top = Node(Place::Root(Arc::new(RootDir)));
    let answer = match path {
        NodePath::Root => return Ok(top),
        NodePath::Entity(name) => root::fetch(shared, Some(top), name.clone()).await,
        NodePath::Project(path) => {
            entity::fetch(shared, Some(above_project(path)), path.clone()).await
        }
        NodePath::Type(path) => project::fetch(shared, Some(above_type(path)), path.clone()).await,
        NodePath::Collection(path) => {
            let above = above_collection(path);
            artifact_type::fetch(shared, Some(above), path.clone()).await
        }
        NodePath::Version {
            collection,
            selector,
            below,
        } => {
            let above = above_collection(collection);
            let dir = collection_node(Some(above), collection.clone(), None, Instant::now());
            return version_at(shared, &dir, selector, below).await;
        }
        NodePath::Sdk {
            entity,
            project,
            collection,
            selector,
        } => {
            let value = sdk(shared, entity.as_ref(), project.as_ref(), collection).await?;
            let path = value.path.clone();
            let above = above_collection(&path);
            let dir = collection_node(Some(above), path, Some(value), Instant::now());
            return version_at(shared, &dir, selector, "").await;
        }
        NodePath::Run(project, run) => {
            return Box::pin(resolve(shared, &view_of_run(project, run))).await;
        }
        NodePath::View { of, below } => {
            let above = Box::pin(resolve(shared, of)).await?;
            return walk(shared, above, below).await;
        }
    };
    found(answer, &text_of(path))
}

async fn version_at(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
    selector: &VersionSelector,
    below: &str,
) -> Result<Node, Error> {
    let text = format!("{}/{selector}", dir.path);
    let name = super::names::Level::Collection.escape(&selector.to_string());
    let mut node = found(
        collection::child(shared, dir, OsStr::new(&name)).await,
        &text,
    )?;
    if let Place::Alias(link) = &node.0 {
        node = found(collection::version(shared, dir, link.target).await, &text)?;
    }
    walk(shared, node, below).await
}

/// The collection that the SDK's spelling means; its type is known to the server only.
async fn sdk(
    shared: &Shared,
    entity: Option<&EntityName>,
    project: Option<&ProjectName>,
    name: &CollectionName,
) -> Result<Collection, Error> {
    let entity = match entity.or(shared.options.default_entity.as_ref()) {
        Some(entity) => entity.clone(),
        None => shared.viewer().await?.entity.clone().ok_or_else(|| {
            let message = "the path names no entity and this account has no default one";
            Error::new(ErrorKind::Invalid, name.to_string(), message)
        })?,
    };
    let project = match project.or(shared.options.default_project.as_ref()) {
        Some(project) => project.clone(),
        None => ProjectName::new(UNCATEGORIZED).map_err(|cause| {
            Error::caused_by(ErrorKind::Invalid, UNCATEGORIZED, "no such project", cause)
        })?,
    };
    let path = ProjectPath { entity, project };
    let found = shared.hub.collection_of_project(&path, name).await?;
    found.ok_or_else(|| missing(&format!("{path}/{name}")))
}

fn above_project(path: &ProjectPath) -> Node {
    let top = Node(Place::Root(Arc::new(RootDir)));
    entity_node(Some(top), path.entity.clone(), None)
}

fn above_type(path: &TypePath) -> Node {
    let above = above_project(&path.project);
    entity::project_node(Some(above), path.project.clone(), None, Instant::now())
}

fn above_collection(path: &CollectionPath) -> Node {
    let path = path.type_path();
    let above = above_type(&path);
    project::type_node(Some(above), path, None, Instant::now())
}

fn text_of(path: &NodePath) -> String {
    match path {
        NodePath::Entity(name) => name.to_string(),
        NodePath::Project(path) => path.to_string(),
        NodePath::Type(path) => path.to_string(),
        NodePath::Collection(path) => path.to_string(),
        _ => String::new(),
    }
}

fn found(answer: Answer, path: &str) -> Result<Node, Error> {
    answer?.0.ok_or_else(|| missing(path))
}

fn missing(path: &str) -> Error {
    Error::new(ErrorKind::NotFound, path, "the server has no such node")
}

/// What is below a node, links followed to what they mean.
async fn walk(shared: &Arc<Shared>, from: Node, below: &str) -> Result<Node, Error> {
    let mut node = from;
    for name in below.split('/').filter(|name| !name.is_empty()) {
        let path = format!("{}/{name}", node.path());
        node = found(lookup(shared, &node, OsStr::new(name)).await, &path)?;
        let (dir, target) = match &node.0 {
            Place::ViewLink(link) => (Node(Place::View(link.dir.clone())), link.target.clone()),
            Place::Alias(link) => (node.parent(), link.target.to_string()),
            _ => continue,
        };
        node = dir;
        for name in target.split('/').filter(|name| !name.is_empty()) {
            node = match name {
                ".." => node.parent(),
                _ => found(lookup(shared, &node, OsStr::new(name)).await, &path)?,
            };
        }
    }
    Ok(node)
}

/// The path of a run's directory.
fn view_of_run(project: &ProjectPath, run: &RunName) -> NodePath {
    NodePath::View {
        of: Box::new(NodePath::Project(project.clone())),
        below: join(views::RUNS, &views::run_name(run)).to_string(),
    }
}
