//! What is mounted where, as `/proc/self/mountinfo` says, and the removal of mounts of ours.
//!
//! A mount is ours by its type `fuse.wandbfs`, and *this* one of ours by its device number, which
//! no two live mounts share. Before anything is unmounted both are checked, so that a stranger who
//! mounted at the same place meanwhile is left alone.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::preflight;

/// Source and subtype of our mounts: `/proc/mounts` shows `wandbfs … fuse.wandbfs`.
pub(crate) const NAME: &str = "wandbfs";

/// Type in the mount table.
pub(crate) const FS_TYPE: &str = "fuse.wandbfs";

/// A busy mount is tried again this often before it is detached: long enough for a `stat` or the
/// last close of a dying process to end.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// Where.
    pub mount_point: PathBuf,
    /// Major and minor number of the device: what tells two mounts apart.
    pub device: (u32, u32),
    /// Type: `ext4`, `fuse.wandbfs`.
    pub kind: String,
    /// Source: `wandbfs`.
    pub source: String,
}

impl MountEntry {
    /// Whether a wandbfs made it.
    pub fn is_ours(&self) -> bool {
        self.kind == FS_TYPE
    }
}

/// All mounts of wandbfs that this process sees.
///
/// # Errors
/// If the mount table cannot be read.
pub fn our_mounts() -> io::Result<Vec<MountEntry>> {
    let mut mounts = table()?;
    mounts.retain(MountEntry::is_ours);
    Ok(mounts)
}

/// Unmounts a mount of wandbfs, whichever process serves it; false if `path` is none. A busy one is
/// detached: it vanishes from the tree now and ends with its last open file.
///
/// # Errors
/// What the kernel or the helper said.
pub fn unmount_path(path: &Path) -> io::Result<bool> {
    let path = preflight::absolute(path)?;
    match topmost(&path)? {
        Some(entry) if entry.is_ours() => unmount_entry(&entry).map(|()| true),
        _ => Ok(false),
    }
}

/// What is mounted at `path` and not covered by another mount there.
pub(crate) fn topmost(path: &Path) -> io::Result<Option<MountEntry>> {
    let at_path = |entry: &MountEntry| entry.mount_point == path;
    Ok(table()?.into_iter().rev().find(at_path))
}

/// Whether this very mount is still there.
pub(crate) fn is_mounted(entry: &MountEntry) -> bool {
    table().is_ok_and(|table| table.contains(entry))
}

/// Removes this very mount; fine if it is gone already. Waits a little while it is busy, then
/// detaches it.
pub(crate) fn unmount_entry(entry: &MountEntry) -> io::Result<()> {
    for _ in 0..BUSY_TRIES {
        if topmost(&entry.mount_point)?.as_ref() != Some(entry) {
            break;
        }
        match rustix::mount::unmount(&entry.mount_point, UnmountFlags::NOFOLLOW) {
            Ok(()) => break,
            Err(Errno::BUSY) => thread::sleep(BUSY_PAUSE),
            Err(Errno::PERM) => return unmount_by_helper(entry),
            // Unmounted by someone else between the look and the call.
            Err(Errno::INVAL) => break,
            Err(other) => return Err(other.into()),
        }
    }
    if topmost(&entry.mount_point)?.as_ref() == Some(entry) {
        let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH;
        rustix::mount::unmount(&entry.mount_point, flags)?;
    }
    Ok(())
}

/// Ordinary users unmount through the helper, which checks that the mount is theirs.
fn unmount_by_helper(entry: &MountEntry) -> io::Result<()> {
    let helper = preflight::helper().ok_or(io::ErrorKind::PermissionDenied)?;
    let output = Command::new(helper)
        .args(["-u", "-q", "-z", "--"])
        .arg(&entry.mount_point)
        .output()?;
    if is_mounted(entry) {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("fusermount3: {}", words.trim())));
    }
    Ok(())
}

fn table() -> io::Result<Vec<MountEntry>> {
    let text = fs::read("/proc/self/mountinfo")?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
}

/// One line: `36 35 98:0 /root /mount/point options optional… - type source superoptions`.
fn parse(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|b| *b == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let mount_point = fields.nth(1)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
    Some(MountEntry {
        mount_point: OsString::from_vec(unescape(mount_point)).into(),
        device: (major.parse().ok()?, minor.parse().ok()?),
        kind: text(rest.next()?),
        source: text(rest.next()?),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| first == b'\\');
        let digits = octal.and_then(|d| std::str::from_utf8(d).ok());
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_line_with_optional_fields_and_spaces_is_understood() {
        let line = b"89 26 0:44 / /mnt/my\\040models rw,nosuid shared:7 master:2 - fuse.wandbfs wandbfs ro";
        let entry = parse(line).unwrap();
        assert_eq!(entry.mount_point.as_os_str().as_bytes(), b"/mnt/my models");
        assert_eq!(entry.device, (0, 44));
        assert_eq!(
            (entry.kind.as_str(), entry.source.as_str()),
            (FS_TYPE, NAME)
        );
        assert!(entry.is_ours());
    }

    #[test]
    fn nonsense_is_no_mount() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 2 3 4"), None);
    }

    #[test]
    fn the_root_file_system_is_mounted() {
        assert!(topmost(Path::new("/")).unwrap().is_some());
    }
}
