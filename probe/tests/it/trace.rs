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
