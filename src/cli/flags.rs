//! Flags that several subcommands share: who asks, how long, which cache.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values;
use crate::wandb::config::{Config, Environment, Overrides};

use super::outcome::{Failure, Outcome};

/// Time limit of one operation without `--timeout` (semantics §2).
const DEFAULT_TIMEOUT: &str = "30s";

/// Which credential to use. Never a key itself: arguments are visible to every user of the machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Signing in")]
pub(crate) struct CredentialFlags {
    /// File that holds the API key; goes before WANDB_API_KEY, netrc and settings files
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
}

/// Where bytes come from and where they are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct SourceFlags {
    /// Longest that one operation may take, retries included
    #[arg(long, value_name = "D", default_value = DEFAULT_TIMEOUT, value_parser = values::positive_duration)]
    pub(crate) timeout: Duration,

    /// Root of the cache shared with the W&B SDK [default: $WANDB_CACHE_DIR or ~/.cache/wandb]
    #[arg(long, value_name = "D")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Most bytes that wandbfs keeps in the cache, such as 50GiB [default: 10 % of the disk]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) cache_limit: Option<u64>,

    /// Most memory for buffers, such as 256MiB [default: 128 MiB, less in a small container]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) memory: Option<u64>,

    /// Items asked for in one page of a listing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) per_page: Option<u32>,

    /// Make no request at all: serve what is in the cache
    #[arg(long)]
    pub(crate) offline: bool,

    /// Let manifests name local files (file:// references) and read them
    #[arg(long)]
    pub(crate) allow_file_refs: bool,
}

/// The configuration for these flags. Warnings go to the log.
///
/// # Errors
/// A value that makes no sense in the environment.
pub(crate) fn configuration(
    credential: &CredentialFlags,
    cache_dir: Option<&PathBuf>,
    environment: &Environment,
) -> Outcome<Config> {
    let overrides = Overrides {
        base_url: None,
        api_key_file: credential.api_key_file.clone(),
        cache_dir: cache_dir.cloned(),
    };
    let config = Config::load(&overrides, environment).map_err(|e| Failure::config(&e))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}
