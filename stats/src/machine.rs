//! The one shape of every protocol and policy: state in, decisions out, no I/O.

use crate::time::{Deadline, Instant};

/// A protocol without its I/O: inputs and time go in; transmits, events and deadlines come out.
///
/// The caller's contract: inputs before timeouts (a reply that came in time is not late); after
/// each call drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event) to
/// `None`; then wait for [`poll_timeout`](Self::poll_timeout). The laws every machine keeps: the
/// same inputs give the same outputs; after a drain the deadline lies after `now`; an early
/// `handle_timeout` changes nothing; time that runs backwards is harmless; every queue is bounded.
pub trait Machine {
    /// What the driver heard: a reply, "connected", "network changed".
    type Input;
    /// What the driver must do: send this, dial that, close those.
    type Transmit;
    /// What happened. Nothing else leaves the machine.
    type Event;

    /// Takes in what was heard. `at` is when it arrived: the kernel's stamp where there is one, so
    /// perhaps before the last `now`.
    fn handle_input(&mut self, at: Instant, input: Self::Input);

    /// Lets time pass to `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// The next thing to do, or `None` when there is nothing to do at `now`.
    fn poll_transmit(&mut self, now: Instant) -> Option<Self::Transmit>;

    /// The next thing that happened, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When `handle_timeout` is next due, and why: a driver that spins logs the `why`.
    fn poll_timeout(&self) -> Option<Deadline>;
}
