//! The whole room over the doubles of `tree`, without a kernel.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::inodes::ROOT;
use super::{Attr, Caching, Caller, Entry, Errno, Intent, KernelCache, Vfs, VfsOptions};
use crate::model::{Blobs, Content, Error, ErrorKind, OpenBlob, Origin, Upcoming};
use crate::telemetry::Meter;
use crate::tree::testing::{World, manifest};
use crate::tree::{Kind, Tree, TreeOptions};

const COLLECTION: &str = "e/p/t/c";

/// A process that cannot be seen.
const NOBODY: Caller = Caller(0);

async fn vfs_over(tree: Tree) -> (Arc<Vfs>, Arc<Meter>) {
    let options = VfsOptions {
        uid: 1,
        gid: 2,
        umask: 0,
        read_only: false,
        allow_recursive_delete: false,
        xattrs: true,
        statfs_path: "/".into(),
    };
    let meter = Arc::new(Meter::default());
    let vfs = Vfs::new(Arc::new(tree), meter.clone(), options).await;
    (vfs.unwrap(), meter)
}

async fn vfs_of(world: &Arc<World>) -> Arc<Vfs> {
    vfs_over(world.tree(TreeOptions::default())).await.0
}

fn world_of(versions: u64) -> Arc<World> {
    let world = World::new();
    for index in 0..versions {
        world.add_version(COLLECTION, index, &[], &manifest(&[("a/b", b"hello")]));
    }
    world.set_content("a/b", b"hello");
    world
}

async fn enter(vfs: &Vfs, path: &str) -> Attr {
    let mut attr = vfs.getattr(ROOT).await.unwrap();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        match vfs.lookup(attr.ino, OsStr::new(name)).await.unwrap() {
            Entry::Present { attr: found, .. } => attr = found,
            Entry::Missing { .. } => panic!("{name} of {path} is missing"),
        }
    }
    attr
}

/// One reply of at most `room` entries: names with the offsets behind them.
async fn reply(vfs: &Vfs, handle: u64, offset: u64, room: usize) -> Vec<(OsString, u64)> {
    let mut entries = Vec::new();
    vfs.readdir(handle, offset, NOBODY, |entry| {
        let full = entries.len() == room;
        if !full {
            entries.push((entry.name.to_owned(), entry.next_offset));
        }
        full
    })
    .await
    .unwrap();
    entries
}

/// Everything from an offset on.
async fn walk(vfs: &Vfs, handle: u64, mut offset: u64, room: usize) -> Vec<(OsString, u64)> {
    let mut all = Vec::new();
    loop {
        let entries = reply(vfs, handle, offset, room).await;
        let Some((_, last)) = entries.last() else {
            return all;
        };
        offset = *last;
        all.extend(entries);
    }
}

#[tokio::test]
async fn the_first_entries_arrive_while_the_second_page_is_held_back() {
    let world = world_of(120);
    let vfs = vfs_of(&world).await;
    let dir = enter(&vfs, COLLECTION).await;
    world.reset();
    world.hold("versions", 2);
    let handle = vfs.opendir(dir.ino).await.unwrap().handle;
    assert_eq!(world.requests(), 0, "opendir asks for nothing");
    let first = reply(&vfs, handle, 0, usize::MAX).await;
    assert_eq!(world.count("versions"), 1);
    assert_eq!(first[0].0, ".");
    assert_eq!(first[1].0, "..");
    assert!(first.iter().any(|(name, _)| name == "v0"));
    let next = first.last().unwrap().1;
    {
        let mut second = Box::pin(reply(&vfs, handle, next, usize::MAX));
        assert!(futures::poll!(&mut second).is_pending());
        world.release();
        assert!(second.await.iter().any(|(name, _)| name == "v60"));
    }
}

#[tokio::test]
async fn going_straight_to_a_name_lists_nothing() {
    let world = world_of(120);
    let vfs = vfs_of(&world).await;
    world.reset();
    let attr = enter(&vfs, "e/p/t/c/v7/files/a/b").await;
    assert_eq!((attr.kind, attr.size), (Kind::File, 5));
    for listing in ["projects", "artifact_types", "collections", "versions"] {
        assert_eq!(world.count(listing), 0, "{listing} was listed");
    }
    let before = world.requests();
    assert!(before <= 5, "{:?}", world.by_name());
    enter(&vfs, "e/p/t/c/v7/files/a/b").await;
    assert_eq!(world.requests(), before, "the second time is free");
}

#[tokio::test]
async fn attributes_come_with_a_listing_for_no_more_requests() {
    for plus in [false, true] {
        let world = world_of(120);
        let vfs = vfs_of(&world).await;
        let dir = enter(&vfs, COLLECTION).await;
        world.reset();
        let handle = vfs.opendir(dir.ino).await.unwrap().handle;
        let mut offset = 0;
        loop {
            let before = offset;
            let result = if plus {
                vfs.readdirplus(handle, offset, NOBODY, |entry, attr| {
                    assert_eq!((entry.ino, entry.kind), (attr.ino, attr.kind));
                    offset = entry.next_offset;
                    false
                })
                .await
            } else {
                vfs.readdir(handle, offset, NOBODY, |entry| {
                    offset = entry.next_offset;
                    false
                })
                .await
            };
            result.unwrap();
            if offset == before {
                break;
            }
        }
        assert_eq!(offset, 2 + 1 + 120, "dots, metadata, versions");
        assert_eq!(world.requests(), 3, "{plus} {:?}", world.by_name());
    }
}

#[tokio::test]
async fn a_listing_resumes_at_every_offset_it_gave() {
    let world = world_of(120);
    let vfs = vfs_of(&world).await;
    let dir = enter(&vfs, COLLECTION).await;
    let handle = vfs.opendir(dir.ino).await.unwrap().handle;
    let all = walk(&vfs, handle, 0, 7).await;
    // Backwards, so that pages already left are needed again, and forwards over page borders.
    for at in [120, 119, 60, 52, 51, 50, 3, 2, 1, 0, 100] {
        let offset = all[at].1;
        assert_eq!(walk(&vfs, handle, offset, 11).await, all[at + 1..], "{at}");
    }
    assert_eq!(walk(&vfs, handle, 0, usize::MAX).await, all, "rewound");
}

#[tokio::test]
async fn a_large_version_is_walked_once_in_small_replies() {
    const FILES: usize = 100_000;
    let names: Vec<String> = (0..FILES).map(|n| format!("f{n:06}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let world = World::new();
    world.add_version(COLLECTION, 0, &[], &manifest(&files));
    let vfs = vfs_of(&world).await;
    let dir = enter(&vfs, "e/p/t/c/v0/files").await;
    world.reset();
    let opened = vfs.opendir(dir.ino).await.unwrap();
    assert!(opened.immutable);
    let (mut offset, mut replies, mut seen) = (0, 0, 0);
    loop {
        let (before, mut room) = (offset, 30);
        vfs.readdirplus(opened.handle, offset, NOBODY, |entry, _| {
            let full = room == 0;
            if !full {
                room -= 1;
                offset = entry.next_offset;
                seen += 1;
            }
            full
        })
        .await
        .unwrap();
        replies += 1;
        if offset == before {
            break;
        }
    }
    assert_eq!(seen, FILES + 2);
    assert!(replies < FILES / 20, "{replies} replies");
    assert!(world.requests() <= 2, "{:?}", world.by_name());
}

#[tokio::test]
async fn only_entries_that_were_taken_count_as_looked_up() {
    let world = world_of(3);
    let vfs = vfs_of(&world).await;
    let dir = enter(&vfs, COLLECTION).await;
    let handle = vfs.opendir(dir.ino).await.unwrap().handle;
    let (mut taken, mut refused) = (Vec::new(), None);
    vfs.readdirplus(handle, 0, NOBODY, |entry, _| {
        if taken.len() == 4 {
            refused = Some(entry.ino);
            return true;
        }
        taken.push(entry.ino);
        false
    })
    .await
    .unwrap();
    let refused = refused.unwrap();
    assert_eq!(vfs.getattr(refused).await, Err(Errno::ESTALE));
    let last = *taken.last().unwrap();
    assert_eq!(vfs.getattr(last).await.unwrap().ino, last);
    vfs.forget(last, 1);
    assert_eq!(vfs.getattr(last).await, Err(Errno::ESTALE));
}

#[tokio::test]
async fn the_parent_of_an_entry_is_named_by_its_own_number() {
    let world = world_of(1);
    let vfs = vfs_of(&world).await;
    let parent = enter(&vfs, "e/p/t").await;
    let dir = enter(&vfs, COLLECTION).await;
    let handle = vfs.opendir(dir.ino).await.unwrap().handle;
    let mut dots = Vec::new();
    let take_two = |entry: super::DirEntry<'_>| {
        dots.push(entry.ino);
        dots.len() == 2
    };
    vfs.readdir(handle, 0, NOBODY, take_two).await.unwrap();
    assert_eq!(dots, [dir.ino, parent.ino]);
}

#[tokio::test]
async fn a_failure_is_recorded_with_its_reason_and_a_missing_name_is_not() {
    let world = world_of(1);
    let (vfs, meter) = vfs_over(world.tree(TreeOptions::default())).await;
    let dir = enter(&vfs, COLLECTION).await;
    let missing = vfs.lookup(dir.ino, OsStr::new("v9")).await.unwrap();
    assert!(matches!(missing, Entry::Missing { ttl } if ttl <= Duration::from_secs(5)));
    assert_eq!(meter.errors(), 0);
    world.fail("version", ErrorKind::Deadline);
    let failed = vfs.lookup(dir.ino, OsStr::new("v8")).await;
    assert_eq!(failed, Err(Errno::ETIMEDOUT));
    let log = String::from_utf8(meter.errors_log()).unwrap();
    assert!(log.contains(r#""op":"lookup""#), "{log}");
    assert!(log.contains(r#""path":"e/p/t/c/v8""#), "{log}");
    assert!(log.contains(r#""errno":"ETIMEDOUT""#), "{log}");
    let noted = vfs
        .getxattr(dir.ino, OsStr::new("user.wandbfs.error"))
        .await;
    let noted = String::from_utf8(noted.unwrap()).unwrap();
    assert!(noted.contains("told to fail"), "{noted}");
}

#[tokio::test]
async fn what_no_node_can_have_is_told_apart_from_what_this_one_lacks() {
    let vfs = vfs_of(&world_of(1)).await;
    let file = enter(&vfs, "e/p/t/c/v0/files/a/b").await;
    let asked = |name| vfs.getxattr(file.ino, OsStr::new(name));
    assert_eq!(asked("user.no.such").await, Err(Errno::ENODATA));
    for name in ["system.posix_acl_access", "security.selinux", "users.x"] {
        assert_eq!(asked(name).await, Err(Errno::EOPNOTSUPP), "{name}");
    }
    assert!(asked("user.wandb.digest").await.is_ok());
}

#[tokio::test]
async fn a_file_is_read_in_pieces_until_it_is_closed() {
    let world = world_of(1);
    let vfs = vfs_of(&world).await;
    let file = enter(&vfs, "e/p/t/c/v0/files/a/b").await;
    let writing = Intent {
        write: true,
        ..Intent::READ
    };
    assert_eq!(vfs.open(file.ino, writing).await.unwrap_err(), Errno::EROFS);
    let open = vfs.open(file.ino, Intent::READ).await.unwrap();
    assert!(matches!(open.caching, Caching::UntilNextOpen));
    assert_eq!(vfs.read(open.handle, 1, 3).await.unwrap(), "ell");
    assert_eq!(vfs.read(open.handle, 4, 100).await.unwrap(), "o");
    assert_eq!(vfs.read(open.handle, 5, 100).await.unwrap(), "");
    assert_eq!(vfs.open_handles(), 1);
    // The kernel may forget a file that is open; it stays known.
    vfs.forget(file.ino, 100);
    assert_eq!(vfs.getattr(file.ino).await.unwrap().size, 5);
    assert!(vfs.release(open.handle).unwrap().is_none());
    assert_eq!(vfs.read(open.handle, 0, 1).await, Err(Errno::EBADF));
    assert_eq!(vfs.release(open.handle).err(), Some(Errno::EBADF));
}

/// A data plane whose stored contents all fail their digest.
struct Rotten(Arc<World>);

struct RottenBlob;

#[async_trait]
impl Blobs for Rotten {
    async fn open(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, Error> {
        match content.origin {
            Origin::Manifest { .. } => self.0.open(content, upcoming).await,
            _ => Ok(Arc::new(RottenBlob)),
        }
    }
    fn cached(&self, _: &Content) -> f64 {
        0.0
    }
}

#[async_trait]
impl OpenBlob for RottenBlob {
    async fn read_at(&self, _: u64, _: u32) -> Result<Bytes, Error> {
        Err(Error::new(ErrorKind::Corrupt, "", "digest mismatch"))
    }
    async fn len(&self) -> Result<u64, Error> {
        Ok(5)
    }
    fn file(&self) -> Option<Arc<std::fs::File>> {
        None
    }
    async fn whole_file(&self) -> Result<Arc<std::fs::File>, Error> {
        Err(Error::new(ErrorKind::Corrupt, "", "digest mismatch"))
    }
}

#[derive(Default)]
struct Dropped(Mutex<Vec<u64>>);

impl KernelCache for Dropped {
    fn drop_pages(&self, ino: u64) {
        self.0.lock().push(ino);
    }
    fn drop_entry(&self, _: u64, _: &OsStr) {}

    fn settled(&self) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn bytes_that_fail_their_digest_leave_the_page_cache() {
    let world = world_of(1);
    let blobs = Arc::new(Rotten(world.clone()));
    let tree = Tree::new(world.clone(), blobs, TreeOptions::default());
    let (vfs, meter) = vfs_over(tree).await;
    let kernel = Arc::new(Dropped::default());
    vfs.attach_kernel(kernel.clone());
    let file = enter(&vfs, "e/p/t/c/v0/files/a/b").await;
    let open = vfs.open(file.ino, Intent::READ).await.unwrap();
    assert_eq!(vfs.read(open.handle, 0, 5).await, Err(Errno::EIO));
    assert_eq!(*kernel.0.lock(), [file.ino]);
    assert_eq!(meter.errors(), 1);
}
