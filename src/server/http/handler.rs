//! The download handler (protocol §9.3): the way to content without a signed URL.
//!
//! | layout | path |
//! |---|---|
//! | V1 | `/artifacts/{entity}/{hex}` |
//! | V2 | `/artifactsV2/{region}/{entity}/…ids and names…/{hex}/{basename}` |
//!
//! What lies between entity and digest differs from client to client (with project and collection
//! or without, with one id or two), and an id may hold a `/` of its own, so it is not read, nor is the
//! entity: the digest decides, among what the caller may see. The base name is not encoded by
//! clients and may hold anything; it is not read either.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::connection::ResetSwitch;
use super::control::Admission;
use super::faults::Class;
use super::{App, blocking, reply};
use crate::server::store::projects::Viewer;

/// Redirects to the signed URL of the content.
pub(super) async fn redirect(
    State(app): State<Arc<App>>,
    ConnectInfo(line): ConnectInfo<ResetSwitch>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Admission::Instead(response) = app.admit(Class::Handler, None, &line).await {
        return response;
    }
    let caller = match app.caller(&headers).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(hex) = target(uri.path()) else {
        return reply::not_found();
    };
    let store = Arc::clone(&app.store);
    let viewer = Viewer {
        user_id: caller.user_id,
        admin: caller.admin,
    };
    let found = blocking(move || store.handler_object(viewer, &hex));
    match found.await {
        Ok(Some(object)) => {
            let url = app.signer_at(&app.base_url(&headers)).download(&object);
            match HeaderValue::from_str(&url) {
                Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
                Err(_) => reply::not_found(),
            }
        }
        Ok(None) => reply::not_found(),
        Err(failure) => reply::failure(&failure),
    }
}

/// The digest in hex.
fn target(path: &str) -> Option<String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let hex = match segments[..] {
        ["artifacts", _entity, hex] => hex,
        ["artifactsV2", _region, _entity, .., hex, _basename] => hex,
        _ => return None,
    };
    let is_digest = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| hex.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const HEX: &str = "5d41402abc4b2a76b9719d911017c592";

    #[test]
    fn all_layouts_name_the_digest() {
        for path in [
            format!("/artifacts/ent/{HEX}"),
            format!("/artifactsV2/default/ent/proj/coll/QXJ0%3D/QmlydA%3D%3D/{HEX}/a.txt"),
            format!("/artifactsV2/default/ent/proj/coll/QX/J0/{HEX}/a.txt"),
            format!("/artifactsV2/default/ent//{HEX}/a.txt"),
            format!("/artifactsV2/default/ent/birth/{HEX}/100%"),
        ] {
            assert_eq!(target(&path), Some(HEX.into()), "{path}");
        }
    }

    #[test]
    fn anything_else_is_not_found() {
        for path in [
            "/artifacts/ent/zz",
            "/artifacts/ent",
            "/artifactsV2/r/e/x/y",
            "/artifacts/",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }
}
