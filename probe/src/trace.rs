//! The path to a target, hop by hop, all distances at once.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel;
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    expect(dead_code, reason = "its only driver is Linux'")
)]
mod machine;

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use sojourner_stats::event::{HopAnswer, TraceProtocol};
use sojourner_stats::{Origin, Sink};
use tokio_util::sync::CancellationToken;

use crate::ProbeError;

/// What to trace, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceConfig {
    /// What its events carry.
    pub origin: Origin,
    /// The address at the far end.
    pub addr: IpAddr,
    /// With which packets.
    pub protocol: TraceProtocol,
    /// The farthest distance looked at, 1 to 64.
    pub max_ttl: u8,
    /// How many times the path is walked; `None` goes on until cancelled.
    pub rounds: Option<u32>,
    /// From the start of one round to the start of the next, at least; a round that takes longer
    /// delays the next.
    pub interval: Duration,
    /// The longest wait for a hop that stays silent. When others answered, the wait is shorter:
    /// three times the slowest answer.
    pub timeout: Duration,
    /// The address to send from; the system chooses otherwise.
    pub source: Option<IpAddr>,
    /// The interface to send through; the routes choose otherwise.
    pub interface: Option<String>,
}

impl TraceConfig {
    /// The defaults: one round of ICMP echoes to 30 hops, silent hops waited for up to 1 s.
    pub const fn new(origin: Origin, addr: IpAddr) -> Self {
        Self {
            origin,
            addr,
            protocol: TraceProtocol::Icmp,
            max_ttl: 30,
            rounds: Some(1),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            source: None,
            interface: None,
        }
    }
}

/// What the path looked like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceReport {
    /// Rounds completed.
    pub rounds: u32,
    /// One entry a distance, from 1 to the target, or to the last hop that ever answered.
    pub hops: Vec<Hop>,
    /// Whether the target itself answered.
    pub reached: bool,
}

/// One distance on the path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// The TTL or hop limit: the distance, from 1.
    pub ttl: u8,
    /// Who answered, in the order first seen; empty for a hop that stayed silent. At most
    /// [`ADDRS_MAX`].
    pub addrs: Vec<IpAddr>,
    /// The round trip of each round, oldest first, `None` where it stayed silent; the newest
    /// [`RTTS_MAX`].
    pub rtts: Vec<Option<Duration>>,
    /// What it last answered.
    pub answer: Option<HopAnswer>,
}

/// Most addresses kept a hop: parallel paths of 16 routers are the widest commonly built.
pub const ADDRS_MAX: usize = 16;
/// Most round trips kept a hop: a quarter of an hour at one round a second.
pub const RTTS_MAX: usize = 1_000;

/// Walks the path until the rounds are done, or until cancelled.
///
/// Emits `HopReply`, `HopSilent` and `TraceRound` as they happen. Needs no privilege on Linux for
/// UDP; ICMP needs `ping_group_range` or `CAP_NET_RAW`.
///
/// # Errors
///
/// [`ProbeError::Invalid`] for a setting out of range, [`ProbeError::Denied`] when ICMP sockets are
/// refused (trace by UDP, or grant what it says), [`ProbeError::Unsupported`] elsewhere than on
/// Linux, [`ProbeError::Io`] when a socket fails for another reason.
pub async fn run(
    config: &TraceConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<TraceReport, ProbeError> {
    let refuse = |field, value: String, mend: &str| {
        Err(ProbeError::Invalid { field, value, mend: mend.to_owned() })
    };
    if !(1..=MAX_TTL).contains(&config.max_ttl) {
        return refuse("max ttl", config.max_ttl.to_string(), "give 1 to 64");
    }
    if config.timeout.is_zero() {
        return refuse("timeout", "0 s".to_owned(), "give a time above zero");
    }
    if config.interval.is_zero() && config.rounds.is_none() {
        return refuse(
            "interval",
            "0 s".to_owned(),
            "give a time above zero, or a number of rounds",
        );
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return kernel::run(config, sink, cancel).await;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (sink, cancel);
        Err(ProbeError::Unsupported { what: "tracing", mend: "run it on Linux" })
    }
}

/// Farthest distance: the longest paths of the Internet have about 40 hops.
const MAX_TTL: u8 = 64;
