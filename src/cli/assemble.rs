//! Where implementations are chosen and put together: configuration → client → store → tree.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use url::Url;

use super::flags::SourceFlags;
use super::memory::default_memory;
use super::offline::OfflineHub;
use super::outcome::{Exit, Failure, Outcome};
use crate::model::{
    Blobs, Digest, EntityName, Error, ErrorKind, Hub, NodePath, ProjectName, RunPath, StoredAt,
};
use crate::store::{DownloadHandler, Store, StoreLinks, StoreOptions};
use crate::telemetry::{ErrorRecord, Meter};
use crate::tree::{MountState, Report, Tree, TreeOptions};
use crate::wandb::config::Config;
use crate::wandb::{Client, Purpose, UseRecorder, handler_url, http_client};

/// The parts of one mount or command.
pub(crate) struct Parts {
    /// Counters and logs that all parts share.
    pub(crate) meter: Arc<Meter>,
    /// The data plane.
    pub(crate) store: Store,
    /// The tree over both planes.
    pub(crate) tree: Tree,
    /// Who takes reads to the server, for `--record-use`.
    pub(crate) recorder: Option<UseRecorder>,
}

/// What the tree is to look like; `ls` and `cat` take the defaults.
#[derive(Default)]
pub(crate) struct Shape {
    /// What the mount point shows; everything without.
    pub(crate) root: Option<NodePath>,
    /// How long names and metadata hold; the tree's default without.
    pub(crate) ttl: Option<Duration>,
    /// Aliases stay where they first led.
    pub(crate) pin_aliases: bool,
    /// Unlisted views are listed.
    pub(crate) show_views: bool,
    /// Nothing can be changed.
    pub(crate) read_only: bool,
    /// Nothing can be deleted.
    pub(crate) no_delete: bool,
    /// Versions are deleted together with their aliases.
    pub(crate) delete_aliases: bool,
    /// Where the mount will be.
    pub(crate) mount_point: Option<PathBuf>,
    /// The run whose inputs the versions become that are read.
    pub(crate) record_use: Option<RunPath>,
    /// State for `.wandbfs`.
    pub(crate) state: Option<Arc<dyn MountState>>,
}

/// The API client.
///
/// # Errors
/// What in the configuration cannot be used.
pub(crate) fn client(
    config: &Config,
    deadline: Duration,
    meter: Arc<Meter>,
) -> Result<Client, Failure> {
    let settings = config
        .client(deadline, Arc::clone(&meter))
        .map_err(|error| Failure::config(&error))?;
    Client::with_meter(settings, meter)
        .map_err(|error| Failure::remote("configuration", &error, config))
}

/// A credential is needed for everything that asks a server, as it is for the SDK.
fn require_credential(config: &Config, offline: bool) -> Result<(), Failure> {
    match &config.credential {
        Err(error) if !offline => Err(Failure::credential(error, config)),
        _ => Ok(()),
    }
}

/// Puts the parts together. Asks no server yet. Must be called within a runtime.
///
/// # Errors
/// No credential, or a configuration that cannot be used.
pub(crate) fn parts(
    config: &Config,
    source: &SourceFlags,
    shape: Shape,
    meter: Arc<Meter>,
) -> Outcome<Parts> {
    require_credential(config, source.offline)?;
    let client = client(config, source.timeout, Arc::clone(&meter))?;
    let http = http_client(client.config(), Purpose::Content)
        .map_err(|error| Failure::remote("configuration", &error, config))?;
    let hub: Arc<dyn Hub> = match source.offline {
        true => Arc::new(OfflineHub::new(client.clone())),
        false => Arc::new(client.clone()),
    };
    let options = StoreOptions {
        cache_dir: config.cache_dir.value.clone(),
        cache_limit: source.cache_limit,
        memory: source.memory.unwrap_or_else(default_memory),
        deadline: source.timeout,
        offline: source.offline,
        allow_file_refs: source.allow_file_refs,
    };
    let links = StoreLinks {
        hub: Arc::clone(&hub),
        http,
        handler: Some(Arc::new(Handler(client))),
        meter: Arc::clone(&meter),
    };
    let store = Store::open(options, links);
    let record_use = shape.record_use.clone();
    let options = tree_options(config, source, shape, Arc::clone(&meter));
    let run = record_use.filter(|_| !source.offline);
    let recorder = run.map(|run| UseRecorder::start(Arc::clone(&hub), run));
    let mut blobs: Arc<dyn Blobs> = Arc::new(store.clone());
    if let Some(recorder) = &recorder {
        blobs = recorder.watch(blobs);
    }
    let tree = Tree::new(hub, blobs, options);
    Ok(Parts {
        meter,
        store,
        tree,
        recorder,
    })
}

fn tree_options(
    config: &Config,
    source: &SourceFlags,
    shape: Shape,
    meter: Arc<Meter>,
) -> TreeOptions {
    let defaults = TreeOptions::default();
    let text = |value: &Option<crate::wandb::config::Sourced<String>>| {
        value.as_ref().map(|value| value.value.clone())
    };
    TreeOptions {
        root: shape.root.unwrap_or(defaults.root),
        ttl: shape.ttl.unwrap_or(defaults.ttl),
        per_page: source.per_page,
        pin_aliases: shape.pin_aliases,
        show_views: shape.show_views,
        read_only: shape.read_only,
        no_delete: shape.no_delete,
        delete_aliases: shape.delete_aliases,
        mount_point: shape.mount_point,
        state: shape.state,
        default_entity: text(&config.entity).and_then(|name| EntityName::new(&name).ok()),
        default_project: text(&config.project).and_then(|name| ProjectName::new(&name).ok()),
        report: oddities(meter),
    }
}

/// Odd manifests go to `errors.log` and to the log.
fn oddities(meter: Arc<Meter>) -> Report {
    Arc::new(move |path, message| {
        tracing::warn!(path, "{message}");
        meter.record_error(&ErrorRecord {
            op: "manifest",
            path: path.to_owned(),
            errno: "EINVAL",
            message: message.to_owned(),
        });
    })
}

/// The download handler of the server that the client talks to.
struct Handler(Client);

#[async_trait]
impl DownloadHandler for Handler {
    fn url(&self, at: &StoredAt, digest: Digest) -> Option<Url> {
        // Without the artifact id, which needs a question to the server first and only tells equal
        // contents apart: the digest in the address already names the bytes.
        handler_url(&self.0.config().base_url, at, digest, false).ok()
    }

    async fn headers(&self, url: &Url) -> Result<HeaderMap, Error> {
        self.0.authorized_headers(url).await
    }
}

/// A path of the tree as a person typed it.
///
/// # Errors
/// Why it names nothing.
pub(crate) fn path(what: &str, text: &str) -> Result<NodePath, Failure> {
    NodePath::parse(text).map_err(|error| {
        let error = Error::caused_by(ErrorKind::NotFound, text, "no such path", error);
        let hint = "write entity/project/type/collection/version/files/…, or entity/project/collection:alias";
        Failure::new(Exit::NotFound, what, error.chain(), hint)
    })
}
