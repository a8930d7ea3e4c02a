//! `rm` and `rmdir`.

use std::ffi::OsStr;
use std::sync::Arc;

use super::super::change::{Changes, Everywhere, Reason, Refused, forbid, refuse};
use super::super::place::{CollectionDir, Node, Place};
use super::super::save::{present_collection, present_version, save_version};
use super::super::shared::Shared;
use super::super::version::VersionDir;
use super::super::{Kind, Tree};
use super::{existing, path_of};
use crate::model::{CollectionKind, ErrorKind, VersionChange};

/// The alias that the server moves by itself (protocol §3.3).
const AUTOMATIC: &str = "latest";

impl Tree {
    /// Removes a name that is no directory: an alias from the server, a file or link in memory. A
    /// metadata file is away for a moment, in which tools that replace a file that way write it anew.
    ///
    /// # Errors
    /// ENOENT, EISDIR, EPERM for what stays, EROFS, and what the server says.
    pub async fn unlink(&self, dir: &Node, name: &OsStr) -> Result<Changes, Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        let dir = &shared.current_node(dir);
        let node = existing(shared, dir, name).await?;
        let mut changes = Changes::default();
        changes.name(dir, name);
        match &node.0 {
            Place::Memory(memory) => shared.overlay.remove(memory),
            Place::Metadata(of) if of.holds_memory() => shared.overlay.hide(&node),
            Place::Alias(link) => {
                shared.deletable(&node)?;
                changes.add(remove_alias(shared, dir, &node, &link.alias).await?);
            }
            _ if node.kind() == Kind::Directory => {
                let (reason, words) = (Reason::IsDirectory, "it is a directory");
                return Err(refuse(reason, ErrorKind::Invalid, node.path(), words));
            }
            _ => return Err(forbid(node.path(), "it belongs to its directory")),
        }
        Ok(changes)
    }

    /// Removes a directory: deletes a collection whole, deletes a version, takes a link out of a
    /// portfolio.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR, EBUSY for a version with aliases, EPERM for what stays, EROFS, and what the
    /// server says.
    pub async fn rmdir(&self, dir: &Node, name: &OsStr) -> Result<Changes, Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        let dir = &shared.current_node(dir);
        let node = existing(shared, dir, name).await?;
        shared.writable(&node)?;
        let mut changes = match &node.0 {
            Place::Collection(collection) => {
                shared.deletable(&node)?;
                delete_collection(shared, collection).await?
            }
            Place::Version(version) => {
                shared.deletable(&node)?;
                delete_version(shared, version).await?
            }
            _ if node.kind() != Kind::Directory => {
                let (reason, words) = (Reason::NotDirectory, "it is not a directory");
                return Err(refuse(
                    reason,
                    ErrorKind::Invalid,
                    path_of(dir, name),
                    words,
                ));
            }
            _ => {
                let words = "only collections and versions can be deleted here";
                return Err(forbid(node.path(), words));
            }
        };
        shared.overlay.forget(&node);
        changes.name(dir, name);
        Ok(changes)
    }
}

async fn delete_collection(
    shared: &Arc<Shared>,
    dir: &Arc<CollectionDir>,
) -> Result<Changes, Refused> {
    let present = present_collection(shared, dir).await?;
    let Place::Collection(dir) = &present.0 else {
        return Err(shared.vanished(&present).into());
    };
    let Some(value) = &dir.value else {
        return Err(shared.vanished(&present).into());
    };
    shared.log("delete", &present, &value.id, &format!("{:?}", value.kind));
    let deleted = shared.hub.delete_collection(value).await;
    let mut changes = Changes::default();
    let what = match value.kind {
        CollectionKind::Sequence => Everywhere::AllGone(dir.path.clone()),
        CollectionKind::Portfolio => Everywhere::Named(dir.path.clone()),
    };
    shared.forget_everywhere(what, &mut changes);
    shared.forget_collection(&dir.path);
    deleted?;
    Ok(changes)
}

/// Deletes a version of a sequence, takes a link out of a portfolio. Only aliases that the server
/// moves by itself go along unasked.
async fn delete_version(
    shared: &Arc<Shared>,
    version: &Arc<VersionDir>,
) -> Result<Changes, Refused> {
    let present = present_version(shared, version).await?;
    let Place::Version(version) = &present.0 else {
        return Err(shared.vanished(&present).into());
    };
    let value = version.value();
    let kept: Vec<&String> = value.aliases.iter().filter(|a| *a != AUTOMATIC).collect();
    let deleted = if value.is_link() {
        shared.log(
            "unlink",
            &present,
            value.id.as_str(),
            &value.source_collection,
        );
        shared.hub.unlink_version(value).await
    } else if kept.is_empty() || shared.options.delete_aliases {
        shared.log("delete", &present, value.id.as_str(), &format!("{kept:?}"));
        let with_aliases = shared.options.delete_aliases;
        shared.hub.delete_version(value, with_aliases).await
    } else {
        let words =
            format!("it has the aliases {kept:?}; remove them first, or use --delete-aliases");
        return Err(refuse(
            Reason::ByKind,
            ErrorKind::Busy,
            present.path(),
            words,
        ));
    };
    let mut changes = Changes::default();
    let own = value.aliases.iter().map(String::as_str);
    for alias in own.chain([AUTOMATIC]) {
        shared.alias_changed(version.collection(), alias, &mut changes);
    }
    let what = match value.is_link() {
        true => Everywhere::Changed(value.id.clone()), // its source lists its links
        false => Everywhere::Gone(value.id.clone()),
    };
    shared.forget_everywhere(what, &mut changes);
    shared.forget_collection(&version.path().collection);
    deleted?;
    Ok(changes)
}

/// Takes an alias away from the version that has it now.
async fn remove_alias(
    shared: &Arc<Shared>,
    dir: &Node,
    link: &Node,
    alias: &str,
) -> Result<Changes, Refused> {
    let Some(present) = super::link::holder(shared, dir, alias).await? else {
        shared.forget_of(dir);
        return Err(match super::link::meant(shared, dir, alias).await? {
            Some(_) => forbid(link.path(), "it is the digest or commit hash of a version"),
            None => shared.vanished(link).into(),
        });
    };
    let undo = format!("undo: ln -s {} {}", present.name(), link.path());
    shared.log("remove alias", link, alias, &undo);
    let change = VersionChange {
        aliases_removed: vec![alias.to_owned()],
        ..VersionChange::default()
    };
    save_version(shared, &present, &change).await
}
