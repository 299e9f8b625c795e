//! Sojourner's vocabulary and memory: every measurement is an [`Event`]; events fold into
//! statistics; a journal keeps them. It knows no socket.
//!
//! ```text
//!   event/ ── what was measured (Event = Stamp + Origin + Kind)
//!     │
//!     │  Sink::emit
//!     ▼
//!   time, units, machine ── the plain values all of it is made of
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
