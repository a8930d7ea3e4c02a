//! What things cost.

use super::*;
use crate::model::ErrorKind;
use crate::tree::testing::manifest;

#[tokio::test]
async fn stat_of_a_file_costs_five_requests_and_then_none() {
    let world = World::new();
    world.add_version("e/p/t/c", 7, &[], &manifest(&[("a/b", b"hello")]));
    let tree = world.tree(TreeOptions::default());
    tree.root().await.unwrap();
    world.reset();
    assert!(stat(&tree, "e/p/t/c/v7/files/a/b").await.is_some());
    assert_eq!(world.requests(), 5, "{:?}", world.by_name());
    for request in [
        "project",
        "artifact_type",
        "collection",
        "version",
        "manifest",
    ] {
        assert_eq!(world.count(request), 1, "{request}");
    }
    world.reset();
    assert!(stat(&tree, "e/p/t/c/v7/files/a/b").await.is_some());
    assert_eq!(world.requests(), 0, "{:?}", world.by_name());
}

#[tokio::test]
async fn an_entity_of_somebody_else_costs_one_request_more() {
    let world = World::new();
    world.add_version("other/p/t/c", 0, &[], &manifest(&[("a", b"")]));
    let tree = world.tree(TreeOptions::default());
    tree.root().await.unwrap();
    world.reset();
    assert!(stat(&tree, "other/p/t/c/v0/files/a").await.is_some());
    assert_eq!(world.requests(), 6, "{:?}", world.by_name());
}

#[tokio::test]
async fn missing_names_cost_one_request_and_impossible_ones_none() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("a", b"")]));
    let tree = world.tree(TreeOptions::default());
    for path in ["nobody", "e/no", "e/p/no", "e/p/t/no", "e/p/t/c/no"] {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        stat(&tree, above).await.unwrap();
        world.reset();
        assert!(stat(&tree, path).await.is_none());
        assert_eq!(world.requests(), 1, "{path}");
        assert!(stat(&tree, path).await.is_none());
        assert_eq!(world.requests(), 1, "{path} again");
    }
    world.reset();
    let probes = [
        ".git",
        ".Trash-0",
        "autorun.inf",
        ".hidden",
        "._x",
        "%61",
        "a:b",
    ];
    stat(&tree, "e/p/t/c/v0/files/a").await.unwrap(); // a content knows its names once it is here
    for level in [
        "",
        "e",
        "e/p",
        "e/p/t",
        "e/p/t/c",
        "e/p/t/c/v0",
        "e/p/t/c/v0/files",
    ] {
        for probe in probes {
            let path = format!("{level}/{probe}");
            world.reset();
            stat(&tree, level).await.unwrap();
            let before = world.requests();
            assert!(stat(&tree, &path).await.is_none(), "{path}");
            assert_eq!(world.requests(), before, "{path}");
        }
    }
}

#[tokio::test]
async fn a_fresh_listing_pays_for_its_lookups_and_for_a_second_listing() {
    let world = World::new();
    for index in 0..120 {
        world.add_version("e/p/t/c", index, &[], &manifest(&[("a", b"")]));
    }
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    world.reset();
    names(tree.list(&dir).unwrap()).await;
    assert_eq!(world.requests(), 3);
    for index in 0..120 {
        let version = stat(&tree, &format!("e/p/t/c/v{index}")).await.unwrap();
        let json = tree.lookup(&version, OsStr::new("artifact.json")).await;
        tree.attributes(&json.unwrap().0.unwrap()).await.unwrap();
    }
    names(tree.list(&dir).unwrap()).await;
    assert_eq!(world.requests(), 3, "{:?}", world.by_name());
}

#[tokio::test]
async fn a_long_listing_costs_no_more_than_a_short_one_at_every_level() {
    for level in ["", "e", "e/p", "e/p/t", "e/p/t/c", "e/p/t/c/v0"] {
        let mut costs = Vec::new();
        for long in [false, true] {
            let world = World::new();
            world.add_version("e/p/t/c", 0, &["latest"], &manifest(&[("a", b"")]));
            world.edit_collection("e/p/t/c", |collection| collection.more_aliases = true);
            let tree = world.tree(TreeOptions::default());
            let dir = stat(&tree, level).await.unwrap();
            world.reset();
            let mut listing = tree.list(&dir).unwrap();
            while let Some(page) = listing.next_page().await.unwrap() {
                for child in page.iter().filter(|_| long) {
                    tree.attributes(&child.node).await.unwrap();
                    tree.xattr_names(&child.node);
                }
            }
            costs.push(world.requests());
        }
        assert_eq!(costs[0], costs[1], "{level}");
    }
}

#[tokio::test]
async fn walking_a_large_content_costs_its_manifest_only() {
    let keys: Vec<String> = (0..5000).map(|n| format!("d{}/f{n}", n % 70)).collect();
    let files: Vec<(&str, &[u8])> = keys.iter().map(|k| (k.as_str(), &b"x"[..])).collect();
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&files));
    let tree = world.tree(TreeOptions::default());
    let root = stat(&tree, "e/p/t/c/v0/files").await.unwrap();
    world.reset();
    let (mut todo, mut seen) = (vec![root], 0);
    while let Some(dir) = todo.pop() {
        let mut listing = tree.list(&dir).unwrap();
        while let Some(page) = listing.next_page().await.unwrap() {
            for child in page.iter() {
                let size = tree.attributes(&child.node).await.unwrap().0.size;
                match child.node.kind() {
                    Kind::Directory => todo.push(child.node.clone()),
                    _ => {
                        assert_eq!(size, 1);
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 5000);
    assert_eq!((world.requests(), world.count("manifest")), (1, 1));
}

#[tokio::test]
async fn walkers_in_step_share_requests_and_a_failure_releases_all_of_them() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("a", b"")]));
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    world.reset();
    world.hold("version", 1);
    world.fail("version", ErrorKind::Network);
    let lookups = (0..8).map(|_| tree.lookup(&dir, OsStr::new("v0")));
    let (answers, ()) = tokio::join!(futures::future::join_all(lookups), async {
        tokio::task::yield_now().await;
        world.release();
    });
    assert!(
        answers
            .iter()
            .all(|a| matches!(a, Err(e) if e.kind() == ErrorKind::Network))
    );
    assert_eq!(world.count("version"), 1);
    world.heal();
    let found = tree.lookup(&dir, OsStr::new("v0")).await.unwrap().0;
    assert!(found.is_some(), "a failure is not remembered");
}

#[tokio::test]
async fn with_no_ttl_every_walk_asks_again_but_content_does_not() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("a", b"")]));
    let options = TreeOptions {
        ttl: std::time::Duration::ZERO,
        ..TreeOptions::default()
    };
    let tree = world.tree(options);
    for _ in 0..2 {
        assert!(stat(&tree, "e/p/t/c/v0/files/a").await.is_some());
    }
    assert_eq!((world.count("version"), world.count("manifest")), (2, 1));
}
