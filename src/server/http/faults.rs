//! The knobs of `--test-controls`: which request suffers what. A pure state machine.

use serde::Deserialize;

use crate::server::engine::Names;

/// What kind of request it is, as counted and as matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `POST /graphql`.
    Graphql,
    /// Reading a manifest under a signed URL.
    Manifest,
    /// Reading any other content under a signed URL.
    Blob,
    /// Writing content under a signed URL.
    Upload,
    /// The download handler, which redirects to a signed URL.
    Handler,
}

impl Class {
    /// As in `match` and in the counters.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Graphql => "graphql",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Upload => "upload",
            Self::Handler => "handler",
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// An error status instead of the answer.
    Status,
    /// The TCP connection is reset instead of an answer.
    Reset,
    /// The headers and half of the body, then the connection ends.
    Truncate,
    /// Some bytes of the body are flipped; its length stays.
    Corrupt,
    /// 403, as from a URL whose time is over.
    Expire,
    /// Nothing happens until the knobs are set anew; then the request is answered as usual.
    Stall,
}

/// One rule. It lets `skip` matching requests pass, then hits `count` of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// A class, an operation's name, or the name of a field anywhere in the document: the last
    /// because a page of versions sits deep below the root field `project`.
    #[serde(rename = "match")]
    matches: String,
    #[serde(default)]
    skip: u64,
    #[serde(default = "one")]
    count: u64,
    kind: Kind,
    /// Status of [`Kind::Status`].
    #[serde(default = "unavailable")]
    pub(crate) status: u16,
    /// `Retry-After` in seconds, fractions allowed.
    #[serde(default)]
    pub(crate) retry_after: Option<serde_json::Number>,
}

fn one() -> u64 {
    1
}

fn unavailable() -> u16 {
    503
}

/// The body of `PUT /_test/knobs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Knobs {
    /// Wait before every answer, in milliseconds.
    pub(crate) latency_ms: u64,
    /// Bandwidth of all answers together, as of one link; absent or 0 is unlimited.
    pub(crate) bytes_per_s: Option<u64>,
    /// Seconds a content URL made from now on works, instead of an hour.
    pub(crate) url_lifetime_s: Option<u64>,
    faults: Vec<Fault>,
}

impl Knobs {
    /// The fault that hits this request, counted as spent. The first that has its turn wins; those
    /// behind it do not see the request.
    pub(crate) fn hit(&mut self, class: Class, names: Option<&Names>) -> Option<(Kind, Fault)> {
        for fault in &mut self.faults {
            if !fault.concerns(class, names) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if fault.count > 0 {
                fault.count -= 1;
                return Some((fault.kind, fault.clone()));
            }
        }
        None
    }
}

impl Fault {
    fn concerns(&self, class: Class, names: Option<&Names>) -> bool {
        self.matches == class.as_str()
            || names.is_some_and(|names| {
                names.operation == self.matches || names.fields.contains(&self.matches)
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn knobs(json: serde_json::Value) -> Knobs {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_fault_skips_then_hits_then_is_spent() {
        let mut knobs = knobs(serde_json::json!({
            "faults": [{ "match": "blob", "skip": 1, "count": 2, "kind": "reset" }]
        }));
        let hits: Vec<bool> = (0..5)
            .map(|_| knobs.hit(Class::Blob, None).is_some())
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert!(knobs.hit(Class::Manifest, None).is_none());
    }

    #[test]
    fn documents_match_by_class_operation_and_any_field() {
        let names = Names {
            operation: "Op".into(),
            fields: vec!["project".into(), "x".into()],
        };
        for (pattern, expected) in [
            ("graphql", true),
            ("Op", true),
            ("project", true),
            ("x", true),
            ("blob", false),
        ] {
            let mut knobs =
                knobs(serde_json::json!({ "faults": [{ "match": pattern, "kind": "stall" }] }));
            let hit = knobs.hit(Class::Graphql, Some(&names));
            assert_eq!(hit.is_some(), expected, "{pattern}");
        }
    }

    #[test]
    fn an_empty_object_clears_and_a_typo_is_refused() {
        assert_eq!(knobs(serde_json::json!({})), Knobs::default());
        let typo = serde_json::json!({ "faults": [{ "macth": "blob", "kind": "reset" }] });
        assert!(serde_json::from_value::<Knobs>(typo).is_err());
    }
}
