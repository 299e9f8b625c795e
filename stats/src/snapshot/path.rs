//! The path to a target, hop by hop.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::ping::smoothed_jitter;
use crate::Distribution;
use crate::event::{HopAnswer, HopReply, HopSilent, TraceRound};

/// The path to a target, as one kind of packets saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PathView {
    /// The latest round, from 0.
    pub round: u32,
    /// Rounds that ended.
    pub rounds: u64,
    /// The address traced; known once a round ended.
    pub addr: Option<IpAddr>,
    /// Whether the target answered in the latest round that ended.
    pub reached: bool,
    /// The distance of the target in the latest round that ended, or of the last hop known when it
    /// was not reached; 0 before.
    pub distance: u8,
    /// How long the latest round took.
    pub elapsed: Option<Duration>,
    /// By distance: index 0 is the hop of TTL 1.
    pub hops: Vec<HopView>,
}

/// One hop of a path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HopView {
    /// Its distance, from 1.
    pub ttl: u8,
    /// Who answered, most recent first, at most [`HopView::ADDRS_MAX`].
    pub addrs: Vec<IpAddr>,
    /// Packets sent that ended.
    pub sent: u64,
    /// Packets answered.
    pub replies: u64,
    /// The latest round trip.
    pub last_rtt: Option<Duration>,
    /// The smoothed difference of successive round trips (RFC 3550, section 6.4.1).
    pub jitter: Option<Duration>,
    /// Round trips of all time, in seconds.
    pub rtt: Distribution,
    /// The latest answer.
    pub answer: Option<HopAnswer>,
    /// The latest answer's own remaining TTL.
    pub return_ttl: Option<u8>,
}

impl PathView {
    /// The hops up to the target's distance; all that are known before the first round ended.
    pub fn current(&self) -> &[HopView] {
        let known = self.hops.len();
        let distance = if self.distance == 0 { known } else { usize::from(self.distance) };
        &self.hops[..distance.min(known)]
    }

    pub(crate) fn on_reply(&mut self, reply: &HopReply) {
        self.round = reply.round;
        let Some(hop) = self.hop(reply.ttl) else { return };
        let rtt = reply.rtt_us.0;
        hop.sent += 1;
        hop.replies += 1;
        if let Some(last) = hop.last_rtt {
            hop.jitter = Some(smoothed_jitter(hop.jitter, last.abs_diff(rtt)));
        }
        hop.last_rtt = Some(rtt);
        hop.rtt.record(rtt.as_secs_f64());
        hop.answer = Some(reply.answer);
        hop.return_ttl = reply.return_ttl.or(hop.return_ttl);
        if hop.addrs.first() != Some(&reply.addr) {
            hop.addrs.retain(|addr| *addr != reply.addr);
            hop.addrs.truncate(HopView::ADDRS_MAX - 1);
            hop.addrs.insert(0, reply.addr);
        }
    }

    pub(crate) fn on_silent(&mut self, silent: &HopSilent) {
        self.round = silent.round;
        if let Some(hop) = self.hop(silent.ttl) {
            hop.sent += 1;
        }
    }

    pub(crate) fn on_round(&mut self, round: &TraceRound) {
        self.round = round.round;
        self.rounds += 1;
        self.addr = Some(round.addr);
        self.reached = round.reached;
        self.distance = round.hops;
        self.elapsed = Some(round.elapsed_us.0);
    }

    /// The hop of a TTL, made if it is new. A TTL of 0 has none.
    fn hop(&mut self, ttl: u8) -> Option<&mut HopView> {
        let index = usize::from(ttl).checked_sub(1)?;
        for missing in self.hops.len()..=index {
            self.hops.push(HopView::new(u8::try_from(missing + 1).ok()?));
        }
        self.hops.get_mut(index)
    }
}

impl HopView {
    /// The most addresses kept for a hop; more than that many parallel routers are rare.
    pub const ADDRS_MAX: usize = 8;

    fn new(ttl: u8) -> Self {
        Self {
            ttl,
            addrs: Vec::new(),
            sent: 0,
            replies: 0,
            last_rtt: None,
            jitter: None,
            rtt: Distribution::new(),
            answer: None,
            return_ttl: None,
        }
    }

    /// The share of packets without an answer, 0 to 1; `None` when none ended.
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.sent > 0).then(|| (self.sent - self.replies) as f64 / self.sent as f64)
    }
}
