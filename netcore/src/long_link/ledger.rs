//! The tasks of one link, from acceptance to their only end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sojourner_stats::Instant;

/// One accepted task.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) cmd: u32,
    pub(super) body: Bytes,
    /// The order of acceptance, kept by a task that is sent again.
    pub(super) ticket: u64,
    pub(super) accepted: Instant,
    pub(super) deadline: Instant,
    pub(super) retries_left: u32,
    /// How often it was encoded for a connection that then took at least one byte of it.
    pub(super) attempts: u32,
    pub(super) place: Place,
    /// When the first byte of the first attempt went out.
    pub(super) first_sent: Option<Instant>,
    /// Over all attempts, framing included.
    pub(super) sent_bytes: u64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits for a connection, or for its turn.
    Waiting,
    /// It is encoded, but the connection has taken no byte of it.
    Encoded,
    /// It is on the wire since then.
    Sent(Instant),
}

/// Tasks by id, by order and by deadline.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    tasks: BTreeMap<u32, Entry>,
    waiting: BTreeMap<u64, u32>,
    due: BTreeSet<(Instant, u32)>,
    next_ticket: u64,
}

impl Ledger {
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Encoded or sent.
    pub(super) fn in_flight(&self) -> usize {
        self.tasks.len() - self.waiting.len()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.tasks.contains_key(&id)
    }

    /// Takes in a new task, at the end of the queue. Its id must be a new one.
    pub(super) fn accept(&mut self, id: u32, mut entry: Entry) {
        entry.ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.insert(entry.ticket, id);
        self.due.insert((entry.deadline, id));
        self.tasks.insert(id, entry);
    }

    /// The first in the queue leaves it to be encoded.
    pub(super) fn take_turn(&mut self) -> Option<(u32, &mut Entry)> {
        let (_, id) = self.waiting.pop_first()?;
        let entry = self.tasks.get_mut(&id)?;
        entry.place = Place::Encoded;
        Some((id, entry))
    }

    pub(super) fn entry(&mut self, id: u32) -> Option<&mut Entry> {
        self.tasks.get_mut(&id)
    }

    /// Ends a task.
    pub(super) fn remove(&mut self, id: u32) -> Option<Entry> {
        let entry = self.tasks.remove(&id)?;
        self.due.remove(&(entry.deadline, id));
        if entry.place == Place::Waiting {
            self.waiting.remove(&entry.ticket);
        }
        Some(entry)
    }

    /// Puts a task back in its place in the queue.
    pub(super) fn requeue(&mut self, id: u32) {
        if let Some(entry) = self.tasks.get_mut(&id) {
            entry.place = Place::Waiting;
            self.waiting.insert(entry.ticket, id);
        }
    }

    /// Whether a task with this id waits for a reply.
    pub(super) fn expects_reply(&self, id: u32) -> bool {
        self.tasks.get(&id).is_some_and(|entry| entry.place != Place::Waiting)
    }

    /// The ids that are encoded or sent, in ascending order.
    pub(super) fn in_flight_ids(&self) -> Vec<u32> {
        let in_flight = self.tasks.iter().filter(|(_, entry)| entry.place != Place::Waiting);
        in_flight.map(|(id, _)| *id).collect()
    }

    /// All ids, in ascending order.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.tasks.keys().copied().collect()
    }

    /// The first deadline, and whose it is.
    pub(super) fn first_due(&self) -> Option<(Instant, u32)> {
        self.due.first().copied()
    }
}
