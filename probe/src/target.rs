//! Targets as users write them.
//!
//! | written | what is measured |
//! | --- | --- |
//! | `example.net`, `192.0.2.7`, `2001:db8::7` | the host: names, path, echoes |
//! | `example.net:443`, `[2001:db8::7]:443` | the host, and TCP to the port |
//! | `http://host[:port]/path`, `https://host[:port]/path` | the same, port 80 or 443 by default |
//! | `tcp://host:port`, `link://host:port` | the host, and TCP to the port |
//! | `icmp://host` | the host by echoes alone |
//! | `dns://server[:port]/name` | what the server answers about the name |

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What to measure, as its user wrote it: parsed, so that a value is a valid one.
///
/// Displays, serializes and compares as the text it was parsed from.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::target::{Scheme, Target};
/// let target: Target = "https://example.net/status".parse()?;
/// assert_eq!(target.to_string(), "https://example.net/status");
/// assert_eq!((target.scheme(), target.port()), (Scheme::Https, Some(443)));
/// assert_eq!((target.host().to_string().as_str(), target.path()), ("example.net", "/status"));
///
/// let error = "example.net:70000".parse::<Target>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "port 70000 of target \"example.net:70000\" is out of range; use 1 to 65535"
/// );
/// # Ok::<(), sojourner_probe::target::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    text: Arc<str>,
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    path: String,
}

impl Target {
    /// The text it was parsed from: the key that series and screens share.
    pub const fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// What kind of target it is.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host to measure; for `dns://`, the server.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port written, or else the scheme's own: 80, 443, and 53 for `dns://`.
    pub fn port(&self) -> Option<u16> {
        self.port.or_else(|| self.scheme.port())
    }

    /// The path with its query, from its `/`; `/` where none was written, and for every scheme but
    /// HTTP's.
    pub fn path(&self) -> &str {
        if self.path.is_empty() || self.scheme == Scheme::Dns { "/" } else { &self.path }
    }

    /// The name to ask DNS servers about, if there is one: the host where it is a name, and the
    /// name after the `/` of `dns://`.
    pub fn dns_name(&self) -> Option<&str> {
        match (self.scheme, &self.host) {
            (Scheme::Dns, _) => Some(&self.path),
            (_, Host::Name(name)) => Some(name),
            (_, Host::Addr(_)) => None,
        }
    }

    /// Whether there is a name to ask about.
    pub fn wants_dns(&self) -> bool {
        self.dns_name().is_some()
    }

    /// Whether a TCP port is to be connected to.
    pub fn wants_tcp(&self) -> bool {
        !matches!(self.scheme, Scheme::Icmp | Scheme::Dns) && self.port().is_some()
    }

    /// The host's addresses of the family asked for.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`].
    pub async fn resolve(&self, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
        resolve(&self.host, family).await
    }
}

/// What kind of target it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scheme {
    /// A host, with or without a port.
    Host,
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `tcp://`
    Tcp,
    /// `icmp://`
    Icmp,
    /// `dns://`
    Dns,
    /// `link://`
    Link,
}

impl Scheme {
    const ALL: [(&'static str, Self); 6] = [
        ("http", Self::Http),
        ("https", Self::Https),
        ("tcp", Self::Tcp),
        ("icmp", Self::Icmp),
        ("dns", Self::Dns),
        ("link", Self::Link),
    ];

    const fn port(self) -> Option<u16> {
        match self {
            Self::Http => Some(80),
            Self::Https => Some(443),
            Self::Dns => Some(53),
            Self::Host | Self::Tcp | Self::Icmp | Self::Link => None,
        }
    }
}

/// A host: an address, or a name in lower case without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Host {
    /// An address needs no resolver.
    Addr(IpAddr),
    /// A syntactically valid name.
    Name(String),
}

impl Host {
    /// The address, when it is one.
    pub const fn addr(&self) -> Option<IpAddr> {
        match self {
            Self::Addr(addr) => Some(*addr),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Name(name) => f.pad(name),
        }
    }
}

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Both.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    /// Whether an address is of this family.
    pub const fn admits(self, addr: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => addr.is_ipv4(),
            Self::V6 => addr.is_ipv6(),
        }
    }
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is nothing.
    #[error("the target is empty; write a host, such as example.net or 192.0.2.7")]
    Empty,
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the target has {bytes} bytes; at most {TARGET_BYTES_MAX} are possible")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The scheme is none of ours.
    #[error(
        "scheme {scheme:?} of target {target:?} is unknown; use http, https, tcp, icmp, dns or link"
    )]
    Scheme {
        /// The whole text.
        target: String,
        /// The part before `://`.
        scheme: String,
    },
    /// The port is no number from 1 to 65535.
    #[error("port {port} of target {target:?} is {why}; use 1 to 65535")]
    Port {
        /// The whole text.
        target: String,
        /// The part after the last `:`.
        port: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The scheme needs a port and has none of its own.
    #[error("target {target:?} has no port; add one, such as {target}:443")]
    NoPort {
        /// The whole text.
        target: String,
    },
    /// The scheme takes no port.
    #[error("target {target:?} has a port, and ICMP knows none; use tcp://{host}:{port} instead")]
    NeedlessPort {
        /// The whole text.
        target: String,
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The scheme takes no path, or `dns://` lacks its name.
    #[error("target {target:?} {why}")]
    Path {
        /// The whole text.
        target: String,
        /// What is wrong with the path, and how to mend it.
        why: &'static str,
    },
    /// The host is no address and no valid name.
    #[error("host {host:?} of target {target:?} {why}")]
    Host {
        /// The whole text.
        target: String,
        /// The part that should be a host.
        host: String,
        /// What is wrong with it, and how to mend it.
        why: &'static str,
    },
}

/// Why a host has no address of the family asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The system's resolver could not tell.
    #[error("the system's resolver found no address of {host}")]
    Lookup {
        /// The name asked for.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are addresses, of the other family alone.
    #[error("{host} has no address of the family asked for; allow the other one")]
    Family {
        /// The host asked for.
        host: String,
    },
}

/// Longest text of a target: what servers commonly take as a URL.
pub const TARGET_BYTES_MAX: usize = 2048;
/// Most addresses kept of one name: far above what names in use have.
pub const ADDRS_MAX: usize = 64;

/// The addresses of a host in the system's order, without repeats, at most [`ADDRS_MAX`].
///
/// A literal is its own address; a name is asked of the system's resolver, which is not bounded in
/// time here: wrap it in a timeout.
///
/// # Errors
///
/// [`ResolveError::Lookup`] when the system found none, [`ResolveError::Family`] when there are some,
/// but of the other family.
pub async fn resolve(host: &Host, family: Family) -> Result<Vec<IpAddr>, ResolveError> {
    let all: Vec<IpAddr> = match host {
        Host::Addr(addr) => vec![*addr],
        Host::Name(name) => tokio::net::lookup_host((name.as_str(), 0))
            .await
            .map_err(|source| ResolveError::Lookup { host: name.clone(), source })?
            .map(|addr| addr.ip())
            .collect(),
    };
    let mut addrs = Vec::new();
    for addr in all.into_iter().filter(|addr| family.admits(*addr)) {
        if !addrs.contains(&addr) && addrs.len() < ADDRS_MAX {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() {
        return Err(ResolveError::Family { host: host.to_string() });
    }
    Ok(addrs)
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if text.len() > TARGET_BYTES_MAX {
            return Err(TargetError::TooLong { bytes: text.len() });
        }
        let (scheme, rest) = split_scheme(text)?;
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = split_port(text, authority)?;
        let host = parse_host(text, host)?;
        let port = port.map(|port| parse_port(text, port)).transpose()?;
        let path = check_path(text, scheme, path)?;
        match (scheme, port) {
            (Scheme::Tcp | Scheme::Link, None) => {
                return Err(TargetError::NoPort { target: text.to_owned() });
            }
            (Scheme::Icmp, Some(port)) => {
                let (target, host) = (text.to_owned(), host.to_string());
                return Err(TargetError::NeedlessPort { target, host, port });
            }
            _ => {}
        }
        Ok(Self { text: text.into(), scheme, host, port, path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), TargetError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((Scheme::Host, text));
    };
    Scheme::ALL
        .iter()
        .find(|(name, _)| scheme.eq_ignore_ascii_case(name))
        .map(|&(_, scheme)| (scheme, rest))
        .ok_or_else(|| TargetError::Scheme { target: text.to_owned(), scheme: scheme.to_owned() })
}

/// Splits `host:port`, `[v6]:port` or a host alone; a bare IPv6 literal has no port.
fn split_port<'a>(
    text: &str,
    authority: &'a str,
) -> Result<(&'a str, Option<&'a str>), TargetError> {
    if let Some(inside) = authority.strip_prefix('[') {
        let refuse = |why| {
            let (target, host) = (text.to_owned(), authority.to_owned());
            Err(TargetError::Host { target, host, why })
        };
        let Some((host, after)) = inside.split_once(']') else {
            return refuse("has no closing bracket; write [2001:db8::7]:443");
        };
        if !host.contains(':') {
            return refuse("is no IPv6 address; brackets are for those alone");
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => refuse("goes on after its bracket; write [2001:db8::7]:443"),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Ok((authority, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str, port: &str) -> Result<u16, TargetError> {
    let why = if port.is_empty() {
        "missing after the colon"
    } else if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        "no number"
    } else {
        match port.parse() {
            Ok(0) => "not a port that can be connected to",
            Ok(number) => return Ok(number),
            Err(_) => "out of range",
        }
    };
    let port = if port.is_empty() { "\"\"" } else { port };
    Err(TargetError::Port { target: text.to_owned(), port: port.to_owned(), why })
}

fn parse_host(text: &str, host: &str) -> Result<Host, TargetError> {
    if let Ok(addr) = host.parse() {
        return Ok(Host::Addr(addr));
    }
    match name_fault(host) {
        Some(why) => Err(TargetError::Host { target: text.to_owned(), host: host.to_owned(), why }),
        None => Ok(Host::Name(host.trim_end_matches('.').to_ascii_lowercase())),
    }
}

/// What is wrong with a name (RFC 1123 section 2.1), and how to mend it. The underscore is let
/// through: service names and container networks use it.
fn name_fault(host: &str) -> Option<&'static str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let bad_label = |label: &str| label.starts_with('-') || label.ends_with('-');
    let last = name.rsplit('.').next().unwrap_or_default();
    if name.is_empty() {
        Some("is empty; write a name or an address")
    } else if name.contains('@') {
        Some("holds a user name; leave it out")
    } else if let Some((addr, _)) = name.split_once('%')
        && addr.parse::<Ipv6Addr>().is_ok()
    {
        Some("holds a zone; leave it out and choose the interface instead")
    } else if name.contains(':') {
        Some("is no IPv6 address; write one such as 2001:db8::7, with a port [2001:db8::7]:443")
    } else if !name.is_ascii() {
        Some("holds letters outside ASCII; write the name in its xn-- form")
    } else if let Some(bad) = name.bytes().find(|byte| !is_name_byte(*byte)) {
        Some(match bad {
            b' ' | b'\t' => "holds a space; give one target at a time",
            _ => "holds a character that names cannot; use letters, digits, hyphens and dots",
        })
    } else if name.len() > 253 {
        Some("is longer than 253 bytes, which no name can be")
    } else if name.split('.').any(str::is_empty) {
        Some("holds an empty label; write single dots between its parts")
    } else if name.split('.').any(|label| label.len() > 63) {
        Some("holds a label longer than 63 bytes, which no name can")
    } else if name.split('.').any(bad_label) {
        Some("holds a label that begins or ends with a hyphen, which no name can")
    } else if last.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("ends in a number and is no IPv4 address; write four numbers from 0 to 255")
    } else {
        None
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Checks what follows the authority and gives it back: for `dns://` the name, without its slash.
fn check_path(text: &str, scheme: Scheme, path: &str) -> Result<String, TargetError> {
    let refuse = |why| Err(TargetError::Path { target: text.to_owned(), why });
    match scheme {
        Scheme::Http | Scheme::Https => {
            let path = path.split('#').next().unwrap_or_default();
            if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
                return refuse("holds a space or a character outside ASCII; percent-encode it");
            }
            Ok(if path.starts_with('?') { format!("/{path}") } else { path.to_owned() })
        }
        Scheme::Dns => {
            let name = path.strip_prefix('/').unwrap_or_default();
            if name.is_empty() {
                return refuse("names no name to ask about; write dns://192.0.2.53/example.net");
            }
            match parse_host(text, name)? {
                Host::Name(name) => Ok(name),
                Host::Addr(_) => refuse("asks about an address; write a name after the slash"),
            }
        }
        _ if path.is_empty() || path == "/" => Ok(String::new()),
        Scheme::Host => refuse("has a path; write its scheme too, such as https://"),
        _ => refuse("has a path, and its scheme takes none; leave it out"),
    }
}

#[cfg(test)]
mod tests;
