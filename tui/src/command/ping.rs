//! `sojourner ping`: echoes and their round trips.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use sojourner_probe::events;
use sojourner_probe::ping::{self, PingConfig, PingReport, PingSummary, PingTarget};
use sojourner_probe::target::Target;
use sojourner_stats::event::PingEngine;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock as _, Event, Kind, Micros, Origin, Snapshot, Source, Stats};
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, error_chain, follow, micros, seconds_as_micros};
use crate::Answer;
use crate::args::Common;
use crate::output::{Out, progress};
use crate::session::{engine, family_of};
use crate::{pulse, text, words};

/// Names asked for at once.
const NAMES_IN_FLIGHT: usize = 64;
/// Echoes of `--json` unless told otherwise: one document needs an end.
const JSON_COUNT: u32 = 4;

pub(super) async fn run(
    targets: Vec<Target>,
    size: u16,
    common: &Common,
) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let (found, unresolved) = resolve(targets, common).await;
    if !common.json {
        for (target, why) in &unresolved {
            progress(&format!("{target}: {why}"));
        }
    }
    let mut config = PingConfig::new(found);
    config.size_bytes = size;
    config.count = match common.count {
        None if common.json => Some(u64::from(JSON_COUNT)),
        count => count.map(u64::from),
    };
    config.interval = common.interval.unwrap_or(config.interval);
    config.timeout = common.timeout.unwrap_or(config.timeout);
    config.engine = engine(common.privilege);
    config.source = common.source;
    config.interface.clone_from(&common.interface);
    let mut report = PingReport { targets: Vec::new(), overflowed: 0 };
    let mut stats = Stats::default();
    if !config.targets.is_empty() {
        let cancel = CancellationToken::new();
        let (sink, events) = events::channel(EVENTS_MAX);
        let work = async { ping::run(&config, &sink, &cancel).await };
        report = follow(work, events, &cancel, |event| {
            stats.fold(event);
            if common.json { Ok(()) } else { print_event(event, &out) }
        })
        .await??;
    }
    let snapshot = stats.snapshot(SystemClock.now());
    let good = unresolved.is_empty() && report.targets.iter().all(|target| target.replies > 0);
    if common.json {
        Out::json(&document(&report, &snapshot, unresolved))?;
    } else {
        print_summary(&report, &snapshot, &out)?;
    }
    Ok(if good { Answer::Good } else { Answer::Fault })
}

/// The first address of each target, and the targets that have none.
async fn resolve(
    targets: Vec<Target>,
    common: &Common,
) -> (Vec<PingTarget>, Vec<(String, String)>) {
    let family = family_of(common);
    let lookups = targets.into_iter().map(|target| async move {
        let addrs = target.resolve(family).await;
        (target, addrs)
    });
    let results: Vec<_> = stream::iter(lookups).buffered(NAMES_IN_FLIGHT).collect().await;
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for (target, addrs) in results {
        match addrs {
            Ok(addrs) => found.extend(addrs.first().map(|&addr| PingTarget {
                origin: Origin::new(Source::Ping, std::sync::Arc::clone(target.text())),
                addr,
            })),
            Err(error) => lost.push((target.to_string(), error_chain(&error))),
        }
    }
    (found, lost)
}

fn print_event(event: &Event, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    let target = out.paint(&event.origin.target, theme.title());
    let line = match &event.kind {
        Kind::PingReply(reply) => {
            let ttl = reply.ttl.map(|ttl| format!("  ttl {ttl}")).unwrap_or_default();
            let rtt = out.paint(&text::rtt(reply.rtt_us.0), theme.rtt(Some(reply.rtt_us.0)));
            format!(
                "{target}  seq {}  {rtt}{ttl}  {}",
                reply.seq,
                out.paint(&reply.addr.to_string(), theme.faint())
            )
        }
        Kind::PingLost(lost) => {
            format!("{target}  seq {}  {}", lost.seq, out.paint("× no reply", theme.fault()))
        }
        Kind::PingError(error) => {
            let from = error.from.map_or_else(|| "this host".into(), |from| from.to_string());
            let what = format!("× {:?} unreachable, says {from}", error.error);
            format!("{target}  seq {}  {}", error.seq, out.paint(&what, theme.fault()))
        }
        Kind::PingDuplicate(again) => {
            format!("{target}  seq {}  {}", again.seq, out.paint("duplicate", theme.warn()))
        }
        Kind::PingLate(late) => {
            let what = format!("late, after {}", text::rtt(late.rtt_us.0));
            format!("{target}  seq {}  {}", late.seq, out.paint(&what, theme.warn()))
        }
        Kind::PingSendFailed(failed) => {
            let error = std::io::Error::from_raw_os_error(failed.errno);
            let what = format!("could not be sent: {error}");
            format!("{target}  seq {}  {}", failed.seq, out.paint(&what, theme.fault()))
        }
        Kind::Dropped(dropped) => format!("… {} events not shown", dropped.count),
        _ => return Ok(()),
    };
    Ok(Out::line(&line)?)
}

fn print_summary(report: &PingReport, snapshot: &Snapshot, out: &Out) -> anyhow::Result<()> {
    Out::line("")?;
    for summary in &report.targets {
        let Numbers { loss_ratio, rtt, jitter_us, .. } = numbers(summary, snapshot);
        let name = out.paint(&summary.origin.target, out.theme.title());
        let loss =
            out.paint(&format!("{} lost", text::percent(loss_ratio)), out.theme.loss(loss_ratio));
        let dash = |micros: Option<Micros>| text::rtt_or_dash(micros.map(|micros| micros.0));
        Out::line(&format!(
            "{name}  {} sent, {} replies, {loss} · min {} avg {} p50 {} p95 {} p99 {} max {} jitter {}",
            summary.sent(),
            summary.replies,
            dash(rtt.min),
            dash(rtt.mean),
            dash(rtt.p50),
            dash(rtt.p95),
            dash(rtt.p99),
            dash(rtt.max),
            dash(jitter_us),
        ))?;
    }
    if let Some(first) = report.targets.first() {
        let by = format!("measured by {}", words::ping_engine(first.engine));
        Out::line(&out.paint(&by, out.theme.faint()))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    targets: Vec<Numbers>,
    unresolved: Vec<Unresolved>,
}

#[derive(Serialize)]
struct Unresolved {
    target: String,
    error: String,
}

#[derive(Serialize)]
struct Numbers {
    target: String,
    addr: IpAddr,
    engine: PingEngine,
    sent: u64,
    replies: u64,
    lost: u64,
    errors: u64,
    duplicates: u64,
    late: u64,
    send_failed: u64,
    loss_ratio: Option<f64>,
    #[serde(rename = "rtt_us")]
    rtt: Rtt,
    jitter_us: Option<Micros>,
    ttl: Option<u8>,
}

#[derive(Serialize)]
struct Rtt {
    min: Option<Micros>,
    mean: Option<Micros>,
    p50: Option<Micros>,
    p95: Option<Micros>,
    p99: Option<Micros>,
    max: Option<Micros>,
}

fn document(
    report: &PingReport,
    snapshot: &Snapshot,
    unresolved: Vec<(String, String)>,
) -> Document {
    Document {
        schema: "sojourner.ping/1",
        targets: report.targets.iter().map(|summary| numbers(summary, snapshot)).collect(),
        unresolved: unresolved
            .into_iter()
            .map(|(target, error)| Unresolved { target, error })
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn numbers(summary: &PingSummary, snapshot: &Snapshot) -> Numbers {
    let view = snapshot.target(&summary.origin.target).and_then(pulse::ping);
    let quantile = |q| seconds_as_micros(view.and_then(|view| view.rtt.quantile(q)));
    let exact = |rtt: Option<Duration>| rtt.map(micros);
    let sent = summary.sent();
    Numbers {
        target: summary.origin.target.to_string(),
        addr: summary.addr,
        engine: summary.engine,
        sent,
        replies: summary.replies,
        lost: summary.lost,
        errors: summary.errors,
        duplicates: summary.duplicates,
        late: summary.late,
        send_failed: summary.send_failed,
        loss_ratio: (sent > 0).then(|| (sent - summary.replies) as f64 / sent as f64),
        rtt: Rtt {
            min: exact(summary.rtt_min),
            mean: exact(summary.rtt_mean),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: exact(summary.rtt_max),
        },
        jitter_us: exact(view.and_then(|view| view.jitter)),
        ttl: view.and_then(|view| view.ttl),
    }
}
