//! What the mount remembers about itself: the error ring behind `.wandbfs/errors.log`, the request
//! ring behind `.wandbfs/requests.log`, the counters of `stats.json`, and the set-up of the log.
//!
//! A leaf like `model`: every room may record here, and this room knows none of them. Nothing that
//! enters holds a key or a URL's signature; that is the recorder's duty.

mod log;
mod ring;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

pub use log::{LogFormat, set_up_log};
use ring::Ring;

/// Lines kept in each ring. A line is about 200 bytes, so the two rings cost about 400 KB when full.
const RING_LINES: usize = 1000;

/// Which of the counters of the protocol a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// `POST /graphql`.
    Graphql,
    /// GET of a manifest's URL.
    Manifest,
    /// GET of a stored content or a reference.
    Blob,
    /// Exchange of an identity token.
    Token,
}

/// One request that went over the wire, retries counted one by one.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// GraphQL operation, or `GET`.
    pub operation: String,
    /// Counter it belongs to.
    pub kind: RequestKind,
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// Bytes of the answer's body that were received.
    pub bytes: u64,
    /// From sending to the last byte.
    pub elapsed: Duration,
}

#[derive(Serialize)]
struct RequestLine<'a> {
    time: String,
    operation: &'a str,
    kind: RequestKind,
    status: u16,
    bytes: u64,
    ms: u64,
}

/// One failed file system operation.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorRecord {
    /// Operation of the kernel: `read`, `lookup`, ….
    pub op: &'static str,
    /// Node as the user knows it, relative to the mount point.
    pub path: String,
    /// Symbolic errno: `EIO`.
    pub errno: &'static str,
    /// What failed and why, with every cause.
    pub message: String,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a ErrorRecord,
}

/// The counters and rings of one mount or command. Shared as `Arc<Meter>`.
#[derive(Debug, Default)]
pub struct Meter {
    requests: AtomicU64,
    received: AtomicU64,
    errors: AtomicU64,
    request_ring: Ring<RING_LINES>,
    error_ring: Ring<RING_LINES>,
}

impl Meter {
    /// Counts a request and keeps its line.
    pub fn record_request(&self, record: &RequestRecord) {
        self.requests.fetch_add(1, Relaxed);
        self.received.fetch_add(record.bytes, Relaxed);
        self.request_ring.push(&RequestLine {
            time: now(),
            operation: &record.operation,
            kind: record.kind,
            status: record.status,
            bytes: record.bytes,
            ms: u64::try_from(record.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// Counts a failed operation and keeps its line.
    pub fn record_error(&self, record: &ErrorRecord) {
        self.errors.fetch_add(1, Relaxed);
        self.error_ring.push(&ErrorLine {
            time: now(),
            record,
        });
    }

    /// Requests sent since the start.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Body bytes received since the start.
    pub fn received_bytes(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Failed operations since the start.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// The request ring as NDJSON, oldest first.
    pub fn requests_log(&self) -> Vec<u8> {
        self.request_ring.to_ndjson()
    }

    /// The error ring as NDJSON, oldest first.
    pub fn errors_log(&self) -> Vec<u8> {
        self.error_ring.to_ndjson()
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn request_lines_have_the_pinned_keys_in_order() {
        let meter = Meter::default();
        meter.record_request(&RequestRecord {
            operation: "GetViewer".into(),
            kind: RequestKind::Graphql,
            status: 200,
            bytes: 17,
            elapsed: Duration::from_millis(3),
        });
        let line: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&meter.requests_log()).unwrap();
        let keys: Vec<_> = line.keys().map(String::as_str).collect();
        assert_eq!(keys, ["time", "operation", "kind", "status", "bytes", "ms"]);
        assert_eq!((meter.requests(), meter.received_bytes()), (1, 17));
    }

    #[test]
    fn the_error_ring_forgets_the_oldest_but_not_the_count() {
        let meter = Meter::default();
        for number in 0..RING_LINES + 5 {
            meter.record_error(&ErrorRecord {
                op: "read",
                path: format!("file-{number}"),
                errno: "EIO",
                message: String::new(),
            });
        }
        let log = String::from_utf8(meter.errors_log()).unwrap();
        assert_eq!(log.lines().count(), RING_LINES);
        assert!(log.lines().next().unwrap().contains("file-5"));
        assert_eq!(meter.errors(), RING_LINES as u64 + 5);
    }
}
