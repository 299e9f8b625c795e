//! The thread that carries frames over a weak link, and what it keeps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use sojourner_stats::time::{Clock, Instant, SystemClock};

use super::frame::ETHERNET;
use super::{Counters, Direction, Fate, Frame, Lost, Record, Shaper, Shared, Truth, Verdict, What};
use crate::fail::OrFail;
use crate::sys;
use crate::sys::packet::{FRAME_MAX, PacketSocket};

/// How many records the log keeps: three seconds at full speed.
const LOG_MAX: usize = 65_536;
/// How many frames the link may hold; 20,000 a second for five seconds.
const HELD_MAX: usize = 100_000;
/// How many frames are taken from one side before due ones of both sides are sent.
const BATCH: usize = 64;

type Hook = Box<dyn FnMut(&mut Frame, Direction) -> Verdict + Send>;

/// A frame that waits; ordered by when it is due, and among equals by arrival.
struct Held {
    due: (Instant, u64),
    direction: Direction,
    bytes: Arc<[u8]>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

/// All that a weak link is, but for its sockets.
pub(super) struct State {
    pub(super) shapers: [Shaper; 2],
    pub(super) hooks: Vec<Hook>,
    pub(super) log: VecDeque<Record>,
    pub(super) overrun: u64,
    pub(super) stopped: bool,
    /// How many wait for news.
    pub(super) watched: usize,
    counters: [Counters; 2],
    forgotten: u64,
    held: BinaryHeap<Reverse<Held>>,
    order: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shapers: [Shaper::new(seed), Shaper::new(!seed)],
            hooks: Vec::new(),
            log: VecDeque::new(),
            overrun: 0,
            stopped: false,
            watched: 0,
            counters: [Counters::default(); 2],
            forgotten: 0,
            held: BinaryHeap::new(),
            order: 0,
        }
    }

    pub(super) fn truth(&self) -> Truth {
        let [a_to_b, b_to_a] = self.counters;
        let (overrun, forgotten) = (self.overrun, self.forgotten);
        Truth { a_to_b, b_to_a, in_flight: self.held.len(), overrun, forgotten }
    }

    pub(super) fn reset_truth(&mut self) {
        self.counters = [Counters::default(); 2];
        self.log.clear();
        (self.overrun, self.forgotten) = (0, 0);
    }

    /// Takes in a frame that arrived at `now`, and decides about it.
    fn take(&mut self, now: Instant, direction: Direction, bytes: &[u8]) {
        let mut frame = Frame::new(bytes.to_vec());
        if frame.is_housekeeping() {
            if !self.shapers[direction.index()].impairment.cut {
                self.counters[direction.index()].spared += 1;
                self.hold(now, direction, frame.bytes.into());
            }
            return;
        }
        let forward = self.hooks.iter_mut().all(|h| h(&mut frame, direction) == Verdict::Forward);
        for (direction, bytes) in std::mem::take(&mut frame.injected) {
            self.record(now, direction, What::Injected, &Frame::new(bytes.clone()));
            self.hold(now, direction, bytes.into());
        }
        let what =
            if forward { self.carry(now, direction, &mut frame) } else { What::Lost(Lost::Hook) };
        self.record(now, direction, what, &frame);
    }

    /// Gives a frame its fate.
    fn carry(&mut self, now: Instant, direction: Direction, frame: &mut Frame) -> What {
        if self.held.len() >= HELD_MAX {
            return What::Lost(Lost::QueueFull);
        }
        match self.shapers[direction.index()].decide(now, frame.ip_len()) {
            Fate::Lost(reason) => What::Lost(reason),
            Fate::Carried { due, twice, reordered, flip } => {
                let mut bytes = frame.bytes.clone();
                if let Some(bit) = flip {
                    flip_bit(&mut bytes, bit);
                }
                let bytes: Arc<[u8]> = bytes.into();
                if twice {
                    self.hold(due, direction, Arc::clone(&bytes));
                }
                self.hold(due, direction, bytes);
                let (held, changed) = (due.since(now), frame.changed);
                What::Forwarded { held, twice, reordered, corrupted: flip.is_some(), changed }
            }
        }
    }

    fn hold(&mut self, due: Instant, direction: Direction, bytes: Arc<[u8]>) {
        self.order += 1;
        self.held.push(Reverse(Held { due: (due, self.order), direction, bytes }));
    }

    fn record(&mut self, at: Instant, direction: Direction, what: What, frame: &Frame) {
        self.counters[direction.index()].count(what);
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
            self.forgotten += 1;
        }
        let (len, summary) = (frame.ip_len(), frame.summary());
        self.log.push_back(Record { at, direction, what, len, summary });
    }

    /// Sends all frames that are due at `now`, and says when the next one is.
    fn send_due(&mut self, now: Instant, sockets: &[PacketSocket; 2]) -> Option<Instant> {
        while let Some(Reverse(next)) = self.held.peek() {
            if next.due.0 > now {
                return Some(next.due.0);
            }
            let Some(Reverse(Held { direction, bytes, .. })) = self.held.pop() else { break };
            if sockets[direction.reversed().index()].send(&bytes).is_err() {
                let frame = Frame::new(bytes.to_vec());
                self.record(now, direction, What::Lost(Lost::SendFailed), &frame);
            }
        }
        None
    }
}

/// Flips one bit of the IP packet.
fn flip_bit(bytes: &mut [u8], bit: u64) {
    let Some(packet) = bytes.get_mut(ETHERNET..).filter(|packet| !packet.is_empty()) else {
        return;
    };
    let bits = packet.len() as u64 * 8;
    let bit = bit % bits;
    if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| packet.get_mut(at)) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Starts the thread; it ends when the state says so.
pub(super) fn start(shared: Arc<Shared>) {
    let named = thread::Builder::new().name("weak link".to_owned());
    named.spawn(move || run(&shared)).or_fail("start a weak link's thread");
}

fn run(shared: &Shared) {
    sys::set_exact_timers().or_fail("set the timer slack");
    let mut buffer = vec![0; FRAME_MAX];
    let mut readable = [false; 2];
    loop {
        let next = {
            let mut state = shared.lock();
            for (side, direction) in [(0, Direction::AtoB), (1, Direction::BtoA)] {
                if !readable[side] {
                    continue;
                }
                for _ in 0..BATCH {
                    match shared.sockets[side].recv(&mut buffer) {
                        Ok(len) => state.take(SystemClock.instant(), direction, &buffer[..len]),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(_) => break, // the interface went down; it may come up again
                    }
                }
            }
            if state.stopped {
                return;
            }
            let next = state.send_due(SystemClock.instant(), &shared.sockets);
            if state.watched > 0 {
                shared.changed.notify_all();
            }
            next
        };
        readable = wait(shared, next);
    }
}

/// Waits for a frame on either side, for `until`, or for a call; says which sides are readable.
fn wait(shared: &Shared, until: Option<Instant>) -> [bool; 2] {
    let [a, b] = &shared.sockets;
    let [a, b, wake] = [a.as_fd(), b.as_fd(), shared.wake.as_fd()];
    let mut fds = [a, b, wake].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let timeout = until.map(|until| TimeSpec::from_duration(until.since(SystemClock.instant())));
    match ppoll(&mut fds, timeout, None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => Err(error).or_fail("wait for frames"),
    }
    let _ = shared.wake.read(); // empty, most times
    [0, 1].map(|side| fds[side].revents().is_some_and(|events| !events.is_empty()))
}
