//! `wandbfs prefetch`: contents into the cache before somebody reads them.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::stream::StreamExt as _;
use parking_lot::Mutex;
use serde::Serialize;

use super::assemble::{self, Parts, Shape};
use super::console::Console;
use super::flags::{CredentialFlags, SourceFlags, configuration};
use super::outcome::{Exit, Failure, Outcome, Stop};
use super::progress::{Progress, bytes};
use crate::model::{Error, ErrorKind, OpenBlob};
use crate::tree::{Kind, Node, Opened, Tree};
use crate::wandb::config::{Config, Environment};

/// Files fetched at once: what hides 20 ms of round trip at 2,000 small files a second. Memory is
/// bounded by `--memory`, not by this.
const AT_ONCE: usize = 48;

/// Between two looks at what large files have got, since they say nothing by themselves.
const LOOK: Duration = Duration::from_millis(200);

/// Failures that are named one by one; the rest is counted.
const NAMED: usize = 10;

/// Arguments of `prefetch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                  wandbfs prefetch my-team/proj/mnist:latest\n  \
                  wandbfs prefetch my-team/proj/dataset/mnist/v3/files/train")]
pub(crate) struct PrefetchArgs {
    #[command(flatten)]
    source: SourceFlags,

    #[command(flatten)]
    credential: CredentialFlags,

    /// Versions, or directories and files in them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Done {
    event: &'static str,
    files: u64,
    bytes: u64,
    seconds: f64,
    failed: u64,
}

/// Runs the command.
pub(crate) fn run(args: &PrefetchArgs, console: Console) -> Outcome {
    let environment = Environment::of_process();
    let config = configuration(
        &args.credential,
        args.source.cache_dir.as_ref(),
        &environment,
    )?;
    super::runtime()?.block_on(async {
        let parts = assemble::parts(&config, &args.source, Shape::default(), Default::default())?;
        let mut found = Found::default();
        for path in &args.paths {
            let what = format!("prefetch {path}");
            let named = assemble::path(&what, path)?;
            let failed = |error: Error| Failure::remote(what.clone(), &error, &config);
            let node = parts.tree.resolve(&named).await.map_err(failed)?;
            found.below(&parts.tree, node).await.map_err(failed)?;
        }
        warn_of_limit(&parts, found.bytes);
        fetch(&parts, found, &config, console).await
    })
}

/// Files to fetch.
#[derive(Default)]
struct Found {
    files: Vec<(Node, u64)>,
    bytes: u64,
}

impl Found {
    /// Finds the files of a version, or of a directory or file in one.
    async fn below(&mut self, tree: &Tree, node: Node) -> Result<(), Error> {
        let node = match node.version() {
            Some(_) => node,
            None => tree.content_node(&node, 0).await.map_err(|error| {
                let what = "name a version, or something in its files";
                match error.kind() {
                    ErrorKind::Invalid => Error::new(ErrorKind::Invalid, node.path(), what),
                    _ => error,
                }
            })?,
        };
        let mut directories = vec![node];
        while let Some(directory) = directories.pop() {
            if directory.kind() == Kind::File {
                self.add(tree, directory).await?;
                continue;
            }
            let mut listing = tree.list(&directory)?;
            while let Some(page) = listing.next_page().await? {
                for child in page.iter() {
                    match child.node.kind() {
                        Kind::Directory => directories.push(child.node.clone()),
                        Kind::File => self.add(tree, child.node.clone()).await?,
                        Kind::Symlink => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn add(&mut self, tree: &Tree, node: Node) -> Result<(), Error> {
        let size = tree.attributes(&node).await?.0.size;
        self.bytes += size;
        self.files.push((node, size));
        Ok(())
    }
}

fn warn_of_limit(parts: &Parts, wanted: u64) {
    let (_, limit) = parts.store.cache_usage();
    if wanted > limit {
        tracing::warn!(
            "{} are to be fetched, the cache keeps {}: what comes first will be gone; \
             --cache-limit raises it",
            bytes(wanted),
            bytes(limit)
        );
    }
}

async fn fetch(parts: &Parts, found: Found, config: &Config, console: Console) -> Outcome {
    let total = found.files.len() as u64;
    let mut progress = Progress::new(console, Some(found.bytes), Some(total));
    let (mut files, mut size) = (0, 0);
    let mut failures: Vec<(String, Error)> = Vec::new();
    let mut failed = 0;
    let tree = &parts.tree;
    let under_way = &UnderWay::default();
    let mut fetches = futures::stream::iter(found.files)
        .map(|(node, size)| async move { (bring(tree, &node, under_way).await, node, size) })
        .buffer_unordered(AT_ONCE);
    let mut look = tokio::time::interval(LOOK);
    loop {
        let ended = tokio::select! {
            ended = fetches.next() => ended,
            _ = look.tick() => {
                progress.under_way(under_way.bytes());
                progress.tell();
                continue;
            }
        };
        let Some((outcome, node, planned)) = ended else {
            break;
        };
        match outcome {
            Ok(length) => {
                files += 1;
                size += length;
            }
            Err(error) => {
                failed += 1;
                if failures.len() < NAMED {
                    failures.push((node.path(), error));
                }
            }
        }
        progress.under_way(under_way.bytes());
        progress.add(1, planned);
    }
    progress.finish();
    let done = Done {
        event: "done",
        files,
        bytes: size,
        seconds: (progress.seconds() * 1000.0).round() / 1000.0,
        failed,
    };
    for (path, error) in &failures {
        tracing::warn!("{path}: {}", error.chain());
    }
    let text = format!(
        "{files} files, {} in {:.1} s, {failed} failed",
        bytes(size),
        done.seconds
    );
    console.either(&done, &text)?;
    match failures.first() {
        None => Ok(()),
        Some((path, error)) => {
            let exit: Exit = Failure::remote(path.clone(), error, config).exit;
            Err(Stop::Reported(exit))
        }
    }
}

/// The files that are being fetched.
#[derive(Default)]
struct UnderWay(Mutex<Vec<Arc<dyn OpenBlob>>>);

impl UnderWay {
    /// Bytes of them that are here.
    fn bytes(&self) -> u64 {
        self.0.lock().iter().map(|blob| blob.present()).sum()
    }

    fn add(&self, blob: &Arc<dyn OpenBlob>) -> Entered<'_> {
        self.0.lock().push(Arc::clone(blob));
        Entered(self, Arc::clone(blob))
    }
}

/// Takes a file out when dropped.
struct Entered<'a>(&'a UnderWay, Arc<dyn OpenBlob>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.lock().retain(|blob| !Arc::ptr_eq(blob, &self.1));
    }
}

/// Brings a file to the disk; gives back its length.
async fn bring(tree: &Tree, node: &Node, under_way: &UnderWay) -> Result<u64, Error> {
    match tree.open(node).await? {
        Opened::Snapshot { .. } => Ok(0),
        Opened::Blob { blob, .. } => {
            let _entered = under_way.add(&blob);
            let file: Arc<std::fs::File> = blob.whole_file().await?;
            let meta = file.metadata().map_err(|cause| {
                let what = "the cache cannot be read";
                Error::caused_by(ErrorKind::Io, node.path(), what, cause)
            })?;
            Ok(meta.len())
        }
    }
}
