//! ICMP echo to many targets at once.
//!
//! One pure machine schedules the echoes of every target, knows what is in flight and
//! says how each echo ended; an engine sends and hears for it. Which engine measured is part of
//! every reply, because they differ in what they can see:
//!
//! | engine | needs | receive stamp | sees ICMP errors |
//! | --- | --- | --- | --- |
//! | [`KernelDgram`](PingEngine::KernelDgram) | Linux, `ping_group_range` | kernel | yes |
//! | [`KernelRaw`](PingEngine::KernelRaw) | Linux, `CAP_NET_RAW` | kernel | yes |
//! | [`KernelUdp`](PingEngine::KernelUdp) | Linux, nothing | kernel | yes |
//! | [`Surge`](PingEngine::Surge) | an ICMP socket of any kind | user | raw sockets only |
//!
//! `KernelUdp` asks closed UDP ports and times the "port unreachable" that comes back. It works for
//! everyone, but a host that filters or rate limits those answers looks lossy: silence over UDP
//! says less than silence over ICMP.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod kernel;
mod machine;
mod surge;

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use sojourner_stats::event::PingEngine;
use sojourner_stats::{Origin, Sink};
use tokio_util::sync::CancellationToken;

use crate::ProbeError;

/// One address to ping, and whose measurement it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingTarget {
    /// What its events carry.
    pub origin: Origin,
    /// The address.
    pub addr: IpAddr,
}

/// What to ping, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingConfig {
    /// Whom to ask, at most [`TARGETS_MAX`].
    pub targets: Vec<PingTarget>,
    /// Echoes per target; `None` goes on until cancelled.
    pub count: Option<u64>,
    /// From one echo to the next of the same target, at least [`INTERVAL_MIN`].
    pub interval: Duration,
    /// When an echo without a reply counts as lost.
    pub timeout: Duration,
    /// ICMP payload, without headers, at most [`SIZE_BYTES_MAX`]. Below 16 a reply is told apart by
    /// address and sequence number alone.
    pub size_bytes: u16,
    /// The TTL or hop limit to send with; the system's default otherwise.
    pub ttl: Option<u8>,
    /// Which engine measures.
    pub engine: EngineChoice,
    /// The address to send from; the system chooses otherwise. Targets of the other family then
    /// cannot be asked.
    pub source: Option<IpAddr>,
    /// The interface to send through; the routes choose otherwise.
    pub interface: Option<String>,
}

impl PingConfig {
    /// The defaults: an echo a second until cancelled, lost after 2 s, 56 bytes as `ping` sends.
    pub const fn new(targets: Vec<PingTarget>) -> Self {
        Self {
            targets,
            count: None,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            size_bytes: 56,
            ttl: None,
            engine: EngineChoice::Auto,
            source: None,
            interface: None,
        }
    }
}

/// Which engine measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineChoice {
    /// The most exact one this process may use: kernel ICMP datagram sockets, kernel raw sockets,
    /// then UDP to closed ports; elsewhere than on Linux, `surge-ping`.
    #[default]
    Auto,
    /// Kernel ICMP sockets, datagram or raw, or a refusal.
    Kernel,
    /// Kernel UDP sockets: needs no privilege at all.
    Udp,
    /// The portable engine on `surge-ping`, or a refusal.
    Surge,
}

/// How a run went, target by target in the order asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PingReport {
    /// One entry a target.
    pub targets: Vec<PingSummary>,
    /// Replies that this host's full receive buffer threw away, as the kernel counts them.
    pub overflowed: u64,
}

/// The counts of one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PingSummary {
    /// Whose measurement it is.
    pub origin: Origin,
    /// The address asked.
    pub addr: IpAddr,
    /// Which engine measured.
    pub engine: PingEngine,
    /// Replies in time.
    pub replies: u64,
    /// Echoes without a reply in time.
    pub lost: u64,
    /// Echoes answered by an ICMP error.
    pub errors: u64,
    /// Second replies to one echo.
    pub duplicates: u64,
    /// Replies after their echo counted as lost.
    pub late: u64,
    /// Echoes that this host could not send.
    pub send_failed: u64,
    /// The shortest round trip.
    pub rtt_min: Option<Duration>,
    /// The mean round trip.
    pub rtt_mean: Option<Duration>,
    /// The longest round trip.
    pub rtt_max: Option<Duration>,
}

impl PingSummary {
    const fn new(origin: Origin, addr: IpAddr, engine: PingEngine) -> Self {
        Self {
            origin,
            addr,
            engine,
            replies: 0,
            lost: 0,
            errors: 0,
            duplicates: 0,
            late: 0,
            send_failed: 0,
            rtt_min: None,
            rtt_mean: None,
            rtt_max: None,
        }
    }

    /// Echoes that left this host and whose fate is known.
    pub const fn sent(&self) -> u64 {
        self.replies + self.lost + self.errors
    }
}

/// Most targets of one run: ten times the largest fleet measured, 100 MiB of state at worst.
pub const TARGETS_MAX: usize = 100_000;
/// Shortest interval: below a millisecond the timer, not the network, sets the pace.
pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Most payload: a full IPv4 datagram without its headers.
pub const SIZE_BYTES_MAX: u16 = 65_507;

/// Pings until every target had its count, or until cancelled, and says how it went.
///
/// Emits `PingReply`, `PingLost`, `PingError`, `PingDuplicate`, `PingLate` and `PingSendFailed` as
/// they happen. An echo still in flight when cancelled is neither a reply nor a loss.
///
/// # Errors
///
/// [`ProbeError::Invalid`] for a setting out of range, [`ProbeError::Denied`] when the chosen engine
/// needs more than this process has (choose [`EngineChoice::Auto`], or grant what it says),
/// [`ProbeError::Io`] when a socket fails for another reason.
pub async fn run(
    config: &PingConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<PingReport, ProbeError> {
    validate(config)?;
    match config.engine {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        EngineChoice::Auto | EngineChoice::Kernel | EngineChoice::Udp => {
            kernel::run(config, sink, cancel).await
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        EngineChoice::Kernel | EngineChoice::Udp => Err(ProbeError::Unsupported {
            what: "the kernel ping engine",
            mend: "use the automatic choice of engine, or surge",
        }),
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        EngineChoice::Auto => surge::run(config, sink, cancel).await,
        EngineChoice::Surge => surge::run(config, sink, cancel).await,
    }
}

fn validate(config: &PingConfig) -> Result<(), ProbeError> {
    let refuse =
        |field, value: String, mend: String| Err(ProbeError::Invalid { field, value, mend });
    let PingConfig { targets, interval, timeout, size_bytes, .. } = config;
    if targets.is_empty() || targets.len() > TARGETS_MAX {
        let mend = format!("give 1 to {TARGETS_MAX} addresses");
        return refuse("number of targets", targets.len().to_string(), mend);
    }
    if *interval < INTERVAL_MIN {
        return refuse("interval", format!("{interval:?}"), format!("at least {INTERVAL_MIN:?}"));
    }
    if timeout.is_zero() {
        return refuse("timeout", format!("{timeout:?}"), "give a time above zero".to_owned());
    }
    if *size_bytes > SIZE_BYTES_MAX {
        return refuse("size", size_bytes.to_string(), format!("at most {SIZE_BYTES_MAX} bytes"));
    }
    if config.ttl == Some(0) {
        return refuse("ttl", "0".to_owned(), "give 1 to 255".to_owned());
    }
    let family = |addr: &IpAddr| addr.is_ipv4();
    if let Some(source) = config.source
        && targets.iter().any(|target| family(&target.addr) != family(&source))
    {
        let mend = "it must be of the same family as every target".to_owned();
        return refuse("source", source.to_string(), mend);
    }
    Ok(())
}
