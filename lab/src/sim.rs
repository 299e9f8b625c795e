//! Machines in virtual time: a year of bad radio in a second, the same for the same seed.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Debug;

use sojourner_stats::Machine;
use sojourner_stats::time::Instant;

use crate::fail::fail;
use crate::weak::{Direction, Fate, Impairment, Shaper};

/// The seed of runs that name none.
const SEED: u64 = 0x50_4a_4f_55_52_4e_45_52;
/// More steps than a year of one-second heartbeats takes: a machine that needs more spins.
const STEPS_MAX: u64 = 200_000_000;

/// The seed of this run: `SOJOURNER_SEED` from the environment, else always the same. Print it
/// when an invariant breaks.
pub fn seed() -> u64 {
    env::var("SOJOURNER_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

/// A simulated round trip: what is sent goes [`AtoB`](Direction::AtoB), its answer comes back
/// [`BtoA`](Direction::BtoA).
#[derive(Debug)]
pub struct Link {
    shapers: [Shaper; 2],
    lost: [u64; 2],
}

impl Link {
    /// A perfect link; its dice start from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { shapers: [Shaper::new(seed), Shaper::new(!seed)], lost: [0; 2] }
    }

    /// Impairs one direction.
    #[must_use]
    pub fn impair(mut self, direction: Direction, impairment: Impairment) -> Self {
        self.set(direction, impairment);
        self
    }

    /// Impairs one direction from now on. Corruption is ignored: a machine hears what its driver
    /// has parsed.
    pub fn set(&mut self, direction: Direction, impairment: Impairment) {
        if let Err(error) = impairment.check() {
            fail(&error);
        }
        self.shapers[index(direction)].impairment = impairment;
    }

    /// How many messages one direction lost so far.
    pub fn lost(&self, direction: Direction) -> u64 {
        self.lost[index(direction)]
    }

    /// When a message of `len` bytes arrives that is sent at `now`: never, once or twice.
    pub fn cross(&mut self, now: Instant, direction: Direction, len: usize) -> Vec<Instant> {
        match self.shapers[index(direction)].decide(now, len) {
            Fate::Lost(_) => {
                self.lost[index(direction)] += 1;
                Vec::new()
            }
            Fate::Carried { due, twice: true, .. } => vec![due, due],
            Fate::Carried { due, .. } => vec![due],
        }
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::AtoB => 0,
        Direction::BtoA => 1,
    }
}

/// Runs `machine` over `link` until nothing is due and nothing under way, or until `end`; returns
/// its events with their times.
///
/// `answer` is the far side: it sees when a transmit arrives and says what comes back. Each message
/// counts 100 bytes to a rate limit.
///
/// # Panics
///
/// If the machine breaks one of its laws: after a drain its deadline must lie after `now`, and a
/// timeout that comes early must change nothing.
///
/// # Examples
///
/// ```text
/// let events = sim::run(&mut machine, &mut Link::new(seed), end, |at, sent| Some(reply));
/// ```
pub fn run<M: Machine>(
    machine: &mut M,
    link: &mut Link,
    end: Instant,
    mut answer: impl FnMut(Instant, M::Transmit) -> Option<M::Input>,
) -> Vec<(Instant, M::Event)>
where
    M::Input: Clone,
    M::Event: Debug,
{
    let mut now = Instant::ZERO;
    let mut events = Vec::new();
    let mut inbound: BTreeMap<(Instant, u64), M::Input> = BTreeMap::new();
    for step in 0.. {
        while let Some(transmit) = machine.poll_transmit(now) {
            // Both ways at once: what the far side hears later does not change what it says.
            let Some(&there) = link.cross(now, Direction::AtoB, MESSAGE_BYTES).first() else {
                continue;
            };
            let Some(input) = answer(there, transmit) else { continue };
            for back in link.cross(there, Direction::BtoA, MESSAGE_BYTES) {
                let number = inbound.len() as u64 + step * 1_000;
                inbound.insert((back, number), input.clone());
            }
        }
        events.extend(std::iter::from_fn(|| machine.poll_event()).map(|event| (now, event)));
        let due = machine.poll_timeout();
        if let Some(due) = due.filter(|due| due.at <= now) {
            fail(&format!("the machine spins at {now:?}: it wants a timeout at {due:?}"));
        }
        let heard = inbound.first_key_value().map(|(&(at, _), _)| at);
        let Some(next) = [due.map(|due| due.at), heard].into_iter().flatten().min() else { break };
        if next > end || step > STEPS_MAX {
            break;
        }
        let early = now + next.since(now) / 2;
        if early > now && early < next {
            check_early_timeout(machine, early);
        }
        now = next;
        while let Some(entry) = inbound.first_entry().filter(|entry| entry.key().0 <= now) {
            machine.handle_input(now, entry.remove());
        }
        machine.handle_timeout(now);
    }
    events
}

/// What a message of a machine weighs on a limited link, bytes.
const MESSAGE_BYTES: usize = 100;

/// Checks that a timeout before the deadline changes nothing.
fn check_early_timeout<M: Machine>(machine: &mut M, early: Instant)
where
    M::Event: Debug,
{
    let before = machine.poll_timeout();
    machine.handle_timeout(early);
    if let Some(event) = machine.poll_event() {
        fail(&format!("an early timeout at {early:?}, due {before:?}, made {event:?}"));
    }
    if machine.poll_transmit(early).is_some() {
        fail(&format!("an early timeout at {early:?}, due {before:?}, made it transmit"));
    }
    let after = machine.poll_timeout();
    if after != before {
        fail(&format!("an early timeout at {early:?} moved the deadline: {before:?} to {after:?}"));
    }
}
