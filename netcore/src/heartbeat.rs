//! Whether the peer is still there: one noop when a direction was quiet for the interval.
//!
//! The first beat goes out as soon as a connection is made, and so proves it. The next is due
//! once nothing was *sent* for the interval (a NAT forgets flows that its inside does not use) or
//! nothing was *received* for it (the peer may be gone while we go on talking); each time the
//! interval is drawn anew from its last tenth, so that clients do not beat together. A beat is lost
//! when neither its answer nor any other byte came for the timeout: any byte proves a live peer.
//! So a dead one is noticed within interval + timeout of its last byte.
//!
//! Figures: `Tencent/mars:mars/stn/src/longlink.cc` waits 8 s for the answer, and 5 s when the
//! device has slept for 15 min or more.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;
use sojourner_stats::Instant;

/// The heart of one connection.
#[derive(Debug)]
pub(crate) struct Heart {
    interval: Duration,
    timeout: Duration,
    /// This round's interval: the configured one less up to a tenth.
    planned: Duration,
    last_sent: Instant,
    last_heard: Instant,
    /// The last beat's end: no two beats within one interval, whatever is reported of the bytes.
    last_end: Instant,
    beat: Option<Beat>,
}

/// A beat that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Instant,
    timeout: Duration,
    planned: Duration,
}

/// How a beat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BeatEnd {
    pub(crate) planned: Duration,
    pub(crate) cost: Duration,
}

impl Heart {
    pub(crate) const fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            planned: Duration::ZERO,
            last_sent: now,
            last_heard: now,
            last_end: now,
            beat: None,
        }
    }

    pub(crate) fn on_sent(&mut self, at: Instant) {
        self.last_sent = self.last_sent.max(at);
    }

    pub(crate) fn on_heard(&mut self, at: Instant) {
        self.last_heard = self.last_heard.max(at);
    }

    /// When the last byte came, or the connection was made.
    pub(crate) const fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// When the next beat is due; `None` while one waits for its answer.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.beat.is_none().then(|| self.quiet_since().max(self.last_end) + self.planned)
    }

    /// When the outstanding beat is lost.
    pub(crate) fn lost_at(&self) -> Option<Instant> {
        self.beat.map(|beat| beat.at.max(self.last_heard) + beat.timeout)
    }

    /// Begins a beat, unless one is outstanding; whether the noop is to be sent.
    pub(crate) fn begin(&mut self, now: Instant, rng: &mut ChaCha8Rng) -> bool {
        if self.beat.is_some() {
            return false;
        }
        let slept = now.since(self.quiet_since()) >= SLEPT_AFTER;
        let timeout = if slept { self.timeout.min(TIMEOUT_AFTER_SLEEP) } else { self.timeout };
        self.beat = Some(Beat { at: now, timeout, planned: self.planned });
        let shorter_by =
            self.interval.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX) / 10.0);
        self.planned = self.interval.saturating_sub(shorter_by);
        true
    }

    /// Ends the outstanding beat, if there is one.
    pub(crate) fn end(&mut self, now: Instant) -> Option<BeatEnd> {
        let beat = self.beat.take()?;
        self.last_end = now;
        Some(BeatEnd { planned: beat.planned, cost: now.since(beat.at) })
    }

    fn quiet_since(&self) -> Instant {
        self.last_sent.min(self.last_heard)
    }
}

const SLEPT_AFTER: Duration = Duration::from_mins(15);
const TIMEOUT_AFTER_SLEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(100);
    const TIMEOUT: Duration = Duration::from_secs(8);

    #[test]
    fn the_first_beat_is_due_at_once_and_the_next_in_the_last_tenth_of_the_interval() {
        let (mut heart, mut rng) = heart();
        assert_eq!(heart.due(), Some(at(0)));
        assert!(heart.begin(at(0), &mut rng));
        assert!(!heart.begin(at(0), &mut rng), "one at a time");
        heart.on_heard(at(1));
        heart.on_sent(at(1));
        let end = heart.end(at(1)).unwrap();
        assert_eq!(end, BeatEnd { planned: Duration::ZERO, cost: Duration::from_secs(1) });
        let due = heart.due().unwrap();
        assert!(due >= at(91) && due <= at(101), "{due:?}");
    }

    #[test]
    fn silence_in_either_direction_makes_a_beat_due() {
        let (mut heart, mut rng) = heart();
        heart.begin(at(0), &mut rng);
        heart.end(at(0));
        heart.on_sent(at(80));
        assert!(heart.due().unwrap() <= at(100), "we talk, nobody answers");
        heart.on_heard(at(80));
        assert!(heart.due().unwrap() > at(100), "both ways were used");
    }

    #[test]
    fn any_byte_keeps_a_beat_from_being_lost() {
        let (mut heart, mut rng) = heart();
        heart.begin(at(10), &mut rng);
        assert_eq!(heart.lost_at(), Some(at(18)));
        heart.on_heard(at(15));
        assert_eq!(heart.lost_at(), Some(at(23)));
    }

    #[test]
    fn after_a_long_sleep_the_answer_is_waited_for_less_long() {
        let (mut heart, mut rng) = heart();
        heart.begin(at(20 * 60), &mut rng);
        assert_eq!(heart.lost_at(), Some(at(20 * 60 + 5)));
    }

    fn heart() -> (Heart, ChaCha8Rng) {
        (Heart::new(INTERVAL, TIMEOUT, at(0)), ChaCha8Rng::seed_from_u64(7))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }
}
