//! `wandbfs status`: what each mount is doing, asked from the process that serves it.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::console::Console;
use super::outcome::{Exit, Failure, Outcome};
use super::runtime_dir::{MountRecord, RuntimeDir};
use super::unmount::absolute;
use crate::fuse::our_mounts;
use crate::wandb::config::Environment;

/// How long a mount may take to say how it is; it answers from memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs status\n  \
                  wandbfs status --json ~/wandb | jq '.[0].requests'")]
pub(crate) struct StatusArgs {
    /// One mount point; all of yours without
    #[arg(value_name = "MP")]
    mount_point: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &StatusArgs, console: Console) -> Outcome {
    let environment = Environment::of_process();
    let runtime = RuntimeDir::open(&environment)
        .map_err(|error| Failure::io("status", &error, "set XDG_RUNTIME_DIR"))?;
    let mounted =
        our_mounts().map_err(|error| Failure::io("status", &error, "/proc must be mounted"))?;
    let is_mounted = |point: &Path| mounted.iter().any(|mount| mount.mount_point == point);
    let records: Vec<MountRecord> = match &args.mount_point {
        None => runtime.records(),
        Some(point) => vec![one(&runtime, &absolute(point, &environment))?],
    };
    let found: Vec<Value> = records
        .iter()
        .filter(|record| is_mounted(&record.mountpoint))
        .map(|record| ask(&runtime, record))
        .collect();
    if let (true, Some(point)) = (found.is_empty(), &args.mount_point) {
        return Err(not_ours("status", point).into());
    }
    if console.json {
        return console.object(&found);
    }
    if found.is_empty() {
        return console.text("nothing is mounted");
    }
    found
        .iter()
        .try_for_each(|status| console.text(&sentence(status)))
}

/// A path at which no mount of ours is.
pub(crate) fn not_ours(command: &str, point: &Path) -> Failure {
    Failure::new(
        Exit::NotFound,
        format!("{command} {}", point.display()),
        "it is not a mount of wandbfs",
        "`wandbfs status` lists the mounts",
    )
}

fn one(runtime: &RuntimeDir, point: &Path) -> Outcome<MountRecord> {
    runtime
        .record(point)
        .ok_or_else(|| not_ours("status", point).into())
}

/// The status of a mount; its record with nulls where its process does not answer.
fn ask(runtime: &RuntimeDir, record: &MountRecord) -> Value {
    let answer = || {
        let mut stream = UnixStream::connect(runtime.socket(&record.mountpoint)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    };
    answer().unwrap_or_else(|| {
        let mut value = serde_json::to_value(record).unwrap_or_default();
        for key in [
            "uptime_s",
            "read_only",
            "requests",
            "errors",
            "open_handles",
            "pending_saves",
            "rss_bytes",
            "cache",
        ] {
            value[key] = Value::Null;
        }
        value
    })
}

fn sentence(status: &Value) -> String {
    let text = |key: &str| status[key].as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| {
        value
            .as_f64()
            .map_or_else(|| "?".to_owned(), |n| format!("{n:.0}"))
    };
    format!(
        "{} shows {} (process {}): up {} s, {} requests, {} errors, {} open files, {} MiB resident, cache {} MiB in {}{}",
        text("mountpoint"),
        text("resolved"),
        number(&status["pid"]),
        number(&status["uptime_s"]),
        number(&status["requests"]),
        number(&status["errors"]),
        number(&status["open_handles"]),
        status["rss_bytes"].as_u64().unwrap_or(0) >> 20,
        status["cache"]["bytes"].as_u64().unwrap_or(0) >> 20,
        text("cache_dir"),
        status["log_file"]
            .as_str()
            .map_or_else(String::new, |log| format!(", log {log}")),
    )
}
