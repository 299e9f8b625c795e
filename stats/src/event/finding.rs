//! What measurements mean.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Cause;

/// The number of a measurement within one diagnosis, from 1; people and JSON see `m1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeasurementId(pub u32);

impl fmt::Display for MeasurementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl Serialize for MeasurementId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MeasurementId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.strip_prefix('m').and_then(|number| number.parse().ok()).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!("{text:?} is not a measurement id such as m1"))
        })
    }
}

/// A conclusion, never louder than its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The stable label of what is wrong, or right.
    pub cause: Cause,
    /// How much it matters.
    pub severity: Severity,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One sentence a field engineer can read to a customer.
    pub summary: String,
    /// What to do about it.
    pub advice: String,
    /// Whose it is.
    pub scope: Scope,
    /// The measurements it rests on.
    pub evidence: Vec<MeasurementId>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is broken.
    Info,
    /// It works, but not well.
    Warning,
    /// It does not work.
    Fault,
}

/// Whose part of the way a finding is about, from the inside out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This host.
    Device,
    /// The local network and its gateway.
    Lan,
    /// The access provider, its resolver included.
    Isp,
    /// The networks between.
    Path,
    /// The far host.
    Server,
    /// The application on it.
    App,
}

/// How the target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It works.
    Healthy,
    /// It works, but not well.
    Degraded,
    /// It does not work.
    Down,
}

/// The finding that explains the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// How the target is doing.
    pub status: Status,
    /// Why.
    pub cause: Cause,
    /// Whose part of the way it is.
    pub scope: Scope,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// One sentence a field engineer can read to a customer.
    pub summary: String,
    /// What to do about it.
    pub advice: String,
}
