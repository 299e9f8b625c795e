//! Outcomes in words, the same on the screen and in plain output.

use sojourner_stats::event::{
    AppOutcome, DnsError, DnsRecord, DnsTransport, PingEngine, TcpOutcome,
};

pub(crate) fn tcp_outcome(outcome: TcpOutcome) -> String {
    match outcome {
        TcpOutcome::Connected => "connected".into(),
        TcpOutcome::Refused => "refused".into(),
        TcpOutcome::TimedOut => "no answer".into(),
        TcpOutcome::Unreachable => "unreachable".into(),
        TcpOutcome::Prohibited => "prohibited".into(),
        TcpOutcome::NoRoute => "no route".into(),
        TcpOutcome::Reset => "reset".into(),
        TcpOutcome::Cancelled => "cancelled".into(),
        TcpOutcome::LocalError(errno) => format!("errno {errno}"),
        _ => "unknown".into(),
    }
}

pub(crate) const fn app_outcome(outcome: AppOutcome) -> &'static str {
    match outcome {
        AppOutcome::Spoke => "spoke",
        AppOutcome::Closed => "closed in order",
        AppOutcome::Reset => "reset the connection",
        AppOutcome::Silent => "said nothing",
        _ => "did something unknown",
    }
}

pub(crate) const fn dns_transport(transport: DnsTransport) -> &'static str {
    match transport {
        DnsTransport::System => "system",
        DnsTransport::Udp => "UDP",
        DnsTransport::Tcp => "TCP",
        DnsTransport::Dot => "DoT",
        DnsTransport::Doh => "DoH",
        _ => "?",
    }
}

pub(crate) const fn dns_error(error: DnsError) -> &'static str {
    match error {
        DnsError::Timeout => "no answer in time",
        DnsError::PortClosed => "nothing listens",
        DnsError::Unreachable => "unreachable",
        DnsError::Closed => "connection closed",
        DnsError::Malformed => "answer is malformed",
        DnsError::Tls => "certificate or TLS refused",
        DnsError::NoServer => "no server configured",
        DnsError::System => "the system's resolver failed",
        _ => "failed",
    }
}

/// The data of records, aliases left out where there are addresses.
pub(crate) fn records(records: &[DnsRecord]) -> String {
    let is_alias = |record: &&DnsRecord| record.record_type == "CNAME";
    let only_aliases = records.iter().all(|record| is_alias(&record));
    let data: Vec<&str> = records
        .iter()
        .filter(|record| only_aliases || !is_alias(record))
        .map(|record| record.data.as_str())
        .collect();
    if data.is_empty() { "no records".into() } else { data.join(" ") }
}

pub(crate) const fn ping_engine(engine: PingEngine) -> &'static str {
    match engine {
        PingEngine::KernelDgram => "ICMP datagram socket",
        PingEngine::KernelRaw => "raw ICMP socket",
        PingEngine::KernelUdp => "UDP to closed ports",
        PingEngine::Surge => "portable ICMP",
        _ => "unknown engine",
    }
}
