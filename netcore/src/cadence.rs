//! When a lost link tries again: exponential back-off with jitter.
//!
//! The n-th attempt in a row waits `first × 2ⁿ`, at most `max`, times a random factor between one
//! half and one, so that clients which lost one server at one instant come back spread out. A task
//! that wants the link shortens the wait to `with_task`, times the same factor: a person is
//! waiting. The count starts anew after a connection that lived for [`STABLE_AFTER`]; one that is
//! closed as soon as it is made goes on backing off.
//!
//! The figures are Mars' (`Tencent/mars:mars/stn/src/longlink_connect_monitor.cc`): 500 ms after a
//! failure, 5 s between attempts for a task, 120 s in the foreground. Mars adds no jitter.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

/// The bounds of the back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first attempt after a loss. Default 500 ms.
    pub first: Duration,
    /// The longest wait of all, after many failures. Default 120 s.
    pub max: Duration,
    /// The longest wait while a task wants the link. Default 5 s.
    pub with_task: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_mins(2),
            with_task: Duration::from_secs(5),
        }
    }
}

/// Counts failures and draws waits.
#[derive(Debug)]
pub(crate) struct Cadence {
    backoff: Backoff,
    attempts: u32,
}

/// One drawn wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// With nothing to send.
    pub(crate) idle: Duration,
    /// While a task wants the link; never longer than `idle`.
    pub(crate) with_task: Duration,
}

impl Cadence {
    pub(crate) const fn new(backoff: Backoff) -> Self {
        Self { backoff, attempts: 0 }
    }

    /// A connection ended that had lived for `lived`, or was never made (`None`).
    pub(crate) fn on_ended(&mut self, lived: Option<Duration>) {
        if lived.is_some_and(|lived| lived >= STABLE_AFTER) {
            self.reset();
        }
    }

    /// The network changed: what failed before says nothing any more.
    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Draws the wait before the next attempt.
    pub(crate) fn next_wait(&mut self, rng: &mut ChaCha8Rng) -> Wait {
        let ceiling = self
            .backoff
            .first
            .saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX))
            .min(self.backoff.max);
        self.attempts = self.attempts.saturating_add(1).min(ATTEMPTS_COUNTED_MAX);
        let factor = 0.5 + f64::from(rng.next_u32()) / f64::from(u32::MAX) / 2.0;
        let idle = ceiling.mul_f64(factor);
        Wait { idle, with_task: self.backoff.with_task.mul_f64(factor).min(idle) }
    }
}

/// A connection that lived this long was a good one.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(10);
/// 2³⁰ times any first wait exceeds any sensible maximum.
const ATTEMPTS_COUNTED_MAX: u32 = 30;

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_keep_at_least_half() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut cadence = Cadence::new(Backoff::default());
        for ceiling_ms in
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 120_000, 120_000]
        {
            let ceiling = Duration::from_millis(ceiling_ms);
            let wait = cadence.next_wait(&mut rng);
            assert!(wait.idle >= ceiling / 2 && wait.idle <= ceiling, "{wait:?} of {ceiling:?}");
            assert!(wait.with_task <= wait.idle.min(Duration::from_secs(5)), "{wait:?}");
        }
    }

    #[test]
    fn only_a_connection_that_lived_starts_the_count_anew() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut cadence = Cadence::new(Backoff::default());
        for _ in 0..40 {
            cadence.next_wait(&mut rng);
            cadence.on_ended(Some(Duration::from_secs(9)));
        }
        assert!(cadence.next_wait(&mut rng).idle >= Duration::from_mins(1));
        cadence.on_ended(Some(STABLE_AFTER));
        assert!(cadence.next_wait(&mut rng).idle <= Duration::from_millis(500));
    }

    #[test]
    fn ten_thousand_clients_come_back_spread_over_the_whole_range() {
        let mut tenths = [0_u32; 10];
        for seed in 0..10_000 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let wait = Cadence::new(Backoff::default()).next_wait(&mut rng).idle;
            let tenth = (wait.as_millis().saturating_sub(250) / 25).min(9);
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (800..1_200).contains(&count)), "{tenths:?}");
    }
}
