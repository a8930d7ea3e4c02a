//! Small files fetched before they are opened.

use std::sync::Arc;

use futures::future::join_all;

use super::double::{Fault, Setup, World, noise, until};
use crate::model::{Blobs as _, Content, ErrorKind, Seat, Upcoming};

/// A directory of files, as seen from one of them.
struct Place {
    files: Arc<Vec<Content>>,
    at: usize,
}

impl Upcoming for Place {
    fn next(&self, count: usize) -> Vec<Content> {
        let rest = self.files.iter().skip(self.at + 1);
        rest.take(count).cloned().collect()
    }

    fn seat(&self) -> Option<Seat> {
        let end = self.files.len() as u32;
        Some(Seat {
            number: self.at as u32,
            directory: 0..end,
            end,
        })
    }

    fn following(&self, count: usize) -> Vec<u32> {
        let first = self.at as u32 + 1;
        (first..self.files.len() as u32).take(count).collect()
    }

    fn stored(&self, number: u32) -> Option<(Content, Arc<dyn Upcoming>)> {
        let files = Arc::clone(&self.files);
        let at = number as usize;
        Some((self.files[at].clone(), Arc::new(Self { files, at })))
    }
}

/// Files that may be fetched twice: a reader that looked at the disk before a file was there, and
/// for whoever fetches it after that was gone.
const TWICE: usize = 5;

fn bytes_of(n: usize) -> Vec<u8> {
    noise(100 + n % 4000, n as u64)
}

fn directory(world: &World, count: usize) -> Arc<Vec<Content>> {
    let content = |n: usize| world.stored(&format!("f{n:05}"), &bytes_of(n));
    Arc::new((0..count).map(content).collect())
}

async fn open_and_read(world: &World, files: &Arc<Vec<Content>>, at: usize) {
    let place = Place {
        files: Arc::clone(files),
        at,
    };
    let blob = world.store.open(&files[at], Some(Arc::new(place))).await;
    let read = blob.unwrap().read_at(0, 8192).await.unwrap();
    assert_eq!(read, bytes_of(at), "file {at}");
}

fn is_here(world: &World, content: &Content) -> bool {
    world.blob_path(content).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_listing_order_are_fetched_once_and_before_they_are_opened() {
    let world = World::new().await;
    let files = directory(&world, 600);
    for at in 0..40 {
        open_and_read(&world, &files, at).await;
    }
    until("what follows is here", || is_here(&world, &files[44])).await;
    for at in 40..600 {
        open_and_read(&world, &files, at).await;
    }
    assert!(world.gets() < 600 + TWICE, "{} requests", world.gets());
    assert!(world.hub.batches.lock().len() < 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_opened_at_random_by_four_is_fetched_once_and_ahead() {
    let world = World::new().await;
    let files = directory(&world, 601);
    let order = |n: usize| n * 7919 % 601;
    let reader = |first: usize| {
        let (world, files) = (&world, &files);
        async move {
            for n in (first..601).step_by(4) {
                open_and_read(world, files, order(n)).await;
            }
        }
    };
    join_all((0..4).map(reader)).await;
    assert!(world.gets() < 601 + TWICE, "{} requests", world.gets());
    assert!(world.hub.batches.lock().len() < 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_here_and_two_there_are_all_that_is_fetched() {
    let world = World::new().await;
    let files = directory(&world, 600);
    for at in [10, 11, 200, 201, 400, 401] {
        open_and_read(&world, &files, at).await;
    }
    assert_eq!(world.gets(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_fetched_ahead_are_never_seen_and_failures_end_the_order() {
    let world = World::new().await;
    let files = directory(&world, 300);
    let broken = 200;
    let wrong = noise(bytes_of(broken).len(), 1).into();
    world.serve("f00200", wrong, "\"x\"");
    for at in 0..broken {
        open_and_read(&world, &files, at).await;
    }
    let blob = world.store.open(&files[broken], None).await.unwrap();
    let failed = blob.read_at(0, 8192).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Corrupt);
    drop(blob);
    assert!(!is_here(&world, &files[broken]));
    world.stored("f00200", &bytes_of(broken));
    world.fail(std::iter::repeat_n(Fault::Status(404), 3));
    for at in broken..300 {
        let read = world.read(&files[at], 8192).await;
        assert!(read.is_err() || read.unwrap() == bytes_of(at));
    }
    for at in broken..300 {
        open_and_read(&world, &files, at).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_nothing_or_is_offline_fetches_nothing_ahead() {
    let setup = Setup {
        limit: 0,
        ..Setup::default()
    };
    let world = World::with(setup).await;
    let files = directory(&world, 100);
    for at in 0..20 {
        open_and_read(&world, &files, at).await;
    }
    assert_eq!(world.gets(), 20);
}
