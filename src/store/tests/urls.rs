//! Presigned URLs: how many requests they cost, expiry, and the second way.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures::future::join_all;

use super::double::{Fault, Setup, World};
use crate::model::{Blobs as _, Content, ErrorKind, Upcoming};

/// The files of a directory after one of them.
struct Followers {
    files: Arc<Vec<Content>>,
    after: usize,
}

impl Upcoming for Followers {
    fn next(&self, count: usize) -> Vec<Content> {
        let rest = self.files.iter().skip(self.after + 1);
        rest.take(count).cloned().collect()
    }
}

fn directory(world: &World, count: usize) -> Arc<Vec<Content>> {
    let content = |n: usize| world.stored(&format!("f{n:05}"), n.to_string().as_bytes());
    Arc::new((0..count).map(content).collect())
}

async fn read_in_order(world: &World, files: &Arc<Vec<Content>>) {
    for (after, file) in files.iter().enumerate() {
        let files = Arc::clone(files);
        let upcoming = Arc::new(Followers { files, after });
        let blob = world.store.open(file, Some(upcoming)).await.unwrap();
        let read = blob.read_at(0, 100).await.unwrap();
        assert_eq!(read, after.to_string());
    }
}

#[tokio::test]
async fn files_in_order_cost_a_handful_of_url_requests_and_one_costs_one() {
    let world = World::new().await;
    let files = directory(&world, 1000);
    read_in_order(&world, &files).await;
    assert_eq!(*world.hub.batches.lock(), [1, 8, 64, 512, 415]);
    assert_eq!(world.gets(), 1000);
}

#[tokio::test]
async fn readers_that_miss_together_ask_once() {
    let world = World::new().await;
    let content = world.stored("big", &super::double::noise(4 << 20, 1));
    let blob = world.store.open(&content, None).await.unwrap();
    let reads = (0..8u64).map(|n| blob.read_at(n * 400_000, 4096));
    for read in join_all(reads).await {
        read.unwrap();
    }
    assert_eq!(*world.hub.batches.lock(), [1]);
}

#[tokio::test]
async fn expired_urls_are_renewed_in_bulk_without_the_reader_noticing() {
    let world = World::new().await;
    let files = directory(&world, 60);
    let (first, rest) = files.split_at(30);
    read_in_order(&world, &Arc::new(first.to_vec())).await;
    let before = world.hub.batches.lock().len();
    world.server.manners.lock().generation += 1;
    let rest: Vec<_> = rest.to_vec();
    for (n, file) in rest.iter().enumerate() {
        let (files, after) = (Arc::clone(&files), n + 30);
        let upcoming = Arc::new(Followers { files, after });
        let blob = world.store.open(file, Some(upcoming)).await.unwrap();
        assert_eq!(blob.read_at(0, 100).await.unwrap(), after.to_string());
    }
    let asked = world.hub.batches.lock().len() - before;
    assert!(asked <= 2, "{:?}", world.hub.batches.lock());
    assert!(world.gets() <= 62);
}

#[tokio::test]
async fn a_url_refused_again_and_again_is_forbidden() {
    let world = World::new().await;
    world.server.manners.lock().refuse_presigned = true;
    let content = world.stored("f", b"x");
    let error = world.read(&content, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error:?}");
    assert_eq!(world.gets(), 3, "one try and two renewals");
}

#[tokio::test]
async fn the_handler_serves_what_presigned_urls_do_not_with_the_key_for_it_alone() {
    let setup = Setup {
        handler: true,
        ..Setup::default()
    };
    let world = World::with(setup).await;
    let first = world.stored("first", b"first");
    let second = world.stored("second", b"second");
    world.server.manners.lock().refuse_presigned = true;
    assert_eq!(world.read(&first, 100).await.unwrap(), b"first");
    *world.hub.nameless.lock() = true;
    assert_eq!(world.read(&second, 100).await.unwrap(), b"second");
    let seen = world.server.seen.lock().clone();
    let with_key = seen.iter().filter(|seen| seen.authorization.is_some());
    assert_eq!(with_key.count(), 2);
    assert_eq!(seen.iter().filter(|seen| seen.path == "second").count(), 1);
}

#[tokio::test]
async fn followers_share_the_failure_to_get_a_url_and_the_next_asks_again() {
    let world = World::new().await;
    let contents: Vec<_> = (0..5)
        .map(|n| world.stored(&format!("f{n}"), b"x"))
        .collect();
    world.hub.failures.store(1, SeqCst);
    let gate = Arc::new(tokio::sync::Notify::new());
    *world.hub.gate.lock() = Some(Arc::clone(&gate));
    let reads = join_all(contents.iter().map(|content| world.read(content, 10)));
    let open_gate = async {
        super::double::until("a request for URLs", || world.hub.batches.lock().len() == 1).await;
        // The other readers have nothing to wait for but the lock of the first.
        tokio::task::yield_now().await;
        *world.hub.gate.lock() = None;
        gate.notify_waiters();
    };
    let (reads, ()) = tokio::join!(reads, open_gate);
    let failed = reads.iter().filter(|read| read.is_err()).count();
    assert!(failed >= 1);
    assert_eq!(world.read(&contents[0], 10).await.unwrap(), b"x");
}

#[tokio::test]
async fn an_expired_manifest_url_is_asked_anew() {
    let world = World::new().await;
    let old = world.hub.url("manifest");
    world.server.manners.lock().generation += 1;
    let content = world.manifest(b"{}", Some(old));
    assert_eq!(world.read(&content, 100).await.unwrap(), b"{}");
    assert_eq!(world.hub.manifests.load(SeqCst), 1);
    let other = world.manifest(b"{}", None);
    world.fail([Fault::Status(503)]);
    assert_eq!(world.read(&other, 100).await.unwrap(), b"{}");
}
