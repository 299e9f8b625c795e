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

#![forbid(unsafe_code)]

pub mod event;
pub mod machine;
pub mod sink;
pub mod time;
pub mod units;

pub use event::{Event, Kind, Origin, Source};
pub use machine::Machine;
pub use sink::Sink;
pub use time::{Clock, Deadline, Instant, Stamp, WallTime};
pub use units::Micros;
