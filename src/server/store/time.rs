//! Times as the store keeps and compares them.
//!
//! The wire form is RFC 3339 in UTC with whole seconds (`2026-01-31T12:34:56Z`): the one form every
//! release of the client library parses. Fixed width makes text order time order.

use jiff::{Timestamp, civil, tz::TimeZone};

const FORM: &str = "%Y-%m-%dT%H:%M:%SZ";

/// The present moment.
pub(crate) fn now() -> String {
    Timestamp::now().strftime(FORM).to_string()
}

/// `seconds` after the epoch.
pub(crate) fn at(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime(FORM)
        .to_string()
}

/// A time written by a caller, in the stored form: with or without zone, or a bare date.
pub(crate) fn normalize(text: &str) -> Option<String> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp.strftime(FORM).to_string());
    }
    let local = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(civil::DateTime::from))
        .ok()?;
    let stamp = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(stamp.strftime(FORM).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn every_written_form_of_a_time_becomes_the_stored_one() {
        for text in [
            "2026-01-31T12:34:56Z",
            "2026-01-31T12:34:56",
            "2026-01-31T13:34:56.5+01:00",
            "2026-01-31 12:34:56",
        ] {
            assert_eq!(normalize(text).unwrap(), "2026-01-31T12:34:56Z", "{text}");
        }
        assert_eq!(normalize("2026-01-31").unwrap(), "2026-01-31T00:00:00Z");
        assert_eq!(normalize("yesterday"), None);
    }
}
