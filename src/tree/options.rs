//! What a tree is made with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{EntityName, NodePath, ProjectName};

/// Where a path without project looks, as in the SDK (protocol §1.1).
pub(crate) const UNCATEGORIZED: &str = "uncategorized";

/// How long an answer counts when nobody says otherwise (`--ttl`).
const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// Told of everything odd in a manifest: path in the mount and sentence.
pub type Report = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What `.wandbfs/` shows of the mount; each call is a snapshot.
pub trait MountState: Send + Sync + 'static {
    /// The version of this program, without newline.
    fn version(&self) -> String;
    /// The effective flags, as JSON.
    fn config_json(&self) -> Vec<u8>;
    /// The status object, as JSON.
    fn stats_json(&self) -> Vec<u8>;
    /// NDJSON of failed operations.
    fn errors_log(&self) -> Vec<u8>;
    /// NDJSON of requests.
    fn requests_log(&self) -> Vec<u8>;
}

/// What a tree is made with.
#[derive(Clone)]
pub struct TreeOptions {
    /// What is at the mount point. A version, also in the SDK's spelling, means its files.
    pub root: NodePath,
    /// Items per page; the listing's own default without.
    pub per_page: Option<u32>,
    /// How long an answer of the server counts.
    pub ttl: Duration,
    /// Whether listings show the directories that are else reached by name only.
    pub show_views: bool,
    /// Whether an alias stays what it was when this tree first saw it.
    pub pin_aliases: bool,
    /// Whether every change is refused.
    pub read_only: bool,
    /// Whether deletions are refused: of collections, versions, links and aliases.
    pub no_delete: bool,
    /// Whether a version is deleted though it has aliases.
    pub delete_aliases: bool,
    /// Where the mount is, absolute: what a link with an absolute target is read against.
    pub mount_point: Option<PathBuf>,
    /// What `.wandbfs/` shows; no such directory without.
    pub state: Option<Arc<dyn MountState>>,
    /// What a path without entity means; the viewer's entity without.
    pub default_entity: Option<EntityName>,
    /// What a path without project means; `uncategorized` without.
    pub default_project: Option<ProjectName>,
    /// Told of everything odd in a manifest, once per version.
    pub report: Report,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            root: NodePath::Root,
            per_page: None,
            ttl: DEFAULT_TTL,
            show_views: false,
            pin_aliases: false,
            read_only: false,
            no_delete: false,
            delete_aliases: false,
            mount_point: None,
            state: None,
            default_entity: None,
            default_project: None,
            report: Arc::new(|path, message| tracing::warn!(path, "{message}")),
        }
    }
}

impl fmt::Debug for TreeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeOptions")
            .field("root", &self.root)
            .field("per_page", &self.per_page)
            .field("ttl", &self.ttl)
            .field("show_views", &self.show_views)
            .field("pin_aliases", &self.pin_aliases)
            .field("read_only", &self.read_only)
            .field("no_delete", &self.no_delete)
            .field("delete_aliases", &self.delete_aliases)
            .field("mount_point", &self.mount_point)
            .finish_non_exhaustive()
    }
}
