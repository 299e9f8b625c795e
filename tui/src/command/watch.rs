//! `sojourner watch`: measures without a screen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use sojourner_probe::events::{self, ChannelSink};
use sojourner_probe::target::Target;
use sojourner_stats::journal::JournalConfig;
use sojourner_stats::{Event, Hub, HubConfig, Recorded, Recorder, Sink, Snapshot};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, follow};
use crate::Answer;
use crate::args::Common;
use crate::output::{Out, progress};
use crate::session::Session;
use crate::{pulse, text};

/// Notes that wait to be told.
const NOTES_MAX: usize = 256;
/// How often the first few targets are diagnosed: a recording should tell when something began to
/// a minute.
const DIAGNOSE_EVERY: Duration = Duration::from_mins(1);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Targets told of; of more, only the number is.
const TOLD_MAX: usize = 10;

pub(super) async fn run(
    targets: Vec<Target>,
    journal: Option<PathBuf>,
    common: &Common,
) -> anyhow::Result<Answer> {
    let mut config = HubConfig::default();
    config.journal = journal.clone().map(JournalConfig::new);
    let hub = Hub::start(config).context("cannot start recording")?;
    if let Some(recovery) = hub.journal_recovery().filter(|recovery| recovery.cut_bytes > 0) {
        progress(&format!(
            "the journal had a torn tail of {} bytes, which was cut",
            recovery.cut_bytes
        ));
    }
    let cancel = CancellationToken::new();
    let (printer, events) = events::channel(EVENTS_MAX);
    let (notes, told_notes) = mpsc::channel(NOTES_MAX);
    let names: Vec<Arc<str>> = targets.iter().map(|target| Arc::clone(target.text())).collect();
    let session = Session {
        targets: targets.into(),
        common: common.clone(),
        interval: common.interval.unwrap_or(Duration::from_secs(1)),
        timeout: common.timeout.unwrap_or(Duration::from_secs(2)),
        diagnose_every: Some(DIAGNOSE_EVERY),
    };
    let sink = Arc::new(Acknowledged { recorder: hub.recorder(), printer, print: common.json });
    let mut tasks = session.start(sink, notes, &cancel);
    progress(&format!("watching {} targets; Ctrl-C ends", names.len()));
    let measured = async { while tasks.join_next().await.is_some() {} };
    let work = async {
        tokio::select! {
            () = measured => {}
            () = tell(&hub, &names, told_notes, common.json) => {}
        }
    };
    follow(work, events, &cancel, |event| Out::json(&Line { schema: "sojourner.event/1", event }))
        .await?;
    let failed = hub.journal_error();
    let snapshot = hub.finish();
    if let Some(error) = failed {
        anyhow::bail!("{}", super::error_chain(&*error));
    }
    summarise(&snapshot, &names, journal.as_deref(), common)?;
    Ok(Answer::Good)
}

/// Records first, and prints only what the recorder acknowledged.
struct Acknowledged {
    recorder: Recorder,
    printer: ChannelSink,
    print: bool,
}

impl Sink for Acknowledged {
    fn emit(&self, event: Event) {
        if self.recorder.record(&event) == Recorded::Kept && self.print {
            self.printer.emit(event);
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    event: &'a Event,
}

/// Tells how it goes, until dropped.
async fn tell(
    hub: &Hub,
    names: &[Arc<str>],
    mut noted: mpsc::Receiver<(usize, String)>,
    quiet: bool,
) {
    let mut told = std::collections::BTreeSet::new();
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    ticks.tick().await;
    loop {
        tokio::select! {
            note = noted.recv() => match note {
                // The same reason once a target is enough.
                Some((index, note)) => if told.len() < NOTES_MAX && told.insert((index, note.clone())) {
                    progress(&format!("{}: {note}", names[index]));
                },
                None => std::future::pending().await,
            },
            _ = ticks.tick() => if !quiet {
                for line in lines(&hub.snapshot(), names).iter().take(TOLD_MAX) {
                    progress(line);
                }
            },
        }
    }
}

fn lines(snapshot: &Snapshot, names: &[Arc<str>]) -> Vec<String> {
    let line = |name: &Arc<str>| {
        let Some(ping) = snapshot.target(name).and_then(pulse::ping) else {
            return format!("{name}: no echo yet");
        };
        format!(
            "{name}: {} sent, {} lost, p50 {} p95 {} jitter {}",
            ping.sent(),
            text::percent(ping.loss_ratio()),
            text::seconds_or_dash(ping.rtt.quantile(0.5)),
            text::seconds_or_dash(ping.rtt.quantile(0.95)),
            text::rtt_or_dash(ping.jitter),
        )
    };
    names.iter().map(line).collect()
}

fn summarise(
    snapshot: &Snapshot,
    names: &[Arc<str>],
    journal: Option<&std::path::Path>,
    common: &Common,
) -> anyhow::Result<()> {
    let mut all = lines(snapshot, names);
    all.push(format!("{} events, {} dropped", snapshot.events, snapshot.dropped));
    if let Some(path) = journal {
        all.push(format!("recorded in {}; see `sojourner replay {0}`", path.display()));
    }
    for line in all {
        // With --json, stdout holds events alone.
        if common.json { progress(&line) } else { Out::line(&text::sanitise(&line))? }
    }
    Ok(())
}
