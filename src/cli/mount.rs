//! `wandbfs mount`: the words, and what they mean for a mount. The process that serves it is in
//! `session`, the way into the background in `daemon`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::Console;
use super::flags::{CredentialFlags, SourceFlags, configuration};
use super::outcome::{Failure, Outcome};
use super::{daemon, session, values};
use crate::wandb::config::Environment;

/// Arguments of `mount`.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  \
                  wandbfs mount ~/wandb\n  \
                  wandbfs mount --root my-team/proj/mnist:latest /data   the files of one version\n  \
                  wandbfs mount --root my-team/proj --ttl 10s /mnt/proj  a project\n  \
                  wandbfs mount -o ro,allow_other,uid=1000 /mnt/wandb    as fstab would\n  \
                  wandbfs unmount ~/wandb"
)]
pub(crate) struct MountArgs {
    #[command(flatten)]
    pub(crate) flags: MountFlags,

    #[command(flatten)]
    pub(crate) credential: CredentialFlags,

    /// Options as mount(8) and fstab pass them: the names of these flags, comma-separated
    #[arg(short = 'o', value_name = "OPTS", action = clap::ArgAction::Append, help_heading = "Mounting")]
    pub(crate) options: Vec<String>,

    /// An existing, empty directory
    #[arg(value_name = "MP")]
    mount_point: Option<PathBuf>,
}

/// Every flag that `-o` may name too.
#[derive(Debug, Clone, Args)]
pub(crate) struct MountFlags {
    /// Stay in the foreground until the mount ends
    #[arg(long, help_heading = "Mounting")]
    pub(crate) foreground: bool,

    /// What to show: entity/project/type/collection[/version], or entity/project/collection:alias as the SDK writes it. An alias or a version is its files; an alias is resolved once
    #[arg(long, value_name = "PATH", help_heading = "Mounting")]
    pub(crate) root: Option<String>,

    /// Let other users in; the kernel then checks modes
    #[arg(long, help_heading = "Mounting")]
    pub(crate) allow_other: bool,

    /// Unmount when the process dies, even by kill -9; needs fusermount3
    #[arg(long, help_heading = "Mounting")]
    pub(crate) auto_unmount: bool,

    /// Do not let the kernel read cached files by itself
    #[arg(long, help_heading = "Mounting")]
    pub(crate) no_passthrough: bool,

    /// File that the log of the background process goes to
    #[arg(long, value_name = "FILE", help_heading = "Mounting")]
    pub(crate) log_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) source: SourceFlags,

    /// How long names, aliases and metadata hold before the server is asked again
    #[arg(long, value_name = "D", default_value = "60s", value_parser = values::duration, help_heading = "What it shows")]
    pub(crate) ttl: Duration,

    /// Keep every alias at the version it first led to
    #[arg(long, help_heading = "What it shows")]
    pub(crate) pin_aliases: bool,

    /// List .runs, .tags, .order, .filter and .lineage, which are else reached by name only
    #[arg(long, help_heading = "What it shows")]
    pub(crate) show_views: bool,

    /// explore: for people and shells; train: for programs that read, without extended attributes
    #[arg(long, value_enum, default_value_t = Profile::Explore, help_heading = "What it shows")]
    pub(crate) profile: Profile,

    /// Answer once that there are no extended attributes, so that the kernel stops asking
    #[arg(long, help_heading = "What it shows")]
    pub(crate) no_xattr: bool,

    /// Owner of every file [default: you]
    #[arg(long, value_name = "UID", help_heading = "What it shows")]
    pub(crate) uid: Option<u32>,

    /// Group of every file [default: yours]
    #[arg(long, value_name = "GID", help_heading = "What it shows")]
    pub(crate) gid: Option<u32>,

    /// Permission bits to take away, octal
    #[arg(long, value_name = "MASK", default_value = "022", value_parser = values::umask, help_heading = "What it shows")]
    pub(crate) umask: u16,

    /// Refuse every change
    #[arg(long, help_heading = "Changing")]
    pub(crate) read_only: bool,

    /// Refuse deletions only
    #[arg(long, help_heading = "Changing")]
    pub(crate) no_delete: bool,

    /// Let rmdir delete versions that still have aliases
    #[arg(long, help_heading = "Changing")]
    pub(crate) delete_aliases: bool,

    /// Let a process delete what it has listed itself
    #[arg(long, help_heading = "Changing")]
    pub(crate) allow_recursive_delete: bool,

    /// Record every version that is read as an input of this run [default: $WANDB_RUN_ID]
    #[arg(long, value_name = "RUN", num_args = 0..=1, help_heading = "Changing")]
    pub(crate) record_use: Option<Option<String>>,
}

/// What the mount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// People and shells.
    Explore,
    /// Programs that read.
    Train,
}

impl MountArgs {
    /// The run of `--record-use` and the mount point. The run may be left out, so with one word
    /// after the flag that word is the mount point.
    pub(crate) fn recorded_run_and_mount_point(
        &self,
    ) -> Outcome<(Option<Option<String>>, PathBuf)> {
        match (&self.mount_point, &self.flags.record_use) {
            (Some(point), run) => Ok((run.clone(), point.clone())),
            (None, Some(Some(word))) => Ok((Some(None), PathBuf::from(word))),
            (None, _) => Err(Failure::usage("mount", "the mount point MP is missing").into()),
        }
    }
}

impl MountFlags {
    /// The text of `.wandbfs/config.json`: every flag as it holds.
    pub(crate) fn effective(&self) -> serde_json::Value {
        serde_json::json!({
            "root": self.root,
            "ttl": self.ttl.as_secs_f64(),
            "timeout": self.source.timeout.as_secs_f64(),
            "cache_dir": self.source.cache_dir,
            "cache_limit": self.source.cache_limit,
            "memory": self.source.memory,
            "per_page": self.source.per_page,
            "profile": self.profile,
            "read_only": self.read_only,
            "no_delete": self.no_delete,
            "delete_aliases": self.delete_aliases,
            "allow_recursive_delete": self.allow_recursive_delete,
            "no_xattr": !self.xattrs(),
            "no_passthrough": self.no_passthrough,
            "pin_aliases": self.pin_aliases,
            "record_use": self.record_use.as_ref().map(|run| run.as_deref().unwrap_or_default()),
            "offline": self.source.offline,
            "allow_other": self.allow_other,
            "allow_file_refs": self.source.allow_file_refs,
            "show_views": self.show_views,
            "auto_unmount": self.auto_unmount,
            "foreground": self.foreground,
            "uid": self.uid,
            "gid": self.gid,
            "umask": format!("{:03o}", self.umask),
            "log_file": self.log_file,
        })
    }

    /// Whether extended attributes are served.
    pub(crate) fn xattrs(&self) -> bool {
        !self.no_xattr && self.profile != Profile::Train
    }
}

/// Runs the command.
pub(crate) fn run(mut args: MountArgs, console: Console) -> Outcome {
    let (run, mount_point) = args.recorded_run_and_mount_point()?;
    args.flags.record_use = run;
    let environment = Environment::of_process();
    if !args.flags.foreground && !daemon::is_child() {
        return daemon::start(&args.flags, &mount_point, &environment, console);
    }
    let outcome = (|| {
        let config = configuration(
            &args.credential,
            args.flags.source.cache_dir.as_ref(),
            &environment,
        )?;
        session::run(args.flags, &mount_point, config, &environment, console)
    })();
    match daemon::is_child() {
        true => daemon::report_failure(outcome),
        false => outcome,
    }
}
