//! Writing metadata files, as editors and tools do it.

use std::sync::Arc;

use super::*;
use crate::model::ErrorKind;
use crate::tree::testing::{collection_path, manifest};
use crate::tree::{Changes, Draft, Reason, Refused};
use serde_json::{Value, json};

const COLLECTION: &str = "e/p/t/c/collection.json";
const ARTIFACT: &str = "e/p/t/c/v0/artifact.json";

fn world() -> Arc<World> {
    let world = World::new();
    world.add_version("e/p/t/c", 0, &["latest"], &manifest(&[]));
    world
}

async fn json_of(tree: &Tree, path: &str) -> Value {
    let node = stat(tree, path).await.unwrap();
    serde_json::from_str(&text(tree, &node).await).unwrap()
}

/// `cat > path`, without the close.
async fn typed(tree: &Tree, path: &str, text: &str) -> Arc<Draft> {
    let node = stat(tree, path).await.unwrap();
    let draft = tree.edit(&node, true).await.unwrap();
    draft.write_at(0, text.as_bytes()).unwrap();
    draft
}

/// `cat > path`.
async fn write(tree: &Tree, path: &str, text: &str) -> Result<Changes, Refused> {
    let draft = typed(tree, path, text).await;
    let saved = tree.save(&draft).await;
    tree.close(&draft);
    saved
}

/// Reads a file, changes it, writes it.
async fn edit(
    tree: &Tree,
    path: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Changes, Refused> {
    let mut value = json_of(tree, path).await;
    change(&mut value);
    write(tree, path, &value.to_string()).await
}

/// As when the time limit has passed: nothing remembered counts any more.
fn time_passes(tree: &Tree) {
    tree.shared.forget_collection(&collection_path("e/p/t/c"));
}

fn words(refused: &Refused) -> String {
    refused.error.chain()
}

#[tokio::test]
async fn only_what_was_changed_travels_and_is_seen_at_once() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    edit(&tree, COLLECTION, |file| file["description"] = json!("new"))
        .await
        .unwrap();
    let sent = world.take_sent();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains("description: Some(\"new\"), artifact_type: None"),
        "{sent:?}"
    );
    assert_eq!(json_of(&tree, COLLECTION).await["description"], "new");

    edit(&tree, ARTIFACT, |file| {
        file["metadata"] = json!({"lr": 0.1});
        file["tags"] = json!(["gold"]);
        file["aliases"] = json!(["latest", "best"]);
        file["ttl"] = json!(60);
    })
    .await
    .unwrap();
    let file = json_of(&tree, ARTIFACT).await;
    assert_eq!(file["metadata"], json!({"lr": 0.1}));
    assert_eq!(file["aliases"], json!(["latest", "best"]));
    assert_eq!(file["ttl"], 60);
    assert!(stat(&tree, "e/p/t/c/best").await.is_some());
}

#[tokio::test]
async fn a_save_that_changes_nothing_sends_nothing() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    edit(&tree, ARTIFACT, |_| {}).await.unwrap();
    edit(&tree, ARTIFACT, |file| file["tags"] = json!([]))
        .await
        .unwrap();
    let draft = tree
        .edit(&stat(&tree, ARTIFACT).await.unwrap(), true)
        .await
        .unwrap();
    tree.save(&draft).await.unwrap();
    tree.close(&draft);
    assert_eq!(world.take_sent(), Vec::<String>::new());
    assert!(
        stat(&tree, "e/p/t/c/v0/artifact.json.rejected")
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_rejected_text_stays_while_open_and_beside_the_file_afterwards() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    for (typed_text, says) in [
        ("{\"description\": ", "JSON"),
        ("{\"id\": \"mine\"}", "\"id\" is read-only"),
        ("{\"descripton\": \"x\"}", "descripton"),
        ("{\"tags\": [\"a/b\"]}", "a/b"),
        ("{\"type\": \"wandb-x\"}", "reserved"),
    ] {
        let draft = typed(&tree, COLLECTION, typed_text).await;
        let node = stat(&tree, COLLECTION).await.unwrap();
        let refused = tree.save(&draft).await.unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::Invalid, "{typed_text}");
        assert!(words(&refused).contains(says), "{}", words(&refused));
        assert_eq!(text(&tree, &node).await, typed_text);
        let requests = world.requests();
        assert!(
            tree.save(&draft).await.is_err(),
            "the same text is rejected again"
        );
        assert_eq!(world.requests(), requests);
        tree.close(&draft);
        assert_eq!(json_of(&tree, COLLECTION).await["id"], "collection-0");
        let kept = stat(&tree, "e/p/t/c/collection.json.rejected")
            .await
            .unwrap();
        assert_eq!(text(&tree, &kept).await, typed_text);
    }
    assert_eq!(world.take_sent(), Vec::<String>::new());
}

#[tokio::test]
async fn a_field_that_somebody_else_changed_meanwhile_is_busy_and_nothing_is_sent() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let mut mine = json_of(&tree, COLLECTION).await;
    world.edit_collection("e/p/t/c", |theirs| {
        theirs.description = Some("theirs".into())
    });
    mine["description"] = json!("mine");
    mine["tags"] = json!(["mine"]);
    let refused = write(&tree, COLLECTION, &mine.to_string())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Busy);
    assert!(words(&refused).contains("description"));
    assert_eq!(world.take_sent(), Vec::<String>::new());
    assert_eq!(json_of(&tree, COLLECTION).await["description"], "theirs");
    edit(&tree, COLLECTION, |file| {
        file["description"] = json!("mine")
    })
    .await
    .unwrap();
    assert_eq!(world.take_sent().len(), 1);
}

#[tokio::test]
async fn an_editor_that_was_open_for_long_does_not_undo_what_others_did() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let mut mine = json_of(&tree, COLLECTION).await;
    world.edit_collection("e/p/t/c", |theirs| theirs.tags = vec!["theirs".into()]);
    mine["description"] = json!("mine");
    time_passes(&tree);
    write(&tree, COLLECTION, &mine.to_string()).await.unwrap();
    let file = json_of(&tree, COLLECTION).await;
    assert_eq!(
        (&file["tags"], &file["description"]),
        (&json!(["theirs"]), &json!("mine"))
    );

    // Somebody looks meanwhile: then it cannot be told which text was edited.
    let mut mine = json_of(&tree, COLLECTION).await;
    world.edit_collection("e/p/t/c", |theirs| theirs.tags = vec!["again".into()]);
    time_passes(&tree);
    assert_eq!(json_of(&tree, COLLECTION).await["tags"], json!(["again"]));
    mine["description"] = json!("mine again");
    let refused = write(&tree, COLLECTION, &mine.to_string())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Busy);
}

#[tokio::test]
async fn a_save_that_fails_half_way_says_what_was_applied_and_the_file_shows_it() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    world.fail("second part", ErrorKind::Forbidden);
    let refused = edit(&tree, COLLECTION, |file| {
        file["description"] = json!("applied");
        file["tags"] = json!(["not"]);
    })
    .await
    .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Forbidden);
    assert!(
        words(&refused).contains("description applied"),
        "{}",
        words(&refused)
    );
    let file = json_of(&tree, COLLECTION).await;
    assert_eq!(
        (&file["description"], &file["tags"]),
        (&json!("applied"), &json!(["tag"]))
    );
    assert!(
        stat(&tree, "e/p/t/c/collection.json.rejected")
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_name_that_is_edited_renames_and_whoever_is_inside_goes_on() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let inside = stat(&tree, "e/p/t/c").await.unwrap();
    let version = stat(&tree, "e/p/t/c/v0").await.unwrap();
    let changes = edit(&tree, COLLECTION, |file| {
        file["name"] = json!("d");
        file["type"] = json!("u");
    })
    .await
    .unwrap();
    let named: Vec<_> = changes
        .names
        .iter()
        .map(|(_, name)| name.to_str().unwrap())
        .collect();
    assert!(named.contains(&"c") && named.contains(&"d"), "{named:?}");
    assert!(stat(&tree, "e/p/t/c").await.is_none());
    assert_eq!(json_of(&tree, "e/p/u/d/collection.json").await["name"], "d");
    let found = tree.lookup(&inside, "v0".as_ref()).await.unwrap().0;
    assert_eq!(found.unwrap().path(), "e/p/u/d/v0");
    let file = tree
        .lookup(&version, "artifact.json".as_ref())
        .await
        .unwrap()
        .0;
    assert!(
        text(&tree, &file.unwrap())
            .await
            .contains("\"collection\": \"d\"")
    );
}

#[tokio::test]
async fn a_temporary_file_renamed_onto_the_metadata_file_saves_it() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let temporary = tree.create(&dir, "sedAb12".as_ref(), 0o600).await.unwrap();
    assert!(temporary.is_memory());
    let draft = tree.edit(&temporary, false).await.unwrap();
    draft.write_at(0, b"{\"description\": \"by sed\"}").unwrap();
    tree.save(&draft).await.unwrap();
    tree.close(&draft);
    let all = names(tree.list(&dir).unwrap()).await.concat();
    assert!(all.contains(&"sedAb12".to_owned()), "{all:?}");
    let rename = tree.rename(
        &dir,
        "sedAb12".as_ref(),
        &dir,
        "collection.json".as_ref(),
        false,
    );
    rename.await.unwrap();
    assert_eq!(json_of(&tree, COLLECTION).await["description"], "by sed");
    assert!(stat(&tree, "e/p/t/c/sedAb12").await.is_none());
}

#[tokio::test]
async fn a_backup_by_renaming_leaves_a_copy_and_the_file_comes_back_when_written() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    let dir = stat(&tree, "e/p/t/c").await.unwrap();
    let (file, backup) = ("collection.json".as_ref(), "collection.json~".as_ref());
    tree.rename(&dir, file, &dir, backup, false).await.unwrap();
    assert_eq!(
        json_of(&tree, "e/p/t/c/collection.json~").await["id"],
        "collection-0"
    );
    assert!(
        stat(&tree, COLLECTION).await.is_none(),
        "an O_EXCL create must succeed now"
    );
    let created = tree.create(&dir, file, 0o644).await.unwrap();
    assert!(created.is_writable_metadata());
    write(&tree, COLLECTION, "{\"description\": \"by vim\"}")
        .await
        .unwrap();
    tree.unlink(&dir, backup).await.unwrap();
    assert!(stat(&tree, "e/p/t/c/collection.json~").await.is_none());
    assert_eq!(json_of(&tree, COLLECTION).await["description"], "by vim");
}

#[tokio::test]
async fn a_description_can_be_cleared() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    write(&tree, COLLECTION, "{\"description\": null}")
        .await
        .unwrap();
    assert_eq!(json_of(&tree, COLLECTION).await["description"], "");
    assert_eq!(world.take_sent().len(), 1);
    write(&tree, COLLECTION, "{\"description\": \"\"}")
        .await
        .unwrap();
    assert_eq!(world.take_sent().len(), 0);
}

#[tokio::test]
async fn files_are_made_beside_metadata_files_only_and_never_on_a_read_only_mount() {
    let world = world();
    let tree = world.tree(TreeOptions::default());
    for (dir, name, reason, kind) in [
        ("e/p/t", "x", Reason::ByKind, ErrorKind::NotPermitted),
        ("e", "x", Reason::ByKind, ErrorKind::NotPermitted),
        ("e/p/t/c", "v7", Reason::ByKind, ErrorKind::NotPermitted),
        ("e/p/t/c/v0", "files", Reason::Exists, ErrorKind::Busy),
        (
            "e/p/t/c/v0/files",
            "x",
            Reason::ReadOnly,
            ErrorKind::NotPermitted,
        ),
    ] {
        let node = stat(&tree, dir).await.unwrap();
        let refused = tree.create(&node, name.as_ref(), 0o644).await.unwrap_err();
        assert_eq!(
            (refused.reason, refused.error.kind()),
            (reason, kind),
            "{dir}/{name}"
        );
    }
    let tree = world.tree(TreeOptions {
        read_only: true,
        ..TreeOptions::default()
    });
    let file = stat(&tree, COLLECTION).await.unwrap();
    assert_eq!(
        tree.edit(&file, true).await.err().unwrap().reason,
        Reason::ReadOnly
    );
    let dir = file.parent();
    assert_eq!(
        tree.rmdir(&dir, "v0".as_ref()).await.unwrap_err().reason,
        Reason::ReadOnly
    );
}
