//! The one error that crosses the two traits of this room.
//!
//! `wandb` and `store` keep rich private enums and fold them into this one, so that what is above
//! needs to know a kind, a node and a sentence only; the cause chain stays attached. It is cheap to
//! clone because the followers of a single flight share the leader's failure.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What a failure means to whoever asked. The errno table (`vfs`) and the exit codes (`cli`) map it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The server answered null or 404.
    NotFound,
    /// No credential, or one the server does not know (401).
    NotSignedIn,
    /// The server knows who asks and refuses (403).
    Forbidden,
    /// The time limit of the operation passed.
    Deadline,
    /// Connection trouble, 429 or 5xx that outlived the retries.
    Network,
    /// The server or the caller said something that makes no sense: a bad filter, a bad name.
    Invalid,
    /// Changed by someone else meanwhile, or still in use.
    Busy,
    /// Bytes do not have the digest that the manifest names, or a manifest is not one.
    Corrupt,
    /// The server or the store has no such feature (unknown field, unreadable reference scheme).
    Unsupported,
    /// Refused by policy of this mount (`file://` references, read-only).
    NotPermitted,
    /// `--offline`, and the answer is not on disk.
    Offline,
    /// Local disk trouble.
    Io,
}

/// A failure with its node, its sentence and its causes. 56 bytes, clones by reference count.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    node: String,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `kind` on `node` (a path as the user knows it, may be empty), said in words.
    /// Words and node must never hold a key or a URL's signature.
    pub fn new(kind: ErrorKind, node: impl Into<String>, message: impl Into<String>) -> Self {
        Self::build(kind, node.into(), message.into(), None)
    }

    /// The same failure with the error that caused it.
    pub fn caused_by(
        kind: ErrorKind,
        node: impl Into<String>,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::build(kind, node.into(), message.into(), Some(source.into()))
    }

    fn build(
        kind: ErrorKind,
        node: String,
        message: String,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                node,
                message,
                source,
            }),
        }
    }

    /// Wraps this failure in a sentence about a larger node, keeping the kind.
    #[must_use]
    pub fn at(self, node: impl Into<String>, message: impl Into<String>) -> Self {
        let kind = self.kind();
        Self::build(kind, node.into(), message.into(), Some(Box::new(self)))
    }

    /// What the failure means.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The node it concerns, as the user knows it; empty if none.
    pub fn node(&self) -> &str {
        &self.inner.node
    }

    /// This level's sentence, without causes.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The sentence and every cause below it, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inner.node.is_empty() {
            f.write_str(&self.inner.message)
        } else {
            write!(f, "{}: {}", self.inner.node, self.inner.message)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.inner.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_ref()
            .map(|e| e.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_names_the_node_once_and_every_cause_in_order() {
        let io = std::io::Error::other("connection reset");
        let low = Error::caused_by(ErrorKind::Network, "", "GET failed", io);
        let high = low.at("e/p/t/c/v3", "manifest could not be read");
        assert_eq!(high.kind(), ErrorKind::Network);
        assert_eq!(
            high.chain(),
            "e/p/t/c/v3: manifest could not be read: GET failed: connection reset"
        );
    }
}
