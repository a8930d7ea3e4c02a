//! `POST /oidc/token`: an identity token becomes an access token (protocol §1.3).
//!
//! Real servers check the token's signature against its issuer. This one has no issuers to trust:
//! it takes a token at its word, which is the account named by its `sub` claim. So that this opens
//! no door by accident, it does so only where the operator asked for it: with `--test-controls`, or
//! when the data directory holds a file named `trust-identity-tokens`. The access token is as good
//! as the account's key for one hour, in `Authorization: Bearer`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::auth::TOKEN_LIFETIME;
use super::{App, blocking, reply};
use crate::server::engine::Caller;

/// Name of the file that switches the exchange on.
const TRUST_FILE: &str = "trust-identity-tokens";

/// RFC 7523, and the only grant the SDK asks for.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Exchanges a token.
pub(super) async fn exchange(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let field = |name: &str| {
        url::form_urlencoded::parse(&body)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if field("grant_type").as_deref() != Some(GRANT) {
        return reply::error(StatusCode::BAD_REQUEST, "unsupported grant_type");
    }
    if app.controls.is_none() && !app.data.join(TRUST_FILE).exists() {
        return reply::error(
            StatusCode::FORBIDDEN,
            "this server trusts no identity tokens",
        );
    }
    let Some(subject) = field("assertion").as_deref().and_then(subject_of) else {
        return reply::error(
            StatusCode::BAD_REQUEST,
            "the assertion is no identity token",
        );
    };
    let store = Arc::clone(&app.store);
    match blocking(move || store.user_by_name(&subject)).await {
        Ok(Some(user)) => axum::Json(json!({
            "access_token": app.tokens.issue(Caller::from(user)),
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME.as_secs(),
        }))
        .into_response(),
        Ok(None) => reply::error(StatusCode::UNAUTHORIZED, "the identity token names no user"),
        Err(failure) => reply::failure(&failure),
    }
}

/// The `sub` claim of a token whose time is not over.
fn subject_of(token: &str) -> Option<String> {
    let mut segments = token.trim().split('.');
    let (_header, claims, _signature) = (segments.next()?, segments.next()?, segments.next()?);
    if segments.next().is_some() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    if claims
        .get("exp")
        .and_then(Value::as_f64)
        .is_some_and(|exp| exp < now.as_secs_f64())
    {
        return None;
    }
    Some(claims.get("sub")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn the_subject_of_a_live_token_is_found() {
        assert_eq!(
            subject_of(&token(&json!({"sub": "ann"}))).as_deref(),
            Some("ann")
        );
        let later = json!({"sub": "ann", "exp": 99_999_999_999_u64});
        assert_eq!(subject_of(&token(&later)).as_deref(), Some("ann"));
    }

    #[test]
    fn expired_and_malformed_tokens_have_none() {
        assert_eq!(subject_of(&token(&json!({"sub": "ann", "exp": 1}))), None);
        assert_eq!(subject_of(&token(&json!({"iss": "x"}))), None);
        for malformed in ["", "a.b", "a.b.c", "a.b.c.d"] {
            assert_eq!(subject_of(malformed), None, "{malformed}");
        }
    }
}
