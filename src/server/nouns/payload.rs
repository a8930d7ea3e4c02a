//! Small types that are only a handful of values, chiefly the payloads of mutations.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{Answer, Args, Cx, Noun, Out, ServerError};

/// Values and objects under their field names. `clientMutationId` is null unless given: no client of
/// this API reads it back.
pub(super) struct Payload {
    type_name: &'static str,
    values: Vec<(&'static str, Value)>,
    nodes: Vec<Nodes>,
}

/// A field's name, its objects, and whether the field is a list.
type Nodes = (&'static str, Vec<Arc<dyn Noun>>, bool);

impl Payload {
    /// An empty one of that type.
    pub(super) fn new(type_name: &'static str) -> Self {
        Self {
            type_name,
            values: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Adds a scalar or a list of scalars.
    pub(super) fn value(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// Adds an object.
    pub(super) fn node(mut self, name: &'static str, noun: impl Noun) -> Self {
        self.nodes.push((name, vec![Arc::new(noun)], false));
        self
    }

    /// Adds a list of objects.
    pub(super) fn nodes(
        mut self,
        name: &'static str,
        nouns: impl IntoIterator<Item = impl Noun>,
    ) -> Self {
        let nouns = nouns
            .into_iter()
            .map(|noun| Arc::new(noun) as Arc<dyn Noun>)
            .collect();
        self.nodes.push((name, nouns, true));
        self
    }

    /// A payload that only says that it worked.
    pub(super) fn success(type_name: &'static str) -> Self {
        Self::new(type_name).value("success", true)
    }
}

#[async_trait]
impl Noun for Payload {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Answer {
        if let Some((_, value)) = self.values.iter().find(|(key, _)| *key == name) {
            return Ok(Out::value(value.clone()));
        }
        if let Some((_, nouns, list)) = self.nodes.iter().find(|(key, _, _)| *key == name) {
            if *list {
                return Ok(Out::Nodes(nouns.iter().cloned().map(Some).collect()));
            }
            return Ok(nouns.first().cloned().map_or(Out::Null, Out::Node));
        }
        match name {
            "clientMutationId" | "clientMutationID" => Ok(Out::Null),
            _ => Err(ServerError::unknown_field(self.type_name, name)),
        }
    }
}
