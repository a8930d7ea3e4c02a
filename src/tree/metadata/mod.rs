//! The metadata files: what the server knows about a directory, as JSON.
//!
//! Key order is pinned (INTERFACE), indented by two spaces, a newline at the end. Rendering is a
//! function of the node's value, so the size that `stat` gives is the size that `read` finds.

pub(crate) mod edit;
mod render;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::Value;

use super::attributes::time_of;
use super::place::{CollectionDir, EntityDir, Node, Place};
use super::shared::{Shared, not_a_directory};
use super::{artifact_type, entity, project, root, version};
use crate::model::{Collection, Error, ErrorKind, Run};

/// A metadata file of this moment.
pub(crate) struct Rendered {
    /// What it says.
    pub(crate) value: Value,
    /// Its text.
    pub(crate) bytes: Vec<u8>,
    /// Updated time of its node.
    pub(crate) mtime: SystemTime,
    /// When the server said so.
    pub(crate) at: Instant,
}

/// Renders the metadata file of `dir`, asking for what the node lacks or what has grown old.
///
/// # Errors
/// What the server says; [`NotFound`](crate::model::ErrorKind::NotFound) when the node is gone.
pub(crate) async fn render(shared: &Arc<Shared>, dir: &Node) -> Result<Rendered, Error> {
    let (value, times, at) = match &dir.0 {
        Place::Entity(dir) => {
            let fresh = entity_of_listing(shared, dir).await?;
            let value = fresh.value.as_ref();
            let times = value.map(|v| (v.updated_at.clone(), v.created_at.clone()));
            let json = render::entity(&fresh.path, value, &*shared.hub);
            (Some(json), times, fresh.at)
        }
        Place::Project(dir) => {
            let fresh = entity::refresh(shared, dir).await?;
            let value = fresh.value.as_ref();
            let times = value.map(|v| (v.updated_at.clone(), v.created_at.clone()));
            let json = value.map(|v| render::project(v, &*shared.hub));
            (json, times, fresh.at)
        }
        Place::Type(dir) => {
            let fresh = project::refresh(shared, dir).await?;
            let value = fresh.value.as_ref();
            let times = value.map(|v| (None, v.created_at.clone()));
            (value.map(render::artifact_type), times, fresh.at)
        }
        Place::Collection(dir) => {
            let fresh = artifact_type::refresh(shared, dir).await?;
            let aliases = all_aliases(shared, &fresh).await?;
            let value = fresh.value.as_ref();
            let times = value.map(|v| (v.updated_at.clone(), v.created_at.clone()));
            let json = value.map(|v| render::collection(v, &aliases));
            (json, times, fresh.at)
        }
        Place::Version(dir) => {
            let fresh = version::refresh(shared, dir).await?;
            let value = fresh.value();
            let times = (value.updated_at.clone(), value.created_at.clone());
            let json = render::version(value, &*shared.hub);
            (Some(json), Some(times), fresh.at())
        }
        _ => return Err(not_a_directory(dir)),
    };
    let (updated, created) = times.unwrap_or_default();
    let mtime = time_of(updated.as_deref()).or_else(|| time_of(created.as_deref()));
    let value = value.unwrap_or_default();
    Ok(Rendered {
        bytes: text(&value),
        value,
        mtime: mtime.unwrap_or(shared.started),
        at,
    })
}

/// Fetches, beside the first page of a listing, what the metadata file in it will need. A failure is
/// told to whoever then looks at that file.
pub(crate) async fn prepare(shared: &Arc<Shared>, dir: &Node) {
    let lacks = match &dir.0 {
        Place::Entity(dir) => dir.value.is_none(),
        Place::Project(dir) => dir.value.is_none(),
        Place::Type(dir) => dir.value.is_none(),
        Place::Collection(dir) => dir.value.as_ref().is_none_or(|value| value.more_aliases),
        _ => false,
    };
    if lacks {
        let _told_later = render(shared, dir).await;
    }
}

/// An entity with its value. One of the viewer's own is there even when the server, as some do, knows
/// no entities by name.
async fn entity_of_listing(
    shared: &Arc<Shared>,
    dir: &Arc<EntityDir>,
) -> Result<Arc<EntityDir>, Error> {
    match root::refresh(shared, dir).await {
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
                && dir.value.is_none()
                && shared.viewer().await?.entities.contains(&dir.path) =>
        {
            Ok(dir.clone())
        }
        answer => answer,
    }
}

/// The aliases that came with a collection and, where there are more, those too.
async fn all_aliases(shared: &Arc<Shared>, dir: &Arc<CollectionDir>) -> Result<Vec<String>, Error> {
    let Some(value) = dir.value.as_ref() else {
        return Ok(Vec::new());
    };
    let mut aliases = value.aliases.clone();
    if value.more_aliases {
        for alias in more_aliases(shared, dir, value).await?.iter() {
            if !aliases.contains(alias) {
                aliases.push(alias.clone());
            }
        }
    }
    Ok(aliases)
}

async fn more_aliases(
    shared: &Arc<Shared>,
    dir: &CollectionDir,
    value: &Collection,
) -> Result<Arc<[String]>, Error> {
    let (ask, value) = (shared.clone(), value.clone());
    let ask = move || async move { Ok(ask.hub.collection_aliases(&value).await?.into()) };
    Ok(shared
        .aliases
        .get_or(dir.identity.clone(), ask)
        .await?
        .value)
}

/// What a directory's metadata file says of a value that was just fetched. The aliases of a
/// collection, which cannot be written there, are those that came along.
pub(crate) fn value_of(shared: &Shared, dir: &Node) -> Option<Value> {
    match &dir.0 {
        Place::Collection(dir) => {
            let value = dir.value.as_ref()?;
            Some(render::collection(value, &value.aliases))
        }
        Place::Version(dir) => Some(render::version(dir.value(), &*shared.hub)),
        _ => None,
    }
}

/// `run.json` of a run that was asked for at `at`.
pub(crate) fn run(shared: &Shared, run: &Run, at: Instant) -> Rendered {
    let value = render::run(run, &*shared.hub);
    let updated = time_of(run.updated_at.as_deref());
    Rendered {
        bytes: text(&value),
        value,
        mtime: updated
            .or_else(|| time_of(run.created_at.as_deref()))
            .unwrap_or(shared.started),
        at,
    }
}

fn text(value: &Value) -> Vec<u8> {
    // A map with text keys can always be rendered.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
