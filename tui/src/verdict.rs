//! What to say about a target: the diagnosis where it is fresh, plain facts until it comes.

use std::time::Duration;

use sojourner_stats::event::{AppOutcome, Cause, Scope, Status, TcpOutcome, Verdict};
use sojourner_stats::{Stamp, TargetView};

use crate::pulse;
use crate::text;

/// What the banner shows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// Absent before the first measurement ended.
    pub(crate) status: Option<Status>,
    /// Absent while it is only what the latest measurements show, and no diagnosis.
    pub(crate) cause: Option<Cause>,
    pub(crate) scope: Option<Scope>,
    pub(crate) confidence: Option<f64>,
    pub(crate) summary: String,
    pub(crate) advice: String,
    /// When it was diagnosed.
    pub(crate) at: Option<Stamp>,
}

impl Shown {
    pub(crate) fn measuring() -> Self {
        Self::fact(None, "Waiting for the first answer.".into())
    }

    pub(crate) fn diagnosed(at: Stamp, verdict: &Verdict) -> Self {
        Self {
            status: Some(verdict.status),
            cause: Some(verdict.cause),
            scope: Some(verdict.scope),
            confidence: Some(verdict.confidence),
            summary: verdict.summary.clone(),
            advice: verdict.advice.clone(),
            at: Some(at),
        }
    }

    const fn fact(status: Option<Status>, summary: String) -> Self {
        Self {
            status,
            cause: None,
            scope: None,
            confidence: None,
            summary,
            advice: String::new(),
            at: None,
        }
    }
}

/// What the latest measurements show by themselves; names no cause.
pub(crate) fn live(view: &TargetView) -> Shown {
    let tcp = view.tcp.values().max_by_key(|tcp| tcp.at.mono);
    let connects = tcp.is_some_and(|tcp| tcp.last.outcome == TcpOutcome::Connected);
    let silent = view.app.as_ref().is_some_and(|(_, app)| app.outcome == AppOutcome::Silent);
    if connects && silent {
        return Shown::fact(
            Some(Status::Down),
            "Connections are accepted, and nobody speaks.".into(),
        );
    }
    if let Some(tcp) = tcp
        && !connects
        && tcp.last.outcome != TcpOutcome::Cancelled
    {
        let phrase = sojourner_probe::connect::outcome_phrase(tcp.last.outcome);
        return Shown::fact(Some(Status::Down), format!("{} {phrase}.", tcp.last.addr));
    }
    let Some(ping) = pulse::ping(view) else {
        return match tcp.and_then(|tcp| tcp.last_connect) {
            Some(rtt) => {
                Shown::fact(Some(Status::Healthy), format!("Connects in {}.", text::rtt(rtt)))
            }
            None => Shown::measuring(),
        };
    };
    let latest: Vec<Option<Duration>> =
        ping.recent.newest(LATEST).map(|sample| sample.rtt).collect();
    let lost = latest.iter().filter(|rtt| rtt.is_none()).count();
    match (latest.len(), lost) {
        (0, _) => Shown::measuring(),
        (sent, lost) if lost == sent && connects => {
            Shown::fact(Some(Status::Healthy), "Connects; echoes are not answered.".into())
        }
        (sent, lost) if lost == sent && sent < ENOUGH => Shown::measuring(),
        (sent, lost) if lost == sent => Shown::fact(
            Some(Status::Down),
            format!("None of the latest {sent} echoes was answered."),
        ),
        (sent, lost) if lost >= ENOUGH => Shown::fact(
            Some(Status::Degraded),
            format!("{lost} of the latest {sent} echoes were lost."),
        ),
        _ => {
            let rtt = text::rtt_or_dash(ping.last_rtt);
            Shown::fact(Some(Status::Healthy), format!("Replies in {rtt}."))
        }
    }
}

/// Echoes looked at: long enough to see a loss of a tenth, short enough to see it end.
const LATEST: usize = 20;
/// Losses that make a fact: one is chance, and two may be one burst.
const ENOUGH: usize = 3;
