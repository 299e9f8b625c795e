//! One ICMP echo, by the same engine as the continuous pings.

use sojourner_probe::ping::{self, PingConfig, PingTarget};
use sojourner_stats::event::IcmpUnreachable;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Kind, Origin, Source};
use tokio_util::sync::CancellationToken;

use super::{Reason, Trace};
use crate::config::IcmpProber;
use crate::names;

pub(super) async fn run(
    settings: &IcmpProber,
    target: &str,
    trace: &mut Trace,
) -> Result<(), Reason> {
    let phase = |trace: &mut Trace, phase, seconds: f64| {
        trace.page.number(&names::PROBE_ICMP_DURATION, &[phase], seconds);
    };
    for name in ["resolve", "setup", "rtt"] {
        phase(trace, name, 0.0);
    }
    let (addr, took) = trace.resolve(target, settings.address).await?;
    phase(trace, "resolve", took.as_secs_f64());

    let origin = Origin::new(Source::Ping, target);
    let config = PingConfig {
        count: Some(1),
        timeout: trace.left(),
        size_bytes: settings.payload_size,
        ttl: Some(settings.ttl),
        source: settings.source_ip_address,
        ..PingConfig::new(vec![PingTarget { origin, addr }])
    };
    let before = SystemClock.instant();
    let (sink, mut events) = sojourner_probe::events::channel(EVENTS_MAX);
    // Dropped with this future, the token ends the run that the deadline cut.
    let cancel = CancellationToken::new();
    let _guard = cancel.clone().drop_guard();
    let report = ping::run(&config, &sink, &cancel).await;
    let took = SystemClock.instant().since(before);
    drop(sink);
    if let Err(error) = report {
        trace.say(|| format!("cannot ping: {error}"));
        return Err(if error.is_denied() {
            Reason::PermissionDenied
        } else {
            Reason::UnknownFailure
        });
    }
    let mut answer = Err(Reason::GenericTimeoutError);
    while let Some(event) = events.next().await {
        trace.say(|| format!("{:?}", event.kind));
        match event.kind {
            Kind::PingReply(reply) => {
                let rtt = reply.rtt_us.0;
                phase(trace, "rtt", rtt.as_secs_f64());
                phase(trace, "setup", took.saturating_sub(rtt).as_secs_f64());
                if let Some(ttl) = reply.ttl {
                    trace.page.number(&names::PROBE_ICMP_REPLY_HOP_LIMIT, &[], f64::from(ttl));
                }
                answer = Ok(());
            }
            Kind::PingError(error) => answer = Err(unreachable(error.error)),
            Kind::PingSendFailed(failed) => {
                let error = std::io::Error::from_raw_os_error(failed.errno);
                answer = Err(Reason::from(&error));
            }
            _ => {}
        }
    }
    answer
}

const fn unreachable(error: IcmpUnreachable) -> Reason {
    match error {
        IcmpUnreachable::Network => Reason::NetworkUnreachable,
        IcmpUnreachable::Port => Reason::ConnectionRefused,
        _ => Reason::HostUnreachable,
    }
}

/// A single echo has one reply, perhaps an error and a few duplicates.
const EVENTS_MAX: usize = 16;
