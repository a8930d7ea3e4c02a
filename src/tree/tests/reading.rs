//! Files and attributes.

use super::*;
use crate::tree::testing::{CREATED, manifest, manifest_of};
use crate::tree::{Freshness, Opened};

fn keys(json: &str) -> Vec<String> {
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    map.keys().cloned().collect()
}

#[tokio::test]
async fn metadata_files_have_the_pinned_keys_in_order_and_an_exact_size() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &["latest"], &manifest(&[]));
    let tree = world.tree(TreeOptions::default());
    for (path, expected, mode) in [
        (
            "e/p/t/type.json",
            "id name description created_at collection_count",
            0o444,
        ),
        (
            "e/p/t/c/collection.json",
            "id name type is_sequence description tags aliases created_at updated_at version_count",
            0o644,
        ),
        (
            "e/p/t/c/v0/artifact.json",
            "id name version entity project collection qualified_name source_entity \
             source_project source_collection source_name source_version source_qualified_name \
             is_link linked_at linked_artifacts source_artifact type description metadata aliases \
             tags ttl ttl_is_inherited state size digest digest_algorithm commit_hash file_count \
             created_at updated_at history_step url",
            0o644,
        ),
    ] {
        let node = stat(&tree, path).await.unwrap();
        let content = text(&tree, &node).await;
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(keys(&content), expected, "{path}");
        assert!(content.starts_with("{\n  \"id\": ") && content.ends_with("}\n"));
        let attributes = tree.attributes(&node).await.unwrap().0;
        assert_eq!(attributes.size, content.len() as u64);
        assert_eq!(attributes.mode, mode);
        let created = crate::tree::attributes::time_of(Some(CREATED)).unwrap();
        assert_eq!(attributes.mtime, created);
    }
    for path in ["e/entity.json", "e/p/project.json"] {
        let node = stat(&tree, path).await.unwrap();
        let content = text(&tree, &node).await;
        assert_eq!(keys(&content)[0], "id", "{path}");
        assert_eq!(
            tree.attributes(&node).await.unwrap().0.size,
            content.len() as u64
        );
    }
}

#[tokio::test]
async fn a_link_is_numbered_here_and_names_its_source() {
    let world = World::new();
    world.add_version("e/p/t/portfolio", 0, &[], &manifest(&[]));
    world.edit_version("e/p/t/portfolio", 0, |version| {
        version.source_project = Some("elsewhere".into());
        version.source_collection = "model".into();
        version.source_index = Some(crate::model::VersionIndex(41));
        version.membership.created_at = Some("2026-05-05T00:00:00Z".into());
    });
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/p/t/portfolio/v0/artifact.json")
        .await
        .unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(&tree, &node).await).unwrap();
    assert_eq!(json["name"], "portfolio:v0");
    assert_eq!(json["is_link"], true);
    assert_eq!(json["linked_at"], "2026-05-05T00:00:00Z");
    assert_eq!(json["source_artifact"], "e/elsewhere/model:v41");
}

#[tokio::test]
async fn collection_json_has_all_aliases_where_there_are_more_than_came_along() {
    let world = World::new();
    world.add_collection("e/p/t/c");
    world.edit_collection("e/p/t/c", |collection| collection.more_aliases = true);
    world.set_extra_aliases(&["latest", "old"]);
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/p/t/c/collection.json").await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(&tree, &node).await).unwrap();
    assert_eq!(json["aliases"], serde_json::json!(["latest", "old"]));
    assert_eq!(world.count("collection_aliases"), 1);
}

#[tokio::test]
async fn content_is_immutable_exact_and_open_for_reading() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("d/a.txt", b"hello")]));
    world.set_content("d/a.txt", b"hello");
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/p/t/c/v0/files/d/a.txt").await.unwrap();
    let (attributes, freshness) = tree.attributes(&node).await.unwrap();
    assert_eq!((attributes.size, attributes.mode), (5, 0o444));
    assert_eq!(freshness, Freshness::Immutable);
    assert_eq!(
        tree.xattr(&node, OsStr::new("user.wandb.cached")).unwrap(),
        b"0.00"
    );
    assert_eq!(text(&tree, &node).await, "hello");
    assert_eq!(
        tree.xattr(&node, OsStr::new("user.wandb.cached")).unwrap(),
        b"1.00"
    );
    let md5 = tree.xattr(&node, OsStr::new("user.wandb.md5")).unwrap();
    assert_eq!(md5, b"5d41402abc4b2a76b9719d911017c592");
    let stored = stat(&tree, "e/p/t/c/v0/manifest.json").await.unwrap();
    assert_eq!(
        text(&tree, &stored).await,
        manifest(&[("d/a.txt", b"hello")])
    );
    let size = tree.attributes(&stored).await.unwrap().0.size;
    assert_eq!(size, manifest(&[("d/a.txt", b"hello")]).len() as u64);
}

#[tokio::test]
async fn a_reference_of_unknown_size_shows_zero_and_says_so_when_opened() {
    let contents = r#"{"r":{"digest":"\"tag","ref":"http://x.test/r","size":0},
        "s":{"digest":"e","ref":"s3://b/s","size":7,"extra":{"etag":"e"}}}"#;
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest_of(contents));
    world.set_content("http://x.test/r", b"far");
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/p/t/c/v0/files/r").await.unwrap();
    assert_eq!(tree.attributes(&node).await.unwrap().0.size, 0);
    assert!(matches!(
        tree.open(&node).await.unwrap(),
        Opened::Blob {
            size_unknown: true,
            ..
        }
    ));
    let xattr = |name: &str| tree.xattr(&node, OsStr::new(name));
    assert_eq!(xattr("user.wandb.ref").unwrap(), b"http://x.test/r");
    assert_eq!(xattr("user.wandb.etag").unwrap(), b"\"tag");
    assert_eq!(xattr("user.wandb.md5"), None);
    let node = stat(&tree, "e/p/t/c/v0/files/s").await.unwrap();
    assert_eq!(tree.attributes(&node).await.unwrap().0.size, 7);
    assert_eq!(
        tree.xattr(&node, OsStr::new("user.wandb.ref")).unwrap(),
        b"s3://b/s"
    );
}

#[tokio::test]
async fn the_reason_of_a_failure_is_kept_and_a_links_is_kept_for_its_directory() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &["latest"], &manifest(&[]));
    let tree = world.tree(TreeOptions::default());
    let link = stat(&tree, "e/p/t/c/latest").await.unwrap();
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let error = OsStr::new("user.wandbfs.error");
    tree.note_error(&link, Some("it went wrong"));
    assert_eq!(tree.xattr(&dir, error).unwrap(), b"it went wrong");
    assert!(tree.xattr_names(&dir).contains(&"user.wandbfs.error"));
    tree.note_error(&dir, None);
    assert_eq!(tree.xattr(&dir, error), None);
}

#[tokio::test]
async fn an_unreadable_manifest_is_corrupt_and_asked_for_again() {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], "{\"version\":1,");
    let tree = world.tree(TreeOptions::default());
    let files = stat(&tree, "e/p/t/c/v0/files").await.unwrap();
    let error = tree.lookup(&files, OsStr::new("a")).await.unwrap_err();
    assert_eq!(error.kind(), crate::model::ErrorKind::Corrupt);
    assert_eq!(error.node(), "e/p/t/c/v0");
}

#[tokio::test]
async fn an_entity_of_the_viewer_is_described_even_where_the_server_knows_none_by_name() {
    let world = World::new();
    world.fail("entity", crate::model::ErrorKind::Unsupported);
    let tree = world.tree(TreeOptions::default());
    let node = stat(&tree, "e/entity.json").await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(&tree, &node).await).unwrap();
    assert_eq!(
        (&json["name"], &json["id"]),
        (&"e".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn odd_keys_are_reported_once_per_version() {
    let told = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let tell = told.clone();
    let world = World::new();
    world.add_version("e/p/t/c", 0, &[], &manifest(&[("../x", b""), ("ok", b"")]));
    let tree = world.tree(TreeOptions {
        report: std::sync::Arc::new(move |path, why| {
            tell.lock().push((path.to_owned(), why.to_owned()));
        }),
        ..TreeOptions::default()
    });
    let node = stat(&tree, "e/p/t/c/v0/files/%2E%2E/x").await.unwrap();
    stat(&tree, "e/p/t/c/v0/files/ok").await.unwrap();
    let told = told.lock();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, node.path());
    assert!(told[0].1.contains(".."), "{:?}", told[0]);
}
