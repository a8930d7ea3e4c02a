//! How long the kernel may keep an answer: the one table of lifetimes.

use std::time::Duration;

use crate::tree::Freshness;

/// What never changes. A year, because the kernel turns the time into ticks and some versions
/// overflow on the largest value; when it runs out, one request without network renews it.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Longest that a missing name is remembered. Short, because somebody who has just logged a version
/// looks for it by name; long enough for the bursts of look-ups of shells and Python's import
/// system. The kernel keeps these entries as negative dentries, which it frees under pressure.
const MISSING: Duration = Duration::from_secs(5);

/// Lifetime of an entry or of attributes.
pub(crate) fn of_present(freshness: Freshness) -> Duration {
    match freshness {
        Freshness::Immutable => FOR_EVER,
        Freshness::For(left) => left.min(FOR_EVER),
    }
}

/// Lifetime of the news that a name does not exist.
pub(crate) fn of_missing(freshness: Freshness) -> Duration {
    match freshness {
        Freshness::Immutable => FOR_EVER,
        Freshness::For(left) => left.min(MISSING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_name_is_forgotten_sooner_than_a_present_one() {
        let minute = Freshness::For(Duration::from_secs(60));
        assert_eq!(of_present(minute), Duration::from_secs(60));
        assert_eq!(of_missing(minute), MISSING);
        assert_eq!(of_missing(Freshness::For(Duration::ZERO)), Duration::ZERO);
    }

    #[test]
    fn immutable_answers_outlive_any_process() {
        assert_eq!(of_present(Freshness::Immutable), FOR_EVER);
        assert_eq!(of_missing(Freshness::Immutable), FOR_EVER);
    }
}
