//! Names and who answers for them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// How a DNS question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DnsTransport {
    /// The operating system's own resolver (`getaddrinfo`).
    System,
    /// Plain DNS over UDP (RFC 1035).
    Udp,
    /// Plain DNS over TCP (RFC 7766).
    Tcp,
    /// DNS over TLS (RFC 7858).
    Dot,
    /// DNS over HTTPS (RFC 8484).
    Doh,
}

/// Why a server was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsRole {
    /// This host uses it, or its user named it.
    Configured,
    /// It was chosen as the one to compare with.
    Trusted,
}

/// A server answered, whatever the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// Who answered: an address, a DoH URL, or `system`.
    pub server: Arc<str>,
    /// Why it was asked.
    pub role: DnsRole,
    /// How.
    pub transport: DnsTransport,
    /// The name asked for, without a final dot.
    pub name: Arc<str>,
    /// The record type asked for, such as `A`.
    pub record_type: Arc<str>,
    /// The response code, such as `NOERROR` or `NXDOMAIN`.
    pub rcode: Arc<str>,
    /// The answer section, in the order received.
    pub records: Vec<DnsRecord>,
    /// From the question to the answer.
    pub elapsed_us: Micros,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Whose record, without a final dot.
    pub name: String,
    /// Its type, such as `A`.
    pub record_type: String,
    /// Its data in presentation format, such as `192.0.2.1`.
    pub data: String,
    /// Seconds it may be kept; absent when the system's resolver hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
}

/// A question got no usable answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsFailure {
    /// Who was asked.
    pub server: Arc<str>,
    /// Why it was asked.
    pub role: DnsRole,
    /// How.
    pub transport: DnsTransport,
    /// The name asked for, without a final dot.
    pub name: Arc<str>,
    /// The record type asked for.
    pub record_type: Arc<str>,
    /// What went wrong.
    pub error: DnsError,
    /// From the question to the failure.
    pub elapsed_us: Micros,
}

/// Why there was no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DnsError {
    /// Nothing came in time.
    Timeout,
    /// The port is closed.
    PortClosed,
    /// The server's address cannot be reached.
    Unreachable,
    /// The connection was reset or closed.
    Closed,
    /// What came is not a DNS answer to the question.
    Malformed,
    /// The TLS or HTTP layer around it failed.
    Tls,
    /// No server is known to ask.
    NoServer,
    /// The system's resolver gave up for a reason of its own.
    System,
}

/// What comparing the answers showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsVerdict {
    /// The name compared.
    pub name: Arc<str>,
    /// Whose answer was judged: a server, or `system`.
    pub server: Arc<str>,
    /// Whose answer it was judged by, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<Arc<str>>,
    /// The result.
    pub integrity: DnsIntegrity,
    /// What it rests on, in one sentence.
    pub detail: String,
}

/// Whether an answer can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DnsIntegrity {
    /// Both gave the same, or overlapping, answers.
    Consistent,
    /// The answers share no address; a CDN may explain it.
    Differs,
    /// A public name was answered with an address that cannot be public.
    Bogon,
    /// A name that does not exist was given an address.
    NxdomainRewritten,
    /// A name that exists was said not to.
    NameDenied,
    /// Too few answers to tell.
    Inconclusive,
}
