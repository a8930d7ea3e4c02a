//! Why a field could not be answered.

use async_graphql::ErrorExtensions;

/// Extension key under which a client finds the kind of an error.
const CODE: &str = "code";

/// Why a field could not be answered: an entry of `errors` in an answer with status 200, which is
/// what every flow of the SDK accepts. (Wrong keys never get this far, they are refused with 401.)
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The named thing does not exist, or the caller may not know that it does.
    #[error("{0} not found")]
    NotFound(String),
    /// The caller may see it but not do this.
    #[error("permission denied: {0}")]
    Forbidden(String),
    /// The request can never succeed as it is.
    #[error("{0}")]
    Invalid(String),
    /// The request does not fit the present state.
    #[error("{0}")]
    Conflict(String),
    /// This server's own trouble; the chain is logged, the caller sees only the context.
    #[error("internal error while {context}")]
    Internal {
        /// What was being done.
        context: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServerError {
    /// A field of the SDL that the noun does not answer.
    pub(crate) fn unknown_field(type_name: &str, field: &str) -> Self {
        Self::Invalid(format!(
            "Cannot query field \"{field}\" on type \"{type_name}\"."
        ))
    }

    /// Wraps an error of this server's own making.
    pub(crate) fn internal(
        context: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Internal {
            context,
            source: source.into(),
        }
    }

    /// Stable name of the kind.
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "NOT_FOUND",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Invalid(_) => "INVALID",
            Self::Conflict(_) => "CONFLICT",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    /// As an entry of `errors`, logging what the caller does not get to see.
    pub(super) fn into_graphql(self) -> async_graphql::Error {
        if let Self::Internal { context, source } = &self {
            tracing::error!(error = ?source, "internal error while {context}");
        }
        let code = self.code();
        async_graphql::Error::new(self.to_string()).extend_with(|_, e| e.set(CODE, code))
    }
}
