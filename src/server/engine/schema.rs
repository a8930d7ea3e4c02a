//! From the text of the SDL to a schema that can be executed.
//!
//! async-graphql's dynamic schemas demand that an object's field has the very type its interface
//! declares, though GraphQL allows a narrower one: the SDL declares no such field.

use std::sync::Arc;

use async_graphql::dynamic::{
    self, Field, FieldFuture, FieldValue, InputObject, InputValue, Interface, InterfaceField,
    Object, ResolverContext, Scalar, Schema, SchemaBuilder, TypeRef, Union,
};
use async_graphql_parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind,
};
use serde_json::{Map, Value};

use super::coerce::{Types, scalar_fits};
use super::{Cx, Noun, Out, ServerError};

/// The SDL, the only place where served types are declared.
pub(crate) const SDL: &str = include_str!("../../wandb/schema.graphql");

/// Deepest nesting of a document. The SDK's deepest query has 13 levels, the usual introspection
/// query 14; the limit only keeps a hostile document from exhausting the stack.
const MAX_NESTING: usize = 64;

/// The nouns behind the root types.
#[derive(Clone)]
pub(crate) struct Roots {
    /// Answers the fields of `Query`.
    pub(crate) query: Arc<dyn Noun>,
    /// Answers the fields of `Mutation`.
    pub(crate) mutation: Arc<dyn Noun>,
}

/// Why the schema could not be built: the SDL is at fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot build the GraphQL schema: {0}")]
pub(crate) struct SchemaFault(String);

/// Builds the schema of [`SDL`].
pub(super) fn build(roots: &Roots) -> Result<Schema, SchemaFault> {
    let document =
        async_graphql_parser::parse_schema(SDL).map_err(|error| SchemaFault(error.to_string()))?;
    let types = Arc::new(Types::of(document));
    let mut builder = Schema::build("Query", Some("Mutation"), None)
        .limit_recursive_depth(MAX_NESTING)
        .disable_suggestions();
    for (name, definition) in types.iter() {
        let root = match name {
            "Query" => Some(Arc::clone(&roots.query)),
            "Mutation" => Some(Arc::clone(&roots.mutation)),
            _ => None,
        };
        builder = register(builder, &types, name, definition, root);
    }
    builder
        .finish()
        .map_err(|error| SchemaFault(error.to_string()))
}

fn register(
    builder: SchemaBuilder,
    types: &Arc<Types>,
    name: &str,
    definition: &TypeDefinition,
    root: Option<Arc<dyn Noun>>,
) -> SchemaBuilder {
    match &definition.kind {
        TypeKind::Scalar => builder.register(scalar(name)),
        TypeKind::Object(kind) => {
            let object = kind
                .implements
                .iter()
                .fold(Object::new(name), |object, interface| {
                    object.implement(interface.node.as_str())
                });
            builder.register(kind.fields.iter().fold(object, |object, field| {
                object.field(object_field(types, &field.node, root.clone()))
            }))
        }
        TypeKind::Interface(kind) => {
            let interface = kind
                .implements
                .iter()
                .fold(Interface::new(name), |interface, parent| {
                    interface.implement(parent.node.as_str())
                });
            let fields = kind.fields.iter();
            builder.register(fields.fold(interface, |interface, field| {
                let declared = &field.node;
                let field = InterfaceField::new(&*declared.name.node, type_ref(&declared.ty.node));
                interface.field(declared.arguments.iter().fold(field, |field, argument| {
                    field.argument(input_value(&argument.node))
                }))
            }))
        }
        TypeKind::Union(kind) => {
            builder.register(kind.members.iter().fold(Union::new(name), |union, member| {
                union.possible_type(member.node.as_str())
            }))
        }
        TypeKind::Enum(kind) => {
            let items = kind
                .values
                .iter()
                .map(|value| value.node.value.node.as_str());
            builder.register(dynamic::Enum::new(name).items(items))
        }
        TypeKind::InputObject(kind) => builder.register(
            kind.fields
                .iter()
                .fold(InputObject::new(name), |object, field| {
                    object.field(input_value(&field.node))
                }),
        ),
    }
}

fn scalar(name: &str) -> Scalar {
    let owned = name.to_owned();
    Scalar::new(name).validator(move |value| {
        value
            .clone()
            .into_json()
            .is_ok_and(|json| json.is_null() || scalar_fits(&owned, &json))
    })
}

fn input_value(declared: &InputValueDefinition) -> InputValue {
    let input = InputValue::new(&*declared.name.node, type_ref(&declared.ty.node));
    match &declared.default_value {
        Some(default) => input.default_value(default.node.clone()),
        None => input,
    }
}

fn type_ref(ty: &Type) -> TypeRef {
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(item) => TypeRef::List(Box::new(type_ref(item))),
    };
    if ty.nullable {
        base
    } else {
        TypeRef::NonNull(Box::new(base))
    }
}

/// A field with the one resolver there is: ask the noun, check the answer.
fn object_field(
    types: &Arc<Types>,
    declared: &FieldDefinition,
    root: Option<Arc<dyn Noun>>,
) -> Field {
    let types = Arc::clone(types);
    let shared = Arc::new(declared.clone());
    let field = Field::new(
        &*declared.name.node,
        type_ref(&declared.ty.node),
        move |ctx| {
            let (types, declared, root) = (Arc::clone(&types), Arc::clone(&shared), root.clone());
            FieldFuture::new(async move {
                resolve(&types, &declared, root, &ctx)
                    .await
                    .map_err(ServerError::into_graphql)
            })
        },
    );
    declared.arguments.iter().fold(field, |field, argument| {
        field.argument(input_value(&argument.node))
    })
}

async fn resolve(
    types: &Types,
    declared: &FieldDefinition,
    root: Option<Arc<dyn Noun>>,
    ctx: &ResolverContext<'_>,
) -> Result<Option<FieldValue<'static>>, ServerError> {
    const ASKING: &str = "asking for a field";
    let cx = ctx
        .data::<Arc<Cx>>()
        .map_err(|error| ServerError::internal(ASKING, error.message))?;
    let is_mutation = root
        .as_ref()
        .is_some_and(|root| root.type_name() == "Mutation");
    if is_mutation && cx.caller.read_only {
        return Err(ServerError::Forbidden("this key may only read".into()));
    }
    let noun = root
        .as_ref()
        .or_else(|| ctx.parent_value.downcast_ref::<Arc<dyn Noun>>())
        .ok_or_else(|| ServerError::internal(ASKING, "the parent is null or no object"))?;
    let mut given = Map::new();
    for (name, value) in ctx.args.iter() {
        let json = value
            .as_value()
            .clone()
            .into_json()
            .map_err(|error| ServerError::internal(ASKING, error))?;
        given.insert(name.to_string(), json);
    }
    let args = types.args(
        declared.arguments.iter().map(|argument| &argument.node),
        given,
    )?;
    let out = noun.field(cx, &declared.name.node, &args).await?;
    answer(types, &declared.ty.node, out).map_err(|fault| {
        let field = format!("{}.{}: {fault}", noun.type_name(), declared.name.node);
        ServerError::internal("checking an answer", field)
    })
}

fn answer(types: &Types, ty: &Type, out: Out) -> Result<Option<FieldValue<'static>>, String> {
    let is_abstract = types.is_abstract(ty);
    let value = |noun: Arc<dyn Noun>| {
        let concrete = noun.type_name();
        let value = FieldValue::owned_any(noun);
        if is_abstract {
            value.with_type(concrete)
        } else {
            value
        }
    };
    match out {
        Out::Null | Out::Value(Value::Null) if ty.nullable => Ok(None),
        Out::Null => Err(format!("null where \"{ty}\" is declared")),
        Out::Value(json) => types
            .output(ty, json)
            .map(|json| Some(FieldValue::value(json))),
        Out::Node(noun) => Ok(Some(value(noun))),
        // async-graphql has no null among the objects of a list; of the two lists that may hold
        // one by the SDL (features, feature flags) none ever does.
        Out::Nodes(nouns) => Ok(Some(FieldValue::list(
            nouns.into_iter().flatten().map(value),
        ))),
    }
}
