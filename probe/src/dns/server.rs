//! Who to ask, and how: DNS servers as people write them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use sojourner_stats::event::DnsTransport;

/// A DNS server to ask, and how the question travels.
///
/// | text | asked by |
/// | --- | --- |
/// | `system` | the operating system's resolver, `getaddrinfo` |
/// | `9.9.9.9`, `9.9.9.9:5353`, `[2620:fe::fe]:53`, `udp://9.9.9.9` | UDP, and TCP when truncated |
/// | `tcp://9.9.9.9` | TCP |
/// | `tls://1.1.1.1`, `tls://dns.google@8.8.8.8:853` | DNS over TLS, with the certificate's name |
/// | `https://dns.google/dns-query` | DNS over HTTPS; the system looks the host up |
/// | `https://dns.google@8.8.8.8/dns-query` | DNS over HTTPS to this address |
///
/// # Examples
///
/// ```
/// # use sojourner_probe::dns::DnsServer;
/// let server: DnsServer = "tls://dns.google@8.8.8.8".parse().unwrap();
/// assert_eq!(server.to_string(), "tls://dns.google@8.8.8.8");
/// let error = "9.9.9.9:70000".parse::<DnsServer>().unwrap_err();
/// assert!(error.to_string().contains("1 to 65535"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DnsServer {
    /// The operating system's own resolver.
    System,
    /// Plain DNS over UDP, and over TCP when an answer is truncated.
    Udp(SocketAddr),
    /// Plain DNS over TCP.
    Tcp(SocketAddr),
    /// DNS over TLS (RFC 7858).
    Tls {
        /// Where it listens.
        addr: SocketAddr,
        /// The name its certificate must be for; its address when absent.
        name: Option<String>,
    },
    /// DNS over HTTPS (RFC 8484).
    Https {
        /// The host of the URL: a name or an IPv4 address.
        host: String,
        /// The port of the URL.
        port: u16,
        /// The path of the URL, with its slash.
        path: String,
        /// Where the host is; looked up by the system when absent.
        addr: Option<IpAddr>,
    },
}

impl DnsServer {
    /// The transport by which it is asked first.
    pub const fn transport(&self) -> DnsTransport {
        match self {
            Self::System => DnsTransport::System,
            Self::Udp(_) => DnsTransport::Udp,
            Self::Tcp(_) => DnsTransport::Tcp,
            Self::Tls { .. } => DnsTransport::Dot,
            Self::Https { .. } => DnsTransport::Doh,
        }
    }
}

/// The text is no DNS server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no DNS server: {mend}")]
pub struct DnsServerError {
    /// What was given, cut to a printable length.
    pub text: String,
    /// What is wrong with it, and what to write instead.
    pub mend: &'static str,
}

impl FromStr for DnsServer {
    type Err = DnsServerError;

    fn from_str(text: &str) -> Result<Self, DnsServerError> {
        parse(text.trim()).map_err(|mend| {
            let text = text.chars().take(TEXT_CHARS_MAX).collect();
            DnsServerError { text, mend }
        })
    }
}

fn parse(text: &str) -> Result<DnsServer, &'static str> {
    if text.is_empty() {
        return Err("it is empty; write an address such as 9.9.9.9, or system");
    }
    if text.eq_ignore_ascii_case("system") {
        return Ok(DnsServer::System);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(DnsServer::Udp(socket_addr(text, PORT_DNS)?));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "udp" => Ok(DnsServer::Udp(socket_addr(rest, PORT_DNS)?)),
        "tcp" => Ok(DnsServer::Tcp(socket_addr(rest, PORT_DNS)?)),
        "tls" => {
            let (name, addr) = match rest.split_once('@') {
                Some((name, addr)) => (Some(host_name(name)?), addr),
                None => (None, rest),
            };
            Ok(DnsServer::Tls { addr: socket_addr(addr, PORT_DOT)?, name })
        }
        "https" => https(rest),
        _ => Err("its scheme is unknown; use udp, tcp, tls or https"),
    }
}

fn https(rest: &str) -> Result<DnsServer, &'static str> {
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, PATH_DOH),
    };
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err("its path has characters that a URL must encode");
    }
    let path = if path == "/" { PATH_DOH } else { path }.to_owned();
    if let Some((host, addr)) = authority.split_once('@') {
        let addr = socket_addr(addr, PORT_DOH)?;
        let host = host_name(host)?;
        return Ok(DnsServer::Https { host, port: addr.port(), path, addr: Some(addr.ip()) });
    }
    if authority.starts_with('[') {
        return Err("a URL with an IPv6 address needs the certificate's name: \
                    https://NAME@[ADDRESS]/dns-query");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port_number(port)?),
        None => (authority, PORT_DOH),
    };
    let host = host_name(host)?;
    let addr = host.parse().ok();
    Ok(DnsServer::Https { host, port, path, addr })
}

fn socket_addr(text: &str, port_default: u16) -> Result<SocketAddr, &'static str> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(addr, port_default));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, port_default),
        Some((host, port)) => {
            let port = port.strip_prefix(':').ok_or("after ] comes :PORT, or nothing")?;
            (host, port_number(port)?)
        }
        None => {
            let (host, port) = text.rsplit_once(':').ok_or(NEEDS_ADDRESS)?;
            if host.contains(':') {
                return Err("write an IPv6 address with a port as [ADDRESS]:PORT");
            }
            (host, port_number(port)?)
        }
    };
    let addr = host.parse().ok().ok_or(NEEDS_ADDRESS)?;
    Ok(SocketAddr::new(addr, port))
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or("its port must be 1 to 65535")
}

fn host_name(text: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        fits && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(name.to_ascii_lowercase());
    }
    Err("its host must be a name of letters, digits, hyphens and dots")
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Udp(addr) => write!(f, "{}", Short(*addr, PORT_DNS)),
            Self::Tcp(addr) => write!(f, "tcp://{}", Short(*addr, PORT_DNS)),
            Self::Tls { addr, name: None } => write!(f, "tls://{}", Short(*addr, PORT_DOT)),
            Self::Tls { addr, name: Some(name) } => {
                write!(f, "tls://{name}@{}", Short(*addr, PORT_DOT))
            }
            Self::Https { host, port, path, addr: Some(addr) } if host.parse() != Ok(*addr) => {
                let addr = SocketAddr::new(*addr, *port);
                write!(f, "https://{host}@{}{path}", Short(addr, PORT_DOH))
            }
            Self::Https { host, port: PORT_DOH, path, .. } => write!(f, "https://{host}{path}"),
            Self::Https { host, port, path, .. } => write!(f, "https://{host}:{port}{path}"),
        }
    }
}

/// An address whose port is written only where it is not the expected one.
struct Short(SocketAddr, u16);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V4(addr) if addr.port() == self.1 => write!(f, "{}", addr.ip()),
            SocketAddr::V6(addr) if addr.port() == self.1 => write!(f, "[{}]", addr.ip()),
            addr => write!(f, "{addr}"),
        }
    }
}

const NEEDS_ADDRESS: &str =
    "it needs an address, such as 9.9.9.9, tls://NAME@9.9.9.9 or https://NAME/dns-query";

/// RFC 1035 §4.2, RFC 7858 §3.1, RFC 8484 §4.1 (its examples' path).
const PORT_DNS: u16 = 53;
const PORT_DOT: u16 = 853;
const PORT_DOH: u16 = 443;
const PATH_DOH: &str = "/dns-query";

/// An error message is read on one line of a terminal.
const TEXT_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn servers_are_read_and_written_as_people_write_them() {
        for (text, canonical) in [
            ("system", "system"),
            ("9.9.9.9", "9.9.9.9"),
            ("udp://9.9.9.9:53", "9.9.9.9"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("2620:fe::fe", "[2620:fe::fe]"),
            ("[2620:fe::fe]", "[2620:fe::fe]"),
            ("[2620:fe::fe]:5353", "[2620:fe::fe]:5353"),
            ("tcp://[::1]:53", "tcp://[::1]"),
            ("tls://1.1.1.1", "tls://1.1.1.1"),
            ("TLS://dns.google@8.8.8.8:8853", "tls://dns.google@8.8.8.8:8853"),
            ("https://dns.google", "https://dns.google/dns-query"),
            ("https://1.1.1.1/dns-query", "https://1.1.1.1/dns-query"),
            ("https://DNS.google:8443/q", "https://dns.google:8443/q"),
            ("https://dns.google@[::1]:8443/q", "https://dns.google@[::1]:8443/q"),
        ] {
            let server: DnsServer = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(server.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(server), "{canonical} is read as it was meant");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_what_to_write_instead() {
        for (text, word) in [
            ("", "empty"),
            ("dns.google", "needs an address"),
            ("9.9.9.9:0", "1 to 65535"),
            ("9.9.9.9:70000", "1 to 65535"),
            ("9.9.9.9:+5", "1 to 65535"),
            ("[::1]53", "after ]"),
            ("2620:fe::fe:zz:1", "[ADDRESS]:PORT"),
            ("tls://dns.google", "needs an address"),
            ("tls://@9.9.9.9", "must be a name"),
            ("https://[::1]/q", "NAME@[ADDRESS]"),
            ("https:///q", "must be a name"),
            ("https://a/q r", "encode"),
            ("quic://9.9.9.9", "scheme"),
        ] {
            let error = text.parse::<DnsServer>().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reads_back(
            text in "\\PC{0,80}|(tls://|https://)?[a-c0-9.:@/\\[\\]]{0,40}",
        ) {
            if let Ok(server) = text.parse::<DnsServer>() {
                prop_assert_eq!(server.to_string().parse::<DnsServer>(), Ok(server));
            }
        }
    }
}
