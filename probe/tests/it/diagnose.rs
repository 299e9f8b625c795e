//! Each cause exists for real in a lab network, and the verdict names it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sojourner_lab::{Chain, Host, Lab, isolated};
use sojourner_probe::diagnose::{self, CheckConfig, Report};
use sojourner_probe::dns::DnsServer;
use sojourner_probe::ping::{self, PingConfig, PingTarget};
use sojourner_stats::event::{Cause, Scope, Severity, Status};
use sojourner_stats::{Kind, Origin, Source, sink::Discard};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn this_host_itself_is_healthy_and_needs_no_gateway() {
    let config = quick("127.0.0.1");
    let report = diagnose::run(&config, &Discard, &CancellationToken::new()).await.unwrap();
    expect(&report, Cause::Healthy, Status::Healthy);
    assert_eq!(report.findings, []);
    assert!(report.skipped.iter().any(|skipped| skipped.check == "gateway"), "{report:#?}");
}

#[tokio::test]
async fn the_report_is_one_document_of_the_promised_shape_and_reads_back() {
    let config = quick("127.0.0.1");
    let (sink, mut events) = sojourner_probe::events::channel(4096);
    let report = diagnose::run(&config, &sink, &CancellationToken::new()).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let mut keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected =
        "elapsed_ms environment findings measurements schema skipped started target verdict";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(json["schema"], "sojourner.check/1");
    assert_eq!(json["measurements"][0]["id"], "m1");
    assert_eq!(json["measurements"][0]["kind"], "local_network");
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    drop(sink);
    let last = std::iter::from_fn(|| events.try_next()).last().unwrap();
    assert_eq!(last.kind, Kind::Verdict(report.verdict));
}

#[tokio::test]
async fn a_cancelled_check_is_judged_by_what_is_known_and_says_what_it_skipped() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let report = diagnose::run(&quick("127.0.0.1"), &Discard, &cancel).await.unwrap();
    assert!(!report.skipped.is_empty(), "{report:#?}");
}

#[test]
fn a_host_whose_interface_is_down_is_told_so() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.links[0].a.down();
        let report = check(&chain, &ping_server(&chain));
        expect(&report, Cause::NoInterface, Status::Down);
        assert_eq!(report.verdict.scope, Scope::Device);
    });
}

#[test]
fn an_interface_without_a_cable_is_as_good_as_none() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.links[0].b.down();
        let report = check(&chain, &ping_server(&chain));
        expect(&report, Cause::NoInterface, Status::Down);
    });
}

#[test]
fn a_connected_host_without_an_address_is_told_so() {
    isolated(|lab| {
        let (client, router) = (lab.host("client"), lab.router("router"));
        lab.wire(&client, &router);
        let report = check_from(&client, &quick("192.0.2.7"));
        expect(&report, Cause::NoAddress, Status::Down);
    });
}

#[test]
fn a_host_without_a_route_to_the_target_is_told_so() {
    isolated(|lab| {
        let (client, router) = (lab.host("client"), lab.router("router"));
        lab.link(&client, &router);
        for target in ["192.0.2.7", "2001:db8::7", "192.0.2.7:80"] {
            let report = check_from(&client, &quick(target));
            expect(&report, Cause::NoRoute, Status::Down);
        }
    });
}

#[test]
fn a_gateway_that_is_not_there_explains_a_silent_server() {
    isolated(|lab| {
        let (client, router) = (lab.host("client"), lab.router("router"));
        let link = lab.link(&client, &router);
        // An address of the link that nobody has.
        let IpAddr::V4(near) = link.a.v4() else { panic!("the link has no IPv4") };
        let [a, b, c, _] = near.octets();
        client.route("0.0.0.0/0", Ipv4Addr::new(a, b, c, 99).into());
        let mut config = quick("192.0.2.7:80");
        config.references = vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let report = check_from(&client, &config);
        expect(&report, Cause::GatewayDown, Status::Down);
        assert!(report.verdict.confidence > 0.9, "{report:#?}");
    });
}

#[test]
fn a_gateway_that_forwards_nothing_is_a_dead_internet() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.routers[0].set_forwarding(false);
        let report = check(&chain, &ping_server(&chain));
        expect(&report, Cause::InternetDown, Status::Down);
        assert_eq!(report.verdict.scope, Scope::Isp);
    });
}

#[test]
fn a_dead_server_in_a_network_that_works_is_unreachable() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.links[2].b.down();
        for target in [ping_server(&chain), quick(&format!("{}:80", chain.server_v4()))] {
            let report = check(&chain, &target);
            expect(&report, Cause::HostUnreachable, Status::Down);
        }
    });
}

#[test]
fn a_closed_port_is_refused() {
    isolated(|lab| {
        let chain = working_chain(lab, 1);
        let report = check(&chain, &quick(&format!("{}:80", chain.server_v4())));
        expect(&report, Cause::TcpRefused, Status::Down);
        assert_eq!(report.verdict.scope, Scope::Server);
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_hung() {
    isolated(|lab| {
        let chain = working_chain(lab, 1);
        serve_silence(&chain.server, 80);
        let target = format!("http://{}/", chain.server_v4());
        let report = check(&chain, &quick(&target));
        expect(&report, Cause::ServerHung, Status::Down);
        let target = format!("{}:80", chain.server_v4());
        let report = check(&chain, &quick(&target));
        expect(&report, Cause::ServerHung, Status::Degraded);
    });
}

#[test]
fn a_server_that_answers_is_healthy_and_the_ipv6_one_too() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        serve_greeting(&chain.server, 80);
        for addr in [chain.server_v4(), chain.server_v6()] {
            let report = check(&chain, &quick(&SocketAddr::new(addr, 80).to_string()));
            expect(&report, Cause::Healthy, Status::Healthy);
            assert_eq!(report.findings, []);
        }
    });
}

#[test]
fn a_server_that_answers_tcp_but_no_echo_is_healthy_with_a_remark() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        serve_greeting(&chain.server, 80);
        chain.server.sysctl("net.ipv4.icmp_echo_ignore_all", "1");
        let report = check(&chain, &quick(&format!("{}:80", chain.server_v4())));
        expect(&report, Cause::Healthy, Status::Healthy);
        assert_eq!(report.findings.len(), 1, "{report:#?}");
        assert_eq!(report.findings[0].cause, Cause::IcmpFiltered);
        assert_eq!(report.findings[0].severity, Severity::Info);
    });
}

#[test]
fn a_gateway_that_answers_no_echo_is_no_fault() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.routers[0].sysctl("net.ipv4.icmp_echo_ignore_all", "1");
        expect(&check(&chain, &ping_server(&chain)), Cause::Healthy, Status::Healthy);
        // Nor does it make a dead internet a dead gateway: its ports refuse, so it lives.
        chain.routers[0].set_forwarding(false);
        expect(&check(&chain, &ping_server(&chain)), Cause::InternetDown, Status::Down);
    });
}

#[test]
fn without_any_privilege_the_verdicts_are_the_same() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        let unprivileged = |config: &CheckConfig| {
            chain.client.block_on_unprivileged(async {
                diagnose::run(config, &Discard, &CancellationToken::new()).await.unwrap()
            })
        };
        let mut config = ping_server(&chain);
        config.references = vec![chain.hop_v4(2)];
        expect(&unprivileged(&config), Cause::Healthy, Status::Healthy);
        chain.routers[0].set_forwarding(false);
        expect(&unprivileged(&config), Cause::InternetDown, Status::Down);
    });
}

#[test]
fn a_silent_dns_server_in_a_network_that_works_is_down() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        // Bound and never read: the port is open, nobody answers.
        let _silent = chain.server.run(|| std::net::UdpSocket::bind("0.0.0.0:53")).unwrap();
        let report = check(&chain, &ask("www.example.com", &[chain.server_v4()]));
        expect(&report, Cause::DnsServerDown, Status::Down);
        // A second one that answers makes it one of several.
        let real = chain_server(&chain);
        serve_dns(&chain.routers[1], move |name| name.starts_with("www.").then(|| vec![real]));
        let servers = [chain.server_v4(), chain.hop_v4(2)];
        let report = check(&chain, &ask("www.example.com", &servers));
        expect(&report, Cause::DnsResolverDown, Status::Degraded);
    });
}

#[test]
fn the_systems_own_dead_resolver_is_found_too() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        chain.client.use_dns_server(chain.server_v4());
        let report = check(&chain, &quick("www.example.com"));
        expect(&report, Cause::DnsServerDown, Status::Down);
    });
}

#[test]
fn a_name_that_does_not_exist_is_told_from_a_dead_server() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        serve_dns(&chain.server, |_| None);
        serve_dns(&chain.routers[1], |_| None);
        let mut config = ask("www.exmaple.com", &[chain.server_v4()]);
        let report = check(&chain, &config);
        expect(&report, Cause::DnsNoSuchName, Status::Down);
        config.trusted = vec![server(chain.hop_v4(2))];
        let surer = check(&chain, &config);
        expect(&surer, Cause::DnsNoSuchName, Status::Down);
        assert!(surer.verdict.confidence > report.verdict.confidence);
    });
}

#[test]
fn a_resolver_that_rewrites_answers_is_caught_by_a_trusted_one() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        let real = chain_server(&chain);
        serve_dns(&chain.routers[1], move |name| name.starts_with("www.").then(|| vec![real]));
        // The liar's own address: a page of its own is there, so everything seems to work.
        let liar = Ipv4Addr::LOCALHOST;
        serve_dns(&chain.server, move |name| name.starts_with("www.").then(|| vec![liar]));
        let mut config = ask("www.example.com", &[chain.server_v4()]);
        config.trusted = vec![server(chain.hop_v4(2))];
        let report = check(&chain, &config);
        assert_eq!(report.verdict.cause, Cause::DnsHijackRewrite, "{report:#?}");
        assert_eq!(report.verdict.scope, Scope::Isp);
    });
}

#[test]
fn a_resolver_that_invents_names_is_caught() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        let real = chain_server(&chain);
        serve_dns(&chain.routers[1], |_| None);
        serve_dns(&chain.server, move |_| Some(vec![real]));
        let mut config = ask("www.exmaple.com", &[chain.server_v4()]);
        config.trusted = vec![server(chain.hop_v4(2))];
        let report = check(&chain, &config);
        assert_eq!(report.verdict.cause, Cause::DnsHijackNxdomain, "{report:#?}");
    });
}

#[test]
fn a_name_that_resolves_to_a_server_that_answers_is_healthy() {
    isolated(|lab| {
        let chain = working_chain(lab, 2);
        let real = chain_server(&chain);
        serve_greeting(&chain.server, 80);
        for host in [&chain.routers[1], &chain.server] {
            serve_dns(host, move |name| name.starts_with("www.").then(|| vec![real]));
        }
        let mut config = ask("www.example.com:80", &[chain.server_v4()]);
        config.trusted = vec![server(chain.hop_v4(2))];
        let report = check(&chain, &config);
        expect(&report, Cause::Healthy, Status::Healthy);
        assert_eq!(report.environment.addrs, [IpAddr::V4(real)]);
        let target = format!("dns://{}/www.example.com", chain.server_v4());
        expect(&check(&chain, &quick(&target)), Cause::Healthy, Status::Healthy);
    });
}

/// A chain over which packets already went both ways: the kernel may take a second to bring fresh
/// links up, which is no fault of theirs.
fn working_chain(lab: &Lab, routers: usize) -> Chain {
    let chain = lab.chain(routers);
    warm_up(&chain);
    chain
}

/// Waits until the chain carries packets both ways.
pub(crate) fn warm_up(chain: &Chain) {
    let target =
        |addr: IpAddr| PingTarget { origin: Origin::new(Source::Ping, addr.to_string()), addr };
    let targets = vec![target(chain.server_v4()), target(chain.server_v6())];
    let mut config = PingConfig::new(targets);
    config.count = Some(1);
    config.timeout = Duration::from_secs(10);
    chain.client.block_on(async {
        ping::run(&config, &Discard, &CancellationToken::new()).await.expect("the lab works");
    });
}

/// A check that is quick where the lab answers at once, and patient on a loaded machine.
pub(crate) fn quick(target: &str) -> CheckConfig {
    let mut config = CheckConfig::new(target.parse().expect("the lab works"));
    config.pings = 10;
    config.ping_interval = Duration::from_millis(20);
    config.ping_timeout = Duration::from_secs(1);
    config.connect_timeout = Duration::from_secs(2);
    config.silence_timeout = Duration::from_millis(500);
    config.dns_timeout = Duration::from_secs(1);
    config.budget = Duration::from_mins(1);
    config
}

fn ping_server(chain: &Chain) -> CheckConfig {
    quick(&chain.server_v4().to_string())
}

fn ask(target: &str, servers: &[IpAddr]) -> CheckConfig {
    let mut config = quick(target);
    config.servers = servers.iter().copied().map(server).collect();
    config
}

fn server(addr: IpAddr) -> DnsServer {
    DnsServer::Udp(SocketAddr::new(addr, 53))
}

/// Checks from the chain's client, with the second router to compare with.
pub(crate) fn check(chain: &Chain, config: &CheckConfig) -> Report {
    let mut config = config.clone();
    config.references = vec![chain.hop_v4(2)];
    check_from(&chain.client, &config)
}

fn check_from(host: &Host, config: &CheckConfig) -> Report {
    host.block_on(async {
        diagnose::run(config, &Discard, &CancellationToken::new()).await.expect("the lab works")
    })
}

pub(crate) fn expect(report: &Report, cause: Cause, status: Status) {
    let verdict = (report.verdict.cause, report.verdict.status);
    let json = || serde_json::to_string_pretty(report).expect("the lab works");
    assert_eq!(verdict, (cause, status), "{}", json());
    for finding in &report.findings {
        assert!(!finding.evidence.is_empty(), "{finding:?} rests on nothing: {}", json());
        assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
    }
}

fn chain_server(chain: &Chain) -> Ipv4Addr {
    match chain.server_v4() {
        IpAddr::V4(addr) => addr,
        IpAddr::V6(_) => unreachable!("the chain's IPv4 address is none"),
    }
}

pub(crate) fn serve_greeting(host: &Host, port: u16) {
    let listener = host.prepare(TcpListener::bind(("::", port))).expect("the lab works");
    host.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 hello\r\n").await;
        }
    });
}

fn serve_silence(host: &Host, port: u16) {
    let listener = host.prepare(TcpListener::bind(("::", port))).expect("the lab works");
    host.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut sink = Vec::new();
                let _ = stream.read_to_end(&mut sink).await;
            });
        }
    });
}

/// Answers A questions with what `zone` says of the name, NXDOMAIN for `None`; others with nothing.
fn serve_dns(host: &Host, zone: impl Fn(&str) -> Option<Vec<Ipv4Addr>> + Send + 'static) {
    let socket = host.prepare(UdpSocket::bind(("0.0.0.0", 53))).expect("the lab works");
    host.spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = dns_answer(&buffer[..len], &zone) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
}

/// An answer in the format of RFC 1035 section 4, without what a client may do without.
fn dns_answer(query: &[u8], zone: impl Fn(&str) -> Option<Vec<Ipv4Addr>>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while *query.get(at)? != 0 {
        let len = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(query.get(at + 1..=at + len)?).to_lowercase());
        at += 1 + len;
    }
    let question = query.get(12..at + 5)?;
    let is_a = question.get(question.len() - 4..question.len() - 2)? == [0, 1];
    let found = zone(&labels.join("."));
    let rcode = if found.is_none() { 3 } else { 0 };
    let addrs = found.filter(|_| is_a).unwrap_or_default();
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | rcode, 0, 1, 0, u8::try_from(addrs.len()).ok()?, 0, 0, 0, 0]);
    answer.extend(question);
    for addr in addrs {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(addr.octets());
    }
    Some(answer)
}
