//! Ready hooks for [`WeakLink::hook`](super::WeakLink::hook): what middleboxes do to traffic.
//!
//! # Examples
//!
//! ```no_run
//! use sojourner_lab::{hook, isolated};
//!
//! # isolated(|lab| {
//! # let weak = lab.weak_link(&lab.host("a"), &lab.host("b"));
//! weak.hook(hook::dns_race("blocked.example", "192.0.2.66".parse().unwrap()));
//! weak.hook(hook::reset_on(b"forbidden"));
//! weak.hook(hook::strip_tcp_options(&[hook::TCP_TIMESTAMPS, hook::TCP_SACK_PERMITTED]));
//! # });
//! ```

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};

use super::{Direction, Frame, Verdict};

/// The kind of the maximum segment size option of TCP.
pub const TCP_MSS: u8 = 2;
/// The kind of the window scale option of TCP.
pub const TCP_WINDOW_SCALE: u8 = 3;
/// The kind of the option of TCP that permits selective acknowledgements.
pub const TCP_SACK_PERMITTED: u8 = 4;
/// The kind of the timestamps option of TCP.
pub const TCP_TIMESTAMPS: u8 = 8;
const TCP_NOP: u8 = 1;
const TCP_END: u8 = 0;
/// The TTL of forged DNS records, seconds.
const FORGED_TTL_S: u32 = 60;

/// Answers UDP queries for `name` with `addr` before the server can: the query goes on, so that two
/// answers race.
pub fn dns_race(
    name: &str,
    addr: IpAddr,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    forge(name, addr, Verdict::Forward)
}

/// Answers UDP queries for `name` with `addr` in the server's place: the query ends here. For `.`
/// every name is hijacked, whatever server was asked.
pub fn dns_hijack(
    name: &str,
    addr: IpAddr,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    forge(name, addr, Verdict::Drop)
}

fn forge(
    name: &str,
    addr: IpAddr,
    then: Verdict,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    let wanted = name.trim_end_matches('.').to_ascii_lowercase();
    move |frame, direction| {
        if !frame.is_udp() || frame.summary().dst.port() != 53 {
            return Verdict::Forward;
        }
        let Ok(mut message) = Message::from_vec(frame.payload()) else { return Verdict::Forward };
        let Some(asked) = message.queries.first().map(|query| query.name().clone()) else {
            return Verdict::Forward;
        };
        let is_asked = asked.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(&wanted);
        if !wanted.is_empty() && !is_asked {
            return Verdict::Forward;
        }
        answer_with(&mut message, asked, addr);
        let forged = message.to_vec().ok().and_then(|payload| frame.udp_answer(&payload));
        let Some(forged) = forged else { return Verdict::Forward };
        frame.inject(direction.reversed(), forged);
        then
    }
}

/// Rewrites answers that say "no such name" into ones that lead to `addr`.
pub fn dns_nxdomain_rewrite(
    addr: IpAddr,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    move |frame, _| {
        if !frame.is_udp() || frame.summary().src.port() != 53 {
            return Verdict::Forward;
        }
        let Ok(mut message) = Message::from_vec(frame.payload()) else { return Verdict::Forward };
        if message.metadata.response_code == ResponseCode::NXDomain
            && let Some(asked) = message.queries.first().map(|query| query.name().clone())
        {
            message.authorities.clear();
            answer_with(&mut message, asked, addr);
            if let Ok(payload) = message.to_vec() {
                frame.set_udp_payload(&payload);
            }
        }
        Verdict::Forward
    }
}

/// Makes a message the answer "`name` is `addr`"; without a record if the family was not asked for.
fn answer_with(message: &mut Message, name: Name, addr: IpAddr) {
    let data = match addr {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code = ResponseCode::NoError;
    message.metadata.recursion_available = true;
    message.answers.clear();
    if message.queries.first().is_some_and(|query| query.query_type() == data.record_type()) {
        message.answers.push(Record::from_rdata(name, FORGED_TTL_S, data));
    }
}

/// Resets both ends of a TCP connection that carries `needle` in one segment (a server name in a
/// TLS hello, a path in an HTTP request), and drops the segment.
pub fn reset_on(needle: &[u8]) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    let needle = needle.to_vec();
    move |frame, direction| {
        let found = frame.is_tcp()
            && !needle.is_empty()
            && frame.payload().windows(needle.len()).any(|window| window == needle);
        if !found {
            return Verdict::Forward;
        }
        if let Some((to_sender, to_receiver)) = frame.tcp_resets() {
            frame.inject(direction.reversed(), to_sender);
            frame.inject(direction, to_receiver);
        }
        Verdict::Drop
    }
}

/// Resets every TCP connection to `port` at its first segment, as a firewall that says no.
pub fn reset_port(port: u16) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    move |frame, direction| {
        if !frame.is_tcp() || frame.summary().dst.port() != port {
            return Verdict::Forward;
        }
        if let Some((to_sender, _)) = frame.tcp_resets() {
            frame.inject(direction.reversed(), to_sender);
        }
        Verdict::Drop
    }
}

/// Replaces the TCP options of these kinds with padding, in every segment.
pub fn strip_tcp_options(
    kinds: &[u8],
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    let kinds = kinds.to_vec();
    rewrite_options(move |option| {
        let strip = kinds.contains(&option[0]);
        if strip {
            option.fill(TCP_NOP);
        }
        strip
    })
}

/// Lowers the maximum segment size that either end announces to `bytes_max`.
pub fn clamp_mss(bytes_max: u16) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send + use<> {
    rewrite_options(move |option| match option {
        [TCP_MSS, _, high, low] if u16::from_be_bytes([*high, *low]) > bytes_max => {
            [*high, *low] = bytes_max.to_be_bytes();
            true
        }
        _ => false,
    })
}

/// Shows each TCP option (kind, length, data) to `rewrite`, which says whether it changed it.
fn rewrite_options(
    mut rewrite: impl FnMut(&mut [u8]) -> bool + Send,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send {
    move |frame, _| {
        let Some(mut header) = frame.tcp_header().map(<[u8]>::to_vec) else {
            return Verdict::Forward;
        };
        let mut options = header.get_mut(20..).unwrap_or(&mut []);
        let mut changed = false;
        while let [kind, rest @ ..] = &*options {
            let len = match (*kind, rest) {
                (TCP_END, _) => break,
                (TCP_NOP, _) => 1,
                (_, [len, ..]) => usize::from(*len),
                _ => break,
            };
            if len == 0 || len > options.len() {
                break;
            }
            let (option, after) = options.split_at_mut(len);
            changed |= *option.first().unwrap_or(&TCP_NOP) != TCP_NOP && rewrite(option);
            options = after;
        }
        if changed && let Some(to) = frame.tcp_header_mut() {
            to.copy_from_slice(&header);
            frame.fix_checksums();
        }
        Verdict::Forward
    }
}

/// Drops ICMP errors (unreachable, too big, time exceeded), as a firewall that breaks path MTU
/// discovery.
pub fn drop_icmp_errors() -> impl FnMut(&mut Frame, Direction) -> Verdict + Send {
    |frame, _| {
        let summary = frame.summary();
        let error = match (summary.icmp, summary.dst.is_ipv6()) {
            (Some((kind, ..)), true) => kind < 128,
            (Some((kind, ..)), false) => matches!(kind, 3 | 4 | 5 | 11 | 12),
            (None, _) => false,
        };
        if error { Verdict::Drop } else { Verdict::Forward }
    }
}

/// Drops the frames for which `condition` holds.
pub fn drop_if(
    mut condition: impl FnMut(&Frame) -> bool + Send,
) -> impl FnMut(&mut Frame, Direction) -> Verdict + Send {
    move |frame, _| if condition(frame) { Verdict::Drop } else { Verdict::Forward }
}
