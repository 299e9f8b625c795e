//! The far host's ports and the application behind them.

use std::net::IpAddr;

use sojourner_stats::event::{
    AppOutcome, Cause, Finding, MeasurementId, Scope, Severity, TcpConnect, TcpOutcome,
};

use super::super::evidence::{Contact, Facts};
use super::finding;
use super::path::is_heavy;
use crate::target::Scheme;

pub(super) fn tcp_refused(facts: &Facts<'_>) -> Option<Finding> {
    let evidence = ended(facts, |outcome| outcome == TcpOutcome::Refused)?;
    let (host, port) = (facts.subject.target.host(), facts.subject.target.port()?);
    let summary = format!("{host} is there, but nothing listens on its port {port}.");
    let advice =
        "See whether the service runs and listens on this port, and whether the port is right.";
    Some(finding(
        (Cause::TcpRefused, Severity::Fault, Scope::Server),
        0.97,
        (summary, advice),
        evidence,
    ))
}

/// Connections get no answer from a host that answers otherwise, or a rule says it forbids them.
pub(super) fn tcp_filtered(facts: &Facts<'_>) -> Option<Finding> {
    if any(facts, |outcome| matches!(outcome, TcpOutcome::Refused | TcpOutcome::Reset)) {
        return None;
    }
    let told = ended(facts, |outcome| outcome == TcpOutcome::Prohibited);
    let silent = ended(facts, |outcome| outcome == TcpOutcome::TimedOut);
    let (host, port) = (facts.subject.target.host(), facts.subject.target.port()?);
    let advice = "Look for a firewall at the host, at its provider or here that drops this port.";
    let parts = (Cause::TcpFiltered, Severity::Fault, Scope::Path);
    if let Some(evidence) = told {
        let summary =
            format!("A firewall on the way says it forbids connections to {host} port {port}.");
        return Some(finding(parts, 0.95, (summary, advice), evidence));
    }
    let mut evidence = silent?;
    if facts.target().any(is_heavy) {
        return None;
    }
    evidence.push(*facts.target().find_map(|contact| contact.alive.first())?);
    let summary = format!("{host} answers, but connections to its port {port} get no answer.");
    Some(finding(parts, 0.9, (summary, advice), evidence))
}

pub(super) fn tcp_reset(facts: &Facts<'_>) -> Option<Finding> {
    let evidence = ended(facts, |outcome| outcome == TcpOutcome::Reset)?;
    let (host, port) = (facts.subject.target.host(), facts.subject.target.port()?);
    let summary = format!("Connections to {host} port {port} are reset as soon as they are made.");
    let advice = "Look at the service's log, and for a firewall that cuts connections.";
    Some(finding(
        (Cause::TcpReset, Severity::Fault, Scope::Server),
        0.85,
        (summary, advice),
        evidence,
    ))
}

/// A connection is accepted, a question is sent, and nothing ever comes.
pub(super) fn server_hung(facts: &Facts<'_>) -> Option<Finding> {
    let target = &facts.subject.target;
    let silent = facts.replies.iter().filter(|(_, reply)| reply.outcome == AppOutcome::Silent);
    let mut evidence: Vec<MeasurementId> = silent.map(|&(id, _)| id).collect();
    let spoke = facts.replies.iter().any(|(_, reply)| reply.outcome != AppOutcome::Silent);
    // A link's server waits for a whole packet of its own protocol: its silence says nothing.
    if evidence.is_empty()
        || spoke
        || target.scheme() == Scheme::Link
        || facts.target().any(is_heavy)
    {
        return None;
    }
    evidence.extend(facts.connects.iter().filter(|(_, it)| it.won).map(|&(id, _)| id));
    // Every HTTP server answers the question that was asked; another service may rightly wait for
    // the language it speaks.
    let http = matches!(target.scheme(), Scheme::Http | Scheme::Https);
    let (severity, confidence) =
        if http { (Severity::Fault, 0.95) } else { (Severity::Warning, 0.7) };
    let summary = format!("{target} accepts connections but says nothing.");
    let advice =
        "See whether the service behind the port is stuck or overloaded; restart it if so.";
    Some(finding(
        (Cause::ServerHung, severity, Scope::App),
        confidence,
        (summary, advice),
        evidence,
    ))
}

/// Echoes get no answer from an address that answers TCP: worth knowing, and no fault.
pub(super) fn icmp_filtered(facts: &Facts<'_>) -> Option<Finding> {
    let filtered = |addr: &IpAddr| {
        let contact = facts.contact(*addr);
        let echoes_fail = contact.rtts.is_empty() && (contact.lost.len() >= 3 || is_told(contact));
        let answered = |connect: &TcpConnect| {
            connect.addr.ip() == *addr
                && matches!(connect.outcome, TcpOutcome::Connected | TcpOutcome::Refused)
        };
        let (id, _) = *facts.connects.iter().find(|(_, connect)| answered(connect))?;
        echoes_fail.then(|| [&contact.lost[..], &contact.prohibited, &[id]].concat())
    };
    let mut evidence = facts.subject.addrs.iter().find_map(filtered)?;
    // The connection that works is the telling half; it must not be cut off.
    evidence.rotate_right(1);
    evidence.truncate(super::EVIDENCE_MAX);
    let target = &facts.subject.target;
    let summary = format!("{target} can be connected to but answers no echoes: ICMP is filtered.");
    let advice = "Nothing is broken; ping and traces will not work for this target.";
    Some(finding(
        (Cause::IcmpFiltered, Severity::Info, Scope::Path),
        0.9,
        (summary, advice),
        evidence,
    ))
}

fn is_told(contact: &Contact) -> bool {
    !contact.prohibited.is_empty()
}

fn any(facts: &Facts<'_>, is: impl Fn(TcpOutcome) -> bool) -> bool {
    facts.connects.iter().any(|(_, connect)| is(connect.outcome))
}

/// The attempts that ended so, when there are some and no attempt connected.
fn ended(facts: &Facts<'_>, is: impl Fn(TcpOutcome) -> bool) -> Option<Vec<MeasurementId>> {
    if any(facts, |outcome| outcome == TcpOutcome::Connected) {
        return None;
    }
    let ids = facts.connects.iter().filter(|(_, connect)| is(connect.outcome));
    let ids: Vec<MeasurementId> = ids.map(|&(id, _)| id).collect();
    (!ids.is_empty()).then_some(ids)
}
