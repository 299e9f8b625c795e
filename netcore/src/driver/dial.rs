//! Resolves and races: one dial, and what is to be said about it.

use std::net::SocketAddr;
use std::sync::Arc;

use sojourner_probe::connect::{ConnectConfig, connect, interleave};
use sojourner_stats::time::{Clock, SystemClock};
use sojourner_stats::{Origin, Sink};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::config::{Host, LinkConfig};
use crate::long_link::{DialReport, Won};

/// Dials once. Ends soon after `cancel`.
pub(super) async fn dial(
    config: LinkConfig,
    origin: Origin,
    sink: Arc<dyn Sink>,
    cancel: CancellationToken,
) -> (DialReport, Option<TcpStream>) {
    let begun = SystemClock.instant();
    let candidates = tokio::select! {
        () = cancel.cancelled() => Vec::new(),
        candidates = resolve(&config) => candidates,
    };
    let mut report = DialReport {
        unresolved: candidates.is_empty(),
        dns: SystemClock.instant().since(begun),
        ..DialReport::default()
    };
    if candidates.is_empty() {
        return (report, None);
    }
    let begun = SystemClock.instant();
    report.candidates.clone_from(&candidates);
    let result = connect(&ConnectConfig::new(origin, candidates), &*sink, &cancel).await;
    report.race = SystemClock.instant().since(begun);
    let untried = match &result {
        Ok(connected) => connected.untried.len(),
        Err(failed) => failed.untried.len(),
    };
    let tried = report.candidates.len().saturating_sub(untried);
    report.tried = u32::try_from(tried).unwrap_or(u32::MAX);
    let Ok(connected) = result else { return (report, None) };
    report.won = Some(Won {
        index: report
            .candidates
            .iter()
            .position(|addr| *addr == connected.addr)
            .map_or(connected.attempt, |index| u32::try_from(index).unwrap_or(u32::MAX)),
        addr: connected.addr,
        local: connected.local,
        rtt: connected.rtt,
    });
    (report, Some(connected.stream))
}

/// The addresses of the host, in the order of dialling; none if the name can't be resolved.
async fn resolve(config: &LinkConfig) -> Vec<SocketAddr> {
    let addrs = match &config.host {
        Host::Addr(addr) => vec![SocketAddr::new(*addr, config.port)],
        Host::Name(name) => match tokio::net::lookup_host((&**name, config.port)).await {
            Ok(addrs) => addrs.collect(),
            Err(error) => {
                tracing::debug!(link = %config.name, %error, "the host can't be resolved");
                Vec::new()
            }
        },
    };
    interleave(&addrs)
}
