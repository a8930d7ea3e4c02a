//! When a request is tried again, and how long to wait: a pure policy, tested without a clock.

use std::time::{Duration, SystemTime};

/// First upper bound of the wait. A short one, since most 5xx are over at once.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Bound of the bound, so that a server that comes back within the deadline is noticed in time.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// Tries of one request at most, the first included (protocol §2.3: 20 retries).
pub(crate) const MAX_TRIES: u32 = 21;

/// Whether a status is worth another try (protocol §2.3, core GraphQL). 1xx and 3xx are not.
pub(crate) fn is_retried(status: u16) -> bool {
    match status {
        400 | 401 | 403 | 404 | 409 | 410 | 413 | 422 | 501 => false,
        other => (400..600).contains(&other),
    }
}

/// How long to wait before try number `tries + 1`: what the server asked for, else exponential
/// back-off with full jitter. `random` is in `0.0..1.0`.
pub(crate) fn wait(tries: u32, asked: Option<Duration>, random: f64) -> Duration {
    if let Some(asked) = asked {
        return asked;
    }
    let doublings = tries.saturating_sub(1).min(16);
    let bound = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    bound.mul_f64(random.clamp(0.0, 1.0))
}

/// Reads `Retry-After`: seconds, fractions allowed, or an HTTP date (the past means now).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn final_statuses_are_those_of_the_protocol() {
        for status in [200, 301, 400, 401, 403, 404, 409, 410, 413, 422, 501] {
            assert!(!is_retried(status), "{status}");
        }
        for status in [408, 418, 429, 500, 502, 503, 504, 599] {
            assert!(is_retried(status), "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_fractions_and_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |text| retry_after(text, now);
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read(" 0.25 "), Some(Duration::from_millis(250)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:40 GMT"),
            Some(Duration::from_secs(3))
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:49:30 GMT"), Some(Duration::ZERO));
        for text in ["soon", "", "-1", "NaN", "inf"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_wait_is_jittered_below_a_bound_that_doubles(tries in 1u32..100, random in 0.0f64..1.0) {
            let bound = wait(tries, None, 1.0);
            prop_assert!(wait(tries, None, random) <= bound);
            prop_assert!(bound <= LONGEST_WAIT);
            prop_assert!(wait(tries + 1, None, 1.0) >= bound);
        }

        #[test]
        fn what_the_server_asks_for_is_obeyed_exactly(tries in 1u32..100, millis in 0u64..100_000) {
            let asked = Duration::from_millis(millis);
            prop_assert_eq!(wait(tries, Some(asked), 0.5), asked);
        }
    }
}
