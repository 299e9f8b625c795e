//! The commands, one file each, and what they share.

mod check;
mod dns;
mod doctor;
mod ping;
mod replay;
mod tcp;
mod trace;
mod watch;

use std::error::Error;
use std::fs;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sojourner_probe::diagnose::CheckConfig;
use sojourner_probe::dns::{DnsConfig, DnsServer, TrustRoots};
use sojourner_probe::events::Events;
use sojourner_probe::target::Target;
use sojourner_stats::{Event, Origin};
use tokio_util::sync::CancellationToken;

use crate::Answer;
use crate::args::{Cli, Command, Common};
use crate::{dashboard, session, targets};

/// Most targets of `ping` and `watch`: as many as the statistics keep apart.
const TARGETS_MAX: usize = 20_000;
/// Most targets of one `check`: each takes seconds.
const CHECKED_MAX: usize = 1_000;
/// Events that wait to be printed: seconds of a fast ping.
const EVENTS_MAX: usize = 16_384;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<Answer> {
    let Cli { command, targets: words, common, .. } = &cli;
    let Some(command) = command else {
        if words.is_empty() && common.targets_file.is_none() {
            bail!("no target; name one, such as `sojourner 192.0.2.7`, or see `sojourner --help`");
        }
        let targets = targets::gather(words, common, "the dashboard", dashboard::TARGETS_MAX)?;
        #[cfg(debug_assertions)]
        let test_panic = cli.test_panic;
        #[cfg(not(debug_assertions))]
        let test_panic = false;
        return dashboard::run(targets, common.clone(), test_panic).await;
    };
    match command {
        Command::Check(args) => {
            let targets = targets::gather(&args.targets, common, "check", CHECKED_MAX)?;
            check::run(&targets, common).await
        }
        Command::Ping(args) => {
            let targets = targets::gather(&args.targets, common, "ping", TARGETS_MAX)?;
            ping::run(targets, args.size, common).await
        }
        Command::Trace(args) => trace::run(args, common).await,
        Command::Dns(args) => dns::run(args, common).await,
        Command::Tcp(args) => tcp::run(&args.target, common).await,
        Command::Watch(args) => {
            let targets = targets::gather(&args.targets, common, "watch", TARGETS_MAX)?;
            watch::run(targets, args.journal.clone(), common).await
        }
        Command::Replay(args) => replay::run(&args.file, common),
        Command::Doctor => doctor::run(common),
    }
}

/// An error and what caused it, in one line.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A future that waits for Ctrl-C, or for the system to ask for an end.
///
/// Listening begins with the call, before the future is polled: from then on no signal ends the
/// process by itself.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let signals: Vec<_> = {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect()
    };
    async move {
        #[cfg(unix)]
        if !signals.is_empty() {
            let waits = signals.into_iter().map(|mut signal| {
                Box::pin(async move {
                    signal.recv().await;
                })
            });
            futures_util::future::select_all(waits).await;
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Certificates to trust.
pub(crate) fn trust(common: &Common) -> anyhow::Result<TrustRoots> {
    let Some(path) = &common.ca else { return Ok(TrustRoots::web()) };
    let pem =
        fs::read(path).with_context(|| format!("cannot read the CA file {}", path.display()))?;
    TrustRoots::with_ca_pem(&pem).with_context(|| format!("the CA file {}", path.display()))
}

/// What to ask name servers about a target.
pub(crate) fn dns_config(
    common: &Common,
    target: &Target,
    origin: Origin,
) -> anyhow::Result<DnsConfig> {
    let name = target.dns_name().unwrap_or_default();
    let mut config = DnsConfig::new(origin, name);
    if let (sojourner_probe::target::Scheme::Dns, host) = (target.scheme(), target.host()) {
        let at = match host.addr() {
            Some(addr) => std::net::SocketAddr::new(addr, target.port().unwrap_or(53)).to_string(),
            None => bail!(
                "the server of {target} must be an address; a name would need a server itself"
            ),
        };
        config.servers = vec![at.parse::<DnsServer>()?];
    }
    config.servers.extend(common.server.iter().cloned());
    config.trusted.clone_from(&common.doh);
    config.trust = trust(common)?;
    config.timeout = common.timeout.unwrap_or(config.timeout);
    config.source = common.source;
    config.interface.clone_from(&common.interface);
    Ok(config)
}

/// What to diagnose.
pub(crate) fn check_config(common: &Common, target: Target) -> anyhow::Result<CheckConfig> {
    let mut config = CheckConfig::new(target);
    config.family = session::family_of(common);
    config.servers.clone_from(&common.server);
    config.trusted.clone_from(&common.doh);
    config.trust = trust(common)?;
    config.budget = common.timeout.unwrap_or(config.budget);
    config.pings = common.count.unwrap_or(config.pings);
    config.ping_interval = common.interval.unwrap_or(config.ping_interval);
    config.source = common.source;
    config.interface.clone_from(&common.interface);
    Ok(config)
}

/// Drives a measurement, hands each of its events on as it happens, and lets Ctrl-C end it in
/// order.
async fn follow<F: Future>(
    work: F,
    mut events: Events,
    cancel: &CancellationToken,
    mut on_event: impl FnMut(&Event) -> anyhow::Result<()>,
) -> anyhow::Result<F::Output> {
    let mut work = std::pin::pin!(work);
    let mut stop = Box::pin(interrupted());
    let mut stopped = false;
    loop {
        tokio::select! {
            biased;
            () = &mut stop, if !stopped => {
                stopped = true;
                cancel.cancel();
            }
            Some(event) = events.next() => on_event(&event)?,
            output = &mut work => {
                while let Some(event) = events.try_next() {
                    on_event(&event)?;
                }
                return Ok(output);
            }
        }
    }
}

/// Microseconds with three decimals, as everywhere in JSON.
fn micros(duration: Duration) -> sojourner_stats::Micros {
    duration.into()
}

/// Seconds of a distribution as microseconds.
fn seconds_as_micros(seconds: Option<f64>) -> Option<sojourner_stats::Micros> {
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(Into::into)
}
