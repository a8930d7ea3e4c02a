//! When to try again: back-off with jitter inside a deadline that counts from the last progress.
//!
//! Pure: times come in, a pause comes out. The deadline is that of one file system operation, so a
//! reader never waits longer than it for a byte; a body that keeps coming keeps it alive.

use std::time::{Duration, Instant};

/// Pause before the first repetition; doubled each time, half of it random.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Longest pause: several tries must fit into the default deadline of 30 s.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The state of one fetch.
#[derive(Debug)]
pub(crate) struct Schedule {
    deadline: Duration,
    last_progress: Instant,
    tries: u32,
}

impl Schedule {
    pub(crate) fn new(deadline: Duration, now: Instant) -> Self {
        Self {
            deadline,
            last_progress: now,
            tries: 0,
        }
    }

    /// Bytes came: the deadline starts anew and the back-off too.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.last_progress = now;
        self.tries = 0;
    }

    /// How long one attempt may go without a byte: a third of the deadline, so that a single stall
    /// is survived by asking again.
    pub(crate) fn stall_limit(&self, now: Instant) -> Duration {
        (self.deadline / 3).min(self.left(now))
    }

    /// Time until the deadline.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        (self.last_progress + self.deadline).saturating_duration_since(now)
    }

    /// Pause before the next try, `None` to give up. `asked` is the server's `Retry-After`,
    /// `random` in 0..1 the jitter.
    pub(crate) fn pause(
        &mut self,
        now: Instant,
        asked: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.tries.min(8));
        let backoff = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + random / 2.0);
        self.tries += 1;
        let pause = asked.map_or(backoff, |asked| asked.max(backoff));
        (pause < self.left(now)).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_never_pass_the_deadline_and_grow_to_a_bound(
            deadline_ms in 1..60_000u64,
            randoms in proptest::collection::vec(0.0..1.0f64, 1..40),
        ) {
            let start = Instant::now();
            let mut now = start;
            let deadline = Duration::from_millis(deadline_ms);
            let mut schedule = Schedule::new(deadline, now);
            for random in randoms {
                let Some(pause) = schedule.pause(now, None, random) else { break };
                prop_assert!(pause <= LONGEST_PAUSE);
                now += pause;
                prop_assert!(now - start < deadline);
            }
        }
    }

    #[test]
    fn retry_after_is_obeyed_within_the_deadline_and_given_up_beyond() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(10), now);
        let asked = Some(Duration::from_secs(4));
        assert_eq!(schedule.pause(now, asked, 0.5), asked);
        assert_eq!(
            schedule.pause(now, Some(Duration::from_secs(11)), 0.5),
            None
        );
    }

    #[test]
    fn progress_renews_the_deadline() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(10), now);
        let later = now + Duration::from_secs(9);
        schedule.progress(later);
        assert_eq!(schedule.left(later), Duration::from_secs(10));
    }
}
