//! Sojourner's vocabulary and memory: every measurement is an [`Event`]; events fold into
//! statistics; a journal keeps them. It knows no socket.
//!
//! ```text
//!   event/      what was measured: Event = Stamp + Origin + Kind
//!     │
//!     │  Sink::emit, Recorder::record        bounded; full: counted, told by Kind::Dropped
//!     ▼
//!   recorder ──────────► journal/            survives kill -9; replay gives the same events
//!     │                     │
//!     │  Hub's one thread   │  replay
//!     ▼                     ▼
//!   stats       the pure fold: per target, bounded, by the events' own stamps
//!     │         made of distribution (base-2 exponential histogram) and window (1 s to 1 d)
//!     ▼
//!   snapshot/   Arc<Snapshot>: what screens and scrapes read; unchanged targets are shared
//!
//!   time, units, machine ── the plain values and the one trait all of it is made of
//! ```
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use sojourner_stats::{*, event::*, time::SystemClock};
//!
//! let hub = Hub::start(HubConfig::default())?;
//! let recorder = hub.recorder(); // a clone for each prober
//! let addr = "192.0.2.7".parse()?;
//! for (seq, ms) in [(0, 20), (1, 22), (2, 90)] {
//!     let kind = Kind::PingReply(PingReply {
//!         seq,
//!         addr,
//!         rtt_us: Micros(Duration::from_millis(ms)),
//!         ttl: Some(57),
//!         size_bytes: 64,
//!         stamp: StampSource::Kernel,
//!         engine: PingEngine::KernelDgram,
//!     });
//!     recorder.emit(Event::new(SystemClock.now(), Origin::new(Source::Ping, "example.com"), kind));
//! }
//!
//! let snapshot = hub.flush();
//! let ping = &snapshot.target("example.com").ok_or("no such target")?.ping[&addr];
//! assert_eq!((ping.replies, ping.lost), (3, 0));
//! let median = ping.rtt.quantile(0.5).ok_or("no round trip")?;
//! assert!((median - 0.022).abs() <= 0.022 * ping.rtt.relative_error());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

pub mod distribution;
pub mod event;
pub mod hub;
#[cfg(feature = "journal")]
pub mod journal;
mod keeper;
pub mod machine;
pub mod recorder;
pub mod sink;
pub mod snapshot;
pub mod stats;
pub mod time;
pub mod units;
pub mod window;

pub use distribution::Distribution;
pub use event::{Event, Kind, Origin, Source};
pub use hub::{Hub, HubConfig, HubError};
pub use machine::Machine;
pub use recorder::{Recorded, Recorder};
pub use sink::Sink;
pub use snapshot::{Snapshot, TargetView};
pub use stats::{Stats, StatsConfig};
pub use time::{Clock, Deadline, Instant, Stamp, WallTime};
pub use units::Micros;
