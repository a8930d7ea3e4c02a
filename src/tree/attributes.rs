//! Attributes: sizes, modes, times.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::alias::AliasLink;
use super::content::manifest_content;
use super::draft::Draft;
use super::metadata;
use super::node::{Attributes, Freshness, Kind};
use super::overlay::{Body, MemoryNode};
use super::place::{Node, Place};
use super::root::README;
use super::shared::Shared;
use super::views;
use crate::model::Error;

/// Directories.
const DIRECTORY_MODE: u16 = 0o755;
/// Files that nobody can write.
const FILE_MODE: u16 = 0o444;
/// `collection.json` and `artifact.json`: writing them saves (on a read-only mount `vfs` makes it 0444).
const WRITABLE_MODE: u16 = 0o644;
/// Links; the kernel never looks at it.
const LINK_MODE: u16 = 0o777;

/// The attributes of a node and how long they hold.
pub(crate) async fn of(
    shared: &Arc<Shared>,
    node: &Node,
) -> Result<(Attributes, Freshness), Error> {
    let limited = Freshness::For(shared.ttl());
    if let Some(draft) = shared.drafts.of(node) {
        return Ok((draft_file(&draft), Freshness::For(Duration::ZERO)));
    }
    Ok(match &node.0 {
        Place::Content(content) => {
            let mtime = created(shared, &content.version);
            let attributes = match node.kind() {
                Kind::Directory => directory(mtime),
                _ => file(content.tree.size(content.index), mtime),
            };
            (attributes, Freshness::Immutable)
        }
        Place::Files(version) => (directory(created(shared, version)), Freshness::Immutable),
        Place::Manifest(version) => {
            let content = manifest_content(version);
            let size = match content.size {
                Some(size) => size,
                None => shared.blobs.open(&content, None).await?.len().await?,
            };
            (file(size, created(shared, version)), Freshness::Immutable)
        }
        Place::Memory(memory) => (memory_node(memory), Freshness::For(Duration::ZERO)),
        Place::Metadata(dir) => {
            let rendered = metadata::render(shared, dir).await?;
            let writable = matches!(dir.0, Place::Collection(_) | Place::Version(_));
            let mode = if writable { WRITABLE_MODE } else { FILE_MODE };
            let attributes = Attributes {
                mode,
                ..file(rendered.bytes.len() as u64, rendered.mtime)
            };
            // The kernel's idea of the size ends with the value, so that no open finds another one.
            (attributes, shared.remaining(rendered.at))
        }
        Place::View(view) => {
            let run = view.run().and_then(|run| {
                time_of(run.updated_at.as_deref()).or_else(|| time_of(run.created_at.as_deref()))
            });
            (directory(run.unwrap_or(shared.started)), limited)
        }
        Place::ViewLink(link) => {
            let mtime = time_of(link.changed_at.as_deref()).unwrap_or(shared.started);
            let size = link.target.len() as u64;
            let (kind, mode) = (Kind::Symlink, LINK_MODE);
            let attributes = Attributes {
                kind,
                size,
                mode,
                mtime,
            };
            (attributes, limited)
        }
        Place::RunFile(run) => {
            let rendered = views::run_file(shared, run).await?;
            (
                file(rendered.bytes.len() as u64, rendered.mtime),
                shared.remaining(rendered.at),
            )
        }
        Place::Alias(link) => (symlink(shared, link), limited),
        Place::StateFile(_, state) => {
            let bytes = shared.options.state.as_deref().map(|s| state.bytes(s));
            let size = bytes.map_or(0, |bytes| bytes.len() as u64);
            let now = SystemTime::now();
            (file(size, now), Freshness::For(Duration::ZERO))
        }
        Place::Readme(_) => (
            file(README.len() as u64, shared.started),
            Freshness::Immutable,
        ),
        Place::Root(_) | Place::State(_) => (directory(shared.started), limited),
        Place::Entity(_) | Place::Project(_) | Place::Type(_) | Place::Collection(_) => {
            (directory(changed(shared, node)), limited)
        }
        Place::Version(version) => {
            let kept = shared.remaining(version.at());
            (directory(created(shared, version)), kept)
        }
    })
}

/// A metadata file while it is being written: as long as what is typed.
fn draft_file(draft: &Draft) -> Attributes {
    Attributes {
        mode: draft.buffer.mode(),
        ..file(draft.len(), draft.mtime())
    }
}

fn memory_node(node: &MemoryNode) -> Attributes {
    match &node.body {
        Body::File(buffer) => Attributes {
            mode: buffer.mode(),
            ..file(buffer.len(), buffer.mtime())
        },
        Body::Link(target) => Attributes {
            kind: Kind::Symlink,
            size: target.len() as u64,
            mode: LINK_MODE,
            mtime: SystemTime::now(),
        },
    }
}

fn symlink(shared: &Shared, link: &AliasLink) -> Attributes {
    Attributes {
        kind: Kind::Symlink,
        size: link.target.to_string().len() as u64,
        mode: LINK_MODE,
        mtime: time_of(link.created_at.as_deref()).unwrap_or(shared.started),
    }
}

/// Updated time of a directory that can change, as far as its node knows.
fn changed(shared: &Shared, node: &Node) -> SystemTime {
    let (updated, created) = match &node.0 {
        Place::Entity(dir) => times(dir.value.as_ref(), |v| (&v.updated_at, &v.created_at)),
        Place::Project(dir) => times(dir.value.as_ref(), |v| (&v.updated_at, &v.created_at)),
        Place::Type(dir) => times(dir.value.as_ref(), |v| (&None, &v.created_at)),
        Place::Collection(dir) => times(dir.value.as_ref(), |v| (&v.updated_at, &v.created_at)),
        _ => (None, None),
    };
    time_of(updated)
        .or_else(|| time_of(created))
        .unwrap_or(shared.started)
}

fn times<V>(
    value: Option<&V>,
    pick: impl FnOnce(&V) -> (&Option<String>, &Option<String>),
) -> (Option<&str>, Option<&str>) {
    value.map(pick).map_or((None, None), |(updated, created)| {
        (updated.as_deref(), created.as_deref())
    })
}

fn created(shared: &Shared, version: &super::version::VersionDir) -> SystemTime {
    version.created().unwrap_or(shared.started)
}

fn directory(mtime: SystemTime) -> Attributes {
    Attributes {
        kind: Kind::Directory,
        size: 0,
        mode: DIRECTORY_MODE,
        mtime,
    }
}

fn file(size: u64, mtime: SystemTime) -> Attributes {
    Attributes {
        kind: Kind::File,
        size,
        mode: FILE_MODE,
        mtime,
    }
}

/// A time of the server. Some servers leave the zone out; UTC then.
pub(crate) fn time_of(text: Option<&str>) -> Option<SystemTime> {
    let text = text?.trim();
    let timestamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    Some(timestamp.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_with_and_without_zone_are_utc() {
        let expected = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045));
        assert_eq!(time_of(Some("2026-01-02T03:04:05Z")), expected);
        assert_eq!(time_of(Some("2026-01-02T03:04:05")), expected);
        assert_eq!(time_of(Some("2026-01-02 03:04:05")), expected);
        assert_eq!(time_of(Some("yesterday")), None);
        assert_eq!(time_of(None), None);
    }
}
