//! One mount that is being served by this process, from the first check to its end.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::assemble::{self, Parts, Shape};
use super::console::Console;
use super::daemon;
use super::mount::MountFlags;
use super::outcome::{Failure, Outcome, Stop};
use super::process::{self, ProcessId};
use super::profile;
use super::runtime_dir::{MountRecord, RuntimeDir};
use super::signals::EndSignals;
use crate::fuse::{MountOptions, Mounted, check_mount_point, mount};
use crate::model::{NodePath, RunPath};
use crate::store::Store;
use crate::telemetry::Meter;
use crate::tree::MountState;
use crate::vfs::{Vfs, VfsOptions};
use crate::wandb::UseRecorder;
use crate::wandb::config::{Config, Environment};

/// How long the end of a mount waits for the server to take what was read: enough for a slow one,
/// and below what container runtimes wait before they kill.
const RECORDING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a reader of the status socket may take to take it.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// Serves a mount until it is unmounted or a signal comes.
pub(crate) fn run(
    flags: MountFlags,
    mount_point: &Path,
    config: Config,
    environment: &Environment,
    console: Console,
) -> Outcome {
    if daemon::is_child() {
        daemon::detach();
    }
    let runtime = super::runtime()?;
    let mut signals = {
        let _inside = runtime.enter();
        EndSignals::catch()?
    };
    let session = Session::start(&runtime, flags, mount_point, config, environment)?;
    let announced = match daemon::is_child() {
        true => daemon::report_ready(session.record()).inspect(|()| leave_directory()),
        false => daemon::announce(session.record(), console),
    };
    if announced.is_ok() {
        runtime.block_on(session.served(&mut signals));
    }
    let ended = runtime.block_on(session.end());
    announced.or_else(|stop| match stop {
        Stop::ReaderGone => Ok(()),
        other => Err(other),
    })?;
    ended
}

/// A background process must not keep the directory busy in which it was started.
fn leave_directory() {
    if let Err(error) = std::env::set_current_dir("/") {
        tracing::debug!(%error, "stays in its directory");
    }
}

/// A mount that answers.
pub(crate) struct Session {
    mounted: Mounted,
    live: Arc<Live>,
    record: MountRecord,
    runtime_dir: Option<RuntimeDir>,
    recorder: Option<UseRecorder>,
}

impl Session {
    /// Mounts. What can be refused is looked at in the order in which a person can mend it: the
    /// mount point, the credential, the server, the root, the kernel.
    pub(crate) fn start(
        runtime: &Runtime,
        flags: MountFlags,
        mount_point: &Path,
        config: Config,
        environment: &Environment,
    ) -> Outcome<Self> {
        let what = format!("mount {}", mount_point.display());
        let mount_point =
            check_mount_point(mount_point).map_err(|error| Failure::mount(what.clone(), &error))?;
        let live = Arc::new(Live::new(&flags));
        let (vfs, resolved, unopened, recorder) = {
            let _inside = runtime.enter();
            let record_use = runtime.block_on(recorded_run(&flags, &config, environment))?;
            let parts = assemble::parts(
                &config,
                &flags.source,
                Shape {
                    record_use,
                    ..shape(&flags, &live, &mount_point)?
                },
                live.meter.clone(),
            )?;
            live.store.set(parts.store.clone()).ok();
            let (vfs, resolved, unopened) = runtime
                .block_on(open(&parts, &flags, &config))
                .map_err(|error| Failure::remote(what.clone(), &error, &config))?;
            (vfs, resolved, unopened, parts.recorder)
        };
        live.vfs.set(vfs.clone()).ok();
        let options = MountOptions {
            mount_point: mount_point.clone(),
            read_only: flags.read_only,
            allow_other: flags.allow_other,
            auto_unmount: flags.auto_unmount,
            no_exec: false,
            passthrough: !flags.no_passthrough,
            unopened,
            cache_dir: config.cache_dir.value.clone(),
        };
        let mounted =
            mount(&options, vfs, runtime.handle()).map_err(|error| Failure::mount(what, &error))?;
        let own = ProcessId::own();
        let record = MountRecord {
            event: "ready".to_owned(),
            mountpoint: mounted.mount_point().to_owned(),
            pid: own.pid,
            root: flags.root.clone().unwrap_or_default(),
            resolved,
            passthrough: mounted.passthrough(),
            cache_dir: config.cache_dir.value.clone(),
            log_file: daemon::is_child()
                .then(|| daemon::log_path(&flags, &mount_point, environment)),
            started: own.started,
        };
        live.record.set(record.clone()).ok();
        let runtime_dir = publish(environment, &record, &live);
        Ok(Self {
            mounted,
            live,
            record,
            runtime_dir,
            recorder,
        })
    }

    /// The ready line.
    pub(crate) fn record(&self) -> &MountRecord {
        &self.record
    }

    /// Waits until somebody unmounts or a signal comes.
    pub(crate) async fn served(&self, signals: &mut EndSignals) {
        tokio::select! {
            () = self.mounted.wait() => tracing::info!("unmounted by somebody else"),
            () = signals.any() => tracing::info!("told to end"),
        }
    }

    /// Ends the mount: intake stops, running reads drain within a bound.
    pub(crate) async fn end(self) -> Outcome {
        let what = format!("unmount {}", self.record.mountpoint.display());
        let ended = self.mounted.unmount().await;
        if let Some(recorder) = &self.recorder {
            recorder.finish(RECORDING_PATIENCE).await;
        }
        if let Some(dir) = &self.runtime_dir {
            dir.remove(&self.record.mountpoint);
        }
        let status = self.live.status();
        tracing::info!(
            requests = status.requests,
            errors = status.errors,
            uptime_s = status.uptime_s,
            "ended"
        );
        ended.map_err(|error| {
            let hint = format!(
                "see who uses it with `fuser -vm {}`",
                self.record.mountpoint.display()
            );
            Failure::io(what, &error, hint).into()
        })
    }
}

async fn open(
    parts: &Parts,
    flags: &MountFlags,
    config: &Config,
) -> Result<(Arc<Vfs>, String, bool), crate::model::Error> {
    let options = VfsOptions {
        uid: flags.uid.unwrap_or(rustix::process::getuid().as_raw()),
        gid: flags.gid.unwrap_or(rustix::process::getgid().as_raw()),
        umask: flags.umask,
        read_only: flags.read_only,
        allow_recursive_delete: flags.allow_recursive_delete,
        xattrs: flags.xattrs(),
        statfs_path: config.cache_dir.value.clone(),
    };
    let tree = Arc::new(parts.tree.clone());
    let vfs = Vfs::new(tree, parts.meter.clone(), options).await?;
    let resolved = parts.tree.resolved().await?;
    let unopened = profile::needs_no_opens(flags, &parts.tree).await?;
    Ok((vfs, resolved, unopened))
}

fn shape(flags: &MountFlags, live: &Arc<Live>, mount_point: &Path) -> Outcome<Shape> {
    let root: Option<NodePath> = flags
        .root
        .as_deref()
        .map(|root| assemble::path("--root", root))
        .transpose()?;
    Ok(Shape {
        root,
        record_use: None,
        ttl: Some(flags.ttl),
        pin_aliases: flags.pin_aliases,
        show_views: flags.show_views,
        read_only: flags.read_only,
        no_delete: flags.no_delete,
        delete_aliases: flags.delete_aliases,
        mount_point: Some(mount_point.to_owned()),
        state: Some(live.clone()),
    })
}

/// The run of `--record-use`: the flag's, else `WANDB_RUN_ID`, in the project of the configuration
/// where it names none. It need not exist yet.
async fn recorded_run(
    flags: &MountFlags,
    config: &Config,
    environment: &Environment,
) -> Outcome<Option<RunPath>> {
    let Some(run) = &flags.record_use else {
        return Ok(None);
    };
    let what = "--record-use";
    let run = run
        .clone()
        .or_else(|| environment.get("WANDB_RUN_ID").map(str::to_owned));
    let Some(run) = run.filter(|run| !run.is_empty()) else {
        return Err(Failure::usage(what, "name a run, or set WANDB_RUN_ID").into());
    };
    if flags.source.offline {
        tracing::warn!("--offline: nothing is recorded as an input of {run}");
        return Ok(None);
    }
    let client = assemble::client(config, flags.source.timeout, Arc::default())?;
    let path = client.run_path(&run).await;
    let path = path.map_err(|error| Failure::remote(what, &error, config))?;
    Ok(Some(path))
}

/// Makes the mount known to `status` and `unmount`. Without that it is served all the same.
fn publish(
    environment: &Environment,
    record: &MountRecord,
    live: &Arc<Live>,
) -> Option<RuntimeDir> {
    let published = RuntimeDir::open(environment).and_then(|dir| {
        dir.remove(&record.mountpoint); // left behind by a process that was killed
        let listener = UnixListener::bind(dir.socket(&record.mountpoint))?;
        dir.write(record)?;
        Ok((dir, listener))
    });
    match published {
        Ok((dir, listener)) => {
            let live = Arc::clone(live);
            std::thread::spawn(move || answer(&listener, &live));
            Some(dir)
        }
        Err(error) => {
            tracing::warn!(%error, "`wandbfs status` will not know this mount");
            None
        }
    }
}

/// Tells everybody who connects how the mount is. On a thread of its own, so that a mount whose
/// runtime is busy still answers.
fn answer(listener: &UnixListener, live: &Live) {
    let tell = |mut stream: UnixStream| -> std::io::Result<()> {
        stream.set_write_timeout(Some(STATUS_PATIENCE))?;
        stream.write_all(&serde_json::to_vec(&live.status())?)
    };
    for stream in listener.incoming() {
        if let Err(error) = stream.and_then(tell) {
            tracing::debug!(%error, "status was not told");
        }
    }
}

/// What the mount knows about itself; `.wandbfs/` and the status socket read it.
struct Live {
    started: Instant,
    config: Value,
    read_only: bool,
    meter: Arc<Meter>,
    // Set once each while the mount is put together; the tree that shows them exists before they do.
    record: OnceLock<MountRecord>,
    vfs: OnceLock<Arc<Vfs>>,
    store: OnceLock<Store>,
}

/// The status object of the interface.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    record: Option<&'a MountRecord>,
    uptime_s: u64,
    read_only: bool,
    requests: u64,
    errors: u64,
    open_handles: usize,
    /// Metadata that was changed and is not saved yet.
    pending_saves: usize,
    rss_bytes: u64,
    cache: CacheUse,
}

#[derive(Serialize)]
struct CacheUse {
    bytes: u64,
    limit: u64,
}

impl Live {
    fn new(flags: &MountFlags) -> Self {
        Self {
            started: Instant::now(),
            config: flags.effective(),
            read_only: flags.read_only,
            meter: Arc::default(),
            record: OnceLock::new(),
            vfs: OnceLock::new(),
            store: OnceLock::new(),
        }
    }

    fn status(&self) -> Status<'_> {
        let (bytes, limit) = self.store.get().map_or((0, 0), Store::cache_usage);
        Status {
            record: self.record.get(),
            uptime_s: self.started.elapsed().as_secs(),
            read_only: self.read_only,
            requests: self.meter.requests(),
            errors: self.meter.errors(),
            open_handles: self.vfs.get().map_or(0, |vfs| vfs.open_handles()),
            pending_saves: self.vfs.get().map_or(0, |vfs| vfs.pending_saves()),
            rss_bytes: process::resident_bytes(),
            cache: CacheUse { bytes, limit },
        }
    }
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

impl MountState for Live {
    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn config_json(&self) -> Vec<u8> {
        let mut config = self.config.clone();
        // What was left to a default stands as this machine settled it.
        if let Some(record) = self.record.get() {
            config["cache_dir"] = serde_json::json!(record.cache_dir);
        }
        if let Some(store) = self.store.get() {
            config["cache_limit"] = serde_json::json!(store.cache_usage().1);
        }
        pretty(&config)
    }

    fn stats_json(&self) -> Vec<u8> {
        pretty(&self.status())
    }

    fn errors_log(&self) -> Vec<u8> {
        self.meter.errors_log()
    }

    fn requests_log(&self) -> Vec<u8> {
        self.meter.requests_log()
    }
}
