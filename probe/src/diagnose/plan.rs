//! Which checks are made, in which order, and within which time.
//!
//! ```text
//!   local ──┬── gateway: echoes ────────────────────────────┐
//!           ├── references: echoes ─────────────────────────┼── gateway again, if it was silent:
//!           └── dns (names only) ──┬── ping: echoes ────────┤    its ports, its neighbour entry
//!                                  └── tcp: connect, speak ─┘
//! ```
//!
//! All that does not need another's answer runs at once. When the budget runs out, what is known is
//! judged, and what was not finished is listed as skipped.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sojourner_stats::event::{Custom, CustomValue, LocalNetwork};
use sojourner_stats::sink::Tee;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Kind, Origin, Sink, Source, WallTime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::evidence::{
    DNS_CONFIDENCE_KEY, Evidence, MEASUREMENTS_MAX, NEIGHBOUR_KEY, Subject, is_on_link, server_addr,
};
use super::{CheckConfig, Environment, REFERENCES_MAX, Report, SCHEMA, Skipped, judge};
use crate::ProbeError;
use crate::connect::RaceConfig;
use crate::dns::{self, DnsConfig, DnsServer};
use crate::local::{self, RouteEntry};
use crate::ping::{self, PingConfig, PingTarget};
use crate::target::{Family, Scheme, Target};
use crate::tcp::{self, SpeakConfig, TcpConfig};

/// Most addresses of one family that are checked: the first is used, the second tells whether it
/// is one address's fault.
const ADDRS_PER_FAMILY_MAX: usize = 2;
/// Echoes to each reference: they show life, not quality.
const REFERENCE_PINGS: u32 = 5;
/// Ports a gateway that answers no echo is likely to accept or refuse: DNS and its web page.
const GATEWAY_PORTS: [u16; 2] = [53, 80];
/// How long a gateway's port gets: it is one hop away.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(1);
/// Most resolvers of this host that are asked by themselves: as many as the C library asks.
const RESOLVERS_MAX: usize = 3;
/// Most echoes to one address: more belongs to a monitor, not a check.
const PINGS_MAX: u32 = 1000;

pub(super) async fn run(
    config: &CheckConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<Report, ProbeError> {
    validate(config)?;
    let start = SystemClock.now();
    let notebook = Notebook::default();
    let both = Tee(&notebook, sink);
    let stop = cancel.child_token();
    let _stop_on_return = stop.clone().drop_guard();
    let plan = Plan::new(config, &both, &stop);
    let why = tokio::select! {
        () = plan.make() => None,
        () = tokio::time::sleep(config.budget) => {
            Some(format!("the budget of {} ms ran out", config.budget.as_millis()))
        }
        () = cancel.cancelled() => Some("the check was cancelled".to_owned()),
    };
    let (subject, mut skipped, pending) = plan.into_parts();
    if let Some(why) = why {
        let unfinished = |check: &&str| Skipped { check: (*check).to_owned(), why: why.clone() };
        skipped.extend(pending.iter().map(unfinished));
    }
    let evidence = Evidence::new(subject, notebook.into_events());
    let (findings, verdict) = judge(&evidence);
    let end = SystemClock.now();
    let origin = Origin::new(Source::Diagnose, Arc::clone(config.target.text()));
    for finding in &findings {
        sink.emit(Event::new(end, origin.clone(), Kind::Finding(finding.clone())));
    }
    sink.emit(Event::new(end, origin, Kind::Verdict(verdict.clone())));
    let Evidence { subject, measurements } = evidence;
    Ok(Report {
        schema: SCHEMA.to_owned(),
        target: subject.target,
        started: rfc3339(start.wall),
        elapsed_ms: u64::try_from(end.mono.since(start.mono).as_millis()).unwrap_or(u64::MAX),
        verdict,
        findings,
        measurements,
        environment: Environment {
            os: std::env::consts::OS.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addrs: subject.addrs,
            gateways: subject.gateways,
            references: subject.references,
        },
        skipped,
    })
}

fn validate(config: &CheckConfig) -> Result<(), ProbeError> {
    if !(1..=PINGS_MAX).contains(&config.pings) {
        return Err(ProbeError::Invalid {
            field: "pings",
            value: config.pings.to_string(),
            mend: format!("use 1 to {PINGS_MAX}"),
        });
    }
    if config.budget.is_zero() {
        return Err(ProbeError::Invalid {
            field: "budget",
            value: "0 s".to_owned(),
            mend: "give the check some time, such as 10 s".to_owned(),
        });
    }
    Ok(())
}

/// Keeps the events of this diagnosis; when full, the newest is not kept.
#[derive(Debug, Default)]
struct Notebook(Mutex<Vec<Event>>);

impl Notebook {
    fn into_events(self) -> Vec<Event> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Notebook {
    fn emit(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < MEASUREMENTS_MAX {
            events.push(event);
        }
    }
}

struct Plan<'a> {
    config: &'a CheckConfig,
    sink: &'a dyn Sink,
    cancel: &'a CancellationToken,
    local: LocalNetwork,
    routes: Vec<RouteEntry>,
    state: Mutex<State>,
}

struct State {
    subject: Subject,
    skipped: Vec<Skipped>,
    pending: Vec<&'static str>,
    /// Gateways that answered no echo.
    silent_gateways: Vec<IpAddr>,
}

impl<'a> Plan<'a> {
    fn new(config: &'a CheckConfig, sink: &'a dyn Sink, cancel: &'a CancellationToken) -> Self {
        let target = &config.target;
        let subject = Subject {
            target: target.clone(),
            addrs: Vec::new(),
            gateways: Vec::new(),
            references: Vec::new(),
        };
        let mut pending = vec!["gateway", "references", "ping"];
        pending.extend(target.wants_dns().then_some("dns"));
        pending.extend(target.wants_tcp().then_some("tcp"));
        let state = State { subject, skipped: Vec::new(), pending, silent_gateways: Vec::new() };
        Self {
            config,
            sink,
            cancel,
            local: local::read(),
            routes: local::routes(),
            state: Mutex::new(state),
        }
    }

    fn into_parts(self) -> (Subject, Vec<Skipped>, Vec<&'static str>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.subject, state.skipped, state.pending)
    }

    async fn make(&self) {
        let origin = self.origin(Source::Local);
        self.sink.emit(Event::new(
            SystemClock.now(),
            origin,
            Kind::LocalNetwork(self.local.clone()),
        ));
        let literal = self.config.target.host().addr();
        if let Some(addr) = literal {
            self.settle_addrs(vec![addr]);
        } else {
            self.with(|state| state.subject.gateways = self.default_gateways());
        }
        let guessed = self.with(|state| state.subject.gateways.clone());
        tokio::join!(self.gateways(&guessed), self.references(literal), async {
            let addrs = self.addrs().await;
            let new = self.with(|state| state.subject.gateways.clone());
            let new: Vec<IpAddr> = new.into_iter().filter(|it| !guessed.contains(it)).collect();
            tokio::join!(self.gateways(&new), self.ping(&addrs), self.tcp(&addrs));
        });
        let gateways = self.with(|state| state.subject.gateways.clone());
        if gateways.is_empty() {
            self.skip("gateway", "the target is on this host or its own link, or has no route");
        } else {
            self.ask_silent_gateways(&gateways).await;
            self.done("gateway");
        }
    }

    /// The target's addresses, from the resolvers where it is a name.
    async fn addrs(&self) -> Vec<IpAddr> {
        let target = &self.config.target;
        let known = match (target.scheme(), target.host().addr()) {
            (Scheme::Dns, literal) => {
                let addrs = match literal {
                    Some(addr) => vec![addr],
                    None => self.lookup().await,
                };
                self.settle_addrs(addrs.clone());
                let port = target.port().unwrap_or(53);
                let server = |addr: &IpAddr| DnsServer::Udp(SocketAddr::new(*addr, port));
                self.dns(addrs.iter().map(server).collect()).await;
                return self.with(|state| state.subject.addrs.clone());
            }
            (_, Some(addr)) => vec![addr],
            (_, None) if self.config.servers.is_empty() => {
                let own = self.local.resolvers.iter().take(RESOLVERS_MAX);
                let own = own.map(|resolver| DnsServer::Udp(resolver.addr));
                self.dns([DnsServer::System].into_iter().chain(own).collect()).await
            }
            (_, None) => self.dns(self.config.servers.clone()).await,
        };
        self.settle_addrs(known);
        self.with(|state| state.subject.addrs.clone())
    }

    /// Asks the system's resolver, with the patience of a DNS check.
    async fn lookup(&self) -> Vec<IpAddr> {
        let patience = self.config.dns_timeout * 2;
        let found = timeout(patience, self.config.target.resolve(self.config.family)).await;
        match found {
            Ok(Ok(addrs)) => addrs,
            Ok(Err(error)) => {
                self.note("dns", &error.to_string());
                Vec::new()
            }
            Err(_elapsed) => {
                self.note("dns", "the system's resolver took too long");
                Vec::new()
            }
        }
    }

    /// Asks and compares; the addresses come from the servers in use, or else from trusted ones.
    async fn dns(&self, servers: Vec<DnsServer>) -> Vec<IpAddr> {
        let Some(name) = self.config.target.dns_name() else { return Vec::new() };
        if servers.is_empty() && self.config.trusted.is_empty() {
            self.skip("dns", "no server is known to ask");
            return Vec::new();
        }
        let mut config = DnsConfig::new(self.origin(Source::Dns), name);
        config.servers = servers;
        config.trusted.clone_from(&self.config.trusted);
        config.trust = self.config.trust.clone();
        config.timeout = self.config.dns_timeout;
        config.source = self.config.source;
        config.interface.clone_from(&self.config.interface);
        let report = match dns::run(&config, self.sink, self.cancel).await {
            Ok(report) => report,
            Err(error) => {
                self.skip("dns", &error.to_string());
                return Vec::new();
            }
        };
        for judgement in &report.judgements {
            let origin = Origin::new(Source::Dns, Arc::clone(&judgement.verdict.server));
            self.gauge(origin, DNS_CONFIDENCE_KEY, judgement.confidence);
        }
        self.done("dns");
        let addrs = report.addrs();
        if addrs.is_empty() {
            return report.lookups.iter().flat_map(dns::Lookup::addrs).collect();
        }
        addrs
    }

    async fn gateways(&self, gateways: &[IpAddr]) {
        if gateways.is_empty() {
            return;
        }
        if let Some(report) = self.echoes("gateway", gateways, self.config.pings).await {
            let silent = report.targets.iter().filter(|summary| summary.replies == 0);
            let silent: Vec<IpAddr> = silent.map(|summary| summary.addr).collect();
            self.with(|state| state.silent_gateways.extend(silent));
        }
    }

    /// Many gateways answer no echo: their ports and the link layer may show that they live.
    async fn ask_silent_gateways(&self, gateways: &[IpAddr]) {
        let silent = self.with(|state| state.silent_gateways.clone());
        for addr in silent.into_iter().filter(|addr| gateways.contains(addr)) {
            let origin = Origin::new(Source::Tcp, addr.to_string());
            let addrs = GATEWAY_PORTS.map(|port| SocketAddr::new(addr, port)).to_vec();
            let mut config = TcpConfig::new(origin, addrs);
            config.race = self.race(GATEWAY_TIMEOUT);
            config.speak = None;
            config.source = self.config.source;
            config.interface.clone_from(&self.config.interface);
            if let Err(error) = tcp::run(&config, self.sink, self.cancel).await {
                self.note("gateway", &error.to_string());
            }
            if let Some(known) = local::neighbour_known(addr) {
                let origin = Origin::new(Source::Local, addr.to_string());
                self.gauge(origin, NEIGHBOUR_KEY, if known { 1.0 } else { 0.0 });
            }
        }
    }

    async fn references(&self, literal: Option<IpAddr>) {
        if literal.is_some_and(|addr| addr.is_loopback() || is_on_link(&self.local, addr)) {
            self.skip("references", "the target is on this host or its own link");
            return;
        }
        let servers = self.config.trusted.iter().chain(&self.config.servers);
        let servers = servers.filter_map(|server| server_addr(&server.to_string()));
        let own = self.local.resolvers.iter().map(|resolver| resolver.addr.ip());
        let candidates = self.config.references.iter().copied().chain(servers).chain(own);
        let mut references: Vec<IpAddr> = Vec::new();
        for addr in candidates {
            let near = addr.is_loopback()
                || is_on_link(&self.local, addr)
                || self.default_gateways().contains(&addr);
            let wanted = self.config.family.admits(addr) && Some(addr) != literal;
            if !near && wanted && !references.contains(&addr) {
                references.push(addr);
            }
        }
        references.truncate(REFERENCES_MAX);
        if references.is_empty() {
            let why = "no address beyond the gateway is known to compare with; name references";
            self.skip("references", why);
            return;
        }
        self.with(|state| state.subject.references.clone_from(&references));
        self.echoes("references", &references, self.config.pings.min(REFERENCE_PINGS)).await;
        self.done("references");
    }

    async fn ping(&self, addrs: &[IpAddr]) {
        if addrs.is_empty() {
            self.skip("ping", "the target has no known address");
            return;
        }
        self.echoes("ping", addrs, self.config.pings).await;
        self.done("ping");
    }

    async fn echoes(
        &self,
        check: &'static str,
        addrs: &[IpAddr],
        count: u32,
    ) -> Option<ping::PingReport> {
        let targets = addrs.iter().map(|&addr| {
            let origin = match check {
                "ping" => self.origin(Source::Ping),
                _ => Origin::new(Source::Ping, addr.to_string()),
            };
            PingTarget { origin, addr }
        });
        let mut config = PingConfig::new(targets.collect());
        config.count = Some(u64::from(count));
        config.interval = self.config.ping_interval;
        config.timeout = self.config.ping_timeout;
        config.source = self.config.source;
        config.interface.clone_from(&self.config.interface);
        match ping::run(&config, self.sink, self.cancel).await {
            Ok(report) => Some(report),
            Err(error) => {
                self.skip(check, &error.to_string());
                None
            }
        }
    }

    async fn tcp(&self, addrs: &[IpAddr]) {
        let target = &self.config.target;
        let Some(port) = target.port().filter(|_| target.wants_tcp()) else { return };
        if addrs.is_empty() {
            self.skip("tcp", "the target has no known address");
            return;
        }
        let addrs = addrs.iter().map(|&addr| SocketAddr::new(addr, port)).collect();
        let mut config = TcpConfig::new(self.origin(Source::Tcp), addrs);
        config.race = self.race(self.config.connect_timeout);
        let speak = SpeakConfig {
            silence: self.config.silence_timeout,
            host: Some(target.host().to_string()),
            ..SpeakConfig::default()
        };
        config.speak = (target.scheme() != Scheme::Link).then_some(speak);
        config.source = self.config.source;
        config.interface.clone_from(&self.config.interface);
        match tcp::run(&config, self.sink, self.cancel).await {
            Ok(_report) => self.done("tcp"),
            Err(error) => self.skip("tcp", &error.to_string()),
        }
    }

    fn race(&self, attempt_timeout: Duration) -> RaceConfig {
        // Twice, so that attempts that waited for a place among the parallel ones get their time.
        let overall_timeout = (attempt_timeout * 2).min(self.config.budget);
        RaceConfig { attempt_timeout, overall_timeout, ..RaceConfig::default() }
    }

    /// Settles on the addresses to check, and the gateways towards them.
    fn settle_addrs(&self, found: Vec<IpAddr>) {
        let mut addrs: Vec<IpAddr> = Vec::new();
        for addr in found.into_iter().filter(|addr| self.config.family.admits(*addr)) {
            let same = addrs.iter().filter(|it| it.is_ipv4() == addr.is_ipv4()).count();
            if same < ADDRS_PER_FAMILY_MAX && !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        let mut gateways = Vec::new();
        for addr in &addrs {
            let near = addr.is_loopback() || is_on_link(&self.local, *addr);
            let gateway = if near { None } else { local::gateway_for(&self.routes, *addr) };
            gateways.extend(gateway.filter(|gateway| !gateways.contains(gateway)));
        }
        self.with(|state| {
            if !addrs.is_empty() {
                state.subject.gateways = gateways;
            }
            state.subject.addrs = addrs;
        });
    }

    fn default_gateways(&self) -> Vec<IpAddr> {
        let mut gateways: Vec<IpAddr> = Vec::new();
        for family in [Family::V4, Family::V6] {
            let mut routes = self.local.default_routes.iter().filter_map(|route| route.gateway);
            let gateway = routes.find(|it| family.admits(*it) && self.config.family.admits(*it));
            gateways.extend(gateway);
        }
        gateways
    }

    fn origin(&self, source: Source) -> Origin {
        Origin::new(source, Arc::clone(self.target().text()))
    }

    const fn target(&self) -> &Target {
        &self.config.target
    }

    fn gauge(&self, origin: Origin, key: &str, value: f64) {
        let custom = Custom { key: key.into(), value: CustomValue::Gauge(value) };
        self.sink.emit(Event::new(SystemClock.now(), origin, Kind::Custom(custom)));
    }

    fn skip(&self, check: &'static str, why: &str) {
        self.done(check);
        self.note(check, why);
    }

    fn note(&self, check: &'static str, why: &str) {
        let skipped = Skipped { check: check.to_owned(), why: why.to_owned() };
        self.with(|state| state.skipped.push(skipped));
    }

    fn done(&self, check: &'static str) {
        self.with(|state| state.pending.retain(|pending| *pending != check));
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `2026-11-25T12:28:29.123Z`, by the days-from-civil algorithm run backwards
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn rfc3339(at: WallTime) -> String {
    let seconds = at.as_unix_seconds();
    let millis = at.as_unix_nanos().rem_euclid(1_000_000_000) / 1_000_000;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_795_609_709, "2026-11-25T12:28:29.007Z"),
            (-1, "1969-12-31T23:59:59.007Z"),
        ] {
            let at = WallTime::from_unix_nanos(seconds * 1_000_000_000 + 7_000_000);
            assert_eq!(rfc3339(at), expected);
        }
    }
}
