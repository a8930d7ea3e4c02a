//! Right bytes, few requests.

use std::sync::Arc;

use futures::future::try_join_all;

use super::double::{World, noise, read_all, until};
use crate::model::{Blobs as _, DigestAlgorithm};
use crate::store::hash;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_small_file_costs_one_get_and_lands_where_the_sdk_looks() {
    let world = World::new().await;
    let bytes = noise(4096, 1);
    let content = world.stored("a.bin", &bytes);
    assert_eq!(world.store.cached(&content), 0.0);
    assert_eq!(world.read(&content, 1000).await.unwrap(), bytes);
    assert_eq!(world.gets(), 1);
    let path = world.blob_path(&content);
    until("the file in the cache", || path.exists()).await;
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(world.store.cached(&content), 1.0);
    assert_eq!(world.read(&content, 4096).await.unwrap(), bytes);
    assert_eq!(world.gets(), 1, "the second read is from disk");
    assert_eq!(world.meter.requests(), 1);
    assert_eq!(world.meter.received_bytes(), 4096);
}

#[tokio::test]
async fn a_large_file_read_in_order_is_right_verified_and_fetched_once() {
    let world = World::new().await;
    let bytes = noise(20 * MIB + 17, 2);
    let content = world.stored("model.bin", &bytes);
    let read = world.read(&content, 128 << 10).await.unwrap();
    assert!(read == bytes);
    let path = world.blob_path(&content);
    assert!(path.exists(), "the last read waits for the verdict");
    assert_eq!(world.meter.received_bytes(), bytes.len() as u64);
    assert!(world.gets() <= 12, "{} requests", world.gets());
}

#[tokio::test]
async fn random_reads_of_a_large_file_are_exact() {
    let world = World::new().await;
    let bytes = noise(32 * MIB, 3);
    let content = world.stored("model.bin", &bytes);
    let blob = world.store.open(&content, None).await.unwrap();
    for step in 1..20usize {
        let at = step * 7_919_123 % (bytes.len() - 4096);
        let read = blob.read_at(at as u64, 4096).await.unwrap();
        assert!(read[..] == bytes[at..at + 4096], "at {at}");
    }
    let fetched = world.meter.received_bytes();
    assert!(fetched <= 3 * MIB as u64, "{fetched} bytes for 20 pages");
    assert!(!world.blob_path(&content).exists());
}

#[tokio::test]
async fn many_readers_of_one_file_share_every_byte() {
    let world = World::new().await;
    let bytes = noise(6 * MIB, 4);
    let content = world.stored("model.bin", &bytes);
    let read = |step| {
        let (world, content) = (&world, &content);
        async move { world.read(content, step).await }
    };
    let steps = [
        4096,
        65_536,
        131_072,
        100_000,
        1 << 20,
        7777,
        131_072,
        50_000,
    ];
    let all = try_join_all(steps.map(read)).await.unwrap();
    assert!(all.iter().all(|read| *read == bytes));
    assert_eq!(world.meter.received_bytes(), bytes.len() as u64);
}

#[tokio::test]
async fn many_readers_of_one_small_file_cost_one_get() {
    let world = World::new().await;
    let bytes = noise(100_000, 5);
    let content = world.stored("a", &bytes);
    let all = try_join_all((0..20).map(|_| world.read(&content, 4096)))
        .await
        .unwrap();
    assert!(all.iter().all(|read| *read == bytes));
    assert_eq!(world.gets(), 1);
}

#[tokio::test]
async fn the_whole_file_is_the_verified_file_on_disk() {
    let world = World::new().await;
    for (path, length) in [("empty", 0), ("small", 1000), ("large", 40 * MIB + 1)] {
        let bytes = noise(length, 6);
        let content = world.stored(path, &bytes);
        let blob = world.store.open(&content, None).await.unwrap();
        assert_eq!(blob.len().await.unwrap(), length as u64);
        let file = blob.whole_file().await.unwrap();
        assert_eq!(file.metadata().unwrap().len(), length as u64);
        assert!(blob.file().is_some());
        assert!(std::fs::read(world.blob_path(&content)).unwrap() == bytes);
    }
}

#[tokio::test]
async fn an_empty_file_costs_no_request() {
    let world = World::new().await;
    let content = world.stored("empty", b"");
    assert_eq!(world.read(&content, 4096).await.unwrap(), b"");
    assert_eq!(world.gets(), 0);
}

#[tokio::test]
async fn a_file_of_unknown_size_is_read_to_its_end() {
    let world = World::new().await;
    for length in [0, 10, 3 * MIB] {
        let bytes = noise(length, 7 + length as u64);
        let mut content = world.stored("old", &bytes);
        content.size = None;
        let blob = world.store.open(&content, None).await.unwrap();
        assert_eq!(blob.len().await.unwrap(), length as u64, "length {length}");
        assert!(read_all(&*blob, 65_536).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_size_that_lies_does_not_matter_when_the_digest_is_right() {
    let world = World::new().await;
    let bytes = noise(5000, 8);
    let mut content = world.stored("lie", &bytes);
    content.size = Some(4000);
    let blob = world.store.open(&content, None).await.unwrap();
    assert!(read_all(&*blob, 4096).await.unwrap() == bytes);
    assert_eq!(blob.len().await.unwrap(), 5000);
}

#[tokio::test]
async fn xxh128_contents_have_their_own_place() {
    let world = World::new().await;
    let bytes = noise(2 * MIB, 9);
    let mut content = world.stored("x", &bytes);
    content.digest = Some(hash::of_bytes(DigestAlgorithm::Xxh128, &bytes));
    assert!(world.read(&content, 65_536).await.unwrap() == bytes);
    let path = world.blob_path(&content);
    assert!(path.to_str().unwrap().contains("/obj/xxh128/"));
    assert!(path.exists());
}

#[tokio::test]
async fn a_manifest_is_one_plain_get_and_kept() {
    let world = World::new().await;
    let bytes = noise(3 * MIB, 10);
    let content = world.manifest(&bytes, Some(world.hub.url("manifest")));
    let blob = world.store.open(&content, None).await.unwrap();
    assert!(read_all(&*blob, 100_000).await.unwrap() == bytes);
    blob.whole_file().await.unwrap();
    let seen = world.server.seen.lock().clone();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].range, None);
    assert!(
        String::from_utf8(world.meter.requests_log())
            .unwrap()
            .contains("\"manifest\"")
    );
    drop(blob);
    assert!(world.read(&content, 65_536).await.unwrap() == bytes);
    assert_eq!(world.gets(), 1);
}

#[tokio::test]
async fn reading_the_head_twice_fetches_it_once() {
    let world = World::new().await;
    let bytes = noise(8 * MIB, 11);
    let content = world.stored("model", &bytes);
    for _ in 0..2 {
        let blob = world.store.open(&content, None).await.unwrap();
        let head = blob.read_at(0, 4096).await.unwrap();
        assert!(head[..] == bytes[..4096]);
        drop(blob);
    }
    assert_eq!(world.gets(), 1);
    let fraction = world.store.cached(&content);
    assert!(fraction > 0.0 && fraction < 1.0, "{fraction}");
}

#[tokio::test]
async fn a_small_budget_still_serves_many_readers() {
    let setup = super::double::Setup {
        memory: 0,
        ..Default::default()
    };
    let world = Arc::new(World::with(setup).await);
    let contents: Vec<_> = (0..6)
        .map(|n| {
            let bytes = noise(5 * MIB, 100 + n);
            (world.stored(&format!("f{n}"), &bytes), bytes)
        })
        .collect();
    let reads = contents
        .iter()
        .map(|(content, _)| world.read(content, 131_072));
    let all = try_join_all(reads).await.unwrap();
    for (read, (_, bytes)) in all.iter().zip(&contents) {
        assert!(read == bytes);
    }
}

#[tokio::test]
async fn a_range_fetched_past_the_cache_is_exact_and_leaves_nothing() {
    let world = World::new().await;
    let bytes = noise(3 * MIB, 9);
    let content = world.stored("model.bin", &bytes);
    let (from, to) = (1000, 2 * MIB + 5);
    let mut got = Vec::new();
    let take = |offset: u64, piece: bytes::Bytes| {
        assert_eq!(offset, (from + got.len()) as u64);
        got.extend_from_slice(&piece);
    };
    let range = from as u64..to as u64;
    world.store.fetch(&content, range, take).await.unwrap();
    assert!(got == bytes[from..to]);
    assert_eq!(world.gets(), 1);
    assert_eq!(world.store.cached(&content), 0.0);
}

/// Runs with one thread for the disk, which stands still at first.
#[test]
fn what_the_disk_does_not_take_is_not_fetched_either() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1);
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let setup = super::double::Setup {
            memory: 512 << 20,
            // The reader waits for as long as the disk stands still.
            deadline: std::time::Duration::from_secs(60),
            ..Default::default()
        };
        let world = World::with(setup).await;
        let bytes = noise(160 * MIB, 11);
        let content = world.stored("model.bin", &bytes);
        let blob = world.store.open(&content, None).await.unwrap();
        let (go_on, stands_still) = std::sync::mpsc::channel::<()>();
        let disk = tokio::task::spawn_blocking(move || stands_still.recv());
        let reader = Arc::clone(&blob);
        let reader = tokio::spawn(async move { read_all(&*reader, 1 << 20).await });
        until("what memory may hold", || blob.present() > 40 * MIB as u64).await;
        // In the time in which all of it can be fetched, the reader goes nowhere.
        let all = 0..bytes.len() as u64;
        world.store.fetch(&content, all, |_, _| {}).await.unwrap();
        let held = blob.present();
        assert!(held < 64 * MIB as u64, "{held} bytes in memory");
        go_on.send(()).unwrap();
        disk.await.unwrap().unwrap();
        assert!(reader.await.unwrap().unwrap() == bytes);
    });
}
