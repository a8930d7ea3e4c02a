//! Relay connections: edges, cursors and page info around a page of nouns.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Args, Cx, Noun, Out, ServerError};

/// Counts the items of a listing.
pub(crate) type Count =
    Box<dyn for<'a> Fn(&'a Cx) -> BoxFuture<'a, Result<u64, ServerError>> + Send + Sync>;

/// How many items match, beyond the page at hand.
pub(crate) enum Total {
    /// The SDL's connection type has no `totalCount`, or nobody could ask for it.
    Unknown,
    /// Known already.
    Known(u64),
    /// Counted only when a document asks.
    Ask(Count),
}

/// One item of a page.
#[derive(Clone)]
pub(crate) struct Edge {
    cursor: String,
    node: Option<Arc<dyn Noun>>,
    extra: Vec<(&'static str, Value)>,
}

impl Edge {
    /// An item under its cursor.
    pub(crate) fn new(cursor: impl Into<String>, node: impl Noun) -> Self {
        Self::shared(cursor, Arc::new(node))
    }

    /// An item that is already behind a pointer.
    pub(crate) fn shared(cursor: impl Into<String>, node: Arc<dyn Noun>) -> Self {
        Self {
            cursor: cursor.into(),
            node: Some(node),
            extra: Vec::new(),
        }
    }

    /// Adds a field of the edge itself (`version`, `usedAs`).
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extra.push((name, value.into()));
        self
    }
}

/// A page of a listing as a noun of any `…Connection` type.
pub(crate) struct Connection {
    type_name: &'static str,
    edges: Vec<Edge>,
    has_next: bool,
    has_previous: bool,
    total: Total,
    extra: Vec<(&'static str, Value)>,
}

impl Connection {
    /// A page, in order. `type_name` is the SDL's (`VersionedArtifactConnection`).
    pub(crate) fn new(type_name: &'static str, edges: Vec<Edge>, has_next: bool) -> Self {
        Self {
            type_name,
            edges,
            has_next,
            has_previous: false,
            total: Total::Unknown,
            extra: Vec::new(),
        }
    }

    /// Says that items precede this page.
    pub(crate) fn after_others(mut self, has_previous: bool) -> Self {
        self.has_previous = has_previous;
        self
    }

    /// Sets what `totalCount` answers.
    pub(crate) fn total(mut self, total: Total) -> Self {
        self.total = total;
        self
    }

    /// Adds a field of the connection itself (`uploadHeaders`).
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extra.push((name, value.into()));
        self
    }
}

#[async_trait]
impl Noun for Connection {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    async fn field(&self, cx: &Cx, name: &str, _args: &Args) -> Result<Out, ServerError> {
        match (name, &self.total) {
            ("edges", _) => Ok(Out::nodes(self.edges.iter().map(|edge| EdgeNoun {
                connection: self.type_name,
                edge: edge.clone(),
            }))),
            ("pageInfo", _) => Ok(Out::node(PageInfo {
                has_next: self.has_next,
                has_previous: self.has_previous,
                start: self.edges.first().map(|edge| edge.cursor.clone()),
                end: self.edges.last().map(|edge| edge.cursor.clone()),
            })),
            ("totalCount", Total::Known(total)) => Ok(Out::value(*total)),
            ("totalCount", Total::Ask(count)) => Ok(Out::value(count(cx).await?)),
            _ => extra(self.type_name, &self.extra, name),
        }
    }
}

/// An edge as a noun. Its own type is never a choice among several (no field of the SDL has an
/// edge interface as its type but inside a connection interface, which no field has either), so
/// the connection's name serves for messages.
struct EdgeNoun {
    connection: &'static str,
    edge: Edge,
}

#[async_trait]
impl Noun for EdgeNoun {
    fn type_name(&self) -> &'static str {
        self.connection
    }

    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Result<Out, ServerError> {
        match name {
            "cursor" => Ok(Out::value(self.edge.cursor.as_str())),
            "node" => Ok(self.edge.node.clone().map_or(Out::Null, Out::Node)),
            _ => extra(self.connection, &self.edge.extra, name),
        }
    }
}

fn extra(
    type_name: &str,
    fields: &[(&'static str, Value)],
    name: &str,
) -> Result<Out, ServerError> {
    fields
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Out::value(value.clone()))
        .ok_or_else(|| ServerError::unknown_field(type_name, name))
}

struct PageInfo {
    has_next: bool,
    has_previous: bool,
    start: Option<String>,
    end: Option<String>,
}

#[async_trait]
impl Noun for PageInfo {
    fn type_name(&self) -> &'static str {
        "PageInfo"
    }

    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Result<Out, ServerError> {
        Ok(match name {
            "hasNextPage" => Out::value(self.has_next),
            "hasPreviousPage" => Out::value(self.has_previous),
            "startCursor" => Out::value(self.start.clone()),
            "endCursor" => Out::value(self.end.clone()),
            _ => return Err(ServerError::unknown_field("PageInfo", name)),
        })
    }
}
