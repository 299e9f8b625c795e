//! Names and who answers for them.

use std::net::IpAddr;

use sojourner_stats::event::{
    Cause, DnsAnswer, DnsIntegrity, DnsRole, DnsTransport, Finding, MeasurementId, Scope, Severity,
};

use super::super::evidence::{Facts, server_addr};
use super::finding;
use crate::target::Scheme;

/// From this confidence on a judgement of answers is a fault: below it a content network or a
/// private zone explains as much.
const CONFIDENCE_FAULT: f64 = 0.8;
/// From this confidence on it is a warning; below it is information.
const CONFIDENCE_WARNING: f64 = 0.5;

/// What one configured server did.
#[derive(Debug, Default)]
struct Server {
    name: String,
    system: bool,
    answers: Vec<MeasurementId>,
    failures: Vec<MeasurementId>,
}

impl Server {
    fn is_down(&self) -> bool {
        self.answers.is_empty() && !self.failures.is_empty()
    }
}

/// No configured server gives any answer. The system's resolver asks the same servers, so it
/// counts where no other was asked; where it still knows the name, a hosts file does.
pub(super) fn server_down(facts: &Facts<'_>) -> Option<Finding> {
    let servers = servers(facts);
    let explicit: Vec<&Server> = servers.iter().filter(|server| !server.system).collect();
    let judged = if explicit.is_empty() { servers.iter().collect() } else { explicit };
    if judged.is_empty() || !judged.iter().all(|server| server.is_down()) {
        return None;
    }
    let known = servers.iter().any(|server| server.system && !server.answers.is_empty());
    let severity = if known { Severity::Warning } else { Severity::Fault };
    let names: Vec<&str> = judged.iter().map(|server| server.name.as_str()).collect();
    let addrs: Vec<IpAddr> = names.iter().filter_map(|name| server_addr(name)).collect();
    let scope = scope(facts, &addrs);
    // A network that works otherwise leaves the server alone to blame.
    let alone = facts.target_alive()
        || facts.gateway_alive()
        || !facts.beyond().is_empty()
        || addrs.iter().any(IpAddr::is_loopback);
    let confidence = if alone { 0.95 } else { 0.75 };
    let summary =
        format!("No DNS server answers ({}), so names cannot be resolved.", names.join(", "));
    let advice = "Try another DNS server, and see whether the configured one runs.";
    let evidence = judged.iter().flat_map(|server| server.failures.clone()).collect();
    Some(finding((Cause::DnsServerDown, severity, scope), confidence, (summary, advice), evidence))
}

pub(super) fn resolver_down(facts: &Facts<'_>) -> Option<Finding> {
    let servers = servers(facts);
    let explicit = || servers.iter().filter(|server| !server.system);
    let down: Vec<&Server> = explicit().filter(|server| server.is_down()).collect();
    if down.is_empty() || down.len() == explicit().count() {
        return None;
    }
    let names: Vec<&str> = down.iter().map(|server| server.name.as_str()).collect();
    let addrs: Vec<IpAddr> = names.iter().filter_map(|name| server_addr(name)).collect();
    let summary = format!(
        "The DNS server {} does not answer, others do: lookups may be slow.",
        names.join(", ")
    );
    let advice = "Take the silent server out of the configuration or see why it is down.";
    let evidence = down.iter().flat_map(|server| server.failures.clone()).collect();
    Some(finding(
        (Cause::DnsResolverDown, Severity::Warning, scope(facts, &addrs)),
        0.9,
        (summary, advice),
        evidence,
    ))
}

pub(super) fn refused(facts: &Facts<'_>) -> Option<Finding> {
    let evidence = all_said(facts, "REFUSED")?;
    let summary = "The DNS server refuses to answer this device.".to_owned();
    let advice =
        "Use the DNS server of the network this device is in, or ask its operator for access.";
    Some(finding(
        (Cause::DnsRefused, Severity::Fault, Scope::Isp),
        0.95,
        (summary, advice),
        evidence,
    ))
}

pub(super) fn servfail(facts: &Facts<'_>) -> Option<Finding> {
    let evidence = all_said(facts, "SERVFAIL")?;
    let name = facts.subject.target.dns_name()?;
    let summary = format!("The DNS server fails to find out about {name} (SERVFAIL).");
    let advice =
        "Ask another DNS server: if it fails too, the name's own servers or signatures are broken.";
    Some(finding(
        (Cause::DnsServfail, Severity::Fault, Scope::Isp),
        0.9,
        (summary, advice),
        evidence,
    ))
}

/// The name does not exist, or has no address, by every server that answered.
pub(super) fn no_such_name(facts: &Facts<'_>) -> Option<Finding> {
    let name = facts.subject.target.dns_name()?;
    let answers = || facts.dns_answers.iter().filter(|(_, it)| it.name.eq_ignore_ascii_case(name));
    let by = |role| answers().filter(move |(_, answer)| answer.role == role);
    let conclusive = |(_, answer): &&(MeasurementId, &DnsAnswer)| {
        matches!(&*answer.rcode, "NXDOMAIN" | "NOERROR")
    };
    let own: Vec<_> = by(DnsRole::Configured).filter(conclusive).collect();
    if own.is_empty() || answers().any(|(_, answer)| has_address(answer)) {
        return None;
    }
    let denied = own.iter().any(|(_, answer)| &*answer.rcode == "NXDOMAIN");
    // For an address family that the name lacks, other checks go on.
    if !denied && !facts.subject.addrs.is_empty() {
        return None;
    }
    let agreed = by(DnsRole::Trusted).any(|(_, answer)| &*answer.rcode == "NXDOMAIN");
    let (confidence, what) = match (denied, agreed) {
        (true, true) => (0.97, "does not exist, which an independent server confirms"),
        (true, false) => (0.85, "does not exist"),
        (false, _) => (0.75, "exists but has no address"),
    };
    let summary = format!("The name {name} {what}.");
    let advice = "See whether the name is spelt right, and whether its owner let it lapse.";
    let evidence = answers().map(|&(id, _)| id).collect();
    Some(finding(
        (Cause::DnsNoSuchName, Severity::Fault, Scope::Server),
        confidence,
        (summary, advice),
        evidence,
    ))
}

pub(super) fn hijack_rewrite(facts: &Facts<'_>) -> Option<Finding> {
    let advice = "Use an encrypted DNS server (DoH or DoT); ask the provider why answers differ.";
    judged(facts, Cause::DnsHijackRewrite, advice, |integrity| {
        matches!(integrity, DnsIntegrity::Bogon | DnsIntegrity::Differs | DnsIntegrity::NameDenied)
    })
}

/// Inventing answers for names that do not exist breaks things, but not the name that was asked for,
/// unless that one does not exist.
pub(super) fn hijack_nxdomain(facts: &Facts<'_>) -> Option<Finding> {
    let advice = "Use another DNS server, or ask the provider to switch its search page off.";
    let mut finding = judged(facts, Cause::DnsHijackNxdomain, advice, |integrity| {
        integrity == DnsIntegrity::NxdomainRewritten
    })?;
    let name = facts.subject.target.dns_name()?;
    let denied = facts.dns_answers.iter().any(|(_, answer)| {
        answer.role == DnsRole::Trusted
            && &*answer.rcode == "NXDOMAIN"
            && answer.name.eq_ignore_ascii_case(name)
    });
    if !denied {
        finding.severity = finding.severity.min(Severity::Warning);
    }
    Some(finding)
}

fn judged(
    facts: &Facts<'_>,
    cause: Cause,
    advice: &str,
    is: impl Fn(DnsIntegrity) -> bool,
) -> Option<Finding> {
    let (id, verdict, confidence) = facts
        .judgements()
        .filter(|(_, verdict, _)| is(verdict.integrity))
        .max_by(|a, b| a.2.total_cmp(&b.2))?;
    let severity = if confidence >= CONFIDENCE_FAULT {
        Severity::Fault
    } else if confidence >= CONFIDENCE_WARNING {
        Severity::Warning
    } else {
        Severity::Info
    };
    let about = |server: &str| {
        *server == *verdict.server || verdict.trusted.as_deref().is_some_and(|it| *it == *server)
    };
    let answers = facts.dns_answers.iter().filter(|(_, answer)| about(&answer.server));
    let evidence = std::iter::once(id).chain(answers.map(|&(id, _)| id)).collect();
    let what = match cause {
        Cause::DnsHijackNxdomain => "is given an address although it does not exist",
        _ => "gets an answer that an independent server contradicts",
    };
    let summary = format!("A name ({}) {what}: {}.", verdict.name, verdict.detail);
    Some(finding((cause, severity, Scope::Isp), confidence, (summary, advice), evidence))
}

/// The configured servers in the order in which they were first heard of.
fn servers(facts: &Facts<'_>) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for &(id, answer) in &facts.dns_answers {
        if answer.role == DnsRole::Configured {
            server(&mut servers, &answer.server, answer.transport).answers.push(id);
        }
    }
    for &(id, failure) in &facts.dns_failures {
        if failure.role == DnsRole::Configured {
            server(&mut servers, &failure.server, failure.transport).failures.push(id);
        }
    }
    servers
}

fn server<'s>(servers: &'s mut Vec<Server>, name: &str, transport: DnsTransport) -> &'s mut Server {
    let index = servers.iter().position(|server| server.name == name).unwrap_or_else(|| {
        let system = transport == DnsTransport::System;
        servers.push(Server { name: name.to_owned(), system, ..Server::default() });
        servers.len() - 1
    });
    &mut servers[index]
}

/// The answers of configured servers, when there are some and all have this code.
fn all_said(facts: &Facts<'_>, rcode: &str) -> Option<Vec<MeasurementId>> {
    let own = facts.dns_answers.iter().filter(|(_, it)| it.role == DnsRole::Configured);
    let own: Vec<_> = own.collect();
    let all = !own.is_empty() && own.iter().all(|(_, answer)| &*answer.rcode == rcode);
    all.then(|| own.iter().map(|&&(id, _)| id).collect())
}

fn has_address(answer: &DnsAnswer) -> bool {
    answer.records.iter().any(|record| matches!(record.record_type.as_str(), "A" | "AAAA"))
}

/// Whose the servers are.
fn scope(facts: &Facts<'_>, addrs: &[IpAddr]) -> Scope {
    if facts.subject.target.scheme() == Scheme::Dns {
        Scope::Server
    } else if !addrs.is_empty() && addrs.iter().all(IpAddr::is_loopback) {
        Scope::Device
    } else if !addrs.is_empty() && addrs.iter().all(|addr| facts.is_near(*addr)) {
        Scope::Lan
    } else {
        Scope::Isp
    }
}
