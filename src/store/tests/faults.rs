//! Each way in which a wire or a store fails, and what the reader gets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::Notify;

use super::double::{Fault, Setup, World, noise, read_all, until};
use crate::model::{Blobs as _, ErrorKind};

const MIB: usize = 1 << 20;

fn hasty() -> Setup {
    Setup {
        deadline: Duration::from_millis(900),
        ..Setup::default()
    }
}

#[tokio::test]
async fn passing_failures_are_survived_by_small_and_large_files() {
    let faults = [
        vec![Fault::Status(503), Fault::Status(429)],
        vec![Fault::Truncate(1000)],
        vec![Fault::Truncate(0), Fault::Truncate(1)],
        vec![Fault::Stall],
        vec![Fault::WrongRange],
        vec![
            Fault::Status(500),
            Fault::Truncate(70_000),
            Fault::Status(502),
        ],
    ];
    for (n, faults) in faults.into_iter().enumerate() {
        for length in [50_000, 3 * MIB] {
            let setup = Setup {
                deadline: Duration::from_secs(3),
                ..Setup::default()
            };
            let world = World::with(setup).await;
            let bytes = noise(length, n as u64);
            let content = world.stored("f", &bytes);
            world.fail(faults.clone());
            let read = world.read(&content, 131_072).await;
            assert!(read.unwrap() == bytes, "{faults:?} with {length} bytes");
        }
    }
}

#[tokio::test]
async fn a_broken_body_resumes_at_the_next_byte_under_the_same_etag() {
    let world = World::new().await;
    let bytes = noise(500_000, 1);
    let content = world.stored("f", &bytes);
    world.fail([Fault::Truncate(123_456)]);
    assert!(world.read(&content, 131_072).await.unwrap() == bytes);
    let seen = world.server.seen.lock().clone();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].range.as_deref(), Some("bytes=123456-"));
    assert!(seen[1].if_match.is_some());
    assert_eq!(world.meter.received_bytes(), 500_000);
}

#[tokio::test]
async fn failures_that_last_end_within_the_deadline_with_their_kind() {
    let cases = [
        (Fault::Status(503), ErrorKind::Network),
        (Fault::Stall, ErrorKind::Deadline),
        (Fault::Truncate(0), ErrorKind::Network),
    ];
    for (fault, kind) in cases {
        for length in [50_000, 3 * MIB] {
            let world = World::with(hasty()).await;
            let content = world.stored("f", &noise(length, 2));
            world.fail(vec![fault.clone(); 200]);
            let begun = Instant::now();
            let error = world.read(&content, 131_072).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{fault:?}: {error:?}");
            assert!(begun.elapsed() < Duration::from_secs(3), "{fault:?}");
            assert!(
                !error.chain().contains("generation="),
                "no signature in {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_reader_gets_its_failure_when_the_server_never_answers() {
    let world = World::with(hasty()).await;
    let content = world.stored("f", &noise(10, 3));
    *world.server.gate.lock() = Some(Arc::new(Notify::new()));
    let error = world.read(&content, 4096).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline);
}

#[tokio::test]
async fn wrong_bytes_are_an_error_until_the_next_open_and_leave_nothing() {
    for length in [50_000, 3 * MIB] {
        let world = World::new().await;
        let bytes = noise(length, 4);
        let content = world.stored("f", &bytes);
        let blob = world.store.open(&content, None).await.unwrap();
        world.fail([Fault::Corrupt]);
        let error = read_all(&*blob, 131_072).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        assert!(!world.blob_path(&content).exists());
        assert_eq!(world.store.cached(&content), 0.0);
        let again = world.store.open(&content, None).await.unwrap();
        assert!(read_all(&*again, 131_072).await.unwrap() == bytes);
        let given_wrong_bytes = length > 1 << 20;
        assert_eq!(read_all(&*blob, 131_072).await.is_err(), given_wrong_bytes);
        until("the right file", || world.blob_path(&content).exists()).await;
    }
}

#[tokio::test]
async fn wrong_bytes_twice_are_not_fetched_again_until_opened() {
    for length in [50_000, 3 * MIB] {
        let world = World::new().await;
        let bytes = noise(length, 5);
        let mut content = world.stored("f", &bytes);
        content.digest = world.stored("other", b"other").digest;
        let blobs = [
            world.store.open(&content, None).await.unwrap(),
            world.store.open(&content, None).await.unwrap(),
            world.store.open(&content, None).await.unwrap(),
        ];
        for blob in &blobs[..2] {
            let error = read_all(&**blob, 1 << 20).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
        let gets = world.gets();
        assert!(read_all(&*blobs[2], 1 << 20).await.is_err());
        assert_eq!(world.gets(), gets);
        let again = world.store.open(&content, None).await.unwrap();
        assert!(read_all(&*again, 1 << 20).await.is_err());
        assert!(world.gets() > gets, "a new open tries again");
    }
}

#[tokio::test]
async fn an_object_that_changes_between_ranges_is_noticed() {
    let world = World::new().await;
    let bytes = noise(8 * MIB, 6);
    let content = world.stored("f", &bytes);
    let blob = world.store.open(&content, None).await.unwrap();
    blob.read_at(5 * MIB as u64, 100).await.unwrap();
    world.stored("f", &noise(8 * MIB, 7));
    let error = blob.read_at(0, 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
}

#[tokio::test]
async fn a_server_without_ranges_sends_everything_once() {
    let world = World::new().await;
    world.server.manners.lock().no_ranges = true;
    let bytes = noise(5 * MIB, 8);
    let content = world.stored("f", &bytes);
    let blob = world.store.open(&content, None).await.unwrap();
    let at = 3 * MIB;
    let read = blob.read_at(at as u64, 4096).await.unwrap();
    assert!(read[..] == bytes[at..at + 4096]);
    assert!(read_all(&*blob, 131_072).await.unwrap() == bytes);
    assert_eq!(world.gets(), 1);
}

#[tokio::test]
async fn neither_etag_nor_length_is_needed() {
    for length in [1000, 3 * MIB] {
        let world = World::new().await;
        {
            let mut manners = world.server.manners.lock();
            (manners.no_etag, manners.no_ranges, manners.no_length) = (true, true, true);
        }
        let bytes = noise(length, 9);
        let content = world.stored("f", &bytes);
        world.fail([Fault::Truncate(900)]);
        assert!(world.read(&content, 131_072).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn followers_share_the_failure_of_the_leader() {
    let world = World::with(hasty()).await;
    let content = world.stored("f", &noise(1000, 10));
    world.fail(vec![Fault::Status(404)]);
    let gate = Arc::new(Notify::new());
    *world.server.gate.lock() = Some(Arc::clone(&gate));
    let blob = world.store.open(&content, None).await.unwrap();
    let reads = join_all((0..10).map(|_| blob.read_at(0, 100)));
    let open_gate = async {
        until("the request", || world.gets() == 1).await;
        *world.server.gate.lock() = None;
        gate.notify_waiters();
    };
    let (reads, ()) = tokio::join!(reads, open_gate);
    for read in reads {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(world.gets(), 1);
}

#[tokio::test]
async fn a_missing_object_is_said_to_be_missing() {
    let world = World::new().await;
    for length in [1000, 3 * MIB] {
        let content = world.stored("f", &noise(length, 11));
        world.server.contents.lock().clear();
        let error = world.read(&content, 4096).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with("e/p/t/c/v0/files/f"),
            "{error}"
        );
    }
}
