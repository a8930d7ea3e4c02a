//! Extended attributes: what is known about a node without asking anybody.

use super::content::{FileFacts, manifest_content};
use super::node::Identity;
use super::place::{Node, Place};
use super::shared::Shared;
use crate::model::{Content, DigestAlgorithm, NodePath, VersionSelector};

const ID: &str = "user.wandb.id";
const DIGEST: &str = "user.wandb.digest";
const ETAG: &str = "user.wandb.etag";
const MD5: &str = "user.wandb.md5";
const XXH128: &str = "user.wandb.xxh128";
const REF: &str = "user.wandb.ref";
const URL: &str = "user.wandb.url";
const CACHED: &str = "user.wandb.cached";
const ERROR: &str = "user.wandbfs.error";

const ALL: [&str; 9] = [ID, DIGEST, ETAG, MD5, XXH128, REF, URL, CACHED, ERROR];

/// Names of the attributes that a node has.
pub(crate) fn names(shared: &Shared, node: &Node) -> Vec<&'static str> {
    let has = |name: &&&'static str| match **name {
        CACHED => content(node).is_some(), // whether, not how much: that looks at the disk
        name => value(shared, node, name).is_some(),
    };
    ALL.iter().filter(has).copied().collect()
}

/// One attribute.
pub(crate) fn value(shared: &Shared, node: &Node, name: &str) -> Option<Vec<u8>> {
    let text = match name {
        ID => id(node),
        DIGEST => digest(node),
        ETAG => facts(node).filter(|f| f.url.is_some()).and_then(|f| f.etag),
        MD5 => hex(node, DigestAlgorithm::Md5),
        XXH128 => hex(node, DigestAlgorithm::Xxh128),
        REF => facts(node).and_then(|facts| facts.url),
        URL => address(node).and_then(|path| shared.hub.app_url(&path)),
        CACHED => content(node).map(|content| format!("{:.2}", shared.blobs.cached(&content))),
        ERROR => shared.failures.lock().peek(&node.identity()).cloned(),
        _ => None,
    };
    text.map(String::into_bytes)
}

/// Keeps why the last operation on a node failed, or forgets it. What concerns a link is kept for its
/// directory, as links carry no `user.*`.
pub(crate) fn note(shared: &Shared, node: &Node, message: Option<&str>) {
    let identity: Identity = match &node.0 {
        Place::Alias(_) => node.parent().identity(),
        _ => node.identity(),
    };
    let mut failures = shared.failures.lock();
    match message {
        Some(message) => {
            failures.put(identity, message.to_owned());
        }
        None => {
            failures.pop(&identity);
        }
    }
}

/// The directory whose server object a node belongs to.
fn subject(node: &Node) -> Node {
    match &node.0 {
        Place::Metadata(dir) => Node::clone(dir),
        Place::Manifest(version) | Place::Files(version) => Node(Place::Version(version.clone())),
        Place::Content(content) => Node(Place::Version(content.version.clone())),
        _ => node.clone(),
    }
}

/// Id of the server's object.
pub(crate) fn id(node: &Node) -> Option<String> {
    match &subject(node).0 {
        Place::Entity(dir) => dir.value.as_ref().map(|value| value.id.clone()),
        Place::Project(dir) => dir.value.as_ref().map(|value| value.id.clone()),
        Place::Type(dir) => dir.value.as_ref().map(|value| value.id.clone()),
        Place::Collection(dir) => dir.value.as_ref().map(|value| value.id.clone()),
        Place::Version(version) => Some(version.value().id.as_str().to_owned()),
        Place::Alias(link) => Some(link.target_id.as_str().to_owned()),
        Place::View(view) | Place::RunFile(view) => Some(view.run()?.id.clone()),
        _ => None,
    }
}

fn digest(node: &Node) -> Option<String> {
    match &node.0 {
        Place::Content(_) => {
            let facts = facts(node)?;
            facts.digest.map(|digest| digest.to_base64()).or(facts.etag)
        }
        Place::Manifest(version) => version.value().manifest.as_ref()?.digest.clone(),
        Place::Version(version) | Place::Files(version) => Some(version.value().digest.clone()),
        Place::Metadata(dir) => digest(dir),
        _ => None,
    }
}

fn hex(node: &Node, algorithm: DigestAlgorithm) -> Option<String> {
    let digest = facts(node)?.digest?;
    (digest.algorithm() == algorithm).then(|| digest.to_hex())
}

fn facts(node: &Node) -> Option<FileFacts> {
    match &node.0 {
        Place::Content(content) => content.tree.facts(content.index),
        _ => None,
    }
}

fn content(node: &Node) -> Option<Content> {
    match &node.0 {
        Place::Content(content) => content.tree.content(content.index, &content.version),
        Place::Manifest(version) => Some(manifest_content(version)),
        _ => None,
    }
}

/// The node whose page of the app is this one's.
fn address(node: &Node) -> Option<NodePath> {
    Some(match &subject(node).0 {
        Place::Entity(dir) => NodePath::Entity(dir.path.clone()),
        Place::Project(dir) => NodePath::Project(dir.path.clone()),
        Place::Type(dir) => NodePath::Type(dir.path.clone()),
        Place::Collection(dir) => NodePath::Collection(dir.path.clone()),
        Place::Version(version) => NodePath::Version {
            collection: version.path().collection.clone(),
            selector: VersionSelector::Index(version.path().index),
            below: String::new(),
        },
        _ => return None,
    })
}
