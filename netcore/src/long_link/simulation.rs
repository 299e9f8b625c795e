//! Hours of a bad network in virtual time, over many seeds; the failing seed is printed.
//!
//! The world dials (or fails to), takes bytes in parts, delays, goes silent without closing,
//! resets, pushes, and cancels, all drawn from the seed. After every step the machine's laws are
//! checked; at the end, that everything that began ended exactly once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand_core::RngCore;

use super::*;
use crate::cadence::Backoff;

#[test]
fn whatever_the_network_does_everything_ends_exactly_once() {
    let first = std::env::var("SOJOURNER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..500, |seed: u64| seed..seed + 1);
    let mut tally = Tally::default();
    for seed in seeds {
        eprintln!("seed {seed}"); // shown when it fails
        tally.add(&World::new(seed).run());
    }
    // A simulation in which nothing goes wrong, or nothing goes right, proves nothing.
    for (what, count) in [
        ("replies", tally.replies),
        ("timed out", tally.timed_out),
        ("lost", tally.lost),
        ("refused", tally.refused),
        ("cancelled", tally.cancelled),
        ("silent links found", tally.silent_found),
        ("pushes", tally.pushes),
    ] {
        assert!(count >= 20 || first.is_some(), "only {count} {what}: {tally:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in 0..5 {
        assert_eq!(World::new(seed).run().log, World::new(seed).run().log, "seed {seed}");
    }
}

/// What happened in one world.
#[derive(Debug, Default)]
struct Tally {
    replies: usize,
    timed_out: usize,
    lost: usize,
    refused: usize,
    cancelled: usize,
    silent_found: usize,
    pushes: usize,
    log: Vec<LinkEvent>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.replies += other.replies;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.silent_found += other.silent_found;
        self.pushes += other.pushes;
    }
}

/// What is to happen.
enum Plan {
    Send { id: u32, task: Task },
    Cancel { id: u32 },
    NetworkChanged,
    Dialled { connection: u64, report: DialReport },
    Taken { connection: u64 },
    ToServer { connection: u64, bytes: Bytes },
    ToClient { connection: u64, bytes: Bytes },
    Break { connection: u64, reason: DisconnectReason },
    Silence { connection: u64 },
}

/// The far end of the connection that is open.
struct Peer {
    connection: u64,
    server: (MarsCodec, BytesMut),
    wire: (MarsCodec, BytesMut),
    untaken: BytesMut,
    silent: bool,
    /// Bytes arrive in order: not before this, in ms.
    arrives_ms: u64,
    last_heard: Instant,
}

struct World {
    rng: ChaCha8Rng,
    machine: LinkMachine,
    now: Instant,
    plans: BTreeMap<(Instant, u64), Plan>,
    planned: u64,
    peer: Option<Peer>,
    dialling: Option<u64>,
    sent: BTreeMap<u32, (Instant, Task)>,
    ended: BTreeMap<u32, u32>,
    profiles: BTreeMap<u32, u32>,
    dials: usize,
    connect_profiles: usize,
    noops: usize,
    heartbeats: usize,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> Self {
        let config = LinkConfig::new("192.0.2.7:80")
            .and_then(|config| config.with_heartbeat(INTERVAL, TIMEOUT))
            .and_then(|config| config.with_limits(IN_FLIGHT_MAX, TASKS_MAX))
            .and_then(|config| config.with_backoff(Backoff::default()))
            .unwrap();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            machine: LinkMachine::new(config, MarsCodec::default(), seed),
            now: Instant::ZERO,
            plans: BTreeMap::new(),
            planned: 0,
            peer: None,
            dialling: None,
            sent: BTreeMap::new(),
            ended: BTreeMap::new(),
            profiles: BTreeMap::new(),
            dials: 0,
            connect_profiles: 0,
            noops: 0,
            heartbeats: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Tally {
        let mut at_ms = 0;
        for id in 1..=TASKS {
            // Mostly apart, sometimes a burst that exceeds the limits.
            at_ms += if self.chance(70) { 0 } else { self.below(20_000) };
            let size = if self.chance(5) { 100_000 } else { self.below(200) };
            let body = vec![u8::try_from(id % 251).unwrap(); usize::try_from(size).unwrap()];
            let timeout = Duration::from_millis(1 + self.below(60_000));
            let retries = u32::try_from(self.below(3)).unwrap();
            let task = Task::new(12, body).with_timeout(timeout).with_retries(retries);
            self.plan(at_ms, Plan::Send { id, task });
            if self.chance(15) {
                let after = self.below(20_000);
                self.plan(at_ms + after, Plan::Cancel { id });
            }
            if self.chance(3) {
                self.plan(at_ms, Plan::NetworkChanged);
            }
        }
        self.step(|machine, now| machine.handle_input(now, Input::Connect));
        let end = Instant::from_millis(at_ms + 1_200_000);
        for _ in 0..STEPS_MAX {
            let plan = self.plans.first_key_value().map(|((at, _), _)| *at);
            let due = self.machine.poll_timeout().map(|due| due.at);
            let Some(next) = plan.into_iter().chain(due).min().filter(|next| *next < end) else {
                return self.finish();
            };
            self.now = self.now.max(next);
            if plan == Some(next) {
                let (_, plan) = self.plans.pop_first().unwrap();
                self.happen(plan);
            } else {
                self.step(LinkMachine::handle_timeout);
            }
        }
        panic!("it does not come to an end");
    }

    fn happen(&mut self, plan: Plan) {
        let current = self.peer.as_ref().map(|peer| peer.connection);
        match plan {
            Plan::Send { id, task } => {
                self.sent.insert(id, (self.now, task.clone()));
                self.input(Input::Send { id, task });
            }
            Plan::Cancel { id } => self.input(Input::Cancel { id }),
            Plan::NetworkChanged => self.input(Input::NetworkChanged),
            Plan::Dialled { connection, report } => {
                if self.dialling != Some(connection) {
                    // Called off: a driver may still say so.
                    return self.input(Input::Dialled { connection, report });
                }
                self.dialling = None;
                self.peer = report.won.map(|_| Peer {
                    connection,
                    server: (MarsCodec::default(), BytesMut::new()),
                    wire: (MarsCodec::default(), BytesMut::new()),
                    untaken: BytesMut::new(),
                    silent: false,
                    arrives_ms: 0,
                    last_heard: self.now,
                });
                self.plan_end(connection);
                self.input(Input::Dialled { connection, report });
            }
            Plan::Taken { connection } if current == Some(connection) => self.take(),
            Plan::ToServer { connection, bytes } if current == Some(connection) => {
                self.serve(&bytes);
            }
            Plan::ToClient { connection, bytes } if current == Some(connection) => {
                let now = self.now;
                let Some(peer) = &mut self.peer else { return };
                if !peer.silent {
                    peer.last_heard = now;
                    self.input(Input::Received { connection, bytes: BytesMut::from(&bytes[..]) });
                }
            }
            Plan::Break { connection, reason } if current == Some(connection) => {
                self.peer = None;
                self.input(Input::Ended { connection, reason, errno: None });
            }
            Plan::Silence { connection } if current == Some(connection) => {
                self.peer.as_mut().unwrap().silent = true;
            }
            // Of a connection that is no more.
            _ => {}
        }
    }

    /// How this connection is going to end, if by itself.
    fn plan_end(&mut self, connection: u64) {
        let after = self.below(200_000);
        let at = self.now_ms() + after;
        match self.below(4) {
            0 => self.plan(at, Plan::Silence { connection }),
            1 => self.plan(at, Plan::Break { connection, reason: DisconnectReason::Reset }),
            2 => self.plan(at, Plan::Break { connection, reason: DisconnectReason::RemoteClosed }),
            _ => {}
        }
    }

    /// The kernel takes a part of what was written.
    fn take(&mut self) {
        let part = self.below(60_000);
        let arrives_ms = self.now_ms() + self.delay();
        let Some(peer) = &mut self.peer else { return };
        let connection = peer.connection;
        let count = peer.untaken.len().min(usize::try_from(part).unwrap() + 1);
        let bytes = peer.untaken.split_to(count).freeze();
        peer.arrives_ms = peer.arrives_ms.max(arrives_ms);
        let arrives_ms = peer.arrives_ms;
        let (more, silent) = (!peer.untaken.is_empty(), peer.silent);
        if !silent {
            self.plan(arrives_ms, Plan::ToServer { connection, bytes });
        }
        if more {
            self.plan(self.now_ms() + 1, Plan::Taken { connection });
        }
        self.input(Input::Written { connection, bytes: count as u64 });
    }

    /// The server echoes most requests, and sometimes speaks up or sends garbage.
    fn serve(&mut self, bytes: &Bytes) {
        let Some(peer) = &mut self.peer else { return };
        let connection = peer.connection;
        let (codec, inbound) = &mut peer.server;
        inbound.extend_from_slice(bytes);
        let mut packets = Vec::new();
        while let Some(packet) = codec.decode(inbound).expect("what the client sends is packets") {
            packets.push(packet);
        }
        for packet in packets {
            let codec = MarsCodec::default();
            let mut answer = BytesMut::new();
            match self.below(100) {
                0 => answer.extend_from_slice(&[0xFF; 40]),
                1..10 => continue,
                10..20 => {
                    codec.encode(99, 0, b"news", &mut answer);
                    codec.encode(packet.cmd, packet.seq, &packet.body, &mut answer);
                }
                20..25 => {
                    codec.encode(packet.cmd, packet.seq, &packet.body, &mut answer);
                    codec.encode(packet.cmd, packet.seq, &packet.body, &mut answer);
                }
                _ => codec.encode(packet.cmd, packet.seq, &packet.body, &mut answer),
            }
            let at = self.now_ms() + self.delay();
            let cut = usize::try_from(self.below(answer.len() as u64 + 1)).unwrap();
            let tail = answer.split_off(cut).freeze();
            self.plan(at, Plan::ToClient { connection, bytes: answer.freeze() });
            self.plan(at, Plan::ToClient { connection, bytes: tail });
        }
    }

    fn input(&mut self, input: Input) {
        self.step(|machine, now| machine.handle_input(now, input));
    }

    /// One call, what comes of it, and the laws.
    fn step(&mut self, call: impl FnOnce(&mut LinkMachine, Instant)) {
        call(&mut self.machine, self.now);
        self.machine.handle_timeout(self.now); // inputs before timeouts
        self.drain();
        let due = self.machine.poll_timeout();
        assert!(due.is_none_or(|due| due.at > self.now), "spins: {due:?} at {:?}", self.now);
        self.machine.handle_timeout(self.now);
        self.machine.handle_timeout(Instant::ZERO);
        assert_eq!(self.machine.poll_transmit(self.now), None, "an early timeout changes nothing");
        assert_eq!(self.machine.poll_event(), None, "an early timeout changes nothing");
        assert!(self.machine.in_flight() <= IN_FLIGHT_MAX);
        assert!(self.machine.tasks() <= TASKS_MAX);
        if let Some(peer) = &self.peer {
            let bound = peer.last_heard + INTERVAL + TIMEOUT;
            assert!(self.now <= bound, "a silent link is still open at {:?}", self.now);
        }
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit(self.now) {
            match transmit {
                Transmit::Dial { connection } => {
                    self.dials += 1;
                    self.dialling = Some(connection);
                    self.plan_dial(connection);
                }
                Transmit::Write { connection, bytes } => self.write(connection, &bytes),
                Transmit::Close { connection } => {
                    self.peer.take_if(|peer| peer.connection == connection);
                    self.dialling.take_if(|dialling| *dialling == connection);
                }
            }
        }
        while let Some(event) = self.machine.poll_event() {
            self.observe(&event);
            self.tally.log.push(event);
        }
    }

    fn plan_dial(&mut self, connection: u64) {
        let addr = "192.0.2.7:80".parse().unwrap();
        let mut report = DialReport { candidates: vec![addr], tried: 1, ..DialReport::default() };
        if self.chance(60) {
            let rtt = Duration::from_millis(50);
            report.won = Some(Won { index: 0, addr, local: None, rtt });
        }
        let at = self.now_ms() + self.delay();
        if self.chance(97) {
            self.plan(at, Plan::Dialled { connection, report });
        } // else nothing ever comes of it
    }

    fn write(&mut self, connection: u64, bytes: &Bytes) {
        let peer = self.peer.as_mut().expect("it writes to an open connection");
        assert_eq!(peer.connection, connection);
        let (codec, wire) = &mut peer.wire;
        wire.extend_from_slice(bytes);
        while let Some(packet) = codec.decode(wire).unwrap() {
            self.noops += usize::from(codec.meaning(&packet) == Meaning::Noop);
        }
        let idle = peer.untaken.is_empty();
        peer.untaken.extend_from_slice(bytes);
        if idle {
            let at = self.now_ms() + 1;
            self.plan(at, Plan::Taken { connection });
        }
    }

    fn observe(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Push(_) => self.tally.pushes += 1,
            LinkEvent::Done { id, result } => {
                *self.ended.entry(*id).or_default() += 1;
                let (at, task) = &self.sent[id];
                assert!(self.now <= *at + task.timeout, "task {id} outlived its deadline");
                match result {
                    Ok(reply) => {
                        assert_eq!(reply.body, task.body, "task {id} got another's reply");
                        self.tally.replies += 1;
                    }
                    Err(TaskError::TimedOut { .. }) => self.tally.timed_out += 1,
                    Err(TaskError::Lost { .. }) => self.tally.lost += 1,
                    Err(TaskError::Full { .. }) => {
                        // The only one that was not accepted: its profile is not to come.
                        *self.profiles.entry(*id).or_default() += 1;
                        self.tally.refused += 1;
                    }
                    Err(TaskError::Cancelled) => self.tally.cancelled += 1,
                    Err(error) => assert_eq!(*error, TaskError::Closed),
                }
            }
            LinkEvent::Report(Kind::TaskProfile(profile)) => {
                *self.profiles.entry(profile.task).or_default() += 1;
            }
            LinkEvent::Report(Kind::ConnectProfile(profile)) => {
                self.connect_profiles += 1;
                let lost = profile.ended == Some(DisconnectReason::HeartbeatTimeout);
                self.tally.silent_found += usize::from(lost);
            }
            LinkEvent::Report(Kind::Heartbeat(_)) => self.heartbeats += 1,
            LinkEvent::Report(_) => {}
        }
    }

    fn finish(mut self) -> Tally {
        assert_eq!(self.machine.tasks(), 0, "all deadlines are over");
        self.input(Input::Close);
        assert_eq!(self.machine.poll_timeout(), None);
        let once = |count: &BTreeMap<u32, u32>| {
            count.len() == TASKS as usize && count.values().all(|count| *count == 1)
        };
        assert!(once(&self.ended), "each task ends once: {:?}", self.ended);
        assert!(once(&self.profiles), "each task is recorded once: {:?}", self.profiles);
        assert_eq!(self.connect_profiles, self.dials, "each dial is recorded once");
        assert_eq!(self.heartbeats, self.noops, "each beat is recorded once");
        self.tally
    }

    fn plan(&mut self, at_ms: u64, plan: Plan) {
        self.planned += 1;
        self.plans.insert((Instant::from_millis(at_ms), self.planned), plan);
    }

    fn now_ms(&self) -> u64 {
        // Up, so that what is planned for "now" is not in the past.
        self.now.as_nanos().div_ceil(1_000_000)
    }

    fn delay(&mut self) -> u64 {
        if self.chance(3) { self.below(30_000) } else { 1 + self.below(400) }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

const TASKS: u32 = 150;
const IN_FLIGHT_MAX: usize = 4;
const TASKS_MAX: usize = 12;
const STEPS_MAX: usize = 200_000;
const INTERVAL: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(8);
