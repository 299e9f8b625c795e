use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sojourner_stats::event::{
    AppOutcome, AppReply, AppRequest, Custom, CustomValue, DnsAnswer, DnsError, DnsFailure,
    DnsIntegrity, DnsRecord, DnsRole, DnsTransport, DnsVerdict, HopAnswer, HopReply,
    IcmpUnreachable, Interface, LocalNetwork, PingEngine, PingError, PingLost, PingReply,
    PingSendFailed, Route, StampSource, Status, TcpConnect, TcpOutcome, TraceProtocol,
};
use sojourner_stats::{Event, Kind, Micros, Origin, Source, Stamp};

use super::super::evidence::{DNS_CONFIDENCE_KEY, Evidence, NEIGHBOUR_KEY, Subject};
use super::super::judge;
use super::*;

const TARGET: &str = "203.0.113.7";
const GATEWAY: &str = "192.0.2.1";
const REFERENCE: &str = "198.51.100.1";
const OTHER: &str = "198.51.100.2";

#[test]
fn every_rule_says_nothing_without_evidence() {
    for target in ["203.0.113.7", "203.0.113.7:80", "www.example.com", "dns://192.0.2.53/a.example"]
    {
        let scene =
            Scene { addrs: vec![], gateways: vec![], references: vec![], ..Scene::new(target) };
        let (findings, verdict) = judge(&scene.evidence());
        assert_eq!(findings, [], "{target}");
        assert!(verdict.confidence < 0.5, "{verdict:?}");
        let (findings, _) = judge(&Scene::new(target).evidence());
        assert_eq!(findings, [], "{target}");
    }
}

#[test]
fn every_rule_stands_once_in_the_table_under_a_cause_of_its_own() {
    for (i, rule) in RULES.iter().enumerate() {
        assert!(RULES[..i].iter().all(|other| other.cause != rule.cause), "{}", rule.cause);
    }
}

#[test]
fn a_quiet_network_that_answers_is_healthy() {
    let scene = Scene::new(TARGET).local().pings(TARGET, 20, 0).pings(GATEWAY, 20, 0);
    let (findings, verdict) = judge(&scene.evidence());
    assert_eq!((findings, verdict.cause), (vec![], Cause::Healthy));
}

#[test]
fn no_interface_needs_every_interface_to_be_down() {
    let down = Scene::new(TARGET).with_local(|local| local.interfaces[1].running = false);
    assert_verdict(&down, Cause::NoInterface, Status::Down);
    let off = Scene::new(TARGET).with_local(|local| local.interfaces[1].up = false);
    assert_verdict(&off, Cause::NoInterface, Status::Down);
    assert_silent(&Scene::new(TARGET).local(), Cause::NoInterface);
    let answered = down.pings(TARGET, 1, 0);
    assert_silent(&answered, Cause::NoInterface);
}

#[test]
fn no_address_is_an_interface_that_is_up_with_link_local_ones_alone() {
    let set = |addrs: &[&str]| {
        let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        Scene::new(TARGET).with_local(move |local| local.interfaces[1].addrs = addrs)
    };
    assert_verdict(&set(&[]), Cause::NoAddress, Status::Down);
    assert_verdict(&set(&["169.254.1.2/16", "fe80::1/64"]), Cause::NoAddress, Status::Down);
    assert_silent(&set(&["169.254.1.2/16", "2001:db8::1/64"]), Cause::NoAddress);
    assert_silent(&set(&["169.254.1.2/16"]).pings(TARGET, 1, 0), Cause::NoAddress);
    assert_silent(&Scene::new(TARGET), Cause::NoAddress);
}

#[test]
fn no_route_is_told_by_the_kernel_or_by_the_lack_of_a_default() {
    let told = Scene::new("203.0.113.7:80").local().send_fails(libc::ENETUNREACH);
    assert_verdict(&told, Cause::NoRoute, Status::Down);
    let told = Scene::new("203.0.113.7:80").local().connect(TcpOutcome::NoRoute);
    assert_verdict(&told, Cause::NoRoute, Status::Down);
    assert_silent(&told.pings(TARGET, 1, 0), Cause::NoRoute);

    let unresolved = || Scene { addrs: vec![], gateways: vec![], ..Scene::new("www.example.com") };
    let none = unresolved().with_local(|local| local.default_routes.clear());
    assert_verdict(&none, Cause::NoRoute, Status::Down);
    assert_silent(&unresolved().local(), Cause::NoRoute);
    // A full buffer is this host's own trouble and no missing route.
    assert_silent(&Scene::new(TARGET).send_fails(libc::ENOBUFS), Cause::NoRoute);
}

#[test]
fn a_dead_gateway_explains_all_that_is_behind_it() {
    let silent = || {
        Scene::new("203.0.113.7:80")
            .local()
            .lost(GATEWAY, 10)
            .lost(TARGET, 10)
            .lost(REFERENCE, 5)
            .connect(TcpOutcome::TimedOut)
    };
    assert_verdict(&silent(), Cause::GatewayDown, Status::Down);
    let unsure = judge(&silent().evidence()).1.confidence;
    let sure = judge(&silent().neighbour(GATEWAY, false).evidence()).1.confidence;
    assert!(unsure < 0.7 && sure > 0.9, "{unsure} {sure}");
    let told = silent().unreachable(GATEWAY, None);
    assert!(judge(&told.evidence()).1.confidence > 0.9);
}

#[test]
fn a_gateway_is_not_dead_when_it_or_anything_beyond_answers() {
    let base = || Scene::new(TARGET).local().lost(GATEWAY, 10).lost(TARGET, 10);
    assert_silent(&base().pings(TARGET, 1, 0), Cause::GatewayDown);
    assert_silent(&base().pings(REFERENCE, 1, 0), Cause::GatewayDown);
    assert_silent(&base().refused(GATEWAY, 80), Cause::GatewayDown);
    assert_silent(&base().unreachable(TARGET, Some(GATEWAY)), Cause::GatewayDown);
    assert_silent(&base().hop("198.51.100.99"), Cause::GatewayDown);
    // One family's gateway may be dead while the other's works.
    let other = Scene { gateways: vec![addr(GATEWAY), addr("fe80::1")], ..base() };
    assert_found(&other, Cause::GatewayDown, Severity::Fault);
    assert_silent(&other.pings("fe80::1", 1, 0), Cause::GatewayDown);
    let barely_asked = Scene::new(TARGET).local().lost(GATEWAY, 2).lost(TARGET, 10);
    assert_silent(&barely_asked, Cause::GatewayDown);
    assert_silent(&Scene::new(TARGET).local().lost(TARGET, 10), Cause::GatewayDown);
}

#[test]
fn the_internet_is_down_when_the_gateway_lives_and_no_reference_does() {
    let base = || Scene::new(TARGET).local().pings(GATEWAY, 10, 0).lost(TARGET, 10);
    assert_verdict(&base().lost(REFERENCE, 5), Cause::InternetDown, Status::Down);
    assert_silent(&base().pings(REFERENCE, 1, 4), Cause::InternetDown);
    assert_silent(&base(), Cause::InternetDown);
    let dead_gateway = Scene::new(TARGET).lost(GATEWAY, 10).lost(TARGET, 10).lost(REFERENCE, 5);
    assert_silent(&dead_gateway, Cause::InternetDown);
    assert_silent(&base().lost(REFERENCE, 5).pings(TARGET, 1, 0), Cause::InternetDown);
    assert_silent(&base().lost(REFERENCE, 5).hop("198.51.100.99"), Cause::InternetDown);
    let two = Scene { references: vec![addr(REFERENCE), addr(OTHER)], ..base().lost(REFERENCE, 5) };
    assert_silent(&two, Cause::InternetDown);
    let both = two.lost(OTHER, 5);
    assert!(confidence(&both) > confidence(&base().lost(REFERENCE, 5)));
}

#[test]
fn a_host_is_unreachable_when_it_alone_is_silent() {
    let base = || Scene::new(TARGET).local().pings(GATEWAY, 10, 0);
    let alone = base().lost(TARGET, 10).pings(REFERENCE, 5, 0);
    assert_verdict(&alone, Cause::HostUnreachable, Status::Down);
    let told = base().unreachable(TARGET, Some("198.51.100.99"));
    assert_verdict(&told, Cause::HostUnreachable, Status::Down);
    let unsure = Scene { references: vec![], ..base().lost(TARGET, 10) };
    assert_verdict(&unsure, Cause::HostUnreachable, Status::Down);
    assert!(confidence(&unsure) < confidence(&alone) && confidence(&alone) < confidence(&told));

    assert_silent(&alone.pings(TARGET, 1, 0), Cause::HostUnreachable);
    assert_silent(&base().lost(TARGET, 2).pings(REFERENCE, 5, 0), Cause::HostUnreachable);
    assert_silent(&base().lost(TARGET, 10).lost(REFERENCE, 5), Cause::HostUnreachable);
    let dead_gateway = Scene::new(TARGET).local().lost(GATEWAY, 10).lost(TARGET, 10);
    assert_silent(&dead_gateway, Cause::HostUnreachable);
}

#[test]
fn packet_loss_needs_more_than_a_stray_packet() {
    for (replies, lost, found) in [
        (20, 0, false),
        (19, 1, false),
        (18, 2, true),
        (97, 3, false),
        (96, 4, true),
        (0, 20, false),
    ] {
        let scene = Scene::new(TARGET).local().pings(TARGET, replies, lost);
        let (findings, _) = judge(&scene.evidence());
        let loss = findings.iter().find(|finding| finding.cause == Cause::PacketLoss);
        assert_eq!(loss.is_some(), found, "{replies} replies, {lost} lost");
        assert!(loss.is_none_or(|loss| loss.severity == Severity::Warning));
    }
}

#[test]
fn packet_loss_is_placed_where_it_begins() {
    let base = || Scene::new(TARGET).local().pings(TARGET, 10, 10);
    let beyond = judge(&base().pings(GATEWAY, 20, 0).evidence()).1;
    assert_eq!((beyond.cause, beyond.scope), (Cause::PacketLoss, Scope::Path));
    let home = judge(&base().pings(GATEWAY, 10, 10).evidence()).1;
    assert_eq!((home.cause, home.scope), (Cause::PacketLoss, Scope::Lan));
}

#[test]
fn high_latency_is_judged_by_the_middle_round_trip() {
    let slow = |ms| Scene::new(TARGET).local().slow(TARGET, 9, ms);
    assert_verdict(&slow(400), Cause::HighLatency, Status::Degraded);
    assert_silent(&slow(299), Cause::HighLatency);
    assert_silent(
        &Scene::new(TARGET).slow(TARGET, 4, 2000).pings(TARGET, 5, 0),
        Cause::HighLatency,
    );
    assert_silent(&Scene::new(TARGET).slow(TARGET, 4, 2000), Cause::HighLatency);
    let home = judge(&slow(400).slow(GATEWAY, 9, 200).evidence()).1;
    assert_eq!(home.scope, Scope::Lan);
}

#[test]
fn no_dns_server_answers() {
    let base = || Scene::unresolved("www.example.com").local().pings(GATEWAY, 5, 0);
    let down = base().dns_fails("198.51.100.53", DnsError::Timeout);
    assert_verdict(&down, Cause::DnsServerDown, Status::Down);
    let system = base().dns_fails("system", DnsError::System);
    assert_verdict(&system, Cause::DnsServerDown, Status::Down);
    let one_of_two = down.clone().dns_answers("198.51.100.54", "NOERROR", &[TARGET]);
    assert_silent(&one_of_two, Cause::DnsServerDown);
    assert_found(&one_of_two, Cause::DnsResolverDown, Severity::Warning);
    // The hosts file knows the name: it works, the servers are down all the same.
    let hosts = down.clone().dns_answers("system", "NOERROR", &[TARGET]);
    assert_found(&hosts, Cause::DnsServerDown, Severity::Warning);
    // One record type that fails is not a server that fails.
    let half = base().dns_fails("198.51.100.53", DnsError::Timeout).dns_answers(
        "198.51.100.53",
        "NOERROR",
        &[TARGET],
    );
    assert_silent(&half, Cause::DnsServerDown);
    assert_silent(&half, Cause::DnsResolverDown);
}

#[test]
fn a_dead_gateway_explains_silent_dns_servers() {
    let scene = Scene::unresolved("www.example.com")
        .local()
        .lost(GATEWAY, 10)
        .lost(REFERENCE, 5)
        .dns_fails("198.51.100.53", DnsError::Timeout);
    assert_found(&scene, Cause::DnsServerDown, Severity::Fault);
    assert_verdict(&scene, Cause::GatewayDown, Status::Down);
}

#[test]
fn dns_servers_may_refuse_or_fail() {
    let scene =
        |rcode| Scene::unresolved("www.example.com").dns_answers("198.51.100.53", rcode, &[]);
    assert_verdict(&scene("REFUSED"), Cause::DnsRefused, Status::Down);
    assert_verdict(&scene("SERVFAIL"), Cause::DnsServfail, Status::Down);
    let other = scene("REFUSED").dns_answers("198.51.100.54", "NOERROR", &[TARGET]);
    assert_silent(&other, Cause::DnsRefused);
}

#[test]
fn a_name_does_not_exist_when_nobody_has_an_address_for_it() {
    let denied =
        || Scene::unresolved("www.exmaple.com").dns_answers("198.51.100.53", "NXDOMAIN", &[]);
    assert_verdict(&denied(), Cause::DnsNoSuchName, Status::Down);
    let confirmed = denied().trusted_answers("NXDOMAIN", &[]);
    assert!(confidence(&confirmed) > confidence(&denied()));
    assert_silent(&denied().trusted_answers("NOERROR", &[TARGET]), Cause::DnsNoSuchName);
    let empty = Scene::unresolved("www.example.com").dns_answers("198.51.100.53", "NOERROR", &[]);
    assert_verdict(&empty, Cause::DnsNoSuchName, Status::Down);
    let known_otherwise = Scene::new("a.example").dns_answers("198.51.100.53", "NOERROR", &[]);
    assert_silent(&known_otherwise, Cause::DnsNoSuchName);
    let failed = Scene::unresolved("a.example").dns_answers("198.51.100.53", "SERVFAIL", &[]);
    assert_silent(&failed, Cause::DnsNoSuchName);
}

#[test]
fn contradicted_answers_are_as_loud_as_their_judgement() {
    let scene = |integrity, sure| {
        Scene::new("www.example.com").pings(TARGET, 20, 0).judged(integrity, sure)
    };
    assert_verdict(&scene(DnsIntegrity::Bogon, 0.9), Cause::DnsHijackRewrite, Status::Down);
    assert_verdict(&scene(DnsIntegrity::NameDenied, 0.9), Cause::DnsHijackRewrite, Status::Down);
    assert_verdict(&scene(DnsIntegrity::Differs, 0.6), Cause::DnsHijackRewrite, Status::Degraded);
    let cdn = scene(DnsIntegrity::Differs, 0.2);
    assert_found(&cdn, Cause::DnsHijackRewrite, Severity::Info);
    assert_verdict(&cdn, Cause::Healthy, Status::Healthy);
    assert_silent(&scene(DnsIntegrity::Consistent, 0.9), Cause::DnsHijackRewrite);
    assert_silent(&scene(DnsIntegrity::Inconclusive, 0.9), Cause::DnsHijackRewrite);
}

#[test]
fn invented_names_are_a_fault_only_where_this_name_is_one() {
    let base = || Scene::new("www.example.com").judged(DnsIntegrity::NxdomainRewritten, 0.95);
    assert_found(&base(), Cause::DnsHijackNxdomain, Severity::Warning);
    let denied = base().trusted_answers("NXDOMAIN", &[]);
    assert_found(&denied, Cause::DnsHijackNxdomain, Severity::Fault);
    let consistent = Scene::new("www.example.com").judged(DnsIntegrity::Consistent, 0.95);
    assert_silent(&consistent, Cause::DnsHijackNxdomain);
}

#[test]
fn a_port_is_refused_when_no_attempt_connects() {
    let refused = || Scene::new("203.0.113.7:80").pings(TARGET, 20, 0).connect(TcpOutcome::Refused);
    assert_verdict(&refused(), Cause::TcpRefused, Status::Down);
    assert_silent(&refused().connect(TcpOutcome::Connected), Cause::TcpRefused);
    assert_silent(&refused().connect(TcpOutcome::TimedOut), Cause::TcpFiltered);
    // Another port's refusal is no news of this one.
    let other = tcp(TARGET, 81, TcpOutcome::Refused);
    let other = Scene::new("203.0.113.7:80").about_target(Source::Tcp, other);
    assert_silent(&other, Cause::TcpRefused);
}

#[test]
fn a_port_is_filtered_when_the_host_answers_otherwise_or_a_filter_says_so() {
    let silent = || Scene::new("203.0.113.7:80").connect(TcpOutcome::TimedOut);
    assert_verdict(&silent().pings(TARGET, 20, 0), Cause::TcpFiltered, Status::Down);
    let told = Scene::new("203.0.113.7:80").lost(TARGET, 20).connect(TcpOutcome::Prohibited);
    assert_verdict(&told, Cause::TcpFiltered, Status::Down);
    assert_silent(&silent(), Cause::TcpFiltered);
    assert_silent(&silent().lost(TARGET, 20), Cause::TcpFiltered);
    // A path that loses half of everything explains an unanswered SYN.
    let lossy = silent().pings(TARGET, 10, 10);
    assert_silent(&lossy, Cause::TcpFiltered);
    assert_verdict(&lossy, Cause::PacketLoss, Status::Degraded);
}

#[test]
fn a_connection_that_is_reset_is_no_refusal() {
    let reset = Scene::new("203.0.113.7:80").pings(TARGET, 20, 0).connect(TcpOutcome::Reset);
    assert_verdict(&reset, Cause::TcpReset, Status::Down);
    assert_silent(&reset.connect(TcpOutcome::Connected), Cause::TcpReset);
}

#[test]
fn a_server_is_hung_when_it_accepts_and_never_speaks() {
    let silent =
        |target| Scene::new(target).connect(TcpOutcome::Connected).says(AppOutcome::Silent);
    assert_verdict(&silent("http://203.0.113.7/"), Cause::ServerHung, Status::Down);
    assert_verdict(&silent("203.0.113.7:80"), Cause::ServerHung, Status::Degraded);
    assert_silent(&silent("link://203.0.113.7:80"), Cause::ServerHung);
    assert_silent(&silent("203.0.113.7:80").says(AppOutcome::Spoke), Cause::ServerHung);
    let spoke =
        Scene::new("203.0.113.7:80").connect(TcpOutcome::Connected).says(AppOutcome::Closed);
    assert_silent(&spoke, Cause::ServerHung);
    assert_silent(&silent("203.0.113.7:80").pings(TARGET, 10, 10), Cause::ServerHung);
}

#[test]
fn filtered_icmp_is_a_remark_beside_a_service_that_works() {
    let base = || Scene::new("203.0.113.7:80").connect(TcpOutcome::Connected);
    assert_found(&base().lost(TARGET, 20), Cause::IcmpFiltered, Severity::Info);
    assert_verdict(&base().lost(TARGET, 20), Cause::Healthy, Status::Healthy);
    assert_silent(&base().pings(TARGET, 10, 10), Cause::IcmpFiltered);
    assert_silent(&base(), Cause::IcmpFiltered);
    let dead = Scene::new("203.0.113.7:80").connect(TcpOutcome::TimedOut).lost(TARGET, 20);
    assert_silent(&dead, Cause::IcmpFiltered);
}

#[test]
fn a_fault_explains_a_warning_whichever_is_nearer() {
    let scene = Scene::new("203.0.113.7:80").pings(TARGET, 18, 2).connect(TcpOutcome::Refused);
    assert_found(&scene, Cause::PacketLoss, Severity::Warning);
    assert_verdict(&scene, Cause::TcpRefused, Status::Down);
}

#[test]
fn evidence_is_named_in_order_once_and_not_without_end() {
    let scene =
        Scene::new(TARGET).local().pings(GATEWAY, 3, 0).pings(REFERENCE, 3, 0).lost(TARGET, 200);
    let (findings, _) = judge(&scene.evidence());
    let evidence = &findings[0].evidence;
    assert_eq!(evidence.len(), EVIDENCE_MAX);
    assert!(evidence.is_sorted_by(|a, b| a < b), "{evidence:?}");
    assert_eq!(evidence[0], MeasurementId(8), "the first echo that was lost");
}

/// A diagnosis in the making: a subject, and what was measured.
#[derive(Clone)]
struct Scene {
    target: String,
    addrs: Vec<IpAddr>,
    gateways: Vec<IpAddr>,
    references: Vec<IpAddr>,
    events: Vec<Event>,
}

impl Scene {
    fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            addrs: vec![addr(TARGET)],
            gateways: vec![addr(GATEWAY)],
            references: vec![addr(REFERENCE)],
            events: Vec::new(),
        }
    }

    fn unresolved(target: &str) -> Self {
        Self { addrs: vec![], ..Self::new(target) }
    }

    fn evidence(&self) -> Evidence {
        let subject = Subject {
            target: self.target.parse().unwrap(),
            addrs: self.addrs.clone(),
            gateways: self.gateways.clone(),
            references: self.references.clone(),
        };
        Evidence::new(subject, self.events.clone())
    }

    fn event(mut self, source: Source, about: &str, kind: Kind) -> Self {
        self.events.push(Event::new(Stamp::default(), Origin::new(source, about), kind));
        self
    }

    fn about_target(self, source: Source, kind: Kind) -> Self {
        let target = self.target.clone();
        self.event(source, &target, kind)
    }

    fn local(self) -> Self {
        self.with_local(|_| {})
    }

    fn with_local(self, change: impl FnOnce(&mut LocalNetwork)) -> Self {
        let interface = |name: &str, index, addrs: &[&str]| Interface {
            name: name.to_owned(),
            index,
            up: true,
            running: true,
            loopback: name == "lo",
            mtu: None,
            addrs: addrs.iter().map(ToString::to_string).collect(),
        };
        let mut local = LocalNetwork {
            interfaces: vec![
                interface("lo", 1, &["127.0.0.1/8"]),
                interface("eth0", 2, &["192.0.2.9/24", "fe80::9/64"]),
            ],
            default_routes: vec![Route {
                gateway: Some(addr(GATEWAY)),
                interface: "eth0".to_owned(),
                metric: 0,
            }],
            resolvers: vec![],
        };
        change(&mut local);
        self.about_target(Source::Local, Kind::LocalNetwork(local))
    }

    /// Replies of a quick network and losses, spread evenly enough.
    fn pings(mut self, to: &str, replies: u64, lost: u64) -> Self {
        for seq in 0..replies {
            self = self.reply(to, seq, 20);
        }
        self.lost(to, lost)
    }

    fn slow(mut self, to: &str, replies: u64, rtt_ms: u64) -> Self {
        for seq in 0..replies {
            self = self.reply(to, seq, rtt_ms);
        }
        self
    }

    fn reply(self, to: &str, seq: u64, rtt_ms: u64) -> Self {
        let reply = PingReply {
            seq,
            addr: addr(to),
            rtt_us: Micros(Duration::from_millis(rtt_ms)),
            ttl: None,
            size_bytes: 64,
            stamp: StampSource::Kernel,
            engine: PingEngine::KernelDgram,
        };
        self.event(Source::Ping, to, Kind::PingReply(reply))
    }

    fn lost(mut self, to: &str, count: u64) -> Self {
        for seq in 0..count {
            let lost = PingLost { seq, addr: addr(to) };
            self = self.event(Source::Ping, to, Kind::PingLost(lost));
        }
        self
    }

    fn unreachable(self, to: &str, from: Option<&str>) -> Self {
        let error = PingError {
            seq: 0,
            addr: addr(to),
            from: from.map(addr),
            error: IcmpUnreachable::Host,
        };
        self.event(Source::Ping, to, Kind::PingError(error))
    }

    fn send_fails(self, errno: i32) -> Self {
        let failed = PingSendFailed { seq: 0, addr: addr(TARGET), errno };
        self.event(Source::Ping, TARGET, Kind::PingSendFailed(failed))
    }

    fn hop(self, from: &str) -> Self {
        let hop = HopReply {
            round: 0,
            ttl: 3,
            addr: addr(from),
            rtt_us: Micros(Duration::from_millis(9)),
            answer: HopAnswer::TimeExceeded,
            protocol: TraceProtocol::Icmp,
            return_ttl: None,
        };
        self.about_target(Source::Trace, Kind::HopReply(hop))
    }

    fn neighbour(self, of: &str, known: bool) -> Self {
        let value = CustomValue::Gauge(f64::from(u8::from(known)));
        self.event(Source::Local, of, Kind::Custom(Custom { key: NEIGHBOUR_KEY.into(), value }))
    }

    fn connect(self, outcome: TcpOutcome) -> Self {
        let kind = tcp(TARGET, 80, outcome);
        self.about_target(Source::Tcp, kind)
    }

    fn refused(self, by: &str, port: u16) -> Self {
        self.event(Source::Tcp, by, tcp(by, port, TcpOutcome::Refused))
    }

    fn says(self, outcome: AppOutcome) -> Self {
        let reply = AppReply {
            addr: SocketAddr::new(addr(TARGET), 80),
            request: AppRequest::HttpHead,
            outcome,
            elapsed_us: Micros(Duration::from_secs(2)),
        };
        self.about_target(Source::Tcp, Kind::AppReply(reply))
    }

    fn dns_answers(self, server: &str, rcode: &str, addrs: &[&str]) -> Self {
        self.answers(server, DnsRole::Configured, rcode, addrs)
    }

    fn trusted_answers(self, rcode: &str, addrs: &[&str]) -> Self {
        self.answers("198.51.100.99", DnsRole::Trusted, rcode, addrs)
    }

    fn answers(self, server: &str, role: DnsRole, rcode: &str, addrs: &[&str]) -> Self {
        let name = self.name();
        let record = |data: &&str| DnsRecord {
            name: name.clone(),
            record_type: "A".to_owned(),
            data: (*data).to_owned(),
            ttl_s: None,
        };
        let answer = DnsAnswer {
            server: server.into(),
            role,
            transport: transport(server),
            name: name.as_str().into(),
            record_type: "A".into(),
            rcode: rcode.into(),
            records: addrs.iter().map(record).collect(),
            elapsed_us: Micros::default(),
        };
        self.about_target(Source::Dns, Kind::DnsAnswer(answer))
    }

    fn dns_fails(self, server: &str, error: DnsError) -> Self {
        let failure = DnsFailure {
            server: server.into(),
            role: DnsRole::Configured,
            transport: transport(server),
            name: self.name().into(),
            record_type: "A".into(),
            error,
            elapsed_us: Micros::default(),
        };
        self.about_target(Source::Dns, Kind::DnsFailure(failure))
    }

    fn judged(self, integrity: DnsIntegrity, confidence: f64) -> Self {
        let verdict = DnsVerdict {
            name: self.name().into(),
            server: "198.51.100.53".into(),
            trusted: None,
            integrity,
            detail: "it says this, another says that".to_owned(),
        };
        let value = CustomValue::Gauge(confidence);
        let sure = Custom { key: DNS_CONFIDENCE_KEY.into(), value };
        self.about_target(Source::Dns, Kind::DnsVerdict(verdict)).event(
            Source::Dns,
            "198.51.100.53",
            Kind::Custom(sure),
        )
    }

    fn name(&self) -> String {
        let target: crate::target::Target = self.target.parse().unwrap();
        target.dns_name().unwrap().to_owned()
    }
}

fn tcp(to: &str, port: u16, outcome: TcpOutcome) -> Kind {
    Kind::TcpConnect(TcpConnect {
        addr: SocketAddr::new(addr(to), port),
        attempt: 0,
        outcome,
        elapsed_us: Micros(Duration::from_millis(20)),
        won: outcome == TcpOutcome::Connected,
        local: None,
        info: None,
    })
}

fn transport(server: &str) -> DnsTransport {
    if server == "system" { DnsTransport::System } else { DnsTransport::Udp }
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn confidence(scene: &Scene) -> f64 {
    judge(&scene.evidence()).1.confidence
}

#[track_caller]
fn assert_verdict(scene: &Scene, cause: Cause, status: Status) {
    let (findings, verdict) = judge(&scene.evidence());
    assert_eq!((verdict.cause, verdict.status), (cause, status), "{findings:#?}");
}

#[track_caller]
fn assert_found(scene: &Scene, cause: Cause, severity: Severity) {
    let (findings, _) = judge(&scene.evidence());
    let found = findings.iter().find(|finding| finding.cause == cause);
    assert_eq!(found.map(|finding| finding.severity), Some(severity), "{findings:#?}");
    assert!(found.is_some_and(|finding| !finding.evidence.is_empty()), "{findings:#?}");
}

#[track_caller]
fn assert_silent(scene: &Scene, cause: Cause) {
    let (findings, _) = judge(&scene.evidence());
    assert!(findings.iter().all(|finding| finding.cause != cause), "{findings:#?}");
}
