//! The bounded channel between a measurement and whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sojourner_stats::event::Dropped;
use sojourner_stats::{Event, Kind, Origin, Sink, Source, Stamp};
use tokio::sync::mpsc;

/// Makes a channel that holds at most `capacity` events (at least 1).
///
/// When it is full the newest event is dropped and counted; the reader gets one
/// [`Kind::Dropped`] with the count before the next event, so totals still add up.
pub fn channel(capacity: usize) -> (ChannelSink, Events) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    let sink = ChannelSink { sender, dropped: Arc::clone(&dropped) };
    (sink, Events { receiver, dropped, held: None, last: Stamp::default() })
}

/// The end that measurements emit into. Clones share the channel.
#[derive(Clone, Debug)]
pub struct ChannelSink {
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Sink for ChannelSink {
    fn emit(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end that is read.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    dropped: Arc<AtomicU64>,
    held: Option<Event>,
    last: Stamp,
}

impl Events {
    /// The next event, oldest first; `None` once every sink is gone and all was read.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.held.take() {
            return Some(event);
        }
        let event = self.receiver.recv().await;
        self.after(event)
    }

    /// The next event if one is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        if let Some(event) = self.held.take() {
            return Some(event);
        }
        let event = self.receiver.try_recv().ok();
        self.after(event)
    }

    fn after(&mut self, event: Option<Event>) -> Option<Event> {
        if let Some(event) = &event {
            self.last = event.at;
        }
        let count = self.dropped.swap(0, Ordering::Relaxed);
        if count == 0 {
            return event;
        }
        self.held = event;
        let origin = Origin::new(Source::Stats, "events");
        Some(Event::new(self.last, origin, Kind::Dropped(Dropped { count })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(nanos: u64) -> Event {
        let at = Stamp { mono: sojourner_stats::Instant::from_nanos(nanos), ..Stamp::default() };
        Event::new(at, Origin::new(Source::App, "test"), Kind::Unknown)
    }

    #[test]
    fn what_did_not_fit_is_counted_and_the_totals_add_up() {
        let (sink, mut events) = channel(2);
        for nanos in 0..5 {
            sink.emit(event(nanos));
        }
        drop(sink);
        let read: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        let dropped = |event: &Event| match event.kind {
            Kind::Dropped(Dropped { count }) => count,
            _ => 1,
        };
        assert_eq!(read.iter().map(dropped).sum::<u64>(), 5);
        assert_eq!(read.len(), 3, "one event tells of all that were dropped: {read:?}");
    }

    #[test]
    fn a_drop_after_the_last_event_is_still_told() {
        let (sink, mut events) = channel(1);
        sink.emit(event(1));
        assert_eq!(events.try_next(), Some(event(1)));
        sink.emit(event(2));
        sink.emit(event(3));
        drop(sink);
        assert_eq!(std::iter::from_fn(|| events.try_next()).count(), 2);
    }
}
