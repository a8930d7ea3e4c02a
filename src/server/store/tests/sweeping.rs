//! What a sweep takes and what it leaves.

use super::{sweep::Swept, *};

fn blob(world: &World, content: &[u8]) -> bool {
    let md5 = Digest::of(Algorithm::Md5, content);
    world.store.blobs().path(md5).exists()
}

fn delete(world: &World, id: i64) {
    let deleted = world.store.write(|tx| {
        let row = versions::version(tx, id)?.unwrap();
        versions::delete(tx, &row, true)
    });
    deleted.unwrap();
}

/// Sweeps in another second than that of the last commit, from which on a sweep is sure of it.
fn sweep(world: &World) -> Swept {
    let last = time::now();
    while time::now() == last {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    world.store.sweep(&|| false).unwrap()
}

#[test]
fn only_what_nothing_refers_to_is_removed() {
    let world = World::new();
    let first = log(&world, "c", "gone", json!({}));
    log(&world, "c", "stays", json!({}));
    // The same content in another collection keeps it alive.
    log(&world, "other", "gone", json!({}));
    assert_eq!(sweep(&world), Swept::default());
    delete(&world, first);
    assert_eq!(sweep(&world).manifests, 1);
    assert!(blob(&world, b"gone") && blob(&world, b"stays"));
    let last = log(&world, "c", "unique", json!({}));
    delete(&world, last);
    let swept = sweep(&world);
    assert_eq!((swept.manifests, swept.blobs), (1, 2), "{swept:?}");
    assert!(!blob(&world, b"unique"));
    assert_eq!(world.indexes("c", None, None).unwrap(), [1]);
    // What was removed can come again.
    log(&world, "c", "unique", json!({"clientID": "again"}));
    assert!(blob(&world, b"unique"));
    assert_eq!(world.indexes("c", None, None).unwrap(), [3, 1]);
}

#[test]
fn content_that_a_version_under_way_was_promised_stays() {
    let world = World::new();
    let first = log(&world, "c", "shared", json!({}));
    let under_way = world
        .store
        .create_artifact(world.me, &spec("d", "shared", json!({})))
        .unwrap();
    delete(&world, first);
    sweep(&world);
    assert!(blob(&world, b"shared"));
    let sent = upload(&world, under_way, "FULL", &[("a.txt", b"shared")]);
    assert_eq!(sent, 0);
    let id = Kind::Artifact.id(under_way);
    world.store.commit_artifact(world.me, &id).unwrap();
    assert_eq!(world.indexes("d", None, None).unwrap(), [0]);
}

#[test]
fn a_file_that_a_crash_left_without_a_row_goes_and_a_stopped_sweep_does_nothing() {
    let world = World::new();
    world.store.blobs().put_unsynced(b"stray").unwrap();
    assert_eq!(world.store.sweep(&|| true).unwrap(), Swept::default());
    assert!(blob(&world, b"stray"));
    assert_eq!(sweep(&world).strays, 1);
    assert!(!blob(&world, b"stray"));
}
