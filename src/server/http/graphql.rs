//! `POST /graphql`.

use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::connection::ResetSwitch;
use super::control::Admission;
use super::faults::Class;
use crate::server::engine::{Answer, Call, Cx, Names};

/// Largest request body, compressed or not. The SDK's largest calls name 5000 manifest entries,
/// which is a few megabytes.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Executes a document.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    ConnectInfo(line): ConnectInfo<ResetSwitch>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let call = match read(&headers, body).await {
        Ok(body) => Call::parse(&body),
        Err(answer) => Err(answer),
    };
    let names = call.as_ref().map_or_else(|_| Names::default(), Call::names);
    let shape = match app.admit(Class::Graphql, Some(&names), &line).await {
        Admission::Serve(shape) => shape,
        Admission::Instead(response) => return response,
    };
    let caller = match app.caller(&headers).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let answer = match call {
        Ok(call) => {
            let base_url = app.base_url(&headers);
            let cx = Cx {
                store: Arc::clone(&app.store),
                caller,
                urls: app.signer_at(&base_url),
                base_url,
            };
            app.engine.execute(call, Arc::new(cx)).await
        }
        Err(answer) => answer,
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static("application/json");
    let length = HeaderValue::from(answer.body.len());
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_LENGTH, length),
    ];
    (status, headers, shape.bytes(Bytes::from(answer.body))).into_response()
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Answer> {
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Answer::error(413, "the request body is too large or incomplete"))?;
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("identity") => Ok(body),
        Some("gzip" | "x-gzip") => tokio::task::spawn_blocking(move || unzip(&body))
            .await
            .map_err(|_| Answer::error(500, "internal error"))?,
        Some(_) => Err(Answer::error(415, "unknown content encoding")),
    }
}

fn unzip(body: &[u8]) -> Result<Bytes, Answer> {
    let mut text = Vec::new();
    let limit = MAX_BODY as u64 + 1;
    flate2::read::MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|_| Answer::error(400, "the request body is no valid gzip"))?;
    if text.len() as u64 == limit {
        return Err(Answer::error(413, "the request body is too large"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn gzip_is_undone_and_rubbish_is_refused() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(b"{}").unwrap();
        assert_eq!(unzip(&encoder.finish().unwrap()).unwrap(), "{}");
        assert_eq!(unzip(b"rubbish").unwrap_err().status, 400);
    }
}
