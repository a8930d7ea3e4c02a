//! The store as its users see it: writers at once, pages, filters, crashes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod contents;
mod listing;
mod migrations;
mod sweeping;

use std::{io::Write as _, sync::Arc};

use serde_json::json;

use super::{
    page::PageRequest,
    projects::Viewer,
    writing::{CreateArtifact, CreateManifest, FileSpec},
    *,
};
use crate::server::digest::{Algorithm, Digest};

/// A store with one user who is no admin.
struct World {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    me: Viewer,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let made = store.create_user(Some("ann"), false).unwrap();
        let owner = store.key_owner(&made.api_key).unwrap().unwrap();
        let me = Viewer {
            user_id: owner.user_id,
            admin: false,
        };
        Self { dir, store, me }
    }

    fn collection(&self, name: &str) -> i64 {
        let found = self.store.read(|db| {
            let project = projects::find(db, self.me, "ann", "p")?.unwrap();
            collections::named(db, project.id, name)
        });
        found.unwrap().unwrap().id
    }

    fn indexes(&self, name: &str, filters: Option<&str>, order: Option<&str>) -> Result<Vec<i64>> {
        let listing = versions::listing(self.collection(name), false, filters, order)?;
        let page = self
            .store
            .read(|db| versions::page(db, &listing, &PageRequest::default()))?;
        assert_eq!(
            self.store.read(|db| listing.count(db))?,
            page.items.len() as i64
        );
        Ok(page
            .items
            .iter()
            .map(|(_, (member, _))| member.version_index().unwrap_or(-1))
            .collect())
    }

    fn resolved(&self, collection: &str, name: &str) -> Option<i64> {
        let id = self.collection(collection);
        self.store
            .read(|db| versions::resolve(db, id, name))
            .unwrap()
            .and_then(|member| member.version_index())
    }
}

fn spec(name: &str, digest: &str, extra: serde_json::Value) -> CreateArtifact {
    let mut input = json!({
        "entityName": "ann", "projectName": "p", "runName": "r1", "artifactTypeName": "t",
        "artifactCollectionName": name, "digest": digest, "digestAlgorithm": "MANIFEST_MD5",
        "enableDigestDeduplication": true, "clientID": format!("client-{name}-{digest}"),
        "aliases": [{"alias": "latest", "artifactCollectionName": name}],
    });
    for (key, value) in extra.as_object().unwrap() {
        input[key] = value.clone();
    }
    serde_json::from_value(input).unwrap()
}

fn send(store: &Store, object: &str, bytes: &[u8]) -> Result<blobs::Received> {
    let mut receiver = store.begin_receive(object)?;
    receiver.write_all(bytes).unwrap();
    store.finish_receive(receiver)
}

/// Uploads files and manifest of a pending artifact, the way the client library does.
fn upload(world: &World, id: i64, kind: &str, files: &[(&str, &[u8])]) -> usize {
    let artifact = Kind::Artifact.id(id);
    let specs: Vec<FileSpec> = files
        .iter()
        .map(|(name, bytes)| {
            let md5 = Digest::of(Algorithm::Md5, bytes).base64();
            serde_json::from_value(json!({"artifactID": artifact, "name": name, "md5": md5}))
                .unwrap()
        })
        .collect();
    let targets = world.store.create_files(world.me, &specs).unwrap();
    let mut sent = 0;
    let mut contents = serde_json::Map::new();
    for (target, (name, bytes)) in targets.iter().zip(files) {
        assert_eq!(target.name, *name);
        if !target.present {
            send(&world.store, &target.object, bytes).unwrap();
            sent += 1;
        }
        let birth = Kind::Artifact.id(target.birth);
        contents.insert(
            (*name).into(),
            json!({"digest": target.md5.base64(), "size": bytes.len(), "birthArtifactID": birth}),
        );
    }
    announce(world, &artifact, kind, &contents);
    sent
}

fn announce(
    world: &World,
    artifact: &str,
    kind: &str,
    contents: &serde_json::Map<String, serde_json::Value>,
) {
    let body = json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {}, "contents": contents}).to_string();
    let digest = Digest::of(Algorithm::Md5, body.as_bytes()).base64();
    let input: CreateManifest = serde_json::from_value(
        json!({"artifactID": artifact, "name": "wandb_manifest.json", "type": kind, "digest": digest}),
    )
    .unwrap();
    let row = world.store.create_manifest(world.me, &input).unwrap();
    send(
        &world.store,
        &objects::manifest_object(row.id),
        body.as_bytes(),
    )
    .unwrap();
}

/// Logs a version of one file; the digest is the content.
fn log(world: &World, name: &str, content: &str, extra: serde_json::Value) -> i64 {
    let id = world
        .store
        .create_artifact(world.me, &spec(name, content, extra))
        .unwrap();
    upload(world, id, "FULL", &[("a.txt", content.as_bytes())]);
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(id))
        .unwrap()
}

#[test]
fn eight_writers_at_once_get_contiguous_numbers_and_one_latest() {
    let world = World::new();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let world = &world;
            scope.spawn(move || {
                for turn in 0..5 {
                    log(world, "c", &format!("{writer}-{turn}"), json!({}));
                }
            });
        }
    });
    assert_eq!(
        world.indexes("c", None, Some("+version_index")).unwrap(),
        (0..40).collect::<Vec<_>>()
    );
    assert_eq!(world.resolved("c", "latest"), Some(39));
    assert_eq!(world.resolved("c", ""), Some(39));
}

#[test]
fn the_same_content_is_no_new_version_and_takes_the_aliases() {
    let world = World::new();
    let first = log(&world, "c", "one", json!({}));
    log(&world, "c", "two", json!({}));
    let again = world
        .store
        .create_artifact(
            world.me,
            &spec(
                "c",
                "one",
                json!({"aliases": [{"alias": "best"}], "clientID": "x"}),
            ),
        )
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(world.resolved("c", "best"), Some(0));
    assert_eq!(world.store.client_id("x").unwrap(), Some(first));
    assert_eq!(world.indexes("c", None, None).unwrap(), [1, 0]);
}

#[test]
fn content_an_entity_has_is_not_asked_for_again() {
    let world = World::new();
    let one = world
        .store
        .create_artifact(world.me, &spec("c", "d1", json!({})))
        .unwrap();
    assert_eq!(
        upload(&world, one, "FULL", &[("a", b"same"), ("b", b"other")]),
        2
    );
    let two = world
        .store
        .create_artifact(world.me, &spec("c2", "d2", json!({})))
        .unwrap();
    assert_eq!(
        upload(&world, two, "FULL", &[("z", b"same"), ("b", b"new")]),
        1
    );
    // Another entity does not learn that the content exists.
    let bob = world.store.create_user(Some("bob"), false).unwrap();
    let bob = world.store.key_owner(&bob.api_key).unwrap().unwrap();
    let bob = Viewer {
        user_id: bob.user_id,
        admin: false,
    };
    let theirs = world
        .store
        .create_artifact(bob, &spec("c", "d1", json!({"entityName": "bob"})))
        .unwrap();
    let file: FileSpec = serde_json::from_value(
        json!({"artifactID": Kind::Artifact.id(theirs), "name": "a", "md5": Digest::of(Algorithm::Md5, b"same").base64()}),
    )
    .unwrap();
    assert!(!world.store.create_files(bob, &[file]).unwrap()[0].present);
}

#[test]
fn an_alias_is_on_one_version_only() {
    let world = World::new();
    for content in ["one", "two", "three"] {
        log(
            &world,
            "c",
            content,
            json!({"aliases": [{"alias": "best"}, {"alias": "v7"}]}),
        );
    }
    assert_eq!(world.resolved("c", "best"), Some(2));
    assert_eq!(world.resolved("c", "v7"), None);
    let first = world.resolved("c", "v0");
    assert_eq!(first, Some(0));
}

#[test]
fn a_version_is_not_listed_before_its_commit_nor_after_its_deletion() {
    let world = World::new();
    log(&world, "c", "one", json!({}));
    let two = world
        .store
        .create_artifact(world.me, &spec("c", "two", json!({})))
        .unwrap();
    assert_eq!(world.indexes("c", None, None).unwrap(), [0]);
    assert_eq!(
        world
            .indexes("c", Some(r#"{"state": "PENDING"}"#), None)
            .unwrap(),
        [-1]
    );
    upload(&world, two, "FULL", &[("a", b"two")]);
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(two))
        .unwrap();
    let delete = |force| {
        world
            .store
            .write(|tx| versions::delete(tx, &versions::version(tx, two)?.unwrap(), force))
    };
    assert!(matches!(delete(false), Err(StoreError::Conflict(_))));
    delete(true).unwrap();
    assert_eq!(world.indexes("c", None, None).unwrap(), [0]);
    assert_eq!(world.resolved("c", "latest"), Some(0));
    log(&world, "c", "three", json!({}));
    assert_eq!(world.indexes("c", None, None).unwrap(), [2, 0]);
}

#[test]
fn a_commit_without_its_content_is_refused_and_can_be_done_later() {
    let world = World::new();
    let id = world
        .store
        .create_artifact(world.me, &spec("c", "one", json!({})))
        .unwrap();
    let artifact = Kind::Artifact.id(id);
    assert!(matches!(
        world.store.commit_artifact(world.me, &artifact),
        Err(StoreError::Conflict(_))
    ));
    let digest = Digest::of(Algorithm::Md5, b"missing").base64();
    announce(
        &world,
        &artifact,
        "FULL",
        json!({"a": {"digest": digest, "size": 7}})
            .as_object()
            .unwrap(),
    );
    assert!(matches!(
        world.store.commit_artifact(world.me, &artifact),
        Err(StoreError::Conflict(_))
    ));
    assert!(world.indexes("c", None, None).unwrap().is_empty());
    upload(&world, id, "FULL", &[("a", b"missing")]);
    world.store.commit_artifact(world.me, &artifact).unwrap();
    assert_eq!(world.indexes("c", None, None).unwrap(), [0]);
}

#[test]
fn a_private_project_does_not_exist_for_others() {
    let world = World::new();
    let id = log(&world, "c", "one", json!({}));
    let bob = world.store.create_user(Some("bob"), false).unwrap();
    let bob = world.store.key_owner(&bob.api_key).unwrap().unwrap();
    let bob = Viewer {
        user_id: bob.user_id,
        admin: false,
    };
    assert!(
        world
            .store
            .read(|db| projects::find(db, bob, "ann", "p"))
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .store
            .read(|db| versions::visible_version(db, bob, id))
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .store
            .create_artifact(bob, &spec("c", "two", json!({})))
            .is_err()
    );
    let hex = Digest::of(Algorithm::Md5, b"one").hex();
    assert!(world.store.handler_object(bob, &hex).unwrap().is_none());
    assert!(
        world
            .store
            .handler_object(world.me, &hex)
            .unwrap()
            .is_some()
    );
    assert!(
        world
            .store
            .key_owner("0000000000000000000000000000000000000000")
            .unwrap()
            .is_none()
    );
}

#[test]
fn links_number_from_zero_and_leave_the_source_alone() {
    let world = World::new();
    log(&world, "c", "one", json!({}));
    let two = log(&world, "c", "two", json!({}));
    let artifact = Kind::Artifact.id(two);
    let request = links::LinkRequest {
        artifact: Some(&artifact),
        name: Some("portfolio"),
        entity: Some("ann"),
        project: Some("p"),
        aliases: vec!["prod"],
        ..links::LinkRequest::default()
    };
    let member = world.store.link(world.me, &request).unwrap();
    assert_eq!(member.version_index(), Some(0));
    assert_eq!(world.store.link(world.me, &request).unwrap().id, member.id);
    assert_eq!(world.resolved("portfolio", "prod"), Some(0));
    assert_eq!(world.resolved("c", "prod"), None);
    world
        .store
        .unlink(
            world.me,
            &artifact,
            &Kind::Collection.id(member.collection_id),
        )
        .unwrap();
    assert_eq!(world.resolved("portfolio", "v0"), None);
    assert_eq!(world.resolved("c", "latest"), Some(1));
}

#[test]
fn a_directory_is_open_once_and_keeps_what_was_committed() {
    let world = World::new();
    log(&world, "c", "one", json!({}));
    let half = world
        .store
        .create_artifact(world.me, &spec("c", "two", json!({})))
        .unwrap();
    upload(&world, half, "FULL", &[("a", b"two")]);
    let World { dir, store, me } = world;
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Busy)));
    drop(store);
    let world = World {
        store: Arc::new(Store::open(dir.path()).unwrap()),
        dir,
        me,
    };
    assert_eq!(world.indexes("c", None, None).unwrap(), [0]);
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(half))
        .unwrap();
    assert_eq!(world.indexes("c", None, None).unwrap(), [1, 0]);
    assert!(world.dir.path().join("server.sqlite").exists());
}

#[test]
fn a_newer_schema_is_refused() {
    let world = World::new();
    world
        .store
        .write(|tx| Ok(tx.pragma_update(None, "user_version", SCHEMA_VERSION + 1)?))
        .unwrap();
    let World { dir, store, .. } = world;
    drop(store);
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::TooNew { .. })
    ));
}

#[test]
fn only_admins_move_protected_aliases() {
    let world = World::new();
    let carl = world.store.create_user(Some("carl"), false).unwrap();
    let carl = world.store.key_owner(&carl.api_key).unwrap().unwrap();
    let carl = Viewer {
        user_id: carl.user_id,
        admin: false,
    };
    let members = [
        ("ann".to_owned(), accounts::Role::Admin),
        ("carl".to_owned(), accounts::Role::Member),
    ];
    world
        .store
        .create_team(Some("team"), Some("Org"), &members)
        .unwrap();
    let protect = |tx: &Transaction<'_>| {
        Ok(tx.execute(
            r#"UPDATE entities SET protected_aliases = '["gold"]' WHERE name = 'team'"#,
            [],
        )?)
    };
    world.store.write(protect).unwrap();
    let input = |digest, alias| {
        spec(
            "c",
            digest,
            json!({"entityName": "team", "aliases": [{"alias": alias}]}),
        )
    };
    assert!(matches!(
        world.store.create_artifact(carl, &input("1", "gold")),
        Err(StoreError::Forbidden(_))
    ));
    world
        .store
        .create_artifact(carl, &input("1", "silver"))
        .unwrap();
    world
        .store
        .create_artifact(world.me, &input("2", "gold"))
        .unwrap();
}
