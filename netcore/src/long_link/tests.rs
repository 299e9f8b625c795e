//! One behaviour each, by hand-made inputs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sojourner_stats::event::{FailStep, Heartbeat};

use super::*;
use crate::codec::{NOOP_CMD, NOOP_SEQ};

#[test]
fn a_reply_goes_to_its_task_and_a_push_to_nobody_in_particular() {
    let mut link = Bench::connected();
    link.send(1, Task::new(12, "one"));
    link.send(2, Task::new(12, "two"));
    link.take_all();
    link.receive(&[(12, 2, "TWO"), (99, 0, "news"), (12, 1, "ONE")]);
    assert_eq!(link.done(), [(2, Ok("TWO".into())), (1, Ok("ONE".into()))]);
    assert_eq!(link.pushes, [Push { cmd: 99, body: "news".into() }]);
}

#[test]
fn a_beat_without_answer_closes_the_link_after_the_timeout_and_not_before() {
    let mut link = Bench::connected();
    assert_eq!(link.machine.poll_timeout().map(|due| due.why), Some("heartbeat lost"));
    link.pass(7_999);
    assert_eq!(link.machine.status(), LinkStatus::Connected);
    link.pass(1);
    assert_eq!(link.machine.status(), LinkStatus::Disconnected);
    let beats: Vec<_> = link.kinds(|kind| match kind {
        Kind::Heartbeat(Heartbeat { answered, cost_us, .. }) => Some((*answered, cost_us.0)),
        _ => None,
    });
    assert_eq!(beats, [(false, Duration::from_secs(8))]);
    let ends = link.kinds(|kind| match kind {
        Kind::ConnectProfile(profile) => Some(profile.ended),
        _ => None,
    });
    assert_eq!(ends, [Some(DisconnectReason::HeartbeatTimeout)]);
}

#[test]
fn a_task_that_times_out_in_silence_asks_by_a_beat_and_closes_nothing() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one").with_timeout(Duration::from_secs(5)));
    link.send(2, Task::new(12, "two"));
    link.take_all();
    link.wrote.clear();
    link.pass(5_000);
    let Some((1, Err(error))) = link.done().pop() else { panic!("it did not end") };
    assert_eq!(error.step(), FailStep::FirstPacket);
    let noops = link.wrote.chunks(20).filter(|head| head[11] == 6 && head[12] == 0xFF).count();
    assert_eq!(noops, 1, "a beat at once");
    link.receive(&[(NOOP_CMD, NOOP_SEQ, "")]);
    link.receive(&[(12, 2, "TWO")]);
    assert_eq!(link.done(), [(2, Ok("TWO".into()))]);
    assert_eq!(link.machine.status(), LinkStatus::Connected);
}

#[test]
fn what_came_before_a_framing_error_is_delivered() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one"));
    link.take_all();
    let mut bytes = BytesMut::new();
    MarsCodec::default().encode(99, 0, b"news", &mut bytes);
    MarsCodec::default().encode(12, 1, b"ONE", &mut bytes);
    bytes.extend_from_slice(&[0; 20]);
    link.input(Input::Received { connection: 0, bytes });
    assert_eq!((link.done(), link.pushes.len()), (vec![(1, Ok("ONE".into()))], 1));
    assert_eq!(link.machine.status(), LinkStatus::Disconnected);
}

#[test]
fn only_a_task_that_was_on_the_wire_spends_a_retry() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one").with_retries(0));
    link.take_all();
    link.send(2, Task::new(12, "two").with_retries(0));
    link.input(Input::Ended { connection: 0, reason: DisconnectReason::Reset, errno: Some(104) });
    let [(1, Err(error))] = &link.done()[..] else { panic!("only the first ends") };
    assert_eq!((error.mars(), error.step()), ((4, 104), FailStep::FirstPacket));
    link.reconnect();
    link.take_all();
    link.receive(&[(12, 2, "TWO")]);
    assert_eq!(link.done(), [(2, Ok("TWO".into()))]);
}

#[test]
fn a_cancelled_task_ends_once_and_its_late_reply_is_nobodys() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one"));
    link.take_all();
    link.input(Input::Cancel { id: 1 });
    link.input(Input::Cancel { id: 1 });
    link.receive(&[(12, 1, "ONE")]);
    assert_eq!(link.done(), [(1, Err(TaskError::Cancelled))]);
    let steps = link.kinds(|kind| match kind {
        Kind::TaskProfile(profile) => Some(profile.failure.unwrap().step),
        _ => None,
    });
    assert_eq!(steps, [FailStep::Cancelled]);
}

#[test]
fn at_its_bounds_the_link_lets_tasks_wait_and_then_refuses_them() {
    let mut link = Bench::with(config().with_limits(2, 3).unwrap());
    for id in 1..=4 {
        link.send(id, Task::new(12, "x"));
    }
    assert_eq!((link.machine.in_flight(), link.machine.tasks()), (2, 3));
    assert_eq!(link.done(), [(4, Err(TaskError::Full { max: 3 }))]);
}

#[test]
fn a_network_that_takes_nothing_leaves_most_of_the_queue_unencoded() {
    let mut link = Bench::connected();
    for id in 1..=10 {
        link.send(id, Task::new(12, vec![0; 100_000]));
    }
    assert_eq!(link.machine.in_flight(), 3, "the third passes 256 KiB");
    link.input(Input::Written { connection: 0, bytes: 100_000 });
    assert_eq!(link.machine.in_flight(), 4);
}

#[test]
fn tasks_that_cannot_be_sent_are_refused_with_the_reason() {
    let mut link = Bench::connected();
    let second = Duration::from_secs(1);
    for (id, task) in [
        (0, Task::new(12, "")),
        (TASK_ID_END, Task::new(12, "")),
        (1, Task::new(0, "")),
        (1, Task::new(NOOP_CMD, "")),
        (1, Task::new(12, "").with_timeout(Duration::ZERO)),
        (1, Task::new(12, "").with_timeout(601 * second)),
        (1, Task::new(12, "").with_retries(31)),
        (1, Task::new(12, vec![0; 1_048_557])),
    ] {
        link.send(id, task);
        let done = link.done();
        assert!(matches!(done[..], [(_, Err(TaskError::Invalid { .. }))]), "{done:?}");
    }
    link.send(1, Task::new(12, vec![0; 1_048_556]));
    assert_eq!(link.done(), []);
    link.send(1, Task::new(12, ""));
    assert!(link.done()[0].1.is_err(), "the id is in use");
}

#[test]
fn a_new_network_means_a_new_connection_at_once() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one"));
    link.take_all();
    link.input(Input::NetworkChanged);
    assert_eq!(link.machine.status(), LinkStatus::Connecting);
    assert_eq!(link.dialled, 2);
    link.input(Input::NetworkChanged);
    assert_eq!((link.machine.status(), link.dialled), (LinkStatus::Connecting, 3));
}

#[test]
fn a_task_without_connection_says_at_which_step_it_waited() {
    let mut link = Bench::idle(config());
    link.input(Input::Connect);
    link.send(1, Task::new(12, "one").with_timeout(Duration::from_secs(1)));
    let report = DialReport { unresolved: true, ..DialReport::default() };
    link.input(Input::Dialled { connection: 0, report });
    assert_eq!(link.machine.status(), LinkStatus::ConnectFailed);
    link.pass(200);
    link.pass(800);
    let Some((1, Err(error))) = link.done().pop() else { panic!("it did not end") };
    assert_eq!((error.step(), error.mars()), (FailStep::Dns, (9, -1)));
}

#[test]
fn a_dial_that_never_ends_is_given_up() {
    let mut link = Bench::idle(config());
    link.input(Input::Connect);
    link.pass(30_000);
    assert_eq!((link.machine.status(), link.closed), (LinkStatus::ConnectFailed, 1));
    link.input(Input::Dialled { connection: 0, report: won() });
    assert_eq!(link.machine.status(), LinkStatus::ConnectFailed, "too late");
}

#[test]
fn close_ends_everything_once_and_for_all() {
    let mut link = Bench::alive();
    link.send(1, Task::new(12, "one"));
    link.input(Input::Close);
    link.input(Input::Close);
    link.send(2, Task::new(12, "two"));
    link.input(Input::Connect);
    assert_eq!(link.done(), [(1, Err(TaskError::Closed)), (2, Err(TaskError::Closed))]);
    assert_eq!((link.machine.poll_timeout(), link.dialled), (None, 1));
    let states = link.kinds(|kind| match kind {
        Kind::LinkState(state) => Some((state.status, state.reason)),
        _ => None,
    });
    let closed = (LinkStatus::Disconnected, Some(DisconnectReason::Closed));
    let (connecting, connected) = (LinkStatus::Connecting, LinkStatus::Connected);
    assert_eq!(states, [(connecting, None), (connected, None), closed]);
}

/// A machine, and what came out of it.
struct Bench {
    machine: LinkMachine,
    now: Instant,
    events: Vec<LinkEvent>,
    pushes: Vec<Push>,
    wrote: Vec<u8>,
    untaken: u64,
    dialled: u64,
    closed: usize,
}

impl Bench {
    fn idle(config: LinkConfig) -> Self {
        Self {
            machine: LinkMachine::new(config, MarsCodec::default(), 1),
            now: Instant::ZERO,
            events: Vec::new(),
            pushes: Vec::new(),
            wrote: Vec::new(),
            untaken: 0,
            dialled: 0,
            closed: 0,
        }
    }

    fn with(config: LinkConfig) -> Self {
        let mut bench = Self::idle(config);
        bench.input(Input::Connect);
        bench.input(Input::Dialled { connection: 0, report: won() });
        bench
    }

    fn connected() -> Self {
        Self::with(config())
    }

    /// Connected, and the first beat was answered.
    fn alive() -> Self {
        let mut bench = Self::connected();
        bench.take_all();
        bench.receive(&[(NOOP_CMD, NOOP_SEQ, "")]);
        bench
    }

    fn reconnect(&mut self) {
        let due = self.machine.poll_timeout().expect("it waits to try again");
        assert_eq!(due.why, "next attempt");
        self.now = due.at;
        self.pass(0);
        let connection = self.dialled - 1;
        self.input(Input::Dialled { connection, report: won() });
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn send(&mut self, id: u32, task: Task) {
        self.input(Input::Send { id, task });
    }

    fn receive(&mut self, packets: &[(u32, u32, &str)]) {
        let mut bytes = BytesMut::new();
        for (cmd, seq, body) in packets {
            MarsCodec::default().encode(*cmd, *seq, body.as_bytes(), &mut bytes);
        }
        let connection = self.dialled - 1;
        self.input(Input::Received { connection, bytes });
    }

    /// The kernel takes all that was written.
    fn take_all(&mut self) {
        let (connection, bytes) = (self.dialled - 1, std::mem::take(&mut self.untaken));
        self.input(Input::Written { connection, bytes });
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.machine.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit(self.now) {
            match transmit {
                Transmit::Dial { .. } => self.dialled += 1,
                Transmit::Write { bytes, .. } => {
                    self.untaken += bytes.len() as u64;
                    self.wrote.extend_from_slice(&bytes);
                }
                Transmit::Close { .. } => {
                    self.untaken = 0;
                    self.closed += 1;
                }
            }
        }
        while let Some(event) = self.machine.poll_event() {
            match event {
                LinkEvent::Push(push) => self.pushes.push(push),
                event => self.events.push(event),
            }
        }
    }

    /// How tasks ended since the last call.
    fn done(&mut self) -> Vec<(u32, Result<Bytes, TaskError>)> {
        let mut done = Vec::new();
        self.events.retain(|event| match event {
            LinkEvent::Done { id, result } => {
                done.push((*id, result.clone().map(|reply| reply.body)));
                false
            }
            _ => true,
        });
        done
    }

    fn kinds<T>(&self, pick: impl Fn(&Kind) -> Option<T>) -> Vec<T> {
        let reports = self.events.iter().filter_map(|event| match event {
            LinkEvent::Report(kind) => Some(kind),
            _ => None,
        });
        reports.filter_map(pick).collect()
    }
}

fn config() -> LinkConfig {
    LinkConfig::new("192.0.2.7:80").unwrap()
}

fn won() -> DialReport {
    let addr = "192.0.2.7:80".parse().unwrap();
    DialReport {
        won: Some(Won { index: 0, addr, local: None, rtt: Duration::from_millis(20) }),
        candidates: vec![addr],
        tried: 1,
        ..DialReport::default()
    }
}
