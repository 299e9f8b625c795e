//! `/probe`, against servers of the test's own.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record};

use crate::exporter::{Answer, Exporter, request, until};

const CONFIG: &str = r"
modules:
  icmp: {prober: icmp, timeout: 20s, icmp: {preferred_ip_protocol: ip4}}
  tcp: {prober: tcp, timeout: 20s}
  a: {prober: dns, timeout: 20s, dns: {query_name: a.example, query_type: A}}
  soa: {prober: dns, timeout: 20s, dns: {query_name: example, query_type: SOA}}
  denied: {prober: dns, timeout: 20s, dns: {query_name: no.example, query_type: A}}
  denied_is_fine:
    {prober: dns, timeout: 20s, dns: {query_name: no.example, query_type: A, valid_rcodes: [NXDOMAIN]}}
  wrong:
    prober: dns
    timeout: 20s
    dns:
      query_name: a.example
      query_type: A
      validate_answer_rrs: {fail_if_not_matches_regexp: ['\t198\.51\.100\.']}
  silent: {prober: dns, timeout: 300ms, dns: {query_name: silent.example, query_type: A}}
  held: {prober: dns, timeout: 60s, dns: {query_name: silent.example, query_type: A}}
";

fn start(args: &[&str]) -> Exporter {
    let mut config = tempfile::NamedTempFile::new().unwrap();
    config.write_all(CONFIG.as_bytes()).unwrap();
    let path = config.path().to_str().unwrap();
    Exporter::start(&[&["--config.file", path], args].concat())
}

/// Answers by a script until the process ends; returns where. `heard` gets each name asked for.
fn dns_server(heard: mpsc::Sender<String>) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let _ = heard.send(query.queries[0].name().to_string());
            if let Some(answer) = scripted(&query) {
                // A forged answer first: it must not be taken.
                let mut forged = answer.clone();
                forged.metadata.id ^= 1;
                forged.metadata.response_code = ResponseCode::Refused;
                socket.send_to(&forged.to_vec().unwrap(), peer).unwrap();
                socket.send_to(&answer.to_vec().unwrap(), peer).unwrap();
            }
        }
    });
    addr
}

fn scripted(query: &Message) -> Option<Message> {
    let mut answer = query.clone();
    answer.metadata.message_type = MessageType::Response;
    let name = query.queries[0].name().clone();
    match name.to_string().as_str() {
        "a.example." => {
            let data = RData::A(A::new(192, 0, 2, 1));
            answer.add_answer(Record::from_rdata(name, 300, data));
        }
        "example." => {
            let root = Name::root();
            let soa = SOA::new(root.clone(), root, 2_026_112_501, 1, 1, 1, 1);
            answer.add_answer(Record::from_rdata(name, 300, RData::SOA(soa)));
        }
        "silent.example." => return None,
        _ => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}

fn assert_probe(answer: &Answer, success: f64, reason: Option<&str>) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.value("probe_success"), Some(success), "{}", answer.body);
    assert_eq!(answer.reason().as_deref(), reason, "{}", answer.body);
    assert!(answer.value("probe_duration_seconds").is_some(), "{}", answer.body);
}

#[test]
fn a_tcp_port_that_is_open_or_closed_is_told() {
    let exporter = start(&[]);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let open = exporter.probe("tcp", &target);
    assert_probe(&open, 1.0, None);
    assert_eq!(open.value("probe_ip_protocol"), Some(4.0));
    assert_eq!(open.value("probe_failed_due_to_regex"), Some(0.0));
    assert!(open.value("probe_dns_lookup_time_seconds").is_some());
    drop(server);
    assert_probe(&exporter.probe("tcp", &target), 0.0, Some("connection_refused"));
    for bad in ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a%20b:80", "%00:1"] {
        assert_probe(&exporter.probe("tcp", bad), 0.0, Some("invalid_target"));
    }
    let twice = exporter.probe("tcp", "127.0.0.1%253A1");
    assert_probe(&twice, 0.0, Some("connection_refused"));
}

#[test]
fn a_dns_answer_is_judged_by_its_module() {
    let exporter = start(&[]);
    let server = dns_server(mpsc::channel().0);
    let good = exporter.probe("a", &server);
    assert_probe(&good, 1.0, None);
    assert_eq!(good.value("probe_dns_answer_rrs"), Some(1.0));
    assert_eq!(good.value("probe_dns_query_succeeded"), Some(1.0));
    let phases = good.samples().into_iter();
    let phases = phases.filter(|sample| sample.name == "probe_dns_duration_seconds");
    assert_eq!(
        phases.map(|s| s.labels["phase"].clone()).collect::<Vec<_>>(),
        ["connect", "request", "resolve"]
    );
    assert_eq!(exporter.probe("soa", &server).value("probe_dns_serial"), Some(2_026_112_501.0));
    assert_probe(&exporter.probe("denied", &server), 0.0, Some("dns_nxdomain_error"));
    assert_probe(&exporter.probe("denied_is_fine", &server), 1.0, None);
    assert_probe(&exporter.probe("wrong", &server), 0.0, Some("validation_failed"));
    let silent = exporter.probe("silent", &server);
    assert_probe(&silent, 0.0, Some("generic_timeout_error"));
    assert_eq!(silent.value("probe_timeout_seconds"), Some(0.3));
    assert_eq!(silent.value("probe_dns_query_succeeded"), Some(0.0));
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    assert_probe(&exporter.probe("a", &closed), 0.0, Some("connection_refused"));
}

#[test]
fn the_scrapers_timeout_cuts_a_probe_before_the_scraper_gives_up() {
    let exporter = start(&[]);
    let server = dns_server(mpsc::channel().0);
    let path = format!("/probe?module=held&target={server}");
    let header = "x-prometheus-scrape-timeout-seconds: 0.7\r\n";
    let cut = request(exporter.addr, "GET", &path, header);
    assert_probe(&cut, 0.0, Some("generic_timeout_error"));
    let budget = cut.value("probe_timeout_seconds").unwrap();
    assert!((budget - 0.2).abs() < 1e-6, "{budget}");
    for bad in ["x", "-1", "NaN", "inf", ""] {
        let header = format!("x-prometheus-scrape-timeout-seconds: {bad}\r\n");
        assert_eq!(request(exporter.addr, "GET", &path, &header).status, 500, "{bad}");
    }
}

#[test]
fn an_echo_of_this_host_succeeds_or_says_why_not() {
    let exporter = start(&[]);
    let answer = exporter.probe("icmp", "127.0.0.1");
    let success = answer.value("probe_success").unwrap();
    if success > 0.0 {
        assert_probe(&answer, 1.0, None);
        let phases = answer.samples().into_iter();
        let phases = phases.filter(|sample| sample.name == "probe_icmp_duration_seconds");
        assert_eq!(
            phases.map(|s| s.labels["phase"].clone()).collect::<Vec<_>>(),
            ["resolve", "rtt", "setup"]
        );
        // FNV-1a of 7f 00 00 01.
        let hash = [127_u32, 0, 0, 1]
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ byte).wrapping_mul(0x0100_0193));
        assert_eq!(answer.value("probe_ip_addr_hash"), Some(f64::from(hash)));
    } else {
        println!("no echo here: {}", answer.body);
        assert_probe(&answer, 0.0, Some("permission_denied"));
    }
}

#[test]
fn a_name_that_cannot_be_looked_up_is_a_failed_probe_with_a_reason_of_dns() {
    let exporter = start(&[]);
    let answer = exporter.probe("icmp", "no.such.name.invalid.");
    assert_eq!(answer.value("probe_success"), Some(0.0), "{}", answer.body);
    let reason = answer.reason().unwrap();
    assert!(reason.starts_with("dns_") || reason == "generic_timeout_error", "{reason}");
    assert_eq!(answer.value("probe_ip_protocol"), None);
}

#[test]
fn debug_shows_the_log_the_metrics_and_the_module() {
    let exporter = start(&[]);
    let page = exporter.get("/probe?module=tcp&target=127.0.0.1:1&debug=true").body;
    for part in ["Logs for the probe:", "refused", "probe_success 0", "prober: \"tcp\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn one_probe_too_many_is_refused_until_another_ends() {
    let exporter = start(&["--probe.concurrency", "4"]);
    let (told, asked) = mpsc::channel();
    let server = dns_server(told);
    let holders: Vec<_> = (0..4)
        .map(|_| {
            let mut holder = TcpStream::connect(exporter.addr).unwrap();
            let head =
                format!("GET /probe?module=held&target={server} HTTP/1.1\r\nhost: x\r\n\r\n");
            holder.write_all(head.as_bytes()).unwrap();
            holder
        })
        .collect();
    for _ in 0..4 {
        asked.recv().unwrap();
    }
    assert_eq!(exporter.metric("sojourner_exporter_probes_in_flight"), Some(4.0));
    let refused = exporter.probe("a", &server);
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("--probe.concurrency"), "{}", refused.body);
    // A scraper that goes away takes its probe with it.
    drop(holders);
    until("room for a probe", || {
        exporter.metric("sojourner_exporter_probes_in_flight").filter(|count| *count < 1.0)
    });
    assert_probe(&exporter.probe("a", &server), 1.0, None);
    assert_eq!(exporter.metric("sojourner_exporter_probes_rejected_total"), Some(1.0));
}

#[test]
fn a_hundred_probes_at_once_all_succeed() {
    let exporter = start(&[]);
    let server = dns_server(mpsc::channel().0);
    let addr = exporter.addr;
    let probes: Vec<_> = (0..100)
        .map(|_| {
            let path = format!("/probe?module=a&target={server}");
            std::thread::spawn(move || request(addr, "GET", &path, ""))
        })
        .collect();
    for probe in probes {
        assert_probe(&probe.join().unwrap(), 1.0, None);
    }
    assert_eq!(exporter.metric("sojourner_exporter_probes_total"), Some(100.0));
    assert_eq!(exporter.metric("sojourner_exporter_probes_in_flight"), Some(0.0));
}

#[test]
fn a_scrape_in_hand_is_finished_at_the_end() {
    let exporter = start(&[]);
    let (heard, asked) = mpsc::channel();
    let server = dns_server(heard);
    let addr = exporter.addr;
    let path = format!("/probe?module=held&target={server}");
    let header = "x-prometheus-scrape-timeout-seconds: 3\r\n";
    let scrape = std::thread::spawn(move || request(addr, "GET", &path, header));
    asked.recv().unwrap();
    exporter.signal("-TERM");
    assert_probe(&scrape.join().unwrap(), 0.0, Some("generic_timeout_error"));
    assert_eq!(exporter.ended(), Some(0));
}
