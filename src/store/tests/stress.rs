//! Random readers, faults, evictions and two mounts at once: whatever happens, right bytes or an
//! error.

use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::double::{Fault, Setup, World, noise};
use crate::model::{Blobs as _, Content, Error};
use crate::store::Store;

/// Reads random pieces of random files; every byte that comes must be right.
async fn reader(
    store: Store,
    files: Arc<Vec<(Content, Vec<u8>)>>,
    seed: u64,
) -> (usize, Vec<Error>) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut right, mut errors) = (0, Vec::new());
    for _ in 0..12 {
        let (content, bytes) = &files[random.random_range(0..files.len())];
        let blob = store.open(content, None).await.unwrap();
        let mut at = random.random_range(0..bytes.len());
        for _ in 0..random.random_range(1..12) {
            let length = random.random_range(1..300_000usize);
            match blob.read_at(at as u64, length as u32).await {
                Ok(read) => {
                    let end = (at + length).min(bytes.len());
                    assert!(read[..] == bytes[at..end], "wrong bytes at {at}+{length}");
                    right += 1;
                }
                Err(error) => errors.push(error),
            }
            at = match random.random_bool(0.7) {
                true => (at + length) % bytes.len(),
                false => random.random_range(0..bytes.len()),
            };
        }
    }
    (right, errors)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn readers_get_right_bytes_or_errors_under_faults_evictions_and_two_mounts() {
    let setup = || Setup {
        limit: 6 << 20,
        memory: 8 << 20,
        ..Setup::default()
    };
    let world = World::with(setup()).await;
    let lengths = [
        1,
        5000,
        900_000,
        1 << 20,
        (1 << 20) + 1,
        3_000_000,
        5_000_000,
    ];
    let files: Vec<_> = lengths
        .into_iter()
        .enumerate()
        .map(|(n, length)| {
            let bytes = noise(length, n as u64);
            (world.stored(&format!("f{n}"), &bytes), bytes)
        })
        .collect();
    let files = Arc::new(files);
    world.fail((0..60u16).map(|n| match n % 6 {
        0 => Fault::Truncate(usize::from(n) * 1000),
        1 => Fault::Status(503),
        2 => Fault::WrongRange,
        // Two in all: a URL refused three times in a row is forbidden.
        3 if n % 30 == 3 => Fault::Status(403),
        _ => Fault::Truncate(100_000),
    }));
    let second = world.second_store(&setup());
    let readers = (0..8).map(|n| {
        let store = if n % 2 == 0 { &world.store } else { &second };
        tokio::spawn(reader(store.clone(), Arc::clone(&files), n))
    });
    let done = futures::future::try_join_all(readers).await.unwrap();
    let right: usize = done.iter().map(|(right, _)| right).sum();
    let errors: Vec<_> = done.into_iter().flat_map(|(_, errors)| errors).collect();
    assert!(errors.is_empty(), "{right} right, then {errors:?}");
    world.store.tidy();
    assert!(world.store.cache_usage().0 <= 6 << 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn wrong_bytes_never_reach_the_cache_whoever_reads() {
    let world = World::new().await;
    let files: Vec<_> = [400_000, 2_500_000]
        .into_iter()
        .enumerate()
        .map(|(n, length)| {
            let bytes = noise(length, 50 + n as u64);
            (world.stored(&format!("f{n}"), &bytes), bytes)
        })
        .collect();
    world.fail([Fault::Corrupt, Fault::Corrupt]);
    let reads = files.iter().flat_map(|(content, bytes)| {
        let world = &world;
        (0..4).map(move |_| async move {
            match world.read(content, 100_000).await {
                Ok(read) => assert!(read == *bytes),
                Err(error) => assert_eq!(error.kind(), crate::model::ErrorKind::Corrupt),
            }
        })
    });
    futures::future::join_all(reads).await;
    for (content, bytes) in &files {
        let kept = std::fs::read(world.blob_path(content));
        assert!(kept.is_err() || kept.unwrap() == *bytes);
    }
}

#[tokio::test]
async fn a_reader_that_was_given_wrong_bytes_hears_of_it_though_another_found_out() {
    let world = World::new().await;
    let bytes = noise(3_000_000, 60);
    let content = world.stored("f", &bytes);
    let early = world.store.open(&content, None).await.unwrap();
    world.fail([Fault::Corrupt]);
    let wrong = early.read_at(0, 1000).await.unwrap();
    assert!(wrong[..] != bytes[..1000]);
    let finder = world.store.open(&content, None).await.unwrap();
    assert!(super::double::read_all(&*finder, 1 << 20).await.is_err());
    let later = world.store.open(&content, None).await.unwrap();
    assert!(super::double::read_all(&*later, 1 << 20).await.unwrap() == bytes);
    for _ in 0..2 {
        let error = early.read_at(1000, 1000).await.unwrap_err();
        assert_eq!(error.kind(), crate::model::ErrorKind::Corrupt);
    }
}
