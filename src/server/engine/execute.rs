//! One request: what was asked, and the answer.

use std::sync::Arc;

use async_graphql::dynamic::Schema;
use async_graphql::{Request, Variables};
use async_graphql_parser::types::{
    ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Cx;
use super::schema::{Roots, SchemaFault, build};

/// The body of a GraphQL request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// A request that has been read but not yet executed.
pub(crate) struct Call {
    document: ExecutableDocument,
    operation_name: Option<String>,
    variables: Map<String, Value>,
}

/// The names in a document, for counters and faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Name of the operation that is going to run; empty for an anonymous one.
    pub(crate) operation: String,
    /// Names of all fields of the document, fragments included, sorted, each once.
    pub(crate) fields: Vec<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status: 200 for whatever was executed.
    pub(crate) status: u16,
    /// The JSON.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer with one error and no data.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = json!({ "errors": [{ "message": message }] });
        Self {
            status,
            body: body.to_string().into_bytes(),
        }
    }
}

impl Call {
    /// Reads a body.
    ///
    /// # Errors
    /// The answer to give when it is no JSON (400), has no query (400), or the query is no GraphQL
    /// (200 with an error, as for every other fault of a document).
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Answer> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|error| Answer::error(400, &format!("invalid request body: {error}")))?;
        let document = async_graphql_parser::parse_query(&body.query)
            .map_err(|error| Answer::error(200, &fault(&error)))?;
        // The public API of the SDK sends an empty name and means none.
        let operation_name = body.operation_name.filter(|name| !name.is_empty());
        let mut variables = body.variables.unwrap_or_default();
        variables.values_mut().for_each(drop_nulls);
        variables.retain(|_, value| !value.is_null());
        let mut call = Self {
            document,
            operation_name,
            variables,
        };
        call.fill_in_defaults();
        Ok(call)
    }

    /// The names in the document.
    pub(crate) fn names(&self) -> Names {
        let mut fields = Vec::new();
        for (_, operation) in self.document.operations.iter() {
            collect(&operation.node.selection_set.node, &mut fields);
        }
        for fragment in self.document.fragments.values() {
            collect(&fragment.node.selection_set.node, &mut fields);
        }
        fields.sort_unstable();
        fields.dedup();
        let operation = self
            .operation()
            .and_then(|(name, _)| name)
            .unwrap_or_default();
        Names {
            operation: operation.to_owned(),
            fields,
        }
    }

    fn operation(&self) -> Option<(Option<&str>, &OperationDefinition)> {
        let mut operations = self
            .document
            .operations
            .iter()
            .map(|(name, operation)| (name.map(async_graphql::Name::as_str), &operation.node));
        match &self.operation_name {
            Some(wanted) => operations.find(|(name, _)| *name == Some(wanted)),
            None => operations.next(),
        }
    }

    /// Puts defaults of variables among the variables: `@include(if: $x)` is decided by
    /// async-graphql before it looks at them.
    fn fill_in_defaults(&mut self) {
        let Some((_, operation)) = self.operation() else {
            return;
        };
        let defaults: Vec<(String, Value)> = operation
            .variable_definitions
            .iter()
            .filter_map(|definition| {
                let default = definition.node.default_value.as_ref()?;
                let value = default.node.clone().into_json().ok()?;
                Some((definition.node.name.node.to_string(), value))
            })
            .collect();
        for (name, value) in defaults {
            self.variables.entry(name).or_insert(value);
        }
    }
}

/// One line about a document that cannot be read; the parser's own text is a drawing of many.
fn fault(error: &async_graphql_parser::Error) -> String {
    match error {
        async_graphql_parser::Error::Syntax { start, .. } => {
            format!(
                "Syntax Error: unexpected text at {}:{}",
                start.line, start.column
            )
        }
        other => other.to_string(),
    }
}

/// Removes null members of objects: to this API null and absent are the same (protocol §2.1).
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn collect(set: &SelectionSet, fields: &mut Vec<String>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => {
                fields.push(field.node.name.node.to_string());
                collect(&field.node.selection_set.node, fields);
            }
            Selection::InlineFragment(fragment) => {
                collect(&fragment.node.selection_set.node, fields);
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

/// The schema with everything that answers it.
#[derive(Clone)]
pub(crate) struct Engine {
    schema: Schema,
}

impl Engine {
    /// Builds the schema of the SDL on these roots.
    ///
    /// # Errors
    /// When the SDL is no valid schema.
    pub(crate) fn new(roots: &Roots) -> Result<Self, SchemaFault> {
        Ok(Self {
            schema: build(roots)?,
        })
    }

    /// Executes a call. Mutations of one document run one after the other.
    pub(crate) async fn execute(&self, call: Call, cx: Arc<Cx>) -> Answer {
        // The text is not needed any more; async-graphql would only parse it again.
        let mut request = Request::new(String::new())
            .variables(Variables::from_json(Value::Object(call.variables)))
            .data(cx);
        request.operation_name = call.operation_name;
        request.set_parsed_query(call.document);
        let mut response = self.schema.execute(request).await;
        for error in &mut response.errors {
            if let Some(rest) = error.message.strip_prefix("Unknown field ") {
                // The wording of W&B's server, which clients recognise (protocol §2.4).
                error.message = format!("Cannot query field {rest}");
            }
        }
        match serde_json::to_vec(&response) {
            Ok(body) => Answer { status: 200, body },
            Err(error) => {
                tracing::error!(%error, "cannot write a GraphQL answer");
                Answer::error(500, "internal error")
            }
        }
    }
}
