//! The nouns of the API.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    engine::{Args, Cx, Noun, Out, ServerError},
    store::StoreError,
};

impl From<StoreError> for ServerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Forbidden(text) => Self::Forbidden(text),
            StoreError::Invalid(text) => Self::Invalid(text),
            StoreError::Conflict(text) => Self::Conflict(text),
            other => Self::internal("using the store", other),
        }
    }
}

struct Root(&'static str);

#[async_trait]
impl Noun for Root {
    fn type_name(&self) -> &'static str {
        self.0
    }
    async fn field(&self, _cx: &Cx, name: &str, _args: &Args) -> Result<Out, ServerError> {
        Err(ServerError::unknown_field(self.0, name))
    }
}

/// The root of queries.
pub(crate) fn query_root() -> Arc<dyn Noun> {
    Arc::new(Root("Query"))
}

/// The root of mutations.
pub(crate) fn mutation_root() -> Arc<dyn Noun> {
    Arc::new(Root("Mutation"))
}
