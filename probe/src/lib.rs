//! Sojourner's active measurements, and the diagnosis that explains them.
//!
//! ```text
//!    target ──► ping  trace  dns  tcp  local      what is measured: Config in, events out
//!                 │     │     │    │     │
//!                 └─────┴──┬──┴────┴─────┘
//!                          ├──► diagnose          what it means: evidence in, one verdict out
//!      connect             │
//!  (racing connect,        ▼
//!   netcore's too)   driver, driver::sys          sockets, clocks and the kernel's stamps
//!                          │
//!                        wire                     packets as bytes, no I/O
//!
//!    events: the bounded channel between a measurement and who shows it; privilege: what is allowed
//! ```
//!
//! Every measurement is `run(&config, &sink, &cancel)`: it emits [`sojourner_stats::Event`]s as
//! they happen and returns a summary. A broken network is an event, never an `Err`; an
//! [`error::ProbeError`] is the caller's mistake or this host's refusal.
//!
//! # Examples
//!
//! What a measurement emits is read at the other end of a bounded channel:
//!
//! ```
//! # use sojourner_probe::events;
//! # use sojourner_stats::{event::*, Sink, Stamp};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let (sink, mut events) = events::channel(64);
//! sink.emit(Event::new(
//!     Stamp::default(),
//!     Origin::new(Source::Ping, "192.0.2.7"),
//!     Kind::PingLost(PingLost { seq: 0, addr: "192.0.2.7".parse().unwrap() }),
//! ));
//! drop(sink);
//! let event = events.next().await.expect("it was emitted");
//! assert!(matches!(event.kind, Kind::PingLost(_)));
//! assert_eq!(events.next().await, None, "every sink is gone");
//! # });
//! ```

pub mod connect;
#[cfg(feature = "suite")]
pub mod diagnose;
#[cfg(feature = "suite")]
pub mod dns;
pub mod driver;
pub mod error;
pub mod events;
#[cfg(feature = "suite")]
pub mod local;
#[cfg(feature = "suite")]
pub mod ping;
#[cfg(feature = "suite")]
pub mod privilege;
#[cfg(feature = "suite")]
pub mod target;
#[cfg(feature = "suite")]
pub mod tcp;
#[cfg(feature = "suite")]
pub mod trace;
#[cfg(feature = "suite")]
pub mod wire;

pub use error::ProbeError;
