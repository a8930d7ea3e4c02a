//! `.wandbfs/`: the state of the mount, at the mount point.

use std::ffi::OsStr;
use std::sync::Arc;

use super::names::STATE;
use super::options::MountState;
use super::place::{Node, Place};
use super::shared::Shared;

/// A file in `.wandbfs/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateFile {
    Version,
    Config,
    Stats,
    Errors,
    Requests,
}

impl StateFile {
    const ALL: [Self; 5] = [
        Self::Version,
        Self::Config,
        Self::Stats,
        Self::Errors,
        Self::Requests,
    ];

    /// Its file name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Config => "config.json",
            Self::Stats => "stats.json",
            Self::Errors => "errors.log",
            Self::Requests => "requests.log",
        }
    }

    /// Its bytes of this moment.
    pub(crate) fn bytes(self, state: &dyn MountState) -> Vec<u8> {
        match self {
            Self::Version => format!("{}\n", state.version()).into_bytes(),
            Self::Config => state.config_json(),
            Self::Stats => state.stats_json(),
            Self::Errors => state.errors_log(),
            Self::Requests => state.requests_log(),
        }
    }
}

/// The state directory in `dir`, where it is the mount point and no content.
pub(crate) fn directory(shared: &Shared, dir: &Node) -> Option<Node> {
    let content = matches!(dir.0, Place::Files(_) | Place::Content(_));
    let is_root = |(root, _): &(Node, String)| root.identity() == dir.identity();
    let is_top = dir.above().is_none() || shared.root.get().is_some_and(is_root);
    if shared.options.state.is_none() || content || !is_top {
        return None;
    }
    Some(Node(Place::State(Arc::new(dir.clone()))))
}

/// The state directory as a child of `dir`.
pub(crate) fn child(shared: &Shared, dir: &Node, file: &OsStr) -> Option<Node> {
    directory(shared, dir).filter(|_| file == STATE)
}

/// The files in the state directory of `above`.
pub(crate) fn files(above: &Arc<Node>) -> Vec<Node> {
    StateFile::ALL
        .into_iter()
        .map(|file| Node(Place::StateFile(above.clone(), file)))
        .collect()
}
