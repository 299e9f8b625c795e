//! TCP: how a connect ends, and whether the application behind it says anything.
//!
//! A port that accepts proves only a kernel. So, unless told otherwise, [`run`] listens for a
//! moment (mail and SSH servers speak first), then asks `HEAD / HTTP/1.0`, which nearly every
//! server answers, refuses or hangs up on; one that stays silent is hung. TLS servers answer the
//! plain request with an alert or a close, which is speech enough.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use sojourner_stats::event::{AppOutcome, AppReply, AppRequest};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Instant, Kind, Micros, Origin, Sink};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::connect::{self, Attempt, ConnectConfig, RaceConfig};
use crate::error::ProbeError;

/// What to connect to, and what to find out.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Whose events these are.
    pub origin: Origin,
    /// Addresses in the order of preference.
    pub addrs: Vec<SocketAddr>,
    /// Delays and timeouts. With [`RaceGoal::Each`](connect::RaceGoal::Each) every address is
    /// tried, and each one that accepts is asked to speak.
    pub race: RaceConfig,
    /// How to find out whether anybody speaks; `None` to leave it at the connect.
    pub speak: Option<SpeakConfig>,
    /// Connect from this address.
    pub source: Option<IpAddr>,
    /// Connect through this interface.
    pub interface: Option<String>,
}

impl TcpConfig {
    /// The defaults for these addresses: race them, then see whether the winner speaks.
    pub fn new(origin: Origin, addrs: Vec<SocketAddr>) -> Self {
        Self {
            origin,
            addrs,
            race: RaceConfig::default(),
            speak: Some(SpeakConfig::default()),
            source: None,
            interface: None,
        }
    }
}

/// How long to wait for an application, and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakConfig {
    /// How long to wait for it to speak first. Default 300 ms.
    pub listen: Duration,
    /// How long after the request silence counts as silence. Default 2 s.
    pub silence: Duration,
    /// The `Host` of the request; the address when absent.
    pub host: Option<String>,
}

impl Default for SpeakConfig {
    fn default() -> Self {
        Self { listen: Duration::from_millis(300), silence: Duration::from_secs(2), host: None }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpReport {
    /// Every attempt, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// Addresses that were never dialled.
    pub untried: Vec<SocketAddr>,
    /// The address that connected first.
    pub connected: Option<SocketAddr>,
    /// How applications reacted, in the order of the attempts; empty if none was asked.
    pub replies: Vec<AppReply>,
    /// From the start to the end of it all.
    pub elapsed: Duration,
}

/// Connects, and sees whether anybody speaks.
///
/// Emits a [`TcpConnect`](sojourner_stats::event::TcpConnect) for each attempt and an
/// [`AppReply`] for each connection that was asked. Cancelling ends it with what is known.
///
/// # Errors
///
/// [`ProbeError::Invalid`] without an address, or with a `host` that is no header value.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::tcp::{self, TcpConfig};
/// # use sojourner_stats::{Origin, Source, event::AppOutcome, sink::Discard};
/// # use tokio_util::sync::CancellationToken;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let addr = server.local_addr().unwrap();
/// let config = TcpConfig::new(Origin::new(Source::Tcp, "demo"), vec![addr]);
/// let hang_up = async { drop(server.accept().await) };
/// let cancel = CancellationToken::new();
/// let (report, ()) = tokio::join!(tcp::run(&config, &Discard, &cancel), hang_up);
/// assert_eq!(report.unwrap().replies[0].outcome, AppOutcome::Closed);
/// # });
/// ```
pub async fn run(
    config: &TcpConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<TcpReport, ProbeError> {
    check(config)?;
    let start = SystemClock.instant();
    let connecting = ConnectConfig {
        origin: config.origin.clone(),
        addrs: config.addrs.clone(),
        race: config.race.clone(),
        source: config.source,
        interface: config.interface.clone(),
    };
    let mut raced = connect::race(&connecting, sink, cancel).await;
    let mut talks = Vec::new();
    for attempt in &raced.attempts {
        let Some(stream) = raced.streams.remove(&attempt.connect.attempt) else { continue };
        if let Some(speak) = &config.speak {
            talks.push(talk(stream, attempt.connect.addr, speak, config, sink, cancel));
        }
    }
    let replies = join_all(talks).await.into_iter().flatten().collect();
    let connected = raced.attempts.iter().find(|attempt| attempt.connect.won);
    Ok(TcpReport {
        connected: connected.map(|attempt| attempt.connect.addr),
        attempts: raced.attempts,
        untried: raced.untried,
        replies,
        elapsed: SystemClock.instant().since(start),
    })
}

fn check(config: &TcpConfig) -> Result<(), ProbeError> {
    if config.addrs.is_empty() {
        return Err(ProbeError::Invalid {
            field: "the list of addresses",
            value: "[]".into(),
            mend: "give at least one address to connect to".into(),
        });
    }
    let host = config.speak.as_ref().and_then(|speak| speak.host.as_deref()).unwrap_or_default();
    if host.len() > HOST_BYTES_MAX || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ProbeError::Invalid {
            field: "host",
            value: format!("{host:?}"),
            mend: format!("use a host name of up to {HOST_BYTES_MAX} printable ASCII characters"),
        });
    }
    Ok(())
}

/// Asks one connection; `None` if it was cancelled.
async fn talk(
    mut stream: TcpStream,
    addr: SocketAddr,
    speak: &SpeakConfig,
    config: &TcpConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Option<AppReply> {
    let reaction = cancel.run_until_cancelled(react(&mut stream, addr, speak)).await?;
    let end = SystemClock.now();
    let reply = AppReply {
        addr,
        request: reaction.request,
        outcome: reaction.outcome,
        elapsed_us: Micros(end.mono.since(reaction.since)),
    };
    sink.emit(Event::new(end, config.origin.clone(), Kind::AppReply(reply.clone())));
    Some(reply)
}

struct Reaction {
    request: AppRequest,
    outcome: AppOutcome,
    since: Instant,
}

async fn react(stream: &mut TcpStream, addr: SocketAddr, speak: &SpeakConfig) -> Reaction {
    let since = SystemClock.instant();
    let request = AppRequest::Listen;
    if let Some(outcome) = hear(stream, speak.listen).await {
        return Reaction { request, outcome, since };
    }
    let host = speak.host.clone().unwrap_or_else(|| addr.to_string());
    let head = format!("HEAD / HTTP/1.0\r\nHost: {host}\r\nUser-Agent: sojourner\r\n\r\n");
    let since = SystemClock.instant();
    let request = AppRequest::HttpHead;
    // So few bytes fit the send buffer: only a dead connection refuses them.
    let outcome = match stream.write_all(head.as_bytes()).await {
        Ok(()) => hear(stream, speak.silence).await.unwrap_or(AppOutcome::Silent),
        Err(error) => broken(&error),
    };
    Reaction { request, outcome, since }
}

/// What is heard within `wait`, if anything.
async fn hear(stream: &mut TcpStream, wait: Duration) -> Option<AppOutcome> {
    let mut byte = [0_u8; 1];
    match tokio::time::timeout(wait, stream.read(&mut byte)).await {
        Ok(Ok(0)) => Some(AppOutcome::Closed),
        Ok(Ok(_)) => Some(AppOutcome::Spoke),
        Ok(Err(error)) => Some(broken(&error)),
        Err(_elapsed) => None,
    }
}

fn broken(error: &io::Error) -> AppOutcome {
    match error.kind() {
        io::ErrorKind::TimedOut => AppOutcome::Silent,
        _ => AppOutcome::Reset,
    }
}

/// The longest host name (RFC 1035 §2.3.4) with brackets or a port, and some air.
const HOST_BYTES_MAX: usize = 300;
