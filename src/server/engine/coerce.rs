//! Values against types: arguments on their way in, scalars on their way out.
//!
//! async-graphql has checked names and most types of the arguments before; what it leaves to the
//! resolver is filling in defaults, single values where lists are declared, and 32-bit integers.

use std::collections::HashMap;

use async_graphql::{Name, Value as GraphQlValue};
use async_graphql_parser::types::{
    BaseType, InputValueDefinition, ServiceDocument, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};
use serde_json::{Map, Value};

use super::{Args, ServerError};

/// The types of the SDL by name.
pub(super) struct Types(HashMap<String, TypeDefinition>);

impl Types {
    /// All types of a parsed SDL.
    pub(super) fn of(document: ServiceDocument) -> Self {
        let types = document
            .definitions
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(definition) => Some(definition.node),
                TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
            });
        Self(
            types
                .map(|definition| (definition.name.node.to_string(), definition))
                .collect(),
        )
    }

    /// All types, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &TypeDefinition)> {
        self.0
            .iter()
            .map(|(name, definition)| (name.as_str(), definition))
    }

    /// Whether a value of this type needs its concrete type named.
    pub(super) fn is_abstract(&self, ty: &Type) -> bool {
        matches!(
            self.kind(ty),
            Some(TypeKind::Interface(_) | TypeKind::Union(_))
        )
    }

    fn kind(&self, ty: &Type) -> Option<&TypeKind> {
        self.0
            .get(base_name(ty).as_str())
            .map(|definition| &definition.kind)
    }

    /// The arguments of a field as a noun gets them.
    pub(super) fn args<'a>(
        &self,
        declared: impl IntoIterator<Item = &'a InputValueDefinition>,
        mut given: Map<String, Value>,
    ) -> Result<Args, ServerError> {
        self.object(declared, &mut given, "argument").map(Args)
    }

    fn object<'a>(
        &self,
        declared: impl IntoIterator<Item = &'a InputValueDefinition>,
        given: &mut Map<String, Value>,
        what: &str,
    ) -> Result<Map<String, Value>, ServerError> {
        let mut object = Map::new();
        for input in declared {
            let name = input.name.node.as_str();
            let value = match given.remove(name) {
                Some(value) if !value.is_null() => Some(self.input(&input.ty.node, value, name)?),
                _ => default_of(input)?,
            };
            match value {
                Some(value) => {
                    object.insert(name.to_owned(), value);
                }
                None if input.ty.node.nullable => {}
                None => {
                    return Err(invalid(format!(
                        "{what} \"{name}\" of type \"{}\" is required but not provided",
                        input.ty.node
                    )));
                }
            }
        }
        match given.keys().next() {
            Some(name) => Err(invalid(format!("unknown {what} \"{name}\""))),
            None => Ok(object),
        }
    }

    /// One input value that is not null.
    fn input(&self, ty: &Type, value: Value, name: &str) -> Result<Value, ServerError> {
        let mismatch = || {
            invalid(format!(
                "invalid value for \"{name}\": expected type \"{ty}\""
            ))
        };
        let base = match &ty.base {
            BaseType::List(item) => {
                let values = match value {
                    Value::Array(values) => values,
                    single => vec![single],
                };
                let items = values.into_iter().map(|value| match value {
                    Value::Null if item.nullable => Ok(Value::Null),
                    Value::Null => Err(mismatch()),
                    value => self.input(item, value, name),
                });
                return items.collect::<Result<_, _>>().map(Value::Array);
            }
            BaseType::Named(base) => base,
        };
        match self.kind(ty) {
            Some(TypeKind::InputObject(definition)) => match value {
                Value::Object(mut fields) => {
                    let declared = definition.fields.iter().map(|field| &field.node);
                    self.object(declared, &mut fields, "field")
                        .map(Value::Object)
                }
                _ => Err(mismatch()),
            },
            Some(TypeKind::Enum(_)) => Ok(value),
            _ if scalar_fits(base, &value) => Ok(match value {
                Value::Number(number) if base == "ID" => Value::String(number.to_string()),
                value => value,
            }),
            _ => Err(mismatch()),
        }
    }

    /// A scalar, an enum value, or a list of those as the answer to a field of type `ty`; what
    /// does not fit is this server's own mistake.
    pub(super) fn output(&self, ty: &Type, value: Value) -> Result<GraphQlValue, String> {
        match (&ty.base, value) {
            (_, Value::Null) if ty.nullable => Ok(GraphQlValue::Null),
            (_, Value::Null) => Err(format!("null where \"{ty}\" is declared")),
            (BaseType::List(item), Value::Array(values)) => values
                .into_iter()
                .map(|value| self.output(item, value))
                .collect::<Result<_, _>>()
                .map(GraphQlValue::List),
            (BaseType::List(_), _) => Err(format!("no list where \"{ty}\" is declared")),
            (BaseType::Named(base), value) => match self.kind(ty) {
                Some(TypeKind::Enum(definition)) => value
                    .as_str()
                    .filter(|name| definition.values.iter().any(|v| v.node.value.node == *name))
                    .map(|name| GraphQlValue::Enum(Name::new(name)))
                    .ok_or_else(|| format!("{value} is no value of enum \"{base}\"")),
                Some(TypeKind::Scalar) | None if scalar_fits(base, &value) => {
                    GraphQlValue::from_json(value).map_err(|error| error.to_string())
                }
                _ => Err(format!("{value} where \"{ty}\" is declared")),
            },
        }
    }
}

/// The named type at the bottom of lists and exclamation marks.
pub(super) fn base_name(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base_name(item),
    }
}

/// Whether a JSON value is one of the scalar's; the custom ones follow the SDL's head comment.
pub(super) fn scalar_fits(scalar: &str, value: &Value) -> bool {
    match scalar {
        "Int" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "Float" => value.is_number(),
        "Boolean" => value.is_boolean(),
        "ID" => value.is_string() || value.is_i64(),
        "Int64" | "Duration" => value.is_i64(),
        "String" | "DateTime" | "JSONString" => value.is_string(),
        // "JSON", the only other one.
        _ => true,
    }
}

fn default_of(input: &InputValueDefinition) -> Result<Option<Value>, ServerError> {
    let Some(default) = &input.default_value else {
        return Ok(None);
    };
    default
        .node
        .clone()
        .into_json()
        .map(|value| (!value.is_null()).then_some(value))
        .map_err(|error| ServerError::internal("reading a default of the SDL", error))
}

fn invalid(message: String) -> ServerError {
    ServerError::Invalid(message)
}
