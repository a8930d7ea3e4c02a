//! `wandbfs cat`: the bytes of one file of the tree, without a mount.

use std::io::{self, Write as _};
use std::sync::Arc;

use clap::Args;
use futures::stream::{StreamExt as _, TryStreamExt as _};

use super::assemble::{self, Shape};
use super::flags::{CredentialFlags, SourceFlags, configuration};
use super::outcome::{Exit, Failure, Outcome, Stop};
use crate::model::{Error, OpenBlob};
use crate::tree::{Kind, Opened};
use crate::wandb::config::Environment;

/// Bytes of one read, and how many are on their way at once: at most 4 MiB of memory.
const CHUNK: u32 = 1 << 20;
const AHEAD: usize = 4;

/// Arguments of `cat`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs cat my-team/proj/dataset/mnist/v3/files/labels.csv | head\n  \
                  wandbfs cat my-team/proj/model/bert/latest/artifact.json | jq .metadata")]
pub(crate) struct CatArgs {
    #[command(flatten)]
    source: SourceFlags,

    #[command(flatten)]
    credential: CredentialFlags,

    /// entity/project/type/collection/version/files/…, or any metadata file
    #[arg(value_name = "PATH")]
    path: String,
}

/// Runs the command.
pub(crate) fn run(args: &CatArgs) -> Outcome {
    let environment = Environment::of_process();
    let config = configuration(
        &args.credential,
        args.source.cache_dir.as_ref(),
        &environment,
    )?;
    let what = format!("cat {}", args.path);
    let path = assemble::path(&what, &args.path)?;
    super::runtime()?.block_on(async {
        let parts = assemble::parts(&config, &args.source, Shape::default(), Default::default())?;
        let failed = |error: Error| Failure::remote(what.clone(), &error, &config);
        let node = parts.tree.resolve(&path).await.map_err(failed)?;
        if node.kind() != Kind::File {
            let hint = format!("list it: wandbfs ls {}", args.path);
            return Err(Failure::new(Exit::Failed, what, "it is not a file", hint).into());
        }
        match parts.tree.open(&node).await.map_err(failed)? {
            Opened::Snapshot { bytes, .. } => Ok(io::stdout().lock().write_all(&bytes)?),
            Opened::Blob { blob, .. } => stream(blob, failed).await,
        }
    })
}

async fn stream(blob: Arc<dyn OpenBlob>, failed: impl Fn(Error) -> Failure) -> Outcome {
    let length = blob.len().await.map_err(&failed)?;
    let offsets = (0..length).step_by(CHUNK as usize);
    futures::stream::iter(offsets.map(|offset| {
        let blob = Arc::clone(&blob);
        let size = u32::try_from(length - offset).unwrap_or(CHUNK).min(CHUNK);
        async move { blob.read_at(offset, size).await }
    }))
    .buffered(AHEAD)
    .map_err(|error| Stop::from(failed(error)))
    .try_for_each(|bytes| async move { Ok(io::stdout().lock().write_all(&bytes)?) })
    .await?;
    Ok(io::stdout().flush()?)
}
