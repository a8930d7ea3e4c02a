//! Answers that are not content: always JSON, in the shape clients of W&B look for.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::server::engine::Answer;
use crate::server::store::StoreError;

/// An error with this status, `{"errors":[{"message": …}]}`.
pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    json(status, Answer::error(status.as_u16(), message).body)
}

/// JSON at hand.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let content_type = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    (status, [content_type], body).into_response()
}

/// 404.
pub(crate) fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "not found")
}

/// What the store refused, outside of GraphQL. Its own failures are logged and not shown.
pub(crate) fn failure(failure: &StoreError) -> Response {
    let status = match failure {
        StoreError::NotFound(_) => StatusCode::NOT_FOUND,
        StoreError::Forbidden(_) => StatusCode::FORBIDDEN,
        StoreError::Invalid(_) => StatusCode::BAD_REQUEST,
        StoreError::Conflict(_) => StatusCode::CONFLICT,
        StoreError::Full(_) => {
            tracing::error!(error = ?failure, "the store is full");
            StatusCode::INSUFFICIENT_STORAGE
        }
        StoreError::Busy
        | StoreError::TooNew { .. }
        | StoreError::Sqlite(_)
        | StoreError::Io(_)
        | StoreError::Json(_) => {
            tracing::error!(error = ?failure, "the store failed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    error(status, &failure.to_string())
}
