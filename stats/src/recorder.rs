//! The way in: a bounded queue that never makes a measurement wait for a screen.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::event::{Dropped, Event, Kind, Origin, Source};
use crate::keeper::{Encoded, Keeper};
use crate::snapshot::Snapshot;
use crate::{Sink, Stamp};

/// What became of a recorded event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an event that was dropped is only known to whoever looks"]
pub enum Recorded {
    /// It will be in a snapshot; with a journal, it also survives a kill of this process.
    Kept,
    /// The queue was full, or the hub has ended: it is counted, and a later
    /// [`Kind::Dropped`] says so. Or the journal could not take it: then it is shown but will not
    /// be replayed, and [`Hub::journal_error`](crate::Hub::journal_error) says why.
    Dropped,
}

/// Hands events to a [`Hub`](crate::Hub). Clones are cheap and share the hub's one queue.
///
/// The queue holds at most [`Recorder::QUEUE_MAX`] events. One that finds it full is dropped and
/// counted; the next one with room is preceded by a [`Kind::Dropped`] that holds the count. The
/// lock is held for a push alone, and with a journal for a copy into mapped memory; one record in
/// a few hundred also compresses the full block, well under a millisecond.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// The most events that wait to be folded: about a second of them at the rate one fold takes
    /// in, a few tens of megabytes.
    pub const QUEUE_MAX: usize = 65_536;

    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Records one event and says what became of it. Any thread may call it, async ones too.
    pub fn record(&self, event: &Event) -> Recorded {
        self.shared.record(event.clone())
    }
}

impl Sink for Recorder {
    fn emit(&self, event: Event) {
        let _: Recorded = self.shared.record(event);
    }
}

/// What recorders, readers and the fold thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something for the fold thread.
    pub(crate) work: Condvar,
    /// Told when something was published.
    pub(crate) done: Condvar,
    pub(crate) published: ArcSwap<Snapshot>,
    journaled: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) events: Vec<Event>,
    pub(crate) keeper: Keeper,
    /// Dropped and not yet told.
    pub(crate) dropped: u64,
    /// Flushes asked for, and how many of them are done.
    pub(crate) flushes_wanted: u64,
    pub(crate) flushes_done: u64,
    /// The hub ends: nothing more is taken.
    pub(crate) stop: bool,
    /// The fold thread is gone.
    pub(crate) ended: bool,
}

impl Shared {
    pub(crate) fn new(keeper: Keeper) -> Self {
        Self {
            journaled: keeper.is_wanted(),
            queue: Mutex::new(Queue { keeper, ..Queue::default() }),
            work: Condvar::new(),
            done: Condvar::new(),
            published: ArcSwap::default(),
        }
    }

    /// Poison is ignored: every state of the queue is a valid one.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, event: Event) -> Recorded {
        let encoded = Encoded::new(&event, self.journaled);
        let mut queue = self.lock();
        // Room for two: the event, and the count of those dropped before it.
        if queue.stop || queue.events.len() + 2 > Recorder::QUEUE_MAX {
            queue.dropped = queue.dropped.saturating_add(1);
            return Recorded::Dropped;
        }
        let before = queue.events.len();
        queue.tell_dropped(event.at);
        let kept = queue.push(event, encoded);
        let after = queue.events.len();
        drop(queue);
        if before == 0 || (before < HURRY && after >= HURRY) {
            self.work.notify_one();
        }
        kept
    }
}

impl Queue {
    /// Turns the count of dropped events into an event of its own.
    pub(crate) fn tell_dropped(&mut self, at: Stamp) {
        let count = std::mem::take(&mut self.dropped);
        if count > 0 {
            let origin = Origin::new(Source::Stats, "recorder");
            let event = Event::new(at, origin, Kind::Dropped(Dropped { count }));
            let encoded = Encoded::new(&event, self.keeper.is_wanted());
            let _: Recorded = self.push(event, encoded);
        }
    }

    /// Journal and fold get events in the same order: a replay folds to the same statistics.
    fn push(&mut self, event: Event, encoded: Encoded) -> Recorded {
        self.events.push(event);
        self.keeper.keep(encoded)
    }
}

/// A queue this full is folded at once, before the next snapshot is due.
pub(crate) const HURRY: usize = Recorder::QUEUE_MAX / 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::new(Stamp::default(), Origin::new(Source::App, "t"), Kind::Unknown)
    }

    #[test]
    fn a_full_queue_counts_what_it_drops_and_tells_once_there_is_room() {
        // No fold thread: nobody takes anything out.
        let shared = Arc::new(Shared::new(Keeper::default()));
        let recorder = Recorder::new(Arc::clone(&shared));
        let results: Vec<_> =
            (0..Recorder::QUEUE_MAX + 10).map(|_| recorder.record(&event())).collect();
        let kept = results.iter().filter(|result| **result == Recorded::Kept).count();
        assert!(kept < Recorder::QUEUE_MAX && kept > Recorder::QUEUE_MAX - 10, "{kept}");
        assert_eq!(shared.lock().events.len(), kept);

        shared.lock().events.clear();
        assert_eq!(recorder.record(&event()), Recorded::Kept);
        let queue = shared.lock();
        let dropped = u64::try_from(results.len() - kept).unwrap();
        assert_eq!(queue.events[0].kind, Kind::Dropped(Dropped { count: dropped }));
        assert_eq!((queue.events.len(), queue.dropped), (2, 0));
    }
}
