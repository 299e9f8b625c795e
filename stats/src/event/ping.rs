//! Echo request and reply (RFC 792, RFC 4443).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Micros;

/// An echo reply that came in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingReply {
    /// Which echo, from 0, never wrapping.
    pub seq: u64,
    /// Who was asked.
    pub addr: IpAddr,
    /// From the send to the receive stamp.
    pub rtt_us: Micros,
    /// The reply's remaining TTL or hop limit, where the engine sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// ICMP bytes in the reply, header included.
    pub size_bytes: u32,
    /// Who stamped the receive.
    pub stamp: StampSource,
    /// Which engine measured it.
    pub engine: PingEngine,
}

/// Who took the receive stamp: the kernel's does not hold this process's scheduling delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampSource {
    /// The kernel, when the packet arrived.
    Kernel,
    /// This process, when it woke up.
    User,
}

/// Which ping engine measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PingEngine {
    /// Linux ICMP datagram sockets, no privilege needed.
    KernelDgram,
    /// Linux raw sockets.
    KernelRaw,
    /// Linux UDP sockets to closed ports, no privilege at all: the "port unreachable" is the reply.
    /// A host that filters or limits those looks lossy.
    KernelUdp,
    /// The portable engine on `surge-ping`.
    Surge,
}

/// No reply within the timeout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingLost {
    /// Which echo.
    pub seq: u64,
    /// Who was asked.
    pub addr: IpAddr,
}

/// An ICMP error came instead of a reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingError {
    /// Which echo.
    pub seq: u64,
    /// Who was asked.
    pub addr: IpAddr,
    /// Who sent the error; absent when this host itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What it said.
    pub error: IcmpUnreachable,
}

/// What an ICMP error or a local refusal says, the same words for IPv4 and IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IcmpUnreachable {
    /// No route to the network (ICMP 3/0, ICMPv6 1/0).
    Network,
    /// The host does not answer its last router (ICMP 3/1, ICMPv6 1/3).
    Host,
    /// The host does not speak the protocol (ICMP 3/2).
    Protocol,
    /// Nothing listens on the port (ICMP 3/3, ICMPv6 1/4).
    Port,
    /// Larger than a link allows (ICMP 3/4, ICMPv6 2/0).
    TooBig {
        /// The MTU that the link allows, in bytes; 0 when not told.
        mtu: u32,
    },
    /// A rule forbids it (ICMP 3/9, 3/10, 3/13, ICMPv6 1/1).
    Prohibited,
    /// The TTL or hop limit ran out (ICMP 11/0, ICMPv6 3/0).
    TtlExceeded,
    /// Anything else.
    Other {
        /// The ICMP type.
        icmp_type: u8,
        /// The ICMP code.
        code: u8,
    },
}

/// A second reply to one echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingDuplicate {
    /// Which echo.
    pub seq: u64,
    /// Who was asked.
    pub addr: IpAddr,
    /// From the send to this receive.
    pub rtt_us: Micros,
}

/// A reply after its echo was already counted as lost; the loss stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingLate {
    /// Which echo.
    pub seq: u64,
    /// Who was asked.
    pub addr: IpAddr,
    /// From the send to the receive.
    pub rtt_us: Micros,
}

/// This host could not send an echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingSendFailed {
    /// Which echo.
    pub seq: u64,
    /// Who was to be asked.
    pub addr: IpAddr,
    /// The operating system's error number.
    pub errno: i32,
}
