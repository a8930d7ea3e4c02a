//! References: by http(s), by file, and those that cannot be read.

use super::double::{Setup, World, noise, until};
use crate::model::{Blobs as _, DigestAlgorithm, ErrorKind};
use crate::store::cache::Place;
use crate::store::hash;

fn etag_of(bytes: &[u8]) -> String {
    hash::of_bytes(DigestAlgorithm::Md5, bytes).to_hex()
}

#[tokio::test]
async fn a_reference_is_read_by_ranges_and_kept_under_its_etag() {
    for (length, size_known) in [
        (1000, true),
        (1000, false),
        (3 << 20, true),
        (3 << 20, false),
    ] {
        let world = World::new().await;
        let bytes = noise(length, 1);
        world.stored("r", &bytes);
        let (url, etag) = (world.hub.plain("r"), etag_of(&bytes));
        let size = size_known.then_some(length as u64).or(Some(0));
        let content = world.reference(&url, &etag, size);
        let blob = world.store.open(&content, None).await.unwrap();
        assert_eq!(blob.len().await.unwrap(), length as u64);
        assert!(world.read(&content, 131_072).await.unwrap() == bytes);
        let path = Place::etag(&url, &etag).path(world.dir.path());
        until("the file under obj/etag", || path.exists()).await;
        assert!(std::fs::read(path).unwrap() == bytes);
        assert!(world.hub.batches.lock().is_empty());
    }
}

#[tokio::test]
async fn a_reference_whose_etag_differs_has_changed() {
    let world = World::new().await;
    world.stored("r", b"new");
    let content = world.reference(&world.hub.plain("r"), &etag_of(b"old"), Some(3));
    let error = world.read(&content, 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("changed"), "{error}");
}

#[tokio::test]
async fn without_an_etag_the_address_is_the_digest_and_nothing_is_shared() {
    let world = World::new().await;
    world.server.manners.lock().no_etag = true;
    world.stored("r", b"bytes");
    let url = world.hub.plain("r");
    let content = world.reference(&url, &url, Some(5));
    let blob = world.store.open(&content, None).await.unwrap();
    assert_eq!(blob.read_at(0, 100).await.unwrap(), "bytes");
    blob.whole_file().await.unwrap();
    assert!(!Place::etag(&url, &url).path(world.dir.path()).exists());
}

#[tokio::test]
async fn what_cannot_be_read_says_so_at_the_open() {
    let world = World::new().await;
    for url in [
        "s3://b/k",
        "gs://b/k",
        "wandb-artifact://00/x",
        "weird://x",
        "nonsense",
    ] {
        let content = world.reference(url, "tag", Some(1));
        let refused = world.store.open(&content, None).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{url}");
    }
}

#[tokio::test]
async fn local_files_are_refused_unless_permitted_and_then_verified() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("local.bin");
    let bytes = noise(10_000, 2);
    std::fs::write(&path, &bytes).unwrap();
    let url = url::Url::from_file_path(&path).unwrap().to_string();
    let digest = hash::of_bytes(DigestAlgorithm::Md5, &bytes);

    let world = World::new().await;
    let mut content = world.reference(&url, &digest.to_base64(), Some(10_000));
    content.digest = Some(digest);
    let refused = world.store.open(&content, None).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotPermitted);

    let setup = Setup {
        allow_file_refs: true,
        ..Setup::default()
    };
    let world = World::with(setup).await;
    assert!(world.read(&content, 4096).await.unwrap() == bytes);
    assert!(world.blob_path(&content).exists());

    std::fs::write(&path, "changed").unwrap();
    let other = hash::of_bytes(DigestAlgorithm::Md5, b"never there");
    let content = world.reference(&url, &other.to_base64(), Some(7));
    let error = world.read(&content, 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_weak_etag_is_compared_as_the_sdk_wrote_it_and_never_sent() {
    let world = World::new().await;
    let bytes = noise(3 << 20, 3);
    world.serve("r", bytes.clone().into(), "W/\"tag\"");
    // The SDK strips quotes from both ends only.
    let content = world.reference(&world.hub.plain("r"), "W/\"tag", Some(3 << 20));
    assert!(world.read(&content, 131_072).await.unwrap() == bytes);
    let seen = world.server.seen.lock().clone();
    assert!(seen.len() > 1 && seen.iter().all(|seen| seen.if_match.is_none()));
}
