//! What the fold makes of events.

use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::event::*;
use sojourner_stats::window::Span;
use sojourner_stats::{Event, Instant, Kind, Micros, Origin, Snapshot, Source, Stamp};
use sojourner_stats::{Stats, StatsConfig, WallTime};

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp {
        wall: WallTime::from_unix_nanos(1_700_000_000_000_000_000 + ms as i64 * 1_000_000),
        mono: Instant::from_millis(ms),
    }
}

pub(crate) fn addr() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

pub(crate) fn event(ms: u64, target: &str, kind: Kind) -> Event {
    Event::new(at(ms), Origin::new(Source::App, target), kind)
}

pub(crate) fn reply(seq: u64, rtt: Duration) -> Kind {
    Kind::PingReply(PingReply {
        seq,
        addr: addr(),
        rtt_us: Micros(rtt),
        ttl: Some(57),
        size_bytes: 64,
        stamp: StampSource::Kernel,
        engine: PingEngine::KernelDgram,
    })
}

fn lost(seq: u64) -> Kind {
    Kind::PingLost(PingLost { seq, addr: addr() })
}

pub(crate) fn finding(cause: Cause) -> Kind {
    Kind::Finding(Finding {
        cause,
        severity: Severity::Fault,
        confidence: 0.9,
        summary: String::new(),
        advice: String::new(),
        scope: Scope::Path,
        evidence: vec![MeasurementId(1)],
    })
}

pub(crate) fn verdict(cause: Cause) -> Kind {
    Kind::Verdict(Verdict {
        status: Status::Down,
        cause,
        scope: Scope::Path,
        confidence: 0.9,
        summary: String::new(),
        advice: String::new(),
    })
}

fn fold(config: StatsConfig, events: &[Event]) -> Snapshot {
    let mut stats = Stats::new(config);
    for event in events {
        stats.fold(event);
    }
    stats.snapshot(at(0))
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn round_trips_are_smoothed_as_the_rfcs_say() {
    let events = [event(0, "t", reply(0, 16 * MS)), event(1_000, "t", reply(1, 32 * MS))];
    let snapshot = fold(StatsConfig::default(), &events);
    let ping = &snapshot.target("t").unwrap().ping[&addr()];
    assert_eq!(ping.srtt, Some(18 * MS)); // 7/8 of 16 and 1/8 of 32
    assert_eq!(ping.rttvar, Some(10 * MS)); // 3/4 of 8 and 1/4 of 16
    assert_eq!(ping.jitter, Some(MS)); // 16 / 16
    assert_eq!((ping.ttl, ping.last_rtt), (Some(57), Some(32 * MS)));
}

#[test]
fn an_echo_that_could_not_be_sent_is_never_the_networks_loss() {
    let failed = PingSendFailed { seq: 2, addr: addr(), errno: 1 };
    let late = PingLate { seq: 1, addr: addr(), rtt_us: Micros(MS) };
    let events = [
        event(0, "t", reply(0, MS)),
        event(1, "t", lost(1)),
        event(2, "t", Kind::PingSendFailed(failed)),
        event(3, "t", Kind::PingLate(late)),
    ];
    let snapshot = fold(StatsConfig::default(), &events);
    let ping = &snapshot.target("t").unwrap().ping[&addr()];
    assert_eq!((ping.sent(), ping.loss_ratio(), ping.late), (2, Some(0.5), 1));
    let recent: Vec<_> = ping.recent.iter().map(|sample| sample.rtt).collect();
    assert_eq!(recent, [Some(MS), None]);
    for span in Span::ALL {
        let cell = ping.window(span).latest().unwrap();
        assert_eq!((ping.window(span).span(), cell.sent, cell.lost), (span, 2, 1));
    }
}

#[test]
fn recent_samples_are_the_newest_up_to_the_bound() {
    let config = || {
        let mut config = StatsConfig::default();
        config.recent_max = 100;
        config
    };
    for count in [1, 31, 32, 33, 99, 100, 101, 131, 132, 133, 500_u64] {
        let events: Vec<_> = (0..count).map(|n| event(n, "t", lost(n))).collect();
        let snapshot = fold(config(), &events);
        let recent = &snapshot.target("t").unwrap().ping[&addr()].recent;
        let expected: Vec<_> = (count.saturating_sub(100)..count).map(at).collect();
        assert_eq!(recent.iter().map(|s| s.at).collect::<Vec<_>>(), expected, "{count}");
        assert_eq!(recent.len(), expected.len());
        let newest: Vec<_> = recent.newest(3).map(|s| s.at).collect();
        assert_eq!(newest, expected[expected.len().saturating_sub(3)..], "{count}");
    }
}

#[test]
fn a_verdict_replaces_the_findings_of_the_one_before() {
    let mut events = vec![
        event(0, "t", finding(Cause::PacketLoss)),
        event(1, "t", finding(Cause::HighLatency)),
        event(2, "t", verdict(Cause::PacketLoss)),
        event(3, "t", finding(Cause::HostUnreachable)),
    ];
    let causes = |events: &[Event]| {
        let snapshot = fold(StatsConfig::default(), events);
        let target = snapshot.target("t").unwrap();
        let (stamp, verdict) = target.verdict.clone().unwrap();
        let causes: Vec<_> = target.findings.iter().map(|finding| finding.cause).collect();
        (stamp, verdict.cause, causes)
    };
    let before = (at(2), Cause::PacketLoss, vec![Cause::PacketLoss, Cause::HighLatency]);
    assert_eq!(causes(&events), before, "a diagnosis that still runs shows the one before");
    events.push(event(4, "t", verdict(Cause::HostUnreachable)));
    assert_eq!(causes(&events), (at(4), Cause::HostUnreachable, vec![Cause::HostUnreachable]));
}

#[test]
fn targets_beyond_the_bound_share_one_place_and_are_counted() {
    let mut config = StatsConfig::default();
    config.targets_max = 2;
    let events: Vec<_> = ["a", "b", "c", "d", "a"].map(|target| event(0, target, lost(0))).into();
    let snapshot = fold(config, &events);
    let targets: Vec<_> = snapshot.targets.keys().map(|target| &**target).collect();
    assert_eq!(targets, ["a", "b", Snapshot::OTHER]);
    assert_eq!((snapshot.events, snapshot.overflowed), (5, 2));
    assert_eq!(snapshot.target(Snapshot::OTHER).unwrap().ping[&addr()].lost, 2);
}

#[test]
fn addresses_beyond_the_bound_of_a_target_are_counted() {
    let events: Vec<_> = (0..300_u32)
        .map(|n| {
            let addr = IpAddr::from(n.to_be_bytes());
            event(0, "t", Kind::PingLost(PingLost { seq: 0, addr }))
        })
        .collect();
    let snapshot = fold(StatsConfig::default(), &events);
    assert_eq!(snapshot.target("t").unwrap().ping.len(), 256);
    assert_eq!(snapshot.overflowed, 44);
}

#[test]
fn what_was_dropped_or_is_not_known_is_counted_and_makes_no_target() {
    let custom = Custom { key: "k".into(), value: CustomValue::Gauge(f64::NAN) };
    let events = [
        event(0, "t", Kind::Dropped(Dropped { count: 7 })),
        event(0, "t", Kind::Unknown),
        event(0, "t", Kind::Custom(custom)),
    ];
    let snapshot = fold(StatsConfig::default(), &events);
    assert_eq!((snapshot.events, snapshot.dropped, snapshot.unknown), (3, 7, 2));
    assert!(snapshot.targets.is_empty());
}

#[test]
fn a_path_keeps_each_hop_with_its_latest_address_first() {
    let hop = |round, ttl, last| {
        Kind::HopReply(HopReply {
            round,
            ttl,
            addr: IpAddr::from([10, 0, 0, last]),
            rtt_us: Micros(MS * u32::from(ttl)),
            answer: HopAnswer::TimeExceeded,
            protocol: TraceProtocol::Udp,
            return_ttl: None,
        })
    };
    let silent = Kind::HopSilent(HopSilent { round: 0, ttl: 2, protocol: TraceProtocol::Udp });
    let round = Kind::TraceRound(TraceRound {
        round: 1,
        addr: addr(),
        hops: 2,
        reached: true,
        elapsed_us: Micros(MS),
        protocol: TraceProtocol::Udp,
    });
    let kinds = [hop(0, 1, 1), silent, hop(0, 4, 9), hop(1, 1, 2), hop(1, 2, 3), round];
    let events = kinds.map(|kind| event(0, "t", kind));
    let snapshot = fold(StatsConfig::default(), &events);
    let path = &snapshot.target("t").unwrap().paths[&TraceProtocol::Udp];
    assert_eq!((path.round, path.reached, path.hops.len(), path.current().len()), (1, true, 4, 2));
    assert_eq!(path.hops[0].addrs, [IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 1])]);
    assert_eq!((path.hops[1].sent, path.hops[1].replies), (2, 1));
    assert_eq!(path.hops[1].loss_ratio(), Some(0.5));
    assert_eq!(path.hops[2].loss_ratio(), None, "a hop never asked has no loss");
}

#[test]
fn the_latest_answer_of_each_server_and_question_is_kept() {
    let answer = |server: &str, ms| {
        Kind::DnsAnswer(DnsAnswer {
            server: server.into(),
            role: DnsRole::Configured,
            transport: DnsTransport::Udp,
            name: "example.com".into(),
            record_type: "A".into(),
            rcode: "NOERROR".into(),
            records: Vec::new(),
            elapsed_us: Micros(MS * ms),
        })
    };
    let failure = Kind::DnsFailure(DnsFailure {
        server: "a".into(),
        role: DnsRole::Configured,
        transport: DnsTransport::Udp,
        name: "example.com".into(),
        record_type: "A".into(),
        error: DnsError::Timeout,
        elapsed_us: Micros(MS),
    });
    let events = [answer("a", 3), answer("b", 5), failure].map(|kind| event(0, "t", kind));
    let snapshot = fold(StatsConfig::default(), &events);
    let dns = &snapshot.target("t").unwrap().dns;
    assert_eq!(dns.iter().map(|view| &*view.server).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((dns[0].answers, dns[0].failures, dns[0].elapsed.count()), (1, 1, 1));
    assert!(matches!(&dns[0].result, sojourner_stats::snapshot::DnsResult::Failure(_)));
}

#[test]
fn a_recording_continued_after_a_restart_goes_on_where_it_stopped() {
    let hour = 3_600_000;
    let mut second = event(2_000, "t", lost(1)); // two seconds after the machine came up again
    second.at.wall = at(hour + 500_000).wall;
    let snapshot = fold(StatsConfig::default(), &[event(hour, "t", lost(0)), second]);
    let ping = &snapshot.target("t").unwrap().ping[&addr()];
    let starts: Vec<_> = ping.window(Span::Minute).cells().map(|cell| cell.start).collect();
    assert_eq!(starts, [at(hour), at(hour + 480_000)]);
}

#[test]
fn a_snapshot_is_one_json_document() {
    let connect = TcpConnect {
        addr: "192.0.2.7:80".parse().unwrap(),
        attempt: 0,
        outcome: TcpOutcome::LocalError(13),
        elapsed_us: Micros(MS),
        won: false,
        local: None,
        info: None,
    };
    let events = [
        event(0, "t", reply(0, MS)),
        event(0, "t", Kind::TcpConnect(connect)),
        event(0, "t", verdict(Cause::Healthy)),
    ];
    let snapshot = fold(StatsConfig::default(), &events);
    let json = serde_json::to_value(&snapshot).unwrap();
    let target = &json["targets"]["t"];
    assert_eq!(target["ping"]["192.0.2.7"]["replies"], 1);
    assert_eq!(target["tcp"]["192.0.2.7:80"]["outcomes"][0][0]["local_error"], 13);
    assert_eq!(target["verdict"][1]["cause"], "healthy");
}
