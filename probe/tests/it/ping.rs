//! Echo over loopback and through lab networks, with every engine.

use std::time::Duration;

use sojourner_lab::{Impairment, What, isolated};
use sojourner_probe::events;
use sojourner_probe::ping::{self, EngineChoice, PingConfig, PingReport, PingTarget};
use sojourner_stats::event::{IcmpUnreachable, PingEngine};
use sojourner_stats::{Event, Kind, Origin, Source};
use tokio_util::sync::CancellationToken;

fn target(addr: &str) -> PingTarget {
    PingTarget { origin: Origin::new(Source::Ping, addr), addr: addr.parse().expect("an address") }
}

async fn run(config: &PingConfig) -> (PingReport, Vec<Event>) {
    let (sink, mut events) = events::channel(1 << 20);
    let report = ping::run(config, &sink, &CancellationToken::new()).await.expect("it may");
    drop(sink);
    (report, std::iter::from_fn(|| events.try_next()).collect())
}

fn config(engine: EngineChoice, targets: Vec<PingTarget>) -> PingConfig {
    let interval = Duration::from_millis(5);
    PingConfig { count: Some(3), interval, engine, ..PingConfig::new(targets) }
}

fn assert_all_answered(report: &PingReport, engine: PingEngine) {
    for target in &report.targets {
        assert_eq!((target.replies, target.sent()), (3, 3), "{target:?}");
        assert_eq!(target.engine, engine);
        assert!(target.rtt_min.expect("it answered") > Duration::ZERO, "{target:?}");
    }
}

#[tokio::test]
async fn loopback_answers_over_udp_without_any_privilege() {
    let config = config(EngineChoice::Udp, vec![target("127.0.0.1"), target("::1")]);
    let (report, events) = run(&config).await;
    assert_all_answered(&report, PingEngine::KernelUdp);
    assert_eq!(events.len(), 6, "{events:#?}");
}

#[test]
fn the_automatic_choice_takes_icmp_where_it_is_open_and_udp_where_nothing_is() {
    isolated(|lab| {
        let chain = lab.chain(2);
        let config = config(
            EngineChoice::Auto,
            vec![target(&chain.server_v4().to_string()), target(&chain.server_v6().to_string())],
        );
        let shut = chain.client.block_on_unprivileged(async { run(&config).await.0 });
        assert_all_answered(&shut, PingEngine::KernelUdp);
        let root = PingConfig { engine: EngineChoice::Kernel, ..config.clone() };
        let root = chain.client.block_on(async { run(&root).await.0 });
        assert_all_answered(&root, PingEngine::KernelRaw);
        chain.client.open_ping_sockets();
        let open = chain.client.block_on_unprivileged(async { run(&config).await.0 });
        assert_all_answered(&open, PingEngine::KernelDgram);
        let surge = PingConfig { engine: EngineChoice::Surge, ..config.clone() };
        let surge = chain.client.block_on_unprivileged(async { run(&surge).await.0 });
        assert_all_answered(&surge, PingEngine::Surge);
    });
}

#[test]
fn an_error_of_a_router_names_it_and_is_no_loss() {
    isolated(|lab| {
        let chain = lab.chain(2);
        chain.client.open_ping_sockets();
        for (server, router) in
            [(chain.server_v4(), chain.hop_v4(2)), (chain.server_v6(), chain.hop_v6(2))]
        {
            let targets = vec![target(&server.to_string())];
            let config = PingConfig { ttl: Some(2), ..config(EngineChoice::Kernel, targets) };
            let (report, events) = chain.client.block_on_unprivileged(async { run(&config).await });
            assert_eq!((report.targets[0].errors, report.targets[0].lost), (3, 0), "{events:#?}");
            let named = |event: &Event| {
                matches!(&event.kind, Kind::PingError(error)
                    if error.from == Some(router) && error.error == IcmpUnreachable::TtlExceeded)
            };
            assert!(events.iter().all(named), "{events:#?}");
        }
    });
}

#[test]
fn what_this_host_cannot_send_is_not_the_networks_loss() {
    isolated(|lab| {
        let host = lab.host("alone");
        host.open_ping_sockets();
        let config = config(EngineChoice::Kernel, vec![target("198.51.100.7")]);
        let (report, events) = host.block_on_unprivileged(async { run(&config).await });
        assert_eq!(
            (report.targets[0].send_failed, report.targets[0].sent()),
            (3, 0),
            "{events:#?}"
        );
    });
}

#[test]
fn of_a_thousand_targets_on_one_socket_no_reply_is_lost() {
    isolated(|lab| {
        let host = lab.host("alone");
        host.open_ping_sockets();
        let addrs = (0..1000).map(|n| target(&format!("127.1.{}.{}", n / 250, n % 250 + 1)));
        let config = PingConfig {
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
            ..config(EngineChoice::Kernel, addrs.collect())
        };
        let report = host.block_on_unprivileged(async { run(&config).await.0 });
        assert_eq!((report.targets.len(), report.overflowed), (1000, 0));
        assert_all_answered(&report, PingEngine::KernelDgram);
    });
}

#[test]
fn both_engines_count_as_lost_exactly_what_a_weak_link_lost() {
    isolated(|lab| {
        let (chain, weak) = lab.weak_chain(2, 2);
        crate::diagnose::warm_up(&chain);
        weak.reseed(7);
        weak.set_both(Impairment::default().loss(0.1));
        let (v4, v6) = (chain.server_v4(), chain.server_v6());
        for engine in [EngineChoice::Kernel, EngineChoice::Surge] {
            weak.reset_truth();
            let targets = vec![target(&v4.to_string()), target(&v6.to_string())];
            let mut config = config(engine, targets);
            config.count = Some(LOSSY_ECHOES);
            // Far longer than a loaded machine holds a reply back: what is late is not lost.
            config.timeout = Duration::from_secs(5);
            let report = chain.client.block_on(async { run(&config).await.0 });
            let log = weak.log();
            for found in &report.targets {
                let server = found.addr;
                // Echo requests and replies, of ICMP and of ICMPv6.
                let echo = |kind| matches!(kind, 0 | 8 | 128 | 129);
                let truth = log.iter().filter(|record| {
                    let summary = &record.summary;
                    matches!(record.what, What::Lost(_))
                        && [summary.src.ip(), summary.dst.ip()].contains(&server)
                        && summary.icmp.is_some_and(|(kind, ..)| echo(kind))
                });
                let truth = u64::try_from(truth.count()).expect("the log is bounded");
                assert!(truth > 0, "{engine:?}: the link lost nothing");
                assert_eq!(
                    (found.lost, found.replies, found.sent()),
                    (truth, LOSSY_ECHOES - truth, LOSSY_ECHOES),
                    "{found:?}"
                );
            }
        }
    });
}

/// Enough that a loss of a tenth each way is sure to show.
const LOSSY_ECHOES: u64 = 200;
