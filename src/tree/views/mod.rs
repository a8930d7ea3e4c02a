//! Directories that are reached by name only, so that no recursive tool walks everything twice.
//!
//! ```text
//! <project>/.runs/<id>/{run.json,logged/,used/}
//! <type>|<collection>/.tags/<tag>/   .order/<±field>/   .filter/<percent-encoded JSON>/
//! <version>/.lineage/{logged_by,used_by}/
//! ```
//!
//! What is in them are relative links to the real nodes. The three over a type or a collection compose
//! (`.tags/a/.order/-created_at`). A filter or order goes to the server as it is, and is asked for when
//! its directory is looked up, so that what the server refuses is refused there, in its words.

mod links;
mod listing;
mod run;
mod selection;

use std::ffi::OsStr;
use std::sync::Arc;

pub(crate) use links::run_name;
pub(crate) use run::{RUN_FILE, run_file};
pub(crate) use selection::Selection;

use super::node::{Identity, Listing};
use super::place::{Node, Place, join};
use super::shared::{Answer, Shared};
use super::walk::KnownWalk;
use crate::model::{ArtifactId, Run, RunArtifactsMode, RunPath};

/// The runs of a project.
pub(crate) const RUNS: &str = ".runs";
const TAGS: &str = ".tags";
const ORDER: &str = ".order";
const FILTER: &str = ".filter";
const LINEAGE: &str = ".lineage";

/// A directory that is reached by name only.
#[derive(Debug)]
pub(crate) struct ViewDir {
    /// The directory above.
    pub(crate) parent: Node,
    /// Its file name.
    pub(crate) name: String,
    /// Unique in the mount.
    pub(crate) identity: Arc<str>,
    /// What it shows.
    pub(crate) view: View,
}

/// What a view shows.
#[derive(Debug)]
pub(crate) enum View {
    /// The runs of the project above.
    Runs,
    /// A run.
    Run {
        path: RunPath,
        value: Box<Run>,
        at: std::time::Instant,
    },
    /// What a run logged or used.
    RunArtifacts(RunPath, RunArtifactsMode),
    /// Tags, each a selection.
    Tags(Selection),
    /// Orders, each a selection.
    Orders(Selection),
    /// Filters, each a selection.
    Filters(Selection),
    /// The nodes that match.
    Selected(Selection),
    /// Where a version comes from and goes to.
    Lineage(ArtifactId),
    /// The run that made a version.
    LoggedBy(ArtifactId),
    /// The runs that use a version.
    UsedBy(ArtifactId),
}

/// A link in a view.
#[derive(Debug)]
pub(crate) struct ViewLink {
    /// The view.
    pub(crate) dir: Arc<ViewDir>,
    /// Its file name.
    pub(crate) name: String,
    /// What it says, relative to its directory.
    pub(crate) target: String,
    /// Time of what it points to (RFC 3339).
    pub(crate) changed_at: Option<String>,
}

impl ViewLink {
    /// Unique in the mount, and another one when the target is: the kernel keeps what a link says.
    pub(crate) fn identity(&self) -> Arc<str> {
        format!("{}//{}", join(&self.dir.identity, &self.name), self.target).into()
    }
}

impl ViewDir {
    /// The view `name` in `parent`.
    fn node(parent: &Node, name: &str, view: View) -> Node {
        let above = match parent.identity() {
            Identity::Named(text) => text,
            Identity::Content { version, .. } => version,
        };
        Node(Place::View(Arc::new(Self {
            parent: parent.clone(),
            name: name.to_owned(),
            identity: join(&above, name),
            view,
        })))
    }

    /// The run, where it is one.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.view {
            View::Run { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// The views in a directory of the tree.
pub(crate) fn of(dir: &Node) -> Vec<Node> {
    match &dir.0 {
        Place::Project(_) => vec![ViewDir::node(dir, RUNS, View::Runs)],
        Place::Type(_) | Place::Collection(_) => nested(dir, &Selection::all(dir)),
        Place::Version(version) => {
            let id = version.value().id.clone();
            vec![ViewDir::node(dir, LINEAGE, View::Lineage(id))]
        }
        _ => Vec::new(),
    }
}

/// The three views that narrow a selection further.
fn nested(dir: &Node, selection: &Selection) -> Vec<Node> {
    vec![
        ViewDir::node(dir, TAGS, View::Tags(selection.clone())),
        ViewDir::node(dir, ORDER, View::Orders(selection.clone())),
        ViewDir::node(dir, FILTER, View::Filters(selection.clone())),
    ]
}

/// What is in a view that is known at once.
fn fixed(dir: &Arc<ViewDir>) -> Vec<Node> {
    let node = Node(Place::View(dir.clone()));
    match &dir.view {
        View::Run { path, .. } => {
            let artifacts = |mode| View::RunArtifacts(path.clone(), mode);
            vec![
                Node(Place::RunFile(dir.clone())),
                ViewDir::node(&node, "logged", artifacts(RunArtifactsMode::Logged)),
                ViewDir::node(&node, "used", artifacts(RunArtifactsMode::Used)),
            ]
        }
        View::Lineage(id) => vec![
            ViewDir::node(&node, "logged_by", View::LoggedBy(id.clone())),
            ViewDir::node(&node, "used_by", View::UsedBy(id.clone())),
        ],
        View::Orders(selection) => selection
            .usual_orders()
            .iter()
            .map(|order| {
                let view = View::Selected(selection.ordered(order));
                ViewDir::node(&node, order, view)
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// One name in a view.
pub(crate) async fn child(shared: &Arc<Shared>, dir: &Arc<ViewDir>, file: &OsStr) -> Answer {
    let node = Node(Place::View(dir.clone()));
    let Some(name) = file.to_str() else {
        return shared.nothing();
    };
    if let Some(found) = fixed(dir).into_iter().find(|child| child.name() == name) {
        return shared.known(found);
    }
    match &dir.view {
        View::Runs => run::child(shared, dir, name).await,
        View::Tags(selection) => selection::tag(shared, &node, selection, name),
        View::Orders(selection) => selection::order(shared, &node, selection, name).await,
        View::Filters(selection) => selection::filter(shared, &node, selection, name).await,
        View::Selected(selection) => selection::member(shared, dir, selection, name).await,
        View::RunArtifacts(..) | View::LoggedBy(_) | View::UsedBy(_) => {
            listing::find(shared, list(shared, dir), file).await
        }
        View::Run { .. } | View::Lineage(_) => shared.nothing(),
    }
}

/// A walk through a view.
pub(crate) fn list(shared: &Arc<Shared>, dir: &Arc<ViewDir>) -> Box<dyn Listing> {
    match &dir.view {
        View::Run { .. } | View::Lineage(_) | View::Orders(_) => {
            Box::new(KnownWalk::new(fixed(dir)))
        }
        View::Filters(_) => Box::new(KnownWalk::new(Vec::new())), // nobody can list all filters
        View::Tags(selection) => Box::new(listing::TagWalk::new(shared, dir, selection)),
        View::Selected(selection) => Box::new(listing::Selected::new(shared, dir, selection)),
        View::Runs | View::RunArtifacts(..) | View::LoggedBy(_) | View::UsedBy(_) => {
            Box::new(listing::Paged::new(shared, dir))
        }
    }
}
