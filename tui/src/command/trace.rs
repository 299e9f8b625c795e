//! `sojourner trace`: the path, hop by hop.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sojourner_probe::ProbeError;
use sojourner_probe::events;
use sojourner_probe::trace::{self, Hop, TraceConfig, TraceReport};
use sojourner_stats::event::{HopAnswer, TraceProtocol};
use sojourner_stats::{Kind, Micros, Origin, Source};
use tokio_util::sync::CancellationToken;

use super::{EVENTS_MAX, error_chain, follow, micros};
use crate::Answer;
use crate::args::{Common, Privilege, TraceArgs, TraceWith};
use crate::output::{Out, progress};
use crate::session::family_of;
use crate::text;
use crate::view::unreachable_mark;

/// Rounds unless told otherwise: three, as traceroute sends.
const ROUNDS: u32 = 3;
/// From one round to the next unless told otherwise.
const EVERY: Duration = Duration::from_millis(200);

pub(super) async fn run(args: &TraceArgs, common: &Common) -> anyhow::Result<Answer> {
    let out = Out::stdout();
    let target = &args.target;
    let addr = match target.resolve(family_of(common)).await {
        Ok(addrs) => addrs[0],
        Err(error) => {
            progress(&format!("sojourner: {}", error_chain(&error)));
            return Ok(Answer::Fault);
        }
    };
    let mut config = TraceConfig::new(Origin::new(Source::Trace, Arc::clone(target.text())), addr);
    config.max_ttl = args.max_ttl;
    config.rounds = Some(common.count.unwrap_or(ROUNDS));
    config.interval = common.interval.unwrap_or(EVERY);
    config.timeout = common.timeout.unwrap_or(config.timeout);
    config.source = common.source;
    config.interface.clone_from(&common.interface);
    let udp = args.udp || args.protocol == TraceWith::Udp || common.privilege == Privilege::Never;
    config.protocol = if udp { TraceProtocol::Udp } else { TraceProtocol::Icmp };
    if !common.json {
        progress(&format!("tracing {target} ({addr}) …"));
    }
    let mut result = walk(&config, common).await?;
    let may_fall_back = args.protocol == TraceWith::Auto && common.privilege != Privilege::Require;
    if result.as_ref().is_err_and(ProbeError::is_denied) && may_fall_back && !udp {
        config.protocol = TraceProtocol::Udp;
        result = walk(&config, common).await?;
    }
    let report = result?;
    if common.json {
        let hops = report.hops.iter().map(document_hop).collect();
        Out::json(&Document {
            schema: "sojourner.trace/1",
            target: target.to_string(),
            addr,
            protocol: config.protocol,
            reached: report.reached,
            rounds: report.rounds,
            hops,
        })?;
    } else {
        print(&report, &config, &out)?;
    }
    Ok(if report.reached { Answer::Good } else { Answer::Fault })
}

async fn walk(
    config: &TraceConfig,
    common: &Common,
) -> anyhow::Result<Result<TraceReport, ProbeError>> {
    let cancel = CancellationToken::new();
    let (sink, events) = events::channel(EVENTS_MAX);
    let work = async { trace::run(config, &sink, &cancel).await };
    follow(work, events, &cancel, |event| {
        if let (Kind::TraceRound(round), false) = (&event.kind, common.json) {
            let of = config.rounds.unwrap_or_default();
            progress(&format!("round {} of {of}: {} hops", round.round + 1, round.hops));
        }
        Ok(())
    })
    .await
}

fn print(report: &TraceReport, config: &TraceConfig, out: &Out) -> anyhow::Result<()> {
    let theme = out.theme;
    let name = |hop: &Hop| hop.addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let width = report.hops.iter().map(|hop| name(hop).len()).max().unwrap_or(0).clamp(9, 60);
    let head = format!(
        "{:>3}  {}  {:>6}  {:>7}  {:>7}  {:>7}",
        "TTL",
        text::pad("ADDRESS", width),
        "LOSS",
        "BEST",
        "AVG",
        "WORST"
    );
    Out::line(&out.paint(&head, theme.faint()))?;
    for hop in &report.hops {
        let numbers = document_hop(hop);
        let address = if hop.addrs.is_empty() { "no answer".into() } else { name(hop) };
        let style = if hop.addrs.is_empty() { theme.faint() } else { theme.text() };
        let dash =
            |rtt: Option<Micros>| text::pad_left(&text::rtt_or_dash(rtt.map(|rtt| rtt.0)), 7);
        let mark = match hop.answer {
            Some(HopAnswer::Unreachable(why)) => format!("  !{}", unreachable_mark(why)),
            _ => String::new(),
        };
        let loss = text::pad_left(&text::percent(numbers.loss_ratio), 6);
        Out::line(&format!(
            "{}  {}  {}  {}  {}  {}{}",
            out.paint(&format!("{:>3}", hop.ttl), theme.accent()),
            out.paint(&text::pad(&address, width), style),
            out.paint(
                &loss,
                if hop.addrs.is_empty() { theme.faint() } else { theme.loss(numbers.loss_ratio) }
            ),
            dash(numbers.best_us),
            dash(numbers.mean_us),
            dash(numbers.worst_us),
            out.paint(&mark, theme.fault()),
        ))?;
    }
    let end = if report.reached { "reached" } else { "not reached" };
    let packets = if config.protocol == TraceProtocol::Udp { "UDP" } else { "ICMP" };
    let foot = format!("{} {end} by {packets}, {} rounds", config.addr, report.rounds);
    let style = if report.reached { theme.ok() } else { theme.warn() };
    Out::line(&out.paint(&foot, style))?;
    Ok(())
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    target: String,
    addr: IpAddr,
    protocol: TraceProtocol,
    reached: bool,
    rounds: u32,
    hops: Vec<DocumentHop>,
}

#[derive(Serialize)]
struct DocumentHop {
    ttl: u8,
    addrs: Vec<IpAddr>,
    answer: Option<HopAnswer>,
    sent: usize,
    replies: usize,
    loss_ratio: Option<f64>,
    best_us: Option<Micros>,
    mean_us: Option<Micros>,
    worst_us: Option<Micros>,
    rtts_us: Vec<Option<Micros>>,
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn document_hop(hop: &Hop) -> DocumentHop {
    let replies: Vec<Duration> = hop.rtts.iter().flatten().copied().collect();
    let sent = hop.rtts.len();
    let mean = u32::try_from(replies.len())
        .ok()
        .and_then(|n| replies.iter().sum::<Duration>().checked_div(n));
    DocumentHop {
        ttl: hop.ttl,
        addrs: hop.addrs.clone(),
        answer: hop.answer,
        sent,
        replies: replies.len(),
        loss_ratio: (sent > 0).then(|| (sent - replies.len()) as f64 / sent as f64),
        best_us: replies.iter().min().copied().map(micros),
        mean_us: mean.map(micros),
        worst_us: replies.iter().max().copied().map(micros),
        rtts_us: hop.rtts.iter().map(|rtt| rtt.map(micros)).collect(),
    }
}
