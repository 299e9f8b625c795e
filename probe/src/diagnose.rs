//! The diagnosis: a plan, evidence, and rules that turn it into findings and one verdict.
//!
//! ```text
//!   plan ── runs the checks in parallel within a budget, the cheapest and most telling first
//!     │ events, numbered m1, m2, ...
//!     ▼
//!  evidence ── what the measurements say about each address, server and name
//!     │ facts
//!     ▼
//!   rules ── a table of pure functions: facts in, at most one finding out
//!     │ findings
//!     ▼
//!  settle ── works outwards: host, gateway, resolver, path, server, application
//! ```
//!
//! A rule that lacks evidence says nothing. A finding names the measurements it rests on, and the
//! first fault on the way outwards explains those behind it: a dead gateway explains a silent
//! server.

mod evidence;
mod plan;
mod rules;
mod settle;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sojourner_stats::Sink;
use sojourner_stats::event::{Finding, Verdict};
use tokio_util::sync::CancellationToken;

use crate::ProbeError;
use crate::dns::{DnsServer, TrustRoots};
use crate::target::{Family, Target};
pub use evidence::{Evidence, MEASUREMENTS_MAX, Measurement, Subject};

/// The `schema` of a [`Report`]. Fields are added, never renamed.
pub const SCHEMA: &str = "sojourner.check/1";

/// What to check, and how hard.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// What to check.
    pub target: Target,
    /// Which of its addresses to use.
    pub family: Family,
    /// The DNS servers in use. Default: none given, which asks the system's resolver and each of
    /// the host's configured ones by itself.
    pub servers: Vec<DnsServer>,
    /// The DNS servers to judge by. Default: none, so that nobody is asked whom the user did not
    /// name; rewritten answers are then hardly found.
    pub trusted: Vec<DnsServer>,
    /// Which certificates DoT and DoH servers may show.
    pub trust: TrustRoots,
    /// Addresses beyond the gateway that answer when the way out works: they tell a dead network
    /// from a dead target. Resolvers asked are used as well. At most [`REFERENCES_MAX`] are asked.
    pub references: Vec<IpAddr>,
    /// When to stop and judge by what is known. Default 10 s: what a person waits for.
    pub budget: Duration,
    /// Echoes to each address. Default 20: the fewest that tell 10 % loss from a stray packet.
    pub pings: u32,
    /// From one echo to the next. Default 100 ms, so that 20 take 2 s.
    pub ping_interval: Duration,
    /// When an echo counts as lost. Default 2 s: thrice the round trip over a satellite.
    pub ping_timeout: Duration,
    /// When a connect counts as filtered. Default 3 s: the initial SYN and one more after 1 s.
    pub connect_timeout: Duration,
    /// When an application counts as silent. Default 2 s.
    pub silence_timeout: Duration,
    /// When a DNS question counts as unanswered. Default 2 s.
    pub dns_timeout: Duration,
    /// The address to send from; the system chooses otherwise.
    pub source: Option<IpAddr>,
    /// The interface to send through; the routes choose otherwise.
    pub interface: Option<String>,
}

impl CheckConfig {
    /// The defaults for `target`.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            family: Family::Any,
            servers: Vec::new(),
            trusted: Vec::new(),
            trust: TrustRoots::web(),
            references: Vec::new(),
            budget: Duration::from_secs(10),
            pings: 20,
            ping_interval: Duration::from_millis(100),
            ping_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(3),
            silence_timeout: Duration::from_secs(2),
            dns_timeout: Duration::from_secs(2),
            source: None,
            interface: None,
        }
    }
}

/// Most references asked: two would do, four survive one operator's outage.
pub const REFERENCES_MAX: usize = 4;

/// One diagnosis, as `sojourner check --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was checked.
    pub target: Target,
    /// When it began, RFC 3339 in UTC with milliseconds.
    pub started: String,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
    /// The finding that explains the others.
    pub verdict: Verdict,
    /// Every conclusion, in the order of the way outwards.
    pub findings: Vec<Finding>,
    /// Everything measured, oldest first, at most [`MEASUREMENTS_MAX`].
    pub measurements: Vec<Measurement>,
    /// Where it was measured.
    pub environment: Environment,
    /// What was not checked, and why.
    pub skipped: Vec<Skipped>,
}

/// Where a diagnosis was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The operating system, such as `linux`.
    pub os: String,
    /// The version of this program.
    pub version: String,
    /// The target's addresses.
    pub addrs: Vec<IpAddr>,
    /// The next hops towards them, in the same order, without repeats.
    pub gateways: Vec<IpAddr>,
    /// Addresses beyond the gateway that were asked for comparison.
    pub references: Vec<IpAddr>,
}

/// A check that was not made, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which check, such as `gateway`.
    pub check: String,
    /// Why.
    pub why: String,
}

/// Checks the target and says what is wrong with it, or that nothing is.
///
/// Emits every measurement as it is made, then each finding and the verdict, from
/// [`Source::Diagnose`](sojourner_stats::Source). Cancelling ends it early with what is known.
///
/// # Errors
///
/// [`ProbeError::Invalid`] for a setting out of range. What this host refuses is in
/// [`Report::skipped`]; what the network does is in the verdict.
pub async fn run(
    config: &CheckConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<Report, ProbeError> {
    plan::run(config, sink, cancel).await
}

/// Judges evidence: every finding in the order of the way outwards, and what explains them.
pub fn judge(evidence: &Evidence) -> (Vec<Finding>, Verdict) {
    let facts = evidence.facts();
    let mut findings = Vec::new();
    for rule in rules::RULES {
        let found = (rule.check)(&facts);
        debug_assert!(found.as_ref().is_none_or(|it| it.cause == rule.cause), "{}", rule.cause);
        findings.extend(found);
    }
    let verdict = settle::settle(&findings, &facts);
    (findings, verdict)
}
