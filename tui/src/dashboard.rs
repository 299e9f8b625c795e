//! The driver of the screen: keys, time and statistics in, pictures out.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt as _;
use sojourner_probe::diagnose;
use sojourner_probe::target::Target;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock as _, Hub, HubConfig, Sink, Snapshot};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Answer;
use crate::args::Common;
use crate::command::{check_config, error_chain, interrupted};
use crate::model::{Command, Message, Model, Redraw};
use crate::session::{Session, Verdicts};
use crate::terminal::Guard;
use crate::theme::{Depth, Theme};
use crate::view;

/// Most targets: more rows than anybody scrolls through; `watch` and the exporter take more.
pub(crate) const TARGETS_MAX: usize = 1_000;
/// The screen looks for newer statistics this often; the statistics are published ten times a
/// second.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// Messages of measurements that wait for the screen.
const MESSAGES_MAX: usize = 256;
/// How long measurements may take to end before the process ends without them.
const END_WAIT: Duration = Duration::from_millis(300);

/// Shows the dashboard until the user quits.
pub(crate) async fn run(
    targets: Vec<Target>,
    common: Common,
    test_panic: bool,
) -> anyhow::Result<Answer> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!(
            "the dashboard needs a terminal; use `sojourner watch --json` or `sojourner check` instead"
        );
    }
    // Half a second is lively; many targets are asked at the pace that `ping` has.
    let usual = if targets.len() <= 16 { 500 } else { 1_000 };
    let interval = common.interval.unwrap_or_else(|| Duration::from_millis(usual));
    let timeout = common.timeout.unwrap_or(Duration::from_secs(2));
    let hub = Hub::start(HubConfig::default()).context("cannot start the statistics")?;
    let mut model = Model::new(targets.clone(), SystemClock.now(), interval);
    model.zone = jiff::tz::TimeZone::system();
    let cancel = CancellationToken::new();
    let sink: Arc<dyn Sink> = Arc::new(hub.recorder());
    let (notes, told_notes) = mpsc::channel(MESSAGES_MAX);
    let session = Session {
        targets: targets.into(),
        common: common.clone(),
        interval,
        timeout,
        diagnose_every: None,
    };
    let tasks = session.start(Arc::clone(&sink), notes, &cancel);
    let theme = Theme::new(Depth::detect(|name| std::env::var(name).ok()));
    let screen = Screen { model, theme, hub, sink, common, cancel: cancel.clone(), test_panic };
    let result = screen.show(told_notes).await;
    cancel.cancel();
    drop(tokio::time::timeout(END_WAIT, end(tasks)).await);
    result.map(|()| Answer::Good)
}

async fn end(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

struct Screen {
    model: Model,
    theme: Theme,
    hub: Hub,
    sink: Arc<dyn Sink>,
    common: Common,
    cancel: CancellationToken,
    test_panic: bool,
}

impl Screen {
    async fn show(mut self, mut noted: mpsc::Receiver<crate::session::Note>) -> anyhow::Result<()> {
        // First of all: a signal from here on must find the way to the guard.
        let mut stop = Box::pin(interrupted());
        let mut guard = Guard::enter().context("cannot take over the terminal")?;
        let mut keys = EventStream::new();
        let mut frames = tokio::time::interval(FRAME_EVERY);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (ended, mut endings) = mpsc::channel(MESSAGES_MAX);
        let mut running = JoinSet::new();
        let mut last: Arc<Snapshot> = self.hub.snapshot();
        let mut dirty = true;
        loop {
            if dirty {
                let (model, theme) = (&self.model, self.theme);
                guard.terminal().draw(|frame| view::draw(model, theme, frame))?;
                dirty = false;
                assert!(
                    !self.test_panic,
                    "panics on purpose, to test that the terminal is restored"
                );
            }
            let messages = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                key = keys.next() => match key {
                    Some(Ok(TerminalEvent::Key(key))) => vec![Message::Key(key)],
                    Some(Ok(TerminalEvent::Resize(..))) => vec![Message::Resized],
                    Some(Ok(_)) => Vec::new(),
                    // The terminal is gone: so is whoever looked at it.
                    Some(Err(_)) | None => return Ok(()),
                },
                Some((index, note)) = noted.recv() => vec![Message::Note(index, note)],
                Some((index, note)) = endings.recv() => {
                    let note: Option<String> = note;
                    let mut messages = vec![Message::Diagnosed(index)];
                    messages.extend(note.map(|note| Message::Note(index, note)));
                    messages
                },
                _ = frames.tick() => {
                    let mut messages = vec![Message::Tick(SystemClock.now())];
                    let latest = self.hub.snapshot();
                    if !Arc::ptr_eq(&latest, &last) {
                        last = Arc::clone(&latest);
                        messages.push(Message::Snapshot(latest));
                    }
                    messages
                },
                Some(_) = running.join_next() => Vec::new(),
            };
            for message in messages {
                let (command, redraw) = self.model.update(message);
                dirty |= redraw == Redraw::Needed;
                match command {
                    Some(Command::Quit) => return Ok(()),
                    Some(Command::Diagnose(index)) => {
                        self.diagnose(index, &mut running, &ended);
                    }
                    None => {}
                }
            }
        }
    }

    fn diagnose(
        &self,
        index: usize,
        running: &mut JoinSet<()>,
        ended: &mpsc::Sender<(usize, Option<String>)>,
    ) {
        let Some(state) = self.model.targets.get(index) else { return };
        let config = check_config(&self.common, state.target.clone());
        let (sink, cancel, ended) = (
            Verdicts::new(Arc::clone(&self.sink), self.cancel.clone()),
            self.cancel.clone(),
            ended.clone(),
        );
        running.spawn(async move {
            let note = match config {
                Ok(config) => diagnose::run(&config, &sink, &cancel)
                    .await
                    .err()
                    .map(|error| error_chain(&error)),
                Err(error) => Some(format!("{error:#}")),
            };
            drop(ended.send((index, note)).await);
        });
    }
}
