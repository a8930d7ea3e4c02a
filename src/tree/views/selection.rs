//! Some of the collections of a type, or of the versions of a collection: by tag, order, filter.

use std::ffi::OsStr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::change::invalid;
use super::super::lookup;
use super::super::names::unescape;
use super::super::place::{Node, Place};
use super::super::shared::{Answer, Shared};
use super::links::member_link;
use super::{View, ViewDir, list, listing, nested};
use crate::model::{Error, ErrorKind, ListOptions};

/// What is selected of a directory.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// The type or collection.
    pub(crate) base: Node,
    /// What the server filters and orders by.
    pub(crate) options: ListOptions,
    /// What must all be among the tags.
    pub(crate) tags: Vec<String>,
}

impl Selection {
    /// Everything in a type or collection.
    pub(super) fn all(base: &Node) -> Self {
        Self {
            base: base.clone(),
            options: ListOptions::default(),
            tags: Vec::new(),
        }
    }

    /// Orders that are worth showing; others are reached by name.
    pub(super) fn usual_orders(&self) -> &'static [&'static str] {
        match &self.base.0 {
            Place::Collection(_) => &[
                "+created_at",
                "-created_at",
                "+version_index",
                "-version_index",
            ],
            _ => &["+created_at", "-created_at", "+name", "-name"],
        }
    }

    pub(super) fn ordered(&self, order: &str) -> Self {
        let mut selection = self.clone();
        selection.options.order = Some(order.to_owned());
        selection
    }

    fn filtered(&self, filter: Value) -> Self {
        let before = self.options.filters.as_deref();
        let before: Option<Value> = before.and_then(|text| serde_json::from_str(text).ok());
        let both = match before {
            Some(before) => json!({ "$and": [before, filter] }),
            None => filter,
        };
        let mut selection = self.clone();
        selection.options.filters = Some(both.to_string());
        selection
    }

    /// Whether a node of the base has all the tags.
    fn holds(&self, node: &Node) -> bool {
        let own = match &node.0 {
            Place::Version(version) => Some(&version.value().tags),
            Place::Collection(dir) => dir.value.as_ref().map(|value| &value.tags),
            _ => None,
        };
        own.is_some_and(|own| self.tags.iter().all(|tag| own.contains(tag)))
    }
}

/// `.tags/<tag>`: every text may be a tag; what has it is another question.
pub(super) fn tag(shared: &Shared, dir: &Node, selection: &Selection, name: &str) -> Answer {
    let Some(tag) = unescape(name) else {
        return shared.nothing();
    };
    let mut selection = selection.clone();
    selection.tags.push(tag);
    shared.known(ViewDir::new(dir, name, View::Selected(selection)))
}

/// `.order/<±field>`, which the server must know.
pub(super) async fn order(
    shared: &Arc<Shared>,
    dir: &Node,
    selection: &Selection,
    name: &str,
) -> Answer {
    let field = name.strip_prefix(['+', '-']).unwrap_or(name);
    let starts = field.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let word = field.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !starts || !word {
        return shared.nothing(); // not of the form that the protocol has (§5)
    }
    asked(shared, dir, selection.ordered(name), name).await
}

/// `.filter/<percent-encoded JSON>`, which the server must take.
pub(super) async fn filter(
    shared: &Arc<Shared>,
    dir: &Node,
    selection: &Selection,
    name: &str,
) -> Answer {
    let text = unescape(name).unwrap_or_default();
    let fault = match serde_json::from_str(&text) {
        Ok(filter @ Value::Object(_)) => {
            return asked(shared, dir, selection.filtered(filter), name).await;
        }
        Ok(_) => "a filter is a JSON object".to_owned(),
        Err(fault) => format!("the filter is not JSON: {fault}"),
    };
    Err(invalid(format!("{}/{name}", dir.path()), fault).error)
}

/// A selection whose first page the server gives.
async fn asked(shared: &Arc<Shared>, dir: &Node, selection: Selection, name: &str) -> Answer {
    match shared.page(&selection.base, &selection.options, None).await {
        Ok(_) => shared.known(ViewDir::new(dir, name, View::Selected(selection))),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let node = format!("{}/{name}", dir.path());
            Err(Error::caused_by(
                ErrorKind::Invalid,
                node,
                "the server refuses it",
                error,
            ))
        }
        Err(error) => Err(error),
    }
}

/// A name in a selection: a narrower one, or a node that belongs to it. Only tags can be checked
/// without walking.
pub(super) async fn member(
    shared: &Arc<Shared>,
    dir: &Arc<ViewDir>,
    selection: &Selection,
    name: &str,
) -> Answer {
    let node = Node(Place::View(dir.clone()));
    let narrower = nested(&node, selection);
    if let Some(found) = narrower.into_iter().find(|child| child.name() == name) {
        return shared.known(found);
    }
    if selection.options != ListOptions::default() {
        return listing::find(shared, list(shared, dir), OsStr::new(name)).await;
    }
    let found = Box::pin(lookup(shared, &selection.base, OsStr::new(name))).await?;
    match found {
        (Some(found), fresh) if selection.holds(&found) => {
            let link = member_link(dir, selection, &found, name.to_owned());
            Ok((Some(link), fresh))
        }
        _ => shared.nothing(),
    }
}
