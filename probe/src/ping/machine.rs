//! The schedule, what is in flight, and how each echo ended: no socket, no clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::event::{
    IcmpUnreachable, PingDuplicate, PingEngine, PingError, PingLate, PingLost, PingReply,
    PingSendFailed, StampSource,
};
use sojourner_stats::{Deadline, Instant, Kind, Machine};

use crate::driver::low_16;

use super::PingSummary;
use super::PingTarget;

/// Pings any number of targets, each once an interval, and says how each echo ended.
///
/// Every echo of the run has one number, its id; a reply that carries it back finds its record in
/// constant time, so more than 65,535 may be in flight. A record is kept after its echo ended, so
/// that a duplicate or late reply is told from a stray one.
///
/// ```text
///              Reply          Reply
///   in flight ───────► over ─────────► duplicate
///       │ timeout        ▲
///       └──────► lost ───┘ Reply: late; the loss stands
///       Error, SendFailed: over
/// ```
#[derive(Debug)]
pub(crate) struct Pinger {
    schedule: Schedule,
    targets: Vec<Target>,
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Oldest first; the record of echo `id` is at `id - first`.
    records: VecDeque<Record>,
    first: u64,
    /// The oldest echo that may still be in flight.
    oldest_open: u64,
    open: usize,
    events: VecDeque<PingEvent>,
}

/// When echoes are due and when they are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) count: Option<u64>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// What the driver heard, or did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PingInput {
    /// The echo is about to leave; `at` is its send stamp.
    Sent { id: u64 },
    /// The echo did not leave.
    SendFailed { id: u64, errno: i32 },
    /// A reply; `at` is its receive stamp, `seen` when the driver woke up.
    Reply { key: Key, ttl: Option<u8>, size_bytes: u32, stamp: StampSource, seen: Instant },
    /// An ICMP error; `from` is `None` when this host itself refused.
    Error { key: Key, from: Option<IpAddr>, error: IcmpUnreachable },
}

/// How much an answer tells of the echo it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Its id came back whole.
    Id(u64),
    /// Only the address asked and some low bits of the id.
    Partial { addr: IpAddr, bits: u16, mask: u16 },
}

/// An echo to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) id: u64,
    /// The target's place in the configuration.
    pub(crate) target: usize,
}

/// What happened to a target's echo, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PingEvent {
    pub(crate) at: Instant,
    pub(crate) target: usize,
    pub(crate) kind: Kind,
}

impl Pinger {
    /// The first echoes are due at `now`; those of many targets are spread over the interval in
    /// groups of [`GROUP`].
    pub(crate) fn new(
        schedule: Schedule,
        targets: impl IntoIterator<Item = (PingTarget, PingEngine)>,
        now: Instant,
    ) -> Self {
        let targets: Vec<_> = targets.into_iter().map(Target::new).collect();
        let groups = targets.len().div_ceil(GROUP).max(1);
        let spacing = schedule.interval / u32::try_from(groups).unwrap_or(u32::MAX);
        let members = u32::try_from(GROUP).unwrap_or(u32::MAX);
        let due = (0_u32..)
            .zip(&targets)
            .filter(|_| schedule.count != Some(0))
            .map(|(index, _)| Reverse((now + spacing * (index / members), index)))
            .collect();
        Self {
            schedule,
            targets,
            due,
            records: VecDeque::new(),
            first: 0,
            oldest_open: 0,
            open: 0,
            events: VecDeque::new(),
        }
    }

    /// Whether every echo was sent and has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.due.is_empty() && self.open == 0 && self.events.is_empty()
    }

    /// The counts so far, in the order of the configuration.
    pub(crate) fn summaries(self) -> Vec<PingSummary> {
        self.targets.into_iter().map(|target| target.summary).collect()
    }

    fn on_reply(&mut self, at: Instant, reply: &Reply) {
        let Some((record, target)) = self.find(reply.key) else { return };
        let (mut at, mut stamp) = (at, reply.stamp);
        if at < record.sent {
            // The kernel's clock was stepped between the stamp and now.
            (at, stamp) = (reply.seen, StampSource::User);
        }
        let rtt = at.since(record.sent);
        let (seq, addr, rtt_us) = (record.seq, target.summary.addr, rtt.into());
        let was = std::mem::replace(&mut record.state, State::Over);
        let index = record.target as usize;
        let summary = &mut target.summary;
        let kind = match was {
            State::InFlight => {
                target.rtt_sum += rtt;
                summary.replies += 1;
                summary.rtt_min = Some(summary.rtt_min.map_or(rtt, |min| min.min(rtt)));
                summary.rtt_max = Some(summary.rtt_max.map_or(rtt, |max| max.max(rtt)));
                summary.rtt_mean =
                    Some(target.rtt_sum / u32::try_from(summary.replies).unwrap_or(u32::MAX));
                let Reply { ttl, size_bytes, .. } = *reply;
                let engine = summary.engine;
                Kind::PingReply(PingReply { seq, addr, rtt_us, ttl, size_bytes, stamp, engine })
            }
            State::Lost => {
                summary.late += 1;
                Kind::PingLate(PingLate { seq, addr, rtt_us })
            }
            State::Over => {
                summary.duplicates += 1;
                Kind::PingDuplicate(PingDuplicate { seq, addr, rtt_us })
            }
        };
        self.open -= usize::from(was == State::InFlight);
        self.push_event(PingEvent { at, target: index, kind });
    }

    fn on_error(
        &mut self,
        at: Instant,
        key: Key,
        kind: impl FnOnce(u64, &mut PingSummary) -> Kind,
    ) {
        let Some((record, target)) = self.find(key) else { return };
        if record.state != State::InFlight {
            return; // its fate is told already
        }
        record.state = State::Over;
        let event = PingEvent {
            at: at.max(record.sent),
            target: record.target as usize,
            kind: kind(record.seq, &mut target.summary),
        };
        self.open -= 1;
        self.push_event(event);
    }

    fn find(&mut self, key: Key) -> Option<(&mut Record, &mut Target)> {
        let index = match key {
            Key::Id(id) => usize::try_from(id.checked_sub(self.first)?).ok()?,
            Key::Partial { addr, bits, mask } => self.newest(addr, bits, mask)?,
        };
        let record = self.records.get_mut(index)?;
        let target = self.targets.get_mut(record.target as usize)?;
        Some((record, target))
    }

    /// The newest echo to `addr` whose id ends in `bits`: an answer seldom outlives a newer one.
    fn newest(&self, addr: IpAddr, bits: u16, mask: u16) -> Option<usize> {
        let step = usize::from(mask) + 1;
        let next_id = self.first + self.records.len() as u64;
        let newest = next_id.checked_sub(1)?;
        let back = low_16(newest).wrapping_sub(bits) & mask;
        let newest = usize::try_from(newest.checked_sub(u64::from(back))?.checked_sub(self.first)?);
        let candidates = (0..=newest.ok()?).rev().step_by(step).take(PARTIAL_LOOKS_MAX);
        let asked = |index: &usize| {
            let record = self.records.get(*index);
            record.is_some_and(|record| self.targets[record.target as usize].summary.addr == addr)
        };
        candidates
            .clone()
            .find(|index| asked(index) && self.records[*index].state == State::InFlight)
            .or_else(|| candidates.clone().find(asked))
    }

    fn push_event(&mut self, event: PingEvent) {
        // The caller's contract drains after each call; one call adds at most one event a record.
        self.events.push_back(event);
    }

    /// Moves `oldest_open` to the oldest echo in flight, if there is one.
    fn skip_ended(&mut self) -> Option<&mut Record> {
        while let Some(index) = self.oldest_open.checked_sub(self.first)
            && let Some(record) = self.records.get(usize::try_from(index).ok()?)
        {
            if record.state == State::InFlight {
                return self.records.get_mut(usize::try_from(index).ok()?);
            }
            self.oldest_open += 1;
        }
        None
    }

    /// Forgets echoes that ended so long ago that no answer is expected, and as many more as the
    /// bound asks for.
    fn forget(&mut self, now: Instant) {
        let keep = self.schedule.timeout + LATE_WINDOW;
        while let Some(record) = self.records.front()
            && record.state != State::InFlight
            && (record.sent + keep <= now || self.records.len() >= RECORDS_MAX)
        {
            self.records.pop_front();
            self.first += 1;
        }
        self.oldest_open = self.oldest_open.max(self.first);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX
            && self.records.front().is_some_and(|record| record.state == State::InFlight)
    }
}

impl Machine for Pinger {
    type Input = PingInput;
    type Transmit = Echo;
    type Event = PingEvent;

    fn handle_input(&mut self, at: Instant, input: PingInput) {
        match input {
            PingInput::Sent { id } => {
                if let Some((record, _)) = self.find(Key::Id(id)) {
                    record.sent = at;
                }
            }
            PingInput::SendFailed { id, errno } => {
                self.on_error(at, Key::Id(id), |seq, summary| {
                    summary.send_failed += 1;
                    Kind::PingSendFailed(PingSendFailed { seq, addr: summary.addr, errno })
                });
            }
            PingInput::Reply { key, ttl, size_bytes, stamp, seen } => {
                self.on_reply(at, &Reply { key, ttl, size_bytes, stamp, seen });
            }
            PingInput::Error { key, from, error } => {
                self.on_error(at, key, |seq, summary| {
                    summary.errors += 1;
                    Kind::PingError(PingError { seq, addr: summary.addr, from, error })
                });
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let timeout = self.schedule.timeout;
        while let Some(record) = self.skip_ended()
            && record.sent + timeout <= now
        {
            record.state = State::Lost;
            let (index, seq, at) = (record.target as usize, record.seq, record.sent + timeout);
            let summary = &mut self.targets[index].summary;
            summary.lost += 1;
            self.open -= 1;
            let kind = Kind::PingLost(PingLost { seq, addr: summary.addr });
            self.push_event(PingEvent { at, target: index, kind });
        }
        self.forget(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Echo> {
        let &Reverse((due, index)) = self.due.peek()?;
        self.forget(now);
        if due > now || self.is_full() {
            return None;
        }
        self.due.pop();
        let target = &mut self.targets[index as usize];
        let seq = target.next_seq;
        target.next_seq += 1;
        if self.schedule.count.is_none_or(|count| target.next_seq < count) {
            self.due.push(Reverse((next_due(due, self.schedule.interval, now), index)));
        }
        let id = self.first + self.records.len() as u64;
        self.records.push_back(Record { target: index, state: State::InFlight, seq, sent: now });
        self.open += 1;
        Some(Echo { id, target: index as usize })
    }

    fn poll_event(&mut self) -> Option<PingEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let send = self.due.peek().filter(|_| !self.is_full()).map(|Reverse((due, _))| *due);
        let index = usize::try_from(self.oldest_open.saturating_sub(self.first)).ok();
        let lost = index
            .and_then(|index| {
                self.records
                    .range(index.min(self.records.len())..)
                    .find(|record| record.state == State::InFlight)
            })
            .map(|record| record.sent + self.schedule.timeout);
        Deadline::earliest([(send, "next echo"), (lost, "echo lost")])
    }
}

/// The next due time after `due`, in phase with it. A short delay is caught up, so that the rate
/// holds; a longer one, such as a suspended laptop, owes nothing.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    let next = due + interval;
    if now.since(next) < CATCH_UP {
        return next;
    }
    let interval_ns = interval.as_nanos().max(1);
    let missed = now.since(due).as_nanos() / interval_ns;
    let ahead = u64::try_from((missed + 1) * interval_ns).unwrap_or(u64::MAX);
    due + Duration::from_nanos(ahead)
}

#[derive(Debug)]
struct Target {
    next_seq: u64,
    rtt_sum: Duration,
    summary: PingSummary,
}

impl Target {
    fn new((target, engine): (PingTarget, PingEngine)) -> Self {
        let PingTarget { origin, addr } = target;
        Self {
            next_seq: 0,
            rtt_sum: Duration::ZERO,
            summary: PingSummary::new(origin, addr, engine),
        }
    }
}

struct Reply {
    key: Key,
    ttl: Option<u8>,
    size_bytes: u32,
    stamp: StampSource,
    seen: Instant,
}

#[derive(Debug)]
struct Record {
    target: u32,
    state: State,
    seq: u64,
    sent: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Over,
}

/// Targets that are due together: a wake-up costs about ten echoes, so groups of 32 make it cheap,
/// while their replies still fit eight times into the smallest receive buffer.
const GROUP: usize = 32;
/// Longest lag that is caught up by sending faster.
const CATCH_UP: Duration = Duration::from_millis(100);
/// How long after its loss an echo's late reply is still recognised.
const LATE_WINDOW: Duration = Duration::from_secs(10);
/// Most echoes remembered: 10,000 a second for the longest usual timeout and the late window; 8 MiB.
/// Beyond it, sending waits until the oldest has ended.
const RECORDS_MAX: usize = 1 << 18;
/// Most records looked at for an answer that quotes too little; a forged flood of them stays cheap.
const PARTIAL_LOOKS_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
