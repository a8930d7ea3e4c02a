//! Making a mount, up to the moment it answers.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use rustix::thread::CapabilitySet;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::adapter::Adapter;
use super::attach::{Attached, attach};
use super::mount_table;
use super::notifier::Notices;
use super::options::{MountError, MountOptions};
use super::preflight::{ask, check_mount_point};
use super::read_ahead;
use super::requests::Requests;
use super::session::Mounted;
use super::shared::Shared;
use super::watcher::Watcher;
use crate::vfs::Vfs;

/// Threads that take requests and answer what is in memory: one for each core. At least two, so that
/// one long copy does not hold up everything else; at most eight, as each has a buffer of 16 MiB, of
/// which it touches what the largest request fills. On two cores, one or two are the same.
const READERS: std::ops::RangeInclusive<usize> = 2..=8;

/// How long a fresh mount may take to answer; it asks no server for that.
const READY: Duration = Duration::from_secs(10);

/// `f_type` of overlayfs, the root of most containers, from linux/magic.h.
const OVERLAYFS: i64 = 0x794c_7630;

/// Mounts `vfs` and returns once the mount answers. Requests run on `runtime`.
///
/// Blocks for as long as that takes, up to ten seconds: on a thread of `runtime` call it through
/// `spawn_blocking`.
///
/// # Errors
/// [`MountError`]; nothing stays mounted then.
pub fn mount(
    options: &MountOptions,
    vfs: Arc<Vfs>,
    runtime: &Handle,
) -> Result<Mounted, MountError> {
    let mount_point = check_mount_point(&options.mount_point)?;
    // Before mounting: a look at a path below a mount without a session waits for ever.
    let stack_depth = stack_depth(options);
    let Attached { device, entry } = attach(&mount_point, options)?;
    let unmount = || {
        if let Err(why) = mount_table::unmount_entry(&entry) {
            warn!(%why, "a failed mount could not be removed");
        }
    };
    let refused = |action| {
        let path = mount_point.clone();
        move |source| MountError::Refused {
            path,
            action,
            source,
        }
    };
    let shared = Arc::new(Shared::new(Arc::clone(&vfs), stack_depth, options.unopened));
    let requests = TaskTracker::new();
    let running = Requests::new(requests.clone(), runtime.clone());
    let adapter = Adapter::new(Arc::clone(&shared), running);
    let (acl, config) = session_config(options);
    let session = Session::from_fd(adapter, device, acl, config)
        .inspect_err(|_| unmount())
        .map_err(refused("the kernel ended the connection"))?;
    let notices = Notices::start(session.notifier())
        .inspect_err(|_| unmount())
        .map_err(refused("no thread for notifications"))?;
    vfs.attach_kernel(Arc::clone(&notices) as _);
    let watcher = options
        .auto_unmount
        .then(|| Watcher::start(&entry))
        .transpose()
        .inspect_err(|_| unmount())
        .map_err(refused("no process for --auto-unmount"))?;
    let ended = run(session)
        .inspect_err(|_| unmount())
        .map_err(refused("no thread for requests"))?;
    let mounted = Mounted {
        entry,
        shared,
        requests,
        notices,
        ended,
        watcher: parking_lot::Mutex::new(watcher),
    };
    // From here on dropping it unmounts.
    if ask(&mount_point, READY) == Some(Ok(())) {
        read_ahead::raise(mounted.entry.device);
        Ok(mounted)
    } else {
        Err(MountError::NotReady {
            path: mount_point,
            seconds: READY.as_secs(),
        })
    }
}

fn session_config(options: &MountOptions) -> (SessionACL, Config) {
    let acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    let mut config = Config::default();
    config.acl = acl;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    config.n_threads = Some(cores.clamp(*READERS.start(), *READERS.end()));
    (acl, config)
}

/// Runs the session on threads of its own; the receiver learns of its end.
fn run(session: Session<Adapter>) -> std::io::Result<watch::Receiver<bool>> {
    let (tell, ended) = watch::channel(false);
    thread::Builder::new()
        .name("wandbfs-session".into())
        .spawn(move || {
            if let Err(why) = session.run() {
                warn!(%why, "the connection to the kernel broke");
            }
            debug!("unmounted");
            tell.send_replace(true);
        })?;
    Ok(ended)
}

/// How many file systems the kernel has to stack for passthrough; `None` if it is not wanted or
/// this process lacks the privilege. Over overlayfs it is one more.
fn stack_depth(options: &MountOptions) -> Option<u32> {
    let privileged = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    if !options.passthrough || options.unopened || !privileged {
        return None;
    }
    let over_overlayfs = options
        .cache_dir
        .ancestors()
        .find_map(|path| rustix::fs::statfs(path).ok())
        .is_some_and(|found| found.f_type == OVERLAYFS);
    Some(if over_overlayfs { 2 } else { 1 })
}
