//! From the kernel's receive stamps, which are wall time, to our monotonic instants.

use std::time::Duration;

use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Instant, Stamp};

/// Converts stamps of `CLOCK_REALTIME` to [`Instant`]s.
///
/// Both clocks tick alike, so their offset changes only when the wall clock is stepped. It is
/// looked at again on each turn; on a turn that finds it changed, no stamp is believed, because a
/// stamp may be from before or after the step.
#[derive(Debug)]
pub(crate) struct KernelClock {
    offset_ns: i128,
    trusted: bool,
}

impl KernelClock {
    pub(crate) fn new() -> Self {
        let (offset_ns, _now) = look();
        Self { offset_ns, trusted: true }
    }

    /// Looks at both clocks; call it after each wake-up, before converting what was received.
    pub(crate) fn turn(&mut self) -> Stamp {
        let (offset_ns, now) = look();
        self.on_look(offset_ns);
        now
    }

    fn on_look(&mut self, offset_ns: i128) {
        self.trusted = offset_ns.abs_diff(self.offset_ns) < STEP_MIN.as_nanos();
        if !self.trusted {
            self.offset_ns = offset_ns;
        }
    }

    /// When the kernel's stamp was taken; `None` when the wall clock was stepped meanwhile.
    pub(crate) fn instant(&self, realtime_ns: i64) -> Option<Instant> {
        let mono = i128::from(realtime_ns) - self.offset_ns;
        self.trusted.then(|| u64::try_from(mono).ok().map(Instant::from_nanos)).flatten()
    }
}

/// The offset of the wall clock, and now. Looks again when it was interrupted between the clocks.
fn look() -> (i128, Stamp) {
    let mut best: Option<(u64, i128, Stamp)> = None;
    for _ in 0..LOOKS_MAX {
        let before = SystemClock.instant();
        let now = SystemClock.now();
        let width_ns = now.mono.as_nanos().saturating_sub(before.as_nanos());
        let middle_ns = i128::from(before.as_nanos()) + i128::from(width_ns / 2);
        let offset_ns = i128::from(now.wall.as_unix_nanos()) - middle_ns;
        if best.is_none_or(|(best_ns, ..)| width_ns < best_ns) {
            best = Some((width_ns, offset_ns, now));
        }
        if Duration::from_nanos(width_ns) < WIDTH_GOOD {
            break;
        }
    }
    let now = best.map_or_else(Stamp::default, |(.., now)| now);
    (best.map_or(0, |(_, offset_ns, _)| offset_ns), now)
}

/// A change of the offset that is a step: more than two looks can err by.
const STEP_MIN: Duration = Duration::from_micros(50);
/// A look this short was not interrupted.
const WIDTH_GOOD: Duration = Duration::from_micros(2);
/// Most looks a turn: on a busy core two in a row are seldom interrupted.
const LOOKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_step_no_stamp_is_believed_until_the_next_turn() {
        let mut clock = KernelClock { offset_ns: 1_000_000_000, trusted: true };
        assert_eq!(clock.instant(1_000_000_500), Some(Instant::from_nanos(500)));
        clock.on_look(1_000_010_000); // within what a look errs by
        assert_eq!(clock.instant(1_000_000_500), Some(Instant::from_nanos(500)));
        clock.on_look(5_000_000_000);
        assert_eq!(clock.instant(5_000_000_500), None);
        clock.on_look(5_000_000_000);
        assert_eq!(clock.instant(5_000_000_500), Some(Instant::from_nanos(500)));
        assert_eq!(clock.instant(i64::MIN), None, "before the start");
    }

    #[test]
    fn a_wall_time_converts_to_the_instant_read_beside_it() {
        let mut clock = KernelClock::new();
        let now = clock.turn();
        let converted = clock.instant(now.wall.as_unix_nanos());
        // A step or a long interruption between the looks is possible, if unlikely: then nothing
        // is claimed.
        assert!(converted.is_none_or(|at| at <= now.mono + STEP_MIN));
    }
}
