//! Where implementations are chosen and put together: configuration → client → store → tree.

use std::sync::Arc;
use std::time::Duration;

use super::flags::SourceFlags;
use super::outcome::{Failure, Outcome};
use crate::model::{ErrorKind, Hub, NodePath};
use crate::store::{Store, StoreOptions};
use crate::telemetry::Meter;
use crate::tree::{MountState, Tree, TreeOptions};
use crate::wandb::Client;
use crate::wandb::config::Config;

/// The parts of one mount or command.
pub(crate) struct Parts {
    /// Counters and logs that all parts share.
    pub(crate) meter: Arc<Meter>,
    /// The data plane.
    pub(crate) store: Arc<Store>,
    /// The tree over both planes.
    pub(crate) tree: Tree,
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
    /// Metadata files are shown read-only.
    pub(crate) read_only: bool,
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
///
/// # Errors
/// Why there is none.
pub(crate) fn require_credential(config: &Config, offline: bool) -> Result<(), Failure> {
    match &config.credential {
        Err(error) if !offline => Err(Failure::credential(error, config)),
        _ => Ok(()),
    }
}

/// Puts the parts together. Asks no server yet. Must be called within a runtime.
///
/// # Errors
/// No credential, a configuration that cannot be used, or a cache directory that cannot.
pub(crate) fn parts(
    config: &Config,
    source: &SourceFlags,
    shape: Shape,
    meter: Arc<Meter>,
) -> Outcome<Parts> {
    require_credential(config, source.offline)?;
    let client = client(config, source.timeout, Arc::clone(&meter))?;
    let store = Store::open(
        client.clone(),
        StoreOptions {
            cache_dir: config.cache_dir.value.clone(),
            cache_limit: source.cache_limit,
            memory: source.memory,
            deadline: source.timeout,
            offline: source.offline,
            allow_file_refs: source.allow_file_refs,
        },
    )
    .map_err(|error| Failure::remote("open the cache", &error, config))?;
    let store = Arc::new(store);
    let hub: Arc<dyn Hub> = Arc::new(client);
    let tree = Tree::new(hub, store.clone(), tree_options(source, shape));
    Ok(Parts { meter, store, tree })
}

fn tree_options(source: &SourceFlags, shape: Shape) -> TreeOptions {
    let defaults = TreeOptions::default();
    TreeOptions {
        root: shape.root.unwrap_or(NodePath::Root),
        ttl: shape.ttl.unwrap_or(defaults.ttl),
        per_page: source.per_page,
        pin_aliases: shape.pin_aliases,
        show_views: shape.show_views,
        read_only: shape.read_only,
        offline: source.offline,
        state: shape.state,
        ..defaults
    }
}

/// A path of the tree as a person typed it.
///
/// # Errors
/// Why it names nothing.
pub(crate) fn path(what: &str, text: &str) -> Result<NodePath, Failure> {
    NodePath::parse(text).map_err(|error| {
        let error = crate::model::Error::caused_by(ErrorKind::NotFound, text, "no such path", error);
        Failure::new(
            super::outcome::Exit::NotFound,
            what,
            error.chain(),
            "write entity/project/type/collection/version/files/…, or entity/project/collection:alias",
        )
    })
}
