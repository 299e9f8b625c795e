//! Durations as Prometheus writes them: `5s`, `1m30s`, `500ms`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// A duration in Prometheus' grammar: whole numbers with units, the larger unit first
/// (`prometheus/common:model/time.go`). A year has 365 days, a week 7.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_exporter::duration::PromDuration};
/// let timeout: PromDuration = "1m30s".parse().unwrap();
/// assert_eq!(timeout.0, Duration::from_secs(90));
/// assert_eq!(timeout.to_string(), "1m30s");
/// assert!("90".parse::<PromDuration>().is_err(), "a number needs its unit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct PromDuration(pub Duration);

/// The text is no duration in Prometheus' grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration; write whole numbers with units, such as 500ms, 5s or 1m30s")]
pub struct DurationError {
    /// What was written.
    pub text: String,
}

/// The units, largest first: the order in which they may be written. The size is milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl std::str::FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let wrong = || DurationError { text: text.to_owned() };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut units = UNITS.iter();
        let mut total_ms: u64 = 0;
        while !rest.is_empty() {
            let (number, tail) = split_where(rest, |c| !c.is_ascii_digit());
            let (unit, tail) = split_where(tail, |c| c.is_ascii_digit());
            let (_, size_ms) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
            total_ms = number
                .checked_mul(*size_ms)
                .and_then(|ms| total_ms.checked_add(ms))
                .ok_or_else(wrong)?;
            rest = tail;
        }
        if text.is_empty() {
            return Err(wrong());
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

impl TryFrom<String> for PromDuration {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left_ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left_ms == 0 {
            return f.write_str("0s");
        }
        for (unit, size_ms) in UNITS {
            let count = left_ms / size_ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            left_ms %= size_ms;
        }
        Ok(())
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrong_durations_are_refused_with_an_example_of_a_right_one() {
        for bad in ["", "5", "s", "5 s", "-5s", "5s1m", "1.5s", "5s5s", "99999999999999999999s"] {
            let error = bad.parse::<PromDuration>().unwrap_err();
            assert!(error.to_string().contains("1m30s"), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..10_u64.pow(13)) {
            let duration = PromDuration(Duration::from_millis(ms));
            prop_assert_eq!(duration.to_string().parse::<PromDuration>().unwrap(), duration);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9smhdwy. -]{0,24}") {
            let _ = text.parse::<PromDuration>();
        }
    }
}
