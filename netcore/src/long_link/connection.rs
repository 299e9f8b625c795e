//! The phases of a link, and one connection while it is up.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::BytesMut;
use sojourner_stats::Instant;
use sojourner_stats::event::{ConnectProfile, ConnectReason};

use crate::heartbeat::Heart;

#[derive(Debug)]
pub(super) enum Phase {
    Idle,
    Dialling { connection: u64, reason: ConnectReason, since: Instant },
    Up(Box<Connection>),
    Waiting { until: Instant, with_task: Instant },
    Closed,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) addr: SocketAddr,
    pub(super) since: Instant,
    /// Emitted at the end, completed then.
    pub(super) profile: ConnectProfile,
    pub(super) heart: Heart,
    /// Received, not yet a whole packet: less than one packet and one read.
    pub(super) inbound: BytesMut,
    /// Encoded, not yet handed to the driver.
    pub(super) outbound: BytesMut,
    /// Bytes encoded and bytes the kernel has taken, since the connection was made.
    pub(super) encoded: u64,
    pub(super) taken: u64,
    /// Encoded tasks of which the kernel has taken nothing: where each begins, in order.
    pub(super) untaken: VecDeque<(u64, u32)>,
}

impl Connection {
    /// Bytes encoded that the kernel has not taken.
    pub(super) const fn backlog(&self) -> u64 {
        self.encoded.saturating_sub(self.taken)
    }
}
