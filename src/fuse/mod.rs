//! The kernel adapter: the only room that names the `fuser` crate.
//!
//! What the kernel makes hard, and where it is answered:
//! 1. A thread that reads requests must never wait, or the mount freezes; but a task for each request
//!    costs more than most answers: `adapter` decodes and moves the reply into a future, of which
//!    `requests` leaves to a task only what has to wait.
//! 2. One inode may not be open cached and passed through at once (the kernel says EIO):
//!    `open_mode` fixes one mode per inode until its last release.
//! 3. Notifications enter the kernel and may wait for locks that a request of ours holds:
//!    `notifier` sends them from a thread that answers nothing and holds nothing.
//! 4. Capabilities are offered one by one and refused silently: `init` asks one by one.
//! 5. The crate's own unmounting can hit a stranger's mount after an external unmount, is not lazy
//!    when busy, and ignores a failing helper. So this room mounts and unmounts itself (`attach`,
//!    `mount_table`) and hands the crate a connected descriptor only.
//! 6. A mount is usable only once it answers: `mount` waits for that.

mod adapter;
mod answer;
mod attach;
mod changes;
mod convert;
mod init;
mod mount;
mod mount_table;
mod notifier;
mod open_mode;
mod options;
mod preflight;
mod read_ahead;
mod requests;
mod session;
mod shared;
mod watcher;

#[cfg(test)]
mod tests;

pub use mount::mount;
pub use mount_table::{MountEntry, our_mounts, unmount_path};
pub use options::{MountError, MountOptions};
pub use preflight::{Prerequisites, check_mount_point};
pub use read_ahead::read_ahead_can_be_raised;
pub use session::Mounted;
pub use shared::PASSTHROUGH_FROM;
