//! What the screen knows, and how it changes: `update(model, message) -> command`, nothing else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use sojourner_probe::target::Target;
use sojourner_stats::event::{Cause, Status};
use sojourner_stats::{Instant, Snapshot, Stamp, TargetView};

use crate::verdict::{self, Shown};

/// The whole state of the dashboard.
#[derive(Debug)]
pub(crate) struct Model {
    /// In the order of the command line.
    pub(crate) targets: Vec<TargetState>,
    pub(crate) selected: usize,
    pub(crate) pane: Pane,
    pub(crate) help: bool,
    pub(crate) paused: bool,
    pub(crate) started: Stamp,
    pub(crate) now: Stamp,
    /// From one echo to the next, for the time axis.
    pub(crate) interval: Duration,
    pub(crate) zone: jiff::tz::TimeZone,
    pub(crate) events: u64,
    pub(crate) dropped: u64,
}

/// One target on the screen.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) target: Target,
    /// As last seen.
    pub(crate) view: Option<Arc<TargetView>>,
    /// The latest connection times, newest last; the statistics keep only their distribution.
    pub(crate) tcp: Ring,
    /// The latest rounds of each hop, by distance.
    pub(crate) hops: Vec<Ring>,
    /// What could not be measured, and why; one line each.
    pub(crate) notes: Vec<String>,
    pub(crate) shown: Shown,
    /// Verdicts so far, oldest first, at most [`CHANGES_MAX`].
    pub(crate) changes: VecDeque<(Stamp, Status, Option<Cause>)>,
    pub(crate) diagnosing: bool,
    live_since: Stamp,
    live: Option<Status>,
    /// When the latest diagnosis was asked for, and when it ended.
    asked: Instant,
    diagnosed: Option<Instant>,
    /// When the diagnosis of the verdict in view was asked for: it knows nothing newer.
    verdict_asked: Instant,
    verdict_at: Option<Stamp>,
}

/// A short memory of one series, made by watching a view's counts grow.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) samples: VecDeque<Option<Duration>>,
    sent: u64,
    good: u64,
}

impl Ring {
    fn watch(&mut self, sent: u64, good: u64, last: Option<Duration>) {
        if sent > self.sent {
            // Several at once: the view holds the value of the last one alone.
            let sample = if good > self.good { last } else { None };
            self.samples.push_back(sample);
            if self.samples.len() > RING_MAX {
                self.samples.pop_front();
            }
        }
        (self.sent, self.good) = (sent, good);
    }
}

/// What the lower part of a small screen shows; a large one shows all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pane {
    #[default]
    Latency,
    Path,
    Dns,
    Tcp,
    Findings,
}

impl Pane {
    pub(crate) const ALL: [Self; 5] =
        [Self::Latency, Self::Path, Self::Dns, Self::Tcp, Self::Findings];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Latency => "Latency",
            Self::Path => "Path",
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Findings => "Findings",
        }
    }

    fn step(self, by: usize) -> Self {
        let here = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL[(here + by) % Self::ALL.len()]
    }
}

/// Everything that can happen to the screen.
#[derive(Debug)]
pub(crate) enum Message {
    Key(KeyEvent),
    Resized,
    /// Newer statistics.
    Snapshot(Arc<Snapshot>),
    /// Time passed.
    Tick(Stamp),
    /// A measurement of a target could not run; by index, with the reason.
    Note(usize, String),
    /// A diagnosis of a target ended; by index.
    Diagnosed(usize),
}

/// What the driver must do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Quit,
    /// Diagnose this target, by index.
    Diagnose(usize),
}

/// Whether the picture is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redraw {
    Needed,
    Needless,
}

/// From one diagnosis of a target to the next. Each sends a few dozen packets: this often, it
/// stays below a tenth of what the echoes send.
pub(crate) const DIAGNOSE_EVERY: Duration = Duration::from_secs(10);
/// The soonest a diagnosis follows another, however much the evidence changes.
pub(crate) const DIAGNOSE_PAUSE: Duration = Duration::from_secs(1);
/// Changes of a verdict kept: as many as the largest screen shows.
pub(crate) const CHANGES_MAX: usize = 50;
/// Samples kept where the statistics keep none: more than the widest screen has columns.
const RING_MAX: usize = 300;
/// Reasons kept for a target; they rarely differ.
const NOTES_MAX: usize = 8;
/// Targets diagnosed again and again; of more, only the selected one is.
const DIAGNOSED_MAX: usize = 8;

impl Model {
    pub(crate) fn new(targets: Vec<Target>, now: Stamp, interval: Duration) -> Self {
        Self {
            targets: targets.into_iter().map(|target| TargetState::new(target, now)).collect(),
            selected: 0,
            pane: Pane::default(),
            help: false,
            paused: false,
            started: now,
            now,
            interval,
            zone: jiff::tz::TimeZone::UTC,
            events: 0,
            dropped: 0,
        }
    }

    pub(crate) fn selected(&self) -> Option<&TargetState> {
        self.targets.get(self.selected)
    }

    /// Takes in one message; says what to do about it, and whether to draw.
    pub(crate) fn update(&mut self, message: Message) -> (Option<Command>, Redraw) {
        match message {
            Message::Key(key) => (self.on_key(key), Redraw::Needed),
            Message::Resized => (None, Redraw::Needed),
            Message::Snapshot(snapshot) => (None, self.on_snapshot(&snapshot)),
            Message::Tick(now) => {
                // The clock on the screen shows seconds: nothing changes in between.
                let same = self.now.wall.as_unix_seconds() == now.wall.as_unix_seconds();
                self.now = now;
                let redraw = if same { Redraw::Needless } else { Redraw::Needed };
                (self.due_diagnosis(), redraw)
            }
            Message::Note(index, note) => {
                if let Some(state) = self.targets.get_mut(index)
                    && state.notes.len() < NOTES_MAX
                    && !state.notes.contains(&note)
                {
                    state.notes.push(note);
                }
                (None, Redraw::Needed)
            }
            Message::Diagnosed(index) => {
                if let Some(state) = self.targets.get_mut(index) {
                    state.diagnosing = false;
                    state.diagnosed = Some(self.now.mono);
                }
                (None, Redraw::Needed)
            }
        }
    }

    fn on_key(&mut self, key: KeyEvent) -> Option<Command> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Some(Command::Quit),
            KeyCode::Char('q') => return Some(Command::Quit),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.help = !self.help,
            KeyCode::Esc => self.help = false,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('d') => return self.diagnose(self.selected),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::PageDown => self.select(self.selected.saturating_add(10)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(10)),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.pane = self.pane.step(1),
            KeyCode::BackTab | KeyCode::Left => self.pane = self.pane.step(Pane::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                self.pane = Pane::ALL[digit as usize - '1' as usize];
            }
            _ => {}
        }
        None
    }

    fn select(&mut self, index: usize) {
        self.selected = index.min(self.targets.len().saturating_sub(1));
    }

    fn on_snapshot(&mut self, snapshot: &Snapshot) -> Redraw {
        if self.paused {
            return Redraw::Needless;
        }
        (self.events, self.dropped) = (snapshot.events, snapshot.dropped);
        for state in &mut self.targets {
            if let Some(view) = snapshot.targets.get(state.target.text()) {
                state.on_view(view, snapshot.at);
            }
        }
        Redraw::Needed
    }

    fn diagnose(&mut self, index: usize) -> Option<Command> {
        let now = self.now.mono;
        let state = self.targets.get_mut(index)?;
        if state.diagnosing {
            return None;
        }
        (state.diagnosing, state.asked) = (true, now);
        Some(Command::Diagnose(index))
    }

    /// One target that was not diagnosed for a while, or whose evidence changed since.
    fn due_diagnosis(&mut self) -> Option<Command> {
        let now = self.now.mono;
        let few = self.targets.len() <= DIAGNOSED_MAX;
        let due = self.targets.iter().enumerate().position(|(index, state)| {
            let wanted = few || index == self.selected;
            wanted && !state.diagnosing && state.is_due(now)
        })?;
        self.diagnose(due)
    }
}

impl TargetState {
    fn new(target: Target, now: Stamp) -> Self {
        Self {
            target,
            view: None,
            tcp: Ring::default(),
            hops: Vec::new(),
            notes: Vec::new(),
            shown: Shown::measuring(),
            changes: VecDeque::new(),
            diagnosing: false,
            live_since: now,
            live: None,
            asked: now.mono,
            diagnosed: None,
            verdict_asked: now.mono,
            verdict_at: None,
        }
    }

    pub(crate) fn view(&self) -> Option<&TargetView> {
        self.view.as_deref()
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some(diagnosed) = self.diagnosed else { return true };
        let wait = if self.live_since.mono > diagnosed { DIAGNOSE_PAUSE } else { DIAGNOSE_EVERY };
        now.since(diagnosed) >= wait
    }

    fn on_view(&mut self, view: &Arc<TargetView>, at: Stamp) {
        if self.view.as_ref().is_some_and(|old| Arc::ptr_eq(old, view)) {
            return;
        }
        self.view = Some(Arc::clone(view));
        let newest = view.tcp.values().max_by_key(|tcp| tcp.at.mono);
        let attempts = view.tcp.values().map(|tcp| tcp.attempts).sum();
        let connected = view.tcp.values().map(|tcp| tcp.connected).sum();
        self.tcp.watch(attempts, connected, newest.and_then(|tcp| tcp.last_connect));
        let hops =
            crate::pulse::path(view).map(|(_, path)| crate::pulse::hops(path)).unwrap_or_default();
        self.hops.resize_with(hops.len(), Ring::default);
        for (ring, hop) in self.hops.iter_mut().zip(hops) {
            ring.watch(hop.sent, hop.replies, hop.last_rtt);
        }
        self.judge(at);
    }

    fn judge(&mut self, at: Stamp) {
        let Some(view) = &self.view else { return };
        let live = verdict::live(view);
        if live.status != self.live {
            (self.live, self.live_since) = (live.status, at);
        }
        let verdict_at = view.verdict.as_ref().map(|(when, _)| *when);
        if verdict_at != self.verdict_at {
            (self.verdict_at, self.verdict_asked) = (verdict_at, self.asked);
        }
        // A diagnosis that began before the evidence changed explains what was, not what is.
        let fresh = live.status.is_none()
            || self.verdict_asked >= self.live_since.mono
            || view
                .verdict
                .as_ref()
                .is_some_and(|(_, verdict)| Some(verdict.status) == live.status);
        let diagnosed = view.verdict.as_ref().filter(|_| fresh);
        self.shown = match diagnosed {
            Some((when, verdict)) => Shown::diagnosed(*when, verdict),
            None => live,
        };
        // Healthy by the facts alone or by a diagnosis: no change worth telling.
        let cause = self.shown.cause.filter(|cause| *cause != Cause::Healthy);
        let now = (self.shown.status, cause);
        let before = self.changes.back().map(|(_, status, cause)| (Some(*status), *cause));
        if let Some(status) = now.0
            && before != Some(now)
        {
            self.changes.push_back((at, status, now.1));
            if self.changes.len() > CHANGES_MAX {
                self.changes.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests;
