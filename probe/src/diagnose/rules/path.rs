//! The networks between, and the far host.

use std::time::Duration;

use sojourner_stats::event::{Cause, Finding, Scope, Severity};

use super::super::evidence::{Contact, Facts};
use super::finding;

/// The median round trip above which talking is hard: ITU-T G.114 recommends at most 150 ms one way
/// for interactive use.
const RTT_MAX: Duration = Duration::from_millis(300);
/// The median round trip to a gateway above which the local network is the slow part. One hop over
/// a wire or radio takes 1 to 30 ms; bufferbloat and a bad radio take hundreds.
const GATEWAY_RTT_MAX: Duration = Duration::from_millis(100);
/// Losses that a path may have and still be called good: 1 % is where speech and TCP suffer visibly.
const LOSS_RATIO_MAX: f64 = 0.01;
/// Fewest lost echoes that are a finding: a single one is nobody's fault.
const LOST_MIN: usize = 2;
/// How unlikely so many losses must be at [`LOSS_RATIO_MAX`]: with 20 echoes two losses are
/// (p = 0.017), with 100 four are (p = 0.018), so that fewer than 1 good check in 20 is blamed.
const P_VALUE_MAX: f64 = 0.05;
/// From this loss on, what TCP does says nothing of the server.
const HEAVY_LOSS_RATIO: f64 = 0.3;

/// The gateway answers, none of the references does, and nothing else from beyond.
pub(super) fn internet_down(facts: &Facts<'_>) -> Option<Finding> {
    let subject = facts.subject;
    let references = || facts.contacts(&subject.references);
    let all_dead = !subject.references.is_empty() && references().all(is_out_of_reach);
    if !all_dead || !facts.gateway_alive() || facts.target_alive() || !facts.beyond().is_empty() {
        return None;
    }
    let mut evidence: Vec<_> = references().flat_map(Contact::against).collect();
    evidence.extend(
        facts.contacts(&subject.gateways).filter_map(|contact| contact.alive.first().copied()),
    );
    let summary =
        "The gateway answers, but nothing beyond it does: the way to the internet is down.";
    let advice = "Look at the router's own connection, then call the provider.";
    // One silent reference may be its own fault; two at once are hardly.
    let confidence = if subject.references.len() > 1 { 0.9 } else { 0.75 };
    Some(finding(
        (Cause::InternetDown, Severity::Fault, Scope::Isp),
        confidence,
        (summary.to_owned(), advice),
        evidence,
    ))
}

/// The target is silent or said to be unreachable, and what is before it is not to blame.
pub(super) fn host_unreachable(facts: &Facts<'_>) -> Option<Finding> {
    let subject = facts.subject;
    if subject.addrs.is_empty() || !facts.target().all(is_out_of_reach) {
        return None;
    }
    // A filter that says so is a filter, and a missing route is this host's.
    if facts.target().any(|contact| !contact.prohibited.is_empty())
        || facts.target().all(|contact| !contact.no_route.is_empty())
    {
        return None;
    }
    let way_out =
        subject.gateways.is_empty() || facts.gateway_alive() || !facts.beyond().is_empty();
    let references = facts.contacts(&subject.references);
    let compared = !subject.references.is_empty();
    let others = references.into_iter().any(Contact::is_alive);
    if !way_out || (compared && !others && facts.beyond().is_empty()) {
        return None;
    }
    let told = facts.target().any(|contact| !contact.unreachable.is_empty());
    let connected = !facts.connects.is_empty();
    let (confidence, why) = match (told, others, connected) {
        (true, ..) => (0.95, "a router, or its own link, says it is not there"),
        (false, true, true) => (0.85, "it answers neither echoes nor connections, others do"),
        (false, true, false) => (0.7, "it answers no echoes, others do; it may filter them"),
        (false, false, _) => (0.55, "it does not answer, and nothing else was asked to compare"),
    };
    let summary = format!("{} cannot be reached: {why}.", subject.target);
    let advice = "See whether the host is on, and whether its address is right.";
    let evidence = facts.target().flat_map(Contact::against).collect();
    Some(finding(
        (Cause::HostUnreachable, Severity::Fault, Scope::Server),
        confidence,
        (summary, advice),
        evidence,
    ))
}

/// More echoes are lost than a good path loses, beyond doubt.
pub(super) fn packet_loss(facts: &Facts<'_>) -> Option<Finding> {
    let worst = facts
        .target()
        .filter(|contact| is_lossy(contact))
        .max_by(|a, b| a.loss_ratio().total_cmp(&b.loss_ratio()))?;
    let (lost, sent) = (worst.lost.len(), worst.echoes());
    let at_home = facts.contacts(&facts.subject.gateways).any(is_lossy);
    let (scope, place) = if at_home {
        (Scope::Lan, "already on the way to the gateway")
    } else if facts.subject.gateways.is_empty() {
        (Scope::Lan, "on the local network")
    } else {
        (Scope::Path, "beyond the gateway")
    };
    let summary = format!(
        "{lost} of {sent} packets to {} and back were lost, {place}.",
        facts.subject.target
    );
    let advice = if scope == Scope::Lan {
        "Look at the cable or the radio's signal, and at what else uses the link."
    } else {
        "Trace the path to see from which hop on packets are lost."
    };
    let confidence = (1.0 - p_value(sent, lost)).clamp(0.0, 0.99);
    Some(finding(
        (Cause::PacketLoss, Severity::Warning, scope),
        confidence,
        (summary, advice),
        worst.lost.clone(),
    ))
}

/// The middle round trip is too long to talk over.
pub(super) fn high_latency(facts: &Facts<'_>) -> Option<Finding> {
    let (contact, median) = facts
        .target()
        .filter_map(|contact| Some((contact, contact.median_rtt()?)))
        .min_by_key(|&(_, median)| median)?;
    if median <= RTT_MAX {
        return None;
    }
    let slow_gateway = facts
        .contacts(&facts.subject.gateways)
        .filter_map(Contact::median_rtt)
        .any(|median| median > GATEWAY_RTT_MAX);
    let (scope, place) = if slow_gateway {
        (Scope::Lan, ", much of it already on the way to the gateway")
    } else {
        (Scope::Path, "")
    };
    let summary = format!(
        "A packet to {} and back takes {} ms{place}.",
        facts.subject.target,
        median.as_millis()
    );
    let advice = if slow_gateway {
        "Look for a busy or weak local link: a large upload, a far radio."
    } else {
        "Trace the path to see where the time goes; a satellite or a far server explains it."
    };
    let evidence = contact.rtts.iter().map(|&(id, _)| id).collect();
    Some(finding((Cause::HighLatency, Severity::Warning, scope), 0.9, (summary, advice), evidence))
}

/// Whether so many losses are that TCP's silence is explained by them.
pub(super) fn is_heavy(contact: &Contact) -> bool {
    contact.is_alive() && contact.loss_ratio() >= HEAVY_LOSS_RATIO && contact.lost.len() >= LOST_MIN
}

fn is_lossy(contact: &Contact) -> bool {
    let (lost, sent) = (contact.lost.len(), contact.echoes());
    // Without a single reply it is silence, not loss.
    !contact.rtts.is_empty() && lost >= LOST_MIN && p_value(sent, lost) <= P_VALUE_MAX
}

fn is_out_of_reach(contact: &Contact) -> bool {
    contact.is_dead() || (!contact.is_alive() && !contact.no_route.is_empty())
}

/// How likely a path that loses [`LOSS_RATIO_MAX`] loses `lost` or more of `sent` packets: the upper
/// tail of the binomial distribution.
fn p_value(sent: usize, lost: usize) -> f64 {
    let (p, q) = (LOSS_RATIO_MAX, 1.0 - LOSS_RATIO_MAX);
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let exponent = i32::try_from(sent).unwrap_or(i32::MAX);
    let mut term = q.powi(exponent);
    let mut below = 0.0;
    for k in 0..lost {
        below += term;
        term *= float(sent.saturating_sub(k)) / float(k + 1) * (p / q);
    }
    (1.0 - below).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_the_binomial_distribution_is_that_of_the_tables() {
        for (sent, lost, expected) in [
            (20, 0, 1.0),
            (20, 1, 0.182_093),
            (20, 2, 0.016_859),
            (100, 3, 0.079_373),
            (100, 4, 0.018_374),
        ] {
            let p = p_value(sent, lost);
            assert!((p - expected).abs() < 1e-5, "{lost} of {sent}: {p}");
        }
    }
}
