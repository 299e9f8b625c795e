//! `sojourner replay`: a journal folded into the same statistics as when it was live.

use std::path::Path;

use serde::Serialize;
use sojourner_stats::journal::{self, ReplayReport};
use sojourner_stats::{Snapshot, Stamp, Stats, TargetView};

use crate::Answer;
use crate::args::Common;
use crate::output::Out;
use crate::theme::{status_mark, status_word};
use crate::{pulse, text};

pub(super) fn run(file: &Path, common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let mut replay = journal::replay(file)?;
    let mut stats = Stats::default();
    let (mut first, mut last): (Option<Stamp>, Option<Stamp>) = (None, None);
    for event in &mut replay {
        let event = event?;
        first.get_or_insert(event.at);
        last = Some(event.at);
        stats.fold(&event);
    }
    let report = replay.report();
    let snapshot = stats.snapshot(last.unwrap_or_default());
    if common.json {
        let document = Document {
            schema: "sojourner.replay/1",
            file: file.display().to_string(),
            journal: Journal {
                events: report.events,
                unknown: report.unknown,
                corrupt_blocks: report.corrupt_blocks,
                cut_bytes: report.cut_bytes,
                duplicates: report.duplicates,
                first,
                last,
            },
            snapshot: &snapshot,
        };
        Out::json(&document)?;
    } else {
        print(file, report, &snapshot, (first, last), &out)?;
    }
    Ok(if report.corrupt_blocks == 0 { Answer::Good } else { Answer::Fault })
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    file: String,
    journal: Journal,
    #[serde(flatten)]
    snapshot: &'a Snapshot,
}

#[derive(Serialize)]
struct Journal {
    events: u64,
    unknown: u64,
    corrupt_blocks: u64,
    cut_bytes: u64,
    duplicates: u64,
    first: Option<Stamp>,
    last: Option<Stamp>,
}

fn print(
    file: &Path,
    report: &ReplayReport,
    snapshot: &Snapshot,
    (first, last): (Option<Stamp>, Option<Stamp>),
    out: &Out,
) -> anyhow::Result<()> {
    let theme = out.theme;
    Out::line(&out.paint(&format!("{}: {} events", file.display(), report.events), theme.title()))?;
    if let (Some(first), Some(last)) = (first, last) {
        let zone = jiff::tz::TimeZone::system();
        let text = format!(
            "  {} to {}, {}",
            text::time_of_day(first.wall, &zone),
            text::time_of_day(last.wall, &zone),
            text::clock(last.mono.since(first.mono))
        );
        Out::line(&out.paint(&text, theme.faint()))?;
    }
    for (count, what) in [
        (report.corrupt_blocks, "damaged blocks skipped"),
        (report.cut_bytes, "bytes of a torn tail cut"),
        (report.duplicates, "events met twice and read once"),
        (report.unknown, "events of kinds this release does not know"),
        (snapshot.dropped, "events dropped while recording"),
    ] {
        if count > 0 {
            Out::line(&out.paint(&format!("  {count} {what}"), theme.warn()))?;
        }
    }
    for (name, view) in &snapshot.targets {
        print_target(name, view, out)?;
    }
    Ok(())
}

fn print_target(name: &str, view: &TargetView, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    Out::line(&out.paint(name, theme.title()))?;
    if let Some((_, verdict)) = &view.verdict {
        let status = Some(verdict.status);
        let text = format!(
            "  {} {} {}: {}",
            status_mark(status),
            status_word(status),
            verdict.cause,
            verdict.summary
        );
        Out::line(&out.paint(&text, theme.status(status)))?;
    }
    if let Some(ping) = pulse::ping(view) {
        let quantile = |q| text::seconds_or_dash(ping.rtt.quantile(q));
        let text = format!(
            "  echo     {} sent, {} lost, p50 {} p95 {} p99 {} jitter {}",
            ping.sent(),
            text::percent(ping.loss_ratio()),
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            text::rtt_or_dash(ping.jitter)
        );
        Out::line(&out.paint(&text, theme.loss(ping.loss_ratio())))?;
    }
    if let Some((_, path)) = pulse::path(view) {
        let reached = if path.reached { "reached" } else { "not reached" };
        let text =
            format!("  path     {} hops, {reached}, {} rounds", path.current().len(), path.rounds);
        Out::line(&out.paint(&text, theme.text()))?;
    }
    for (addr, tcp) in &view.tcp {
        let text = format!(
            "  connect  {addr}: {} of {}, p50 {}",
            tcp.connected,
            tcp.attempts,
            text::seconds_or_dash(tcp.connect.quantile(0.5))
        );
        Out::line(&out.paint(&text, theme.text()))?;
    }
    for dns in &view.dns {
        let text = format!(
            "  dns      {} {}: {} answers, {} failures, p50 {}",
            dns.server,
            dns.record_type,
            dns.answers,
            dns.failures,
            text::seconds_or_dash(dns.elapsed.quantile(0.5))
        );
        Out::line(&out.paint(&text, theme.text()))?;
    }
    Ok(())
}
