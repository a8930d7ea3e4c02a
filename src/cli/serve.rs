//! `wandbfs serve`: the embedded server.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::console::Console;
use super::outcome::{Failure, Outcome};
use super::runtime;
use super::signals::EndSignals;
use crate::server::{RunningServer, Seed, ServerOptions, start};

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
}

/// Runs the command.
pub(crate) fn run(args: &ServeArgs, console: Console) -> Outcome {
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
fn greeting(server: &RunningServer, data: &std::path::Path) -> String {
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
