//! Quantities that carry their unit in the type and in JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that JSON sees as microseconds, with up to three decimals (whole nanoseconds).
///
/// Field names that hold one end in `_us`.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_stats::units::Micros};
/// let rtt = Micros::from(Duration::from_nanos(23_417));
/// assert_eq!(serde_json::to_string(&rtt).unwrap(), "23.417");
/// assert_eq!(serde_json::from_str::<Micros>("23.417").unwrap(), rtt);
/// assert_eq!(serde_json::from_str::<Micros>("23").unwrap().0, Duration::from_micros(23));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub Duration);

impl Micros {
    /// The same, in seconds, for metrics.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Micros> for Duration {
    fn from(micros: Micros) -> Self {
        micros.0
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos.is_multiple_of(1_000) {
            return serializer.serialize_u64(nanos / 1_000);
        }
        #[expect(clippy::cast_precision_loss, reason = "exact to the nanosecond up to 52 days")]
        serializer.serialize_f64(nanos as f64 / 1_000.0)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let micros = f64::deserialize(deserializer)?;
        let nanos = (micros * 1_000.0).round();
        if !(0.0..=1.8e19).contains(&nanos) {
            return Err(serde::de::Error::custom(format_args!(
                "a duration of {micros} microseconds is out of range"
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be within 0 and 1.8e19 above"
        )]
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_or_infinite_duration_is_refused() {
        for bad in ["-1", "1e300"] {
            assert!(serde_json::from_str::<Micros>(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_day_survives_the_round_trip_to_the_nanosecond() {
        let day = Micros(Duration::from_nanos(86_400_000_000_001));
        let text = serde_json::to_string(&day).unwrap();
        assert_eq!(serde_json::from_str::<Micros>(&text).unwrap(), day, "{text}");
    }
}
