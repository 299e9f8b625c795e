//! What goes in and out of the machine.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sojourner_stats::Kind;
use sojourner_stats::event::DisconnectReason;

use crate::task::{Push, Reply, Task, TaskError};

/// What the driver heard.
#[derive(Debug)]
pub enum Input {
    /// Connect; nothing happens unless the link is idle or waits.
    Connect,
    /// Accept a task. `id` is in `1..TASK_ID_END` and not in use.
    Send {
        /// The packet's `seq`.
        id: u32,
        /// What to send.
        task: Task,
    },
    /// The caller of a task is gone.
    Cancel {
        /// The task's id.
        id: u32,
    },
    /// The network changed: connect anew, now.
    NetworkChanged,
    /// End everything.
    Close,
    /// A dial ended.
    Dialled {
        /// As in [`Transmit::Dial`].
        connection: u64,
        /// How it went.
        report: DialReport,
    },
    /// Bytes came.
    Received {
        /// On which connection.
        connection: u64,
        /// The bytes.
        bytes: BytesMut,
    },
    /// The kernel took bytes.
    Written {
        /// On which connection.
        connection: u64,
        /// How many, since the last report.
        bytes: u64,
    },
    /// A connection ended, all that it had received being handed in before.
    Ended {
        /// Which.
        connection: u64,
        /// Why.
        reason: DisconnectReason,
        /// The operating system's error number, where there is one.
        errno: Option<i32>,
    },
}

/// How a dial went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialReport {
    /// The connection, when there is one.
    pub won: Option<Won>,
    /// Whether the host's name could not be resolved.
    pub unresolved: bool,
    /// Time to resolve the host.
    pub dns: Duration,
    /// Candidates in the order in which they were to be tried.
    pub candidates: Vec<SocketAddr>,
    /// From the first attempt to the end of the race.
    pub race: Duration,
    /// How many were tried.
    pub tried: u32,
}

/// The winner of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Won {
    /// Its place among the candidates.
    pub index: u32,
    /// Its address.
    pub addr: SocketAddr,
    /// The local end.
    pub local: Option<SocketAddr>,
    /// The handshake's round trip.
    pub rtt: Duration,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Resolve, race, and hand in [`Input::Dialled`].
    Dial {
        /// The connection's number, from 0.
        connection: u64,
    },
    /// Write these bytes after those given before; report with [`Input::Written`].
    Write {
        /// On which connection.
        connection: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Stop dialling, or close. Nothing more is heard of it.
    Close {
        /// Which.
        connection: u64,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// A task ended.
    Done {
        /// Its id.
        id: u32,
        /// Its reply, or why there is none.
        result: Result<Reply, TaskError>,
    },
    /// The server spoke of its own accord.
    Push(Push),
    /// A fact for the statistics: `LinkState`, `Heartbeat`, `ConnectProfile`, `TaskProfile`.
    Report(Kind),
}
