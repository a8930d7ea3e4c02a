//! One GET: sent, its head checked, its body handed out chunk by chunk, counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue, IF_MATCH, RANGE};
use reqwest::{Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::head::{Head, content_range, retry_after, text_of};
use super::{Target, fetch::Request};
use crate::telemetry::{Meter, RequestKind, RequestRecord};

/// Requests under way at once over all files: above what one host needs to fill a wire, below what
/// makes servers refuse connections.
const CONCURRENT_REQUESTS: usize = 64;

/// Why a GET, or its body, failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    /// No connection, a reset, or a body that ended early. The cause never names the URL, which may
    /// be signed.
    #[error("the connection failed")]
    Transport(#[source] reqwest::Error),
    /// Nothing came for the time allowed.
    #[error("no byte came for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// A status that is neither 200 nor 206.
    #[error("the store answered {status}")]
    Status {
        status: StatusCode,
        retry_after: Option<Duration>,
    },
    /// 206 for another range than asked.
    #[error("the store answered with another range than asked")]
    WrongRange,
    /// The body ended before its announced end.
    #[error("the body ended {missing} bytes early")]
    Truncated { missing: u64 },
    /// 412: the object is not the one pinned.
    #[error("the store says that the object changed")]
    Changed,
    /// 416 with the length of the content.
    #[error("the range lies beyond the end")]
    Beyond { total: u64 },
}

/// The HTTP client with its counters.
pub(crate) struct Net {
    client: reqwest::Client,
    meter: Arc<Meter>,
    slots: Arc<Semaphore>,
    /// Time limit of one operation without progress.
    pub(crate) deadline: Duration,
}

/// An answer whose body is still to come.
pub(crate) struct Answer {
    pub(crate) head: Head,
    response: Response,
    record: Record,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Counts the request when it is over, however it ends.
struct Record {
    meter: Arc<Meter>,
    kind: RequestKind,
    status: u16,
    bytes: u64,
    sent: Instant,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.meter.record_request(&RequestRecord {
            operation: "GET".to_owned(),
            kind: self.kind,
            status: self.status,
            bytes: self.bytes,
            elapsed: self.sent.elapsed(),
        });
    }
}

impl Net {
    pub(crate) fn new(client: reqwest::Client, meter: Arc<Meter>, deadline: Duration) -> Self {
        Self {
            client,
            meter,
            slots: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)),
            deadline,
        }
    }

    /// Sends a GET and checks the head of the answer, which must come within `limit`.
    pub(super) async fn get(
        &self,
        target: &Target,
        request: &Request,
        pinned: Option<&str>,
        kind: RequestKind,
        limit: Duration,
    ) -> Result<Answer, GetError> {
        // The semaphore is never closed, so without a slot there is nothing to bound either.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let mut record = Record {
            meter: Arc::clone(&self.meter),
            kind,
            status: 0,
            bytes: 0,
            sent: Instant::now(),
        };
        // Positions are those of the stored bytes, so no coding may be applied on the way.
        let mut builder = self
            .client
            .get(target.url.clone())
            .headers(target.headers.clone())
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = request.header() {
            builder = builder.header(RANGE, range);
        }
        if let Some(pinned) = pinned {
            builder = builder.header(IF_MATCH, pinned);
        }
        let response = timeout(limit, builder.send())
            .await
            .map_err(|_| GetError::Stalled(limit))?
            .map_err(transport)?;
        record.status = response.status().as_u16();
        let head = check(&response, request)?;
        Ok(Answer {
            head,
            response,
            record,
            _slot: slot,
        })
    }
}

impl Answer {
    /// Next piece of the body, which must come within `limit`; `None` at its end.
    pub(super) async fn chunk(&mut self, limit: Duration) -> Result<Option<Bytes>, GetError> {
        let chunk = timeout(limit, self.response.chunk())
            .await
            .map_err(|_| GetError::Stalled(limit))?
            .map_err(transport)?;
        if let Some(bytes) = &chunk {
            self.record.bytes += bytes.len() as u64;
        }
        Ok(chunk)
    }
}

fn transport(cause: reqwest::Error) -> GetError {
    GetError::Transport(cause.without_url())
}

fn check(response: &Response, request: &Request) -> Result<Head, GetError> {
    let status = response.status();
    let headers = response.headers();
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            Head::read(status, headers, request.from, request.to).ok_or(GetError::WrongRange)
        }
        StatusCode::PRECONDITION_FAILED => Err(GetError::Changed),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let said = text_of(headers, "content-range").and_then(content_range);
            match said.and_then(|said| said.total) {
                Some(total) if total <= request.from => Err(GetError::Beyond { total }),
                _ => Err(GetError::WrongRange),
            }
        }
        _ => Err(GetError::Status {
            status,
            retry_after: retry_after(headers),
        }),
    }
}
