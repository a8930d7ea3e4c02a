//! Removing, linking, renaming, making.

use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::model::ErrorKind;
use crate::tree::testing::{collection_path, manifest};
use crate::tree::{Reason, Refused};

fn world() -> Arc<World> {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &["old"], &manifest(&[]));
    world.add_version("e/p/t/c", 1, &["latest", "new"], &manifest(&[]));
    world.add_version("e/p/t/c", 2, &[], &manifest(&[]));
    world
}

async fn target(tree: &Tree, path: &str) -> Option<String> {
    let link = stat(tree, path).await?;
    Some(tree.read_link(&link).unwrap().into_string().unwrap())
}

async fn dir(tree: &Tree, path: &str) -> Node {
    stat(tree, path).await.unwrap()
}

async fn ln(tree: &Tree, place: &str, name: &str, to: &str) -> Result<(), Refused> {
    let place = dir(tree, place).await;
    tree.symlink(&place, name.as_ref(), to.as_ref())
        .await
        .map(drop)
}

async fn mv(tree: &Tree, from: &str, to: &str) -> Result<(), Refused> {
    let split = |path: &str| {
        let (dir, name) = path.rsplit_once('/').unwrap();
        (dir.to_owned(), name.to_owned())
    };
    let ((from, name), (to, to_name)) = (split(from), split(to));
    let (from, to) = (dir(tree, &from).await, dir(tree, &to).await);
    let moved = tree.rename(&from, name.as_ref(), &to, to_name.as_ref(), false);
    moved.await.map(drop)
}

#[tokio::test]
async fn a_link_to_a_version_is_an_alias_and_is_seen_at_once() {
    let world = world();
    let tree = world.tree(TreeOptions {
        mount_point: Some(PathBuf::from("/mnt/w")),
        ..TreeOptions::default()
    });
    assert_eq!(target(&tree, "e/p/t/c/production").await, None);
    for (number, name, to) in [
        (0, "production", "v0"),
        (1, "b", "./v1"),
        (0, "c", "old"),
        (1, "d", "/mnt/w/e/p/t/c/v1"),
        (1, "e", "../c/latest"),
    ] {
        ln(&tree, "e/p/t/c", name, to).await.unwrap();
        let expected = Some(format!("v{number}"));
        assert_eq!(
            target(&tree, &format!("e/p/t/c/{name}")).await,
            expected,
            "{to}"
        );
    }
    let listed = names(tree.list(&dir(&tree, "e/p/t/c").await).unwrap())
        .await
        .concat();
    assert!(listed.contains(&"production".to_owned()), "{listed:?}");
}

#[tokio::test]
async fn links_that_are_no_alias_are_refused_and_temporary_ones_stay_here() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    for (name, to, reason, kind) in [
        ("old", "v1", Reason::Exists, ErrorKind::Busy),
        ("x", "nowhere", Reason::ByKind, ErrorKind::Invalid),
        ("x", "/etc/passwd", Reason::ByKind, ErrorKind::Invalid),
        ("v9", "v1", Reason::ByKind, ErrorKind::Invalid),
        ("a:b", "v1", Reason::ByKind, ErrorKind::Invalid),
    ] {
        let refused = ln(&tree, "e/p/t/c", name, to).await.unwrap_err();
        assert_eq!(
            (refused.reason, refused.error.kind()),
            (reason, kind),
            "{name} -> {to}"
        );
    }
    ln(&tree, "e/p/t/c", ".#collection.json", "me@host.7")
        .await
        .unwrap();
    assert_eq!(
        target(&tree, "e/p/t/c/.#collection.json").await.unwrap(),
        "me@host.7"
    );
    assert_eq!(world.take_sent(), Vec::<String>::new());
}

#[tokio::test]
async fn the_way_of_ln_sfn_moves_an_alias_in_one_change() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    assert_eq!(target(&tree, "e/p/t/c/old").await.unwrap(), "v0");
    ln(&tree, "e/p/t/c", "CuAb3xYz", "v2").await.unwrap();
    mv(&tree, "e/p/t/c/CuAb3xYz", "e/p/t/c/old").await.unwrap();
    assert_eq!(target(&tree, "e/p/t/c/old").await.unwrap(), "v2");
    assert_eq!(target(&tree, "e/p/t/c/CuAb3xYz").await, None);
    assert_eq!(world.take_sent().len(), 1);
}

#[tokio::test]
async fn an_alias_gets_another_name_or_takes_that_of_another() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    mv(&tree, "e/p/t/c/new", "e/p/t/c/old").await.unwrap();
    assert_eq!(target(&tree, "e/p/t/c/old").await.unwrap(), "v1");
    assert_eq!(target(&tree, "e/p/t/c/new").await, None);
    world.add_collection("e/p/t/d");
    let refused = mv(&tree, "e/p/t/c/old", "e/p/t/d/old").await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotPermitted);
}

#[tokio::test]
async fn removing_an_alias_leaves_the_version() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let place = dir(&tree, "e/p/t/c").await;
    tree.unlink(&place, "old".as_ref()).await.unwrap();
    assert_eq!(target(&tree, "e/p/t/c/old").await, None);
    assert!(stat(&tree, "e/p/t/c/v0").await.is_some());
    let refused = tree
        .unlink(&place, "digest-of-1".as_ref())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotPermitted);
    let refused = tree.unlink(&place, "v0".as_ref()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::IsDirectory);
    let refused = tree.unlink(&place, "gone".as_ref()).await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_version_with_aliases_of_its_own_is_busy_unless_told() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let place = dir(&tree, "e/p/t/c").await;
    let refused = tree.rmdir(&place, "v1".as_ref()).await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Busy);
    tree.rmdir(&place, "v2".as_ref()).await.unwrap();
    assert!(stat(&tree, "e/p/t/c/v2").await.is_none());
    assert_eq!(world.count("delete_version"), 1);
    let tree = world.tree(TreeOptions {
        delete_aliases: true,
        ..TreeOptions::default()
    });
    assert_eq!(target(&tree, "e/p/t/c/latest").await.unwrap(), "v1");
    let changes = tree
        .rmdir(&dir(&tree, "e/p/t/c").await, "v1".as_ref())
        .await
        .unwrap();
    assert!(changes.names.iter().any(|(_, name)| name == "latest"));
    assert_eq!(target(&tree, "e/p/t/c/latest").await.unwrap(), "v0");
    assert_eq!(target(&tree, "e/p/t/c/new").await, None);
}

#[tokio::test]
async fn a_collection_goes_whole_and_what_is_not_one_stays() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let place = dir(&tree, "e/p/t").await;
    assert!(
        names(tree.list(&place).unwrap())
            .await
            .concat()
            .contains(&"c".to_owned())
    );
    tree.rmdir(&place, "c".as_ref()).await.unwrap();
    assert!(stat(&tree, "e/p/t/c").await.is_none());
    assert!(
        !names(tree.list(&place).unwrap())
            .await
            .concat()
            .contains(&"c".to_owned())
    );
    for (place, name) in [("e/p", "t"), ("e", "p")] {
        let place = dir(&tree, place).await;
        let refused = tree.rmdir(&place, name.as_ref()).await.unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::NotPermitted, "{name}");
    }
}

#[tokio::test]
async fn a_mount_that_deletes_nothing_still_saves() {
    let world = world();
    let tree = world.tree(TreeOptions {
        no_delete: true,
        ..TreeOptions::default()
    });
    let place = dir(&tree, "e/p/t/c").await;
    let above = place.parent();
    let refusals = [
        tree.rmdir(&place, "v2".as_ref()).await.unwrap_err(),
        tree.rmdir(&above, "c".as_ref()).await.unwrap_err(),
        tree.unlink(&place, "old".as_ref()).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.error.kind(), ErrorKind::NotPermitted);
        assert!(refused.error.chain().contains("--no-delete"));
    }
    ln(&tree, "e/p/t/c", "mine", "v0").await.unwrap();
}

#[tokio::test]
async fn a_collection_gets_another_name_or_another_type() {
    let world = world();
    world.add_collection("e/p/u/other");
    let tree = world.tree(TreeOptions::default());
    assert!(stat(&tree, "e/p/t/d").await.is_none());
    mv(&tree, "e/p/t/c", "e/p/t/d").await.unwrap();
    assert!(stat(&tree, "e/p/t/c").await.is_none());
    assert!(stat(&tree, "e/p/t/d/v0").await.is_some());
    mv(&tree, "e/p/t/d", "e/p/u/d").await.unwrap();
    assert!(stat(&tree, "e/p/t/d").await.is_none());
    assert!(stat(&tree, "e/p/u/d/latest").await.is_some());
    let refused = mv(&tree, "e/p/u/d", "e/p/u/other").await.unwrap_err();
    assert_eq!(refused.reason, Reason::NotEmpty);
    world.add_collection("e/q/t/c");
    let refused = mv(&tree, "e/p/u/d", "e/q/t/d").await.unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotPermitted);
}

#[tokio::test]
async fn a_version_is_linked_into_a_portfolio_of_a_registry_and_unlinked() {
    let world = world();
    world.add_collection("e/wandb-registry-model/t/first");
    let tree = world.tree(TreeOptions::default());
    let registry = dir(&tree, "e/wandb-registry-model/t").await;
    tree.mkdir(&registry, "best".as_ref()).await.unwrap();
    let refused = tree.mkdir(&registry, "best".as_ref()).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Exists);
    let best = "e/wandb-registry-model/t/best";
    ln(&tree, best, "gold", "../../../p/t/c/v1").await.unwrap();
    assert_eq!(target(&tree, &format!("{best}/gold")).await.unwrap(), "v0");
    assert!(stat(&tree, &format!("{best}/latest")).await.is_some());
    tree.rmdir(&dir(&tree, best).await, "v0".as_ref())
        .await
        .unwrap();
    assert_eq!(world.count("unlink_version"), 1);
    assert!(stat(&tree, &format!("{best}/v0")).await.is_none());
    assert!(stat(&tree, "e/p/t/c/v1").await.is_some());
    let sequence = ln(
        &tree,
        "e/p/t/c",
        "x",
        "../../../wandb-registry-model/t/first/v0",
    )
    .await;
    assert_eq!(sequence.unwrap_err().error.kind(), ErrorKind::Invalid);
    for place in ["e/p/t", "e/p/t/c", "e/p", "e"] {
        let place = dir(&tree, place).await;
        let refused = tree.mkdir(&place, "x".as_ref()).await.unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::NotPermitted, "{place:?}");
    }
    let path = collection_path("e/p/t/c");
    assert_eq!(path.name.as_str(), "c");
}

#[tokio::test]
async fn what_others_change_is_seen_after_the_time_limit() {
    let world = world();
    let tree = world.tree(TreeOptions {
        ttl: std::time::Duration::ZERO,
        ..TreeOptions::default()
    });
    let before = dir(&tree, "e/p/t/c/old").await;
    world.edit_version("e/p/t/c", 0, |version| version.aliases.clear());
    world.edit_version("e/p/t/c", 2, |version| version.aliases.push("old".into()));
    let after = dir(&tree, "e/p/t/c/old").await;
    assert_eq!(tree.read_link(&after).unwrap(), "v2");
    assert_ne!(
        before.identity(),
        after.identity(),
        "the kernel would keep the old target"
    );
}
