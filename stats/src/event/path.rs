//! The path, hop by hop.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::IcmpUnreachable;
use crate::Micros;

/// Which packets explored the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TraceProtocol {
    /// ICMP echo.
    Icmp,
    /// UDP to high ports.
    Udp,
}

/// A hop answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HopReply {
    /// Which round, from 0.
    pub round: u32,
    /// The TTL or hop limit sent: the hop's distance, from 1.
    pub ttl: u8,
    /// Who answered.
    pub addr: IpAddr,
    /// From the send to the receive stamp.
    pub rtt_us: Micros,
    /// What it answered.
    pub answer: HopAnswer,
    /// With which packets.
    pub protocol: TraceProtocol,
    /// The answer's own remaining TTL, a hint at the length of the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_ttl: Option<u8>,
}

/// What a hop answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HopAnswer {
    /// A router on the way.
    TimeExceeded,
    /// The target itself.
    Reached,
    /// A router or host that says the target cannot be had.
    Unreachable(IcmpUnreachable),
}

/// A hop did not answer in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HopSilent {
    /// Which round, from 0.
    pub round: u32,
    /// The TTL or hop limit sent.
    pub ttl: u8,
    /// With which packets.
    pub protocol: TraceProtocol,
}

/// One round over all TTLs ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceRound {
    /// Which round, from 0.
    pub round: u32,
    /// The address traced.
    pub addr: IpAddr,
    /// The distance of the target, or of the last hop known when it was not reached.
    pub hops: u8,
    /// Whether the target itself answered.
    pub reached: bool,
    /// From the first send to the end of the round.
    pub elapsed_us: Micros,
    /// With which packets.
    pub protocol: TraceProtocol,
}
