//! What was measured, and what it says about each address, server and name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sojourner_stats::event::{
    AppReply, Custom, CustomValue, DnsAnswer, DnsError, DnsFailure, DnsVerdict, IcmpUnreachable,
    LocalNetwork, MeasurementId, PingError, TcpConnect, TcpOutcome,
};
use sojourner_stats::{Event, Kind, Source};

use crate::target::Target;

/// Most measurements kept of one diagnosis; what comes later is not evidence. Ten addresses with 20
/// echoes each, DNS and TCP make about 300.
pub const MEASUREMENTS_MAX: usize = 4096;

/// The key of a [`Kind::Custom`] gauge about an IPv4 neighbour, the origin's target: 1 when the link
/// layer knows its hardware address, 0 when it was asked for in vain.
pub(super) const NEIGHBOUR_KEY: &str = "neighbour_known";

/// The key of a [`Kind::Custom`] gauge: how sure a DNS verdict is, 0 to 1. The n-th belongs to the n-th
/// verdict.
pub(super) const DNS_CONFIDENCE_KEY: &str = "dns_verdict_confidence";

/// One numbered event: in JSON the event's own fields, after `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Its number, from 1: `m1`.
    pub id: MeasurementId,
    /// What was measured.
    #[serde(flatten)]
    pub event: Event,
}

/// What the measurements of one diagnosis are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What is checked.
    pub target: Target,
    /// Its addresses; empty when none is known.
    pub addrs: Vec<IpAddr>,
    /// The next hops towards them, without repeats; empty when they are on this host or its link.
    pub gateways: Vec<IpAddr>,
    /// Addresses beyond the gateways that were asked for comparison.
    pub references: Vec<IpAddr>,
}

/// Everything a diagnosis rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What it is about.
    pub subject: Subject,
    /// What was measured, oldest first.
    pub measurements: Vec<Measurement>,
}

impl Evidence {
    /// Numbers `events` from `m1`, at most [`MEASUREMENTS_MAX`].
    pub fn new(subject: Subject, events: impl IntoIterator<Item = Event>) -> Self {
        let numbered = (1..).zip(events).take(MEASUREMENTS_MAX);
        let measurements =
            numbered.map(|(id, event)| Measurement { id: MeasurementId(id), event }).collect();
        Self { subject, measurements }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(&self.subject);
        // Whose address is whose must be known before any answer is attributed.
        facts.local =
            self.measurements.iter().find_map(|measurement| match &measurement.event.kind {
                Kind::LocalNetwork(local) => Some((measurement.id, local)),
                _ => None,
            });
        facts.links = facts.local.map(|(_, local)| links(local)).unwrap_or_default();
        for Measurement { id, event } in &self.measurements {
            facts.add(*id, event);
        }
        facts
    }
}

/// What the evidence says, by address, server and name.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) subject: &'a Subject,
    pub(super) local: Option<(MeasurementId, &'a LocalNetwork)>,
    /// Attempts to reach the target's own port.
    pub(super) connects: Vec<(MeasurementId, &'a TcpConnect)>,
    pub(super) replies: Vec<(MeasurementId, &'a AppReply)>,
    pub(super) dns_answers: Vec<(MeasurementId, &'a DnsAnswer)>,
    pub(super) dns_failures: Vec<(MeasurementId, &'a DnsFailure)>,
    dns_verdicts: Vec<(MeasurementId, &'a DnsVerdict)>,
    dns_confidences: Vec<f64>,
    contacts: BTreeMap<IpAddr, Contact>,
    links: Vec<(IpAddr, u8)>,
    nobody: Contact,
}

/// What every kind of measurement says about one address.
#[derive(Debug, Default)]
pub(super) struct Contact {
    /// A packet came from it.
    pub(super) alive: Vec<MeasurementId>,
    /// It was asked and nothing came.
    pub(super) silent: Vec<MeasurementId>,
    /// A router, or this host in vain asking its link, said that it cannot be reached.
    pub(super) unreachable: Vec<MeasurementId>,
    /// A rule forbids it.
    pub(super) prohibited: Vec<MeasurementId>,
    /// This host has no route to it.
    pub(super) no_route: Vec<MeasurementId>,
    /// Whether its hardware address is known.
    pub(super) neighbour: Option<(MeasurementId, bool)>,
    /// Echoes that came back, and how long they took.
    pub(super) rtts: Vec<(MeasurementId, Duration)>,
    /// Echoes that did not.
    pub(super) lost: Vec<MeasurementId>,
}

impl Contact {
    pub(super) fn is_alive(&self) -> bool {
        !self.alive.is_empty()
    }

    /// Asked often enough in vain that a stray loss does not explain it, or told so.
    pub(super) fn is_dead(&self) -> bool {
        !self.is_alive() && (self.silent.len() >= SILENT_MIN || !self.unreachable.is_empty())
    }

    /// Everything that speaks against it.
    pub(super) fn against(&self) -> Vec<MeasurementId> {
        let mut ids =
            [&self.unreachable[..], &self.prohibited, &self.no_route, &self.silent].concat();
        ids.extend(self.neighbour.filter(|(_, known)| !known).map(|(id, _)| id));
        ids
    }

    /// Echoes that left this host and whose fate is known.
    pub(super) fn echoes(&self) -> usize {
        self.rtts.len() + self.lost.len()
    }

    /// The lost part of the echoes, 0 to 1.
    pub(super) fn loss_ratio(&self) -> f64 {
        let count = |len: usize| f64::from(u32::try_from(len).unwrap_or(u32::MAX));
        if self.echoes() == 0 { 0.0 } else { count(self.lost.len()) / count(self.echoes()) }
    }

    /// The middle round trip, when there are enough to have one.
    pub(super) fn median_rtt(&self) -> Option<Duration> {
        let mut rtts: Vec<Duration> = self.rtts.iter().map(|&(_, rtt)| rtt).collect();
        rtts.sort_unstable();
        (rtts.len() >= RTTS_MIN).then(|| rtts[rtts.len() / 2])
    }
}

/// Fewest unanswered packets that make silence: at a loss of 10 %, three in a row are 1 in 1000.
const SILENT_MIN: usize = 3;
/// Fewest round trips that have a median worth naming: one outlier each side does not move it.
const RTTS_MIN: usize = 5;

impl<'a> Facts<'a> {
    fn new(subject: &'a Subject) -> Self {
        Self {
            subject,
            local: None,
            connects: Vec::new(),
            replies: Vec::new(),
            dns_answers: Vec::new(),
            dns_failures: Vec::new(),
            dns_verdicts: Vec::new(),
            dns_confidences: Vec::new(),
            contacts: BTreeMap::new(),
            links: Vec::new(),
            nobody: Contact::default(),
        }
    }

    /// What is known of an address; an empty contact when it was never asked.
    pub(super) fn contact(&self, addr: IpAddr) -> &Contact {
        self.contacts.get(&addr).unwrap_or(&self.nobody)
    }

    pub(super) fn contacts<'s>(&'s self, addrs: &'s [IpAddr]) -> impl Iterator<Item = &'s Contact> {
        addrs.iter().map(|addr| self.contact(*addr))
    }

    /// The DNS verdicts, each with how sure it is; a coin's toss where nobody said.
    pub(super) fn judgements(&self) -> impl Iterator<Item = (MeasurementId, &'a DnsVerdict, f64)> {
        let confidences = self.dns_confidences.iter().copied().chain(std::iter::repeat(0.5));
        self.dns_verdicts.iter().zip(confidences).map(|(&(id, verdict), sure)| (id, verdict, sure))
    }

    pub(super) fn target(&self) -> impl Iterator<Item = &Contact> {
        self.contacts(&self.subject.addrs)
    }

    pub(super) fn target_alive(&self) -> bool {
        self.target().any(Contact::is_alive)
    }

    pub(super) fn gateway_alive(&self) -> bool {
        self.contacts(&self.subject.gateways).any(Contact::is_alive)
    }

    /// Packets that came from beyond this host's links, whoever sent them.
    pub(super) fn beyond(&self) -> Vec<MeasurementId> {
        self.contacts
            .iter()
            .filter(|(addr, _)| !self.is_near(**addr))
            .filter_map(|(_, contact)| contact.alive.first().copied())
            .collect()
    }

    /// This host itself, its links and its gateways.
    pub(super) fn is_near(&self, addr: IpAddr) -> bool {
        addr.is_loopback() || self.subject.gateways.contains(&addr) || self.is_on_link(addr)
    }

    /// Whether an address belongs to one of this host's own networks.
    pub(super) fn is_on_link(&self, addr: IpAddr) -> bool {
        self.links.iter().any(|&(network, prefix)| same_network(network, addr, prefix))
    }

    /// Whether the target is this host itself.
    pub(super) fn is_here(&self) -> bool {
        let addrs = &self.subject.addrs;
        !addrs.is_empty() && addrs.iter().all(|addr| addr.is_loopback() || self.is_own(*addr))
    }

    fn is_own(&self, addr: IpAddr) -> bool {
        self.links.iter().any(|&(own, _)| own == addr)
    }

    fn add(&mut self, id: MeasurementId, event: &'a Event) {
        match &event.kind {
            Kind::PingReply(reply) => {
                let contact = self.at(reply.addr);
                contact.alive.push(id);
                contact.rtts.push((id, reply.rtt_us.0));
            }
            Kind::PingLost(lost) => {
                let contact = self.at(lost.addr);
                contact.silent.push(id);
                contact.lost.push(id);
            }
            Kind::PingLate(late) => self.at(late.addr).alive.push(id),
            Kind::PingError(error) => self.add_ping_error(id, error),
            Kind::PingSendFailed(failed) => match failed.errno {
                libc::ENETUNREACH | libc::ENETDOWN => self.at(failed.addr).no_route.push(id),
                libc::EHOSTUNREACH | libc::EHOSTDOWN => self.at(failed.addr).unreachable.push(id),
                _ => {}
            },
            Kind::HopReply(hop) if !self.is_own(hop.addr) => self.at(hop.addr).alive.push(id),
            Kind::TcpConnect(connect) => self.add_connect(id, event, connect),
            Kind::AppReply(reply) if self.is_about_target(event, reply.addr) => {
                self.replies.push((id, reply));
            }
            Kind::DnsAnswer(answer) => {
                if let Some(addr) = server_addr(&answer.server) {
                    self.at(addr).alive.push(id);
                }
                self.dns_answers.push((id, answer));
            }
            Kind::DnsFailure(failure) => self.add_dns_failure(id, failure),
            Kind::DnsVerdict(verdict) => self.dns_verdicts.push((id, verdict)),
            Kind::Custom(custom) => self.add_custom(id, event, custom),
            _ => {}
        }
    }

    fn add_custom(&mut self, id: MeasurementId, event: &Event, custom: &Custom) {
        let CustomValue::Gauge(value) = custom.value else { return };
        match (&*custom.key, event.origin.target.parse()) {
            (NEIGHBOUR_KEY, Ok(addr)) => self.at(addr).neighbour = Some((id, value > 0.5)),
            (DNS_CONFIDENCE_KEY, _) => self.dns_confidences.push(value),
            _ => {}
        }
    }

    fn add_ping_error(&mut self, id: MeasurementId, error: &PingError) {
        if let Some(from) = error.from.filter(|from| !self.is_own(*from)) {
            self.at(from).alive.push(id);
        }
        let contact = self.at(error.addr);
        match error.error {
            IcmpUnreachable::Network | IcmpUnreachable::Host => contact.unreachable.push(id),
            IcmpUnreachable::Prohibited => contact.prohibited.push(id),
            _ => {}
        }
    }

    fn add_connect(&mut self, id: MeasurementId, event: &'a Event, connect: &'a TcpConnect) {
        let contact = self.at(connect.addr.ip());
        match connect.outcome {
            TcpOutcome::Connected | TcpOutcome::Refused | TcpOutcome::Reset => {
                contact.alive.push(id);
            }
            TcpOutcome::TimedOut => contact.silent.push(id),
            TcpOutcome::Unreachable => contact.unreachable.push(id),
            TcpOutcome::Prohibited => contact.prohibited.push(id),
            TcpOutcome::NoRoute => contact.no_route.push(id),
            _ => {}
        }
        if self.is_about_target(event, connect.addr) {
            self.connects.push((id, connect));
        }
    }

    fn add_dns_failure(&mut self, id: MeasurementId, failure: &'a DnsFailure) {
        if let Some(addr) = server_addr(&failure.server) {
            let contact = self.at(addr);
            match failure.error {
                DnsError::Timeout => contact.silent.push(id),
                DnsError::Unreachable => contact.unreachable.push(id),
                DnsError::PortClosed | DnsError::Closed | DnsError::Malformed => {
                    contact.alive.push(id);
                }
                _ => {}
            }
        }
        self.dns_failures.push((id, failure));
    }

    fn is_about_target(&self, event: &Event, addr: SocketAddr) -> bool {
        event.origin.source == Source::Tcp
            && event.origin.target == *self.subject.target.text()
            && self.subject.target.port() == Some(addr.port())
    }

    fn at(&mut self, addr: IpAddr) -> &mut Contact {
        self.contacts.entry(addr).or_default()
    }
}

/// The address of a server as DNS events name it (`192.0.2.53`, `[2001:db8::53]:5353`,
/// `tls://name@192.0.2.53`); `None` where only a name is given.
pub(super) fn server_addr(server: &str) -> Option<IpAddr> {
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let with_port = || host.parse().map(|addr: SocketAddr| addr.ip());
    host.parse().or_else(|_| with_port()).ok()
}

/// Whether an address belongs to one of this host's own networks.
pub(super) fn is_on_link(local: &LocalNetwork, addr: IpAddr) -> bool {
    links(local).iter().any(|&(network, prefix)| same_network(network, addr, prefix))
}

/// This host's addresses with the length of their prefix.
fn links(local: &LocalNetwork) -> Vec<(IpAddr, u8)> {
    let addrs = local.interfaces.iter().flat_map(|interface| &interface.addrs);
    addrs
        .filter_map(|text| {
            let (addr, prefix) = text.split_once('/')?;
            Some((addr.parse().ok()?, prefix.parse().ok()?))
        })
        .collect()
}

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}
