//! Asking scripted DNS servers, over loopback and through the lab's networks.

mod server;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use sojourner_probe::dns::{
    self, DnsConfig, DnsReport, DnsServer, Lookup, Nonexistent, RecordType, TrustRoots,
};
use sojourner_probe::error::ProbeError;
use sojourner_probe::events;
use sojourner_stats::event::{DnsError, DnsIntegrity, DnsTransport};
use sojourner_stats::sink::Discard;
use sojourner_stats::{Event, Kind, Origin, Source};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use server::{Authority, Script, Server, Via, answer, bytes, message, refuse};

const NAME: &str = "www.example.com";
/// Never waited for in full: what is tested comes before it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Waited for in full, where nothing can come.
const MOMENT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn an_answer_has_its_records_and_is_emitted() {
    let server = Server::plain(|_, query| vec![answer(query, &["9.9.9.9", "2620:fe::9"])]).await;
    let mut config = config(DnsServer::Udp(server.addr));
    config.record_types = vec![RecordType::A, RecordType::AAAA];
    let (report, events) = run(&config).await;
    let [Lookup::Answer(v4), Lookup::Answer(v6)] = &report.lookups[..] else {
        panic!("{report:?}")
    };
    assert_eq!((&*v4.rcode, &*v4.name, v4.transport), ("NOERROR", NAME, DnsTransport::Udp));
    let record = &v4.records[0];
    assert_eq!((record.data.as_str(), record.ttl_s), ("9.9.9.9", Some(60)));
    assert_eq!((&*v6.record_type, v6.records[0].data.as_str()), ("AAAA", "2620:fe::9"));
    let mut told: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    let verdict = told.pop();
    assert!(matches!(verdict, Some(Kind::DnsVerdict(_))), "{verdict:?}");
    assert_eq!(told.len(), 2);
    assert!(told.contains(&Kind::DnsAnswer(v4.clone())), "{told:?}");
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let server = Server::plain(|via, query| {
        let mut reply = message(query, ResponseCode::NoError, &["9.9.9.9"]);
        reply.metadata.truncation = via == Via::Udp;
        if via == Via::Udp {
            reply.answers.clear();
        }
        vec![bytes(&reply)]
    })
    .await;
    let lookup = ask(DnsServer::Udp(server.addr)).await;
    assert_eq!(lookup.transport(), DnsTransport::Tcp);
    assert_eq!(lookup.addrs(), ["9.9.9.9".parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn no_such_name_and_a_failing_server_are_answers() {
    for (code, rcode) in [
        (ResponseCode::NXDomain, "NXDOMAIN"),
        (ResponseCode::ServFail, "SERVFAIL"),
        (ResponseCode::Refused, "REFUSED"),
    ] {
        let server = Server::plain(move |_, query| vec![refuse(query, code)]).await;
        for server in [DnsServer::Udp(server.addr), DnsServer::Tcp(server.addr)] {
            let Lookup::Answer(answer) = ask(server).await else { panic!("no answer") };
            assert_eq!((&*answer.rcode, answer.records.len()), (rcode, 0));
        }
    }
}

#[tokio::test]
async fn silence_is_asked_twice_under_new_ids_and_ports() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = config(DnsServer::Udp(silent.local_addr().unwrap()));
    config.timeout = MOMENT;
    config.retries = 1;
    let (report, events) = run(&config).await;
    assert_eq!(error(&report.lookups[0]), Some(DnsError::Timeout));
    assert!(matches!(events[0].kind, Kind::DnsFailure(_)), "{events:?}");
    silent.set_nonblocking(true).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 512];
    while let Ok((len, from)) = silent.recv_from(&mut buffer) {
        let query = Message::from_vec(&buffer[..len]).unwrap();
        assert!(query.metadata.recursion_desired);
        seen.push((query.metadata.id, from));
    }
    let [first, second] = &seen[..] else { panic!("two tries: {seen:?}") };
    assert_ne!(first, second);
}

#[tokio::test]
async fn what_is_not_the_answer_does_not_end_the_wait() {
    let server = Server::plain(|_, query| {
        let mut forged = query.clone();
        forged.metadata.id ^= 0x5555;
        let mut other = query.clone();
        other.queries[0].query_type = RecordType::MX;
        vec![
            answer(&forged, &["6.6.6.6"]),
            refuse(&other, ResponseCode::NXDomain),
            b"\x00garbage".to_vec(),
            bytes(query),
            answer(query, &["9.9.9.9"]),
        ]
    })
    .await;
    let lookup = ask(DnsServer::Udp(server.addr)).await;
    assert_eq!(lookup.addrs(), ["9.9.9.9".parse::<std::net::IpAddr>().unwrap()]);
}

#[tokio::test]
async fn nothing_but_garbage_is_malformed() {
    let server = Server::plain(|_, _| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]).await;
    let mut config = config(DnsServer::Tcp(server.addr));
    let (report, _) = run(&config).await;
    assert_eq!(error(&report.lookups[0]), Some(DnsError::Malformed));
    // Over UDP the right answer may still come, so it takes the whole wait to know.
    config.servers = vec![DnsServer::Udp(server.addr)];
    config.timeout = Duration::from_millis(200);
    config.retries = 5;
    let (report, _) = run(&config).await;
    assert_eq!(error(&report.lookups[0]), Some(DnsError::Malformed));
}

#[tokio::test]
async fn a_closed_port_is_told_from_silence_on_every_transport() {
    // Bound but not listening, so that nobody else takes the number.
    let reserved = tokio::net::TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = reserved.local_addr().unwrap();
    let https = format!("https://127.0.0.1:{}/dns-query", closed.port());
    for server in [
        DnsServer::Tcp(closed),
        DnsServer::Tls { addr: closed, name: None },
        https.parse().unwrap(),
    ] {
        let lookup = ask(server.clone()).await;
        assert_eq!(error(&lookup), Some(DnsError::PortClosed), "{server}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_without_a_word_has_closed() {
    let server = Server::plain(|_, _| Vec::new()).await;
    let lookup = ask(DnsServer::Tcp(server.addr)).await;
    assert_eq!(error(&lookup), Some(DnsError::Closed));
}

#[tokio::test]
async fn encrypted_servers_answer_whoever_trusts_their_authority() {
    let authority = Authority::new();
    let dot = Server::dot(&authority, "dns.test", script()).await;
    let doh = Server::doh(&authority, "dns.test", script()).await;
    let port = doh.addr.port();
    let ours = TrustRoots::with_ca_pem(authority.pem.as_bytes()).unwrap();
    for (text, transport) in [
        (format!("tls://{}", dot.addr), DnsTransport::Dot),
        (format!("tls://dns.test@{}", dot.addr), DnsTransport::Dot),
        (format!("https://127.0.0.1:{port}/dns-query"), DnsTransport::Doh),
        (format!("https://dns.test@127.0.0.1:{port}/dns-query"), DnsTransport::Doh),
    ] {
        let mut config = config(text.parse().unwrap());
        config.trust = ours.clone();
        let (report, _) = run(&config).await;
        let [Lookup::Answer(answer)] = &report.lookups[..] else { panic!("{report:?}") };
        assert_eq!((answer.transport, &*answer.server), (transport, text.as_str()));
        assert_eq!(answer.records[0].data, "9.9.9.9");
        config.trust = TrustRoots::web();
        let (report, _) = run(&config).await;
        assert_eq!(error(&report.lookups[0]), Some(DnsError::Tls), "{text} without its authority");
    }
    for text in [
        format!("tls://other.test@{}", dot.addr),
        format!("https://other.test@127.0.0.1:{port}/dns-query"),
        format!("https://127.0.0.1:{port}/elsewhere"),
    ] {
        let mut config = config(text.parse().unwrap());
        config.trust = ours.clone();
        let (report, _) = run(&config).await;
        assert_eq!(error(&report.lookups[0]), Some(DnsError::Tls), "{text}");
    }
}

#[tokio::test]
async fn a_server_without_tls_where_tls_is_due_is_a_tls_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let greet = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        stream
    };
    let (lookup, _stream) = tokio::join!(ask(DnsServer::Tls { addr, name: None }), greet);
    assert_eq!(error(&lookup), Some(DnsError::Tls));
}

#[tokio::test]
async fn a_resolver_that_rewrites_is_caught_and_the_honest_one_cleared() {
    let honest = |query: &Message| match query.queries[0].name.to_ascii().as_str() {
        "www.example.com." => answer(query, &["9.9.9.9"]),
        _ => refuse(query, ResponseCode::NXDomain),
    };
    let truth = Server::plain(move |_, query| vec![honest(query)]).await;
    let good = Server::plain(move |_, query| vec![honest(query)]).await;
    let liar = Server::plain(|_, query| vec![answer(query, &["10.6.6.6"])]).await;
    let mut config = config(DnsServer::Udp(good.addr));
    config.servers.push(DnsServer::Udp(liar.addr));
    config.trusted = vec![DnsServer::Tcp(truth.addr)];
    config.nonexistent = Nonexistent::Ask;
    let (report, events) = run(&config).await;
    let integrity: Vec<_> =
        report.verdicts().map(|it| (it.server.to_string(), it.integrity)).collect();
    let (good, liar) = (good.addr.to_string(), liar.addr.to_string());
    let wanted = [
        (good, DnsIntegrity::Consistent),
        (liar.clone(), DnsIntegrity::Bogon),
        (liar, DnsIntegrity::NxdomainRewritten),
    ];
    assert_eq!(integrity, wanted);
    assert_eq!((report.lookups.len(), report.nonexistent.len()), (3, 6));
    let emitted = events.iter().filter(|it| matches!(it.kind, Kind::DnsAnswer(_))).count();
    assert_eq!(emitted, 3, "names that do not exist are nobody's events");
}

#[tokio::test]
async fn a_cancelled_run_reports_what_it_has() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = config(DnsServer::Udp(silent.local_addr().unwrap()));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let report = dns::run(&config, &Discard, &cancel).await.unwrap();
    assert_eq!((report.lookups.len(), report.judgements.len()), (0, 0));
}

#[tokio::test]
async fn mistakes_are_refused_with_what_to_do_instead() {
    let server = || DnsServer::Udp("127.0.0.1:9".parse().unwrap());
    let long = "a".repeat(64) + ".com";
    for name in ["", " ", "a..b", long.as_str()] {
        let config = DnsConfig { name: name.to_owned(), ..config(server()) };
        refused(&config).await;
    }
    refused(&DnsConfig { servers: Vec::new(), ..config(server()) }).await;
    refused(&DnsConfig { servers: vec![server(); 100], ..config(server()) }).await;
    refused(&DnsConfig { record_types: Vec::new(), ..config(server()) }).await;
    refused(&DnsConfig { retries: 1_000, ..config(server()) }).await;
}

#[test]
fn a_server_beyond_a_router_that_knows_no_way_is_unreachable() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let server = chain.server_v4();
        chain.routers[0].unreachable_route(&format!("{server}/32"));
        let addr = SocketAddr::new(server, 53);
        for server in [DnsServer::Udp(addr), DnsServer::Tcp(addr)] {
            let config = config(server.clone());
            let (report, _) = chain.client.block_on_unprivileged(async { run(&config).await });
            assert_eq!(error(&report.lookups[0]), Some(DnsError::Unreachable), "{server}");
        }
        let closed = DnsServer::Udp(SocketAddr::new(chain.hop_v4(1), 53));
        let config = config(closed);
        let (report, _) = chain.client.block_on_unprivileged(async { run(&config).await });
        assert_eq!(error(&report.lookups[0]), Some(DnsError::PortClosed));
    });
}

#[test]
fn the_systems_resolver_tells_a_missing_name_from_a_dead_server() {
    sojourner_lab::isolated(|lab| {
        let chain = lab.chain(1);
        let addr = SocketAddr::new(chain.server_v4(), 53);
        let running = chain.server.prepare(async move {
            let udp = tokio::net::UdpSocket::bind(addr).await.expect("port 53 is free here");
            let tcp = tokio::net::TcpListener::bind(addr).await.expect("port 53 is free here");
            let script: Script = Arc::new(|_, query| {
                vec![match query.queries[0].name.to_ascii().as_str() {
                    "www.example.com." => answer(query, &["9.9.9.9"]),
                    _ => refuse(query, ResponseCode::NXDomain),
                }]
            });
            Server::serve(udp, tcp, script)
        });
        chain.client.use_dns_server(addr.ip());
        let system = |name: &str| {
            let record_types = vec![RecordType::A, RecordType::AAAA];
            let name = name.to_owned();
            let config = DnsConfig { name, record_types, ..config(DnsServer::System) };
            let (report, _) = chain.client.block_on_unprivileged(async { run(&config).await });
            report
        };
        let found = system(NAME);
        assert_eq!(found.addrs(), ["9.9.9.9".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(found.lookups.len(), 2, "one for each type");
        let missing = system("nothing.example.com");
        let [Lookup::Answer(answer), _] = &missing.lookups[..] else { panic!("{missing:?}") };
        assert_eq!(&*answer.rcode, "NXDOMAIN");
        drop(running);
        let dead = system(NAME);
        assert_eq!(error(&dead.lookups[0]), Some(DnsError::System), "{dead:?}");
    });
}

fn script() -> Script {
    Arc::new(|_, query| vec![answer(query, &["9.9.9.9"])])
}

fn config(server: DnsServer) -> DnsConfig {
    let mut config = DnsConfig::new(Origin::new(Source::Dns, NAME), NAME);
    config.servers = vec![server];
    config.record_types = vec![RecordType::A];
    config.timeout = PATIENCE;
    config.nonexistent = Nonexistent::Skip;
    config
}

async fn ask(server: DnsServer) -> Lookup {
    run(&config(server)).await.0.lookups.remove(0)
}

async fn run(config: &DnsConfig) -> (DnsReport, Vec<Event>) {
    let (sink, mut events) = events::channel(1_024);
    let report = dns::run(config, &sink, &CancellationToken::new()).await;
    drop(sink);
    (report.expect("it can run"), std::iter::from_fn(|| events.try_next()).collect())
}

async fn refused(config: &DnsConfig) {
    let error = dns::run(config, &Discard, &CancellationToken::new()).await.expect_err("it ran");
    assert!(matches!(error, ProbeError::Invalid { .. }), "{error}");
}

fn error(lookup: &Lookup) -> Option<DnsError> {
    match lookup {
        Lookup::Answer(_) => None,
        Lookup::Failure(failure) => Some(failure.error),
    }
}
