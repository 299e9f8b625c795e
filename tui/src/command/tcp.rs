//! `sojourner tcp`: connection attempts, and whether anybody speaks.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;
use sojourner_probe::connect::RaceGoal;
use sojourner_probe::events;
use sojourner_probe::target::Target;
use sojourner_probe::tcp::{self, TcpConfig, TcpReport};
use sojourner_stats::event::{AppOutcome, AppReply, TcpConnect, TcpOutcome};
use sojourner_stats::{Micros, Origin, Source};
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, error_chain, follow, micros};
use crate::Answer;
use crate::args::Common;
use crate::output::{Out, progress};
use crate::session::family_of;
use crate::{text, words};

pub(super) async fn run(target: &Target, common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let Some(port) = target.port() else {
        bail!("{target} has no port; add one, such as {target}:443");
    };
    let addrs = match target.resolve(family_of(common)).await {
        Ok(addrs) => addrs,
        Err(error) => {
            progress(&format!("sojourner: {}", error_chain(&error)));
            return Ok(Answer::Fault);
        }
    };
    let addrs = addrs.into_iter().map(|addr| SocketAddr::new(addr, port)).collect();
    let mut config = TcpConfig::new(Origin::new(Source::Tcp, Arc::clone(target.text())), addrs);
    // Every address, not only the fastest: this command is for looking.
    config.race.goal = RaceGoal::Each;
    config.race.attempt_timeout = common.timeout.unwrap_or(config.race.attempt_timeout);
    config.source = common.source;
    config.interface.clone_from(&common.interface);
    let cancel = CancellationToken::new();
    let (sink, events) = events::channel(EVENTS_MAX);
    let work = async { tcp::run(&config, &sink, &cancel).await };
    let report = follow(work, events, &cancel, |_event| Ok(())).await??;
    if common.json {
        Out::json(&Document {
            schema: "sojourner.tcp/1",
            target: target.to_string(),
            connected: report.connected,
            attempts: report.attempts.iter().map(|attempt| &attempt.connect).collect(),
            untried: &report.untried,
            replies: &report.replies,
            elapsed_us: micros(report.elapsed),
        })?;
    } else {
        print(&report, &out)?;
    }
    let silent = report.replies.iter().all(|reply| reply.outcome == AppOutcome::Silent);
    let good = report.connected.is_some() && (report.replies.is_empty() || !silent);
    Ok(if good { Answer::Good } else { Answer::Fault })
}

fn print(report: &TcpReport, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    for attempt in &report.attempts {
        let TcpConnect { addr, outcome, elapsed_us, info, .. } = &attempt.connect;
        let style = match outcome {
            TcpOutcome::Connected => theme.ok(),
            TcpOutcome::Cancelled => theme.faint(),
            _ => theme.fault(),
        };
        let mark = if *outcome == TcpOutcome::Connected { "✔" } else { "✖" };
        let facts = info.as_ref().map(|info| format!("MSS {} PMTU {}", info.snd_mss, info.pmtu));
        Out::line(&format!(
            "{} {}  {}  {}  {}",
            out.paint(mark, style),
            out.paint(&addr.to_string(), theme.title()),
            out.paint(&words::tcp_outcome(*outcome), style),
            text::rtt(elapsed_us.0),
            out.paint(&facts.unwrap_or_default(), theme.faint()),
        ))?;
    }
    for reply in &report.replies {
        let style = match reply.outcome {
            AppOutcome::Spoke | AppOutcome::Closed => theme.ok(),
            _ => theme.fault(),
        };
        let what = format!(
            "application {} after {}",
            words::app_outcome(reply.outcome),
            text::rtt(reply.elapsed_us.0)
        );
        Out::line(&format!("  {}  {}", reply.addr, out.paint(&what, style)))?;
    }
    for addr in &report.untried {
        Out::line(&out.paint(&format!("  {addr}  not tried"), theme.faint()))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    target: String,
    connected: Option<SocketAddr>,
    attempts: Vec<&'a TcpConnect>,
    untried: &'a [SocketAddr],
    replies: &'a [AppReply],
    elapsed_us: Micros,
}
