//! `--root` and paths of the command line.

use super::*;
use crate::model::{ErrorKind, NodePath};
use crate::tree::testing::manifest;

fn rooted(path: &str) -> TreeOptions {
    TreeOptions {
        root: NodePath::parse(path).unwrap(),
        ..TreeOptions::default()
    }
}

fn world() -> std::sync::Arc<World> {
    let world = World::new();
    world.add_version(
        "e/p/t/c",
        3,
        &["latest"],
        &manifest(&[("d/a", b"x"), ("b", b"")]),
    );
    world
}

#[tokio::test]
async fn a_version_as_root_is_its_files_and_nothing_else() {
    for (path, requests) in [
        ("e/p/t/c/v3", 1),
        ("e/p/t/c/latest", 1),
        ("e/p/c:latest", 2),
    ] {
        let world = world();
        let tree = world.tree(rooted(path));
        let root = tree.root().await.unwrap();
        assert_eq!(tree.resolved().await.unwrap(), "e/p/t/c/v3");
        assert_eq!(world.requests(), requests, "{path}");
        assert_eq!(names(tree.list(&root).unwrap()).await.concat(), ["b", "d"]);
        let file = stat(&tree, "d/a").await.unwrap();
        assert_eq!(file.path(), "d/a");
        assert_eq!(file.parent().parent().identity(), root.identity());
        assert_eq!(root.parent().identity(), root.identity());
        assert!(stat(&tree, "README.md").await.is_none());
        assert!(stat(&tree, ".wandbfs").await.is_none());
    }
}

#[tokio::test]
async fn an_alias_as_root_is_resolved_once() {
    let world = world();
    let tree = world.tree(TreeOptions {
        ttl: std::time::Duration::ZERO,
        ..rooted("e/p/t/c/latest")
    });
    stat(&tree, "b").await.unwrap();
    world.edit_version("e/p/t/c", 3, |version| version.aliases.clear());
    stat(&tree, "d/a").await.unwrap();
    assert_eq!(world.count("version"), 1);
}

#[tokio::test]
async fn any_other_node_as_root_is_that_directory() {
    for (path, first) in [
        ("e", "entity.json"),
        ("e/p", "project.json"),
        ("e/p/t", "type.json"),
        ("e/p/t/c", "collection.json"),
        ("e/p/t/c/v3/files/d", "a"),
    ] {
        let tree = world().tree(rooted(path));
        let root = tree.root().await.unwrap();
        assert_eq!(tree.resolved().await.unwrap(), path);
        assert_eq!(names(tree.list(&root).unwrap()).await.concat()[0], first);
        assert_eq!(
            (root.path(), root.parent().identity()),
            (String::new(), root.identity())
        );
        let child = stat(&tree, first).await.unwrap();
        assert_eq!(child.path(), first);
    }
}

#[tokio::test]
async fn an_unknown_root_is_not_found_and_a_file_is_no_root() {
    for path in [
        "nobody",
        "e/no",
        "e/p/no",
        "e/p/t/no",
        "e/p/t/c/v9",
        "e/p/c:no",
        "e/p/no:x",
    ] {
        let error = world().tree(rooted(path)).root().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{path}");
    }
    for path in ["e/p/t/c/v3/files/b", "e/p/t/c/v3/artifact.json"] {
        let error = world().tree(rooted(path)).root().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{path}");
    }
}

#[tokio::test]
async fn a_path_of_the_command_line_asks_for_its_last_node_only() {
    for (path, found, requests) in [
        ("e", "e", 1),
        ("e/p", "e/p", 1),
        ("e/p/t", "e/p/t", 1),
        ("e/p/t/c", "e/p/t/c", 1),
        ("e/p/t/c/latest", "e/p/t/c/v3", 1),
        ("e/p/c:latest", "e/p/t/c/v3", 2),
        ("c:v3", "e/uncategorized/t/c/v3", 3),
        ("e/p/t/c/v3/files/d/a", "e/p/t/c/v3/files/d/a", 2),
        ("e/p/t/c/v3/artifact.json", "e/p/t/c/v3/artifact.json", 1),
    ] {
        let world = world();
        world.add_version("e/uncategorized/t/c", 3, &[], &manifest(&[]));
        let tree = world.tree(TreeOptions::default());
        let node = tree.resolve(&NodePath::parse(path).unwrap()).await.unwrap();
        assert_eq!(node.path(), found);
        assert_eq!(world.requests(), requests, "{path}: {:?}", world.by_name());
    }
}
