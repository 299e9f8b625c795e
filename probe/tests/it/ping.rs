//! Echo over loopback and through lab networks, with every engine.

use std::net::IpAddr;
use std::time::Duration;

use sojourner_probe::events;
use sojourner_probe::ping::{self, EngineChoice, PingConfig, PingReport, PingTarget};
use sojourner_stats::{Event, Origin, Source};
use tokio_util::sync::CancellationToken;

fn target(addr: &str) -> PingTarget {
    PingTarget { origin: Origin::new(Source::Ping, addr), addr: addr.parse().unwrap() }
}

async fn run(config: &PingConfig) -> (PingReport, Vec<Event>) {
    let (sink, mut events) = events::channel(1 << 20);
    let report = ping::run(config, &sink, &CancellationToken::new()).await.unwrap();
    drop(sink);
    (report, std::iter::from_fn(|| events.try_next()).collect())
}

#[tokio::test]
async fn loopback_answers_over_udp_without_any_privilege() {
    let config = PingConfig {
        count: Some(3),
        interval: Duration::from_millis(5),
        engine: EngineChoice::Auto,
        ..PingConfig::new(vec![target("127.0.0.1"), target("::1")])
    };
    let (report, events) = run(&config).await;
    println!("{report:#?} {events:#?}");
    for target in report.targets {
        assert_eq!((target.replies, target.sent()), (3, 3), "{target:?}");
    }
    let _: Option<IpAddr> = None;
}
