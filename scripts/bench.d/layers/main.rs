//! The read path layer by layer, for `scripts/bench`: each run reads one large stored file once from
//! end to end, cold, then once more to compare it with its original.
//!
//! ```text
//! layers source PATH ORIGINAL      four ranges side by side, as the store fetches; nothing is kept
//! layers store PATH ORIGINAL       a reader on the store: plan, memory budget, disk, digest
//! layers tree PATH ORIGINAL        the same through the tree: manifest, look-up, open
//! layers daemon HOW FILE DIRECTORY a bare FUSE daemon that serves FILE; see `daemon`
//! ```
//!
//! PATH is `entity/project/type/collection/version/files/…`. Address, key and cache directory come from the environment,
//! as for the program. Prints the seconds of the first pass as JSON.

mod daemon;

use std::env;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join_all;
use parking_lot::Mutex;
use wandbfs::model::{self, Blobs, Content, NodePath, OpenBlob, Upcoming};
use wandbfs::store::{Store, StoreLinks, StoreOptions};
use wandbfs::telemetry::Meter;
use wandbfs::tree::{Opened, Tree, TreeOptions};
use wandbfs::wandb::config::{Config, Environment, Overrides};
use wandbfs::wandb::{Client, Purpose, http_client};

/// What the program takes for buffers on a large machine.
const MEMORY: u64 = 128 << 20;

/// Bytes of one read: the largest that the kernel sends to a mount.
const BLOCK: u32 = 1 << 20;

/// Ranges side by side: what the store fetches for one reader, and as many as curl gets.
const RANGES: u64 = 4;

const DEADLINE: Duration = Duration::from_secs(30);

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    // cargo adds `--bench` when it is the one who runs this.
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["daemon", how, file, directory] => daemon::serve(how, file, directory),
        [layer, path, original] => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            let seconds = runtime.block_on(measure(layer, path, &File::open(original)?))?;
            println!("{seconds}");
            Ok(())
        }
        _ => Err(
            "layers source|store|tree PATH ORIGINAL, or layers daemon HOW FILE DIRECTORY".into(),
        ),
    }
}

async fn measure(layer: &str, path: &str, original: &File) -> Outcome<f64> {
    let path = NodePath::parse(path)?;
    let parts = Parts::new()?;
    let begin;
    match layer {
        "source" => {
            let content = parts.content(&path).await?;
            begin = Instant::now();
            from_source(&parts.store, &content, original, false).await?;
            let seconds = begin.elapsed().as_secs_f64();
            from_source(&parts.store, &content, original, true).await?;
            Ok(seconds)
        }
        "store" => {
            let content = parts.content(&path).await?;
            begin = Instant::now();
            let blob = parts.store.open(&content, None).await?;
            read_twice(&*blob, original, begin).await
        }
        "tree" => {
            begin = Instant::now();
            let blob = parts.open(&path).await?;
            read_twice(&*blob, original, begin).await
        }
        _ => Err(format!("no such layer: {layer}").into()),
    }
}

/// Store and tree as the program puts them together, without the download handler.
struct Parts {
    store: Store,
    tree: Tree,
    seen: Arc<Seen>,
}

impl Parts {
    fn new() -> Outcome<Self> {
        let config = Config::load(&Overrides::default(), &Environment::of_process())?;
        let meter = Arc::new(Meter::default());
        let client = Client::with_meter(
            config.client(DEADLINE, Arc::clone(&meter))?,
            Arc::clone(&meter),
        )?;
        let http = http_client(client.config(), Purpose::Content)?;
        let hub = Arc::new(client);
        let options = StoreOptions {
            cache_dir: config.cache_dir.value,
            cache_limit: None,
            memory: MEMORY,
            deadline: DEADLINE,
            offline: false,
            allow_file_refs: false,
        };
        let links = StoreLinks {
            hub: hub.clone(),
            http,
            handler: None,
            meter,
        };
        let store = Store::open(options, links);
        let seen = Arc::new(Seen {
            store: store.clone(),
            last: Mutex::new(None),
        });
        let tree = Tree::new(hub, seen.clone(), TreeOptions::default());
        Ok(Self { store, tree, seen })
    }

    async fn open(&self, path: &NodePath) -> Outcome<Arc<dyn OpenBlob>> {
        let node = self.tree.resolve(path).await?;
        match self.tree.open(&node).await? {
            Opened::Blob { blob, .. } => Ok(blob),
            Opened::Snapshot { .. } => Err("it is not a stored file".into()),
        }
    }

    /// What the tree opens for a path.
    async fn content(&self, path: &NodePath) -> Outcome<Content> {
        self.open(path).await?;
        let content = self.seen.last.lock().take();
        content.ok_or_else(|| "the tree opened nothing".into())
    }
}

/// The store, remembering what was opened last.
struct Seen {
    store: Store,
    last: Mutex<Option<Content>>,
}

#[async_trait]
impl Blobs for Seen {
    async fn open(
        &self,
        content: &Content,
        upcoming: Option<Arc<dyn Upcoming>>,
    ) -> Result<Arc<dyn OpenBlob>, model::Error> {
        *self.last.lock() = Some(content.clone());
        self.store.open(content, upcoming).await
    }

    fn cached(&self, content: &Content) -> f64 {
        self.store.cached(content)
    }
}

async fn from_source(store: &Store, content: &Content, original: &File, compare: bool) -> Outcome {
    let size = original.metadata()?.len();
    let share = size.div_ceil(RANGES);
    let ranges = (0..RANGES).map(|n| (n * share).min(size)..((n + 1) * share).min(size));
    let transfers = ranges.map(|range| {
        let (store, content) = (store.clone(), content.clone());
        let original = original.try_clone();
        async move {
            let (original, wanted) = (original?, range.end - range.start);
            let (mut got, mut same) = (0, true);
            let fetched = tokio::spawn(async move {
                let take = |offset, bytes: bytes::Bytes| {
                    got += bytes.len() as u64;
                    same &= !compare || is_same(&original, offset, &bytes);
                };
                store.fetch(&content, range, take).await?;
                Ok::<_, model::Error>(got == wanted && same)
            });
            match fetched.await?? {
                true => Ok::<_, Box<dyn Error + Send + Sync>>(()),
                false => Err("wrong bytes".into()),
            }
        }
    });
    try_join_all(transfers).await?;
    Ok(())
}

/// Seconds from `begin` to the end of the first pass.
async fn read_twice(blob: &dyn OpenBlob, original: &File, begin: Instant) -> Outcome<f64> {
    read_all(blob, original, false).await?;
    let seconds = begin.elapsed().as_secs_f64();
    read_all(blob, original, true).await?;
    Ok(seconds)
}

async fn read_all(blob: &dyn OpenBlob, original: &File, compare: bool) -> Outcome {
    let size = original.metadata()?.len();
    let mut at = 0;
    while at < size {
        let bytes = blob.read_at(at, BLOCK).await?;
        if bytes.is_empty() || compare && !is_same(original, at, &bytes) {
            return Err(format!("wrong bytes at {at}").into());
        }
        at += bytes.len() as u64;
    }
    Ok(())
}

fn is_same(original: &File, offset: u64, bytes: &[u8]) -> bool {
    let mut wanted = vec![0; bytes.len()];
    original.read_exact_at(&mut wanted, offset).is_ok() && wanted == bytes
}
