//! What our schema says of types, for telling which field a complaint is about.

use std::collections::HashMap;
use std::sync::OnceLock;

use graphql_parser::schema::{self, TypeDefinition, parse_schema};

/// What the schema says of types: which type a field has, and which interfaces a type has.
#[derive(Default)]
struct Types {
    fields: HashMap<(String, String), String>,
    interfaces: HashMap<String, Vec<String>>,
}

/// Whether a type is another or has it as an interface, either way round: a complaint about an
/// object type concerns the field where it is selected through the interface.
pub(crate) fn is_a(one: &str, other: &str) -> bool {
    let has = |object: &str, interface: &str| {
        let list = types().interfaces.get(object);
        list.is_some_and(|list| list.iter().any(|name| name == interface))
    };
    one == other || has(one, other) || has(other, one)
}

/// Our own schema, parsed when the first complaint comes; about 200 KB from then on.
fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| {
        let mut types = Types::default();
        let Ok(schema) = parse_schema::<String>(include_str!("schema.graphql")) else {
            return types; // the build has parsed it; without types, names alone decide
        };
        for definition in schema.definitions {
            let schema::Definition::TypeDefinition(definition) = definition else {
                continue;
            };
            let (name, fields) = match definition {
                TypeDefinition::Object(object) => {
                    let interfaces = object.implements_interfaces;
                    types.interfaces.insert(object.name.clone(), interfaces);
                    (object.name, object.fields)
                }
                TypeDefinition::Interface(interface) => (interface.name, interface.fields),
                _ => continue,
            };
            for field in fields {
                let inner = innermost_schema(field.field_type);
                types.fields.insert((name.clone(), field.name), inner);
            }
        }
        types
    })
}

fn innermost_schema(of: schema::Type<'_, String>) -> String {
    match of {
        schema::Type::NamedType(name) => name,
        schema::Type::ListType(inner) | schema::Type::NonNullType(inner) => {
            innermost_schema(*inner)
        }
    }
}

/// The type of a field of a type, without list and non-null; empty where the schema has none.
pub(crate) fn type_of_field(on: &str, field: &str) -> &'static str {
    let inner = types().fields.get(&(on.to_owned(), field.to_owned()));
    inner.map_or("", String::as_str)
}
