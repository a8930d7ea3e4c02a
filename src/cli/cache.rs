//! `wandbfs cache`: what lies in the cache shared with the W&B SDK, and less of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::console::Console;
use super::flags::{CredentialFlags, configuration};
use super::outcome::{Exit, Failure, Outcome, Stop};
use super::progress::{Progress, bytes};
use super::values;
use crate::store::{CacheKeeper, CacheReport, CachedFile};
use crate::wandb::config::Environment;

/// Arguments of `cache`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs cache du                 files and bytes\n  \
                  wandbfs cache ls | head          what lies there\n  \
                  wandbfs cache gc 10GiB           remove what was not used lately\n  \
                  wandbfs cache verify             read everything, remove what is damaged")]
pub(crate) struct CacheArgs {
    /// Root of the cache [default: $WANDB_CACHE_DIR or ~/.cache/wandb]
    #[arg(long, value_name = "D", global = true)]
    cache_dir: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the contents, the SDK's too: kind, size, last use, name
    #[command(after_help = "Examples:\n  wandbfs cache ls | sort -nk2")]
    Ls,
    /// Count files and bytes, the SDK's too
    #[command(after_help = "Examples:\n  wandbfs cache du --json")]
    Du,
    /// Remove what mounts added, least recently used first; nothing of the SDK's
    #[command(
        after_help = "Examples:\n  wandbfs cache gc          down to the limit\n  \
                      wandbfs cache gc 10GiB\n  wandbfs cache gc --all"
    )]
    Gc(GcArgs),
    /// Read every content and remove what does not match its name
    #[command(after_help = "Examples:\n  wandbfs cache verify --json")]
    Verify,
}

#[derive(Debug, Args)]
struct GcArgs {
    /// Remove everything that mounts added
    #[arg(long, conflicts_with = "size")]
    all: bool,

    /// Bytes that may stay, such as 10GiB [default: 10 % of the disk, the limit of a mount]
    #[arg(value_name = "SIZE", value_parser = values::size)]
    size: Option<u64>,
}

/// What `du`, `gc` and `verify` print.
#[derive(Debug, Serialize)]
struct Answer {
    files: u64,
    bytes: u64,
    removed: u64,
    corrupt: u64,
}

/// A line of `ls --json`.
#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    name: String,
    bytes: u64,
    used: String,
    /// `mount` or `sdk`.
    by: &'static str,
    path: String,
}

/// Runs the command.
pub(crate) fn run(args: &CacheArgs, console: Console) -> Outcome {
    let credential = CredentialFlags { api_key_file: None };
    let environment = Environment::of_process();
    let config = configuration(&credential, args.cache_dir.as_ref(), &environment)?;
    let root = config.cache_dir.value;
    let keeper = CacheKeeper::new(root.clone(), None);
    match &args.action {
        Action::Ls => keeper.each(|file| print(file, console)),
        Action::Du => say(keeper.count(), console),
        Action::Gc(gc) => {
            let limit = if gc.all { Some(0) } else { gc.size };
            let report = keeper.collect(limit).map_err(|error| {
                let what = format!("cache gc {}", root.display());
                Failure::io(what, &error, "check the permissions of the cache directory")
            })?;
            say(report, console)
        }
        Action::Verify => {
            let mut progress = Progress::new(console, Some(keeper.count().bytes), None);
            let report = keeper.verify(|bytes| progress.add(1, bytes));
            progress.finish();
            say(report, console)?;
            match report.corrupt > report.removed {
                true => Err(Stop::Reported(Exit::Failed)),
                false => Ok(()),
            }
        }
    }
}

fn say(report: CacheReport, console: Console) -> Outcome {
    let CacheReport {
        files,
        bytes: size,
        removed,
        corrupt,
    } = report;
    let mut text = format!("{files} files, {}", bytes(size));
    if removed > 0 {
        text += &format!(", {removed} removed");
    }
    if corrupt > 0 {
        text += &format!(", {corrupt} damaged");
    }
    let answer = Answer {
        files,
        bytes: size,
        removed,
        corrupt,
    };
    console.either(&answer, &text)
}

fn print(file: CachedFile, console: Console) -> Outcome {
    let used = jiff::Timestamp::try_from(file.used).map_or_else(
        |_| String::new(),
        |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    );
    let by = if file.added { "mount" } else { "sdk" };
    let text = format!(
        "{:<8} {:>14} {used} {:<5} {}",
        file.kind, file.size, by, file.name
    );
    let line = Line {
        kind: file.kind,
        name: file.name,
        bytes: file.size,
        used,
        by,
        path: file.path.display().to_string(),
    };
    console.either(&line, &text)
}
