//! `mkdir`: a portfolio in a registry.

use std::ffi::OsStr;

use super::super::change::{Changes, Reason, Refused, forbid, refuse};
use super::super::names::{Decoded, Level};
use super::super::place::{Node, Place};
use super::super::{Tree, lookup};
use super::{missing, path_of};
use crate::model::{CollectionName, CollectionPath, ErrorKind, refused as rule_broken, rules};

/// What the project of a registry starts with (protocol §13).
const REGISTRY: &str = "wandb-registry-";

impl Tree {
    /// Makes a directory: a portfolio in a type of a registry.
    ///
    /// # Errors
    /// EEXIST, EINVAL for a name that no collection can have, EPERM elsewhere, EROFS, and what the
    /// server says.
    pub async fn mkdir(&self, dir: &Node, name: &OsStr) -> Result<(Node, Changes), Refused> {
        let shared = &self.shared;
        shared.writable(dir)?;
        let path = || path_of(dir, name);
        let words = match &dir.0 {
            Place::Type(of) if of.path.project.project.as_str().starts_with(REGISTRY) => "",
            Place::Type(_) => "a collection of a project comes into being with its first version",
            Place::Collection(_) => "a version is made by logging it",
            _ => "no directory can be made here",
        };
        let Place::Type(of) = &dir.0 else {
            return Err(forbid(path(), words));
        };
        if !words.is_empty() {
            return Err(forbid(path(), words));
        }
        let Decoded::Name(text) = Level::Type.decode(name) else {
            return Err(super::super::change::invalid(
                path(),
                "a collection cannot be called so",
            ));
        };
        rules::collection_name(&text).map_err(|rule| rule_broken(path(), rule))?;
        let collection = CollectionPath {
            project: of.path.project.clone(),
            artifact_type: of.path.artifact_type.clone(),
            name: CollectionName::new(&text)
                .map_err(|fault| super::super::change::invalid(path(), fault.to_string()))?,
        };
        if shared.hub.collection(&collection).await?.is_some() {
            shared.forget_collection(&collection);
            return Err(refuse(
                Reason::Exists,
                ErrorKind::Busy,
                path(),
                "it is there",
            ));
        }
        let made = shared.hub.create_collection(&collection, None).await;
        shared.forget_collection(&collection);
        let made = made?;
        let mut changes = Changes::default();
        changes.name(dir, name);
        let node = lookup(shared, dir, name).await?.0;
        let node = node.ok_or_else(|| missing(dir, name))?;
        shared.log("create", &node, &made.id, "portfolio");
        Ok((node, changes))
    }
}
