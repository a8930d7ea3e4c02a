//! `ln -s`: aliases, links into portfolios, and links that stay in memory.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Instant;

use super::super::change::{Changes, Everywhere, Reason, Refused, forbid, invalid, refuse};
use super::super::names::{Decoded, Level};
use super::super::overlay::{Body, is_temporary_link, memory_name};
use super::super::place::{CollectionDir, Node, Place};
use super::super::save::{present_collection, present_version, save_version};
use super::super::shared::Shared;
use super::super::target::version_of;
use super::super::version::VersionDir;
use super::super::{Tree, lookup};
use super::{missing, path_of};
use crate::model::{
    CollectionKind, ErrorKind, VersionChange, VersionSelector, refused as rule_broken, rules,
};

impl Tree {
    /// Makes a symbolic link: an alias of a version of this collection, a link of a version of another
    /// collection into a portfolio, or, under a name that tools make on the way, a link in memory.
    ///
    /// # Errors
    /// EEXIST, EINVAL for a name that is no alias or a target that is no version, EPERM elsewhere,
    /// EROFS, and what the server says.
    pub async fn symlink(
        &self,
        dir: &Node,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<(Node, Changes), Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        let dir = &shared.current_node(dir);
        if !dir.holds_memory() {
            let words = "links can be made in collections only";
            return Err(forbid(path_of(dir, name), words));
        }
        let text = memory_name(dir, name)?;
        if shared.overlay.find(dir, name).is_some() || text == dir.metadata_name() {
            return Err(taken(dir, name));
        }
        if is_temporary_link(text) {
            let node = shared
                .overlay
                .put(dir, text, Body::Link(target.to_owned()))?;
            return Ok((node, Changes::default()));
        }
        let Place::Collection(collection) = &dir.0 else {
            let words = "links can be made in collections only";
            return Err(forbid(path_of(dir, name), words));
        };
        let alias = alias_of(dir, name)?;
        if holder(shared, dir, &alias).await?.is_some() {
            shared.forget_collection(&collection.path);
            return Err(taken(dir, name));
        }
        let changes = self.set_alias(dir, name, target).await?;
        let made = lookup(shared, dir, name).await?.0;
        Ok((made.ok_or_else(|| missing(dir, name))?, changes))
    }

    /// Gives the alias `name` to what `target` means, whoever has it now.
    pub(super) async fn set_alias(
        &self,
        dir: &Node,
        name: &OsStr,
        target: &OsStr,
    ) -> Result<Changes, Refused> {
        let shared = &self.shared;
        let Place::Collection(collection) = &dir.0 else {
            return Err(forbid(
                path_of(dir, name),
                "aliases are in collections only",
            ));
        };
        let alias = alias_of(dir, name)?;
        let version = version_of(shared, &self.top().await?, dir, target).await?;
        let Some(version) = version else {
            let words = format!("{:?} is no version in this mount", target.to_string_lossy());
            return Err(invalid(path_of(dir, name), words));
        };
        if version.path().collection == collection.path {
            let node = Node(Place::Version(version.clone()));
            return give_alias(shared, &node, &alias, &[]).await;
        }
        link(shared, collection, &version, &alias).await
    }
}

/// Gives a version an alias, taking `without` away from it in the same save.
pub(super) async fn give_alias(
    shared: &Arc<Shared>,
    version: &Node,
    alias: &str,
    without: &[String],
) -> Result<Changes, Refused> {
    let dir = version.parent();
    let before = holder(shared, &dir, alias).await?;
    let path = format!("{}/{alias}", dir.path());
    let undo = match &before {
        Some(before) => format!("undo: ln -sfn {} {path}", before.name()),
        None => format!("undo: rm {path}"),
    };
    shared.log("set alias", version, alias, &undo);
    let change = VersionChange {
        aliases_added: vec![alias.to_owned()],
        aliases_removed: without.to_vec(),
        ..VersionChange::default()
    };
    save_version(shared, version, &change).await
}

/// Links a version into a portfolio under an alias.
async fn link(
    shared: &Arc<Shared>,
    portfolio: &Arc<CollectionDir>,
    version: &Arc<VersionDir>,
    alias: &str,
) -> Result<Changes, Refused> {
    let node = Node(Place::Collection(portfolio.clone()));
    let kind = portfolio.value.as_ref().map(|value| value.kind);
    if kind == Some(CollectionKind::Sequence) {
        let words =
            "an alias of a sequence points to its own versions; only a portfolio links others";
        return Err(invalid(format!("{}/{alias}", node.path()), words));
    }
    // The server would make a portfolio of that name anew.
    present_collection(shared, portfolio).await?;
    let at_home = present_version(shared, version).await?;
    let Place::Version(version) = &at_home.0 else {
        return Err(shared.vanished(&at_home).into());
    };
    let value = version.value();
    shared.log("link", &node, value.id.as_str(), alias);
    let aliases = [alias.to_owned()];
    let linked = shared
        .hub
        .link_version(value, &portfolio.path, &aliases)
        .await;
    let mut changes = Changes::default();
    for alias in [alias, "latest"] {
        shared.alias_changed(portfolio, alias, &mut changes);
    }
    shared.forget_collection(&portfolio.path);
    shared.forget_everywhere(Everywhere::Changed(value.id.clone()), &mut changes);
    changes.name(&node, linked?.to_string());
    Ok(changes)
}

/// The version that has an alias now: 1 request. `None` where nobody has it, also when a version has
/// it as digest or commit hash.
pub(super) async fn holder(
    shared: &Arc<Shared>,
    dir: &Node,
    alias: &str,
) -> Result<Option<Node>, Refused> {
    let found = meant(shared, dir, alias).await?;
    Ok(found.filter(|node| match &node.0 {
        Place::Version(version) => version.value().aliases.iter().any(|own| own == alias),
        _ => false,
    }))
}

/// The version that the server finds under a name now, be it an alias, a digest or a commit hash: 1
/// request.
pub(super) async fn meant(
    shared: &Arc<Shared>,
    dir: &Node,
    name: &str,
) -> Result<Option<Node>, Refused> {
    let Place::Collection(dir) = &dir.0 else {
        return Ok(None);
    };
    let at = Instant::now();
    let selector = VersionSelector::Name(name.into());
    let found = shared.hub.version(&dir.path, &selector).await?;
    Ok(found.map(|value| Node(Place::Version(Arc::new(VersionDir::new(dir, value, at))))))
}

/// The alias that a file name means.
pub(super) fn alias_of(dir: &Node, name: &OsStr) -> Result<String, Refused> {
    let path = path_of(dir, name);
    let Decoded::Name(alias) = Level::Collection.decode(name) else {
        return Err(invalid(path, "an alias cannot be called so"));
    };
    rules::alias(&alias).map_err(|rule| rule_broken(path, rule))?;
    Ok(alias)
}

fn taken(dir: &Node, name: &OsStr) -> Refused {
    let words = "the name is taken";
    refuse(Reason::Exists, ErrorKind::Busy, path_of(dir, name), words)
}
