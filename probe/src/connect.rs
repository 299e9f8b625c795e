//! Racing connect (RFC 8305): one attempt per address, staggered; the first to connect wins.
//!
//! [`Race`] decides, [`connect`] does: it dials with the kernel's non-blocking connect, tells
//! local refusals (no route, forbidden) from answers of the network (RST, ICMP) by when and how
//! they come, and emits one [`TcpConnect`] for each attempt, the losers included.
//!
//! | what was seen | [`TcpOutcome`] |
//! | --- | --- |
//! | handshake done | `Connected` |
//! | RST, ICMP port or protocol unreachable | `Refused` |
//! | ICMP host, network or time-to-live error, no neighbour | `Unreachable` |
//! | ICMP "administratively prohibited", local firewall | `Prohibited` |
//! | the call itself failed for want of a route | `NoRoute` |
//! | RST right after the handshake | `Reset` |
//! | nothing | `TimedOut` |

pub(crate) mod dial;
mod race;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use sojourner_stats::event::{TcpConnect, TcpInfo, TcpOutcome};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Instant, Kind, Machine, Micros, Origin, Sink, Stamp};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub use dial::IcmpSender;
pub use race::{ADDRS_MAX, Race, RaceConfig, RaceEvent, RaceGoal, RaceInput, RaceStep, interleave};

/// Where to connect to, and how.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// Whose events these are.
    pub origin: Origin,
    /// Addresses in the order of preference; families are interleaved by the race.
    pub addrs: Vec<SocketAddr>,
    /// Delays, timeouts and how many at once.
    pub race: RaceConfig,
    /// Connect from this address; addresses of the other family then fail.
    pub source: Option<IpAddr>,
    /// Connect through this interface (Linux, Android).
    pub interface: Option<String>,
}

impl ConnectConfig {
    /// The defaults for these addresses.
    pub fn new(origin: Origin, addrs: Vec<SocketAddr>) -> Self {
        Self { origin, addrs, race: RaceConfig::default(), source: None, interface: None }
    }
}

/// One attempt, as it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it was dialled.
    pub started: Instant,
    /// What was also emitted as an event.
    pub connect: TcpConnect,
    /// Who sent the ICMP error that ended it, where the kernel tells (Linux).
    pub icmp: Option<IcmpSender>,
}

/// The connection that won.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: TcpStream,
    /// Who it is to.
    pub addr: SocketAddr,
    /// The local end.
    pub local: Option<SocketAddr>,
    /// Which attempt won, from 0 in the order of dialling.
    pub attempt: u32,
    /// The handshake's round trip: the kernel's where it tells, else measured around the call.
    pub rtt: Duration,
    /// Every attempt that ended before or by the win, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// Addresses that were never dialled.
    pub untried: Vec<SocketAddr>,
}

/// Nothing connected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct ConnectFailed {
    /// Every attempt, in the order in which they ended. Empty if there was no address.
    pub attempts: Vec<Attempt>,
    /// Addresses that were never dialled.
    pub untried: Vec<SocketAddr>,
}

impl ConnectFailed {
    fn describe(&self) -> String {
        use std::fmt::Write as _;
        if self.attempts.is_empty() {
            return "no address to connect to".to_owned();
        }
        let mut text = String::from("no connection:");
        for (index, attempt) in self.attempts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let TcpConnect { addr, outcome, .. } = &attempt.connect;
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma} {addr} {}", outcome_phrase(*outcome));
        }
        text
    }
}

/// What an outcome means, as the end of a sentence about an address, such as `refused`.
pub fn outcome_phrase(outcome: TcpOutcome) -> String {
    match outcome {
        TcpOutcome::Connected => "connected".into(),
        TcpOutcome::Refused => "refused".into(),
        TcpOutcome::TimedOut => "did not answer".into(),
        TcpOutcome::Unreachable => "is unreachable".into(),
        TcpOutcome::Prohibited => "is prohibited".into(),
        TcpOutcome::NoRoute => "has no route".into(),
        TcpOutcome::Reset => "reset the connection".into(),
        TcpOutcome::Cancelled => "was given up".into(),
        TcpOutcome::LocalError(errno) => {
            format!("could not be tried ({})", std::io::Error::from_raw_os_error(errno))
        }
        _ => "ended in another way".into(),
    }
}

/// Connects to the fastest of several addresses.
///
/// Emits one [`TcpConnect`] for each attempt as it ends. Whatever `config.race.goal` says, the
/// first connection wins.
///
/// # Errors
///
/// [`ConnectFailed`] with every attempt, when none connected in time or `cancel` was triggered.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::connect::{ConnectConfig, connect};
/// # use sojourner_stats::{Origin, Source, sink::Discard};
/// # use tokio_util::sync::CancellationToken;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let addr = server.local_addr().unwrap();
/// let config = ConnectConfig::new(Origin::new(Source::Tcp, "demo"), vec![addr]);
/// let won = connect(&config, &Discard, &CancellationToken::new()).await.unwrap();
/// assert_eq!((won.addr, won.attempt), (addr, 0));
/// # });
/// ```
pub async fn connect(
    config: &ConnectConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<Connected, ConnectFailed> {
    let config = ConnectConfig {
        race: RaceConfig { goal: RaceGoal::First, ..config.race.clone() },
        ..config.clone()
    };
    let Raced { attempts, mut streams, untried } = race(&config, sink, cancel).await;
    let won = attempts.iter().find(|attempt| attempt.connect.won);
    let Some((won, stream)) = won.and_then(|won| {
        let stream = streams.remove(&won.connect.attempt)?;
        Some((won.connect.clone(), stream))
    }) else {
        return Err(ConnectFailed { attempts, untried });
    };
    let rtt = won.info.as_ref().map_or(won.elapsed_us, |info| info.rtt_us);
    Ok(Connected {
        stream,
        addr: won.addr,
        local: won.local,
        attempt: won.attempt,
        rtt: rtt.into(),
        attempts,
        untried,
    })
}

/// Everything a race left behind.
#[derive(Debug, Default)]
pub(crate) struct Raced {
    pub(crate) attempts: Vec<Attempt>,
    /// Connections by attempt: the winner's; with [`RaceGoal::Each`] all.
    pub(crate) streams: HashMap<u32, TcpStream>,
    pub(crate) untried: Vec<SocketAddr>,
}

/// Runs a race to its end.
pub(crate) async fn race(
    config: &ConnectConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Raced {
    let clock = SystemClock;
    let mut machine = Race::new(config.race.clone(), &config.addrs, clock.instant());
    let mut driver = Driver { config, sink, raced: Raced::default(), facts: HashMap::new() };
    let mut dialling = FuturesUnordered::new();
    let mut handles: HashMap<u32, AbortHandle> = HashMap::new();
    loop {
        let now = clock.now();
        machine.handle_timeout(now.mono);
        while let Some(step) = machine.poll_transmit(now.mono) {
            match step {
                RaceStep::Dial { attempt, addr } => {
                    let (handle, registration) = AbortHandle::new_pair();
                    handles.insert(attempt, handle);
                    let dial = dial::dial(addr, config.source, config.interface.as_deref());
                    let dial = async move { (attempt, dial.await) };
                    dialling.push(Abortable::new(dial, registration));
                }
                RaceStep::HangUp { attempt } => {
                    if let Some(handle) = handles.remove(&attempt) {
                        handle.abort();
                    }
                }
            }
        }
        while let Some(event) = machine.poll_event() {
            driver.on_event(now, event);
        }
        if machine.is_finished() {
            return driver.raced;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => machine.handle_input(clock.instant(), RaceInput::Cancel),
            Some(ended) = dialling.next(), if !dialling.is_empty() => {
                // An aborted one has ended already.
                if let Ok((attempt, dialled)) = ended {
                    machine.handle_input(clock.instant(), driver.on_dialled(attempt, dialled));
                }
            }
            () = wait_until(machine.poll_timeout().map(|due| due.at), &clock) => {}
        }
    }
}

async fn wait_until(at: Option<Instant>, clock: &SystemClock) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.instant())).await,
        None => std::future::pending().await,
    }
}

/// What sockets told, until the machine has judged it.
struct Driver<'a> {
    config: &'a ConnectConfig,
    sink: &'a dyn Sink,
    raced: Raced,
    facts: HashMap<u32, Facts>, // at most one an open attempt
}

#[derive(Default)]
struct Facts {
    local: Option<SocketAddr>,
    info: Option<TcpInfo>,
    icmp: Option<IcmpSender>,
}

impl Driver<'_> {
    fn on_dialled(
        &mut self,
        attempt: u32,
        dialled: Result<dial::Dialled, dial::DialError>,
    ) -> RaceInput {
        match dialled {
            Ok(dial::Dialled { stream, local, info }) => {
                self.facts.insert(attempt, Facts { local, info, icmp: None });
                self.raced.streams.insert(attempt, stream);
                RaceInput::Connected { attempt }
            }
            Err(dial::DialError { outcome, icmp }) => {
                self.facts.insert(attempt, Facts { icmp, ..Facts::default() });
                RaceInput::Failed { attempt, outcome }
            }
        }
    }

    fn on_event(&mut self, now: Stamp, event: RaceEvent) {
        match event {
            RaceEvent::AttemptEnded { attempt, addr, outcome, started, elapsed, won } => {
                let Facts { local, info, icmp } = self.facts.remove(&attempt).unwrap_or_default();
                let elapsed_us = Micros(elapsed);
                let connect = TcpConnect { addr, attempt, outcome, elapsed_us, won, local, info };
                self.raced.attempts.push(Attempt { started, connect: connect.clone(), icmp });
                let at = now.at(started + elapsed);
                let origin = self.config.origin.clone();
                self.sink.emit(Event::new(at, origin, Kind::TcpConnect(connect)));
            }
            RaceEvent::Finished { untried, .. } => self.raced.untried = untried,
        }
    }
}
