//! Verified files that the kernel reads by itself: one backing file for all opens of an inode, also
//! mapped, also evicted meanwhile, also from a cache on overlayfs.
//!
//! Where the kernel or the privilege is missing, the same reads are checked through the fallback.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use support::{Home, Mount, Server, kill, wait_for};

/// A model of the sample content, and the size from which files are read by the kernel.
const ROOT: &str = "vision-lab/images/classifier:best";
const LARGE: u64 = 1 << 20;

/// How long a read that needs nobody may take.
const AT_ONCE: Duration = Duration::from_secs(20);

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

fn large_file(mount: &Mount) -> PathBuf {
    let is_large = |path: &PathBuf| path.metadata().unwrap().len() >= LARGE;
    files_below(&mount.point)
        .into_iter()
        .find(is_large)
        .unwrap()
}

/// The same content in the shared cache, once it is complete and verified there.
fn cached(cache: &Path, size: u64) -> PathBuf {
    let objects = cache.join("artifacts/obj");
    let find = || {
        let of_size = |path: &PathBuf| path.metadata().is_ok_and(|m| m.len() == size);
        files_below(&objects).into_iter().find(of_size)
    };
    wait_for("the content is in the cache", || find().is_some());
    find().unwrap()
}

/// What this kernel and this user can do, decided without asking the program.
fn expected() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.unwrap().trim(), 16).unwrap();
    const SYS_ADMIN: u64 = 1 << 21;
    version >= (6, 9) && effective & SYS_ADMIN != 0
}

/// Stops the process of a mount for as long as it lives: what is answered now, the kernel answers.
struct Stopped(u64);

impl Stopped {
    fn new(mount: &Mount) -> Self {
        kill(mount.pid(), "STOP");
        Self(mount.pid())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, "CONT");
    }
}

/// The whole content by a thread of its own, which may hang as long as the mount is stopped.
fn read_apart(file: &File, length: usize) -> mpsc::Receiver<Vec<u8>> {
    let file = file.try_clone().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let _nobody_waits = tell.send(bytes);
    });
    told
}

/// The bytes of a file as its mapping shows them.
fn mapped(file: &File, length: usize) -> Vec<u8> {
    // SAFETY: a fresh read-only mapping of `length` bytes, of a file that long which nobody
    // shortens, is copied and unmapped before anything else.
    unsafe {
        let (prot, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        let at = libc::mmap(
            std::ptr::null_mut(),
            length,
            prot,
            flags,
            file.as_raw_fd(),
            0,
        );
        assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let bytes = std::slice::from_raw_parts(at.cast::<u8>(), length).to_vec();
        assert_eq!(libc::munmap(at, length), 0);
        bytes
    }
}

/// Drops a file's pages from the page cache.
fn forget_pages(file: &File) {
    // SAFETY: a call on a descriptor that is open.
    let done = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(done, 0);
}

/// Reads one verified file in every way, with the shared cache in `cache`.
fn everything_about_passthrough(server: &Server, cache: &Path) {
    let home = Home::signed_in(server).with("WANDB_CACHE_DIR", cache.to_str().unwrap());
    let mount = Mount::new(&home, &["--root", ROOT]);
    let passthrough = mount.ready["passthrough"].as_bool().unwrap();
    assert_eq!(passthrough, expected(), "{}", mount.ready);

    let path = large_file(&mount);
    let right = fs::read(&path).unwrap();
    let length = right.len();
    let on_disk = cached(cache, length as u64);
    assert!(fs::read(&on_disk).unwrap() == right, "cached bytes differ");

    let first = File::open(&path).unwrap();
    let second = File::open(&path).unwrap();
    forget_pages(&first);
    if passthrough {
        let stopped = Stopped::new(&mount);
        for reader in [&first, &second] {
            let read = read_apart(reader, length).recv_timeout(AT_ONCE);
            assert!(read.expect("the kernel asked the process") == right);
        }
        drop(stopped);
    }
    assert!(mapped(&first, length) == right, "mapped bytes differ");

    // Evicted while it is open: the readers keep what they opened, and others fetch it again.
    fs::remove_file(&on_disk).unwrap();
    for reader in [&first, &second] {
        let read = read_apart(reader, length).recv_timeout(AT_ONCE);
        assert!(
            read.expect("the read ends") == right,
            "bytes after eviction"
        );
    }
    let third = File::open(&path).unwrap();
    let read = read_apart(&third, length).recv_timeout(AT_ONCE);
    assert!(read.expect("the read ends") == right, "a third reader");
    drop((first, second, third));
    assert!(fs::read(&path).unwrap() == right, "read once more");
}

/// The same where the kernel does not read by itself: by `pread`, and from the page cache as long as
/// that has the pages, across opens.
fn everything_without_passthrough(server: &Server, cache: &Path) {
    let home = Home::signed_in(server).with("WANDB_CACHE_DIR", cache.to_str().unwrap());
    let mount = Mount::new(&home, &["--root", ROOT, "--no-passthrough"]);
    assert_eq!(mount.ready["passthrough"], false, "{}", mount.ready);
    let path = large_file(&mount);
    let right = fs::read(&path).unwrap();
    let length = right.len();
    let on_disk = cached(cache, length as u64);
    // Opened once more now that it is verified: from here on pages stay.
    assert!(fs::read(&path).unwrap() == right);

    let first = File::open(&path).unwrap();
    let second = File::open(&path).unwrap();
    let stopped = Stopped::new(&mount);
    for reader in [&first, &second] {
        let read = read_apart(reader, length).recv_timeout(AT_ONCE);
        assert!(read.expect("the pages of earlier opens are gone") == right);
    }
    drop(stopped);
    forget_pages(&first);
    assert!(mapped(&second, length) == right, "mapped bytes differ");
    fs::remove_file(&on_disk).unwrap();
    forget_pages(&first);
    let read = read_apart(&first, length).recv_timeout(AT_ONCE);
    assert!(read.expect("the read ends") == right, "after eviction");
    drop((first, second));
    assert!(fs::read(&path).unwrap() == right, "fetched once more");
}

/// A directory on overlayfs, unmounted when it is dropped.
struct Overlay(tempfile::TempDir);

impl Overlay {
    /// `None` where nobody may mount one here.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let at = |name: &str| dir.path().join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        );
        let mounted = Command::new("mount")
            .args(["-t", "overlay", "overlay", "-o", &options, &at("merged")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("merged")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _shown_by_the_directory_that_stays = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn verified_files_are_read_by_the_kernel_whoever_opens_maps_or_evicts_them() {
    let server = Server::seeded("demo");
    let cache = tempfile::tempdir().unwrap();
    everything_about_passthrough(&server, cache.path());
    // Without the privilege, or with the temporary directory on overlayfs itself, none is mounted.
    if let Some(overlay) = Overlay::new() {
        everything_about_passthrough(&server, &overlay.path());
    }
}

#[test]
fn without_passthrough_verified_files_stay_in_the_page_cache_across_opens() {
    let server = Server::seeded("demo");
    let cache = tempfile::tempdir().unwrap();
    everything_without_passthrough(&server, cache.path());
}
