//! The way into the background: the program starts itself anew, detached, and waits until the mount
//! answers or fails.
//!
//! The child's standard output is a pipe to the parent, on which exactly one line comes: the ready
//! line, or the failure that the parent then reports as its own, exit code included. Its standard
//! error is the log file. Starting anew instead of forking keeps threads and locks out of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::console::Console;
use super::mount::MountFlags;
use super::outcome::{Exit, Failure, Outcome, Stop};
use super::runtime_dir::{self, MountRecord};
use crate::wandb::config::Environment;

/// Tells a child that it is one. A variable and not a flag, because it is nobody's to type.
const CHILD: &str = "WANDBFS_BACKGROUND";

/// What the child has beyond `--timeout` to make the mount answer: the adapter's own limit is 10 s.
const MOUNT_GRACE: Duration = Duration::from_secs(20);

/// The one line on the pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Message {
    Ready(MountRecord),
    Failed(Failure),
}

/// Whether this process was started by [`start`].
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Starts the child and returns once the mount answers.
pub(crate) fn start(
    flags: &MountFlags,
    mount_point: &Path,
    environment: &Environment,
    console: Console,
) -> Outcome {
    let what = format!("mount {}", mount_point.display());
    let log = log_path(flags, mount_point, environment);
    let spawned = open_log(&log).and_then(spawn);
    let mut child = spawned.map_err(|error| {
        let hint = format!(
            "check that {} can be written, or give --log-file",
            log.display()
        );
        Failure::io(what.clone(), &error, hint)
    })?;
    match answer(&mut child, flags.source.timeout + MOUNT_GRACE) {
        Some(Message::Ready(record)) => announce(&record, console),
        Some(Message::Failed(failure)) => Err(failure.into()),
        None => {
            // It is ours and did not detach from us; a zombie would be left without the wait.
            let _already_gone = child.kill();
            let _reaped = child.wait();
            Err(Failure::new(
                Exit::Failed,
                what,
                "the background process ended or hung before the mount answered",
                format!("its log is {}; or try --foreground", log.display()),
            )
            .into())
        }
    }
}

/// Prints the ready line: JSON for programs, a sentence for people.
pub(crate) fn announce(record: &MountRecord, console: Console) -> Outcome {
    let point = record.mountpoint.display();
    let text = format!(
        "{} is mounted at {point} (process {}); to end it: wandbfs unmount {point}",
        record.resolved, record.pid
    );
    console.either(record, &text)
}

/// Leaves the terminal's session, so that closing it ends nothing. In the child, first of all.
pub(crate) fn detach() {
    if let Err(error) = rustix::process::setsid() {
        tracing::warn!(%error, "no session of its own");
    }
}

/// Tells the parent that the mount answers. Fails when the parent is gone: then nobody wants it.
pub(crate) fn report_ready(record: &MountRecord) -> Outcome {
    Console { json: true }.object(&Message::Ready(record.clone()))
}

/// In the child: hands a failure to the parent, and keeps it in the log.
pub(crate) fn report_failure(outcome: Outcome) -> Outcome {
    if let Err(Stop::Failed(failure)) = &outcome {
        Console { json: true }.object(&Message::Failed(failure.clone()))?;
    }
    outcome
}

/// Where the log of a mount goes: `--log-file`, or a file named after the mount point in the user's
/// state directory.
pub(crate) fn log_path(
    flags: &MountFlags,
    mount_point: &Path,
    environment: &Environment,
) -> PathBuf {
    if let Some(path) = &flags.log_file {
        return environment.current_dir.join(path);
    }
    let point = environment.current_dir.join(mount_point);
    let name = point
        .file_name()
        .map_or_else(|| "root".into(), |name| name.to_string_lossy());
    log_dir(environment).join(format!("{name}-{}.log", runtime_dir::key(&point)))
}

/// Directory of the logs without `--log-file`.
pub(crate) fn log_dir(environment: &Environment) -> PathBuf {
    environment.user_state_dir().join("wandbfs")
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn spawn(log: File) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
}

/// The child's line, `None` when it ended without one or took too long.
fn answer(child: &mut Child, limit: Duration) -> Option<Message> {
    let pipe = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        if BufReader::new(pipe).read_line(&mut line).is_ok() {
            let _receiver_gave_up = sender.send(line);
        }
    });
    let line = receiver.recv_timeout(limit).ok()?;
    serde_json::from_str(&line).ok()
}
