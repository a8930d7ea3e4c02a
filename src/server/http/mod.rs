//! The HTTP side of the server.
//!
//! | route | who may | module |
//! |---|---|---|
//! | `POST /graphql` | a valid key | `graphql` |
//! | `GET`, `HEAD`, `PUT /storage/…` | whoever holds the signed URL | `content` |
//! | `GET /artifacts/…`, `/artifactsV2/…` | a valid key | `handler` |
//! | `POST /oidc/token` | holders of an accepted identity token | `oidc` |
//! | `POST /files/…/file_stream` | a valid key | here |
//! | `GET /public/sample.txt` | anybody | `public` |
//! | `/_test/…` | anybody, only with `--test-controls` | `control` |
//!
//! Anything else is a 404 with a JSON body: a client must never take a web page for content.

mod auth;
pub(crate) mod connection;
mod content;
pub(crate) mod control;
mod faults;
mod graphql;
mod handler;
mod oidc;
mod public;
mod range;
mod reply;
mod shape;
pub(crate) mod urls;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use futures::StreamExt;

use super::engine::{Engine, Names};
use super::store::{Store, StoreError};
use auth::Tokens;
use connection::ResetSwitch;
use control::{Admission, Controls};
use faults::Class;
use urls::UrlSigner;

/// Everything a request handler may use.
pub(crate) struct App {
    /// The database and the blobs.
    pub(crate) store: Arc<Store>,
    /// Executes GraphQL.
    pub(crate) engine: Engine,
    /// Signs and checks content URLs; its base URL is the listening address.
    pub(crate) signer: UrlSigner,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Access tokens handed out by this process.
    tokens: Tokens,
    /// The test controls, if they are on.
    pub(crate) controls: Option<Controls>,
}

impl App {
    /// Puts the parts together.
    pub(crate) fn new(
        store: Arc<Store>,
        engine: Engine,
        signer: UrlSigner,
        data: PathBuf,
        test_controls: bool,
    ) -> Self {
        let controls = test_controls.then(Controls::new);
        Self {
            store,
            engine,
            signer,
            data,
            tokens: Tokens::default(),
            controls,
        }
    }

    /// Counts a request and decides what becomes of it; without test controls it is just served.
    async fn admit(&self, class: Class, names: Option<&Names>, line: &ResetSwitch) -> Admission {
        match &self.controls {
            Some(controls) => controls.admit(class, names, line).await,
            None => Admission::Serve(shape::Shape::default()),
        }
    }

    /// Makes the URLs that go to a client who reached the server at `base_url`.
    fn signer_at(&self, base_url: &str) -> UrlSigner {
        let signer = self.signer.at(base_url);
        match self.controls.as_ref().and_then(Controls::url_lifetime) {
            Some(lifetime) => signer.lasting(lifetime),
            None => signer,
        }
    }

    /// The base URL under which this request reached the server. A server may have several names
    /// (a container's, a tunnel's), and the URLs it hands out must work for the one who asks.
    fn base_url(&self, headers: &HeaderMap) -> String {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        match host.filter(|host| is_authority(host)) {
            Some(host) => format!("http://{host}"),
            None => self.signer.base_url().to_owned(),
        }
    }
}

fn is_authority(host: &str) -> bool {
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}

/// The routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/graphql", post(graphql::answer))
        .route("/oidc/token", post(oidc::exchange))
        .route(
            "/files/{entity}/{project}/{run}/file_stream",
            post(file_stream),
        )
        .route(
            "/storage/{*object}",
            get(content::read).head(content::read).put(content::write),
        )
        .route(
            "/public/sample.txt",
            get(public::sample).head(public::sample),
        )
        .route("/artifacts/{*path}", get(handler::redirect))
        .route("/artifactsV2/{*path}", get(handler::redirect));
    if app.controls.is_some() {
        router = router.nest("/_test", control::routes());
    }
    router
        .method_not_allowed_fallback(|| async {
            reply::error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .fallback(any(|| async { reply::not_found() }))
        .with_state(app)
}

/// Takes metrics and throws them away: no noun of this server shows a run's history.
async fn file_stream(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    if let Err(refusal) = app.caller(&headers).await {
        return refusal.into_response();
    }
    let mut pieces = body.into_data_stream();
    while let Some(Ok(_)) = pieces.next().await {}
    axum::Json(serde_json::json!({})).into_response()
}

/// Runs a call of the store off the async workers.
pub(crate) async fn blocking<T, F>(call: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(failure) => Err(StoreError::Io(std::io::Error::other(failure))),
    }
}
