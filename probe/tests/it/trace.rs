//! The path through a chain of eight routers, without privilege.

use std::net::IpAddr;

use sojourner_lab::{Chain, isolated};
use sojourner_probe::trace::{self, TraceConfig, TraceReport};
use sojourner_stats::event::{HopAnswer, TraceProtocol};
use sojourner_stats::sink::Discard;
use sojourner_stats::{Origin, Source};
use tokio_util::sync::CancellationToken;

const ROUTERS: u8 = 8;

fn walk(chain: &Chain, addr: IpAddr, protocol: TraceProtocol, rounds: u32) -> TraceReport {
    chain.client.block_on_unprivileged(async move {
        let config = TraceConfig {
            protocol,
            rounds: Some(rounds),
            interval: std::time::Duration::ZERO,
            ..TraceConfig::new(Origin::new(Source::Trace, "server"), addr)
        };
        trace::run(&config, &Discard, &CancellationToken::new()).await.expect("it may")
    })
}

#[test]
fn every_hop_of_eight_routers_is_found_by_both_families_and_both_protocols_without_root() {
    isolated(|lab| {
        let chain = lab.chain(ROUTERS.into());
        chain.client.open_ping_sockets();
        for protocol in [TraceProtocol::Icmp, TraceProtocol::Udp] {
            for (server, v4) in [(chain.server_v4(), true), (chain.server_v6(), false)] {
                let report = walk(&chain, server, protocol, 3);
                let what = format!("{protocol:?} to {server}: {report:#?}");
                assert!(report.reached, "{what}");
                assert_eq!(
                    (report.rounds, report.hops.len()),
                    (3, usize::from(ROUTERS) + 1),
                    "{what}"
                );
                for hop in &report.hops[..ROUTERS.into()] {
                    let ttl = usize::from(hop.ttl);
                    let router = if v4 { chain.hop_v4(ttl) } else { chain.hop_v6(ttl) };
                    assert_eq!(
                        (&hop.addrs[..], hop.answer),
                        (&[router][..], Some(HopAnswer::TimeExceeded)),
                        "{what}"
                    );
                    assert!(hop.rtts.iter().all(Option::is_some), "{what}");
                }
                let last = &report.hops[usize::from(ROUTERS)];
                assert_eq!(
                    (&last.addrs[..], last.answer),
                    (&[server][..], Some(HopAnswer::Reached)),
                    "{what}"
                );
            }
        }
    });
}

#[test]
fn the_hops_agree_with_those_that_traceroute_finds() {
    if std::process::Command::new("traceroute").arg("--version").output().is_err() {
        println!("skipped: traceroute is not installed");
        return;
    }
    isolated(|lab| {
        let chain = lab.chain(ROUTERS.into());
        chain.client.open_ping_sockets();
        for (protocol, flags) in [(TraceProtocol::Icmp, "-I"), (TraceProtocol::Udp, "-U")] {
            for server in [chain.server_v4(), chain.server_v6()] {
                let report = walk(&chain, server, protocol, 1);
                let ours: Vec<String> =
                    report.hops.iter().map(|hop| hop.addrs[0].to_string()).collect();
                let mut peer = chain.client.command("traceroute");
                peer.args(["-n", "-q1", flags, &server.to_string()]);
                let peer = peer.output().expect("traceroute is installed");
                let text = String::from_utf8_lossy(&peer.stdout).into_owned();
                let theirs: Vec<&str> = text
                    .lines()
                    .skip(1)
                    .filter_map(|line| line.split_whitespace().nth(1))
                    .collect();
                assert_eq!(ours, theirs, "{protocol:?} to {server}: {peer:?}");
            }
        }
    });
}
