//! What `netcore` reports of its links and tasks
//! (`Tencent/mars:mars/stn/task_profile.h`, `mars/stn/stn.h`).

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// A link changed state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkState {
    /// The link's name.
    pub link: Arc<str>,
    /// What it is now.
    pub status: LinkStatus,
    /// Why the last connection ended, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DisconnectReason>,
    /// When it tries again, from now; absent when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_us: Option<Micros>,
}

/// The states of a long link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LinkStatus {
    /// Never connected yet.
    Idle,
    /// A race is running.
    Connecting,
    /// Tasks can be sent.
    Connected,
    /// It was connected and is no more.
    Disconnected,
    /// Every address failed.
    ConnectFailed,
}

/// Why a connection was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectReason {
    /// The first one.
    First,
    /// The one before it ended.
    Reconnect,
    /// A task needs it.
    Task,
    /// The network changed.
    NetworkChange,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer closed it in order.
    RemoteClosed,
    /// It was reset.
    Reset,
    /// A read or write failed.
    Io,
    /// What came was not a packet.
    Framing,
    /// A heartbeat got no answer.
    HeartbeatTimeout,
    /// A task got no answer in time.
    TaskTimeout,
    /// The network changed.
    NetworkChange,
    /// The application closed it.
    Closed,
}

/// Where an address came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AddressSource {
    /// Set by a developer.
    Debug,
    /// The system's resolver.
    Dns,
    /// The application's own address book.
    HttpDns,
    /// The built-in fallback.
    Backup,
    /// The user wrote it.
    Literal,
}

/// One connection of a link, from its first attempt to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectProfile {
    /// The link's name.
    pub link: Arc<str>,
    /// Which connection of this link, from 0.
    pub connection: u64,
    /// Why it was begun.
    pub reason: ConnectReason,
    /// Host and port as configured.
    pub host: Arc<str>,
    /// Time to resolve the host.
    pub dns_us: Micros,
    /// Candidates in the order they were to be tried.
    pub candidates: Vec<SocketAddr>,
    /// Where they came from.
    pub source: AddressSource,
    /// From the first attempt to the winner, or to giving up.
    pub connect_us: Micros,
    /// How many candidates were tried.
    pub tried: u32,
    /// The winner's place among the candidates; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<u32>,
    /// The winner's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
    /// The local end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The winner's handshake round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<Micros>,
    /// How long it stayed connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lived_us: Option<Micros>,
    /// Why it ended; absent when it never connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DisconnectReason>,
    /// Bytes sent, framing included.
    pub sent_bytes: u64,
    /// Bytes received, framing included.
    pub received_bytes: u64,
}

/// One task, from acceptance to its only end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskProfile {
    /// The task's id, unique within a core; the packet's `seq` on a long link.
    pub task: u32,
    /// The command asked for.
    pub cmd: u32,
    /// The channel it went by.
    pub channel: ChannelKind,
    /// The link's name.
    pub link: Arc<str>,
    /// Attempts made, at least 1 once it was sent.
    pub attempts: u32,
    /// From acceptance to the first byte handed to the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_us: Option<Micros>,
    /// From acceptance to the end.
    pub total_us: Micros,
    /// Request bytes, framing included.
    pub sent_bytes: u64,
    /// Reply bytes, framing included.
    pub received_bytes: u64,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<TaskFailure>,
}

/// The channel a task went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelKind {
    /// The persistent link.
    Long,
    /// A request of its own.
    Short,
}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskFailure {
    /// The step it failed in.
    pub step: FailStep,
    /// Whether trying again can help.
    pub retryable: bool,
}

/// The step a task failed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailStep {
    /// The host could not be resolved.
    Dns,
    /// No address could be connected to.
    Connect,
    /// Nothing was received.
    FirstPacket,
    /// The connection broke after data.
    PacketToPacket,
    /// The reply could not be decoded, or the request encoded.
    Decode,
    /// The task's own deadline passed.
    Timeout,
    /// The server answered with an error.
    Server,
    /// The caller dropped it.
    Cancelled,
    /// Anything else.
    Other,
}

/// A heartbeat ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The link's name.
    pub link: Arc<str>,
    /// Whether it was answered.
    pub answered: bool,
    /// The interval it was planned after.
    pub interval_us: Micros,
    /// From the beat to its answer, or to giving up.
    pub cost_us: Micros,
}
