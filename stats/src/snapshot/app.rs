//! Links of `netcore`, and the application's own numbers.

use serde::Serialize;

use crate::Distribution;
use crate::event::{ConnectProfile, CustomValue, Heartbeat, LinkState, TaskProfile};
use crate::time::Stamp;

/// One link of `netcore`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LinkView {
    /// Its latest state, and since when.
    pub state: Option<(Stamp, LinkState)>,
    /// Connections that were made.
    pub connects: u64,
    /// Connections that never came to be.
    pub connect_failures: u64,
    /// The latest connection that ended or failed.
    pub last_connect: Option<(Stamp, ConnectProfile)>,
    /// Times from the first attempt to the winner, in seconds.
    pub connect: Distribution,
    /// Bytes sent by connections that ended, framing included.
    pub sent_bytes: u64,
    /// Bytes received by connections that ended, framing included.
    pub received_bytes: u64,
    /// Tasks that succeeded.
    pub tasks: u64,
    /// Tasks that failed.
    pub task_failures: u64,
    /// The latest task.
    pub last_task: Option<(Stamp, TaskProfile)>,
    /// Times of tasks that succeeded, from acceptance to the end, in seconds.
    pub task: Distribution,
    /// Heartbeats answered.
    pub beats: u64,
    /// Heartbeats that nothing answered.
    pub beats_missed: u64,
    /// The latest heartbeat.
    pub last_beat: Option<(Stamp, Heartbeat)>,
}

impl LinkView {
    pub(crate) fn on_state(&mut self, at: Stamp, state: &LinkState) {
        self.state = Some((at, state.clone()));
    }

    pub(crate) fn on_connect(&mut self, at: Stamp, profile: &ConnectProfile) {
        if profile.winner.is_some() {
            self.connects += 1;
            self.connect.record(profile.connect_us.as_secs_f64());
        } else {
            self.connect_failures += 1;
        }
        self.sent_bytes = self.sent_bytes.saturating_add(profile.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(profile.received_bytes);
        self.last_connect = Some((at, profile.clone()));
    }

    pub(crate) fn on_task(&mut self, at: Stamp, profile: &TaskProfile) {
        if profile.failure.is_none() {
            self.tasks += 1;
            self.task.record(profile.total_us.as_secs_f64());
        } else {
            self.task_failures += 1;
        }
        self.last_task = Some((at, profile.clone()));
    }

    pub(crate) fn on_beat(&mut self, at: Stamp, beat: &Heartbeat) {
        if beat.answered {
            self.beats += 1;
        } else {
            self.beats_missed += 1;
        }
        self.last_beat = Some((at, beat.clone()));
    }
}

/// One number of the embedding application. A key that is used in several ways has them all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CustomView {
    /// When it was last reported.
    pub at: Stamp,
    /// The total of what was counted; `None` when nothing was.
    pub count: Option<u64>,
    /// The last value; `None` when none was set.
    pub gauge: Option<f64>,
    /// The samples; negative ones are left out.
    pub samples: Distribution,
}

impl CustomView {
    pub(crate) fn on_value(&mut self, at: Stamp, value: CustomValue) {
        self.at = at;
        match value {
            CustomValue::Count(n) => {
                self.count = Some(self.count.unwrap_or(0).saturating_add(n));
            }
            CustomValue::Gauge(value) => self.gauge = Some(value),
            CustomValue::Sample(value) => {
                self.samples.record(value);
            }
        }
    }
}
