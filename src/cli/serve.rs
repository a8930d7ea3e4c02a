//! `wandbfs serve`: the embedded server.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::console::Console;
use super::outcome::{Failure, Outcome};
use super::runtime;
use super::signals::EndSignals;
use crate::server::{NewAccount, RunningServer, Seed, ServerOptions, add_user, start};

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs serve --data ~/artifacts\n  \
                  wandbfs serve --data /tmp/d --listen 127.0.0.1:0 --seed demo --json\n  \
                  wandbfs serve --data /tmp/d --seed versions=10000 --test-controls")]
pub(crate) struct ServeArgs {
    /// Directory of everything the server keeps; an empty one gets a user with a key
    #[arg(long, value_name = "D")]
    data: PathBuf,

    /// Address to listen on; port 0 is a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,

    /// Content to put in first: demo, versions=N, files=N or artifacts=N
    #[arg(long, value_name = "SEED", value_parser = str::parse::<Seed>)]
    seed: Option<Seed>,

    /// Answer /_test/…: counters, faults and accounts for anybody. For tests only
    #[arg(long)]
    test_controls: bool,

    /// What to do instead of serving
    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Debug, Subcommand)]
enum Instead {
    /// The accounts of the data directory; a server may be running on it
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Makes an account and prints its key, which is shown this once
    #[command(after_help = "Examples:\n  \
                  wandbfs serve --data ~/artifacts user add ann\n  \
                  wandbfs serve --data ~/artifacts user add ann --read-only")]
    Add {
        /// Login name, and name of the personal entity
        #[arg(value_name = "NAME")]
        name: String,

        /// Sees and changes everything
        #[arg(long)]
        admin: bool,

        /// The key only reads; for somebody who has an account it is one more key
        #[arg(long)]
        read_only: bool,
    },
}

/// Runs the command.
pub(crate) fn run(args: &ServeArgs, console: Console) -> Outcome {
    if let Some(Instead::User(UserCommand::Add {
        name,
        admin,
        read_only,
    })) = &args.instead
    {
        let account = NewAccount {
            name: name.clone(),
            admin: *admin,
            read_only: *read_only,
        };
        return add(&args.data, &account, console);
    }
    let options = ServerOptions {
        data: args.data.clone(),
        listen: args.listen,
        seed: args.seed,
        test_controls: args.test_controls,
    };
    runtime()?.block_on(async {
        let mut signals = EndSignals::catch()?;
        let mut server = tokio::select! {
            started = start(options) => started.map_err(|error| Failure::serve(&error))?,
            () = signals.any() => return Ok(()),
        };
        console.either(&ready(&server), &greeting(&server, &args.data))?;
        tokio::select! {
            ended = server.wait() => return ended.map_err(|error| Failure::serve(&error).into()),
            () = signals.any() => {}
        }
        server.shutdown().await;
        Ok(())
    })
}

/// Makes an account.
fn add(data: &Path, account: &NewAccount, console: Console) -> Outcome {
    let key = runtime()?
        .block_on(add_user(data, account))
        .map_err(|error| Failure::serve(&error))?;
    let line = json!({"username": account.name, "entity": account.name, "api_key": key});
    console.either(&line, &key)?;
    Ok(())
}

/// The ready line.
pub(crate) fn ready(server: &RunningServer) -> Value {
    json!({
        "event": "ready",
        "base_url": server.base_url(),
        "api_key": server.api_key(),
        "entity": server.entity(),
        "pid": std::process::id(),
    })
}

/// For people. The key stays in its file: a terminal is looked over, recorded and copied.
fn greeting(server: &RunningServer, data: &Path) -> String {
    format!(
        "serving {} as {}; to use it:\n  export WANDB_BASE_URL={} WANDB_API_KEY=$(cat {})",
        data.display(),
        server.entity(),
        server.base_url(),
        data.join("api-key").display()
    )
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|error| format!("not HOST:PORT: {error}"))?
        .next()
        .ok_or_else(|| "the host has no address".to_owned())
}
