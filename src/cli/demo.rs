//! `wandbfs demo`: a server with sample content and a mount of it, in one process, gone at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, FromArgMatches as _};
use tempfile::TempDir;

use super::console::Console;
use super::daemon;
use super::mount::MountFlags;
use super::outcome::{Failure, Outcome};
use super::serve;
use super::session::Session;
use super::signals::EndSignals;
use crate::server::{RunningServer, Seed, ServerOptions, start};
use crate::wandb::config::{Config, Environment, Overrides};

/// Commands to type, `MP` standing for the mount point, and what each shows of the sample content.
const TOUR: [(&str, &str); 6] = [
    ("ls MP", "You, your teams, your organization:"),
    (
        "ls -l MP/vision-lab/images/model/classifier",
        "A model in five versions; aliases are links to them:",
    ),
    (
        "cat MP/vision-lab/images/model/classifier/production/artifact.json",
        "Everything W&B knows about the version in production:",
    ),
    (
        "md5sum MP/vision-lab/images/model/classifier/best/files/weights/*",
        "64 MB, fetched as they are read, and checked:",
    ),
    (
        "find MP/vision-lab/images/dataset/photos/latest/files -type f | wc -l",
        "A data set of 10,000 files, listed without fetching one:",
    ),
    (
        "grep -r milk MP/local/quickstart/dataset/notes/latest/files",
        "Any program reads them:",
    ),
];

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs demo /tmp/w     then walk through /tmp/w from another terminal\n  \
                  Ctrl-C ends it and leaves nothing behind")]
pub(crate) struct DemoArgs {
    /// Where to mount; made if it is missing, and then removed at the end
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &DemoArgs, console: Console) -> Outcome {
    let environment = Environment::of_process();
    let what = format!("demo {}", args.dir.display());
    let data = scratch(&environment).map_err(|error| {
        Failure::io(
            what.clone(),
            &error,
            "set XDG_CACHE_HOME to a directory that you can write",
        )
    })?;
    let made = make_directory(&args.dir)
        .map_err(|error| Failure::io(what, &error, "name a directory that you can make"))?;
    let outcome = serve_and_mount(args, data.path(), &environment, console);
    if made && let Err(error) = fs::remove_dir(&args.dir) {
        tracing::warn!(dir = %args.dir.display(), %error, "not removed");
    }
    outcome
}

fn serve_and_mount(
    args: &DemoArgs,
    data: &Path,
    environment: &Environment,
    console: Console,
) -> Outcome {
    let runtime = super::runtime()?;
    let mut signals = {
        let _inside = runtime.enter();
        EndSignals::catch()?
    };
    let mut options = ServerOptions::new(data.join("server"));
    options.seed = Some(Seed::Demo);
    let started = runtime.block_on(async {
        tokio::select! {
            started = start(options) => started.map(Some),
            () = signals.any() => Ok(None),
        }
    });
    let Some(server) = started.map_err(|error| Failure::serve(&error))? else {
        return Ok(());
    };
    let outcome = (|| {
        if console.json {
            console.object(&serve::ready(&server))?;
        }
        let config = configuration(&server, data)?;
        let session = Session::start(&runtime, flags(), &args.dir, config, environment)?;
        let told = tell(&server, data, &session, console);
        if told.is_ok() {
            runtime.block_on(session.served(&mut signals));
        }
        runtime.block_on(session.end()).and(told)
    })();
    runtime.block_on(server.shutdown());
    outcome
}

/// The demo's own server and key, and nothing of the user's environment.
fn configuration(server: &RunningServer, data: &Path) -> Outcome<Config> {
    let overrides = Overrides {
        base_url: Some(server.base_url().to_owned()),
        api_key_file: Some(key_file(data)),
        cache_dir: Some(data.join("cache")),
    };
    let bare = Environment {
        home: data.to_owned(),
        current_dir: data.to_owned(),
        ..Environment::default()
    };
    Ok(Config::load(&overrides, &bare).map_err(|error| Failure::config(&error))?)
}

/// The key of the demo's only user.
fn key_file(data: &Path) -> PathBuf {
    data.join("server/api-key")
}

/// The flags of a mount without any.
fn flags() -> MountFlags {
    let command = MountFlags::augment_args(clap::Command::new("demo"));
    let matches = command.get_matches_from(["demo"]);
    MountFlags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn tell(server: &RunningServer, data: &Path, session: &Session, console: Console) -> Outcome {
    if console.json {
        return console.object(session.record());
    }
    daemon::announce(session.record(), console)?;
    let point = session.record().mountpoint.display();
    console.text("\nA tour, to be typed in another terminal:")?;
    for (command, why) in TOUR {
        let command = command.replace("MP", &point.to_string());
        console.text(&format!("\n  {why}\n  $ {command}"))?;
    }
    console.text(&format!(
        "\nThe W&B SDK sees the same:\n  export WANDB_BASE_URL={} WANDB_API_KEY=$(cat {})\n",
        server.base_url(),
        key_file(data).display()
    ))?;
    console.text("Ctrl-C ends it and leaves nothing behind.")
}

/// A directory for the server's data and the cache, removed when it is dropped. In the user's cache,
/// because /tmp may be memory.
fn scratch(environment: &Environment) -> io::Result<TempDir> {
    let base = environment.user_cache_dir().join("wandbfs");
    let in_cache = fs::create_dir_all(&base)
        .and_then(|()| tempfile::Builder::new().prefix("demo-").tempdir_in(&base));
    in_cache.or_else(|_| tempfile::Builder::new().prefix("wandbfs-demo-").tempdir())
}

/// Whether the directory had to be made.
fn make_directory(dir: &Path) -> io::Result<bool> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A dead mount, or a path whose parent is missing: the mount says which.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
