//! `mv`: another name or type for a collection, another name for an alias, and the ways in which
//! editors put a new text in the place of a metadata file.

use std::ffi::OsStr;
use std::sync::Arc;

use super::super::change::{Changes, Reason, Refused, forbid, invalid, refuse};
use super::super::names::{Decoded, Level};
use super::super::overlay::{Body, MemoryNode, is_temporary_link, memory_name};
use super::super::place::{CollectionDir, Node, Place};
use super::super::save::{keep_rejected, present_collection, save_collection, save_text};
use super::super::shared::Shared;
use super::super::{Tree, lookup, metadata};
use super::link::{alias_of, give_alias, holder};
use super::{existing, missing, path_of};
use crate::model::{CollectionChange, ErrorKind};

/// Where a node goes.
struct Goal<'a> {
    dir: &'a Node,
    name: &'a OsStr,
    /// What has that name.
    there: Option<Node>,
}

impl Goal<'_> {
    fn path(&self) -> String {
        path_of(self.dir, self.name)
    }
}

impl Tree {
    /// Gives a node another name. A file in memory that takes the name of a metadata file is a save
    /// point; a metadata file that gets another name leaves a copy of its text there and stays.
    ///
    /// # Errors
    /// ENOENT, EEXIST with `no_replace`, ENOTEMPTY for the name of another collection, EPERM for what
    /// has no other place, EROFS, those of [`Self::save`], and what the server says.
    pub async fn rename(
        &self,
        dir: &Node,
        name: &OsStr,
        to_dir: &Node,
        to_name: &OsStr,
        no_replace: bool,
    ) -> Result<Changes, Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        shared.writable(to_dir)?;
        let dir = &shared.current_node(dir);
        let to_dir = &shared.current_node(to_dir);
        let node = existing(shared, dir, name).await?;
        shared.writable(&node)?;
        let there = lookup(shared, to_dir, to_name).await?.0;
        let goal = Goal {
            dir: to_dir,
            name: to_name,
            there,
        };
        if no_replace && goal.there.is_some() {
            let words = "the name is taken";
            return Err(refuse(Reason::Exists, ErrorKind::Busy, goal.path(), words));
        }
        let mut changes = match &node.0 {
            Place::Memory(memory) => self.rename_memory(memory, &goal).await?,
            Place::Metadata(of) if of.holds_memory() => copy_metadata(shared, of, &goal).await?,
            Place::Alias(link) => rename_alias(shared, dir, &link.alias, &goal).await?,
            Place::Collection(collection) => move_collection(shared, collection, &goal).await?,
            Place::Version(_) => {
                return Err(forbid(
                    node.path(),
                    "the number of a version is the server's",
                ));
            }
            _ => return Err(forbid(node.path(), "it cannot be renamed")),
        };
        changes.name(dir, name);
        changes.name(to_dir, to_name);
        Ok(changes)
    }

    async fn rename_memory(
        &self,
        memory: &MemoryNode,
        goal: &Goal<'_>,
    ) -> Result<Changes, Refused> {
        let shared = &self.shared;
        if !goal.dir.holds_memory() {
            let words = "files in memory are beside collection.json and artifact.json only";
            return Err(forbid(goal.path(), words));
        }
        let name = memory_name(goal.dir, goal.name)?;
        let mut changes = Changes::default();
        match (&memory.body, goal.there.as_ref().map(|node| &node.0)) {
            (Body::File(buffer), _) if name == goal.dir.metadata_name() => {
                let (text, _) = buffer.snapshot();
                match save_text(shared, goal.dir, &text, None).await {
                    Ok((saved, _)) => changes.add(saved),
                    Err(refused) => {
                        keep_rejected(shared, goal.dir, &text);
                        return Err(refused);
                    }
                }
                shared.overlay.unhide(&goal.dir.metadata());
                shared.overlay.remove(memory);
            }
            (Body::Link(target), there) if !is_temporary_link(name) => {
                if matches!(there, Some(Place::Memory(_))) {
                    return Err(invalid(goal.path(), "a file is there"));
                }
                changes.add(self.set_alias(goal.dir, goal.name, target).await?);
                shared.overlay.remove(memory);
            }
            (_, None | Some(Place::Memory(_))) => {
                shared.overlay.rename(memory, goal.dir, name);
            }
            _ => return Err(forbid(goal.path(), "it cannot be replaced by a file")),
        }
        Ok(changes)
    }
}

/// Leaves the text of a metadata file under another name: an editor's backup. The file itself is away
/// for the moment in which the editor writes it anew.
async fn copy_metadata(
    shared: &Arc<Shared>,
    dir: &Node,
    goal: &Goal<'_>,
) -> Result<Changes, Refused> {
    let name = memory_name(goal.dir, goal.name)?;
    let beside = goal.dir.identity() == dir.identity();
    if !beside
        || !matches!(
            goal.there.as_ref().map(|n| &n.0),
            None | Some(Place::Memory(_))
        )
    {
        return Err(forbid(
            goal.path(),
            "a metadata file stays in its directory",
        ));
    }
    let text = match shared.drafts.of(&dir.metadata()) {
        Some(draft) => draft.buffer.bytes().to_vec(),
        None => metadata::render(shared, dir).await?.bytes,
    };
    let buffer = shared.overlay.buffer_of(&text)?;
    shared.overlay.put(dir, name, Body::File(buffer))?;
    shared.overlay.hide(&dir.metadata());
    Ok(Changes::default())
}

/// Gives the version of an alias the new alias, and takes the old one away, in one save.
async fn rename_alias(
    shared: &Arc<Shared>,
    dir: &Node,
    alias: &str,
    goal: &Goal<'_>,
) -> Result<Changes, Refused> {
    if goal.dir.identity() != dir.identity() {
        let words = "an alias stays in its collection";
        return Err(forbid(goal.path(), words));
    }
    match goal.there.as_ref().map(|node| &node.0) {
        None | Some(Place::Alias(_)) => {}
        _ => return Err(forbid(goal.path(), "it cannot be replaced by an alias")),
    }
    let new = alias_of(goal.dir, goal.name)?;
    if new == alias {
        return Ok(Changes::default());
    }
    let Some(version) = holder(shared, dir, alias).await? else {
        shared.forget_of(dir);
        return Err(missing(dir, alias.as_ref()));
    };
    give_alias(shared, &version, &new, &[alias.to_owned()]).await
}

/// Gives a collection another name, another type of its project, or both.
async fn move_collection(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
    goal: &Goal<'_>,
) -> Result<Changes, Refused> {
    let Place::Type(to) = &goal.dir.0 else {
        let words = "a collection lives in a type of its project";
        return Err(forbid(goal.path(), words));
    };
    if to.path.project != dir.path.project {
        let words = "a collection cannot move to another project";
        return Err(forbid(goal.path(), words));
    }
    let Decoded::Name(name) = Level::Type.decode(goal.name) else {
        return Err(invalid(goal.path(), "a collection cannot be called so"));
    };
    if goal.there.is_some() {
        let words = "another collection has that name";
        return Err(refuse(
            Reason::NotEmpty,
            ErrorKind::Busy,
            goal.path(),
            words,
        ));
    }
    let present = present_collection(shared, dir).await?;
    let kind = to.path.artifact_type.as_str();
    let change = CollectionChange {
        name: Some(name).filter(|name| name != dir.path.name.as_str()),
        artifact_type: (kind != dir.path.artifact_type.as_str()).then(|| kind.to_owned()),
        ..CollectionChange::default()
    };
    if change.is_empty() {
        return Ok(Changes::default());
    }
    save_collection(shared, &present, &change).await
}
