//! Why a request failed: rich here, folded into [`model::Error`](crate::model::Error) at one place.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::model::{Error, ErrorKind};

/// Characters of a server's reason that are kept.
const REASON_CHARS: usize = 300;

/// A failed operation on a node.
#[derive(Debug)]
pub(crate) struct Failure {
    /// GraphQL operation.
    pub(crate) operation: &'static str,
    /// The node it was about, as the user knows it.
    pub(crate) node: String,
    /// What happened.
    pub(crate) cause: Cause,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// An answer that is not 200.
    #[error("the server answers {status}{}", Reason(.reason))]
    Status {
        /// HTTP status.
        status: u16,
        /// Taken from the body.
        reason: String,
    },
    /// 200 with errors.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// No answer, or not all of it.
    #[error("no answer from {host}")]
    Connection {
        /// Host and port.
        host: String,
        /// Without its URL.
        #[source]
        source: reqwest::Error,
    },
    /// The answer ended too early or is no GraphQL answer.
    #[error("the server's answer is not readable")]
    Unreadable(#[from] serde_json::Error),
    /// The time limit passed.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The server lacks what the operation is about.
    #[error("this server has no {0:?}")]
    Unsupported(String),
    /// Something that must exist is null.
    #[error("not found on the server")]
    Missing,
    /// An answer that contradicts itself.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// No access token.
    #[error("there is no access token")]
    Token(#[source] Error),
}

struct Reason<'a>(&'a str);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

impl Cause {
    /// The failure of `operation` on `node`.
    pub(crate) fn at(self, operation: &'static str, node: impl Into<String>) -> Failure {
        Failure {
            operation,
            node: node.into(),
            cause: self,
        }
    }

    /// Whether another try may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => super::retry::is_retried(*status),
            Self::Refused(reason) => refusal_kind(reason) == ErrorKind::Network,
            Self::Connection { .. } | Self::Deadline(_) => true,
            Self::Unreadable(fault) => fault.is_eof(),
            Self::Unsupported(_) | Self::Missing | Self::Nonsense(_) | Self::Token(_) => false,
        }
    }

    /// Whether what was asked for surely was not done, so that asking again cannot do it twice:
    /// there was no connection, or the server turned the request away before looking at it.
    pub(crate) fn is_surely_undone(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 429 | 503),
            Self::Refused(reason) => reason.to_ascii_lowercase().contains("rate limit"),
            Self::Connection { source, .. } => source.is_connect(),
            _ => false,
        }
    }

    /// Whether nobody knows if what was asked for was done.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_passing() && !self.is_surely_undone()
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Status { status, .. } => match status {
                401 => ErrorKind::NotSignedIn,
                403 => ErrorKind::Forbidden,
                404 | 410 => ErrorKind::NotFound,
                501 => ErrorKind::Unsupported,
                408 | 429 | 500..=599 => ErrorKind::Network,
                _ => ErrorKind::Invalid,
            },
            Self::Refused(reason) => refusal_kind(reason),
            Self::Connection { .. } => ErrorKind::Network,
            Self::Unreadable(fault) if fault.is_eof() => ErrorKind::Network,
            Self::Unreadable(_) | Self::Nonsense(_) => ErrorKind::Invalid,
            Self::Deadline(_) => ErrorKind::Deadline,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Missing => ErrorKind::NotFound,
            Self::Token(inner) => inner.kind(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = failure.cause.kind();
        let words = format!("{} failed", failure.operation);
        Self::caused_by(kind, failure.node, words, failure.cause)
    }
}

/// What a refusal in words means. Which status goes with which words is not documented (protocol
/// §17), so the words of the servers seen decide.
fn refusal_kind(reason: &str) -> ErrorKind {
    let words = reason.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    if says(&["not found", "could not find", "does not exist"]) {
        ErrorKind::NotFound
    } else if says(&[
        "permission denied",
        "forbidden",
        "not authorized",
        "access denied",
    ]) {
        ErrorKind::Forbidden
    } else if says(&[
        "unauthenticated",
        "not logged in",
        "must be logged in",
        "api key",
    ]) {
        ErrorKind::NotSignedIn
    } else if says(&[
        "rate limit",
        "internal server error",
        "internal error",
        "timed out",
    ]) {
        ErrorKind::Network
    } else if words.ends_with(" exists") || says(&["already exists", "already taken"]) {
        ErrorKind::Busy
    } else if says(&["not yet implemented", "not implemented", "not supported"]) {
        ErrorKind::Unsupported
    } else {
        ErrorKind::Invalid
    }
}

/// The messages of an error body in each of its four shapes (protocol §2.2); plain text is its own
/// message, and a page of HTML none.
pub(crate) fn messages(body: &[u8]) -> Vec<String> {
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let is_page = text.is_empty() || text.starts_with('<');
        return if is_page {
            Vec::new()
        } else {
            vec![clean(text)]
        };
    };
    let listed = body.get("errors").and_then(Value::as_array);
    let all = listed.into_iter().flatten().chain(body.get("error"));
    all.filter_map(message).collect()
}

/// One error: a text, or an object with `message` and perhaps a `path`.
pub(crate) fn message(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(clean(text));
    }
    let text = error.get("message")?.as_str()?;
    let path = error.get("path").and_then(Value::as_array);
    let path: Vec<String> = path.into_iter().flatten().map(step).collect();
    if path.is_empty() {
        Some(clean(text))
    } else {
        Some(clean(&format!("{}: {text}", path.join("."))))
    }
}

fn step(step: &Value) -> String {
    match step {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

/// A server's words fit for an error: bounded, on one line, and URLs without their query, which is
/// where signatures are.
fn clean(text: &str) -> String {
    let mut kept = String::new();
    let (mut in_url, mut in_query) = (false, false);
    for letter in text.chars() {
        if letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>') {
            (in_url, in_query) = (false, false);
        }
        in_query |= in_url && letter == '?';
        if !in_query {
            kept.push(if letter.is_control() { ' ' } else { letter });
        }
        in_url |= kept.ends_with("://");
    }
    kept.trim().chars().take(REASON_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_every_shape_of_body() {
        for (body, expected) in [
            (r#"{"errors":[{"message":"no"}]}"#, "no"),
            (r#"{"errors":["no"]}"#, "no"),
            (r#"{"error":"no"}"#, "no"),
            (r#"{"error":{"message":"no"}}"#, "no"),
            (r#"{"errors":[{"message":"no","path":["a",0]}]}"#, "a.0: no"),
            ("invalid api key\n", "invalid api key"),
        ] {
            assert_eq!(messages(body.as_bytes()), [expected], "{body}");
        }
        assert!(messages(b"<html>oops</html>").is_empty());
        assert!(messages(b"").is_empty());
    }

    #[test]
    fn a_reason_holds_no_query_of_a_url_and_no_line_breaks() {
        assert_eq!(
            clean("GET https://store/a?sig=secret: why?\nsee \"http://x/?k=v\" ok?"),
            "GET https://store/a why? see \"http://x/\" ok?"
        );
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), REASON_CHARS);
    }

    #[test]
    fn every_status_has_its_kind() {
        for (status, kind) in [
            (401, ErrorKind::NotSignedIn),
            (403, ErrorKind::Forbidden),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Invalid),
            (429, ErrorKind::Network),
            (503, ErrorKind::Network),
        ] {
            let reason = "because".to_owned();
            let error = Error::from(Cause::Status { status, reason }.at("GetViewer", "e/p"));
            assert_eq!(error.kind(), kind);
            assert_eq!(
                error.chain(),
                format!("e/p: GetViewer failed: the server answers {status}: because")
            );
        }
    }
}
