use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sojourner_stats::event::*;
use sojourner_stats::{Event, Instant, Kind, Micros, Origin, Source, Stamp, Stats, WallTime};

use super::*;
use crate::model::Message;
use crate::theme::Depth;

#[test]
fn the_screen_at_80_by_24() {
    insta::assert_snapshot!("screen_80x24", picture(&model(), 80, 24));
}

#[test]
fn every_pane_at_80_by_24() {
    let mut model = model();
    for pane in [Pane::Path, Pane::Dns, Pane::Tcp, Pane::Findings] {
        model.pane = pane;
        insta::assert_snapshot!(format!("pane_{}", pane.name()), picture(&model, 80, 24));
    }
}

#[test]
fn the_screen_at_200_by_60() {
    insta::assert_snapshot!("screen_200x60", picture(&model(), 200, 60));
}

#[test]
fn the_help_names_every_key() {
    let mut model = model();
    model.help = true;
    insta::assert_snapshot!("help_80x24", picture(&model, 80, 24));
}

#[test]
fn a_screen_before_the_first_answer_says_so() {
    let model = Model::new(vec!["192.0.2.7".parse().unwrap()], at(0), Duration::from_secs(1));
    let picture = picture(&model, 80, 24);
    assert!(picture.contains("MEASURING") && picture.contains("No round trip yet."), "{picture}");
}

#[test]
fn every_size_survives_and_a_small_one_says_so() {
    let mut model = model();
    for help in [false, true] {
        model.help = help;
        for pane in Pane::ALL {
            model.pane = pane;
            for (width, height) in
                [(1, 1), (2, 50), (40, 12), (41, 13), (60, 15), (110, 25), (300, 3)]
            {
                picture(&model, width, height);
            }
        }
    }
    model.help = false;
    assert!(picture(&model, 30, 5).contains("terminal too small"));
    assert!(picture(&model, 10, 5).contains("too small"));
}

#[test]
fn status_is_told_by_marks_and_words_without_colour() {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let theme = Theme::new(Depth::None);
    terminal.draw(|frame| draw(&model(), theme, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    assert!(buffer.content.iter().all(|cell| {
        cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
    }));
    assert!(picture(&model(), 80, 24).contains("▲ DEGRADED"));
}

#[test]
fn names_from_the_network_cannot_command_the_terminal() {
    let mut stats = Stats::default();
    let target: Arc<str> = "evil.example".into();
    let origin = Origin::new(Source::Dns, Arc::clone(&target));
    let record = DnsRecord {
        name: "evil.example".into(),
        record_type: "TXT".into(),
        data: "\x1b]0;owned\x07\x1b[2J".into(),
        ttl_s: None,
    };
    let answer = DnsAnswer {
        server: "192.0.2.53".into(),
        role: DnsRole::Configured,
        transport: DnsTransport::Udp,
        name: target,
        record_type: "TXT".into(),
        rcode: "NOERROR".into(),
        records: vec![record],
        elapsed_us: Micros(Duration::from_millis(3)),
    };
    stats.fold(&Event::new(at(1_000), origin, Kind::DnsAnswer(answer)));
    let targets = vec!["evil.example".parse().unwrap()];
    let mut model = Model::new(targets, at(0), Duration::from_secs(1));
    model.pane = Pane::Dns;
    model.update(Message::Snapshot(Arc::new(stats.snapshot(at(1_000)))));
    let picture = picture(&model, 120, 24);
    assert!(picture.contains("owned") && !picture.contains(['\x1b', '\x07']), "{picture}");
}

fn at(ms: u64) -> Stamp {
    let wall = 1_790_000_000_000 + ms;
    let wall = WallTime::from_unix_nanos(i64::try_from(wall * 1_000_000).unwrap());
    Stamp { wall, mono: Instant::from_millis(ms) }
}

fn picture(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let theme = Theme::new(Depth::True);
    terminal.draw(|frame| draw(model, theme, frame)).unwrap();
    terminal.backend().to_string()
}

/// Three targets: one that loses echoes, one that is fine, one that is gone.
fn model() -> Model {
    let names = ["shop.example:443", "192.0.2.1", "203.0.113.9"];
    let targets = names.iter().map(|name| name.parse().unwrap()).collect();
    let mut model = Model::new(targets, at(0), Duration::from_secs(1));
    let mut stats = Stats::default();
    for second in 1..=90_u64 {
        for (which, name) in names.iter().enumerate() {
            stats.fold(&echo(name, which, second));
        }
        if second % 5 == 0 {
            fold_path(&mut stats, names[0], second);
            model.update(Message::Snapshot(Arc::new(stats.snapshot(at(second * 1_000)))));
        }
    }
    fold_dns(&mut stats, names[0]);
    fold_tcp(&mut stats, names[0]);
    model.update(Message::Tick(at(91_000)));
    fold_verdict(&mut stats, names[0]);
    model.update(Message::Snapshot(Arc::new(stats.snapshot(at(92_000)))));
    model.update(Message::Tick(at(92_500)));
    model
}

fn echo(name: &str, which: usize, second: u64) -> Event {
    let addr: IpAddr = ["198.51.100.7", "192.0.2.1", "203.0.113.9"][which].parse().unwrap();
    let lost = which == 2 || (which == 0 && second % 9 < 2 && second > 40);
    let rtt_us = [24_000 + (second * 7_919) % 9_000, 800 + (second * 31) % 90, 0][which];
    let kind = if lost {
        Kind::PingLost(PingLost { seq: second, addr })
    } else {
        Kind::PingReply(PingReply {
            seq: second,
            addr,
            rtt_us: Micros(Duration::from_micros(rtt_us)),
            ttl: Some(57),
            size_bytes: 64,
            stamp: StampSource::Kernel,
            engine: PingEngine::KernelDgram,
        })
    };
    Event::new(at(second * 1_000), Origin::new(Source::Ping, name), kind)
}

fn fold_path(stats: &mut Stats, name: &str, second: u64) {
    let origin = Origin::new(Source::Trace, name);
    let round = u32::try_from(second / 5 - 1).unwrap();
    let protocol = TraceProtocol::Icmp;
    let hops = ["192.0.2.1", "", "198.51.100.130", "198.51.100.7"];
    for (ttl, addr) in (1_u8..).zip(hops) {
        let kind = match addr.parse() {
            Ok(addr) => Kind::HopReply(HopReply {
                round,
                ttl,
                addr,
                rtt_us: Micros(Duration::from_micros(
                    u64::from(ttl) * 6_000 + (second * 131) % 900,
                )),
                answer: if ttl == 4 { HopAnswer::Reached } else { HopAnswer::TimeExceeded },
                protocol,
                return_ttl: None,
            }),
            Err(_) => Kind::HopSilent(HopSilent { round, ttl, protocol }),
        };
        stats.fold(&Event::new(at(second * 1_000), origin.clone(), kind));
    }
    let end = TraceRound {
        round,
        addr: "198.51.100.7".parse().unwrap(),
        hops: 4,
        reached: true,
        elapsed_us: Micros(Duration::from_millis(80)),
        protocol,
    };
    stats.fold(&Event::new(at(second * 1_000), origin, Kind::TraceRound(end)));
}

fn fold_dns(stats: &mut Stats, name: &str) {
    let origin = Origin::new(Source::Dns, name);
    for (server, role, transport, ms) in [
        ("192.0.2.53", DnsRole::Configured, DnsTransport::Udp, 12),
        ("https://dns.example/dns-query", DnsRole::Trusted, DnsTransport::Doh, 41),
    ] {
        let record = DnsRecord {
            name: "shop.example".into(),
            record_type: "A".into(),
            data: "198.51.100.7".into(),
            ttl_s: Some(300),
        };
        let answer = DnsAnswer {
            server: server.into(),
            role,
            transport,
            name: "shop.example".into(),
            record_type: "A".into(),
            rcode: "NOERROR".into(),
            records: vec![record],
            elapsed_us: Micros(Duration::from_millis(ms)),
        };
        stats.fold(&Event::new(at(90_000), origin.clone(), Kind::DnsAnswer(answer)));
    }
    let failure = DnsFailure {
        server: "192.0.2.54".into(),
        role: DnsRole::Configured,
        transport: DnsTransport::Udp,
        name: "shop.example".into(),
        record_type: "A".into(),
        error: DnsError::Timeout,
        elapsed_us: Micros(Duration::from_secs(2)),
    };
    stats.fold(&Event::new(at(90_000), origin.clone(), Kind::DnsFailure(failure)));
    let verdict = DnsVerdict {
        name: "shop.example".into(),
        server: "192.0.2.53".into(),
        trusted: Some("https://dns.example/dns-query".into()),
        integrity: DnsIntegrity::Consistent,
        detail: "same addresses as the trusted server".into(),
    };
    stats.fold(&Event::new(at(90_000), origin, Kind::DnsVerdict(verdict)));
}

fn fold_tcp(stats: &mut Stats, name: &str) {
    let origin = Origin::new(Source::Tcp, name);
    for (addr, outcome, ms, won) in [
        ("[2001:db8::7]:443", TcpOutcome::NoRoute, 0, false),
        ("198.51.100.7:443", TcpOutcome::Connected, 26, true),
    ] {
        let info = won.then(|| TcpInfo {
            rtt_us: Micros(Duration::from_millis(26)),
            snd_mss: 1_448,
            pmtu: 1_500,
            retransmits: 0,
            timestamps: true,
            sack: true,
        });
        let connect = TcpConnect {
            addr: addr.parse().unwrap(),
            attempt: u32::from(won),
            outcome,
            elapsed_us: Micros(Duration::from_millis(ms)),
            won,
            local: None,
            info,
        };
        stats.fold(&Event::new(at(90_000 + ms), origin.clone(), Kind::TcpConnect(connect)));
    }
    let reply = AppReply {
        addr: "198.51.100.7:443".parse().unwrap(),
        request: AppRequest::HttpHead,
        outcome: AppOutcome::Spoke,
        elapsed_us: Micros(Duration::from_millis(31)),
    };
    stats.fold(&Event::new(at(90_100), origin, Kind::AppReply(reply)));
}

fn fold_verdict(stats: &mut Stats, name: &str) {
    let origin = Origin::new(Source::Diagnose, name);
    let finding = Finding {
        cause: Cause::PacketLoss,
        severity: Severity::Warning,
        confidence: 0.93,
        summary: "2 of 20 echoes to shop.example were lost.".into(),
        advice: "Trace the path to see from which hop on packets are lost.".into(),
        scope: Scope::Path,
        evidence: vec![MeasurementId(3)],
    };
    let verdict = Verdict {
        status: Status::Degraded,
        cause: finding.cause,
        scope: finding.scope,
        confidence: finding.confidence,
        summary: finding.summary.clone(),
        advice: finding.advice.clone(),
    };
    stats.fold(&Event::new(at(91_500), origin.clone(), Kind::Finding(finding)));
    stats.fold(&Event::new(at(91_600), origin, Kind::Verdict(verdict)));
}
