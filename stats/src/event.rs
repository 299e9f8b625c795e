//! The vocabulary: one struct per thing that can be measured or observed.
//!
//! Events are plain data and forward compatible. Kinds and fields are added, never renamed,
//! because journals outlive releases; a reader that meets a kind it does not know reads
//! [`Kind::Unknown`] and counts it. In JSON an event is one flat object:
//!
//! ```
//! # use {std::time::Duration, sojourner_stats::{event::*, time::*}};
//! let event = Event::new(
//!     Stamp { wall: WallTime::from_unix_nanos(1_000), mono: Instant::from_nanos(7) },
//!     Origin::new(Source::Ping, "192.0.2.7"),
//!     Kind::PingLost(PingLost { seq: 3, addr: "192.0.2.7".parse().unwrap() }),
//! );
//! let json = serde_json::to_string(&event).unwrap();
//! assert_eq!(
//!     json,
//!     r#"{"at":{"wall_ns":1000,"mono_ns":7},"origin":{"source":"ping","target":"192.0.2.7"},"kind":"ping_lost","seq":3,"addr":"192.0.2.7"}"#
//! );
//! assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
//! ```

mod cause;
mod dns;
mod finding;
mod link;
mod local;
mod path;
mod ping;
mod tcp;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use cause::{Cause, UnknownCause};
pub use dns::{
    DnsAnswer, DnsError, DnsFailure, DnsIntegrity, DnsRecord, DnsRole, DnsTransport, DnsVerdict,
};
pub use finding::{Finding, MeasurementId, Scope, Severity, Status, Verdict};
pub use link::{
    AddressSource, ChannelKind, ConnectProfile, ConnectReason, DisconnectReason, FailStep,
    Heartbeat, LinkState, LinkStatus, TaskFailure, TaskProfile,
};
pub use local::{Interface, LocalNetwork, NetworkChange, Resolver, Route};
pub use path::{HopAnswer, HopReply, HopSilent, TraceProtocol, TraceRound};
pub use ping::{
    IcmpUnreachable, PingDuplicate, PingEngine, PingError, PingLate, PingLost, PingReply,
    PingSendFailed, StampSource,
};
pub use tcp::{AppOutcome, AppReply, AppRequest, TcpConnect, TcpInfo, TcpOutcome};

use crate::time::Stamp;

/// One fact, stamped where it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was seen: wall time for people, monotonic time for arithmetic.
    pub at: Stamp,
    /// Which measurement saw it, and about which target.
    pub origin: Origin,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

impl Event {
    /// Makes an event.
    pub const fn new(at: Stamp, origin: Origin, kind: Kind) -> Self {
        Self { at, origin, kind }
    }
}

/// Where an event comes from and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// What measured it.
    pub source: Source,
    /// The target as its user wrote it; the key that series, screens and metrics share.
    pub target: Arc<str>,
}

impl Origin {
    /// Makes an origin. Clone one instead of making it anew: the target is shared.
    pub fn new(source: Source, target: impl Into<Arc<str>>) -> Self {
        Self { source, target: target.into() }
    }

    /// The same target, seen by another source.
    #[must_use]
    pub fn by(&self, source: Source) -> Self {
        Self { source, target: Arc::clone(&self.target) }
    }
}

/// What measured or observed an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The echo prober.
    Ping,
    /// The path prober.
    Trace,
    /// The DNS prober.
    Dns,
    /// The TCP prober.
    Tcp,
    /// Facts about this host.
    Local,
    /// The diagnosis.
    Diagnose,
    /// A long or short link of `netcore`.
    Link,
    /// The statistics themselves.
    Stats,
    /// The embedding application.
    App,
    /// From a newer writer.
    #[serde(other)]
    Unknown,
}

/// What happened, in the past tense.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// An echo reply came in time.
    PingReply(PingReply),
    /// No reply within the timeout.
    PingLost(PingLost),
    /// A router or host answered an echo with an ICMP error.
    PingError(PingError),
    /// A second reply to one echo.
    PingDuplicate(PingDuplicate),
    /// A reply after its echo was already counted as lost.
    PingLate(PingLate),
    /// This host could not send an echo: never the network's loss.
    PingSendFailed(PingSendFailed),
    /// A hop of the path answered.
    HopReply(HopReply),
    /// A hop of the path did not answer in time.
    HopSilent(HopSilent),
    /// One round over all TTLs ended.
    TraceRound(TraceRound),
    /// A DNS server answered, whatever the answer.
    DnsAnswer(DnsAnswer),
    /// A DNS question got no usable answer.
    DnsFailure(DnsFailure),
    /// Answers were compared.
    DnsVerdict(DnsVerdict),
    /// One attempt of a racing connect ended.
    TcpConnect(TcpConnect),
    /// Whether the application behind a connection says anything.
    AppReply(AppReply),
    /// What this host knows of its own network.
    LocalNetwork(LocalNetwork),
    /// This host's network changed.
    NetworkChange(NetworkChange),
    /// One connection of a link, from its first attempt to its end.
    ConnectProfile(ConnectProfile),
    /// One task, from acceptance to its only end.
    TaskProfile(TaskProfile),
    /// A link changed state.
    LinkState(LinkState),
    /// A heartbeat ended.
    Heartbeat(Heartbeat),
    /// A rule of the diagnosis drew a conclusion.
    Finding(Finding),
    /// The diagnosis settled on what explains the findings.
    Verdict(Verdict),
    /// A number that the embedding application reports.
    Custom(Custom),
    /// A full queue dropped events. The loss is itself an event, so totals still add up.
    Dropped(Dropped),
    /// From a newer writer: readers count it and go on.
    #[serde(other)]
    Unknown,
}

/// A number that the embedding application reports under a key of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Custom {
    /// The metric's name, `snake_case`, unit last.
    pub key: Arc<str>,
    /// The number, and how it adds up.
    pub value: CustomValue,
}

/// How an application's number adds up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomValue {
    /// Added to a total.
    Count(u64),
    /// Replaces the last value.
    Gauge(f64),
    /// One sample of a distribution.
    Sample(f64),
}

/// How many events a full queue dropped since the last such event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The number of events lost.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_the_future_is_read_as_unknown_and_keeps_its_origin() {
        let json = r#"{"at":{"wall_ns":1,"mono_ns":2},"origin":{"source":"telepathy","target":"x"},
            "kind":"mind_read","depth":{"a":[1,2]}}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert_eq!(event.kind, Kind::Unknown);
        assert_eq!(event.origin, Origin::new(Source::Unknown, "x"));
    }

    #[test]
    fn a_field_of_the_future_is_skipped() {
        let json = r#"{"at":{"wall_ns":1,"mono_ns":2},"origin":{"source":"ping","target":"x"},
            "kind":"ping_lost","seq":1,"addr":"192.0.2.1","mood":"sad"}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert!(matches!(event.kind, Kind::PingLost(PingLost { seq: 1, .. })));
    }
}
