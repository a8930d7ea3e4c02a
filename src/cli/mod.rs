//! The command line: one file per subcommand, and where implementations are put together.
//!
//! First the words are typed (`clap` structures, ranges checked while parsing), then they get their
//! meaning on this machine (configuration, paths, processes). [`outcome`] alone knows exit codes and
//! how an error looks.

mod assemble;
mod cache;
mod cat;
mod console;
mod daemon;
mod demo;
mod doctor;
mod flags;
mod ls;
mod memory;
mod mount;
mod mount_options;
mod offline;
mod outcome;
mod prefetch;
mod process;
mod profile;
mod progress;
mod runtime_dir;
mod serve;
mod session;
mod signals;
mod status;
mod unmount;
mod values;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::telemetry::{LogFormat, set_up_log};
use console::Console;
use outcome::{Exit, Failure, Outcome, Stop};

/// Weights & Biases artifacts as a file system.
#[derive(Debug, Parser)]
#[command(
    name = "wandbfs",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Credentials and servers are found where the W&B SDK finds them: WANDB_API_KEY, \
                  WANDB_BASE_URL, netrc, settings files.\n\
                  Exit codes: 0 ok, 1 failed, 2 usage, 3 not signed in or not allowed, 4 not found, \
                  5 network or deadline, 6 cannot mount.\n\n\
                  Examples:\n  \
                  wandbfs demo /tmp/w              try it without an account\n  \
                  wandbfs mount ~/wandb            mount everything you can see\n  \
                  wandbfs ls my-team/my-project    look without mounting"
)]
struct Cli {
    /// Print JSON: results on stdout, errors on stderr
    #[arg(long, global = true, display_order = 1000)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mount artifacts at a directory
    Mount(Box<mount::MountArgs>),
    /// End a mount
    Unmount(unmount::UnmountArgs),
    /// Show the mounts and what they are doing
    Status(status::StatusArgs),
    /// Try it without an account: a server with sample content, mounted
    Demo(demo::DemoArgs),
    /// Run a W&B-compatible artifact server
    Serve(serve::ServeArgs),
    /// List a directory of the tree without mounting it
    Ls(ls::LsArgs),
    /// Print a file of the tree without mounting it
    Cat(cat::CatArgs),
    /// Fetch contents into the cache before they are read
    Prefetch(prefetch::PrefetchArgs),
    /// Look after the cache shared with the W&B SDK
    Cache(cache::CacheArgs),
    /// Find out what is missing to sign in and to mount, and what to type
    Doctor(doctor::DoctorArgs),
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        // stderr that cannot be written leaves nobody to tell
        let _unheard = writeln!(
            std::io::stderr(),
            "wandbfs: internal error{place}: {message}"
        );
    }));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let json = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json");
    std::panic::catch_unwind(|| outcome::finish(run(arguments), json))
        .unwrap_or(ExitCode::from(Exit::Failed as u8))
}

fn run(arguments: Vec<OsString>) -> Outcome {
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => with_mount_options(cli, arguments)?,
        Err(error) => return usage(&error, &arguments),
    };
    let default_filter = match cli.command {
        Command::Mount(_) => "warn,wandbfs=info",
        _ => "warn",
    };
    set_up_log(default_filter, LogFormat::from_environment());
    let console = Console { json: cli.json };
    match cli.command {
        Command::Mount(args) => mount::run(*args, console),
        Command::Unmount(args) => unmount::run(&args, console),
        Command::Status(args) => status::run(&args, console),
        Command::Demo(args) => demo::run(&args, console),
        Command::Serve(args) => serve::run(&args, console),
        Command::Ls(args) => ls::run(&args, console),
        Command::Cat(args) => cat::run(&args),
        Command::Prefetch(args) => prefetch::run(&args, console),
        Command::Cache(args) => cache::run(&args, console),
        Command::Doctor(args) => doctor::run(&args, console),
    }
}

/// `mount -o …` parsed anew with the options as flags in front of the others, so that a flag that
/// is typed out wins.
fn with_mount_options(cli: Cli, mut arguments: Vec<OsString>) -> Outcome<Cli> {
    let Command::Mount(args) = &cli.command else {
        return Ok(cli);
    };
    let flags = mount_options::to_flags(args.options.iter().map(String::as_str))
        .map_err(|why| Failure::usage("mount", why))?;
    // Nothing with a value can stand before the subcommand, so the first such word is it.
    let Some(at) = arguments.iter().position(|argument| argument == "mount") else {
        return Ok(cli);
    };
    arguments.splice(at + 1..at + 1, flags.into_iter().map(OsString::from));
    Cli::try_parse_from(&arguments).map_err(|error| match usage(&error, &arguments) {
        Ok(()) => Stop::ReaderGone, // help was asked for, and given
        Err(stop) => stop,
    })
}

/// Help and version go to stdout; anything else is a usage error in our own shape.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Outcome {
    use clap::CommandFactory as _;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Ok(error.print()?);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let hint = "see `wandbfs --help`; `wandbfs demo DIR` is a good start";
        return Err(Failure::new(Exit::Usage, "usage", "a command is missing", hint).into());
    }
    let text = error.to_string();
    let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let why = message.trim_start_matches("error: ");
    let tip = rest
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "))
        .map_or_else(String::new, |tip| format!("{tip}; "));
    let commands = Cli::command();
    let command = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .find(|argument| commands.find_subcommand(argument).is_some())
        .map_or_else(String::new, |name| format!("{name} "));
    let hint = format!("{tip}see `wandbfs {command}--help`");
    Err(Failure::new(Exit::Usage, "usage", why, hint).into())
}

/// Most threads that drive sockets and timers: eight fill any wire, and each has caches and an
/// allocator arena of its own on a machine with a hundred cores.
const WORKERS: usize = 8;

/// Most threads that wait for the disk at once; beyond what keeps a fast disk busy they only cost
/// memory.
const DISK_THREADS: usize = 64;

/// A runtime for one command. All commands share the shape: few threads, everything enabled.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS))
        .max_blocking_threads(DISK_THREADS)
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::io(
                "start",
                &error,
                "check the limits on threads and open files",
            )
            .into()
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Outcome<Cli> {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match Cli::try_parse_from(&arguments) {
            Ok(cli) => with_mount_options(cli, arguments),
            Err(error) => Err(usage(&error, &arguments).unwrap_err()),
        }
    }

    fn mount(line: &str) -> mount::MountArgs {
        match parse(line).unwrap().command {
            Command::Mount(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_typed_out_wins_over_an_option() {
        let args = mount("wandbfs --json mount -o ttl=1s,allow_other --ttl 2s /mnt -o uid=3");
        assert_eq!(args.flags.ttl.as_secs(), 2);
        assert!(args.flags.allow_other);
        assert_eq!(args.flags.uid, Some(3));
    }

    #[test]
    fn the_run_of_record_use_may_be_left_out() {
        let (run, point) = mount("wandbfs mount --record-use /mnt")
            .recorded_run_and_mount_point()
            .unwrap();
        assert_eq!((run, point.to_str().unwrap()), (Some(None), "/mnt"));
        let (run, point) = mount("wandbfs mount --record-use r1 /mnt")
            .recorded_run_and_mount_point()
            .unwrap();
        assert_eq!(
            (run, point.to_str().unwrap()),
            (Some(Some("r1".into())), "/mnt")
        );
        assert!(
            mount("wandbfs mount")
                .recorded_run_and_mount_point()
                .is_err()
        );
    }

    #[test]
    fn every_command_shows_examples_in_its_help() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{}", command.get_name());
        }
    }

    #[test]
    fn usage_errors_name_the_command_whose_help_to_read() {
        let Err(Stop::Failed(failure)) = parse("wandbfs mount --ttl never /mnt") else {
            panic!("accepted")
        };
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.why.contains("--ttl"), "{failure:?}");
        assert!(failure.hint.contains("wandbfs mount --help"), "{failure:?}");
    }
}
