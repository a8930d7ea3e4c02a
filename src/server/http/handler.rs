//! The download handler (protocol §9.3): the way to content without a signed URL.
//!
//! | layout | path |
//! |---|---|
//! | V1 | `/artifacts/{entity}/{hex}` |
//! | V2 | `/artifactsV2/{region}/{entity}/…ids and names…/{hex}/{basename}` |
//!
//! What lies between entity and digest differs from client to client (with project and collection
//! or without, with one id or two), and an id may hold a `/` of its own, so it is not read: the
//! digest decides, within what the caller may see of the entity. The base name is not encoded by
//! clients and may hold anything; it is not read either.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::connection::ResetSwitch;
use super::control::Admission;
use super::faults::Class;
use super::{App, blocking, reply};

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
    let Some((entity, hex)) = target(uri.path()) else {
        return reply::not_found();
    };
    let store = Arc::clone(&app.store);
    let found = blocking(move || store.handler_object(caller.user_id, caller.admin, &entity, &hex));
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

/// Entity and digest in hex.
fn target(path: &str) -> Option<(String, String)> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (entity, hex) = match segments[..] {
        ["artifacts", entity, hex] => (entity, hex),
        ["artifactsV2", _region, entity, .., hex, _basename] => (entity, hex),
        _ => return None,
    };
    let is_digest = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let entity = percent_decode_str(entity).decode_utf8().ok()?;
    is_digest.then(|| (entity.into_owned(), hex.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const HEX: &str = "5d41402abc4b2a76b9719d911017c592";

    #[test]
    fn all_layouts_name_entity_and_digest() {
        for path in [
            format!("/artifacts/ent/{HEX}"),
            format!("/artifactsV2/default/ent/proj/coll/QXJ0%3D/QmlydA%3D%3D/{HEX}/a.txt"),
            format!("/artifactsV2/default/ent/proj/coll/QX/J0/{HEX}/a.txt"),
            format!("/artifactsV2/default/ent//{HEX}/a.txt"),
            format!("/artifactsV2/default/ent/birth/{HEX}/100%"),
        ] {
            assert_eq!(target(&path), Some(("ent".into(), HEX.into())), "{path}");
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
