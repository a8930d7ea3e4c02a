//! Who asks: API keys and access tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::{App, blocking, reply};
use crate::server::engine::Caller;
use crate::server::store::StoreError;

/// How long an access token works. W&B's clients renew five minutes before the end, so it must be
/// longer than that.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Why a request has no caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// No credentials at all.
    #[error("no API key: sign in first")]
    Missing,
    /// Credentials that name nobody.
    #[error("invalid API key")]
    Wrong,
    /// The store could not be asked.
    #[error("cannot look up the API key")]
    Store(#[source] StoreError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match &self {
            Self::Missing | Self::Wrong => {
                let mut response = reply::error(StatusCode::UNAUTHORIZED, &self.to_string());
                let challenge = header::HeaderValue::from_static("Basic realm=\"wandb\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Store(failure) => reply::failure(failure),
        }
    }
}

/// Access tokens by value, in memory only: after a restart clients exchange their identity anew.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<String, (Caller, Instant)>>);

impl Tokens {
    /// A new token for this caller. Expired ones are forgotten here, which bounds the map by the
    /// exchanges of one hour (about 300 bytes each).
    pub(super) fn issue(&self, caller: Caller) -> String {
        let token = hex::encode(rand::random::<[u8; 32]>());
        let now = Instant::now();
        let mut tokens = self.0.lock();
        tokens.retain(|_, (_, expires)| *expires > now);
        tokens.insert(token.clone(), (caller, now + TOKEN_LIFETIME));
        token
    }

    fn owner(&self, token: &str) -> Option<Caller> {
        let tokens = self.0.lock();
        let (caller, expires) = tokens.get(token)?;
        (*expires > Instant::now()).then(|| caller.clone())
    }
}

impl App {
    /// The account behind `Authorization`: `Basic` with the key as password (any user name; the
    /// SDK says `api`), or `Bearer` with an access token or a key.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let value = headers.get(header::AUTHORIZATION).ok_or(Refusal::Missing)?;
        let secret = value
            .to_str()
            .ok()
            .and_then(secret_of)
            .ok_or(Refusal::Wrong)?;
        if let Some(caller) = self.tokens.owner(&secret) {
            return Ok(caller);
        }
        let store = Arc::clone(&self.store);
        blocking(move || store.key_owner(&secret))
            .await
            .map_err(Refusal::Store)?
            .map(Caller::from)
            .ok_or(Refusal::Wrong)
    }
}

fn secret_of(authorization: &str) -> Option<String> {
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (_, key) = decoded.split_once(':')?;
    Some(key.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn both_schemes_give_the_secret_and_other_headers_give_none() {
        let basic = format!("Basic {}", STANDARD.encode("api:key-with:colon"));
        assert_eq!(secret_of(&basic).as_deref(), Some("key-with:colon"));
        assert_eq!(secret_of("bearer tok").as_deref(), Some("tok"));
        assert_eq!(secret_of("Basic !!"), None);
        assert_eq!(secret_of("Digest x"), None);
        assert_eq!(secret_of("tok"), None);
    }

    #[test]
    fn a_token_is_its_callers_and_no_one_elses() {
        let tokens = Tokens::default();
        let caller = Caller {
            user_id: 1,
            username: "u".into(),
            entity: "u".into(),
            admin: false,
            read_only: false,
        };
        let token = tokens.issue(caller.clone());
        assert_eq!(tokens.owner(&token), Some(caller));
        assert_eq!(tokens.owner("other"), None);
    }
}
