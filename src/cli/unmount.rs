//! `wandbfs unmount`: ends a mount of ours and waits until it is gone.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::console::Console;
use super::outcome::{Exit, Failure, Outcome};
use super::process::wait_until;
use super::runtime_dir::RuntimeDir;
use super::status::not_ours;
use crate::fuse::{our_mounts, unmount_path};
use crate::wandb::config::Environment;

/// How long the process of a mount may take to finish: running reads drain for 5 s, pending saves
/// need a deadline of the network.
const PATIENCE: Duration = Duration::from_secs(45);

/// Arguments of `unmount`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs unmount ~/wandb\n  \
                  fusermount3 -u ~/wandb     does the same")]
pub(crate) struct UnmountArgs {
    /// The mount point
    #[arg(value_name = "MP")]
    mount_point: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &UnmountArgs, console: Console) -> Outcome {
    let environment = Environment::of_process();
    let point = absolute(&args.mount_point, &environment);
    let what = format!("unmount {}", point.display());
    if !is_mounted(&point)? {
        return Err(not_ours("unmount", &args.mount_point).into());
    }
    let runtime = RuntimeDir::open(&environment).ok();
    let record = runtime.as_ref().and_then(|dir| dir.record(&point));
    if let Some(process) = record.map(|record| record.process())
        && process.terminate().is_ok()
    {
        // Both, because a process that is still writing its log is not gone yet.
        wait_until(PATIENCE, || {
            !process.is_alive() && !is_mounted(&point).unwrap_or(true)
        });
    }
    if is_mounted(&point)? {
        unmount_path(&point).map_err(|error| {
            Failure::io(
                what.clone(),
                &error,
                format!("see who uses it with `fuser -vm {}`", point.display()),
            )
        })?;
    }
    if is_mounted(&point)? {
        return Err(Failure::new(
            Exit::Failed,
            what,
            "it is still mounted",
            format!("see who uses it with `fuser -vm {}`", point.display()),
        )
        .into());
    }
    if let Some(runtime) = runtime {
        runtime.remove(&point);
    }
    console.either(
        &json!({"unmounted": args.mount_point}),
        &format!("{} is unmounted", args.mount_point.display()),
    )
}

fn is_mounted(point: &Path) -> Outcome<bool> {
    let mounts =
        our_mounts().map_err(|error| Failure::io("unmount", &error, "/proc must be mounted"))?;
    Ok(mounts.iter().any(|mount| mount.mount_point == point))
}

/// The canonical form of a path that may be a dead mount, which cannot be looked at itself: what is
/// above it is made canonical and its own name is kept.
pub(crate) fn absolute(path: &Path, environment: &Environment) -> PathBuf {
    if let Ok(canonical) = path.canonicalize() {
        return canonical;
    }
    let joined = environment.current_dir.join(path);
    let mut plain = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    match (
        plain.parent().and_then(|dir| dir.canonicalize().ok()),
        plain.file_name(),
    ) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => plain,
    }
}
