//! How far the kernel reads ahead on a mount.
//!
//! FUSE begins with 128 KiB and lets a file system ask for less only. More is set in sysfs, by root.

use std::fs;
use std::path::PathBuf;

use rustix::fs::StatVfsMountFlags;
use tracing::debug;

/// Read-ahead of a mount, KiB: one request of the largest size that the kernel sends. Measured on
/// two cores: 128 KiB reads at 2.7 GB/s, 1 MiB at 3.7, more wins nothing, and makes a page fault of
/// scattered mapped reads cost milliseconds.
const READ_AHEAD_KIB: u32 = 1024;

/// Where the kernel keeps it.
const BDI: &str = "/sys/class/bdi";

/// Raises it for the mount with this device number, where that is allowed; never lowers it.
pub(super) fn raise((major, minor): (u32, u32)) {
    let path = PathBuf::from(format!("{BDI}/{major}:{minor}/read_ahead_kb"));
    let now = fs::read_to_string(&path)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    if now.is_some_and(|now| now >= READ_AHEAD_KIB) {
        return;
    }
    if let Err(why) = fs::write(&path, READ_AHEAD_KIB.to_string()) {
        debug!(%why, path = %path.display(), "the kernel's read-ahead stays as it is");
    }
}

/// Whether this user can have it raised here: root, and sysfs not read-only as in most containers.
pub fn read_ahead_can_be_raised() -> bool {
    let writable = rustix::fs::statvfs(BDI)
        .is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY));
    writable && rustix::process::geteuid().is_root()
}
