//! How much of one content has to be under way at once.
//!
//! A wire is full while bandwidth × latency bytes are asked for. More than that only brings the
//! bytes out of order, and readers and the digest wait for the gap. Both are measured: latency at the
//! head of each answer, bandwidth over its body.

use std::time::Duration;

/// Weight of a new sample: an eighth, so that one slow answer in a burst does not count.
const WEIGHT: f64 = 0.125;

/// Times bandwidth × latency. Parts that end together leave the wire without work for one latency
/// unless others are in the middle of theirs: at 1 Gbit/s and 20 ms twice the product reached 0.957
/// of the wire, this 0.983 in turns with it.
const MARGIN: f64 = 8.0;

/// Parts under way before anything is known: 16 MiB fill 1 Gbit/s at 130 ms.
const UNKNOWN: usize = 4;

/// Fewest parts. One after another would do on a wire without latency, but servers and links often
/// serve several streams better than one.
const FEWEST: usize = 4;

/// Most parts: 32 MiB, which is the largest window of a reader.
const MOST: usize = 8;

/// What answers have shown so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pace(Option<Known>);

#[derive(Debug, Clone, PartialEq)]
struct Known {
    /// Seconds until the head of an answer.
    latency: f64,
    /// Bytes a second of all parts together.
    bandwidth: f64,
}

impl Pace {
    /// A part of `bytes` came within `body` after a head that took `head`, as one of `parallel`.
    pub(crate) fn note(&mut self, bytes: u64, head: Duration, body: Duration, parallel: usize) {
        // What came faster than a millisecond says little of the wire.
        let seconds = body.as_secs_f64().max(0.001);
        let sample = Known {
            latency: head.as_secs_f64(),
            bandwidth: bytes as f64 / seconds * parallel as f64,
        };
        let mix = |old: f64, new: f64| old + (new - old) * WEIGHT;
        self.0 = Some(match &self.0 {
            None => sample,
            Some(known) => Known {
                latency: mix(known.latency, sample.latency),
                bandwidth: mix(known.bandwidth, sample.bandwidth),
            },
        });
    }

    /// How many parts of `part` bytes to have under way.
    pub(crate) fn parallel(&self, part: u64) -> usize {
        let Some(known) = &self.0 else {
            return UNKNOWN;
        };
        let bytes = known.latency * known.bandwidth * MARGIN;
        // Saturates: far above the most anyway.
        let parts = (bytes / part.max(1) as f64).ceil() as usize;
        parts.saturating_add(1).clamp(FEWEST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PART: u64 = 4 << 20;

    fn after(samples: usize, bandwidth: u64, latency: u64) -> usize {
        let mut pace = Pace::default();
        for _ in 0..samples {
            let parallel = pace.parallel(PART);
            let body = Duration::from_secs_f64(PART as f64 * parallel as f64 / bandwidth as f64);
            pace.note(PART, Duration::from_millis(latency), body, parallel);
        }
        pace.parallel(PART)
    }

    #[test]
    fn a_near_server_gets_the_fewest_parts_and_a_far_one_what_fills_the_wire() {
        assert_eq!(after(20, 125_000_000, 1), FEWEST);
        assert_eq!(after(20, 1_000_000_000, 0), FEWEST);
        assert!(after(20, 250_000_000, 50) > FEWEST);
        assert_eq!(after(20, 1_000_000_000, 250), MOST);
    }

    proptest! {
        #[test]
        fn whatever_is_measured_the_number_stays_within_its_bounds_and_covers_the_wire(
            samples in 0..40usize,
            bandwidth in 1..10_000_000_000u64,
            latency in 0..10_000u64,
        ) {
            let parts = after(samples, bandwidth, latency);
            prop_assert!((FEWEST..=MOST).contains(&parts));
            let needed = bandwidth as f64 * latency as f64 / 1000.0;
            prop_assert!(samples == 0 || parts == MOST || parts as f64 * PART as f64 >= needed);
        }
    }
}
