//! Connecting, and whether anybody speaks.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// One attempt of a racing connect (RFC 8305) ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpConnect {
    /// Who was connected to.
    pub addr: SocketAddr,
    /// Which attempt of the race, from 0.
    pub attempt: u32,
    /// How it ended.
    pub outcome: TcpOutcome,
    /// From the attempt's own start to its end.
    pub elapsed_us: Micros,
    /// Whether this attempt won the race.
    pub won: bool,
    /// The local end, when one was bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// What the kernel knows of the connection, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<TcpInfo>,
}

/// What the kernel's `TCP_INFO` says right after the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpInfo {
    /// The handshake's round trip, by the kernel's clock.
    pub rtt_us: Micros,
    /// The maximum segment size for sending, bytes.
    pub snd_mss: u32,
    /// The path MTU the kernel assumes, bytes.
    pub pmtu: u32,
    /// SYN and data segments sent again so far.
    pub retransmits: u32,
    /// Whether both sides use timestamps (RFC 7323).
    pub timestamps: bool,
    /// Whether both sides use selective acknowledgement (RFC 2018).
    pub sack: bool,
}

/// How a connection attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TcpOutcome {
    /// The handshake was completed.
    Connected,
    /// The host answered that nothing listens (RST to the SYN).
    Refused,
    /// Nothing came back in time: a filter, or no such host.
    TimedOut,
    /// A router said the host or network cannot be reached.
    Unreachable,
    /// A router or firewall said it is forbidden.
    Prohibited,
    /// This host has no route to it.
    NoRoute,
    /// The connection was reset right after the handshake.
    Reset,
    /// Another attempt won first, or the caller gave up.
    Cancelled,
    /// This host could not try; the operating system's error number.
    LocalError(i32),
}

/// Whether the application behind a connection says anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppReply {
    /// Who was connected to.
    pub addr: SocketAddr,
    /// What it was sent.
    pub request: AppRequest,
    /// How it reacted.
    pub outcome: AppOutcome,
    /// From the request (or the connect, when nothing was sent) to the outcome.
    pub elapsed_us: Micros,
}

/// What was sent to make an application speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppRequest {
    /// Nothing: it was expected to speak first.
    Listen,
    /// `HEAD / HTTP/1.0`, which most servers answer or refuse.
    HttpHead,
}

/// How an application reacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AppOutcome {
    /// It sent bytes.
    Spoke,
    /// It closed the connection in order: somebody is there.
    Closed,
    /// It reset the connection.
    Reset,
    /// It accepted and said nothing in time.
    Silent,
}
