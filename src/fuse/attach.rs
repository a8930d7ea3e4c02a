//! Connecting a directory to the kernel's FUSE: by mount(2) where this process may, else by the
//! helper `fusermount3`, which hands the connected descriptor over a socket.

use std::ffi::CString;
use std::io::{self, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::MountFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::mount_table::{self, FS_TYPE, MountEntry, NAME};
use super::options::{MountError, MountOptions};
use super::preflight;

/// Where the helper finds its end of the socket: its standard input. Any other number would have to
/// be inherited by hand, and by every child that another thread starts at that moment.
const HELPER_SOCKET: (&str, &str) = ("_FUSE_COMMFD", "0");

/// A mount without a session yet.
pub(crate) struct Attached {
    /// The connection.
    pub(crate) device: OwnedFd,
    /// Its line in the mount table.
    pub(crate) entry: MountEntry,
}

/// Mounts. `mount_point` is canonical.
pub(crate) fn attach(mount_point: &Path, options: &MountOptions) -> Result<Attached, MountError> {
    let device = match mount_directly(mount_point, options)? {
        Some(device) => device,
        None => mount_by_helper(mount_point, options)?,
    };
    match mount_table::topmost(mount_point) {
        Ok(Some(entry)) if entry.is_ours() => Ok(Attached { device, entry }),
        found => Err(MountError::Refused {
            path: mount_point.to_owned(),
            action: "the mount is not in the mount table",
            source: found
                .err()
                .unwrap_or_else(|| io::ErrorKind::NotFound.into()),
        }),
    }
}

/// mount(2); `None` if this process may not and the helper may.
fn mount_directly(
    mount_point: &Path,
    options: &MountOptions,
) -> Result<Option<OwnedFd>, MountError> {
    // Where this user may not open the device, the helper does not either: it drops its privileges
    // for that.
    let device = preflight::open_device().map_err(|source| MountError::NoDevice { source })?;
    let device = OwnedFd::from(device);
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    flags.set(MountFlags::RDONLY, options.read_only);
    flags.set(MountFlags::NOEXEC, options.no_exec);
    let mut data = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if options.allow_other {
        data.push_str(",allow_other,default_permissions");
    }
    let data = CString::new(data).unwrap_or_default();
    match rustix::mount::mount(NAME, mount_point, FS_TYPE, flags, data.as_c_str()) {
        Ok(()) => Ok(Some(device)),
        Err(rustix::io::Errno::PERM) => Ok(None),
        Err(rustix::io::Errno::NODEV) => Err(MountError::NoDevice {
            source: io::ErrorKind::NotFound.into(),
        }),
        Err(why) => Err(MountError::Refused {
            path: mount_point.to_owned(),
            action: "the kernel refused the mount",
            source: why.into(),
        }),
    }
}

fn mount_by_helper(mount_point: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let helper = preflight::helper().ok_or(MountError::NoHelper)?;
    let failed = |source| MountError::Refused {
        path: mount_point.to_owned(),
        action: "fusermount3 could not be run",
        source,
    };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut helper = Command::new(helper)
        .arg("-o")
        .arg(helper_options(options))
        .arg("--")
        .arg(mount_point)
        .env(HELPER_SOCKET.0, HELPER_SOCKET.1)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // A helper that fails closes its end, so this ends either way.
    let device = receive_descriptor(&ours);
    let mut message = String::new();
    if let Some(mut stderr) = helper.stderr.take() {
        let _as_far_as_it_goes = stderr.read_to_string(&mut message);
    }
    let _reaped = helper.wait();
    device.ok_or_else(|| {
        let words = message.trim();
        let words = words.split_once("fusermount3: ").map_or(words, |(_, w)| w);
        MountError::Helper {
            message: words.to_owned(),
        }
    })
}

/// What the helper understands. The names are constants: nothing here needs escaping.
fn helper_options(options: &MountOptions) -> String {
    let mut words = vec![
        "fsname=wandbfs",
        "subtype=wandbfs",
        "nosuid",
        "nodev",
        "noatime",
    ];
    let wanted = [
        (options.read_only, "ro"),
        (options.no_exec, "noexec"),
        (options.allow_other, "allow_other"),
        (options.allow_other, "default_permissions"),
    ];
    words.extend(wanted.iter().filter(|(on, _)| *on).map(|(_, word)| *word));
    words.join(",")
}

fn receive_descriptor(socket: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut byte)];
    rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)
    })
    .ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_is_told_to_check_modes_for_other_users() {
        let mut options = MountOptions {
            mount_point: "/x".into(),
            read_only: true,
            allow_other: false,
            auto_unmount: false,
            no_exec: false,
            passthrough: false,
            unopened: false,
            cache_dir: "/x".into(),
        };
        let base = "fsname=wandbfs,subtype=wandbfs,nosuid,nodev,noatime,ro";
        assert_eq!(helper_options(&options), base);
        options.allow_other = true;
        assert_eq!(
            helper_options(&options),
            format!("{base},allow_other,default_permissions")
        );
    }
}
