//! Windows: the recent past in cells of 1 s, 10 s, 1 min, 1 h and 1 d.
//!
//! Monotonic time drives them. A cell exists once something happened in it, so a gap stays a gap;
//! the number of cells is bounded, the oldest go first; an event that comes late goes to its own
//! cell as long as that still lies within the window, and is left out otherwise.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::distribution::{Distribution, Precision};
use crate::time::{Instant, Stamp};

/// How long the cells of a window are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// One second.
    Second,
    /// Ten seconds.
    TenSeconds,
    /// One minute.
    Minute,
    /// One hour.
    Hour,
    /// One day of 24 hours.
    Day,
}

impl Span {
    /// All, the shortest first.
    pub const ALL: [Self; 5] =
        [Self::Second, Self::TenSeconds, Self::Minute, Self::Hour, Self::Day];

    /// The length of one cell.
    pub const fn width(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::TenSeconds => 10,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }

    /// How many cells a window keeps unless told otherwise: a minute of seconds, ten minutes of
    /// tens, an hour of minutes, a day of hours, a month of days.
    pub const fn cells_max(self) -> usize {
        match self {
            Self::Second | Self::TenSeconds | Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 30,
        }
    }
}

/// What happened in one cell of a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Where it starts; a multiple of the window's width on the monotonic clock.
    pub start: Stamp,
    /// Echoes that ended in it: replies, losses and ICMP errors.
    pub sent: u32,
    /// Those without a reply: losses and ICMP errors.
    pub lost: u32,
    /// The replies' round trips, in seconds.
    pub rtt: Distribution,
}

impl Cell {
    fn new(start: Stamp) -> Self {
        let rtt = Distribution::with_precision(Precision::Coarse);
        Self { start, sent: 0, lost: 0, rtt }
    }

    /// The share of echoes without a reply, 0 to 1; `None` when none ended.
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.sent > 0).then(|| f64::from(self.lost) / f64::from(self.sent))
    }

    fn add(&mut self, rtt: Option<Duration>) {
        self.sent = self.sent.saturating_add(1);
        match rtt {
            Some(rtt) => {
                self.rtt.record(rtt.as_secs_f64());
            }
            None => self.lost = self.lost.saturating_add(1),
        }
    }
}

/// A bounded ring of [`Cell`]s. A clone is cheap: closed cells are shared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    span: Span,
    #[serde(skip)]
    cells_max: usize,
    closed: Arc<VecDeque<Cell>>,
    open: Option<Cell>,
}

impl Window {
    /// Makes an empty window of at most `cells_max` cells; with 0 it stays empty.
    pub fn new(span: Span, cells_max: usize) -> Self {
        Self { span, cells_max, closed: Arc::default(), open: None }
    }

    /// The length of its cells.
    pub const fn span(&self) -> Span {
        self.span
    }

    /// The cells in which something happened, oldest first; the last one may still grow.
    pub fn cells(&self) -> impl DoubleEndedIterator<Item = &Cell> + Clone {
        self.closed.iter().chain(&self.open)
    }

    /// The cell that still grows.
    pub fn latest(&self) -> Option<&Cell> {
        self.open.as_ref()
    }

    /// The last `count` cells as one, gaps left out; `None` when there are none.
    pub fn merged(&self, count: usize) -> Option<Cell> {
        let mut merged: Option<Cell> = None;
        for cell in self.cells().rev().take(count) {
            match &mut merged {
                None => merged = Some(cell.clone()),
                Some(merged) => {
                    merged.start = cell.start;
                    merged.sent = merged.sent.saturating_add(cell.sent);
                    merged.lost = merged.lost.saturating_add(cell.lost);
                    merged.rtt.merge(&cell.rtt);
                }
            }
        }
        merged
    }

    /// Adds one echo: its round trip, or `None` when it was lost.
    pub fn add(&mut self, at: Stamp, rtt: Option<Duration>) {
        if self.cells_max == 0 {
            return;
        }
        let start = self.start_of(at.mono);
        match &mut self.open {
            Some(open) if open.start.mono == start => open.add(rtt),
            Some(open) if open.start.mono > start => self.add_late(at.at(start), rtt),
            _ => {
                let mut cell = Cell::new(at.at(start));
                cell.add(rtt);
                let oldest = self.oldest(start);
                let before = self.open.replace(cell);
                let closed = Arc::make_mut(&mut self.closed);
                closed.extend(before);
                while closed.front().is_some_and(|cell| cell.start.mono < oldest) {
                    closed.pop_front();
                }
            }
        }
    }

    fn add_late(&mut self, start: Stamp, rtt: Option<Duration>) {
        let newest = self.open.as_ref().map_or(Instant::ZERO, |open| open.start.mono);
        if start.mono < self.oldest(newest) {
            return;
        }
        let closed = Arc::make_mut(&mut self.closed);
        let place = closed.partition_point(|cell| cell.start.mono < start.mono);
        if closed.get(place).is_none_or(|cell| cell.start.mono != start.mono) {
            closed.insert(place, Cell::new(start));
        }
        if let Some(cell) = closed.get_mut(place) {
            cell.add(rtt);
        }
    }

    /// The start of the oldest cell that is kept beside one that starts at `newest`.
    fn oldest(&self, newest: Instant) -> Instant {
        let others = u32::try_from(self.cells_max - 1).unwrap_or(u32::MAX);
        newest - self.span.width().saturating_mul(others)
    }

    fn start_of(&self, at: Instant) -> Instant {
        let width = u64::try_from(self.span.width().as_nanos()).unwrap_or(u64::MAX);
        Instant::from_nanos(at.as_nanos() / width * width)
    }
}
