//! One way over the wire for every operation: signing, deadline, retries, the reason of a refusal,
//! and documents that adapt to what the server knows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::auth::Authorization;
use super::client::ClientConfig;
use super::failure::{Cause, Failure, message, messages};
use super::http::{Purpose, extra_headers, http_client};
use super::operations::Operation;
use super::prune::{Adapted, Document};
use super::retry;
use crate::model::{Error, ErrorKind};
use crate::telemetry::{Meter, RequestKind, RequestRecord};

/// Longest wait for one answer, so that a lost one leaves time for another try (protocol §1.1: the
/// SDK's public API waits 19 s).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(19);

/// Tries while the host has never answered this process: a wrong address should not take the
/// whole deadline to be called one.
const TRIES_OF_UNKNOWN_HOST: u32 = 3;

/// Times a document is pruned before the server counts as too foreign. Servers name all their
/// complaints at once or one by one; no document of ours has as many fields in doubt.
const MAX_ADAPTATIONS: u32 = 48;

/// When a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Whenever that may help: asking twice does nothing twice.
    Freely,
    /// Only while it surely was not done.
    WhileUndone,
}

/// Variables of an operation.
pub(crate) type Variables = Map<String, Value>;

/// The transport of one client.
pub(crate) struct Transport {
    http: reqwest::Client,
    /// For presigned URLs.
    content: reqwest::Client,
    endpoint: Url,
    base_url: Url,
    authorization: Authorization,
    extra: HeaderMap,
    deadline: Duration,
    meter: Arc<Meter>,
    /// Documents that had to be pruned, by operation. A few KB each, a few dozen at most.
    adapted: Mutex<HashMap<&'static str, Arc<Document>>>,
    ever_answered: AtomicBool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    query: &'a str,
    variables: &'a Variables,
    operation_name: &'a str,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    errors: Option<Vec<Value>>,
}

/// What one attempt sends.
enum Call<'a> {
    /// An operation, signed.
    Graphql(&'a Body<'a>),
    /// A presigned URL, unsigned.
    Get(&'a Url),
}

impl Call<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Graphql(body) => body.operation_name,
            Self::Get(_) => "GET",
        }
    }

    fn kind(&self) -> RequestKind {
        match self {
            Self::Graphql(_) => RequestKind::Graphql,
            Self::Get(_) => RequestKind::Manifest,
        }
    }
}

/// A whole answer of whatever status.
struct Received {
    status: u16,
    retry_after: Option<Duration>,
    location: Option<String>,
    body: Bytes,
}

impl Transport {
    pub(crate) fn new(config: &ClientConfig, meter: Arc<Meter>) -> Result<Self, Error> {
        let endpoint = format!("{}/graphql", config.base_url.as_str().trim_end_matches('/'));
        let endpoint = Url::parse(&endpoint).map_err(|fault| {
            Error::caused_by(ErrorKind::Invalid, "", "the base URL is not usable", fault)
        })?;
        Ok(Self {
            http: http_client(config, Purpose::Api)?,
            content: http_client(config, Purpose::Content)?,
            endpoint,
            base_url: config.base_url.clone(),
            authorization: config.authorization.clone(),
            extra: extra_headers(config)?,
            deadline: config.deadline,
            meter,
            adapted: Mutex::default(),
            ever_answered: AtomicBool::new(false),
        })
    }

    /// Headers for a GET of `url`: the credential where it is on the base URL's host and port, for
    /// the download handler; nothing anywhere else, since presigned URLs carry their permission.
    pub(crate) async fn authorized_headers(&self, url: &Url) -> Result<HeaderMap, Error> {
        if url.origin() != self.base_url.origin() {
            return Ok(HeaderMap::new());
        }
        self.headers().await
    }

    async fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = self.extra.clone();
        if let Some(secret) = self.authorization.header().await? {
            let mut value = HeaderValue::try_from(secret.expose()).map_err(|_| {
                let words = "the credential holds characters that cannot be sent";
                Error::new(ErrorKind::NotSignedIn, "", words)
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Runs an operation about `node`, with retries, within the deadline. Null variables are left
    /// out, which means the same (protocol §2.1).
    pub(crate) async fn execute<T: DeserializeOwned>(
        &self,
        operation: Operation,
        node: &str,
        mut variables: Variables,
        repeat: Repeat,
    ) -> Result<T, Failure> {
        variables.retain(|_, value| !value.is_null());
        let until = Instant::now() + self.deadline;
        let fail = |cause: Cause| cause.at(operation.name, node);
        for _ in 0..MAX_ADAPTATIONS {
            let adapted = self.adapted.lock().get(operation.name).cloned();
            let mut sent = variables.clone();
            if let Some(document) = &adapted {
                sent.retain(|name, _| document.declares(name));
            }
            let text = adapted.as_ref().map_or(operation.text, |doc| doc.text());
            let body = Body {
                query: text,
                variables: &sent,
                operation_name: operation.name,
            };
            let refusals = match self
                .try_until(until, &Call::Graphql(&body), repeat, read)
                .await
                .map_err(fail)?
            {
                Outcome::Data(data) => return Ok(data),
                Outcome::Refused(messages) => messages,
            };
            let document = match adapted {
                Some(document) => document,
                None => Arc::new(Document::parse(operation.text)),
            };
            match document.adapt(&refusals) {
                Adapted::Pruned(smaller) => {
                    tracing::info!(
                        operation = operation.name,
                        "the server does not know a part of the query; going on without it: {}",
                        refusals.join("; ")
                    );
                    let mut adapted = self.adapted.lock();
                    adapted.insert(operation.name, Arc::new(smaller));
                }
                Adapted::Needed(what) => return Err(fail(Cause::Unsupported(what))),
                Adapted::NotAboutTheDocument => {
                    return Err(fail(Cause::Refused(refusals.join("; "))));
                }
            }
        }
        Err(fail(Cause::Unsupported(operation.name.to_owned())))
    }

    /// The body behind a presigned URL, with the retries and the deadline of an operation.
    pub(crate) async fn get(&self, node: &str, url: &Url) -> Result<Bytes, Failure> {
        let until = Instant::now() + self.deadline;
        let whole = |received: Received| match received.status {
            200 => Ok(received.body),
            _ => Err(status_of(received)),
        };
        let got = self
            .try_until(until, &Call::Get(url), Repeat::Freely, whole)
            .await;
        got.map_err(|cause| cause.at("GET", node))
    }

    /// Tries until there is an answer, a final refusal, or no time.
    async fn try_until<T>(
        &self,
        until: Instant,
        call: &Call<'_>,
        repeat: Repeat,
        read: impl Fn(Received) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let mut tries = 0;
        loop {
            tries += 1;
            let left = until.saturating_duration_since(Instant::now());
            let (cause, asked) = match self.attempt(left.min(ATTEMPT_TIMEOUT), call).await {
                Ok(received) => {
                    let asked = received.retry_after;
                    match read(received) {
                        Ok(outcome) => return Ok(outcome),
                        Err(cause) => (cause, asked),
                    }
                }
                Err(cause) => (cause, None),
            };
            let unreached =
                matches!(&cause, Cause::Connection { source, .. } if source.is_connect());
            let most = if unreached && !self.ever_answered.load(Relaxed) {
                TRIES_OF_UNKNOWN_HOST
            } else {
                retry::MAX_TRIES
            };
            let wait = retry::wait(tries, asked, rand::random());
            let left = until.saturating_duration_since(Instant::now());
            let may_repeat = match repeat {
                Repeat::Freely => cause.is_passing(),
                Repeat::WhileUndone => cause.is_passing() && cause.is_surely_undone(),
            };
            if !may_repeat || tries >= most || wait >= left {
                return Err(match cause {
                    Cause::Deadline(_) => Cause::Deadline(self.deadline),
                    other => other,
                });
            }
            tracing::debug!(operation = call.name(), tries, ?wait, "again: {cause}");
            sleep(wait).await;
        }
    }

    /// One request, counted whatever becomes of it.
    async fn attempt(&self, limit: Duration, call: &Call<'_>) -> Result<Received, Cause> {
        let (request, url) = match call {
            Call::Graphql(body) => {
                let headers = self.headers().await.map_err(Cause::Token)?;
                let payload = serde_json::to_vec(body)?;
                let request = self.http.post(self.endpoint.clone()).headers(headers);
                let request = request.header(CONTENT_TYPE, "application/json");
                (request.body(payload), &self.endpoint)
            }
            Call::Get(url) => (self.content.get((*url).clone()), *url),
        };
        let started = Instant::now();
        let (mut status, mut received) = (0, 0);
        let exchange = async {
            let response = request.send().await?;
            status = response.status().as_u16();
            let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
            let wait = header(RETRY_AFTER).and_then(|v| retry::retry_after(v, SystemTime::now()));
            let location = header(LOCATION).and_then(|to| self.endpoint.join(to).ok());
            let location = location.map(|to| to.origin().ascii_serialization());
            let body = response.bytes().await?;
            received = body.len() as u64;
            Ok::<_, reqwest::Error>((wait, location, body))
        };
        let answer = timeout(limit, exchange).await;
        self.meter.record_request(&RequestRecord {
            operation: call.name().to_owned(),
            kind: call.kind(),
            status,
            bytes: received,
            elapsed: started.elapsed(),
        });
        let (retry_after, location, body) = match answer {
            Err(_) => return Err(Cause::Deadline(limit)),
            Ok(Err(source)) => {
                return Err(Cause::Connection {
                    host: authority(url),
                    source: source.without_url(),
                });
            }
            Ok(Ok(answer)) => answer,
        };
        self.ever_answered.store(true, Relaxed);
        Ok(Received {
            status,
            retry_after,
            location,
            body,
        })
    }
}

/// What an answer says.
enum Outcome<T> {
    Data(T),
    /// The messages of a refusal that another document might avoid.
    Refused(Vec<String>),
}

/// An answer that is not 200 as a failure.
fn status_of(received: Received) -> Cause {
    let reason = match received.location {
        Some(host) => format!("it redirects to {host}, which may be the base URL to use"),
        None => messages(&received.body)
            .into_iter()
            .next()
            .unwrap_or_default(),
    };
    Cause::Status {
        status: received.status,
        reason,
    }
}

fn read<T: DeserializeOwned>(received: Received) -> Result<Outcome<T>, Cause> {
    if received.status != 200 {
        let reasons = messages(&received.body);
        if matches!(received.status, 400 | 422) && reasons.iter().any(|r| Document::is_about(r)) {
            return Ok(Outcome::Refused(reasons));
        }
        return Err(status_of(received));
    }
    // Errors first: data next to them is not used, and need not even have our shape.
    if let Ok(Answer::<serde::de::IgnoredAny> {
        errors: Some(errors),
        ..
    }) = serde_json::from_slice(&received.body)
        && !errors.is_empty()
    {
        let reasons: Vec<String> = errors.iter().filter_map(message).collect();
        let refused = Cause::Refused(reasons.join("; "));
        return if refused.is_passing() {
            Err(refused)
        } else {
            Ok(Outcome::Refused(reasons))
        };
    }
    let answer: Answer<T> = serde_json::from_slice(&received.body)?;
    let data = answer
        .data
        .ok_or(Cause::Nonsense("neither data nor errors"))?;
    Ok(Outcome::Data(data))
}

/// Host and port of a URL, without a login that may stand there.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
