//! Pictures of round trips. A lost echo is `×`, never a bar of height zero.

mod chart;
mod strip;

pub(crate) use chart::RttChart;
pub(crate) use strip::RttStrip;

/// An eighth to a full cell, the lowest first.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
