//! Where measurements go.

use std::sync::Arc;

use crate::Event;

/// Takes what happened. Never blocks: one that is full counts what it drops and later emits
/// [`Kind::Dropped`](crate::Kind::Dropped), so totals still add up.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn emit(&self, event: Event) {
        (**self).emit(event);
    }
}

impl<S: Sink + ?Sized> Sink for &S {
    fn emit(&self, event: Event) {
        (**self).emit(event);
    }
}

/// Gives each event to both sinks, the first one first.
///
/// # Examples
///
/// ```
/// # use sojourner_stats::{sink::{Discard, Tee}, Event, Kind, Origin, Sink, Source, Stamp};
/// let both = Tee(Discard, Discard);
/// both.emit(Event::new(Stamp::default(), Origin::new(Source::App, "demo"), Kind::Unknown));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tee<A, B>(pub A, pub B);

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn emit(&self, event: Event) {
        self.0.emit(event.clone());
        self.1.emit(event);
    }
}

/// Takes every event and keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Sink for Discard {
    fn emit(&self, _event: Event) {}
}
