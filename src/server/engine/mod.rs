//! The GraphQL engine: serves exactly the types of `wandb/schema.graphql`.
//!
//! The schema is built at start from the text of that file, and every field of every object type
//! gets the same resolver, which asks the value it belongs to (its [`Noun`]) by name. So what is
//! served *is* the file, and a new field is one line there and one arm in the noun's `match`.
//! The price is that a forgotten arm shows at run time only; a test walks all fields for that.
//!
//! | difficulty | answered by |
//! |---|---|
//! | null, absent and default arguments must look alike to a noun | [`Args`], filled by `coerce` |
//! | interface and union members | [`Noun::type_name`] |
//! | pages look the same at twenty places | [`Connection`] |
//! | errors become messages | [`ServerError`] |

mod args;
mod coerce;
mod connection;
mod error;
mod execute;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

pub(crate) use args::{Args, PageArgs};
pub(crate) use connection::{Connection, Edge, Total};
pub(crate) use error::ServerError;
pub(crate) use execute::{Answer, Call, Engine, Names};
pub(crate) use schema::Roots;

use crate::server::http::urls::UrlSigner;
use crate::server::store::Store;
use crate::server::store::accounts::KeyOwner;

/// A value of a GraphQL object type, which answers its own fields.
#[async_trait]
pub(crate) trait Noun: Send + Sync + 'static {
    /// Concrete type name in the SDL (`ArtifactSequence`, …); chooses among the members of an
    /// interface or union.
    fn type_name(&self) -> &'static str;

    /// Answers one field of the SDL. `__typename` never arrives here.
    ///
    /// # Errors
    /// Whatever the store says; a field this noun does not know is
    /// [`ServerError::unknown_field`], which a test finds.
    async fn field(&self, cx: &Cx, name: &str, args: &Args) -> Result<Out, ServerError>;
}

/// The answer to one field, checked against the field's declared type by the engine.
pub(crate) enum Out {
    /// `null`.
    Null,
    /// A scalar, an enum value (as its name) or a list of those. `Value::Null` is [`Out::Null`].
    Value(Value),
    /// One object.
    Node(Arc<dyn Noun>),
    /// A list of objects.
    Nodes(Vec<Option<Arc<dyn Noun>>>),
}

impl Out {
    /// A scalar or list of scalars; `None` is null.
    pub(crate) fn value(value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => Self::Null,
            value => Self::Value(value),
        }
    }

    /// One object.
    pub(crate) fn node(noun: impl Noun) -> Self {
        Self::Node(Arc::new(noun))
    }

    /// One object or null.
    pub(crate) fn maybe(noun: Option<impl Noun>) -> Self {
        noun.map_or(Self::Null, Self::node)
    }

    /// A list of objects, none of them null.
    pub(crate) fn nodes<N: Noun>(nouns: impl IntoIterator<Item = N>) -> Self {
        Self::Nodes(
            nouns
                .into_iter()
                .map(|noun| Some(Arc::new(noun) as Arc<dyn Noun>))
                .collect(),
        )
    }
}

/// The account a request was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Row of the user.
    pub(crate) user_id: i64,
    /// Login name.
    pub(crate) username: String,
    /// Name of the user's default entity.
    pub(crate) entity: String,
    /// May see and change everything.
    pub(crate) admin: bool,
    /// The key may not change anything: every field of `Mutation` refuses.
    pub(crate) read_only: bool,
}

impl From<KeyOwner> for Caller {
    fn from(owner: KeyOwner) -> Self {
        let KeyOwner {
            user_id,
            username,
            entity,
            read_only,
            admin,
        } = owner;
        Self {
            user_id,
            username,
            entity,
            admin,
            read_only,
        }
    }
}

/// What every field may use while one request is answered.
pub(crate) struct Cx {
    /// The database and the blobs.
    pub(crate) store: Arc<Store>,
    /// Who asks. Requests without a valid key never get this far.
    pub(crate) caller: Caller,
    /// Scheme, host and port under which the caller reached this server, no trailing slash.
    pub(crate) base_url: String,
    /// Makes the URLs under which content is read and written, below `base_url`.
    pub(crate) urls: UrlSigner,
}
