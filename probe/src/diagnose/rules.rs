//! The rules: each a pure function from facts to at most one finding.
//!
//! They stand in the order of the way outwards, in which [`settle`](super::settle) reads them.
//! Every threshold is a constant with its reason.

mod dns;
mod local;
mod path;
mod server;

use sojourner_stats::event::{Cause, Finding, MeasurementId, Scope, Severity};

use super::evidence::Facts;

/// One rule.
pub(super) struct Rule {
    /// What it finds.
    pub(super) cause: Cause,
    /// Finds it, or says nothing.
    pub(super) check: fn(&Facts<'_>) -> Option<Finding>,
}

/// Every rule, from the inside out.
pub(super) const RULES: &[Rule] = &[
    Rule { cause: Cause::NoInterface, check: local::no_interface },
    Rule { cause: Cause::NoAddress, check: local::no_address },
    Rule { cause: Cause::NoRoute, check: local::no_route },
    Rule { cause: Cause::GatewayDown, check: local::gateway_down },
    Rule { cause: Cause::InternetDown, check: path::internet_down },
    Rule { cause: Cause::DnsServerDown, check: dns::server_down },
    Rule { cause: Cause::DnsRefused, check: dns::refused },
    Rule { cause: Cause::DnsServfail, check: dns::servfail },
    Rule { cause: Cause::DnsHijackRewrite, check: dns::hijack_rewrite },
    Rule { cause: Cause::DnsHijackNxdomain, check: dns::hijack_nxdomain },
    Rule { cause: Cause::DnsNoSuchName, check: dns::no_such_name },
    Rule { cause: Cause::DnsResolverDown, check: dns::resolver_down },
    Rule { cause: Cause::HostUnreachable, check: path::host_unreachable },
    Rule { cause: Cause::PacketLoss, check: path::packet_loss },
    Rule { cause: Cause::HighLatency, check: path::high_latency },
    Rule { cause: Cause::TcpRefused, check: server::tcp_refused },
    Rule { cause: Cause::TcpFiltered, check: server::tcp_filtered },
    Rule { cause: Cause::TcpReset, check: server::tcp_reset },
    Rule { cause: Cause::ServerHung, check: server::server_hung },
    Rule { cause: Cause::IcmpFiltered, check: server::icmp_filtered },
];

/// Most measurements that a finding names: enough to look at, short enough to read.
const EVIDENCE_MAX: usize = 16;

fn finding(
    (cause, severity, scope): (Cause, Severity, Scope),
    confidence: f64,
    (summary, advice): (String, &str),
    mut evidence: Vec<MeasurementId>,
) -> Finding {
    evidence.sort_unstable();
    evidence.dedup();
    evidence.truncate(EVIDENCE_MAX);
    let advice = advice.to_owned();
    Finding { cause, severity, confidence, summary, advice, scope, evidence }
}

#[cfg(test)]
mod tests;
