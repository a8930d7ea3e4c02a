//! The cache that is shared: with the SDK, with other mounts, within a limit.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use super::double::{Setup, World, noise, read_all, until};
use crate::model::{Blobs as _, Content, ErrorKind};
use crate::store::cache::{Cache, Place};

fn limited(limit: u64) -> Setup {
    Setup {
        limit,
        ..Setup::default()
    }
}

/// Makes a content's marker older, as time would.
fn age(world: &World, content: &Content, seconds: u64) {
    let place = Place::Hash(content.digest.unwrap());
    let marker = std::fs::File::options()
        .write(true)
        .open(place.marker(world.dir.path()))
        .unwrap();
    let when = SystemTime::now() - Duration::from_secs(seconds);
    marker.set_modified(when).unwrap();
}

async fn fetch(world: &World, content: &Content) {
    let blob = world.store.open(content, None).await.unwrap();
    blob.whole_file().await.unwrap();
}

#[tokio::test]
async fn what_is_known_at_once_agrees_with_the_disk() {
    let world = World::with(limited(100_000)).await;
    let content = world.stored("f", &noise(5000, 1));
    let cache = Cache::open(world.dir.path().to_owned(), Some(100_000));
    let place = Place::Hash(content.digest.unwrap());
    // Whether the kernel knows the name is its own affair, so not known is right, too.
    let at_once = |size| cache.open_hit_at_once(&place, size).ok();
    assert!(!matches!(at_once(Some(5000)), Some(Some(_))));
    fetch(&world, &content).await;
    assert!(cache.open_hit(&place, Some(5000)).is_some());
    assert!(!matches!(at_once(Some(5000)), Some(None)));
    assert!(!matches!(at_once(Some(4999)), Some(Some(_))));
    assert!(
        at_once(None).is_none(),
        "only its hash tells that it is whole"
    );
}

#[tokio::test]
async fn the_least_recently_used_goes_first_and_the_sdks_files_stay() {
    let world = World::with(limited(100_000)).await;
    let sdk = world.stored("sdk", &noise(90_000, 1));
    let path = world.blob_path(&sdk);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, noise(90_000, 1)).unwrap();
    let files: Vec<_> = (0..4u64)
        .map(|n| world.stored(&format!("f{n}"), &noise(25_000, 10 + n)))
        .collect();
    for file in &files[..3] {
        fetch(&world, file).await;
    }
    for (n, file) in files[..3].iter().enumerate() {
        age(&world, file, 1000 - n as u64);
    }
    // A use makes the oldest the newest. By another mount: this one has just added it and knows
    // nothing of the time that has passed here.
    let other = world.second_store(&limited(100_000));
    let used = other.open(&files[0], None).await.unwrap();
    used.whole_file().await.unwrap();
    assert_eq!(world.gets(), 3);
    fetch(&world, &files[3]).await;
    fetch(&world, &world.stored("f5", &noise(25_000, 20))).await;
    let here = |content: &Content| world.blob_path(content).exists();
    assert!(here(&files[0]) && here(&files[3]) && here(&sdk));
    assert!(!here(&files[1]));
    world.store.tidy();
    assert!(world.store.cache_usage().0 <= 100_000);
    assert!(world.read(&sdk, 4096).await.is_ok());
    assert!(
        world
            .server
            .seen
            .lock()
            .iter()
            .all(|seen| seen.path != "sdk")
    );
}

#[tokio::test]
async fn what_the_sdk_fetched_again_after_its_clean_up_is_the_sdks() {
    let world = World::with(limited(10_000)).await;
    let content = world.stored("f", &noise(8000, 1));
    fetch(&world, &content).await;
    world.store.tidy();
    assert_eq!(world.store.cache_usage(), (8000, 10_000));
    let path = world.blob_path(&content);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, noise(8000, 1)).unwrap();
    world.store.tidy();
    assert_eq!(world.store.cache_usage().0, 0);
    fetch(&world, &world.stored("g", &noise(9000, 2))).await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_limit_of_zero_keeps_nothing_and_still_serves() {
    let world = World::with(limited(0)).await;
    for (path, length) in [("small", 5000), ("large", 3 << 20)] {
        let bytes = noise(length, 3);
        let content = world.stored(path, &bytes);
        let blob = world.store.open(&content, None).await.unwrap();
        assert!(read_all(&*blob, 65_536).await.unwrap() == bytes);
        blob.whole_file().await.unwrap();
        assert!(!world.blob_path(&content).exists());
    }
}

#[tokio::test]
async fn a_reader_keeps_what_it_opened_and_the_vanished_is_fetched_again() {
    let world = World::new().await;
    let bytes = noise(2 << 20, 4);
    let content = world.stored("f", &bytes);
    fetch(&world, &content).await;
    let blob = world.store.open(&content, None).await.unwrap();
    std::fs::remove_file(world.blob_path(&content)).unwrap();
    let gets = world.gets();
    assert!(read_all(&*blob, 65_536).await.unwrap() == bytes);
    assert_eq!(world.gets(), gets);
    drop(blob);
    assert!(world.read(&content, 65_536).await.unwrap() == bytes);
    assert!(world.gets() > gets);
}

#[tokio::test]
async fn a_file_of_another_size_is_no_hit_and_is_replaced() {
    let world = World::new().await;
    let bytes = noise(5000, 5);
    let content = world.stored("f", &bytes);
    let path = world.blob_path(&content);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "torn").unwrap();
    assert_eq!(world.store.cached(&content), 0.0);
    fetch(&world, &content).await;
    assert!(std::fs::read(path).unwrap() == bytes);
}

#[tokio::test]
async fn two_mounts_on_one_cache_fetch_once_and_count_together() {
    let setup = limited(100_000);
    let world = World::with(limited(100_000)).await;
    let second = world.second_store(&setup);
    let first_file = world.stored("a", &noise(60_000, 6));
    fetch(&world, &first_file).await;
    let blob = second.open(&first_file, None).await.unwrap();
    assert!(blob.file().is_some());
    assert_eq!(world.gets(), 1);
    drop(blob);
    age(&world, &first_file, 100);
    second.tidy();
    let second_file = world.stored("b", &noise(60_000, 7));
    let blob = second.open(&second_file, None).await.unwrap();
    blob.whole_file().await.unwrap();
    assert!(!world.blob_path(&first_file).exists());
    assert!(world.blob_path(&second_file).exists());
}

#[tokio::test]
async fn modes_follow_the_umask_and_nothing_else_lies_in_the_sdks_cache() {
    let world = World::new().await;
    let content = world.stored("f", &noise(5000, 8));
    fetch(&world, &content).await;
    let probe = world.dir.path().join("probe");
    std::fs::write(&probe, "").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&world.blob_path(&content)), mode(&probe));
    let inside = std::fs::read_dir(world.dir.path().join("artifacts")).unwrap();
    let names: Vec<_> = inside.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["obj"]);
}

#[tokio::test]
async fn offline_serves_what_is_on_disk_and_asks_for_nothing() {
    let world = World::new().await;
    let content = world.stored("f", &noise(5000, 9));
    let missing = world.stored("g", &noise(3 << 20, 10));
    fetch(&world, &content).await;
    let offline = world.second_store(&Setup {
        offline: true,
        ..Setup::default()
    });
    let gets = world.gets();
    let blob = offline.open(&content, None).await.unwrap();
    assert_eq!(read_all(&*blob, 4096).await.unwrap().len(), 5000);
    for content in [&missing, &world.manifest(b"{}", None)] {
        let blob = offline.open(content, None).await.unwrap();
        let error = blob.read_at(0, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Offline);
    }
    assert_eq!(world.gets(), gets);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_still_serves() {
    let world = World::new().await;
    // A file where the cache's directory should be: no right of root gets past it.
    std::fs::write(world.dir.path().join("wandbfs"), "").unwrap();
    for (path, length) in [("small", 5000), ("large", 3 << 20)] {
        let bytes = noise(length, 11);
        let content = world.stored(path, &bytes);
        let blob = world.store.open(&content, None).await.unwrap();
        assert!(read_all(&*blob, 65_536).await.unwrap() == bytes);
        assert!(!world.blob_path(&content).exists());
    }
}

#[tokio::test]
async fn nothing_of_a_partly_read_file_outlives_the_store() {
    let world = World::new().await;
    let content = world.stored("f", &noise(8 << 20, 12));
    let blob = world.store.open(&content, None).await.unwrap();
    blob.read_at(1 << 20, 4096).await.unwrap();
    drop(blob);
    let partial = world.dir.path().join("wandbfs/partial");
    until("the partial directory", || partial.exists()).await;
    assert_eq!(std::fs::read_dir(partial).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_added_belongs_to_the_owner_of_the_cache() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let world = World::new().await;
    if rustix::process::geteuid().is_root() {
        chown(world.dir.path(), Some(1234), Some(4321)).unwrap();
    }
    let owner = |path: &std::path::Path| {
        let meta = std::fs::metadata(path).unwrap();
        (meta.uid(), meta.gid())
    };
    let expected = owner(world.dir.path());
    let content = world.stored("f", &noise(5000, 13));
    fetch(&world, &content).await;
    let blob = world.blob_path(&content);
    let added = blob
        .ancestors()
        .take_while(|path| *path != world.dir.path());
    for path in added {
        assert_eq!(owner(path), expected, "{}", path.display());
    }
    let partial = world.dir.path().join("wandbfs/partial");
    assert_eq!(owner(&partial), expected);
}

/// Needs the right to mount: run with `--ignored` as root.
#[tokio::test]
#[ignore = "mounts a tmpfs"]
async fn a_disk_that_fills_up_in_the_middle_is_no_trouble_for_the_reader() {
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _busy = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        }
    }
    let world = World::new().await;
    let dir = world.dir.path().to_owned();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", &dir, "tmpfs", flags, c"size=2m").unwrap();
    let _unmount = Unmount(dir);
    let bytes = noise(9 << 20, 14);
    // Without a size, nobody can tell beforehand that there is no room.
    let mut content = world.stored("f", &bytes);
    content.size = None;
    let blob = world.store.open(&content, None).await.unwrap();
    assert!(read_all(&*blob, 131_072).await.unwrap() == bytes);
    assert!(!world.blob_path(&content).exists());
    let small = noise(100_000, 15);
    let content = world.stored("small", &small);
    assert!(world.read(&content, 4096).await.unwrap() == small);
}

#[tokio::test]
async fn mounts_of_one_cache_keep_one_limit_together_at_every_step() {
    let setup = limited(100_000);
    let world = World::with(limited(100_000)).await;
    let stores = [
        world.store.clone(),
        world.second_store(&setup),
        world.second_store(&setup),
    ];
    let files: Vec<_> = (0..30u64)
        .map(|n| world.stored(&format!("f{n}"), &noise(9_000, n + 1)))
        .collect();
    for (n, file) in files.iter().enumerate() {
        let blob = stores[n % 3].open(file, None).await.unwrap();
        blob.whole_file().await.unwrap();
        let here = files.iter().filter(|file| world.blob_path(file).exists());
        assert!(here.count() * 9_000 <= 100_000, "after file {n}");
    }
    // A dead process may have left the total too high; then a scan comes too early and rights it.
    let ledger = world.dir.path().join("wandbfs/ledger");
    std::fs::write(&ledger, [u64::MAX.to_le_bytes(), [0; 8]].concat()).unwrap();
    fetch(&world, &files[0]).await;
    let (used, _) = world.store.cache_usage();
    assert!(used <= 100_000 && used > 0, "{used}");
}
