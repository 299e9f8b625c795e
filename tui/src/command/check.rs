//! `sojourner check`: one diagnosis, one verdict.

use sojourner_probe::diagnose::{self, Report};
use sojourner_probe::events;
use sojourner_probe::target::Target;
use sojourner_stats::event::Status;
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, check_config, follow};
use crate::Answer;
use crate::args::Common;
use crate::output::{Out, progress};
use crate::theme::{severity_mark, status_mark, status_word};
use crate::view::scope_word;

pub(super) async fn run(targets: &[Target], common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let cancel = CancellationToken::new();
    let mut answer = Answer::Good;
    for target in targets {
        let config = check_config(common, target.clone())?;
        if !common.json {
            progress(&format!("checking {target} …"));
        }
        let (sink, events) = events::channel(EVENTS_MAX);
        let work = async { diagnose::run(&config, &sink, &cancel).await };
        // Boxed: a diagnosis holds every measurement at once.
        let report = Box::pin(follow(work, events, &cancel, |_event| Ok(()))).await??;
        if common.json {
            Out::json(&report)?;
        } else {
            print(&report, &out)?;
        }
        if report.verdict.status != Status::Healthy {
            answer = Answer::Fault;
        }
        if cancel.is_cancelled() {
            break;
        }
    }
    Ok(answer)
}

fn print(report: &Report, out: &Out) -> std::io::Result<()> {
    let (theme, verdict) = (out.theme, &report.verdict);
    let status = Some(verdict.status);
    let word = format!("{} {}", status_mark(status), status_word(status));
    Out::line(&format!(
        "{}  {}  {}",
        out.paint(&word, theme.badge(status)),
        out.paint(&report.target.to_string(), theme.title()),
        out.paint(
            &format!(
                "{} · {} · {:.0}% sure",
                verdict.cause,
                scope_word(verdict.scope),
                verdict.confidence * 100.0
            ),
            theme.faint()
        ),
    ))?;
    Out::line(&format!("  {}", out.paint(&verdict.summary, theme.text())))?;
    if !verdict.advice.is_empty() {
        Out::line(&format!("  {}", out.paint(&format!("→ {}", verdict.advice), theme.accent())))?;
    }
    for finding in &report.findings {
        let style = theme.severity(finding.severity);
        let head = format!("{} {}", severity_mark(finding.severity), finding.cause);
        let evidence: Vec<String> =
            finding.evidence.iter().take(3).map(ToString::to_string).collect();
        let more = if finding.evidence.len() > 3 { " …" } else { "" };
        Out::line(&format!(
            "    {}  {}  {}",
            out.paint(&head, style),
            out.paint(&finding.summary, theme.text()),
            out.paint(&format!("[{}{more}]", evidence.join(" ")), theme.faint()),
        ))?;
    }
    for skipped in &report.skipped {
        let text = format!("skipped {}: {}", skipped.check, skipped.why);
        Out::line(&format!("    {}", out.paint(&text, theme.faint())))?;
    }
    let foot = format!("{} measurements in {} ms", report.measurements.len(), report.elapsed_ms);
    Out::line(&format!("  {}", out.paint(&foot, theme.faint())))
}
