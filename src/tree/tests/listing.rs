//! Listings.

use super::*;
use crate::model::{ErrorKind, ListOptions};
use crate::tree::testing::manifest;

fn filled(count: u64) -> std::sync::Arc<World> {
    let world = World::new();
    for index in 0..count {
        let aliases: &[&str] = if index + 1 == count {
            &["latest", "best"]
        } else {
            &[]
        };
        world.add_version("e/p/t/c", index, aliases, &manifest(&[("a", b"")]));
    }
    world
}

#[tokio::test]
async fn each_level_lists_its_own_file_first_and_nothing_unlisted() {
    let world = filled(1);
    let tree = world.tree(TreeOptions::default());
    for (path, expected) in [
        ("", vec!["README.md", "e"]),
        ("e", vec!["entity.json", "p"]),
        ("e/p", vec!["project.json", "t"]),
        ("e/p/t", vec!["type.json", "c"]),
        ("e/p/t/c", vec!["collection.json", "v0", "latest", "best"]),
        (
            "e/p/t/c/v0",
            vec!["artifact.json", "manifest.json", "files"],
        ),
        ("e/p/t/c/v0/files", vec!["a"]),
    ] {
        let dir = stat(&tree, path).await.unwrap();
        assert_eq!(names(tree.list(&dir).unwrap()).await.concat(), expected);
    }
}

#[tokio::test]
async fn the_first_page_comes_while_the_second_is_held_back() {
    let world = filled(120);
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    world.reset();
    world.hold("versions", 2);
    let mut listing = tree.list(&dir).unwrap();
    let first = listing.next_page().await.unwrap().unwrap();
    assert_eq!(first.len(), 51);
    assert_eq!(world.requests(), 1);
    {
        let mut second = Box::pin(listing.next_page());
        assert!(futures::poll!(&mut second).is_pending());
        world.release();
        assert_eq!(second.await.unwrap().unwrap().len(), 50);
    }
    assert_eq!(listing.next_page().await.unwrap().unwrap().len(), 22);
    assert!(listing.next_page().await.unwrap().is_none());
}

#[tokio::test]
async fn a_repeated_cursor_is_an_error_and_not_a_loop() {
    let world = filled(120);
    world.repeat_cursors();
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let mut listing = tree.list(&dir).unwrap();
    assert!(listing.next_page().await.is_ok());
    let error = listing.next_page().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(listing.next_page().await.unwrap().is_none());
}

#[tokio::test]
async fn a_failed_page_can_be_asked_for_again() {
    let world = filled(60);
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let mut listing = tree.list(&dir).unwrap();
    world.fail("versions", ErrorKind::Network);
    assert!(listing.next_page().await.is_err());
    world.heal();
    assert_eq!(listing.next_page().await.unwrap().unwrap().len(), 51);
}

#[tokio::test]
async fn versions_that_are_not_committed_are_neither_listed_nor_found() {
    let world = filled(3);
    world.edit_version("e/p/t/c", 1, |version| version.state = "PENDING".into());
    world.edit_version("e/p/t/c", 0, |version| version.state = "committed".into());
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let listed = names(tree.list(&dir).unwrap()).await.concat();
    assert_eq!(listed, ["collection.json", "v0", "v2", "latest", "best"]);
    assert!(stat(&tree, "e/p/t/c/v1").await.is_none());
}

#[tokio::test]
async fn tags_are_looked_for_on_every_page() {
    let world = filled(120);
    world.edit_version("e/p/t/c", 110, |version| version.tags = vec!["good".into()]);
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let tags = vec!["good".to_owned()];
    let listing = tree.list_with(&dir, ListOptions::default(), tags).unwrap();
    assert_eq!(names(listing).await, [["v110"]]);
    let file = stat(&tree, "e/p/t/c/collection.json").await.unwrap();
    assert!(
        tree.list_with(&file, ListOptions::default(), vec![])
            .is_err()
    );
}

#[tokio::test]
async fn views_are_listed_when_asked_for() {
    struct State;
    impl crate::tree::MountState for State {
        fn version(&self) -> String {
            "1.2.3".into()
        }
        fn config_json(&self) -> Vec<u8> {
            b"{}".to_vec()
        }
        fn stats_json(&self) -> Vec<u8> {
            b"{}".to_vec()
        }
        fn errors_log(&self) -> Vec<u8> {
            Vec::new()
        }
        fn requests_log(&self) -> Vec<u8> {
            Vec::new()
        }
    }
    let world = filled(1);
    for show_views in [false, true] {
        let tree = world.tree(TreeOptions {
            show_views,
            state: Some(std::sync::Arc::new(State)),
            ..TreeOptions::default()
        });
        let root = tree.root().await.unwrap();
        let listed = names(tree.list(&root).unwrap()).await.concat();
        assert_eq!(listed.contains(&".wandbfs".to_owned()), show_views);
        let file = stat(&tree, ".wandbfs/version").await.unwrap();
        assert_eq!(text(&tree, &file).await, "1.2.3\n");
        assert_eq!(tree.attributes(&file).await.unwrap().0.size, 6);
        let state = stat(&tree, ".wandbfs").await.unwrap();
        let expected = [
            "version",
            "config.json",
            "stats.json",
            "errors.log",
            "requests.log",
        ];
        assert_eq!(names(tree.list(&state).unwrap()).await.concat(), expected);
        assert!(stat(&tree, "e/.wandbfs").await.is_none());
    }
}
