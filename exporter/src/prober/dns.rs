//! One DNS question to the target, judged as `blackbox_exporter` does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use sojourner_stats::Clock;
use sojourner_stats::time::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};

use super::{Reason, Trace, rcode};
use crate::config::{DnsProber, DnsTransportChoice, RecordRules};
use crate::names;

pub(super) async fn run(
    settings: &DnsProber,
    target: &str,
    trace: &mut Trace,
) -> Result<(), Reason> {
    for phase in ["resolve", "connect", "request"] {
        trace.page.number(&names::PROBE_DNS_DURATION, &[phase], 0.0);
    }
    for metric in COUNTS.iter().chain([&&names::PROBE_DNS_QUERY_SUCCEEDED]) {
        trace.page.number(metric, &[], 0.0);
    }
    let (host, port) = host_and_port(target, DNS_PORT)?;
    let (addr, took) = trace.resolve(host, settings.address).await?;
    trace.page.number(&names::PROBE_DNS_DURATION, &["resolve"], took.as_secs_f64());

    let query = question(settings)?;
    let server = SocketAddr::new(addr, port);
    let local = SocketAddr::new(settings.source_ip_address.unwrap_or_else(|| any_like(addr)), 0);
    let asked = match settings.transport_protocol {
        DnsTransportChoice::Udp => over_udp(local, server, &query, trace).await,
        DnsTransportChoice::Tcp => over_tcp(local, server, &query, trace).await,
    };
    let response = asked.map_err(|error| {
        trace.say(|| format!("asking {server} failed: {error}"));
        Reason::from(&error)
    })?;
    trace.page.number(&names::PROBE_DNS_QUERY_SUCCEEDED, &[], 1.0);
    judge(settings, &response, trace)
}

/// The sizes of the sections, answer first.
const COUNTS: [&names::Metric; 3] = [
    &names::PROBE_DNS_ANSWER_RRS,
    &names::PROBE_DNS_AUTHORITY_RRS,
    &names::PROBE_DNS_ADDITIONAL_RRS,
];

fn question(settings: &DnsProber) -> Result<Message, Reason> {
    // The configuration was checked when it was read, so none of these fails.
    let mut name =
        Name::from_ascii(&settings.query_name).map_err(|_checked| Reason::InvalidTarget)?;
    name.set_fqdn(true);
    let kind = settings.query_type.parse().map_err(|_checked| Reason::InvalidTarget)?;
    let class = settings.query_class.parse().map_err(|_checked| Reason::InvalidTarget)?;
    let mut question = Query::query(name, kind);
    question.set_query_class(class);
    let mut query = Message::query();
    query.metadata.recursion_desired = settings.recursion_desired;
    query.add_query(question);
    Ok(query)
}

async fn over_udp(
    local: SocketAddr,
    server: SocketAddr,
    query: &Message,
    trace: &mut Trace,
) -> io::Result<Message> {
    let wire = query.to_vec().map_err(io::Error::other)?;
    let begun = SystemClock.instant();
    let socket = UdpSocket::bind(local).await?;
    socket.connect(server).await?;
    let sent = SystemClock.instant();
    duration(trace, "connect", sent.since(begun));
    socket.send(&wire).await?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    loop {
        let heard = socket.recv(&mut buffer).await?;
        duration(trace, "request", SystemClock.instant().since(sent));
        match Message::from_vec(buffer.get(..heard).unwrap_or_default()) {
            Ok(answer) if answers(&answer, query) => return Ok(answer),
            // Forged or stray: the real one may still come.
            Ok(_) => trace.say(|| "ignored an answer to another question".to_owned()),
            Err(error) => trace.say(|| format!("ignored {heard} bytes: {error}")),
        }
    }
}

async fn over_tcp(
    local: SocketAddr,
    server: SocketAddr,
    query: &Message,
    trace: &mut Trace,
) -> io::Result<Message> {
    let wire = query.to_vec().map_err(io::Error::other)?;
    let begun = SystemClock.instant();
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(local)?;
    let mut stream = socket.connect(server).await?;
    let sent = SystemClock.instant();
    duration(trace, "connect", sent.since(begun));
    let length = u16::try_from(wire.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), wire.as_slice()].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    duration(trace, "request", SystemClock.instant().since(sent));
    let answer = Message::from_vec(&buffer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if answers(&answer, query) {
        return Ok(answer);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to another question"))
}

fn duration(trace: &mut Trace, phase: &str, took: Duration) {
    trace.page.number(&names::PROBE_DNS_DURATION, &[phase], took.as_secs_f64());
}

/// Whether `answer` belongs to `query`: the same id, and the same question where it has one (a
/// server that refuses may leave it out).
fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == hickory_proto::op::MessageType::Response
        && (answer.queries.is_empty() || answer.queries == query.queries)
}

fn judge(settings: &DnsProber, response: &Message, trace: &mut Trace) -> Result<(), Reason> {
    let sections = [
        ("answer", &response.answers, &settings.validate_answer_rrs),
        ("authority", &response.authorities, &settings.validate_authority_rrs),
        ("additional", &response.additionals, &settings.validate_additional_rrs),
    ];
    for (metric, (_, records, _)) in COUNTS.into_iter().zip(sections) {
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        trace.page.number(metric, &[], f64::from(count));
    }
    if settings.query_type == RecordType::SOA.to_string() {
        for record in &response.answers {
            if let RData::SOA(soa) = &record.data {
                trace.page.number(&names::PROBE_DNS_SERIAL, &[], f64::from(soa.serial));
            }
        }
    }
    let rcode = rcode::name(u16::from(response.metadata.response_code));
    trace.say(|| format!("the answer is {rcode}"));
    if !settings.valid_rcodes.contains(&rcode) {
        return Err(match rcode.as_str() {
            "SERVFAIL" => Reason::DnsServfailError,
            "REFUSED" => Reason::DnsRefusedError,
            "NXDOMAIN" => Reason::DnsNxdomainError,
            _ => Reason::DnsServerMisbehaving,
        });
    }
    for (name, records, rules) in sections {
        check(name, records, rules, trace)?;
    }
    Ok(())
}

fn check(
    section: &str,
    records: &[Record],
    rules: &RecordRules,
    trace: &mut Trace,
) -> Result<(), Reason> {
    let lines: Vec<_> = records.iter().map(presentation).collect();
    for line in &lines {
        trace.say(|| format!("{section}: {line}"));
    }
    if rules.allow(&lines) {
        return Ok(());
    }
    trace.say(|| format!("the {section} section breaks the module's rules"));
    Err(Reason::ValidationFailed)
}

/// A record as rules see it: name, TTL, class, type and data, with tabs, as `blackbox_exporter`
/// has it.
fn presentation(record: &Record) -> String {
    let kind = record.record_type();
    format!("{}\t{}\t{}\t{kind}\t{}", record.name, record.ttl, record.dns_class, record.data)
}

/// Splits `host:port`, `[v6]:port`, or a host or bare IPv6 address without a port.
fn host_and_port(target: &str, usual: u16) -> Result<(&str, u16), Reason> {
    if target.parse::<IpAddr>().is_ok() {
        return Ok((target, usual));
    }
    match target.rsplit_once(':') {
        None => Ok((target, usual)),
        Some(_) if target.starts_with('[') && target.ends_with(']') => Ok((target, usual)),
        Some((host, port)) => super::tcp::port(port).map(|port| (host, port)),
    }
}

const fn any_like(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

/// The port of plain DNS (RFC 1035, section 4.2).
const DNS_PORT: u16 = 53;
/// Largest DNS message (RFC 1035, section 4.2.2: a 16-bit length).
const MESSAGE_BYTES_MAX: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    #[test]
    fn a_server_is_a_host_with_or_without_a_port() {
        for (target, wanted) in [
            ("192.0.2.1", Ok(("192.0.2.1", 53))),
            ("192.0.2.1:5353", Ok(("192.0.2.1", 5353))),
            ("2001:db8::1", Ok(("2001:db8::1", 53))),
            ("[2001:db8::1]", Ok(("[2001:db8::1]", 53))),
            ("[2001:db8::1]:5353", Ok(("[2001:db8::1]", 5353))),
            ("ns.example", Ok(("ns.example", 53))),
            ("ns.example:0", Err(Reason::InvalidTarget)),
            ("ns.example:70000", Err(Reason::InvalidTarget)),
            ("ns.example:", Err(Reason::InvalidTarget)),
        ] {
            assert_eq!(host_and_port(target, DNS_PORT), wanted, "{target}");
        }
    }

    #[test]
    fn each_rule_fails_as_its_name_says() {
        let patterns = |texts: &[&str]| -> Vec<Pattern> {
            texts.iter().map(|text| (*text).to_owned().try_into().unwrap()).collect()
        };
        let one = vec!["a.example.\t300\tIN\tA\t192.0.2.1".to_owned()];
        let two = vec![one[0].clone(), "a.example.\t300\tIN\tA\t192.0.2.2".to_owned()];
        let none: Vec<String> = Vec::new();
        let any = RecordRules { fail_if_matches_regexp: patterns(&["2$"]), ..Default::default() };
        assert!(any.allow(&one) && !any.allow(&two) && any.allow(&none));
        let all = RecordRules { fail_if_all_match_regexp: patterns(&["1$"]), ..Default::default() };
        assert!(!all.allow(&one) && all.allow(&two) && all.allow(&none));
        let not =
            RecordRules { fail_if_not_matches_regexp: patterns(&["1$"]), ..Default::default() };
        assert!(not.allow(&one) && !not.allow(&two) && !not.allow(&none));
        let some =
            RecordRules { fail_if_none_matches_regexp: patterns(&["2$"]), ..Default::default() };
        assert!(!some.allow(&one) && some.allow(&two) && !some.allow(&none));
    }
}
