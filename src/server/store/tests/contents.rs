//! Uploads, and the manifests that name them.

use super::*;

#[test]
fn an_upload_of_other_bytes_than_announced_is_refused() {
    let world = World::new();
    let id = world
        .store
        .create_artifact(world.me, &spec("c", "one", json!({})))
        .unwrap();
    let md5 = Digest::of(Algorithm::Md5, b"right");
    let object = writing::file_object(1, id, md5);
    assert!(matches!(
        send(&world.store, &object, b"wrong"),
        Err(StoreError::Invalid(_))
    ));
    assert!(world.store.locate(&object).is_err());
    send(&world.store, &object, b"right").unwrap();
    assert_eq!(world.store.locate(&object).unwrap().size, 5);
    for bad in [
        "wandb_artifacts/1/1/../../../etc/passwd",
        "parts/x/y",
        "/etc/passwd",
        "manifests/1",
    ] {
        assert!(world.store.begin_receive(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_incremental_version_is_the_base_with_the_changes() {
    let world = World::new();
    let base = world
        .store
        .create_artifact(world.me, &spec("c", "d0", json!({})))
        .unwrap();
    upload(&world, base, "FULL", &[("a", b"1"), ("b", b"22")]);
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(base))
        .unwrap();
    let next = world
        .store
        .create_artifact(world.me, &spec("c", "d1", json!({})))
        .unwrap();
    let announced: CreateManifest = serde_json::from_value(json!({
        "artifactID": Kind::Artifact.id(next), "baseArtifactID": Kind::Artifact.id(base),
        "name": "wandb_manifest.json", "type": "INCREMENTAL", "digest": ""
    }))
    .unwrap();
    world.store.create_manifest(world.me, &announced).unwrap();
    upload(
        &world,
        next,
        "INCREMENTAL",
        &[("b", b"333"), ("c", b"4444")],
    );
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(next))
        .unwrap();
    let row = world
        .store
        .read(|db| versions::version(db, next))
        .unwrap()
        .unwrap();
    assert_eq!((row.file_count, row.size), (3, 1 + 3 + 4));
    let object = objects::manifest_object(row.manifest_id.unwrap());
    let blob = world
        .store
        .blobs()
        .open_blob(world.store.locate(&object).unwrap().md5)
        .unwrap();
    let mut paths = Vec::new();
    manifests::parse(blob, &mut |path, entry| {
        paths.push((path, entry.size));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        paths,
        [
            ("a".into(), Some(1)),
            ("b".into(), Some(3)),
            ("c".into(), Some(4))
        ]
    );
}

#[test]
fn distributed_writers_share_one_pending_version_and_their_patches_merge() {
    let world = World::new();
    let input = || spec("c", "d", json!({"distributedID": "group"}));
    let one = world.store.create_artifact(world.me, &input()).unwrap();
    assert_eq!(
        world.store.create_artifact(world.me, &input()).unwrap(),
        one
    );
    upload(&world, one, "PATCH", &[("a", b"1")]);
    upload(&world, one, "PATCH", &[("b", b"2")]);
    world
        .store
        .commit_artifact(world.me, &Kind::Artifact.id(one))
        .unwrap();
    assert_eq!(
        world
            .store
            .read(|db| versions::version(db, one))
            .unwrap()
            .unwrap()
            .file_count,
        2
    );
}

#[test]
fn parts_of_a_multipart_upload_become_one_blob() {
    let world = World::new();
    let id = world
        .store
        .create_artifact(world.me, &spec("c", "d", json!({})))
        .unwrap();
    let artifact = Kind::Artifact.id(id);
    let md5 = Digest::of(Algorithm::Md5, b"firstsecond");
    let file: FileSpec = serde_json::from_value(json!({
        "artifactID": artifact, "name": "big", "md5": md5.base64(),
        "uploadPartsInput": [{"partNumber": 1, "hexMD5": Digest::of(Algorithm::Md5, b"first").hex()}, {"partNumber": 2, "hexMD5": ""}],
    }))
    .unwrap();
    let target = world
        .store
        .create_files(world.me, &[file])
        .unwrap()
        .remove(0);
    let (upload, numbers) = target.multipart.unwrap();
    assert_eq!(numbers, [1, 2]);
    for (number, bytes) in [(1, b"other".as_slice()), (3, b"unannounced")] {
        assert!(send(&world.store, &objects::part_object(upload, number), bytes).is_err());
    }
    let mut parts = Vec::new();
    for (number, bytes) in [(1, b"first".as_slice()), (2, b"second")] {
        let received = send(&world.store, &objects::part_object(upload, number), bytes).unwrap();
        parts.push(
            serde_json::from_value(
                json!({"partNumber": number, "hexMD5": format!("\"{}\"", received.md5.hex())}),
            )
            .unwrap(),
        );
    }
    let complete = |parts: &[_]| {
        let upload = Kind::Upload.id(upload);
        world
            .store
            .complete_upload(world.me, &artifact, &upload, parts)
    };
    assert!(matches!(complete(&parts[..1]), Err(StoreError::Invalid(_))));
    parts.reverse();
    let whole = complete(&parts).unwrap();
    assert_eq!(whole, md5);
    // A client that gave up waiting asks again.
    assert_eq!(complete(&parts).unwrap(), md5);
    assert_eq!(world.store.locate(&target.object).unwrap().size, 11);
    assert!(
        !world
            .store
            .blobs()
            .path(Digest::of(Algorithm::Md5, b"first"))
            .exists()
    );
}

#[test]
fn a_commit_of_many_entries_lets_others_write_and_survives_a_broken_one() {
    let world = World::new();
    let id = world
        .store
        .create_artifact(world.me, &spec("big", "d", json!({})))
        .unwrap();
    let artifact = Kind::Artifact.id(id);
    let file: FileSpec = serde_json::from_value(json!({"artifactID": artifact, "name": "x",
        "md5": Digest::of(Algorithm::Md5, b"x").base64()}))
    .unwrap();
    let target = world
        .store
        .create_files(world.me, &[file])
        .unwrap()
        .remove(0);
    let entry = json!({"digest": target.md5.base64(), "size": 1, "birthArtifactID": artifact});
    let contents: serde_json::Map<_, _> = (0..10_000)
        .map(|index| (format!("f{index:05}"), entry.clone()))
        .collect();
    announce(&world, &artifact, "FULL", &contents);
    // The content is missing: refused, nothing listed, and no entry stays in the way.
    let refused = world.store.commit_artifact(world.me, &artifact);
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert!(world.indexes("big", None, None).unwrap().is_empty());
    send(&world.store, &target.object, b"x").unwrap();
    std::thread::scope(|scope| {
        let commits: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| world.store.commit_artifact(world.me, &artifact).unwrap()))
            .collect();
        log(&world, "small", "meanwhile", json!({}));
        for commit in commits {
            assert_eq!(commit.join().unwrap(), id);
        }
    });
    let row = world
        .store
        .read(|db| versions::version(db, id))
        .unwrap()
        .unwrap();
    assert_eq!((row.file_count, row.size), (10_000, 10_000));
    assert_eq!(world.indexes("big", None, None).unwrap(), [0]);
}

#[test]
fn a_manifest_that_misstates_a_size_is_refused() {
    let world = World::new();
    let id = world
        .store
        .create_artifact(world.me, &spec("c", "d", json!({})))
        .unwrap();
    upload(&world, id, "FULL", &[("a", b"four")]);
    let artifact = Kind::Artifact.id(id);
    let entry = json!({"digest": Digest::of(Algorithm::Md5, b"four").base64(), "size": 5});
    let contents = serde_json::Map::from_iter([("a".to_owned(), entry)]);
    announce(&world, &artifact, "FULL", &contents);
    let refused = world.store.commit_artifact(world.me, &artifact);
    assert!(
        matches!(refused, Err(StoreError::Invalid(_))),
        "{refused:?}"
    );
}
