//! What an application sends, what it gets back, and why it may not.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sojourner_stats::event::{DisconnectReason, FailStep};

/// One request.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_netcore::Task};
/// let task = Task::new(12, "hello").with_timeout(Duration::from_secs(5)).with_retries(0);
/// assert_eq!((task.cmd, &task.body[..]), (12, &b"hello"[..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The command. Not the codec's noop command (Mars: 6), nor 0.
    pub cmd: u32,
    /// The request; for Mars' format at most 1,048,556 bytes.
    pub body: Bytes,
    /// From the call to the end, waiting for a connection and retries included: up to 600 s.
    pub timeout: Duration,
    /// How often it may be sent again when a connection breaks before its reply, up to 30.
    pub retries: u32,
}

impl Task {
    /// A task with Mars' defaults: 40 s, one retry (`Tencent/mars:mars/stn/config.h`).
    pub fn new(cmd: u32, body: impl Into<Bytes>) -> Self {
        Self { cmd, body: body.into(), timeout: Duration::from_secs(40), retries: 1 }
    }

    /// Sets how long the whole may take: more than zero, at most [`TIMEOUT_MAX`].
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how often it may be sent again when a connection breaks before its reply: at most
    /// [`RETRIES_MAX`]. The server may then see it more than once; choose 0 where that does harm.
    #[must_use]
    pub const fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Whether it can be sent at all by a format with these bounds.
    pub(crate) fn check(&self, noop_cmd: u32, body_bytes_max: usize) -> Result<(), TaskError> {
        let invalid = |what, given, allowed| Err(TaskError::Invalid { what, given, allowed });
        if self.cmd == 0 || self.cmd == noop_cmd {
            return invalid("the command", self.cmd.into(), "any but 0 and the heartbeat's");
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
            return invalid("the timeout in ms", millis, "more than 0, at most 600000");
        }
        if self.retries > RETRIES_MAX {
            return invalid("the number of retries", self.retries.into(), "at most 30");
        }
        if self.body.len() > body_bytes_max {
            let given = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
            return invalid("the body in bytes", given, "what the packet format can carry");
        }
        Ok(())
    }
}

/// The answer to a [`Task`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The command of the reply's packet; most servers echo the task's.
    pub cmd: u32,
    /// The answer. It shares the connection's read buffer: copy it to keep a small one for long.
    pub body: Bytes,
}

/// What the server said of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The command.
    pub cmd: u32,
    /// What it said.
    pub body: Bytes,
}

/// Why a task got no reply: what happened, and where in its life.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task itself can't be sent; it was not accepted.
    #[error("task not sent: {what} is {given}, allowed is {allowed}")]
    Invalid {
        /// Which field.
        what: &'static str,
        /// What it was.
        given: u64,
        /// What it may be.
        allowed: &'static str,
    },
    /// The link holds as many tasks as it may; it was not accepted.
    #[error(
        "task not sent: the link already holds {max} tasks; wait for replies, or raise the limit"
    )]
    Full {
        /// The link's limit.
        max: usize,
    },
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// Its time was up.
    #[error("no reply within {timeout:?}: {stage}")]
    TimedOut {
        /// The time it had.
        timeout: Duration,
        /// How far it had come.
        stage: Stage,
    },
    /// The connection broke before the reply, and no retry was left.
    #[error("the connection to {addr} ended before the reply ({reason:?}, attempt {attempts})")]
    Lost {
        /// Whom it was connected to.
        addr: SocketAddr,
        /// Why it ended.
        reason: DisconnectReason,
        /// The operating system's error number, when it gave one.
        errno: Option<i32>,
        /// How often it had been sent.
        attempts: u32,
        /// Whether anything at all was received after it was sent.
        heard: bool,
    },
    /// The caller gave up; only events and traces show it.
    #[error("cancelled by the caller")]
    Cancelled,
}

/// How far a task had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stage {
    /// The host's name could not be resolved.
    #[error("the host's name could not be resolved")]
    Resolving,
    /// There was no connection.
    #[error("there was no connection to send it by")]
    Connecting,
    /// There was one, but others were before it, or the network took nothing.
    #[error("it waited for its turn to be sent")]
    Queued,
    /// It was sent, and then nothing came from the server.
    #[error("it was sent to {0}, which has said nothing since")]
    Silent(SocketAddr),
    /// It was sent, and the server said other things.
    #[error("it was sent to {0}, which answers others but not this one")]
    Unanswered(SocketAddr),
}

impl TaskError {
    /// The step it failed in, as its [`TaskProfile`](sojourner_stats::event::TaskProfile) says.
    pub const fn step(&self) -> FailStep {
        match self {
            Self::Invalid { .. } | Self::Full { .. } | Self::Closed => FailStep::Other,
            Self::Cancelled => FailStep::Cancelled,
            Self::TimedOut { stage: Stage::Resolving, .. } => FailStep::Dns,
            Self::TimedOut { stage: Stage::Connecting, .. } => FailStep::Connect,
            Self::TimedOut { stage: Stage::Silent(_), .. } | Self::Lost { heard: false, .. } => {
                FailStep::FirstPacket
            }
            Self::TimedOut { .. } => FailStep::Timeout,
            Self::Lost { .. } => FailStep::PacketToPacket,
        }
    }

    /// Whether the same task may succeed later without anything being changed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::Closed | Self::Cancelled => false,
            Self::Full { .. } | Self::TimedOut { .. } => true,
            Self::Lost { reason, .. } => {
                !matches!(reason, DisconnectReason::Framing | DisconnectReason::Closed)
            }
        }
    }

    /// Mars' error type and code for the same, for those who migrate
    /// (`Tencent/mars:mars/stn/stn.h`, `ErrCmdType` and its codes).
    pub const fn mars(&self) -> (i32, i32) {
        match self {
            Self::Invalid { .. } => (MARS_LOCAL, -12),
            Self::Full { .. } => (MARS_LOCAL, -3),
            Self::Closed => (MARS_LOCAL, -15),
            Self::TimedOut { .. } => (MARS_LOCAL, -1),
            Self::Cancelled => (MARS_CANCELED, -10_095),
            Self::Lost { reason, errno, .. } => match reason {
                DisconnectReason::RemoteClosed => (MARS_SOCKET, -10_090),
                DisconnectReason::HeartbeatTimeout => (MARS_SOCKET, -10_091),
                DisconnectReason::Framing => (MARS_NETMSGXP, -10_504),
                DisconnectReason::NetworkChange => (MARS_LOCAL, -7),
                DisconnectReason::Closed => (MARS_LOCAL, -15),
                _ => match errno {
                    Some(errno) => (MARS_SOCKET, *errno),
                    None => (MARS_SOCKET, 0),
                },
            },
        }
    }
}

/// The longest a task may take, as Mars': ten minutes.
pub const TIMEOUT_MAX: Duration = Duration::from_mins(10);
/// The most retries a task may ask for, as Mars'.
pub const RETRIES_MAX: u32 = 30;

const MARS_SOCKET: i32 = 4;
const MARS_NETMSGXP: i32 = 6;
const MARS_LOCAL: i32 = 9;
const MARS_CANCELED: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where_in_the_life_of_the_task_and_keep_mars_codes() {
        let addr = "192.0.2.7:80".parse().unwrap();
        let silent =
            TaskError::TimedOut { timeout: Duration::from_secs(5), stage: Stage::Silent(addr) };
        assert_eq!(
            silent.to_string(),
            "no reply within 5s: it was sent to 192.0.2.7:80, which has said nothing since"
        );
        assert_eq!((silent.step(), silent.mars()), (FailStep::FirstPacket, (9, -1)));
        let lost =
            |reason, errno| TaskError::Lost { addr, reason, errno, attempts: 2, heard: true };
        assert_eq!(lost(DisconnectReason::RemoteClosed, None).mars(), (4, -10_090));
        assert_eq!(lost(DisconnectReason::Reset, Some(104)).mars(), (4, 104));
        assert_eq!(lost(DisconnectReason::Framing, None).mars(), (6, -10_504));
        assert!(!lost(DisconnectReason::Framing, None).is_retryable());
        assert!(lost(DisconnectReason::Reset, None).is_retryable());
        assert_eq!(TaskError::Cancelled.step(), FailStep::Cancelled);
    }
}
