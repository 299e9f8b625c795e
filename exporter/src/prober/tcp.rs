//! A TCP connection to the target, by the racing connect with one runner.

use std::net::SocketAddr;

use sojourner_probe::connect::{ConnectConfig, RaceConfig, connect};
use sojourner_stats::event::TcpOutcome;
use sojourner_stats::sink::Discard;
use sojourner_stats::{Origin, Source};
use tokio_util::sync::CancellationToken;

use super::{Reason, Trace};
use crate::config::TcpProber;
use crate::names;

pub(super) async fn run(
    settings: &TcpProber,
    target: &str,
    trace: &mut Trace,
) -> Result<(), Reason> {
    trace.page.number(&names::PROBE_FAILED_DUE_TO_REGEX, &[], 0.0);
    let Some((host, port)) = target.rsplit_once(':') else {
        trace.say(|| format!("{target} has no port; write host:port"));
        return Err(Reason::InvalidTarget);
    };
    let Ok(port) = self::port(port) else {
        trace.say(|| format!("{port} is no port; write a number from 1 to 65535"));
        return Err(Reason::InvalidTarget);
    };
    let (addr, _) = trace.resolve(host, settings.address).await?;

    let left = trace.left();
    let peer = SocketAddr::new(addr, port);
    let config = ConnectConfig {
        race: RaceConfig { attempt_timeout: left, overall_timeout: left, ..RaceConfig::default() },
        source: settings.source_ip_address,
        ..ConnectConfig::new(Origin::new(Source::Tcp, target), vec![peer])
    };
    // Dropped with this future, the token ends the attempt that the deadline cut.
    let cancel = CancellationToken::new();
    let _guard = cancel.clone().drop_guard();
    match connect(&config, &Discard, &cancel).await {
        Ok(connected) => {
            trace.say(|| format!("connected to {peer}, round trip {:?}", connected.rtt));
            Ok(())
        }
        Err(failed) => {
            trace.say(|| failed.to_string());
            let last = failed.attempts.last();
            Err(last.map_or(Reason::GenericTimeoutError, |last| reason(last.connect.outcome)))
        }
    }
}

fn reason(outcome: TcpOutcome) -> Reason {
    match outcome {
        TcpOutcome::Refused => Reason::ConnectionRefused,
        TcpOutcome::Reset => Reason::ConnectionReset,
        TcpOutcome::Unreachable | TcpOutcome::Prohibited => Reason::HostUnreachable,
        TcpOutcome::NoRoute => Reason::NetworkUnreachable,
        TcpOutcome::TimedOut | TcpOutcome::Cancelled => Reason::GenericTimeoutError,
        TcpOutcome::LocalError(errno) => Reason::from(&std::io::Error::from_raw_os_error(errno)),
        _ => Reason::UnknownFailure,
    }
}

/// A port in decimal, from 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Reason> {
    let port: u16 = text.parse().map_err(|_not_a_port| Reason::InvalidTarget)?;
    if port == 0 { Err(Reason::InvalidTarget) } else { Ok(port) }
}
