//! Which distances are asked when, and when a round is over: no socket, no clock.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::event::{HopAnswer, HopReply, HopSilent, TraceRound};
use sojourner_stats::{Deadline, Instant, Kind, Machine};

use super::{ADDRS_MAX, Hop, RTTS_MAX, TraceConfig, TraceReport};

/// Walks a path in rounds. A round asks all distances at once, so it takes about one round trip:
/// it ends when everything up to the target has answered, or after the grace for silent hops.
#[derive(Debug)]
pub(crate) struct Tracer {
    config: TraceConfig,
    round: u32,
    started: Instant,
    next_ttl: u8,
    phase: Phase,
    slots: Vec<Slot>,
    /// The distance of the target in the last round that found it.
    known: Option<u8>,
    hops: Vec<Hop>,
    reached: bool,
    events: VecDeque<(Instant, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sending,
    Waiting,
    Resting,
    Done,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    sent: Option<Instant>,
    rtt: Option<Duration>,
    answer: Option<HopAnswer>,
}

/// A packet to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) round: u32,
    pub(crate) ttl: u8,
}

/// What the driver heard, or did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TraceInput {
    /// The probe is about to leave; `at` is its send stamp.
    Sent { ttl: u8 },
    /// An answer to a probe; `round` holds its low bits, as many as came back.
    Answer {
        round: u32,
        round_mask: u32,
        ttl: u8,
        from: IpAddr,
        answer: HopAnswer,
        return_ttl: Option<u8>,
    },
}

impl Tracer {
    pub(crate) fn new(config: &TraceConfig, now: Instant) -> Self {
        let phase = if config.rounds == Some(0) { Phase::Done } else { Phase::Sending };
        Self {
            round: 0,
            started: now,
            next_ttl: 1,
            phase,
            slots: vec![Slot::default(); usize::from(config.max_ttl) + 1],
            known: None,
            hops: Vec::new(),
            reached: false,
            events: VecDeque::new(),
            config: config.clone(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done && self.events.is_empty()
    }

    pub(crate) fn report(self) -> TraceReport {
        TraceReport { rounds: self.round, hops: self.hops, reached: self.reached }
    }

    /// The farthest distance worth asking: the target's, once it is known.
    fn limit(&self) -> u8 {
        self.end().or(self.known).unwrap_or(self.config.max_ttl)
    }

    /// The nearest distance of this round at which the path ends.
    fn end(&self) -> Option<u8> {
        let ends =
            |slot: &Slot| slot.answer.is_some_and(|answer| answer != HopAnswer::TimeExceeded);
        self.slots.iter().position(ends).and_then(|ttl| u8::try_from(ttl).ok())
    }

    fn last_answered(&self) -> u8 {
        let last = self.slots.iter().rposition(|slot| slot.answer.is_some()).unwrap_or(0);
        u8::try_from(last).unwrap_or(u8::MAX)
    }

    /// How long to wait for the silent: three times the slowest answer, but long enough for a busy
    /// host, and never beyond the timeout.
    fn grace(&self) -> Duration {
        let slowest = self.slots.iter().filter_map(|slot| slot.rtt).max();
        slowest.map_or(self.config.timeout, |slowest| {
            (slowest * GRACE_FACTOR).max(GRACE_MIN).min(self.config.timeout)
        })
    }

    fn wait_until(&self) -> Instant {
        let last = self.slots.iter().filter_map(|slot| slot.sent).max().unwrap_or(self.started);
        last + self.grace()
    }

    fn all_answered(&self) -> bool {
        self.end().is_some_and(|end| {
            self.slots[1..=usize::from(end)].iter().all(|slot| slot.answer.is_some())
        })
    }

    fn end_round(&mut self, at: Instant) {
        let end = self.end();
        let hops = end.unwrap_or_else(|| self.last_answered());
        let (round, protocol) = (self.round, self.config.protocol);
        for ttl in 1..=hops {
            let rtt = self.slots[usize::from(ttl)].rtt;
            if rtt.is_none() {
                self.events.push_back((at, Kind::HopSilent(HopSilent { round, ttl, protocol })));
            }
            let hop = self.hop(ttl);
            if hop.rtts.len() == RTTS_MAX {
                hop.rtts.remove(0);
            }
            hop.rtts.push(rtt);
        }
        let reached =
            end.is_some_and(|end| self.slots[usize::from(end)].answer == Some(HopAnswer::Reached));
        self.reached |= reached;
        self.known = end;
        let elapsed_us = at.since(self.started).into();
        let addr = self.config.addr;
        let done = TraceRound { round, addr, hops, reached, elapsed_us, protocol };
        self.events.push_back((at, Kind::TraceRound(done)));
        self.round += 1;
        let last = self.config.rounds.is_some_and(|rounds| self.round >= rounds);
        self.phase = if last { Phase::Done } else { Phase::Resting };
    }

    fn hop(&mut self, ttl: u8) -> &mut Hop {
        let index = usize::from(ttl.max(1)) - 1;
        while self.hops.len() <= index {
            let ttl = u8::try_from(self.hops.len() + 1).unwrap_or(u8::MAX);
            self.hops.push(Hop { ttl, addrs: Vec::new(), rtts: Vec::new(), answer: None });
        }
        &mut self.hops[index]
    }
}

impl Machine for Tracer {
    type Input = TraceInput;
    type Transmit = Probe;
    type Event = (Instant, Kind);

    fn handle_input(&mut self, at: Instant, input: TraceInput) {
        match input {
            TraceInput::Sent { ttl } => {
                if let Some(slot) = self.slots.get_mut(usize::from(ttl)) {
                    slot.sent = Some(at);
                }
            }
            TraceInput::Answer { round, round_mask, ttl, from, answer, return_ttl } => {
                let current = matches!(self.phase, Phase::Sending | Phase::Waiting)
                    && (round ^ self.round) & round_mask == 0
                    && (1..=self.limit()).contains(&ttl);
                let slot = self.slots.get_mut(usize::from(ttl)).filter(|_| current);
                let Some(Slot { sent: Some(sent), rtt, answer: told @ None }) = slot else {
                    return; // late, doubled, or from beyond the target
                };
                let took = at.since(*sent);
                (*rtt, *told) = (Some(took), Some(answer));
                let (round, protocol) = (self.round, self.config.protocol);
                let rtt_us = took.into();
                let reply =
                    HopReply { round, ttl, addr: from, rtt_us, answer, protocol, return_ttl };
                self.events.push_back((at, Kind::HopReply(reply)));
                let hop = self.hop(ttl);
                hop.answer = Some(answer);
                if !hop.addrs.contains(&from) && hop.addrs.len() < ADDRS_MAX {
                    hop.addrs.push(from);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting if self.all_answered() || self.wait_until() <= now => {
                self.end_round(now);
            }
            Phase::Resting if self.started + self.config.interval <= now => {
                self.started = now;
                self.next_ttl = 1;
                self.slots.fill(Slot::default());
                self.phase = Phase::Sending;
            }
            _ => {}
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Probe> {
        if self.phase != Phase::Sending {
            return None;
        }
        if self.next_ttl > self.limit() {
            self.phase = Phase::Waiting;
            return None;
        }
        let ttl = self.next_ttl;
        self.next_ttl += 1;
        self.slots[usize::from(ttl)].sent = Some(now);
        Some(Probe { round: self.round, ttl })
    }

    fn poll_event(&mut self) -> Option<(Instant, Kind)> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let (at, why) = match self.phase {
            Phase::Sending => (self.started, "next probe"),
            Phase::Waiting if self.all_answered() => (self.started, "all answered"),
            Phase::Waiting => (self.wait_until(), "silent hops"),
            Phase::Resting => (self.started + self.config.interval, "next round"),
            Phase::Done => return None,
        };
        Some(Deadline { at, why })
    }
}

/// As traceroute waits once a probe was answered (its option -w).
const GRACE_FACTOR: u32 = 3;
/// Shortest grace: what a busy host may take to answer on a fast network.
const GRACE_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use sojourner_stats::{Origin, Source};

    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn tracer(rounds: u32) -> Tracer {
        let addr = IpAddr::from([192, 0, 2, 9]);
        let config = TraceConfig {
            rounds: Some(rounds),
            ..TraceConfig::new(Origin::new(Source::Trace, "t"), addr)
        };
        Tracer::new(&config, ms(0))
    }

    fn answer(round: u32, ttl: u8, answer: HopAnswer) -> TraceInput {
        let from = IpAddr::from([192, 0, 2, ttl]);
        TraceInput::Answer { round, round_mask: u32::MAX, ttl, from, answer, return_ttl: None }
    }

    fn sends(tracer: &mut Tracer, now: Instant) -> usize {
        std::iter::from_fn(|| tracer.poll_transmit(now)).count()
    }

    fn events(tracer: &mut Tracer) -> Vec<Kind> {
        std::iter::from_fn(|| tracer.poll_event()).map(|(_, kind)| kind).collect()
    }

    #[test]
    fn a_round_ends_as_soon_as_all_up_to_the_target_have_answered() {
        let mut tracer = tracer(2);
        assert_eq!(sends(&mut tracer, ms(0)), 30, "all distances at once");
        tracer.handle_input(ms(9), answer(0, 3, HopAnswer::Reached));
        tracer.handle_input(ms(9), answer(0, 4, HopAnswer::Reached)); // beyond the target
        tracer.handle_input(ms(10), answer(0, 1, HopAnswer::TimeExceeded));
        tracer.handle_input(ms(11), answer(0, 2, HopAnswer::TimeExceeded));
        tracer.handle_timeout(ms(11));
        let kinds = events(&mut tracer);
        assert_eq!(kinds.len(), 4, "{kinds:?}");
        assert!(matches!(&kinds[3], Kind::TraceRound(r) if r.hops == 3 && r.reached));
        tracer.handle_timeout(ms(1000));
        assert_eq!(sends(&mut tracer, ms(1000)), 3, "the target's distance is known");
    }

    #[test]
    fn a_silent_hop_costs_three_times_the_slowest_answer_and_is_told() {
        let mut tracer = tracer(1);
        sends(&mut tracer, ms(0));
        tracer.handle_input(ms(50), answer(0, 1, HopAnswer::TimeExceeded));
        tracer.handle_input(ms(60), answer(0, 3, HopAnswer::Reached));
        assert_eq!(tracer.poll_timeout().map(|due| due.at), Some(ms(180)));
        tracer.handle_timeout(ms(179));
        assert_eq!(events(&mut tracer).len(), 2, "not yet");
        tracer.handle_timeout(ms(180));
        let kinds = events(&mut tracer);
        assert!(matches!(&kinds[..], [Kind::HopSilent(s), Kind::TraceRound(_)] if s.ttl == 2));
        assert!(tracer.is_done());
        let report = tracer.report();
        assert_eq!(report.hops[1].rtts, [None]);
        assert!(report.reached);
    }

    #[test]
    fn a_dead_end_ends_at_the_timeout_and_an_unreachable_is_the_end_of_the_path() {
        let mut tracer = tracer(2);
        sends(&mut tracer, ms(0));
        assert_eq!(tracer.poll_timeout().map(|due| due.at), Some(ms(1000)), "nobody answers");
        tracer.handle_timeout(ms(1000));
        tracer.handle_timeout(ms(1001));
        sends(&mut tracer, ms(1001));
        tracer.handle_input(ms(1002), answer(0, 1, HopAnswer::TimeExceeded)); // of round 0: late
        let prohibited =
            HopAnswer::Unreachable(sojourner_stats::event::IcmpUnreachable::Prohibited);
        tracer.handle_input(ms(1003), answer(1, 1, prohibited));
        tracer.handle_timeout(ms(1003));
        let kinds = events(&mut tracer);
        assert!(
            matches!(&kinds[..], [Kind::TraceRound(a), Kind::HopReply(_), Kind::TraceRound(b)]
                if a.hops == 0 && b.hops == 1 && !b.reached),
            "{kinds:?}"
        );
    }
}
