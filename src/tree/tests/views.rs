//! Directories that are reached by name only.

use std::sync::Arc;

use super::*;
use crate::model::ErrorKind;
use crate::tree::testing::manifest;

fn world() -> Arc<World> {
    let world = World::new();
    for index in 0..5 {
        world.add_version("e/p/t/c", index, &[], &manifest(&[]));
    }
    for index in [1, 4] {
        world.edit_version("e/p/t/c", index, |v| {
            v.tags = vec!["gold".into(), "b c".into()]
        });
    }
    world.add_version("f/q/t/d", 0, &["latest"], &manifest(&[]));
    world.add_run("e/p", "r1", &["e/p/t/c:1"], &["e/p/t/c:0", "f/q/t/d:0"]);
    world.add_run("f/q", "r2", &[], &["e/p/t/c:1"]);
    world
}

fn options() -> TreeOptions {
    TreeOptions {
        per_page: Some(2),
        ..TreeOptions::default()
    }
}

async fn ls(tree: &Tree, path: &str) -> Vec<String> {
    let node = stat(tree, path).await.unwrap();
    names(tree.list(&node).unwrap()).await.concat()
}

/// Follows a link as the kernel does, through the path of its directory.
async fn follow(tree: &Tree, path: &str) -> Node {
    let link = stat(tree, path).await.unwrap();
    let target = tree.read_link(&link).unwrap().into_string().unwrap();
    let mut way: Vec<&str> = path.split('/').collect();
    way.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(way.pop()),
            part => way.push(part),
        }
    }
    stat(tree, &way.join("/")).await.unwrap()
}

#[tokio::test]
async fn tags_find_what_matches_on_every_page() {
    let world = world();
    let tree = world.tree(options());
    assert_eq!(ls(&tree, "e/p/t/c/.tags/gold").await, ["v1", "v4"]);
    assert_eq!(
        ls(&tree, "e/p/t/c/.tags/gold/.tags/b c").await,
        ["v1", "v4"]
    );
    assert_eq!(
        ls(&tree, "e/p/t/c/.tags/silver").await,
        Vec::<String>::new()
    );
    assert_eq!(ls(&tree, "e/p/t/c/.tags").await, ["gold", "b c"]);
    assert_eq!(ls(&tree, "e/p/t/.tags/tag").await, ["c"]);
    let found = follow(&tree, "e/p/t/c/.tags/gold/.tags/b c/v4").await;
    assert_eq!(found.path(), "e/p/t/c/v4");
    assert!(stat(&tree, "e/p/t/c/.tags/gold/v0").await.is_none());
    assert_eq!(follow(&tree, "e/p/t/.tags/tag/c").await.path(), "e/p/t/c");
}

#[tokio::test]
async fn orders_and_filters_go_to_the_server_and_compose() {
    let world = world();
    let tree = world.tree(options());
    let ordered = ls(&tree, "e/p/t/c/.tags/gold/.order/-created_at").await;
    assert_eq!(ordered, ["0000-v1", "0001-v4"]);
    let found = follow(&tree, "e/p/t/c/.tags/gold/.order/-created_at/0001-v4").await;
    assert_eq!(found.path(), "e/p/t/c/v4");
    world.take_asked();
    ls(
        &tree,
        "e/p/t/c/.filter/{\"tag\":\"a%2Fb\"}/.filter/{}/.order/+name",
    )
    .await;
    let asked = world.take_asked().pop().unwrap();
    assert_eq!(asked.filters.unwrap(), r#"{"$and":[{"tag":"a/b"},{}]}"#);
    assert_eq!(asked.order.unwrap(), "+name");
    assert!(stat(&tree, "e/p/t/c/.order/no%20field").await.is_none());
}

#[tokio::test]
async fn a_filter_that_is_refused_is_invalid_in_the_words_of_whoever_refuses() {
    let world = world();
    let tree = world.tree(options());
    let filters = stat(&tree, "e/p/t/c/.filter").await.unwrap();
    let refused = tree.lookup(&filters, "{oops".as_ref()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    world.fail("versions", ErrorKind::Invalid);
    let refused = tree
        .lookup(&filters, "{\"a\":1}".as_ref())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.chain().contains("told to fail"));
}

#[tokio::test]
async fn runs_show_what_they_logged_and_used_and_versions_show_their_runs() {
    let world = world();
    let tree = world.tree(options());
    assert_eq!(ls(&tree, "e/p/.runs").await, ["r1"]);
    assert_eq!(
        ls(&tree, "e/p/.runs/r1").await,
        ["run.json", "logged", "used"]
    );
    assert_eq!(ls(&tree, "e/p/.runs/r1/logged").await, ["c:v1"]);
    assert_eq!(ls(&tree, "e/p/.runs/r1/used").await, ["c:v0", "d:v0"]);
    assert_eq!(
        follow(&tree, "e/p/.runs/r1/logged/c:v1").await.path(),
        "e/p/t/c/v1"
    );
    assert_eq!(
        follow(&tree, "e/p/.runs/r1/used/d:v0").await.path(),
        "f/q/t/d/v0"
    );
    let file = stat(&tree, "e/p/.runs/r1/run.json").await.unwrap();
    let json = text(&tree, &file).await;
    assert!(json.contains("\"state\": \"finished\""), "{json}");
    assert_eq!(
        tree.attributes(&file).await.unwrap().0.size,
        json.len() as u64
    );
    assert!(stat(&tree, "e/p/.runs/nobody").await.is_none());

    assert_eq!(
        ls(&tree, "e/p/t/c/v1/.lineage").await,
        ["logged_by", "used_by"]
    );
    let made = follow(&tree, "e/p/t/c/v1/.lineage/logged_by/r1").await;
    assert_eq!(made.path(), "e/p/.runs/r1");
    let used = follow(&tree, "e/p/t/c/v1/.lineage/used_by/r2").await;
    assert_eq!(used.path(), "f/q/.runs/r2");
    assert_eq!(
        ls(&tree, "e/p/t/c/v2/.lineage/logged_by").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn views_are_listed_only_when_asked_for_and_cannot_be_written() {
    let world = world();
    let tree = world.tree(options());
    assert!(
        !ls(&tree, "e/p/t/c")
            .await
            .iter()
            .any(|name| name.starts_with('.'))
    );
    let view = stat(&tree, "e/p/t/c/.tags/gold").await.unwrap();
    let refused = tree.unlink(&view, "v1".as_ref()).await.unwrap_err();
    assert_eq!(refused.reason, crate::tree::Reason::ReadOnly);
    let tree = world.tree(TreeOptions {
        show_views: true,
        ..options()
    });
    for (path, view) in [
        ("e/p", ".runs"),
        ("e/p/t", ".order"),
        ("e/p/t/c", ".tags"),
        ("e/p/t/c/v1", ".lineage"),
        ("e/p/t/c/.tags/gold", ".filter"),
    ] {
        let listed = ls(&tree, path).await;
        assert!(listed.contains(&view.to_owned()), "{path}: {listed:?}");
    }
}
