//! Conditional and range requests (RFC 9110 §13 and §14) on immutable content.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::reply;

/// Answers GET or HEAD for content of `size` bytes under the entity tag `etag` (with its quotes),
/// as the conditions and the range among the headers ask; `content` makes a body from offset and
/// length.
pub(super) fn respond(
    method: &Method,
    headers: &HeaderMap,
    etag: &str,
    size: u64,
    content: impl FnOnce(u64, u64) -> Body,
) -> Response {
    let body = |offset, len| {
        // A HEAD has the headers of the GET and no body.
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            content(offset, len)
        };
        ([(header::CONTENT_LENGTH, HeaderValue::from(len))], body).into_response()
    };
    let mut response = match part(headers, etag, size) {
        Part::Whole => body(0, size),
        Part::Range { first, last } => {
            let mut response = body(first, last - first + 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            content_range(&mut response, &format!("bytes {first}-{last}/{size}"));
            response
        }
        Part::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Part::PreconditionFailed => reply::error(
            StatusCode::PRECONDITION_FAILED,
            "the content has another entity tag",
        ),
        Part::Unsatisfiable => {
            let mut response = reply::error(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "the range begins behind the end of the content",
            );
            content_range(&mut response, &format!("bytes */{size}"));
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn content_range(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// What to answer to a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// 200 with everything.
    Whole,
    /// 206 with these bytes, both ends included.
    Range {
        /// First byte.
        first: u64,
        /// Last byte, not before the first.
        last: u64,
    },
    /// 304: the client has it.
    NotModified,
    /// 412: `If-Match` names other content.
    PreconditionFailed,
    /// 416: the range begins behind the end.
    Unsatisfiable,
}

/// Decides by the request's headers, for content of `size` bytes under the entity tag `etag`
/// (with its quotes). Content never changes under its tag, so there are no dates to compare: an
/// `If-Range` with a date gets the whole. Several ranges, other units and malformed ranges count
/// as no range, as the RFC permits.
fn part(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_MATCH).is_some_and(|tags| !lists(tags, etag, false)) {
        return Part::PreconditionFailed;
    }
    if text(header::IF_NONE_MATCH).is_some_and(|tags| lists(tags, etag, true)) {
        return Part::NotModified;
    }
    let Some(range) = text(header::RANGE) else {
        return Part::Whole;
    };
    if text(header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Part::Whole;
    }
    range
        .trim()
        .strip_prefix("bytes=")
        .map_or(Part::Whole, |spec| satisfy(spec, size))
}

fn satisfy(spec: &str, size: u64) -> Part {
    let Some((first, last)) = spec.split_once('-') else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), _) if first >= size && (last.trim().is_empty() || number(last).is_some()) => {
            Part::Unsatisfiable
        }
        (Some(first), Some(last)) => Part::Range {
            first,
            last: last.min(size - 1),
        },
        (Some(first), None) if last.trim().is_empty() => Part::Range {
            first,
            last: size - 1,
        },
        (None, Some(suffix)) if first.trim().is_empty() => match suffix.min(size) {
            0 => Part::Unsatisfiable,
            suffix => Part::Range {
                first: size - suffix,
                last: size - 1,
            },
        },
        _ => Part::Whole,
    }
}

/// Whether a list of entity tags has `etag`; weak tags count only in a weak comparison.
fn lists(tags: &str, etag: &str, weak: bool) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag == etag || (weak && tag.strip_prefix("W/") == Some(etag)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use axum::http::HeaderName;
    use proptest::prelude::*;

    fn ask(headers: &[(HeaderName, &str)]) -> Part {
        let map = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()));
        part(&map.collect(), "\"t\"", 10)
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let range = |spec| ask(&[(header::RANGE, spec)]);
        assert_eq!(range("bytes=0-0"), Part::Range { first: 0, last: 0 });
        assert_eq!(range("bytes=2-"), Part::Range { first: 2, last: 9 });
        assert_eq!(range("bytes=2-99"), Part::Range { first: 2, last: 9 });
        assert_eq!(range("bytes=-3"), Part::Range { first: 7, last: 9 });
        assert_eq!(range("bytes=-99"), Part::Range { first: 0, last: 9 });
        assert_eq!(range("bytes=10-"), Part::Unsatisfiable);
        assert_eq!(range("bytes=10-12"), Part::Unsatisfiable);
        assert_eq!(range("bytes=-0"), Part::Unsatisfiable);
        assert_eq!(range("bytes=99999999999999999999-"), Part::Unsatisfiable);
        for ignored in [
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=a-b",
            "bytes=-",
            "lines=0-1",
        ] {
            assert_eq!(range(ignored), Part::Whole, "{ignored}");
        }
    }

    #[test]
    fn no_range_of_nothing_can_be_satisfied() {
        let headers = [(header::RANGE, "bytes=0-".parse().unwrap())]
            .into_iter()
            .collect();
        assert_eq!(part(&headers, "\"t\"", 0), Part::Unsatisfiable);
    }

    #[test]
    fn conditions_compare_the_tag() {
        assert_eq!(ask(&[(header::IF_MATCH, "\"t\"")]), Part::Whole);
        assert_eq!(ask(&[(header::IF_MATCH, "\"x\", \"t\"")]), Part::Whole);
        assert_eq!(
            ask(&[(header::IF_MATCH, "W/\"t\"")]),
            Part::PreconditionFailed
        );
        assert_eq!(
            ask(&[(header::IF_NONE_MATCH, "W/\"t\"")]),
            Part::NotModified
        );
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "*")]), Part::NotModified);
        assert_eq!(ask(&[(header::IF_NONE_MATCH, "\"x\"")]), Part::Whole);
        let ranged = |tag| ask(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, tag)]);
        assert_eq!(ranged("\"t\""), Part::Range { first: 1, last: 2 });
        assert_eq!(ranged("\"x\""), Part::Whole);
        assert_eq!(ranged("Wed, 21 Oct 2015 07:28:00 GMT"), Part::Whole);
    }

    proptest! {
        #[test]
        fn a_range_never_leaves_the_content(spec in "[0-9]{0,3}-?[0-9]{0,3}", size in 0u64..200) {
            let header = format!("bytes={spec}").parse().unwrap();
            let headers = [(header::RANGE, header)].into_iter().collect();
            if let Part::Range { first, last } = part(&headers, "\"t\"", size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
