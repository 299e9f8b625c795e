//! The continuous pings: one run of the ping engine per group of targets, kept going.
//!
//! ```text
//!   config ──► supervise ──► one task a group: look names up ──► ping::run ──► Recorder ──► Hub
//!    (watch)       │                   ▲            │ every 60 s
//!                  │                   └────────────┴─ an address changed: start the run anew
//!                  └─ targets changed: stop all groups, start the new ones
//! ```
//!
//! A name whose lookup fails keeps the address it had, so its series go on. Starting a run anew
//! forgets the pings in flight: they count as neither answered nor lost.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sojourner_probe::ping::{self, PingConfig, PingTarget};
use sojourner_stats::{Origin, Recorder, Source};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, TargetGroup};
use crate::prober::lookup;

/// What the continuous pings are doing; read at each scrape.
#[derive(Debug, Default)]
pub struct Status {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By group: why it is not being sent; absent while it is.
    stopped: BTreeMap<usize, String>,
    /// By host: lookups that gave no address. Bounded by the configuration.
    failures: BTreeMap<String, u64>,
}

impl Status {
    /// Why groups are not being sent; empty while all are.
    pub fn stopped(&self) -> Vec<String> {
        self.lock().stopped.values().cloned().collect()
    }

    /// Lookups of `host` that gave no address.
    pub fn resolve_failures(&self, host: &str) -> Option<u64> {
        self.lock().failures.get(host).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self, groups: usize) {
        let mut inner = self.lock();
        inner.stopped = (0..groups).map(|group| (group, "starting".to_owned())).collect();
        inner.failures.clear();
    }

    fn running(&self, group: usize) {
        self.lock().stopped.remove(&group);
    }

    fn stop(&self, group: usize, why: String) {
        self.lock().stopped.insert(group, why);
    }

    fn failed(&self, host: &str) {
        *self.lock().failures.entry(host.to_owned()).or_default() += 1;
    }
}

/// Keeps every group of the configuration pinged until `cancel`; follows changed configurations.
pub async fn supervise(
    mut configs: watch::Receiver<Arc<Config>>,
    recorder: Recorder,
    status: Arc<Status>,
    cancel: CancellationToken,
) {
    loop {
        let groups = configs.borrow_and_update().targets.clone();
        status.reset(groups.len());
        let stop = cancel.child_token();
        let mut tasks = JoinSet::new();
        for (index, group) in groups.iter().enumerate() {
            let keeper = Keeper {
                index,
                group: group.clone(),
                recorder: recorder.clone(),
                status: Arc::clone(&status),
                stop: stop.clone(),
            };
            tasks.spawn(keeper.keep());
        }
        let changed = loop {
            tokio::select! {
                () = cancel.cancelled() => break false,
                changed = configs.changed() => match changed {
                    Ok(()) if configs.borrow_and_update().targets == groups => {}
                    Ok(()) => break true,
                    Err(_exporter_is_gone) => break false,
                },
            }
        };
        stop.cancel();
        while tasks.join_next().await.is_some() {}
        if !changed {
            return;
        }
    }
}

/// Keeps one group pinged.
struct Keeper {
    index: usize,
    group: TargetGroup,
    recorder: Recorder,
    status: Arc<Status>,
    stop: CancellationToken,
}

type Addresses = BTreeMap<String, IpAddr>;

impl Keeper {
    async fn keep(self) {
        let mut known = Addresses::new();
        let mut backoff = BACKOFF_MIN;
        while !self.stop.is_cancelled() {
            known = self.look_up(&known).await;
            if known.is_empty() {
                self.status.stop(self.index, "no host of the group has an address".to_owned());
                self.pause(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
                continue;
            }
            match self.run(&mut known).await {
                Ok(()) => backoff = BACKOFF_MIN,
                Err(why) => {
                    tracing::warn!(why, retry_in = ?backoff, "continuous pings are not being sent");
                    self.status.stop(self.index, why);
                    self.pause(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Pings until an address changes or all is to stop.
    async fn run(&self, known: &mut Addresses) -> Result<(), String> {
        let config = self.config(known);
        let stop = self.stop.child_token();
        let run = ping::run(&config, &self.recorder, &stop);
        tokio::pin!(run);
        self.status.running(self.index);
        loop {
            let all = known.len() == self.group.hosts.len();
            let refresh = async {
                tokio::time::sleep(if all { LOOKUP_EVERY } else { LOOKUP_AGAIN }).await;
                self.look_up(known).await
            };
            let fresh = tokio::select! {
                ended = &mut run => return match ended {
                    Ok(_) if self.stop.is_cancelled() => Ok(()),
                    Ok(_) => Err("the run ended by itself".to_owned()),
                    Err(error) => Err(error.to_string()),
                },
                fresh = refresh => fresh,
            };
            if fresh != *known {
                tracing::info!(group = self.index, "a target's address changed");
                stop.cancel();
                let ended = run.await;
                *known = fresh;
                return ended.map(drop).map_err(|error| error.to_string());
            }
        }
    }

    fn config(&self, known: &Addresses) -> PingConfig {
        let target = |(host, addr): (&String, &IpAddr)| PingTarget {
            origin: Origin::new(Source::Ping, host.as_str()),
            addr: *addr,
        };
        PingConfig {
            interval: self.group.interval.0,
            size_bytes: self.group.size,
            source: self.group.source,
            ..PingConfig::new(known.iter().map(target).collect())
        }
    }

    /// The address of every host, the old one where the lookup fails.
    async fn look_up(&self, known: &Addresses) -> Addresses {
        let lookups: Vec<_> =
            self.group.hosts.iter().map(|host| self.address(host, known)).collect();
        let found = stream::iter(lookups).buffer_unordered(LOOKUPS_MAX);
        found.filter_map(std::future::ready).collect().await
    }

    async fn address(&self, host: &str, known: &Addresses) -> Option<(String, IpAddr)> {
        let addrs = match tokio::time::timeout(LOOKUP_TIMEOUT, lookup(host)).await {
            Ok(Ok(addrs)) => addrs,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let before = known.get(host).copied();
        // An address that is still among the answers is kept: round-robin is no change.
        let kept = before.filter(|before| addrs.contains(before));
        let wanted = |addr: &IpAddr| self.group.network.is_none_or(|family| family.has(*addr));
        let addr = kept.or_else(|| addrs.into_iter().find(wanted));
        if addr.is_none() {
            self.status.failed(host);
        }
        addr.or(before).map(|addr| (host.to_owned(), addr))
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// How often names are looked up anew: the shortest common TTL.
const LOOKUP_EVERY: Duration = Duration::from_mins(1);
/// How soon, while some host has no address yet.
const LOOKUP_AGAIN: Duration = Duration::from_secs(10);
/// How long one lookup may take, since the group's other hosts wait for it at the start: as long as
/// the usual resolver waits for one server.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How many names are looked up at once; the system's resolver takes a thread for each.
const LOOKUPS_MAX: usize = 32;
/// How soon a run that ended is started anew, at first and at most.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use sojourner_stats::{Hub, HubConfig};

    use super::*;

    #[tokio::test]
    async fn a_host_whose_lookup_fails_keeps_its_address_and_is_counted() {
        let hub = Hub::start(HubConfig::default()).unwrap();
        let mut keeper = keeper("127.0.0.1", &hub);
        // No resolver is asked for what cannot be a name.
        keeper.group.hosts.push("no name".to_owned());
        let old: IpAddr = "192.0.2.9".parse().unwrap();
        let fresh = keeper.look_up(&[("no name".to_owned(), old)].into()).await;
        assert_eq!(fresh["no name"], old);
        assert_eq!(fresh["127.0.0.1"], "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(keeper.status.resolve_failures("no name"), Some(1));
        assert_eq!(keeper.status.resolve_failures("127.0.0.1"), None);
    }

    #[tokio::test]
    async fn an_address_of_the_other_family_is_not_taken() {
        let hub = Hub::start(HubConfig::default()).unwrap();
        let keeper = keeper("'::1'", &hub);
        assert!(keeper.look_up(&Addresses::new()).await.is_empty());
        assert_eq!(keeper.status.resolve_failures("::1"), Some(1));
    }

    fn keeper(host: &str, hub: &Hub) -> Keeper {
        let text = format!("targets: [{{hosts: [{host}], network: ip4}}]");
        let config = Config::parse(&text, "test.yml".as_ref()).unwrap();
        Keeper {
            index: 0,
            group: config.targets[0].clone(),
            recorder: hub.recorder(),
            status: Arc::default(),
            stop: CancellationToken::new(),
        }
    }
}
