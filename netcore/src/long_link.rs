//! The long link as a pure machine: what to dial, write and close; what became of each task.
//!
//! ```text
//!                 dial fails, times out            wait (cadence) is over
//!              ┌────────────────────────► ConnectFailed ───────────┐
//!   Idle ──► Connecting ◄──────────────────────────────────────────┤
//!              └────────────► Connected ──► Disconnected ──────────┘
//!                dialled        │  closed, reset, not a packet, no heartbeat, network changed
//!                               └─ tasks: waiting ─► encoded ─► sent ─► reply | lost ─► waiting
//! ```
//!
//! - Every [`Input::Send`] ends in exactly one [`LinkEvent::Done`], at its deadline at the latest;
//!   every task that was accepted (refused are only the invalid, those beyond the limit, and all
//!   after a close) also in one `TaskProfile`.
//! - Every [`Transmit::Dial`] ends in exactly one `ConnectProfile`, every beat in one `Heartbeat`,
//!   every change of state in one `LinkState`.
//! - A task of which the kernel took nothing before its connection broke waits again at no cost;
//!   one that was on the wire spends a retry, or ends as [`TaskError::Lost`].
//! - A task that times out closes nothing (Mars closes the link under all others). If the server
//!   was silent since it was sent, that is a reason to ask by a beat at once.
//! - Pushes and replies that came before a framing error or a close are delivered.
//!
//! Source: `Tencent/mars:mars/stn/src/longlink.cc`, `longlink_task_manager.cc`.

mod connection;
mod ledger;
mod signal;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sojourner_stats::event::{
    AddressSource, ChannelKind, ConnectProfile, ConnectReason, DisconnectReason, Heartbeat,
    LinkState, LinkStatus, TaskFailure, TaskProfile,
};
use sojourner_stats::time::Deadline;
use sojourner_stats::{Instant, Kind, Machine, Micros};

use crate::cadence::Cadence;
use crate::codec::{Codec, MarsCodec, Meaning, Packet, TASK_ID_END};
use crate::config::LinkConfig;
use crate::heartbeat::Heart;
use crate::task::{Push, Reply, Stage, Task, TaskError};
use connection::{Connection, Phase};
use ledger::{Entry, Ledger, Place};
pub use signal::{DialReport, Input, LinkEvent, Transmit, Won};

/// The machine of one long link; see the [module](self).
///
/// # Examples
///
/// ```
/// # use sojourner_netcore::{LinkConfig, codec::MarsCodec};
/// # use sojourner_netcore::long_link::{Input, LinkMachine, Transmit};
/// # use sojourner_stats::{Instant, Machine};
/// let config = LinkConfig::new("192.0.2.7:80")?;
/// let mut link = LinkMachine::new(config, MarsCodec::default(), 1);
/// link.handle_input(Instant::ZERO, Input::Connect);
/// assert_eq!(link.poll_transmit(Instant::ZERO), Some(Transmit::Dial { connection: 0 }));
/// # Ok::<(), sojourner_netcore::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct LinkMachine<C = MarsCodec> {
    config: LinkConfig,
    codec: C,
    rng: ChaCha8Rng,
    cadence: Cadence,
    phase: Phase,
    status: LinkStatus,
    ledger: Ledger,
    next_connection: u64,
    /// The last dial found no address.
    unresolved: bool,
    now: Instant,
    todo: VecDeque<Transmit>, // dials and closes: at most two a call
    events: VecDeque<LinkEvent>,
}

impl<C: Codec> LinkMachine<C> {
    /// Makes an idle link. `seed` decides the jitter.
    pub fn new(config: LinkConfig, codec: C, seed: u64) -> Self {
        Self {
            cadence: Cadence::new(config.backoff),
            config,
            codec,
            rng: ChaCha8Rng::seed_from_u64(seed),
            phase: Phase::Idle,
            status: LinkStatus::Idle,
            ledger: Ledger::default(),
            next_connection: 0,
            unresolved: false,
            now: Instant::ZERO,
            todo: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The state, as the last `LinkState` said it.
    pub const fn status(&self) -> LinkStatus {
        self.status
    }

    /// Tasks accepted and not ended.
    pub fn tasks(&self) -> usize {
        self.ledger.len()
    }

    /// Tasks of these that are on the wire, or just before it.
    pub fn in_flight(&self) -> usize {
        self.ledger.in_flight()
    }

    /// Whether [`Input::Close`] was handled; nothing more happens then.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}

impl<C: Codec> Machine for LinkMachine<C> {
    type Input = Input;
    type Transmit = Transmit;
    type Event = LinkEvent;

    fn handle_input(&mut self, at: Instant, input: Input) {
        self.now = self.now.max(at);
        match input {
            Input::Connect => match self.phase {
                Phase::Idle => self.dial(ConnectReason::First),
                Phase::Waiting { .. } => self.dial(ConnectReason::Reconnect),
                Phase::Dialling { .. } | Phase::Up(_) | Phase::Closed => {}
            },
            Input::Send { id, task } => self.on_send(id, task),
            Input::Cancel { id } => {
                if let Some(entry) = self.ledger.remove(id) {
                    self.finish(id, &entry, 0, Err(TaskError::Cancelled));
                    self.fill();
                }
            }
            Input::NetworkChanged => self.on_network_changed(),
            Input::Close => self.on_close(),
            Input::Dialled { connection, report } => self.on_dialled(connection, report),
            Input::Received { connection, bytes } => self.on_received(connection, bytes),
            Input::Written { connection, bytes } => self.on_written(connection, bytes),
            Input::Ended { connection, reason, errno } => {
                if matches!(&self.phase, Phase::Up(up) if up.id == connection) {
                    self.disconnect(reason, errno);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some((due, id)) = self.ledger.first_due()
            && due <= self.now
        {
            self.expire(id);
        }
        self.fill();
        match &self.phase {
            Phase::Waiting { until, with_task } => {
                if *until <= self.now {
                    self.dial(ConnectReason::Reconnect);
                } else if *with_task <= self.now && self.ledger.has_waiting() {
                    self.dial(ConnectReason::Task);
                }
            }
            Phase::Dialling { since, .. } if *since + self.config.connect_timeout <= self.now => {
                self.abort_dial();
                self.on_dial_failed();
            }
            Phase::Up(up) => {
                if up.heart.lost_at().is_some_and(|at| at <= self.now) {
                    self.disconnect(DisconnectReason::HeartbeatTimeout, None);
                } else if up.heart.due().is_some_and(|at| at <= self.now) {
                    self.beat();
                }
            }
            Phase::Idle | Phase::Dialling { .. } | Phase::Closed => {}
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        if let Some(next) = self.todo.pop_front() {
            return Some(next);
        }
        match &mut self.phase {
            Phase::Up(up) if !up.outbound.is_empty() => {
                Some(Transmit::Write { connection: up.id, bytes: up.outbound.split().freeze() })
            }
            _ => None,
        }
    }

    fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let task = self.ledger.first_due().map(|(at, _)| at);
        let (phase, why) = match &self.phase {
            Phase::Idle | Phase::Closed => (None, "nothing"),
            Phase::Dialling { since, .. } => {
                (Some(*since + self.config.connect_timeout), "connect timeout")
            }
            Phase::Waiting { .. } => (self.next_attempt(), "next attempt"),
            Phase::Up(up) => match up.heart.lost_at() {
                Some(at) => (Some(at), "heartbeat lost"),
                None => (up.heart.due(), "heartbeat due"),
            },
        };
        Deadline::earliest([(task, "task deadline"), (phase, why)])
    }
}

impl<C: Codec> LinkMachine<C> {
    fn on_send(&mut self, id: u32, task: Task) {
        if let Err(error) = self.check(id, &task) {
            self.events.push_back(LinkEvent::Done { id, result: Err(error) });
            return;
        }
        let entry = Entry {
            cmd: task.cmd,
            body: task.body,
            ticket: 0,
            accepted: self.now,
            deadline: self.now + task.timeout,
            retries_left: task.retries,
            attempts: 0,
            place: Place::Waiting,
            first_sent: None,
            sent_bytes: 0,
        };
        self.ledger.accept(id, entry);
        match &self.phase {
            Phase::Idle => self.dial(ConnectReason::Task),
            Phase::Waiting { with_task, .. } if *with_task <= self.now => {
                self.dial(ConnectReason::Task);
            }
            Phase::Up(_) => self.fill(),
            Phase::Waiting { .. } | Phase::Dialling { .. } | Phase::Closed => {}
        }
    }

    fn check(&self, id: u32, task: &Task) -> Result<(), TaskError> {
        if self.is_closed() {
            return Err(TaskError::Closed);
        }
        if id == 0 || id >= TASK_ID_END || self.ledger.contains(id) {
            let (what, allowed) = ("the id", "1 to 0xFFFFFFEF, not in use");
            return Err(TaskError::Invalid { what, given: id.into(), allowed });
        }
        task.check(self.codec.noop().0, self.codec.body_bytes_max())?;
        if self.ledger.len() >= self.config.tasks_max {
            return Err(TaskError::Full { max: self.config.tasks_max });
        }
        Ok(())
    }

    fn on_network_changed(&mut self) {
        match &self.phase {
            Phase::Idle | Phase::Closed => return,
            Phase::Up(_) => self.disconnect(DisconnectReason::NetworkChange, None),
            Phase::Dialling { .. } => self.abort_dial(),
            Phase::Waiting { .. } => {}
        }
        self.cadence.reset();
        self.dial(ConnectReason::NetworkChange);
    }

    fn on_close(&mut self) {
        match &self.phase {
            Phase::Closed => return,
            Phase::Up(_) => self.disconnect(DisconnectReason::Closed, None),
            Phase::Dialling { .. } => self.abort_dial(),
            Phase::Idle | Phase::Waiting { .. } => {}
        }
        self.phase = Phase::Closed;
        for id in self.ledger.ids() {
            if let Some(entry) = self.ledger.remove(id) {
                self.finish(id, &entry, 0, Err(TaskError::Closed));
            }
        }
        self.report_state(LinkStatus::Disconnected, Some(DisconnectReason::Closed));
    }

    /// Gives up the dial that runs; the caller says what comes next.
    fn abort_dial(&mut self) {
        let Phase::Dialling { connection, reason, since } = self.phase else { return };
        self.todo.push_back(Transmit::Close { connection });
        let report = DialReport { race: self.now.since(since), ..DialReport::default() };
        self.report(Kind::ConnectProfile(self.profile(connection, reason, report)));
    }

    fn on_dial_failed(&mut self) {
        self.cadence.on_ended(None);
        self.wait();
        self.report_state(LinkStatus::ConnectFailed, None);
    }

    fn dial(&mut self, reason: ConnectReason) {
        let connection = self.next_connection;
        self.next_connection += 1;
        self.phase = Phase::Dialling { connection, reason, since: self.now };
        self.todo.push_back(Transmit::Dial { connection });
        self.report_state(LinkStatus::Connecting, None);
    }

    fn on_dialled(&mut self, connection: u64, report: DialReport) {
        let Phase::Dialling { connection: expected, reason, .. } = self.phase else { return };
        if expected != connection {
            return;
        }
        self.unresolved = report.unresolved;
        let won = report.won;
        let profile = self.profile(connection, reason, report);
        let Some(won) = won else {
            self.report(Kind::ConnectProfile(profile));
            self.on_dial_failed();
            return;
        };
        let (interval, timeout) = (self.config.heartbeat_interval, self.config.heartbeat_timeout);
        self.phase = Phase::Up(Box::new(Connection {
            id: connection,
            addr: won.addr,
            since: self.now,
            profile,
            heart: Heart::new(interval, timeout, self.now),
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            encoded: 0,
            taken: 0,
            untaken: VecDeque::new(),
        }));
        self.report_state(LinkStatus::Connected, None);
        self.beat();
        self.fill();
    }

    fn on_received(&mut self, connection: u64, bytes: BytesMut) {
        let Phase::Up(up) = &mut self.phase else { return };
        if up.id != connection {
            return;
        }
        up.profile.received_bytes += bytes.len() as u64;
        up.heart.on_heard(self.now);
        if up.inbound.is_empty() {
            up.inbound = bytes;
        } else {
            // Without a copy when the driver's buffer still is the one the first part came in.
            up.inbound.unsplit(bytes);
        }
        let mut inbound = std::mem::take(&mut up.inbound);
        loop {
            match self.codec.decode(&mut inbound) {
                Ok(Some(packet)) => self.on_packet(packet),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(link = %self.config.name, %error, "closing the connection");
                    self.disconnect(DisconnectReason::Framing, None);
                    return;
                }
            }
        }
        if let Phase::Up(up) = &mut self.phase {
            up.inbound = inbound;
        }
        self.fill();
    }

    fn on_packet(&mut self, packet: Packet) {
        let meaning = self.codec.meaning(&packet);
        let Packet { cmd, seq, body, wire_bytes } = packet;
        match meaning {
            Meaning::Noop => self.end_beat(true),
            Meaning::Push => self.events.push_back(LinkEvent::Push(Push { cmd, body })),
            Meaning::Reply if self.ledger.expects_reply(seq) => {
                if let Some(entry) = self.ledger.remove(seq) {
                    self.finish(seq, &entry, wire_bytes.into(), Ok(Reply { cmd, body }));
                }
            }
            // Of a task that ended meanwhile.
            Meaning::Reply => tracing::trace!(link = %self.config.name, seq, "reply to no task"),
        }
    }

    fn on_written(&mut self, connection: u64, bytes: u64) {
        let Phase::Up(up) = &mut self.phase else { return };
        if up.id != connection || bytes == 0 {
            return;
        }
        up.taken = up.encoded.min(up.taken + bytes);
        up.heart.on_sent(self.now);
        while let Some((begin, id)) = up.untaken.front().copied()
            && begin < up.taken
        {
            up.untaken.pop_front();
            // The place tells a task from a later one that was sent again in the meantime.
            if let Some(entry) = self.ledger.entry(id)
                && entry.place == Place::Encoded
            {
                entry.place = Place::Sent(self.now);
                entry.attempts += 1;
                entry.first_sent.get_or_insert(self.now);
            }
        }
        self.fill();
    }

    /// Encodes waiting tasks, as far as window and backlog allow.
    fn fill(&mut self) {
        let Phase::Up(up) = &mut self.phase else { return };
        while up.backlog() < BACKLOG_BYTES_MAX
            && self.ledger.in_flight() < self.config.in_flight_max
        {
            let Some((id, entry)) = self.ledger.take_turn() else { break };
            let before = up.outbound.len();
            self.codec.encode(entry.cmd, id, &entry.body, &mut up.outbound);
            let wire_bytes = (up.outbound.len() - before) as u64;
            entry.sent_bytes += wire_bytes;
            up.untaken.push_back((up.encoded, id));
            up.encoded += wire_bytes;
        }
    }

    fn beat(&mut self) {
        let Phase::Up(up) = &mut self.phase else { return };
        if up.heart.begin(self.now, &mut self.rng) {
            let before = up.outbound.len();
            let (cmd, seq) = self.codec.noop();
            self.codec.encode(cmd, seq, &[], &mut up.outbound);
            up.encoded += (up.outbound.len() - before) as u64;
        }
    }

    fn end_beat(&mut self, answered: bool) {
        let Phase::Up(up) = &mut self.phase else { return };
        if let Some(end) = up.heart.end(self.now) {
            let link = Arc::clone(&self.config.name);
            let (interval_us, cost_us) = (Micros(end.planned), Micros(end.cost));
            self.report(Kind::Heartbeat(Heartbeat { link, answered, interval_us, cost_us }));
        }
    }

    fn expire(&mut self, id: u32) {
        let Some(entry) = self.ledger.remove(id) else { return };
        let timeout = entry.deadline.since(entry.accepted);
        let stage = match (&self.phase, entry.place) {
            (Phase::Up(up), Place::Sent(at)) if up.heart.last_heard() <= at => {
                Stage::Silent(up.addr)
            }
            (Phase::Up(up), Place::Sent(_)) => Stage::Unanswered(up.addr),
            (Phase::Up(_), _) => Stage::Queued,
            _ if self.unresolved => Stage::Resolving,
            _ => Stage::Connecting,
        };
        self.finish(id, &entry, 0, Err(TaskError::TimedOut { timeout, stage }));
        if matches!(stage, Stage::Silent(_)) {
            self.beat();
        }
    }

    fn disconnect(&mut self, reason: DisconnectReason, errno: Option<i32>) {
        self.end_beat(false);
        let Phase::Up(up) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        let lived = self.now.since(up.since);
        self.todo.push_back(Transmit::Close { connection: up.id });
        let (lived_us, ended) = (Some(Micros(lived)), Some(reason));
        let sent_bytes = up.taken;
        self.report(Kind::ConnectProfile(ConnectProfile {
            lived_us,
            ended,
            sent_bytes,
            ..up.profile
        }));
        self.cadence.on_ended(Some(lived));
        self.wait();
        if reason == DisconnectReason::Closed {
            return; // `on_close` ends the tasks and reports the state
        }
        for id in self.ledger.in_flight_ids() {
            let Some(entry) = self.ledger.entry(id) else { continue };
            match entry.place {
                Place::Sent(_) if entry.retries_left > 0 => entry.retries_left -= 1,
                Place::Sent(at) => {
                    let (attempts, heard) = (entry.attempts, up.heart.last_heard() > at);
                    let error = TaskError::Lost { addr: up.addr, reason, errno, attempts, heard };
                    if let Some(entry) = self.ledger.remove(id) {
                        self.finish(id, &entry, 0, Err(error));
                    }
                    continue;
                }
                // Nothing of it went out.
                Place::Encoded | Place::Waiting => {}
            }
            self.ledger.requeue(id);
        }
        self.report_state(LinkStatus::Disconnected, Some(reason));
    }

    /// Enters the wait before the next attempt.
    fn wait(&mut self) {
        let wait = self.cadence.next_wait(&mut self.rng);
        let (until, with_task) = (self.now + wait.idle, self.now + wait.with_task);
        self.phase = Phase::Waiting { until, with_task };
    }

    /// When the wait is over; `None` when there is none.
    fn next_attempt(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { with_task, .. } if self.ledger.has_waiting() => Some(*with_task),
            Phase::Waiting { until, .. } => Some(*until),
            _ => None,
        }
    }

    fn finish(
        &mut self,
        id: u32,
        entry: &Entry,
        received_bytes: u64,
        result: Result<Reply, TaskError>,
    ) {
        let failure = result
            .as_ref()
            .err()
            .map(|error| TaskFailure { step: error.step(), retryable: error.is_retryable() });
        self.report(Kind::TaskProfile(TaskProfile {
            task: id,
            cmd: entry.cmd,
            channel: ChannelKind::Long,
            link: Arc::clone(&self.config.name),
            attempts: entry.attempts,
            queued_us: entry.first_sent.map(|at| Micros(at.since(entry.accepted))),
            total_us: Micros(self.now.since(entry.accepted)),
            sent_bytes: entry.sent_bytes,
            received_bytes,
            failure,
        }));
        self.events.push_back(LinkEvent::Done { id, result });
    }

    fn profile(&self, connection: u64, reason: ConnectReason, dial: DialReport) -> ConnectProfile {
        let source = match self.config.host {
            crate::config::Host::Name(_) => AddressSource::Dns,
            crate::config::Host::Addr(_) => AddressSource::Literal,
        };
        ConnectProfile {
            link: Arc::clone(&self.config.name),
            connection,
            reason,
            host: Arc::clone(&self.config.target),
            dns_us: Micros(dial.dns),
            candidates: dial.candidates,
            source,
            connect_us: Micros(dial.race),
            tried: dial.tried,
            winner: dial.won.map(|won| won.index),
            addr: dial.won.map(|won| won.addr),
            local: dial.won.and_then(|won| won.local),
            rtt_us: dial.won.map(|won| Micros(won.rtt)),
            lived_us: None,
            ended: None,
            sent_bytes: 0,
            received_bytes: 0,
        }
    }

    fn report_state(&mut self, status: LinkStatus, reason: Option<DisconnectReason>) {
        self.status = status;
        let link = Arc::clone(&self.config.name);
        let retry_in_us = self.next_attempt().map(|at| Micros(at.since(self.now)));
        self.report(Kind::LinkState(LinkState { link, status, reason, retry_in_us }));
    }

    fn report(&mut self, kind: Kind) {
        self.events.push_back(LinkEvent::Report(kind));
    }
}

/// Encoded bytes that the kernel has not taken; at this bound tasks wait unencoded, so that a
/// broken connection costs little and one task of the largest size always fits.
const BACKLOG_BYTES_MAX: u64 = 256 * 1_024;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
