//! Time as values: protocol code is handed an [`Instant`], it never asks for one.
//!
//! [`Instant`] is monotonic and counts the time a device slept; [`WallTime`] is what people read.
//! A [`Stamp`] is both, taken together. Only a driver owns a [`Clock`].

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on the monotonic clock: nanoseconds since an arbitrary start (boot, on Linux).
///
/// It counts suspended time, saturates instead of wrapping, and is plain data, so events, journals
/// and fuzz inputs can hold it.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_stats::time::Instant};
/// let sent = Instant::from_nanos(5_000);
/// let received = sent + Duration::from_micros(20);
/// assert_eq!(received.since(sent), Duration::from_micros(20));
/// assert_eq!(sent.since(received), Duration::ZERO, "never negative, never a panic");
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(0);
    /// Later than anything that happens: 584 years.
    pub const FAR: Self = Self(u64::MAX);

    /// Makes an instant from nanoseconds since the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Makes an instant from milliseconds since the clock's start; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Wall-clock time: nanoseconds since 1970-01-01 UTC, for people; it may jump.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// Makes a wall time from nanoseconds since 1970-01-01 UTC.
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub const fn as_unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC, rounded down.
    pub const fn as_unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }
}

/// When something was seen: `wall` for people, `mono` for arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Wall-clock time, nanoseconds since 1970-01-01 UTC.
    #[serde(rename = "wall_ns")]
    pub wall: WallTime,
    /// Monotonic time, nanoseconds.
    #[serde(rename = "mono_ns")]
    pub mono: Instant,
}

impl Stamp {
    /// The stamp of a moment `mono`, on the same clocks as `self`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sojourner_stats::time::{Instant, Stamp, WallTime};
    /// let now = Stamp { wall: WallTime::from_unix_nanos(1_000), mono: Instant::from_nanos(50) };
    /// assert_eq!(now.at(Instant::from_nanos(20)).wall, WallTime::from_unix_nanos(970));
    /// ```
    #[must_use]
    pub fn at(self, mono: Instant) -> Self {
        let delta = i128::from(mono.as_nanos()) - i128::from(self.mono.as_nanos());
        let wall = i128::from(self.wall.as_unix_nanos()) + delta;
        let wall = i64::try_from(wall).unwrap_or(if wall < 0 { i64::MIN } else { i64::MAX });
        Self { wall: WallTime(wall), mono }
    }
}

/// When a machine next wants [`handle_timeout`](crate::Machine::handle_timeout), and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The moment it is due.
    pub at: Instant,
    /// The reason, for the log of a driver that spins.
    pub why: &'static str,
}

impl Deadline {
    /// The earliest of several optional deadlines; the first one wins a tie.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sojourner_stats::time::{Deadline, Instant};
    /// let send = Some(Instant::from_millis(20));
    /// let lost = Some(Instant::from_millis(10));
    /// let due = Deadline::earliest([(send, "send"), (lost, "lost"), (None, "never")]).unwrap();
    /// assert_eq!((due.at, due.why), (Instant::from_millis(10), "lost"));
    /// ```
    pub fn earliest<I>(candidates: I) -> Option<Self>
    where
        I: IntoIterator<Item = (Option<Instant>, &'static str)>,
    {
        candidates
            .into_iter()
            .filter_map(|(at, why)| at.map(|at| Self { at, why }))
            .min_by_key(|deadline| deadline.at)
    }

    /// The earlier of two optional deadlines; `a` wins a tie.
    pub fn sooner(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({})", self.at, self.why)
    }
}

/// Where a driver reads the time; protocol code never does.
pub trait Clock: Send + Sync {
    /// Both clocks, read together.
    fn now(&self) -> Stamp;

    /// The monotonic clock alone.
    fn instant(&self) -> Instant {
        self.now().mono
    }
}

/// The system's clocks: `CLOCK_BOOTTIME` (counts suspended time) and `CLOCK_REALTIME` on Linux.
///
/// # Examples
///
/// ```
/// # use sojourner_stats::time::{Clock, SystemClock};
/// let before = SystemClock.now();
/// assert!(SystemClock.instant() >= before.mono);
/// ```
#[cfg(feature = "clock")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(all(feature = "clock", any(target_os = "linux", target_os = "android")))]
impl SystemClock {
    fn read(id: rustix::time::ClockId) -> i64 {
        let time = rustix::time::clock_gettime(id);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    }
}

#[cfg(all(feature = "clock", any(target_os = "linux", target_os = "android")))]
impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        use rustix::time::ClockId;
        Stamp {
            wall: WallTime(Self::read(ClockId::Realtime)),
            mono: Instant(u64::try_from(Self::read(ClockId::Boottime)).unwrap_or(0)),
        }
    }

    fn instant(&self) -> Instant {
        Instant(u64::try_from(Self::read(rustix::time::ClockId::Boottime)).unwrap_or(0))
    }
}

#[cfg(all(feature = "clock", not(any(target_os = "linux", target_os = "android"))))]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]
impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        use std::sync::OnceLock;
        use std::time::{Instant as Std, SystemTime};
        static START: OnceLock<Std> = OnceLock::new();
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        let mono = START.get_or_init(Std::now).elapsed();
        Stamp {
            wall: WallTime(wall),
            mono: Instant(u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::FAR + Duration::MAX, Instant::FAR);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::FAR);
    }

    #[test]
    fn sooner_keeps_the_only_one_and_the_first_of_equals() {
        let at = |ms, why| Some(Deadline { at: Instant::from_millis(ms), why });
        assert_eq!(Deadline::sooner(None, at(3, "b")).unwrap().why, "b");
        assert_eq!(Deadline::sooner(at(3, "a"), at(3, "b")).unwrap().why, "a");
        assert_eq!(Deadline::sooner(at(3, "a"), at(2, "b")).unwrap().why, "b");
    }

    #[test]
    fn a_stamp_moved_to_the_past_keeps_both_clocks_together() {
        let now = Stamp { wall: WallTime(-5), mono: Instant::from_nanos(10) };
        assert_eq!(now.at(Instant::from_nanos(4)).wall, WallTime(-11));
        assert_eq!(WallTime(-1).as_unix_seconds(), -1);
    }
}
