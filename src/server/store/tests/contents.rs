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
        "uploadPartsInput": [{"partNumber": 1, "hexMD5": ""}, {"partNumber": 2, "hexMD5": ""}],
    }))
    .unwrap();
    let target = world
        .store
        .create_files(world.me, &[file])
        .unwrap()
        .remove(0);
    let (upload, numbers) = target.multipart.unwrap();
    assert_eq!(numbers, [1, 2]);
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
    let whole = world
        .store
        .complete_upload(world.me, &artifact, &Kind::Upload.id(upload), &parts)
        .unwrap();
    assert_eq!(whole, md5);
    assert_eq!(world.store.locate(&target.object).unwrap().size, 11);
    assert!(
        !world
            .store
            .blobs()
            .path(Digest::of(Algorithm::Md5, b"first"))
            .exists()
    );
}
