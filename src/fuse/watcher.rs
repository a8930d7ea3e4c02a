//! `--auto-unmount`: a small process that outlives this one and removes its dead mount.
//!
//! The helper has such a mode of its own, but it recognises a dead mount by looking into it, which
//! the kernel lets it only with `allow_other`; and root would need the helper for it. So a shell
//! waits at a pipe that the kernel closes with this process, however it died, and unmounts what
//! still carries our device number.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::mount_table::MountEntry;
use super::preflight;

/// `$1` is the device number, `$2` the mount point, the rest the command that unmounts.
const SCRIPT: &str = r#"read -r _
device=$1 mount_point=$2
shift 2
while read -r _ _ found _; do
    [ "$found" = "$device" ] && exec "$@" "$mount_point"
done < /proc/self/mountinfo"#;

/// The process. Dropping it ends it without unmounting anything.
pub(crate) struct Watcher {
    shell: Child,
}

impl Watcher {
    /// Starts to watch over a mount.
    pub(crate) fn start(entry: &MountEntry) -> io::Result<Self> {
        let mut unmount = Command::new("/bin/sh");
        unmount.args(["-c", SCRIPT, "wandbfs-watcher"]);
        unmount.arg(format!("{}:{}", entry.device.0, entry.device.1));
        unmount.arg(&entry.mount_point);
        match preflight::helper() {
            Some(helper) => unmount.arg(helper).args(["-u", "-q", "-z", "--"]),
            None => unmount.args(["umount", "-l", "--"]),
        };
        let shell = unmount
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal is for us to handle; the watcher must live to see the result.
            .process_group(0)
            .current_dir("/")
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Before the pipe closes, so that it never wakes up.
        let _gone_already = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fuse::tests::{Fixture, blocking};

    /// What happens to the watcher when this process dies.
    async fn orphan(mut watcher: Watcher) {
        drop(watcher.shell.stdin.take());
        blocking(move || watcher.shell.wait().unwrap()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_orphaned_watcher_unmounts() {
        let fixture = Fixture::new().await;
        let watcher = Watcher::start(&fixture.mounted.entry).unwrap();
        assert!(fixture.is_in_the_mount_table());
        orphan(watcher).await;
        assert!(!fixture.is_in_the_mount_table());
        fixture.mounted.wait().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_orphaned_watcher_leaves_a_strangers_mount_alone() {
        let fixture = Fixture::new().await;
        let mut other = fixture.mounted.entry.clone();
        other.device = (0, u32::MAX);
        orphan(Watcher::start(&other).unwrap()).await;
        assert!(fixture.is_in_the_mount_table());
    }
}
