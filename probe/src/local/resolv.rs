//! `resolv.conf(5)`, as far as it names servers.

use std::net::{IpAddr, SocketAddr};

use sojourner_stats::event::Resolver;

/// Most resolvers read: the C library asks three, some others a few more.
const RESOLVERS_MAX: usize = 16;
const PORT: u16 = 53;

/// The servers of a `resolv.conf`, in order, without repeats, at most 16; `from` is noted in each.
///
/// A line that is not understood is skipped, as the C library does. The scope of a link-local
/// address (`fe80::1%eth0`) is dropped.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::local::parse_resolv_conf;
/// let resolvers = parse_resolv_conf("search lan\nnameserver 192.0.2.53 # home\n", "resolv.conf");
/// assert_eq!(resolvers[0].addr, "192.0.2.53:53".parse().unwrap());
/// ```
pub fn parse_resolv_conf(text: &str, from: &str) -> Vec<Resolver> {
    let mut resolvers: Vec<Resolver> = Vec::new();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("nameserver") {
            continue;
        }
        let Some(addr) = words.next().and_then(parse_addr) else { continue };
        let addr = SocketAddr::new(addr, PORT);
        let known = resolvers.iter().any(|resolver| resolver.addr == addr);
        if !known && resolvers.len() < RESOLVERS_MAX {
            resolvers.push(Resolver { addr, from: from.to_owned() });
        }
    }
    resolvers
}

fn parse_addr(word: &str) -> Option<IpAddr> {
    word.split('%').next().unwrap_or_default().parse().ok()
}
