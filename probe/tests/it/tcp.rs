//! How connects end, and whether anybody speaks, against real kernels.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sojourner_probe::connect::{Attempt, ConnectConfig, RaceGoal, connect};
use sojourner_probe::error::ProbeError;
use sojourner_probe::events;
use sojourner_probe::tcp::{self, SpeakConfig, TcpConfig, TcpReport};
use sojourner_stats::event::{AppOutcome, AppRequest, TcpConnect, TcpOutcome};
use sojourner_stats::sink::Discard;
use sojourner_stats::{Event, Kind, Origin, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

/// Never waited for in full: what is tested comes before it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Waited for in full, where nothing can come.
const MOMENT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_closed_port_refuses() {
    let (_reserved, addr) = closed_port();
    let (report, events) = run(&config(vec![addr])).await;
    let [attempt] = &report.attempts[..] else { panic!("{report:?}") };
    assert_eq!((attempt.connect.outcome, attempt.connect.won), (TcpOutcome::Refused, false));
    assert_eq!((report.connected, report.replies.len()), (None, 0));
    assert_eq!(connects(&events), [&attempt.connect]);
}

#[tokio::test]
async fn a_connection_has_the_kernels_round_trip() {
    let (listener, addr) = listen("[::1]:0").await;
    let won = connect(&connecting(vec![addr]), &Discard, &CancellationToken::new()).await.unwrap();
    let info = won.attempts[0].connect.info.as_ref().expect("Linux tells");
    assert_eq!((won.rtt, won.attempt, won.addr), (info.rtt_us.0, 0, addr));
    assert!(info.snd_mss > 0 && won.rtt > Duration::ZERO, "{info:?}");
    assert_eq!(won.local, Some(listener.accept().await.unwrap().1));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_silent() {
    let (_listener, addr) = listen("127.0.0.1:0").await;
    let speak = SpeakConfig { listen: MOMENT, silence: MOMENT, host: None };
    let (report, _) = run(&TcpConfig { speak: Some(speak), ..config(vec![addr]) }).await;
    assert_eq!(report.connected, Some(addr));
    assert_eq!(heard(&report), [(addr, AppRequest::HttpHead, AppOutcome::Silent)]);
    assert!(report.replies[0].elapsed_us.0 >= MOMENT, "{report:?}");
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_asked() {
    let (listener, addr) = listen("127.0.0.1:0").await;
    let speak = SpeakConfig { listen: PATIENCE, ..SpeakConfig::default() };
    let config = TcpConfig { speak: Some(speak), ..config(vec![addr]) };
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail\r\n").await.unwrap();
        stream
    };
    let ((report, events), _stream) = tokio::join!(run(&config), server);
    assert_eq!(heard(&report), [(addr, AppRequest::Listen, AppOutcome::Spoke)]);
    let told = events.iter().any(|it| it.kind == Kind::AppReply(report.replies[0].clone()));
    assert!(told, "{events:?}");
}

#[tokio::test]
async fn a_web_server_speaks_when_asked_for_its_name() {
    let (listener, addr) = listen("127.0.0.1:0").await;
    let speak =
        SpeakConfig { listen: MOMENT, silence: PATIENCE, host: Some("www.example.com".into()) };
    let config = TcpConfig { speak: Some(speak), ..config(vec![addr]) };
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
        (request, stream)
    };
    let ((report, _), (request, _stream)) = tokio::join!(run(&config), server);
    assert!(request.starts_with("HEAD / HTTP/1.0\r\nHost: www.example.com\r\n"), "{request}");
    assert_eq!(heard(&report), [(addr, AppRequest::HttpHead, AppOutcome::Spoke)]);
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told_from_one_that_resets() {
    for (reset, outcome) in [(false, AppOutcome::Closed), (true, AppOutcome::Reset)] {
        let (listener, addr) = listen("127.0.0.1:0").await;
        let speak = SpeakConfig { listen: MOMENT, silence: PATIENCE, host: None };
        let config = TcpConfig { speak: Some(speak), ..config(vec![addr]) };
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            if reset {
                stream.set_zero_linger().unwrap();
            }
        };
        let ((report, _), ()) = tokio::join!(run(&config), server);
        assert_eq!(heard(&report), [(addr, AppRequest::HttpHead, outcome)]);
    }
}

#[tokio::test]
async fn every_address_is_tried_and_asked_when_each_is_wanted() {
    let (_reserved, closed) = closed_port();
    let (_one, first) = listen("127.0.0.1:0").await;
    let (_two, second) = listen("[::1]:0").await;
    let mut config = config(vec![closed, first, second]);
    config.race.goal = RaceGoal::Each;
    config.speak = Some(SpeakConfig { listen: MOMENT, silence: MOMENT, host: None });
    let (report, events) = run(&config).await;
    let mut outcomes: Vec<_> =
        report.attempts.iter().map(|it| (it.connect.addr, it.connect.outcome)).collect();
    outcomes.sort();
    let mut wanted = [
        (closed, TcpOutcome::Refused),
        (first, TcpOutcome::Connected),
        (second, TcpOutcome::Connected),
    ];
    wanted.sort();
    assert_eq!(outcomes, wanted);
    assert_eq!(report.replies.len(), 2);
    assert_eq!(report.attempts.iter().filter(|it| it.connect.won).count(), 1);
    assert_eq!(connects(&events).len(), 3);
}

#[tokio::test]
async fn giving_up_before_the_start_tries_nothing() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    // Documentation addresses: nothing would answer.
    let config = connecting(vec!["192.0.2.1:9".parse().unwrap(), "192.0.2.2:9".parse().unwrap()]);
    let failed = connect(&config, &Discard, &cancel).await.unwrap_err();
    assert_eq!(failed.attempts.len() + failed.untried.len(), 2, "{failed:?}");
    assert!(failed.attempts.iter().all(|it| it.connect.outcome != TcpOutcome::Connected));
}

#[tokio::test]
async fn nowhere_to_connect_to_is_the_callers_mistake() {
    let error = tcp::run(&config(vec![]), &Discard, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ProbeError::Invalid { .. }), "{error}");
    let mut config = config(vec!["127.0.0.1:9".parse().unwrap()]);
    config.speak = Some(SpeakConfig { host: Some("a\r\nb".into()), ..SpeakConfig::default() });
    let error = tcp::run(&config, &Discard, &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("printable"), "{error}");
}

#[test]
fn an_interface_or_a_source_that_is_not_here_is_a_local_error() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let to = SocketAddr::new(chain.server_v4(), 80);
        let mut config = connecting(vec![to]);
        config.interface = Some("nowhere0".into());
        let attempt = fail(&chain.client, &config);
        assert_eq!(attempt.connect.outcome, TcpOutcome::LocalError(19));
        let mut config = connecting(vec![to]);
        config.source = Some("192.0.2.99".parse().unwrap());
        let outcome = fail(&chain.client, &config).connect.outcome;
        assert_ne!(outcome, TcpOutcome::Connected);
    });
}

#[test]
fn a_host_without_a_route_says_so_itself() {
    sojourner_lab::isolated(|lab| {
        let alone = lab.host("alone");
        for addr in ["192.0.2.1:80", "[2001:db8::1]:80"] {
            let attempt = fail(&alone, &connecting(vec![addr.parse().unwrap()]));
            assert_eq!(attempt.connect.outcome, TcpOutcome::NoRoute, "{addr}");
            assert_eq!(attempt.icmp, None);
        }
    });
}

#[test]
fn a_router_that_knows_no_way_or_forbids_it_is_named() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(2);
        let (v4, v6) = (chain.server_v4(), chain.server_v6());
        let router = &chain.routers[1];
        router.unreachable_route(&format!("{v4}/32"));
        router.unreachable_route(&format!("{v6}/128"));
        for (to, hop) in [(v4, chain.hop_v4(2)), (v6, chain.hop_v6(2))] {
            let attempt = fail(&chain.client, &connecting(vec![SocketAddr::new(to, 80)]));
            assert_eq!(attempt.connect.outcome, TcpOutcome::Unreachable, "{attempt:?}");
            assert_eq!(attempt.icmp.and_then(|icmp| icmp.from), Some(hop), "{attempt:?}");
        }
    });
}

#[test]
fn a_router_that_forbids_it_is_told_from_one_that_knows_no_way() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(2);
        let (v4, v6) = (chain.server_v4(), chain.server_v6());
        chain.routers[0].prohibit_route(&format!("{v4}/32"));
        chain.routers[0].prohibit_route(&format!("{v6}/128"));
        for (to, hop) in [(v4, chain.hop_v4(1)), (v6, chain.hop_v6(1))] {
            let attempt = fail(&chain.client, &connecting(vec![SocketAddr::new(to, 80)]));
            assert_eq!(attempt.connect.outcome, TcpOutcome::Prohibited, "{attempt:?}");
            assert_eq!(attempt.icmp.and_then(|icmp| icmp.from), Some(hop), "{attempt:?}");
        }
    });
}

#[test]
fn a_filter_that_says_nothing_is_a_timeout() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let server = chain.server_v4();
        chain.routers[0].blackhole_route(&format!("{server}/32"));
        let mut config = connecting(vec![SocketAddr::new(server, 80)]);
        config.race.attempt_timeout = MOMENT;
        let attempt = fail(&chain.client, &config);
        assert_eq!(attempt.connect.outcome, TcpOutcome::TimedOut);
        assert!(attempt.connect.elapsed_us.0 >= MOMENT, "{attempt:?}");
    });
}

#[test]
fn a_broken_ipv6_path_loses_the_race_and_is_recorded() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let (v4, v6) = (chain.server_v4(), chain.server_v6());
        chain.routers[0].blackhole_route(&format!("{v6}/128"));
        let listener = chain.server.run(|| std::net::TcpListener::bind((v4, 80))).unwrap();
        let mut config = connecting(vec![SocketAddr::new(v6, 80), SocketAddr::new(v4, 80)]);
        config.race.attempt_timeout = PATIENCE;
        config.race.overall_timeout = PATIENCE;
        let won = chain
            .client
            .block_on_unprivileged(async {
                connect(&config, &Discard, &CancellationToken::new()).await
            })
            .unwrap();
        assert_eq!((won.addr.ip(), won.attempt), (v4, 1));
        let outcomes: Vec<_> = won.attempts.iter().map(|it| it.connect.outcome).collect();
        assert_eq!(outcomes, [TcpOutcome::Connected, TcpOutcome::Cancelled]);
        drop(listener);
    });
}

#[test]
fn the_source_and_the_interface_are_what_was_asked_for() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let to = SocketAddr::new(chain.server_v4(), 80);
        let _listener = chain.server.run(|| std::net::TcpListener::bind(to)).unwrap();
        let mut config = connecting(vec![to]);
        config.source = Some(chain.client_v4());
        config.interface = Some(chain.links[0].a.name().to_owned());
        let local = chain.client.block_on_unprivileged(async {
            let won = connect(&config, &Discard, &CancellationToken::new()).await;
            won.map(|won| won.local.map(|local| local.ip()))
        });
        assert_eq!(local, Ok(Some(chain.client_v4())));
    });
}

/// The only attempt of a connect that must fail, made on a host of the lab without privileges.
fn fail(host: &sojourner_lab::Host, config: &ConnectConfig) -> Attempt {
    let failed = host.block_on_unprivileged(async {
        connect(config, &Discard, &CancellationToken::new()).await.map(|won| won.addr)
    });
    let mut attempts = failed.expect_err("it cannot connect").attempts;
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    attempts.remove(0)
}

async fn run(config: &TcpConfig) -> (TcpReport, Vec<Event>) {
    let (sink, mut events) = events::channel(1_024);
    let report = tcp::run(config, &sink, &CancellationToken::new()).await;
    drop(sink);
    (report.expect("it can run"), std::iter::from_fn(|| events.try_next()).collect())
}

async fn listen(addr: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(addr).await.expect("loopback can be bound");
    let addr = listener.local_addr().expect("it is bound");
    (listener, addr)
}

/// A port that nobody listens on, and nobody else can take while the socket lives.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket can be opened");
    let any: IpAddr = [127, 0, 0, 1].into();
    socket.bind(SocketAddr::new(any, 0)).expect("loopback can be bound");
    let addr = socket.local_addr().expect("it is bound");
    (socket, addr)
}

async fn read_head(stream: &mut tokio::net::TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the request comes whole"));
    }
    String::from_utf8(head).expect("it is ASCII")
}

fn config(addrs: Vec<SocketAddr>) -> TcpConfig {
    TcpConfig::new(Origin::new(Source::Tcp, "test"), addrs)
}

fn connecting(addrs: Vec<SocketAddr>) -> ConnectConfig {
    ConnectConfig::new(Origin::new(Source::Tcp, "test"), addrs)
}

fn connects(events: &[Event]) -> Vec<&TcpConnect> {
    let connects = events.iter().filter_map(|event| match &event.kind {
        Kind::TcpConnect(connect) => Some(connect),
        _ => None,
    });
    connects.collect()
}

fn heard(report: &TcpReport) -> Vec<(SocketAddr, AppRequest, AppOutcome)> {
    report.replies.iter().map(|it| (it.addr, it.request, it.outcome)).collect()
}
