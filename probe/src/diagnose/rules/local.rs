//! This host and its gateway.

use std::net::IpAddr;

use sojourner_stats::event::{Cause, Finding, Interface, Scope, Severity};

use super::super::evidence::{Contact, Facts};
use super::finding;

pub(super) fn no_interface(facts: &Facts<'_>) -> Option<Finding> {
    let (id, local) = facts.local?;
    if excused(facts) || local.interfaces.iter().any(is_usable) {
        return None;
    }
    let down: Vec<&str> = local
        .interfaces
        .iter()
        .filter(|interface| !interface.loopback)
        .map(|interface| interface.name.as_str())
        .collect();
    let summary = if down.is_empty() {
        "This device has no network interface.".to_owned()
    } else {
        format!("No network interface of this device is up and connected: {}.", down.join(", "))
    };
    let advice = "Switch the interface on, plug the cable in or join the wireless network.";
    Some(finding(
        (Cause::NoInterface, Severity::Fault, Scope::Device),
        0.98,
        (summary, advice),
        vec![id],
    ))
}

pub(super) fn no_address(facts: &Facts<'_>) -> Option<Finding> {
    let (id, local) = facts.local?;
    let mut usable = local.interfaces.iter().filter(|interface| is_usable(interface)).peekable();
    usable.peek()?;
    if excused(facts) || usable.any(has_address) {
        return None;
    }
    let summary = "This device is connected but has no usable IP address.".to_owned();
    let advice = "See whether the network's DHCP server answers, or set an address by hand.";
    Some(finding(
        (Cause::NoAddress, Severity::Fault, Scope::Device),
        0.95,
        (summary, advice),
        vec![id],
    ))
}

pub(super) fn no_route(facts: &Facts<'_>) -> Option<Finding> {
    if facts.target_alive() {
        return None;
    }
    let target = &facts.subject.target;
    let advice = "See whether the default route is there (`ip route`), and who should have set it.";
    if facts.subject.addrs.is_empty() {
        // The name could not be resolved: no way out at all explains that.
        let (id, local) = facts.local?;
        if !local.default_routes.is_empty() || !facts.dns_answers.is_empty() {
            return None;
        }
        local.interfaces.iter().find(|interface| is_usable(interface) && has_address(interface))?;
        let summary =
            "This device has no default route, so nothing beyond its link can be reached.";
        return Some(finding(
            (Cause::NoRoute, Severity::Fault, Scope::Device),
            0.8,
            (summary.to_owned(), advice),
            vec![id],
        ));
    }
    if !facts.target().all(|contact| !contact.no_route.is_empty()) {
        return None;
    }
    let evidence = facts.target().flat_map(|contact| contact.no_route.clone()).collect();
    let summary = format!("This device has no route to {target}.");
    Some(finding(
        (Cause::NoRoute, Severity::Fault, Scope::Device),
        0.97,
        (summary, advice),
        evidence,
    ))
}

/// A gateway that is silent while nothing beyond it answers either. Many gateways answer no echo, so
/// silence alone says little; the link layer's silence says nearly everything.
pub(super) fn gateway_down(facts: &Facts<'_>) -> Option<Finding> {
    let gateways = &facts.subject.gateways;
    let tried = facts.contacts(gateways).any(Contact::is_dead);
    if !tried || facts.gateway_alive() || facts.target_alive() || !facts.beyond().is_empty() {
        return None;
    }
    let absent = |contact: &Contact| {
        matches!(contact.neighbour, Some((_, false))) || !contact.unreachable.is_empty()
    };
    let certain = facts.contacts(gateways).filter(|contact| contact.is_dead()).all(absent);
    let evidence = facts.contacts(gateways).flat_map(Contact::against).collect();
    let names: Vec<String> = gateways.iter().map(ToString::to_string).collect();
    let summary =
        format!("The gateway {} does not answer, nor does anything behind it.", names.join(", "));
    let advice = "Restart the router, and see whether this device is in the right network.";
    Some(finding(
        (Cause::GatewayDown, Severity::Fault, Scope::Lan),
        if certain { 0.95 } else { 0.6 },
        (summary, advice),
        evidence,
    ))
}

/// A target on this host needs no network, and one that answers proves it works.
fn excused(facts: &Facts<'_>) -> bool {
    facts.is_here() || facts.target_alive()
}

fn is_usable(interface: &Interface) -> bool {
    !interface.loopback && interface.up && interface.running
}

/// Whether an interface has an address that others can answer to: link-local ones are what a
/// device gives itself when nobody gives it any (RFC 3927, RFC 4862).
fn has_address(interface: &Interface) -> bool {
    interface.addrs.iter().any(|text| {
        let addr = text.split('/').next().unwrap_or_default().parse();
        match addr {
            Ok(IpAddr::V4(addr)) => !addr.is_link_local() && !addr.is_loopback(),
            Ok(IpAddr::V6(addr)) => !addr.is_unicast_link_local() && !addr.is_loopback(),
            Err(_) => false,
        }
    })
}
