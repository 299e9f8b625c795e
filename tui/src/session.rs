//! Continuous measurement of many targets at once, for the dashboard and `watch`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use sojourner_probe::ping::{self, EngineChoice, PingConfig, PingTarget};
use sojourner_probe::target::{Family, Target};
use sojourner_probe::tcp::TcpConfig;
use sojourner_probe::trace::TraceConfig;
use sojourner_probe::{ProbeError, diagnose, dns, tcp, trace};
use sojourner_stats::event::TraceProtocol;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock as _, Event, Kind, Origin, Sink, Source};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::args::{Common, Privilege};
use crate::command::{check_config, dns_config, error_chain};

/// What to measure, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) targets: Arc<[Target]>,
    pub(crate) common: Common,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// How often the first few targets are diagnosed; the dashboard does that itself.
    pub(crate) diagnose_every: Option<Duration>,
}

/// Something that could not be measured: whose target, by index, and why.
pub(crate) type Note = (usize, String);

/// Targets whose path, names and ports are measured too; the echoes of the others go on alone. A
/// path costs thirty packets a round.
const DEEP_MAX: usize = 16;
/// How long the first echoes wait for names: what is slower follows later.
const NAMES_WAIT: Duration = Duration::from_millis(250);
/// Names asked for at once.
const NAMES_IN_FLIGHT: usize = 64;
/// From one try to the next for a name without an address.
const NAME_RETRY: Duration = Duration::from_secs(5);
/// From one round over the path to the next.
const TRACE_EVERY: Duration = Duration::from_secs(2);
/// From one question to the name servers to the next: a cache's usual shortest memory.
const DNS_EVERY: Duration = Duration::from_secs(10);
/// Connects that are only timed between two that make the application speak.
const SPEAK_EVERY: u32 = 10;

impl Session {
    /// Starts all measurements; they end when `cancel` does.
    pub(crate) fn start(
        self,
        sink: Arc<dyn Sink>,
        notes: mpsc::Sender<Note>,
        cancel: &CancellationToken,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (found, resolved) = mpsc::channel(NAMES_IN_FLIGHT);
        let shared = Shared { session: Arc::new(self), sink, notes, cancel: cancel.clone() };
        tasks.spawn(shared.clone().resolve(found));
        for (index, target) in shared.session.targets.iter().enumerate().take(DEEP_MAX) {
            if target.wants_dns() {
                tasks.spawn(shared.clone().watch_dns(index));
            }
        }
        if let Some(every) = shared.session.diagnose_every {
            for index in 0..shared.session.targets.len().min(DEEP_MAX) {
                tasks.spawn(shared.clone().watch_verdict(index, every));
            }
        }
        tasks.spawn(shared.measure(resolved));
        tasks
    }
}

/// What every task of a session holds.
#[derive(Clone)]
struct Shared {
    session: Arc<Session>,
    sink: Arc<dyn Sink>,
    notes: mpsc::Sender<Note>,
    cancel: CancellationToken,
}

/// A target and its addresses.
type Found = (usize, Vec<IpAddr>);

impl Shared {
    fn target(&self, index: usize) -> &Target {
        &self.session.targets[index]
    }

    fn origin(&self, index: usize, source: Source) -> Origin {
        Origin::new(source, Arc::clone(self.target(index).text()))
    }

    /// Tells why something was not measured. When nobody listens any more, it is not told.
    async fn note(&self, index: usize, note: String) {
        drop(self.notes.send((index, note)).await);
    }

    /// Waits; false when it is over.
    async fn wait(&self, time: Duration) -> bool {
        self.cancel.run_until_cancelled(sleep(time)).await.is_some()
    }

    async fn resolve(self, found: mpsc::Sender<Found>) {
        let mut open: Vec<usize> = (0..self.session.targets.len()).collect();
        while !open.is_empty() {
            let family = family_of(&self.session.common);
            let lookups = stream::iter(std::mem::take(&mut open)).map(|index| {
                let target = self.target(index);
                async move { (index, target.resolve(family).await) }
            });
            let mut lookups = std::pin::pin!(lookups.buffer_unordered(NAMES_IN_FLIGHT));
            while let Some((index, result)) =
                self.cancel.run_until_cancelled(lookups.next()).await.flatten()
            {
                match result {
                    Ok(addrs) => drop(found.send((index, addrs)).await),
                    Err(error) => {
                        open.push(index);
                        self.note(index, error_chain(&error)).await;
                    }
                }
            }
            if self.session.common.count.is_some() {
                return;
            }
            if self.cancel.is_cancelled() || !self.wait(NAME_RETRY).await {
                return;
            }
        }
    }

    /// Starts measuring what has an address: those known at once on one engine, late ones as they
    /// come.
    async fn measure(self, mut resolved: mpsc::Receiver<Found>) {
        let (mut tasks, mut pings) = (JoinSet::new(), JoinSet::new());
        let until = SystemClock.instant() + NAMES_WAIT;
        let mut open = self.session.targets.len();
        while open > 0 {
            let mut batch = Vec::new();
            let Some(first) = self.cancel.run_until_cancelled(resolved.recv()).await.flatten()
            else {
                break;
            };
            batch.push(first);
            while batch.len() < open {
                let left = until.since(SystemClock.instant());
                match tokio::time::timeout(left, resolved.recv()).await {
                    Ok(Some(found)) => batch.push(found),
                    _ => break,
                }
            }
            open -= batch.len();
            for (index, addrs) in &batch {
                if *index < DEEP_MAX {
                    self.start_deep(*index, addrs, &mut tasks);
                }
            }
            pings.spawn(self.clone().watch_ping(batch));
        }
        if self.session.common.count.is_some() {
            while pings.join_next().await.is_some() {}
            self.cancel.cancel();
        }
        self.cancel.cancelled().await;
        while pings.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    }

    fn start_deep(&self, index: usize, addrs: &[IpAddr], tasks: &mut JoinSet<()>) {
        if let Some(&addr) = addrs.first() {
            tasks.spawn(self.clone().watch_path(index, addr));
        }
        let target = self.target(index);
        if let (true, Some(port)) = (target.wants_tcp(), target.port()) {
            let addrs = addrs.iter().map(|&addr| SocketAddr::new(addr, port)).collect();
            tasks.spawn(self.clone().watch_tcp(index, addrs));
        }
    }

    async fn watch_ping(self, batch: Vec<Found>) {
        let mut targets = Vec::new();
        for (index, addrs) in &batch {
            let origin = self.origin(*index, Source::Ping);
            targets.extend(addrs.first().map(|&addr| PingTarget { origin, addr }));
        }
        let common = &self.session.common;
        let mut config = PingConfig::new(targets);
        config.interval = self.session.interval;
        config.timeout = self.session.timeout;
        config.count = common.count.map(u64::from);
        config.engine = engine(common.privilege);
        config.source = common.source;
        config.interface.clone_from(&common.interface);
        if let Err(error) = ping::run(&config, &*self.sink, &self.cancel).await {
            for (index, _) in &batch {
                self.note(*index, error_chain(&error)).await;
            }
        }
    }

    async fn watch_path(self, index: usize, addr: IpAddr) {
        let common = &self.session.common;
        let mut config = TraceConfig::new(self.origin(index, Source::Trace), addr);
        config.rounds = None;
        config.interval = TRACE_EVERY.max(self.session.interval);
        config.source = common.source;
        config.interface.clone_from(&common.interface);
        if common.privilege == Privilege::Never {
            config.protocol = TraceProtocol::Udp;
        }
        let mut result = trace::run(&config, &*self.sink, &self.cancel).await;
        if result.as_ref().is_err_and(ProbeError::is_denied)
            && config.protocol == TraceProtocol::Icmp
        {
            config.protocol = TraceProtocol::Udp;
            result = trace::run(&config, &*self.sink, &self.cancel).await;
        }
        if let Err(error) = result {
            self.note(index, error_chain(&error)).await;
        }
    }

    async fn watch_tcp(self, index: usize, addrs: Vec<SocketAddr>) {
        let common = &self.session.common;
        let mut config = TcpConfig::new(self.origin(index, Source::Tcp), addrs);
        config.race.attempt_timeout = self.session.timeout;
        config.source = common.source;
        config.interface.clone_from(&common.interface);
        let speak = config.speak.take();
        let every = self.session.interval.max(Duration::from_secs(1));
        for turn in 0_u32.. {
            config.speak = if turn % SPEAK_EVERY == 1 { speak.clone() } else { None };
            if let Err(error) = tcp::run(&config, &*self.sink, &self.cancel).await {
                self.note(index, error_chain(&error)).await;
                return;
            }
            if !self.wait(every).await {
                return;
            }
        }
    }

    async fn watch_verdict(self, index: usize, every: Duration) {
        let config = match check_config(&self.session.common, self.target(index).clone()) {
            Ok(config) => config,
            Err(error) => return self.note(index, format!("{error:#}")).await,
        };
        let sink = Verdicts::new(Arc::clone(&self.sink), self.cancel.clone());
        loop {
            if let Err(error) = Box::pin(diagnose::run(&config, &sink, &self.cancel)).await {
                return self.note(index, error_chain(&error)).await;
            }
            if !self.wait(every).await {
                return;
            }
        }
    }

    async fn watch_dns(self, index: usize) {
        let target = self.target(index);
        let origin = self.origin(index, Source::Dns);
        let config = match dns_config(&self.session.common, target, origin) {
            Ok(config) => config,
            Err(error) => return self.note(index, format!("{error:#}")).await,
        };
        loop {
            if let Err(error) = dns::run(&config, &*self.sink, &self.cancel).await {
                return self.note(index, error_chain(&error)).await;
            }
            if !self.wait(DNS_EVERY).await {
                return;
            }
        }
    }
}

/// Lets only conclusions through: a diagnosis measures for itself, and its echoes and connects would
/// count twice in the statistics of those that go on all the time. Once cancelled it lets nothing
/// through: what a diagnosis concludes from half its evidence is no news.
pub(crate) struct Verdicts {
    sink: Arc<dyn Sink>,
    cancel: CancellationToken,
}

impl Verdicts {
    pub(crate) fn new(sink: Arc<dyn Sink>, cancel: CancellationToken) -> Self {
        Self { sink, cancel }
    }
}

impl Sink for Verdicts {
    fn emit(&self, event: Event) {
        let wanted =
            matches!(event.kind, Kind::Finding(_) | Kind::Verdict(_) | Kind::LocalNetwork(_));
        if wanted && !self.cancel.is_cancelled() {
            self.sink.emit(event);
        }
    }
}

/// The ping engine for what a user allows.
pub(crate) const fn engine(privilege: Privilege) -> EngineChoice {
    match privilege {
        Privilege::Auto => EngineChoice::Auto,
        Privilege::Never => EngineChoice::Udp,
        Privilege::Require => EngineChoice::Kernel,
    }
}

/// Which addresses a source address can reach.
pub(crate) const fn family_of(common: &Common) -> Family {
    match (common.family(), common.source) {
        (Family::Any, Some(IpAddr::V4(_))) => Family::V4,
        (Family::Any, Some(IpAddr::V6(_))) => Family::V6,
        (family, _) => family,
    }
}
