//! Directories that an older release wrote.

use super::*;

/// A directory as version 1 wrote it: one user, one project, one committed version of one file.
fn version_1(dir: &Path) -> Digest {
    let blobs = BlobDir::open(&dir.join("blobs")).unwrap();
    let file = blobs.put_unsynced(b"old content").unwrap();
    let manifest = format!(
        r#"{{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{{}},
            "contents":{{"a.txt":{{"digest":"{}","size":11}}}}}}"#,
        file.md5.base64()
    );
    let manifest = blobs.put_unsynced(manifest.as_bytes()).unwrap();
    let db = Connection::open(dir.join("server.sqlite")).unwrap();
    db.execute_batch(include_str!("../schema_1.sql")).unwrap();
    // Rows that refer to each other, written in no particular order.
    db.pragma_update(None, "foreign_keys", false).unwrap();
    let at = "2025-01-01T00:00:00.000000Z";
    db.execute_batch(&format!(
        "INSERT INTO users VALUES (1, 'ann', 'ann', NULL, 0, '{at}');
         INSERT INTO entities VALUES (1, 'ann', 'user', 1, NULL, '[\"prod\"]', '{at}');
         INSERT INTO members VALUES (1, 1, 'admin');
         INSERT INTO projects VALUES (1, 1, 'p', NULL, 'PRIVATE', 1, 1, '{at}', '{at}');
         INSERT INTO artifact_types VALUES (1, 1, 't', NULL, '{at}');
         INSERT INTO collections VALUES (1, 1, 1, 1, 0, 'c', NULL, 'READY', 1, 0, NULL, '{at}', '{at}');
         INSERT INTO artifacts (id, sequence_id, digest, state, size, file_count, manifest_id, created_at, updated_at)
           VALUES (1, 1, 'old', 'COMMITTED', 11, 1, 1, '{at}', '{at}');
         INSERT INTO memberships VALUES (1, 1, 1, 1, 0, 'hash', 'COMMITTED', '{at}');
         INSERT INTO aliases VALUES (1, 1, 1, 'latest');",
    ))
    .unwrap();
    for blob in [file, manifest] {
        db.execute(
            "INSERT INTO blobs VALUES (?, ?, ?)",
            rusqlite::params![blob.md5.bytes, blob.xxh128.bytes, blob.size],
        )
        .unwrap();
    }
    db.execute(
        "INSERT INTO births VALUES (1, ?, 1)",
        [file.md5.bytes.as_slice()],
    )
    .unwrap();
    db.execute(
        "INSERT INTO manifests VALUES (1, 1, 'FULL', 'wandb_manifest.json', ?, NULL, ?, ?)",
        rusqlite::params![manifest.md5.base64(), manifest.md5.bytes, at],
    )
    .unwrap();
    db.execute(
        "INSERT INTO entries VALUES (1, 'a.txt', ?, ?, 11, NULL, NULL, NULL)",
        rusqlite::params![file.md5.base64(), file.md5.bytes],
    )
    .unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    file.md5
}

#[test]
fn a_directory_of_version_1_is_upgraded_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let md5 = version_1(dir.path());
    let world = World {
        store: Arc::new(Store::open(dir.path()).unwrap()),
        dir,
        me: Viewer {
            user_id: 1,
            admin: false,
        },
    };
    assert_eq!(world.resolved("c", "latest"), Some(0));
    let object = writing::file_object(1, 1, md5);
    assert_eq!(world.store.locate(&object).unwrap().size, 11);
    let entity = world.store.read(|db| accounts::entity(db, 1)).unwrap();
    assert!(entity.xxh128 && entity.protected_aliases.contains("prod"));
    log(&world, "c", "new content", json!({}));
    assert_eq!(world.indexes("c", None, None).unwrap(), [1, 0]);
    drop(world.store);
    Store::open(world.dir.path()).unwrap();
}

#[test]
fn an_upgrade_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    version_1(dir.path());
    let database = dir.path().join("server.sqlite");
    let db = Connection::open(&database).unwrap();
    // What the last step of the upgrade makes is there already.
    db.execute_batch("CREATE TABLE collections_by_project_updated (x)")
        .unwrap();
    drop(db);
    assert!(Store::open(dir.path()).is_err());
    let db = Connection::open(&database).unwrap();
    assert_eq!(schema_version(&db).unwrap(), 1);
    let added = db.prepare("SELECT xxh128 FROM entities");
    assert!(added.is_err(), "half of the upgrade stayed");
}
