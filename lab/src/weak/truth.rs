//! What a weak link really did, for tests to hold a measurement against.

use std::time::Duration;

use sojourner_stats::time::Instant;

use super::Direction;
use super::frame::Summary;

/// Why a packet was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// By chance: [`Impairment::loss`](super::Impairment::loss).
    Random,
    /// In a burst.
    Burst,
    /// The queue before the rate limit was full.
    QueueFull,
    /// Larger than the black hole lets pass.
    TooBig,
    /// The link was cut.
    Cut,
    /// A hook said so.
    Hook,
    /// The kernel took no frame for the other side, for instance because the interface was down.
    SendFailed,
}

impl Lost {
    pub(super) const ALL: usize = 7;
}

/// What happened to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It goes on.
    Forwarded {
        /// How long the link holds it.
        held: Duration,
        /// A second copy follows.
        twice: bool,
        /// Later ones may overtake it.
        reordered: bool,
        /// One bit was flipped.
        corrupted: bool,
        /// A hook rewrote it.
        changed: bool,
    },
    /// It ended here.
    Lost(Lost),
    /// A hook made it.
    Injected,
}

/// One entry of the log: a packet and what the link did with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the link saw it, on [`SystemClock`](sojourner_stats::time::SystemClock)'s monotonic
    /// clock.
    pub at: Instant,
    /// Which way it went.
    pub direction: Direction,
    /// What happened to it.
    pub what: What,
    /// The length of its IP packet, bytes.
    pub len: usize,
    /// Its addresses and ports.
    pub summary: Summary,
}

/// How many packets of one direction met which fate. Every received one was either forwarded or
/// lost; `received == forwarded + lost()`, with `SendFailed` on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets that came to the link, neighbour discovery excepted.
    pub received: u64,
    /// Of those, let through (copies not counted).
    pub forwarded: u64,
    /// Of the forwarded, sent twice.
    pub duplicated: u64,
    /// Of the forwarded, held back.
    pub reordered: u64,
    /// Of the forwarded, with a bit flipped.
    pub corrupted: u64,
    /// Of the forwarded, rewritten by a hook.
    pub changed: u64,
    /// Made by a hook and sent this way.
    pub injected: u64,
    /// Neighbour discovery and multicast housekeeping, passed on without being counted elsewhere.
    pub spared: u64,
    lost: [u64; Lost::ALL],
}

impl Counters {
    /// How many were lost for one reason.
    pub const fn lost_by(&self, reason: Lost) -> u64 {
        self.lost[reason as usize]
    }

    /// How many of the received were lost.
    pub fn lost(&self) -> u64 {
        self.lost.iter().sum::<u64>() - self.lost_by(Lost::SendFailed)
    }

    pub(super) fn count(&mut self, what: What) {
        match what {
            What::Injected => self.injected += 1,
            What::Lost(reason) => {
                self.lost[reason as usize] += 1;
                self.received += u64::from(reason != Lost::SendFailed);
            }
            What::Forwarded { twice, reordered, corrupted, changed, .. } => {
                self.received += 1;
                self.forwarded += 1;
                self.duplicated += u64::from(twice);
                self.reordered += u64::from(reordered);
                self.corrupted += u64::from(corrupted);
                self.changed += u64::from(changed);
            }
        }
    }
}

/// What a weak link did since it was made, or since its truth was reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// From the first host to the second.
    pub a_to_b: Counters,
    /// From the second host to the first.
    pub b_to_a: Counters,
    /// Frames that the link still holds.
    pub in_flight: usize,
    /// Frames that the kernel dropped before the link saw them: if not 0, the machine was too slow
    /// and no count is to be trusted. Up to date in [`WeakLink::truth`](super::WeakLink::truth).
    pub overrun: u64,
    /// How many of the oldest records [`WeakLink::log`](super::WeakLink::log) no longer holds.
    pub forgotten: u64,
}
