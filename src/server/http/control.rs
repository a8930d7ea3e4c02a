//! `--test-controls`: request counters, faults, and accounts made without a sign-up.
//!
//! Counters see every request of a class when it arrives, refused and faulted ones included;
//! `bytes` are the bytes of manifests and other content that were handed to a connection.
//! `handler` (the download handler, which only redirects) is counted besides the pinned keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::watch;

use super::connection::ResetSwitch;
use super::faults::{Class, Fault, Kind, Knobs};
use super::reply::error;
use super::shape::{Damage, Link, Shape};
use super::{App, blocking};
use crate::server::engine::Names;
use crate::server::store::accounts::Role;
use crate::server::store::enrol::{EntityChange, UserRequest};

/// How many requests of each kind arrived since the last reset.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    by_class: Mutex<BTreeMap<&'static str, u64>>,
    by_operation: Mutex<BTreeMap<String, u64>>,
    bytes: AtomicU64,
}

impl Counters {
    fn arrived(&self, class: Class, names: Option<&Names>) {
        *self.by_class.lock().entry(class.as_str()).or_default() += 1;
        if let Some(names) = names {
            *self
                .by_operation
                .lock()
                .entry(names.operation.clone())
                .or_default() += 1;
        }
    }

    /// Adds bytes of content handed to a connection.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn reset(&self) {
        self.by_class.lock().clear();
        self.by_operation.lock().clear();
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn json(&self) -> serde_json::Value {
        let by_class = self.by_class.lock();
        let count = |class: Class| by_class.get(class.as_str()).copied().unwrap_or_default();
        json!({
            "graphql": count(Class::Graphql),
            "manifest": count(Class::Manifest),
            "blob": count(Class::Blob),
            "upload": count(Class::Upload),
            "bytes": self.bytes.load(Ordering::Relaxed),
            "by_operation": *self.by_operation.lock(),
            "handler": count(Class::Handler),
        })
    }
}

/// The state behind `/_test/`.
pub(crate) struct Controls {
    counters: Arc<Counters>,
    knobs: Mutex<Knobs>,
    link: Mutex<Option<Arc<Link>>>,
    /// Changes whenever the knobs do, and when the server stops; stalled requests wait for it.
    turned: watch::Sender<u64>,
}

/// What becomes of a request.
pub(crate) enum Admission {
    /// Answer it, and send the answer like this.
    Serve(Shape),
    /// This is its answer.
    Instead(Response),
}

impl Controls {
    /// No faults, nothing counted.
    pub(crate) fn new() -> Self {
        Self {
            counters: Arc::default(),
            knobs: Mutex::default(),
            link: Mutex::default(),
            turned: watch::Sender::new(0),
        }
    }

    /// Lets every stalled request go on.
    pub(crate) fn release(&self) {
        self.turned.send_modify(|turns| *turns += 1);
    }

    fn set(&self, knobs: Knobs) {
        let link = knobs
            .bytes_per_s
            .filter(|rate| *rate > 0)
            .map(|rate| Arc::new(Link::new(rate)));
        *self.link.lock() = link;
        *self.knobs.lock() = knobs;
        self.release();
    }

    /// How long a content URL made now works, if the knobs say so.
    pub(crate) fn url_lifetime(&self) -> Option<Duration> {
        self.knobs.lock().url_lifetime_s.map(Duration::from_secs)
    }

    /// Counts a request and decides what becomes of it, waiting as the knobs say.
    pub(crate) async fn admit(
        &self,
        class: Class,
        names: Option<&Names>,
        connection: &ResetSwitch,
    ) -> Admission {
        self.counters.arrived(class, names);
        // Subscribed before the knobs are read: a change in between must not be missed.
        let mut turned = self.turned.subscribe();
        let (latency, hit) = {
            let mut knobs = self.knobs.lock();
            (knobs.latency_ms, knobs.hit(class, names))
        };
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        let mut shape = Shape {
            link: self.link.lock().clone(),
            ..Shape::default()
        };
        if matches!(class, Class::Blob | Class::Manifest) {
            shape.counters = Some(Arc::clone(&self.counters));
        }
        match hit {
            None => {}
            Some((Kind::Status, fault)) => return Admission::Instead(refusal(&fault)),
            Some((Kind::Expire, _)) => return Admission::Instead(expired()),
            Some((Kind::Reset, _)) => {
                connection.throw();
                return Admission::Instead(StatusCode::SERVICE_UNAVAILABLE.into_response());
            }
            Some((Kind::Truncate, _)) => shape.damage = Some(Damage::Truncate),
            Some((Kind::Corrupt, _)) => shape.damage = Some(Damage::Corrupt),
            // An error would mean that the sender is gone, and it lives in `self`.
            Some((Kind::Stall, _)) => drop(turned.changed().await),
        }
        Admission::Serve(shape)
    }
}

fn refusal(fault: &Fault) -> Response {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = error(status, "fault injected by the test controls");
    if let Some(seconds) = &fault.retry_after
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// The answer to a URL that has expired or never was right.
pub(crate) fn expired() -> Response {
    error(
        StatusCode::FORBIDDEN,
        "the signature of this URL is wrong or has expired",
    )
}

/// The routes below `/_test`.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/requests", get(requests).delete(reset_requests))
        .route("/knobs", put(turn_knobs))
        .route("/users", post(create_user))
        .route("/teams", post(create_team))
        .route("/entities/{name}", put(set_entity))
}

async fn requests(State(app): State<Arc<App>>) -> Response {
    app.controls
        .as_ref()
        .map_or_else(super::reply::not_found, |controls| {
            Json(controls.counters.json()).into_response()
        })
}

async fn reset_requests(State(app): State<Arc<App>>) -> StatusCode {
    if let Some(controls) = &app.controls {
        controls.counters.reset();
    }
    StatusCode::NO_CONTENT
}

async fn turn_knobs(State(app): State<Arc<App>>, body: Bytes) -> Response {
    match (read::<Knobs>(&body), &app.controls) {
        (Ok(knobs), Some(controls)) => {
            controls.set(knobs);
            StatusCode::NO_CONTENT.into_response()
        }
        (Err(fault), _) => error(StatusCode::BAD_REQUEST, &fault),
        (_, None) => super::reply::not_found(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    username: Option<String>,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    read_only: bool,
}

async fn create_user(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: NewUser = match read(&body) {
        Ok(wanted) => wanted,
        Err(fault) => return error(StatusCode::BAD_REQUEST, &fault),
    };
    let store = Arc::clone(&app.store);
    let made = blocking(move || {
        store.enrol(&UserRequest {
            name: wanted.username.as_deref(),
            admin: wanted.admin,
            read_only: wanted.read_only,
        })
    });
    match made.await {
        Ok(user) => Json(json!({
            "username": user.username,
            "entity": user.entity,
            "api_key": user.api_key,
        }))
        .into_response(),
        Err(failure) => super::reply::failure(&failure),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTeam {
    team: Option<String>,
    org: Option<String>,
    #[serde(default)]
    members: Vec<NewMember>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMember {
    username: String,
    role: String,
}

async fn create_team(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let wanted: NewTeam = match read(&body) {
        Ok(wanted) => wanted,
        Err(fault) => return error(StatusCode::BAD_REQUEST, &fault),
    };
    let mut members = Vec::new();
    for NewMember { username, role } in wanted.members {
        match Role::parse(&role) {
            Some(role) => members.push((username, role)),
            None => return error(StatusCode::BAD_REQUEST, &format!("{role:?} is no role")),
        }
    }
    let store = Arc::clone(&app.store);
    let created = blocking(move || {
        store.create_team(wanted.team.as_deref(), wanted.org.as_deref(), &members)
    });
    match created.await {
        Ok(team) => Json(json!({
            "team": team.team,
            "org": team.org,
            "org_entity": team.org_entity,
        }))
        .into_response(),
        Err(failure) => super::reply::failure(&failure),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    protected_aliases: Option<Vec<String>>,
    xxhash_digests: Option<bool>,
}

async fn set_entity(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let wanted: Settings = match read(&body) {
        Ok(wanted) => wanted,
        Err(fault) => return error(StatusCode::BAD_REQUEST, &fault),
    };
    let change = EntityChange {
        protected_aliases: wanted.protected_aliases,
        xxh128: wanted.xxhash_digests,
    };
    let store = Arc::clone(&app.store);
    match blocking(move || store.set_entity(&name, &change)).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => super::reply::failure(&failure),
    }
}

/// A JSON body; nothing at all is an empty object. The error is what to tell the client.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|fault| format!("invalid request body: {fault}"))
}
