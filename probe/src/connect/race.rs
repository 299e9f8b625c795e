//! The policy of a racing connect, without its sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use sojourner_stats::event::TcpOutcome;
use sojourner_stats::{Deadline, Instant, Machine};

/// Decides when to dial which address, and when to give up (RFC 8305 §5).
///
/// Addresses are dialled in [`interleave`]d order, one every `attempt_delay`; the next one at once
/// when an attempt fails, and never more than `parallel_max` at a time. The first to connect wins
/// and the others are hung up on. Each attempt ends exactly once, by an
/// [`RaceEvent::AttemptEnded`]; the race by one [`RaceEvent::Finished`], after which nothing is due.
///
/// | state | input | then |
/// | --- | --- | --- |
/// | running | delay over, below `parallel_max` | [`RaceStep::Dial`] the next address |
/// | running | an attempt fails | it ended; the next address is due at once |
/// | running | an attempt's or the whole time is over | it ended as timed out, [`RaceStep::HangUp`] |
/// | running | an attempt connects | it won, or is kept ([`RaceGoal::Each`]); losers are hung up on |
/// | running | the caller gives up | all open attempts end as cancelled |
/// | finished | anything | ignored |
#[derive(Debug)]
pub struct Race {
    config: RaceConfig,
    waiting: VecDeque<SocketAddr>,
    open: Vec<Open>, // at most `parallel_max`
    next_attempt: u32,
    next_at: Instant,
    overall_at: Instant,
    now: Instant,
    winner: Option<u32>,
    finished: bool,
    hang_ups: VecDeque<u32>,     // at most one an attempt
    events: VecDeque<RaceEvent>, // at most one an attempt, and one more
}

/// The timing of a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaceConfig {
    /// How long after one attempt the next one starts. Default 250 ms (RFC 8305 §5).
    pub attempt_delay: Duration,
    /// How long one attempt may take. Default 5 s: the kernel sends a second SYN after 1 s and a
    /// third after 3 s, so that one lost packet does not decide.
    pub attempt_timeout: Duration,
    /// How long the whole race may take. Default 15 s.
    pub overall_timeout: Duration,
    /// How many attempts may be open at once, at least 1. Default 3
    /// (`Tencent/mars:mars/comm/socket/complexconnect.cc`): kind to servers, enough to find one.
    pub parallel_max: usize,
    /// When the race is over.
    pub goal: RaceGoal,
}

impl Default for RaceConfig {
    fn default() -> Self {
        Self {
            attempt_delay: Duration::from_millis(250),
            attempt_timeout: Duration::from_secs(5),
            overall_timeout: Duration::from_secs(15),
            parallel_max: 3,
            goal: RaceGoal::First,
        }
    }
}

/// When a race is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RaceGoal {
    /// The first connection wins, all other attempts are cancelled.
    #[default]
    First,
    /// Every address is tried; the first connection is the winner, the others are kept too.
    Each,
}

/// What the driver heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceInput {
    /// The handshake of an attempt was completed.
    Connected {
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt failed.
    Failed {
        /// Which attempt.
        attempt: u32,
        /// How.
        outcome: TcpOutcome,
    },
    /// The caller gave up.
    Cancel,
}

/// What the driver must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceStep {
    /// Start connecting.
    Dial {
        /// The attempt's number, from 0 in the order of dialling.
        attempt: u32,
        /// Where to.
        addr: SocketAddr,
    },
    /// Drop an attempt's socket; its end was already told.
    HangUp {
        /// Which attempt.
        attempt: u32,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaceEvent {
    /// An attempt ended; told exactly once for each that was dialled.
    AttemptEnded {
        /// Which attempt.
        attempt: u32,
        /// Where it went.
        addr: SocketAddr,
        /// How it ended.
        outcome: TcpOutcome,
        /// When it was dialled.
        started: Instant,
        /// From `started` to its end.
        elapsed: Duration,
        /// Whether it won the race.
        won: bool,
    },
    /// The race is over; nothing follows.
    Finished {
        /// The attempt that won, if one did.
        winner: Option<u32>,
        /// Addresses that were never dialled, in order.
        untried: Vec<SocketAddr>,
    },
}

impl Race {
    /// Starts a race to `addrs`, which are in the order of preference (RFC 6724's, say).
    ///
    /// Duplicates are dropped; so is what lies beyond [`ADDRS_MAX`].
    pub fn new(config: RaceConfig, addrs: &[SocketAddr], now: Instant) -> Self {
        let mut waiting = interleave(addrs);
        waiting.truncate(ADDRS_MAX);
        let mut race = Self {
            waiting: waiting.into(),
            open: Vec::new(),
            next_attempt: 0,
            next_at: now,
            overall_at: now + config.overall_timeout.max(TIMEOUT_MIN),
            now,
            winner: None,
            finished: false,
            hang_ups: VecDeque::new(),
            events: VecDeque::new(),
            config,
        };
        race.finish_if_over();
        race
    }

    /// Whether [`RaceEvent::Finished`] was told or is about to be.
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    fn may_dial(&self) -> bool {
        !self.finished
            && !self.waiting.is_empty()
            && self.open.len() < self.config.parallel_max.max(1)
    }

    fn take_open(&mut self, attempt: u32) -> Option<Open> {
        let index = self.open.iter().position(|open| open.attempt == attempt)?;
        Some(self.open.remove(index))
    }

    fn end(&mut self, open: &Open, at: Instant, outcome: TcpOutcome, won: bool) {
        self.events.push_back(RaceEvent::AttemptEnded {
            attempt: open.attempt,
            addr: open.addr,
            outcome,
            started: open.started,
            elapsed: at.since(open.started),
            won,
        });
    }

    fn hang_up_all(&mut self, at: Instant, outcome: TcpOutcome) {
        for open in std::mem::take(&mut self.open) {
            self.hang_ups.push_back(open.attempt);
            self.end(&open, at, outcome, false);
        }
    }

    fn finish_if_over(&mut self) {
        let won = self.winner.is_some() && self.config.goal == RaceGoal::First;
        if !self.finished && (won || (self.open.is_empty() && self.waiting.is_empty())) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        let untried = std::mem::take(&mut self.waiting).into();
        self.events.push_back(RaceEvent::Finished { winner: self.winner, untried });
    }
}

impl Machine for Race {
    type Input = RaceInput;
    type Transmit = RaceStep;
    type Event = RaceEvent;

    fn handle_input(&mut self, at: Instant, input: RaceInput) {
        if self.finished {
            return;
        }
        match input {
            RaceInput::Connected { attempt } => {
                let Some(open) = self.take_open(attempt) else { return };
                let won = self.winner.is_none();
                self.end(&open, at, TcpOutcome::Connected, won);
                self.winner.get_or_insert(attempt);
                if self.config.goal == RaceGoal::First {
                    self.hang_up_all(at, TcpOutcome::Cancelled);
                }
            }
            RaceInput::Failed { attempt, outcome } => {
                let Some(open) = self.take_open(attempt) else { return };
                self.end(&open, at, outcome, false);
                self.next_at = self.next_at.min(at);
            }
            RaceInput::Cancel => {
                self.hang_up_all(at, TcpOutcome::Cancelled);
                self.finish();
            }
        }
        self.finish_if_over();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.finished {
            return;
        }
        let now = self.now;
        let due = self.open.iter().filter(|open| open.deadline <= now);
        for attempt in due.map(|open| open.attempt).collect::<Vec<_>>() {
            let Some(open) = self.take_open(attempt) else { continue };
            self.hang_ups.push_back(attempt);
            self.end(&open, now, TcpOutcome::TimedOut, false);
            self.next_at = self.next_at.min(now);
        }
        if self.overall_at <= now {
            self.hang_up_all(now, TcpOutcome::TimedOut);
            self.finish();
        }
        self.finish_if_over();
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<RaceStep> {
        if let Some(attempt) = self.hang_ups.pop_front() {
            return Some(RaceStep::HangUp { attempt });
        }
        self.now = self.now.max(now);
        let now = self.now;
        if !self.may_dial() || now < self.next_at || self.overall_at <= now {
            return None;
        }
        let addr = self.waiting.pop_front()?;
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        self.next_at = now + self.config.attempt_delay;
        let deadline = now + self.config.attempt_timeout.max(TIMEOUT_MIN);
        self.open.push(Open { attempt, addr, started: now, deadline });
        Some(RaceStep::Dial { attempt, addr })
    }

    fn poll_event(&mut self) -> Option<RaceEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        if self.finished {
            return None;
        }
        let dial = self.may_dial().then_some(self.next_at);
        let attempt = self.open.iter().map(|open| open.deadline).min();
        Deadline::earliest([
            (attempt, "an attempt's time is over"),
            (dial, "the next address is due"),
            (Some(self.overall_at), "the race's time is over"),
        ])
    }
}

/// Orders addresses for a race: families take turns, beginning with the family of the first
/// address; within a family the order stays (RFC 8305 §4). Duplicates are dropped.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::connect::interleave;
/// let addrs = ["[2001:db8::1]:443", "[2001:db8::2]:443", "192.0.2.1:443", "192.0.2.2:443"]
///     .map(|addr| addr.parse().unwrap());
/// let order: Vec<_> = interleave(&addrs).iter().map(ToString::to_string).collect();
/// let wanted = ["[2001:db8::1]:443", "192.0.2.1:443", "[2001:db8::2]:443", "192.0.2.2:443"];
/// assert_eq!(order, wanted);
/// ```
pub fn interleave(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let mut unique: Vec<SocketAddr> = Vec::with_capacity(addrs.len().min(ADDRS_MAX));
    for addr in addrs {
        if !unique.contains(addr) {
            unique.push(*addr);
        }
    }
    let (mut preferred, mut other): (VecDeque<_>, VecDeque<_>) =
        unique.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let mut order = Vec::with_capacity(preferred.len() + other.len());
    while !preferred.is_empty() || !other.is_empty() {
        order.extend(preferred.pop_front());
        order.extend(other.pop_front());
    }
    order
}

#[derive(Debug)]
struct Open {
    attempt: u32,
    addr: SocketAddr,
    started: Instant,
    deadline: Instant,
}

/// Most addresses one race dials; the rest is dropped. Names with more exist only in error: glibc
/// hands out what fits into 64 KiB, browsers stop far below.
pub const ADDRS_MAX: usize = 64;

/// A timeout of zero would end an attempt before it began.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
