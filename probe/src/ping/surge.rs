//! The portable engine, on `surge-ping`: one client a family, stamps of this process.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sojourner_stats::event::{PingEngine, StampSource};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Instant, Machine, Sink};
use surge_ping::{
    Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger as Surge, SurgeError,
};
use tokio_util::sync::CancellationToken;

use super::machine::{Echo, Key, PingInput, Pinger, Schedule};
use super::{PingConfig, PingReport};
use crate::ProbeError;
use crate::driver::{ICMP_MEND, low_16, random};
use crate::wire::icmp::{self, Family};

type Answer = (u64, Instant, Result<(IcmpPacket, Duration), SurgeError>);
type Pending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

pub(super) async fn run(
    config: &PingConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<PingReport, ProbeError> {
    let client = |kind: ICMP, of_family: fn(&IpAddr) -> bool| {
        let wanted = config.targets.iter().any(|target| of_family(&target.addr));
        wanted.then(|| open(config, kind)).transpose()
    };
    let v4 = client(ICMP::V4, IpAddr::is_ipv4)?;
    let v6 = client(ICMP::V6, IpAddr::is_ipv6)?;
    let PingConfig { count, interval, timeout, .. } = *config;
    let targets = config.targets.iter().map(|target| (target.clone(), PingEngine::Surge));
    let schedule = Schedule { count, interval, timeout };
    let mut pinger = Pinger::new(schedule, targets, SystemClock.instant());
    let payload = vec![0; usize::from(config.size_bytes)];
    let ident = PingIdentifier(low_16(random()));
    let mut pending: FuturesUnordered<Pending<'_>> = FuturesUnordered::new();
    loop {
        let now = SystemClock.now();
        pinger.handle_timeout(now.mono);
        while pending.len() < PENDING_MAX
            && let Some(echo) = pinger.poll_transmit(now.mono)
        {
            let addr = config.targets[echo.target].addr;
            let Some(client) = (if addr.is_ipv4() { &v4 } else { &v6 }) else { continue };
            let surge = client.pinger(addr, ident).await;
            let mut asked = ask(surge, echo, timeout + LATE, &payload);
            // The first poll sends, so that no other echo's work is in this one's round trip.
            match futures_util::poll!(&mut asked) {
                std::task::Poll::Ready(answer) => on_answer(&mut pinger, answer),
                std::task::Poll::Pending => pending.push(asked),
            }
        }
        while let Some(event) = pinger.poll_event() {
            let origin = config.targets[event.target].origin.clone();
            sink.emit(Event::new(now.at(event.at), origin, event.kind));
        }
        if pinger.is_done() || cancel.is_cancelled() {
            return Ok(PingReport { targets: pinger.summaries(), overflowed: 0 });
        }
        let due = pinger.poll_timeout().map(|due| due.at.since(SystemClock.instant()));
        // A full table is looked at again soon: an answer or a timeout makes room.
        let floor = if pending.len() < PENDING_MAX { Duration::ZERO } else { FULL_WAIT };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            Some(answer) = pending.next() => on_answer(&mut pinger, answer),
            () = tokio::time::sleep(due.unwrap_or(LATE).max(floor)) => {}
        }
    }
}

fn ask(mut surge: Surge, echo: Echo, timeout: Duration, payload: &[u8]) -> Pending<'_> {
    surge.timeout(timeout);
    Box::pin(async move {
        let sent = SystemClock.instant();
        let answer = surge.ping(PingSequence(low_16(echo.id)), payload).await;
        (echo.id, sent, answer)
    })
}

fn on_answer(pinger: &mut Pinger, (id, sent, answer): Answer) {
    let (key, seen) = (Key::Id(id), SystemClock.instant());
    match answer {
        Ok((packet, took)) => {
            pinger.handle_input(sent, PingInput::Sent { id });
            // The library stamps the send after the call, so what it says may be too little, even
            // nothing; from our stamp before it to our waking is too much. It lies between.
            let at = (sent + took.max(RTT_MIN)).min(seen);
            // A raw socket gives an ICMP error as if it were a reply.
            pinger.handle_input(at, read(key, &packet, seen));
        }
        Err(SurgeError::Timeout { .. }) => {}
        Err(error) => {
            let errno = match error {
                SurgeError::IOError(error) => error.raw_os_error().unwrap_or(0),
                _ => 0,
            };
            pinger.handle_input(seen, PingInput::SendFailed { id, errno });
        }
    }
}

fn read(key: Key, packet: &IcmpPacket, seen: Instant) -> PingInput {
    let (error, from, ttl, bytes) = match packet {
        IcmpPacket::V4(v4) => {
            let (kind, code) = (v4.get_icmp_type().0, v4.get_icmp_code().0);
            let error = icmp::error(Family::V4, kind, code, 0);
            (error, IpAddr::V4(v4.get_source()), v4.get_ttl(), v4.get_size())
        }
        IcmpPacket::V6(v6) => {
            let (kind, code) = (v6.get_icmpv6_type().0, v6.get_icmpv6_code().0);
            let error = icmp::error(Family::V6, kind, code, 0);
            (error, IpAddr::V6(v6.get_source()), None, v6.get_size())
        }
    };
    match error {
        Some(error) => PingInput::Error { key, from: Some(from), error },
        None => PingInput::Reply {
            key,
            ttl,
            size_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            stamp: StampSource::User,
            seen,
        },
    }
}

fn open(config: &PingConfig, kind: ICMP) -> Result<Client, ProbeError> {
    let mut builder = Config::builder().kind(kind);
    if let Some(ttl) = config.ttl {
        builder = builder.ttl(ttl.into());
    }
    if let Some(source) = config.source {
        builder = builder.bind(SocketAddr::new(source, 0));
    }
    if let Some(interface) = &config.interface {
        builder = builder.interface(interface);
    }
    let client = Client::new(&builder.build())
        .map_err(|source| ProbeError::from_io("opening an ICMP socket", ICMP_MEND, source))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) =
        crate::driver::sys::linux::enlarge_receive_buffer(client.get_socket().get_native_sock())
    {
        tracing::debug!(%error, "the receive buffer keeps its size");
    }
    Ok(client)
}

/// Most echoes in flight: their replies fit into the smallest receive buffer, which the library
/// does not empty while this task runs.
const PENDING_MAX: usize = 128;
/// How long after its loss an echo is still listened for.
const LATE: Duration = Duration::from_secs(1);
/// How soon a full table is looked at again.
const FULL_WAIT: Duration = Duration::from_millis(5);
/// Least round trip: what the library reports as nothing was not nothing.
const RTT_MIN: Duration = Duration::from_micros(1);
