//! From the text of a symbolic link to the version that it means.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::alias::AliasLink;
use super::lookup;
use super::place::{Node, Place};
use super::shared::Shared;
use super::version::VersionDir;
use crate::model::{Error, VersionSelector};

/// The version that a link in `dir` to `target` means: `vN`, an alias, or a path of a version in this
/// mount, relative to `dir` or absolute. `None` for anything else, and for what is not there. What an
/// alias means, and whether a version is there, is the server's present word, not what is remembered:
/// somebody else may have moved or logged it a moment ago.
///
/// # Errors
/// What the server says.
pub(crate) async fn version_of(
    shared: &Arc<Shared>,
    root: &Node,
    dir: &Node,
    target: &OsStr,
) -> Result<Option<Arc<VersionDir>>, Error> {
    let mount_point = shared.options.mount_point.as_deref();
    let Some(inside) = inside(mount_point, &dir.path(), Path::new(target)) else {
        return Ok(None);
    };
    let mut node = root.clone();
    for name in inside.iter() {
        let mut found = lookup(shared, &node, name).await?.0;
        if let (None, Place::Collection(dir)) = (&found, &node.0) {
            shared.forget_collection(&dir.path);
            found = lookup(shared, &node, name).await?.0;
        }
        let Some(child) = found else {
            return Ok(None);
        };
        node = match &child.0 {
            Place::Alias(link) => match present_target(shared, link).await? {
                Some(version) => version,
                None => return Ok(None),
            },
            Place::Memory(_) => return Ok(None),
            _ => child,
        };
        if !matches!(node.kind(), super::Kind::Directory) {
            return Ok(None);
        }
    }
    Ok(match node.0 {
        Place::Version(version) => Some(version),
        _ => None,
    })
}

/// The version that an alias leads to: now, or where aliases are pinned, as the mount shows it.
async fn present_target(shared: &Arc<Shared>, link: &AliasLink) -> Result<Option<Node>, Error> {
    let dir = &link.collection;
    if shared.options.pin_aliases {
        return Ok(super::collection::version(shared, dir, link.target)
            .await?
            .0);
    }
    let at = Instant::now();
    let selector = VersionSelector::Name(link.alias.as_str().into());
    let found = shared.hub.version(&dir.path, &selector).await?;
    Ok(found.map(|value| Node(Place::Version(Arc::new(VersionDir::new(dir, value, at))))))
}

/// The path of a target from the mount point on; `None` where it leads out of the mount. `..` is taken
/// from the text, as the way to `dir` holds no links.
fn inside(mount_point: Option<&Path>, dir: &str, target: &Path) -> Option<PathBuf> {
    let top = mount_point.unwrap_or(Path::new("/"));
    let mut path = top.join(dir);
    for part in target.components() {
        match part {
            Component::RootDir => path = PathBuf::from("/"),
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    path.strip_prefix(top).ok().map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_from_the_directory_or_from_the_mount_point() {
        let mount = Some(Path::new("/mnt/wandb"));
        for (target, expected) in [
            ("v3", Some("e/p/t/c/v3")),
            ("./v3/", Some("e/p/t/c/v3")),
            ("../d/latest", Some("e/p/t/d/latest")),
            ("../../../../f/p/t/c/v0", Some("f/p/t/c/v0")),
            ("/mnt/wandb/e/p/t/c/v1", Some("e/p/t/c/v1")),
            ("../../../../../wandb/e/p/t/c/v1", Some("e/p/t/c/v1")),
            ("/mnt/other/v1", None),
            ("../../../../../v1", None),
        ] {
            let found = inside(mount, "e/p/t/c", Path::new(target));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{target}");
        }
    }
}
