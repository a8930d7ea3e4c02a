//! Content for anybody: what the demo's http reference points at, so that the demo shows one without
//! leaving this machine.

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use super::range::respond;
use crate::server::seed::{SAMPLE, sample_etag};

/// GET and HEAD of the sample.
pub(super) async fn sample(method: Method, headers: HeaderMap) -> Response {
    let etag = format!("\"{}\"", sample_etag());
    respond(
        &method,
        &headers,
        &etag,
        SAMPLE.len() as u64,
        |offset, len| {
            let range = usize::try_from(offset)
                .ok()
                .zip(usize::try_from(offset + len).ok());
            let bytes = range.and_then(|(from, to)| SAMPLE.get(from..to));
            Body::from(bytes.unwrap_or_default())
        },
    )
}
