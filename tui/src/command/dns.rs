//! `sojourner dns`: what several name servers say, side by side.

use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;
use sojourner_probe::dns::{self, DnsReport, Lookup};
use sojourner_probe::events;
use sojourner_stats::event::{DnsAnswer, DnsFailure, DnsIntegrity, DnsRole, DnsVerdict};
use sojourner_stats::{Micros, Origin, Source};
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, dns_config, follow, micros};
use crate::Answer;
use crate::args::{Common, DnsArgs};
use crate::output::Out;
use crate::{text, words};

pub(super) async fn run(args: &DnsArgs, common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let target = &args.name;
    if !target.wants_dns() {
        bail!("{target} is an address and needs no DNS; give a name, such as example.net");
    }
    let origin = Origin::new(Source::Dns, Arc::clone(target.text()));
    let mut config = dns_config(common, target, origin)?;
    config.record_types.clone_from(&args.record_types);
    let cancel = CancellationToken::new();
    let (sink, events) = events::channel(EVENTS_MAX);
    let work = async { dns::run(&config, &sink, &cancel).await };
    let report = follow(work, events, &cancel, |_event| Ok(())).await??;
    if common.json {
        Out::json(&document(&config.name, &report))?;
    } else {
        print(&report, &out)?;
    }
    Ok(if is_good(&report) { Answer::Good } else { Answer::Fault })
}

/// Whether a configured server found the name, and no verdict speaks against one.
fn is_good(report: &DnsReport) -> bool {
    let found = report.lookups.iter().any(|lookup| match lookup {
        Lookup::Answer(answer) => {
            answer.role == DnsRole::Configured
                && &*answer.rcode == "NOERROR"
                && !answer.records.is_empty()
        }
        Lookup::Failure(_) => false,
    });
    let fair = |verdict: &DnsVerdict| {
        matches!(verdict.integrity, DnsIntegrity::Consistent | DnsIntegrity::Inconclusive)
    };
    found && report.verdicts().all(fair)
}

fn print(report: &DnsReport, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    let width = report.lookups.iter().map(|lookup| lookup.server().chars().count()).max();
    let width = width.unwrap_or(0).clamp(6, 50);
    let head = format!(
        "  {}  {:<6}  {:<5}  {:>7}  {:<9}  ANSWER",
        text::pad("SERVER", width),
        "HOW",
        "TYPE",
        "TIME",
        "RCODE"
    );
    Out::line(&out.paint(&head, theme.faint()))?;
    for lookup in &report.lookups {
        let (rcode, answer, style) = match lookup {
            Lookup::Answer(answer) if &*answer.rcode == "NOERROR" => {
                (answer.rcode.to_string(), words::records(&answer.records), theme.ok())
            }
            Lookup::Answer(answer) => {
                (answer.rcode.to_string(), words::records(&answer.records), theme.warn())
            }
            Lookup::Failure(failure) => {
                ("–".into(), words::dns_error(failure.error).into(), theme.fault())
            }
        };
        let mark = if lookup.role() == DnsRole::Trusted { "★" } else { " " };
        Out::line(&format!(
            "{} {}  {:<6}  {:<5}  {}  {}  {}",
            out.paint(mark, theme.accent()),
            out.paint(&text::pad(lookup.server(), width), theme.text()),
            words::dns_transport(lookup.transport()),
            text::sanitise(lookup.record_type()),
            out.paint(
                &text::pad_left(&text::rtt(lookup.elapsed()), 7),
                theme.rtt(Some(lookup.elapsed()))
            ),
            out.paint(&text::pad(&rcode, 9), style),
            out.paint(&answer, style),
        ))?;
    }
    for verdict in report.verdicts() {
        let (mark, style) = match verdict.integrity {
            DnsIntegrity::Consistent => ("✔", theme.ok()),
            DnsIntegrity::Inconclusive => ("•", theme.faint()),
            _ => ("▲", theme.warn()),
        };
        Out::line(&out.paint(&format!("{mark} {}: {}", verdict.server, verdict.detail), style))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    name: &'a str,
    lookups: Vec<DocumentLookup<'a>>,
    nonexistent: Vec<DocumentLookup<'a>>,
    verdicts: Vec<&'a DnsVerdict>,
    elapsed_us: Micros,
}

#[derive(Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
enum DocumentLookup<'a> {
    Answer(&'a DnsAnswer),
    Failure(&'a DnsFailure),
}

fn document<'a>(name: &'a str, report: &'a DnsReport) -> Document<'a> {
    let lookup = |lookup: &'a Lookup| match lookup {
        Lookup::Answer(answer) => DocumentLookup::Answer(answer),
        Lookup::Failure(failure) => DocumentLookup::Failure(failure),
    };
    Document {
        schema: "sojourner.dns/1",
        name,
        lookups: report.lookups.iter().map(lookup).collect(),
        nonexistent: report.nonexistent.iter().map(lookup).collect(),
        verdicts: report.verdicts().collect(),
        elapsed_us: micros(report.elapsed),
    }
}
