//! Real mounts over the doubles of `tree`. They need `/dev/fuse` and the right to mount.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::attach::attach;
use super::{MountEntry, MountError, MountOptions, Mounted, mount, our_mounts, unmount_path};
use crate::telemetry::Meter;
use crate::tree::TreeOptions;
use crate::tree::testing::{World, manifest};
use crate::vfs::{Vfs, VfsOptions};

const FILES: &str = "e/p/t/c/v0/files";

/// A mount in a directory of its own; both are gone when it is dropped.
pub(super) struct Fixture {
    pub(super) mounted: Arc<Mounted>,
    dir: tempfile::TempDir,
    world: Arc<World>,
}

fn options(mount_point: &Path) -> MountOptions {
    MountOptions {
        mount_point: mount_point.to_owned(),
        read_only: false,
        allow_other: false,
        auto_unmount: false,
        no_exec: false,
        passthrough: true,
        unopened: false,
        cache_dir: mount_point.to_owned(),
    }
}

async fn mount_world(options: MountOptions, world: &Arc<World>) -> Result<Mounted, MountError> {
    let tree = world.tree(TreeOptions::default());
    let vfs_options = VfsOptions {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        umask: 0,
        read_only: false,
        allow_recursive_delete: false,
        xattrs: true,
        statfs_path: "/".into(),
    };
    let vfs = Vfs::new(Arc::new(tree), Arc::new(Meter::default()), vfs_options).await;
    let vfs = vfs.unwrap();
    blocking(move || mount(&options, vfs, &Handle::current())).await
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let world = World::new();
        let files: [(&str, &[u8]); 2] = [("a/b", b"hello"), ("big", &[7; 3_000_000])];
        world.add_version("e/p/t/c", 0, &["latest"], &manifest(&files));
        for (key, bytes) in files {
            world.set_content(key, bytes);
        }
        let dir = tempfile::tempdir().unwrap();
        let mounted = mount_world(options(dir.path()), &world).await.unwrap();
        Self {
            mounted: Arc::new(mounted),
            dir,
            world,
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(super) fn is_in_the_mount_table(&self) -> bool {
        let here = self.mounted.mount_point();
        our_mounts().unwrap().iter().any(|m| m.mount_point == here)
    }
}

/// Whatever touches the mount waits for our runtime, so it must not hold one of its workers.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_shows_the_tree_and_ends_when_told() {
    let fixture = Fixture::new().await;
    assert!(fixture.is_in_the_mount_table());
    let (files, alias) = (fixture.path(FILES), fixture.path("e/p/t/c/latest"));
    blocking(move || {
        assert_eq!(fs::read(files.join("a/b")).unwrap(), b"hello");
        assert_eq!(fs::read(files.join("big")).unwrap(), [7; 3_000_000]);
        assert_eq!(fs::read_link(&alias).unwrap(), Path::new("v0"));
        let mut names: Vec<_> = fs::read_dir(&files)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "big"]);
        let missing = fs::metadata(files.join("nothing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let refused = fs::write(files.join("a/b"), "x").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
        let refused = fs::create_dir(files.join("new")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
    })
    .await;
    fixture.mounted.unmount().await.unwrap();
    fixture.mounted.wait().await;
    assert!(!fixture.is_in_the_mount_table());
    fixture.mounted.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_answered_without_asking_again() {
    let fixture = Fixture::new().await;
    let file = fixture.path(FILES).join("a/b");
    let again = file.clone();
    blocking(move || fs::read(file).unwrap()).await;
    let asked = fixture.world.requests();
    blocking(move || fs::read(again).unwrap()).await;
    assert_eq!(fixture.world.requests(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_unmount_ends_the_mount() {
    let fixture = Fixture::new().await;
    let path = fixture.dir.path().to_owned();
    assert!(blocking(move || unmount_path(&path).unwrap()).await);
    fixture.mounted.wait().await;
    let path = fixture.dir.path().to_owned();
    assert!(!blocking(move || unmount_path(&path).unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_over_the_place_of_an_ended_one_is_left_alone() {
    let first = Fixture::new().await;
    let path = first.dir.path().to_owned();
    let inside = first.path(FILES).join("a/b");
    let held = blocking(move || fs::File::open(inside).unwrap()).await;
    // Detached, because a file is open: the first session goes on.
    assert!(blocking(move || unmount_path(&path).unwrap()).await);
    assert!(!first.is_in_the_mount_table());
    let second = mount_world(options(first.dir.path()), &first.world).await;
    let second = second.unwrap();
    first.mounted.unmount().await.unwrap();
    assert!(first.is_in_the_mount_table(), "the second mount is gone");
    second.unmount().await.unwrap();
    blocking(move || drop(held)).await;
    first.mounted.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_mount_is_detached() {
    let fixture = Fixture::new().await;
    let inside = fixture.path(FILES).join("a/b");
    let held = blocking(move || fs::File::open(inside).unwrap()).await;
    fixture.mounted.unmount().await.unwrap();
    assert!(!fixture.is_in_the_mount_table());
    blocking(move || drop(held)).await;
    fixture.mounted.wait().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_mount_at_the_same_place_is_refused() {
    let fixture = Fixture::new().await;
    let second = mount_world(options(fixture.dir.path()), &fixture.world).await;
    assert!(matches!(second, Err(MountError::Busy { kind, .. }) if kind == "fuse.wandbfs"));
    assert!(fixture.is_in_the_mount_table());
}

#[tokio::test(flavor = "multi_thread")]
async fn running_requests_are_answered_before_the_mount_ends() {
    let fixture = Fixture::new().await;
    fixture.world.reset();
    fixture.world.hold("version", 1);
    let version = fixture.path("e/p/t/c/v0");
    let asking = tokio::task::spawn_blocking(move || fs::metadata(version));
    while fixture.world.count("version") == 0 {
        tokio::task::yield_now().await;
    }
    let mut ending = Box::pin(fixture.mounted.unmount());
    assert!(futures::poll!(&mut ending).is_pending());
    assert!(fixture.is_in_the_mount_table());
    fixture.world.release();
    assert!(asking.await.unwrap().unwrap().is_dir());
    ending.await.unwrap();
    assert!(!fixture.is_in_the_mount_table());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_mount_of_ours_makes_room_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    // The connection breaks with its descriptor, as it does when a daemon is killed.
    drop(attach(&path, &options(&path)).unwrap().device);
    let world = World::new();
    let mounted = mount_world(options(&path), &world).await.unwrap();
    let here = |mounts: Vec<_>| {
        mounts
            .into_iter()
            .filter(|m: &MountEntry| m.mount_point == path)
            .count()
    };
    assert_eq!(here(our_mounts().unwrap()), 1);
    mounted.unmount().await.unwrap();
    assert_eq!(here(our_mounts().unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_mount_ends_without_waking_its_watcher() {
    let world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.auto_unmount = true;
    let mounted = mount_world(options, &world).await.unwrap();
    mounted.unmount().await.unwrap();
    let path = dir.path().to_owned();
    assert!(!blocking(move || unmount_path(&path).unwrap()).await);
}

/// How many small files are read without being opened.
const MANY: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_small_files_are_read_without_being_opened() {
    let world = World::new();
    let name = |n: usize| format!("d{:02}/f{n:05}", n % 100);
    let text = |n: usize| format!("content of file {n}");
    let contents: Vec<(String, String)> = (0..MANY).map(|n| (name(n), text(n))).collect();
    let files: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|(key, text)| (key.as_str(), text.as_bytes()))
        .collect();
    world.add_version("e/p/t/c", 0, &["latest"], &manifest(&files));
    for (key, bytes) in &files {
        world.set_content(key, bytes);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    (options.read_only, options.unopened) = (true, true);
    let mounted = mount_world(options, &world).await.unwrap();
    assert!(!mounted.passthrough());

    let top = dir.path().join(FILES);
    let read_everything = move || {
        for n in 0..MANY {
            let given = fs::read_to_string(top.join(name(n))).unwrap();
            assert_eq!(given, text(n));
        }
        for n in 0..100 {
            let listed = fs::read_dir(top.join(format!("d{n:02}"))).unwrap();
            assert_eq!(listed.count(), MANY / 100);
        }
    };
    let again = read_everything.clone();
    blocking(read_everything).await;
    let opens = mounted.opens();
    assert!((1..=4).contains(&opens), "{opens} opens of {MANY} files");
    let asked = world.requests();
    blocking(again).await;
    assert_eq!(mounted.opens(), opens, "the second time opens nothing");
    assert_eq!(world.requests(), asked);
    mounted.unmount().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_reads_a_mebibyte_ahead_where_that_can_be_set() {
    let fixture = Fixture::new().await;
    let (major, minor) = fixture.mounted.entry.device;
    let path = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    let read_ahead: u32 = fs::read_to_string(path).unwrap().trim().parse().unwrap();
    assert_eq!(read_ahead >= 1024, super::read_ahead_can_be_raised());
}
