//! The one series that tells how a target does: its echoes, or its connects where echoes are not
//! answered.

use std::time::Duration;

use sojourner_stats::event::{HopAnswer, TraceProtocol};
use sojourner_stats::snapshot::{HopView, PathView, PingView};
use sojourner_stats::{Distribution, TargetView};

use crate::model::TargetState;

/// What a row and the chart show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse {
    /// `echo` or `connect`.
    pub(crate) what: &'static str,
    /// Newest last, `None` is a lost one.
    pub(crate) samples: Vec<Option<Duration>>,
    pub(crate) last: Option<Duration>,
    pub(crate) jitter: Option<Duration>,
    pub(crate) rtt: Distribution,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    pub(crate) loss: Option<f64>,
}

impl Pulse {
    pub(crate) fn of(state: &TargetState) -> Self {
        let Some(view) = state.view() else { return Self::default() };
        let connected: u64 = view.tcp.values().map(|tcp| tcp.connected).sum();
        match ping(view) {
            Some(ping) if ping.replies > 0 || connected == 0 => Self::of_echoes(ping),
            _ => Self::of_connects(state, view),
        }
    }

    fn of_echoes(ping: &PingView) -> Self {
        Self {
            what: "echo",
            samples: ping.recent.iter().map(|sample| sample.rtt).collect(),
            last: ping.last_rtt,
            jitter: ping.jitter,
            rtt: ping.rtt.clone(),
            sent: ping.sent(),
            lost: ping.lost + ping.errors,
            loss: ping.loss_ratio(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    fn of_connects(state: &TargetState, view: &TargetView) -> Self {
        let mut pulse = Self { what: "connect", ..Self::default() };
        pulse.samples = state.tcp.samples.iter().copied().collect();
        for tcp in view.tcp.values() {
            pulse.rtt.merge(&tcp.connect);
            let cancelled = tcp.outcomes.get(&sojourner_stats::event::TcpOutcome::Cancelled);
            let sent = tcp.attempts - cancelled.copied().unwrap_or(0);
            pulse.sent += sent;
            pulse.lost += sent.saturating_sub(tcp.connected);
        }
        let newest = view.tcp.values().max_by_key(|tcp| tcp.at.mono);
        pulse.last = newest.and_then(|tcp| tcp.last_connect);
        pulse.loss = (pulse.sent > 0).then(|| pulse.lost as f64 / pulse.sent as f64);
        pulse
    }
}

/// The echoes of the address asked most recently.
pub(crate) fn ping(view: &TargetView) -> Option<&PingView> {
    let newest = |ping: &&PingView| ping.recent.newest(1).next().map(|sample| sample.at.mono);
    view.ping.values().max_by_key(newest)
}

/// The path as the packets that got farther saw it.
pub(crate) fn path(view: &TargetView) -> Option<(TraceProtocol, &PathView)> {
    view.paths
        .iter()
        .max_by_key(|(_, path)| (path.reached, path.rounds))
        .map(|(protocol, path)| (*protocol, path))
}

/// The hops up to the target: one lost answer of the target does not make the path shorter.
pub(crate) fn hops(path: &PathView) -> &[HopView] {
    let target = path.hops.iter().position(|hop| hop.answer == Some(HopAnswer::Reached));
    match target {
        Some(index) => &path.hops[..=index],
        None => path.current(),
    }
}
