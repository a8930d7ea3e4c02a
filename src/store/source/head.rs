//! What the head of an answer says about its body.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, RETRY_AFTER};

/// A checked head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Positions of the body; the end is unknown for a whole body without a length.
    pub(crate) start: u64,
    /// End of the body, where it says.
    pub(crate) end: Option<u64>,
    /// Length of the whole content, where it says.
    pub(crate) total: Option<u64>,
    /// Whether the server obeyed the range (206) or sent the whole content (200).
    pub(crate) ranged: bool,
    /// The ETag as sent, quotes included.
    pub(crate) etag: Option<String>,
}

/// A `Content-Range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// Positions; `None` for `*`, which comes with 416.
    pub(crate) range: Option<Range<u64>>,
    /// Length of the content; `None` for `*`.
    pub(crate) total: Option<u64>,
}

/// Reads `bytes a-b/total`, either side of the slash possibly `*`.
pub(crate) fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let total = match total.trim() {
        "*" => None,
        digits => Some(digits.parse().ok()?),
    };
    let range = match range.trim() {
        "*" => None,
        range => {
            let (first, last) = range.split_once('-')?;
            let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            let end = last.checked_add(1)?;
            if first >= end || total.is_some_and(|total| end > total) {
                return None;
            }
            Some(first..end)
        }
    };
    Some(ContentRange { range, total })
}

impl Head {
    /// Reads the head of a 200 or 206 answer to a request for `from .. to`. `None` where the range
    /// served is not the range asked for.
    pub(crate) fn read(
        status: StatusCode,
        headers: &HeaderMap,
        from: u64,
        to: Option<u64>,
    ) -> Option<Self> {
        let etag = text_of(headers, ETAG.as_str()).map(str::to_owned);
        if status != StatusCode::PARTIAL_CONTENT {
            let length = text_of(headers, CONTENT_LENGTH.as_str()).and_then(|t| t.parse().ok());
            return Some(Self {
                start: 0,
                end: length,
                total: length,
                ranged: false,
                etag,
            });
        }
        let said = content_range(text_of(headers, CONTENT_RANGE.as_str())?)?;
        let range = said.range?;
        if range.start != from || to.is_some_and(|to| range.end > to) {
            return None;
        }
        Some(Self {
            start: range.start,
            end: Some(range.end),
            total: said.total,
            ranged: true,
            etag,
        })
    }
}

/// The header as text, if it is there once and readable.
pub(crate) fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After`, in either of its forms.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text_of(headers, RETRY_AFTER.as_str())?;
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Whether an ETag is strong, so that equal tags mean equal bytes and `If-Match` may use it.
pub(crate) fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn content_ranges_are_read_and_nonsense_is_refused() {
        let read = content_range("bytes 5-9/20").unwrap();
        assert_eq!((read.range, read.total), (Some(5..10), Some(20)));
        assert_eq!(content_range("bytes */7").unwrap().total, Some(7));
        assert_eq!(content_range("bytes 0-0/*").unwrap().range, Some(0..1));
        for text in [
            "",
            "bytes",
            "bytes 9-5/20",
            "bytes 5-20/20",
            "items 0-1/2",
            "bytes a-b/c",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_for_another_range_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, "bytes 0-9/100".parse().unwrap());
        let read = |from, to| Head::read(StatusCode::PARTIAL_CONTENT, &headers, from, to);
        assert!(read(0, Some(10)).is_some());
        assert!(
            read(0, Some(20)).is_some(),
            "shorter is allowed, the rest is asked again"
        );
        assert!(read(1, Some(10)).is_none());
        assert!(read(0, Some(5)).is_none());
    }
}
