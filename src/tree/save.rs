//! Save points: a text that was typed becomes a change, and the change is sent.
//!
//! 1. The text is compared with what was handed out of this file; only what differs travels, and
//!    when nothing does, nothing is asked either.
//! 2. The server is asked for its present values. A field that is to change and that somebody else
//!    changed since the text was handed out is EBUSY, and nothing is sent.
//! 3. What is sent is in the hands of the [`Hub`](crate::model::Hub): the checks and the order of
//!    the SDK. A failure half-way says what was applied.
//! 4. Everything remembered of the collection is forgotten, so that the file shows the server's
//!    state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Map, Value};

use super::artifact_type::collection_node;
use super::change::{Adjust, Changes, Everywhere, Reason, Refused, forbid, invalid, refuse};
use super::draft::Draft;
use super::metadata::edit::{self, Edit, EditError};
use super::overlay::{Body, memory_name};
use super::place::{CollectionDir, Node, Place};
use super::readings::Reading;
use super::shared::Shared;
use super::version::VersionDir;
use super::{Tree, metadata};
use crate::model::{
    Applied, CollectionName, CollectionPath, ErrorKind, SaveFailure, TypeName, VersionSelector,
};

/// Read-only fields that move by themselves: a text that differs in one of them was not edited there, it
/// is of an older state.
const MOVING: [&str; 5] = [
    "updated_at",
    "version_count",
    "aliases",
    "linked_artifacts",
    "ttl_is_inherited",
];

/// What is added to the name of a metadata file whose text was rejected.
const REJECTED: &str = ".rejected";

impl Tree {
    /// Opens a file for writing: a metadata file, or a file in memory. All handles of a file share
    /// one draft; each is given back with [`Self::close`].
    ///
    /// # Errors
    /// What the server says; EROFS on a read-only mount, EPERM for other files.
    pub async fn edit(&self, file: &Node, truncate: bool) -> Result<Arc<Draft>, Refused> {
        let shared = &self.shared;
        shared.writable(file)?;
        let draft = match &file.0 {
            Place::Memory(memory) => {
                let Body::File(buffer) = &memory.body else {
                    return Err(invalid(file.path(), "it is a link"));
                };
                let draft = || Arc::new(Draft::new(file.clone(), buffer.clone(), None));
                shared.drafts.open(file, draft)
            }
            Place::Metadata(dir) if dir.holds_memory() => match shared.drafts.of(file) {
                Some(draft) => shared.drafts.open(file, || draft),
                None => {
                    let rendered = metadata::render(shared, dir).await?;
                    let buffer = shared.overlay.buffer_of(&rendered.bytes)?;
                    let base = rendered.value.as_object().cloned().unwrap_or_default();
                    if !truncate {
                        shared.readings.note(file, &rendered.value);
                    }
                    let draft = Draft::new(file.clone(), buffer, Some(base));
                    shared.drafts.open(file, || Arc::new(draft))
                }
            },
            _ => return Err(forbid(file.path(), "it cannot be written")),
        };
        if truncate {
            draft.set_len(0)?;
        }
        Ok(draft)
    }

    /// Saves a draft where it has a text that no save has taken: the save point of close and fsync. A
    /// text that was rejected is not sent again before it changes.
    ///
    /// # Errors
    /// EINVAL for a text that cannot be saved, EBUSY for a field that somebody else changed, and what
    /// the server says; the sentence tells what was applied. The draft keeps its text.
    pub async fn save(&self, draft: &Arc<Draft>) -> Result<Changes, Refused> {
        let _one_at_a_time = draft.saving.lock().await;
        let Place::Metadata(dir) = &draft.file.0 else {
            return Ok(Changes::default());
        };
        if !draft.is_unsaved() {
            return Ok(Changes::default());
        }
        let (text, generation) = draft.buffer.snapshot();
        let base = draft.base.lock().clone().unwrap_or_default();
        let rejected = draft.rejected.lock().clone();
        if let Some((_, refused)) = rejected.filter(|(rejected, _)| *rejected == generation) {
            return Err(refused);
        }
        match save_text(&self.shared, dir, &text, Some(base)).await {
            Ok((changes, base)) => {
                draft.saved.store(generation, Ordering::Release);
                *draft.base.lock() = Some(base);
                *draft.rejected.lock() = None;
                Ok(changes)
            }
            Err(refused) => {
                *draft.rejected.lock() = Some((generation, refused.clone()));
                Err(refused)
            }
        }
    }

    /// Gives back one handle of [`Self::edit`]. The last one keeps a text that no save took beside
    /// the file, and the file shows the server's state again.
    pub fn close(&self, draft: &Arc<Draft>) -> Changes {
        let mut changes = Changes::default();
        let last = self.shared.drafts.close(draft);
        let Place::Metadata(dir) = &draft.file.0 else {
            return changes;
        };
        if last {
            changes.nodes.push(draft.file.clone());
            if draft.is_unsaved() {
                let (text, _) = draft.buffer.snapshot();
                changes.add(keep_rejected(&self.shared, dir, &text));
            }
        }
        changes
    }

    /// Makes a regular file in memory beside a metadata file. The metadata file itself, when it was
    /// just removed to be written anew, comes back.
    ///
    /// # Errors
    /// EEXIST, EINVAL for a name that cannot be, EPERM where there is no metadata file that can be
    /// written, EROFS.
    pub async fn create(
        &self,
        dir: &Node,
        name: &std::ffi::OsStr,
        mode: u16,
    ) -> Result<Node, Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        let path = || super::verbs::path_of(dir, name);
        if !dir.holds_memory() {
            let words = "files can be made beside collection.json and artifact.json only";
            return Err(forbid(path(), words));
        }
        let dir = &shared.current_node(dir);
        let name = memory_name(dir, name)?;
        if name == dir.metadata_name() && shared.overlay.unhide(&dir.metadata()) {
            return Ok(dir.metadata());
        }
        let is_version = crate::model::VersionIndex::parse(name).is_some();
        if is_version && matches!(dir.0, Place::Collection(_)) {
            return Err(forbid(
                path(),
                "a version is made by logging it, not as a file",
            ));
        }
        let fixed = ["files", "manifest.json", dir.metadata_name()];
        if fixed.contains(&name) || shared.overlay.find(dir, name.as_ref()).is_some() {
            return Err(refuse(
                Reason::Exists,
                ErrorKind::Busy,
                path(),
                "it is there",
            ));
        }
        let body = Body::File(shared.overlay.buffer(mode));
        shared.overlay.put(dir, name, body)
    }

    /// `chmod` and `utimensat`: files in memory keep what is set, metadata files take it and keep
    /// their own, because editors do so after every save.
    ///
    /// # Errors
    /// EROFS for everything else, and on a read-only mount.
    pub fn adjust(&self, node: &Node, adjust: Adjust) -> Result<(), Refused> {
        self.shared.writable(node)?;
        match &node.0 {
            Place::Memory(memory) => {
                if let Body::File(buffer) = &memory.body {
                    buffer.adjust(adjust.mode, adjust.mtime);
                }
                Ok(())
            }
            Place::Metadata(dir) if dir.holds_memory() => Ok(()),
            _ => {
                let words = "its attributes are the server's";
                Err(refuse(
                    Reason::ReadOnly,
                    ErrorKind::NotPermitted,
                    node.path(),
                    words,
                ))
            }
        }
    }
}

impl Shared {
    /// Refuses where nothing can be written: a read-only mount, the content of a version, a view.
    pub(crate) fn writable(&self, node: &Node) -> Result<(), Refused> {
        let words = match &node.0 {
            _ if self.options.read_only => "this mount is read-only",
            Place::View(_) | Place::ViewLink(_) | Place::RunFile(_) => "a view is only looked at",
            Place::Files(_) | Place::Content(_) => "the content of a version never changes",
            _ => return Ok(()),
        };
        Err(refuse(
            Reason::ReadOnly,
            ErrorKind::NotPermitted,
            node.path(),
            words,
        ))
    }
}

/// Keeps a text that was rejected beside its metadata file.
pub(crate) fn keep_rejected(shared: &Shared, dir: &Node, text: &[u8]) -> Changes {
    let mut changes = Changes::default();
    let name = format!("{}{REJECTED}", dir.metadata_name());
    let dir = shared.current_node(dir);
    let kept = shared
        .overlay
        .buffer_of(text)
        .and_then(|buffer| shared.overlay.put(&dir, &name, Body::File(buffer)));
    match kept {
        Ok(_) => changes.name(&dir, name),
        Err(refused) => tracing::error!(path = dir.path(), "rejected text is lost: {refused}"),
    }
    changes
}

/// Saves a text of the metadata file of `dir`. Gives what the kernel must forget, and what the file
/// says now as far as the text knows.
pub(crate) async fn save_text(
    shared: &Arc<Shared>,
    dir: &Node,
    text: &[u8],
    base: Option<Map<String, Value>>,
) -> Result<(Changes, Map<String, Value>), Refused> {
    let file = dir.metadata();
    let bad = |fault: EditError| invalid(file.path(), fault.to_string());
    let text = edit::parse(text).map_err(bad)?;
    let mut bases = shared.readings.of(&file);
    match base {
        Some(base) => bases.push(Arc::new(base)),
        None if bases.is_empty() => {
            let rendered = metadata::render(shared, dir).await?;
            bases.extend(rendered.value.as_object().cloned().map(Arc::new));
        }
        None => {}
    }
    let (change, base) = match choose(dir, &bases, &text) {
        Ok(chosen) => chosen,
        Err(Choice::Edit(EditError::ReadOnly(field))) if MOVING.contains(&&*field) => {
            return Err(old_text(&file, &field));
        }
        Err(Choice::Edit(fault)) => return Err(bad(fault)),
        Err(Choice::Old(field)) => {
            shared.readings.forget(&file);
            return Err(old_text(&file, &field));
        }
    };
    let mut merged = (*base).clone();
    merged.extend(text);
    if change.is_empty() {
        return Ok((Changes::default(), merged));
    }
    let saved = match (&dir.0, change) {
        (Place::Collection(dir), Edit::Collection(change)) => {
            let before = present_collection(shared, dir).await?;
            unchanged(
                shared,
                &file,
                &base,
                &merged,
                &Edit::Collection(change.clone()),
                &before,
            )?;
            save_collection(shared, &before, &change).await
        }
        (Place::Version(version), Edit::Version(change)) => {
            let before = present_version(shared, version).await?;
            unchanged(
                shared,
                &file,
                &base,
                &merged,
                &Edit::Version(change.clone()),
                &before,
            )?;
            if !change.aliases_removed.is_empty() {
                shared.deletable(&file)?;
            }
            save_version(shared, &before, &change).await
        }
        _ => return Err(forbid(file.path(), "it cannot be written")),
    };
    let mut changes = saved?;
    // An editor that stays open writes the same text with its next edits, and never reads it again.
    shared.readings.forget(&file);
    shared.readings.note(&file, &Value::Object(merged.clone()));
    changes.nodes.push(file);
    Ok((changes, merged))
}

/// Why no base could be chosen.
enum Choice {
    Edit(EditError),
    /// The text is of an older state in this field.
    Old(String),
}

/// What differs, and from which of the texts that were handed out. The values that only the server
/// sets tell which one was edited; where several fit, the newest one, unless an older one explains the
/// text with fewer changes: then the text was made from that, and the rest would undo somebody else's.
fn choose(
    dir: &Node,
    bases: &[Reading],
    text: &Map<String, Value>,
) -> Result<(Edit, Reading), Choice> {
    let of = |base: &Reading| match &dir.0 {
        Place::Collection(_) => edit::collection(base, text).map(Edit::Collection),
        _ => edit::version(base, text).map(Edit::Version),
    };
    let mut fitting = Vec::new();
    let mut fault = None;
    for base in bases {
        match of(base) {
            Ok(change) => fitting.push((change, base.clone())),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    let Some((newest, _)) = fitting.first() else {
        return Err(Choice::Edit(fault.unwrap_or(EditError::NotAnObject)));
    };
    let fields = newest.fields();
    let smaller = fitting.iter().skip(1).map(|(change, _)| change.fields());
    let smaller = smaller.filter(|few| {
        !few.is_empty() && few.len() < fields.len() && few.iter().all(|f| fields.contains(f))
    });
    if let Some(few) = smaller.min_by_key(Vec::len) {
        let undone = fields.iter().find(|field| !few.contains(field));
        return Err(Choice::Old(undone.copied().unwrap_or_default().to_owned()));
    }
    Ok(fitting.swap_remove(0))
}

/// Refuses when somebody else changed what is to be changed.
fn unchanged(
    shared: &Shared,
    file: &Node,
    base: &Map<String, Value>,
    wanted: &Map<String, Value>,
    change: &Edit,
    present: &Node,
) -> Result<(), Refused> {
    let value = metadata::value_of(shared, present).unwrap_or_default();
    // What somebody else already set to the wanted value is no conflict.
    let is = |field: &str, text: &Map<String, Value>| {
        edit::same_field(field, text.get(field), value.get(field))
    };
    let fields = change.fields();
    let mut fields = fields.into_iter();
    let moved = fields.find(|field| !is(field, base) && !is(field, wanted));
    match moved {
        None => Ok(()),
        Some(field) => {
            shared.forget_of(present);
            Err(old_text(file, field))
        }
    }
}

fn old_text(file: &Node, field: &str) -> Refused {
    let words = format!(
        "somebody else changed {field:?} since this text was read; nothing was saved. Read the file again"
    );
    refuse(Reason::ByKind, ErrorKind::Busy, file.path(), words)
}

/// A collection as the server has it now: 1 request, whatever is remembered.
pub(crate) async fn present_collection(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
) -> Result<Node, Refused> {
    let dir = shared.current(dir);
    let at = Instant::now();
    let found = shared.hub.collection(&dir.path).await?;
    let same = |id: &str| dir.value.as_ref().is_none_or(|known| known.id == id);
    match found.filter(|found| same(&found.id)) {
        Some(value) => {
            let node = collection_node(dir.parent.clone(), dir.path.clone(), Some(value), at);
            Ok(Node(Place::Collection(node)))
        }
        None => Err(shared.vanished(&Node(Place::Collection(dir))).into()),
    }
}

/// A version as the server has it now, likewise.
pub(crate) async fn present_version(
    shared: &Arc<Shared>,
    version: &Arc<VersionDir>,
) -> Result<Node, Refused> {
    let dir = shared.current(version.collection());
    let at = Instant::now();
    let selector = VersionSelector::Index(version.path().index);
    let found = shared.hub.version(&dir.path, &selector).await?;
    match found.filter(|found| found.id == version.value().id) {
        Some(value) => Ok(Node(Place::Version(Arc::new(VersionDir::new(
            &dir, value, at,
        ))))),
        None => Err(shared
            .vanished(&Node(Place::Version(version.clone())))
            .into()),
    }
}

/// Sends a change of a collection.
pub(crate) async fn save_collection(
    shared: &Arc<Shared>,
    present: &Node,
    change: &crate::model::CollectionChange,
) -> Result<Changes, Refused> {
    let Place::Collection(dir) = &present.0 else {
        return Err(forbid(present.path(), "it is not a collection"));
    };
    let Some(value) = &dir.value else {
        return Err(shared.vanished(present).into());
    };
    change.check(value)?;
    let saved = shared.hub.save_collection(value, change).await;
    let applied = match &saved {
        Ok(applied) => applied,
        Err(SaveFailure { applied, .. }) => applied,
    };
    shared.log("save", present, &value.id, &format!("{applied:?}"));
    let name = change
        .name
        .as_deref()
        .filter(|_| applied.contains(&Applied::Name));
    let kind = change
        .artifact_type
        .as_deref()
        .filter(|_| applied.contains(&Applied::Type));
    let mut changes = Changes::default();
    changes.name(&present.parent(), present.name());
    match relocated(&dir.path, name, kind) {
        Some(path) => {
            let parent = relocated_parent(dir, &path);
            let now = Node(Place::Collection(shared.moved_to(dir, parent, path)));
            changes.name(&now.parent(), now.name());
            shared.forget_everywhere(Everywhere::Named(dir.path.clone()), &mut changes);
        }
        None => shared.forget_collection(&dir.path),
    }
    saved?;
    Ok(changes)
}

/// The path of a collection after a change of its name or type.
fn relocated(
    path: &CollectionPath,
    name: Option<&str>,
    artifact_type: Option<&str>,
) -> Option<CollectionPath> {
    if name.is_none() && artifact_type.is_none() {
        return None;
    }
    let mut path = path.clone();
    if let Some(name) = name.and_then(|name| CollectionName::new(name).ok()) {
        path.name = name;
    }
    if let Some(kind) = artifact_type.and_then(|kind| TypeName::new(kind).ok()) {
        path.artifact_type = kind;
    }
    Some(path)
}

/// The type directory of a collection's new path.
fn relocated_parent(dir: &CollectionDir, path: &CollectionPath) -> Option<Node> {
    let parent = dir.parent.clone()?;
    if dir.path.artifact_type == path.artifact_type {
        return Some(parent);
    }
    let above = parent.above()?;
    let at = Instant::now();
    Some(super::project::type_node(
        Some(above),
        path.type_path(),
        None,
        at,
    ))
}

/// Sends a change of a version.
pub(crate) async fn save_version(
    shared: &Arc<Shared>,
    present: &Node,
    change: &crate::model::VersionChange,
) -> Result<Changes, Refused> {
    let Place::Version(version) = &present.0 else {
        return Err(forbid(present.path(), "it is not a version"));
    };
    let value = version.value();
    change.check(value)?;
    let saved = shared.hub.save_version(value, change).await;
    let applied = match &saved {
        Ok(applied) => applied,
        Err(SaveFailure { applied, .. }) => applied,
    };
    shared.log("save", present, value.id.as_str(), &format!("{applied:?}"));
    let mut changes = Changes::default();
    for alias in change.aliases_added.iter().chain(&change.aliases_removed) {
        shared.alias_changed(version.collection(), alias, &mut changes);
    }
    if applied.iter().any(|part| !part.is_of_place()) {
        shared.forget_everywhere(Everywhere::Changed(value.id.clone()), &mut changes);
    }
    shared.forget_collection(&version.path().collection);
    saved?;
    Ok(changes)
}
