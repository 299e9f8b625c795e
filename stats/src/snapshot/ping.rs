//! Echoes to one address.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::Distribution;
use crate::stats::StatsConfig;
use crate::time::Stamp;
use crate::window::{Span, Window};

/// Echoes to one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PingView {
    /// Echoes answered in time.
    pub replies: u64,
    /// Echoes that nothing answered in time.
    pub lost: u64,
    /// Echoes that an ICMP error answered.
    pub errors: u64,
    /// Second replies to one echo.
    pub duplicates: u64,
    /// Replies after their echo was counted as lost; the loss stands.
    pub late: u64,
    /// Echoes this host could not send: never the network's loss.
    pub send_failed: u64,
    /// The latest round trip.
    pub last_rtt: Option<Duration>,
    /// The smoothed round trip (RFC 6298, section 2).
    pub srtt: Option<Duration>,
    /// How far round trips stray from the smoothed one (RFC 6298, section 2).
    pub rttvar: Option<Duration>,
    /// The smoothed difference of successive round trips (RFC 3550, section 6.4.1); absent until
    /// there are two.
    pub jitter: Option<Duration>,
    /// The latest reply's remaining TTL or hop limit.
    pub ttl: Option<u8>,
    /// Round trips of all time, in seconds.
    pub rtt: Distribution,
    /// The latest echoes, newest last; `None` is a lost one.
    pub recent: Recent,
    /// One window for each [`Span`], the shortest first.
    pub windows: [Window; 5],
}

impl PingView {
    pub(crate) fn new(config: &StatsConfig) -> Self {
        Self {
            replies: 0,
            lost: 0,
            errors: 0,
            duplicates: 0,
            late: 0,
            send_failed: 0,
            last_rtt: None,
            srtt: None,
            rttvar: None,
            jitter: None,
            ttl: None,
            rtt: Distribution::new(),
            recent: Recent::new(config.recent_max),
            windows: std::array::from_fn(|i| Window::new(Span::ALL[i], config.cells_max[i])),
        }
    }

    /// Echoes that ended: replies, losses and ICMP errors.
    pub fn sent(&self) -> u64 {
        self.replies + self.lost + self.errors
    }

    /// The share of echoes without a reply, 0 to 1; `None` when none ended.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn loss_ratio(&self) -> Option<f64> {
        let sent = self.sent();
        (sent > 0).then(|| (self.lost + self.errors) as f64 / sent as f64)
    }

    /// The window of a span.
    pub fn window(&self, span: Span) -> &Window {
        &self.windows[span as usize]
    }

    pub(crate) fn on_reply(&mut self, at: Stamp, rtt: Duration, ttl: Option<u8>) {
        self.replies += 1;
        self.ttl = ttl.or(self.ttl);
        if let Some(last) = self.last_rtt {
            self.jitter = Some(smoothed_jitter(self.jitter, last.abs_diff(rtt)));
        }
        // RFC 6298, section 2: alpha is 1/8, beta is 1/4.
        (self.srtt, self.rttvar) = match (self.srtt, self.rttvar) {
            (Some(srtt), Some(rttvar)) => (
                Some((srtt.saturating_mul(7).saturating_add(rtt)) / 8),
                Some((rttvar.saturating_mul(3).saturating_add(srtt.abs_diff(rtt))) / 4),
            ),
            _ => (Some(rtt), Some(rtt / 2)),
        };
        self.last_rtt = Some(rtt);
        self.rtt.record(rtt.as_secs_f64());
        self.end(at, Some(rtt));
    }

    pub(crate) fn on_lost(&mut self, at: Stamp) {
        self.lost += 1;
        self.end(at, None);
    }

    pub(crate) fn on_error(&mut self, at: Stamp) {
        self.errors += 1;
        self.end(at, None);
    }

    fn end(&mut self, at: Stamp, rtt: Option<Duration>) {
        self.recent.push(Sample { at, rtt });
        for window in &mut self.windows {
            window.add(at, rtt);
        }
    }
}

/// RFC 3550, section 6.4.1: J += (|D| - J) / 16.
pub(crate) fn smoothed_jitter(jitter: Option<Duration>, difference: Duration) -> Duration {
    let jitter = jitter.unwrap_or_default();
    (jitter.saturating_mul(15).saturating_add(difference)) / 16
}

/// How one echo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// When it ended.
    pub at: Stamp,
    /// Its round trip; `None` when it was lost or answered by an ICMP error.
    pub rtt: Option<Duration>,
}

/// A bounded ring of the latest [`Sample`]s. A clone is cheap: full chunks are shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Recent {
    max: usize,
    full: VecDeque<Arc<[Sample]>>,
    tail: Vec<Sample>,
}

impl Recent {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, full: VecDeque::new(), tail: Vec::new() }
    }

    /// How many there are, at most the bound.
    pub fn len(&self) -> usize {
        self.held().min(self.max)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All, newest last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Sample> + Clone {
        self.newest(self.max)
    }

    /// The latest `count`, newest last.
    pub fn newest(&self, count: usize) -> impl DoubleEndedIterator<Item = &Sample> + Clone {
        let surplus = self.held() - self.len().min(count);
        let (chunks, rest) = (surplus / CHUNK, surplus % CHUNK);
        let full = self.full.iter().skip(chunks);
        let tail_skip = if chunks < self.full.len() { 0 } else { rest };
        let first = full.clone().take(1).flat_map(move |chunk| chunk.iter().skip(rest));
        let others = full.skip(1).flat_map(|chunk| chunk.iter());
        first.chain(others).chain(self.tail.iter().skip(tail_skip))
    }

    fn held(&self) -> usize {
        self.full.len() * CHUNK + self.tail.len()
    }

    pub(crate) fn push(&mut self, sample: Sample) {
        if self.max == 0 {
            return;
        }
        self.tail.push(sample);
        if self.tail.len() == CHUNK {
            self.full.push_back(self.tail.as_slice().into());
            self.tail.clear();
        }
        while self.held() >= self.max + CHUNK {
            self.full.pop_front();
        }
    }
}

impl Serialize for Recent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for sample in self.iter() {
            list.serialize_element(sample)?;
        }
        list.end()
    }
}

/// What a copy of a changed ring costs at most, in samples.
const CHUNK: usize = 32;
