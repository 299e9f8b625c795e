//! The exporter as a value: configuration, statistics, bounds and counters. HTTP is above it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sojourner_stats::snapshot::Snapshot;
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Hub, HubConfig, HubError, StatsConfig, WallTime};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Module};
use crate::continuous::{self, Status};
use crate::page::{Page, as_number};
use crate::prober::{self, Outcome};
use crate::{collect, names};

/// What is fixed when the exporter starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the configuration is read from, at each reload; `None` for the built-in one.
    pub config_file: Option<PathBuf>,
    /// Most probes of `/probe` at once; one more is refused.
    pub probes_max: usize,
    /// How much earlier than the scraper's timeout a probe must end, so that it can be told.
    pub timeout_offset: Duration,
}

impl Default for Settings {
    /// No file; 512 probes, a fleet's worth that fits in memory many times over; half a second,
    /// as `blackbox_exporter` has it.
    fn default() -> Self {
        Self { config_file: None, probes_max: 512, timeout_offset: Duration::from_millis(500) }
    }
}

/// The exporter. Clones are not needed: share it in an [`Arc`].
#[derive(Debug)]
pub struct App {
    settings: Settings,
    config: watch::Sender<Arc<Config>>,
    hub: Hub,
    status: Arc<Status>,
    probes: Semaphore,
    reloading: Mutex<()>,
    meters: Meters,
    started: WallTime,
}

/// The exporter's own counters.
#[derive(Debug, Default)]
struct Meters {
    probes: AtomicU64,
    probes_rejected: AtomicU64,
    modules_unknown: AtomicU64,
    connections_rejected: AtomicU64,
    /// 0 or 1.
    reload_successful: AtomicU64,
    /// Seconds since 1970.
    reloaded_at: AtomicU64,
}

/// Why a probe was not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeRefused {
    /// The configuration has no such module.
    #[error("unknown module {name:?}; the configuration has: {known}")]
    UnknownModule {
        /// What was asked for.
        name: String,
        /// What there is, separated by commas.
        known: String,
    },
    /// As many probes are running as may.
    #[error("{max} probes are running, the most allowed; raise --probe.concurrency or scrape less")]
    Busy {
        /// The bound.
        max: usize,
    },
}

impl App {
    /// Makes an exporter of a configuration that was read from `settings.config_file`.
    ///
    /// # Errors
    ///
    /// [`HubError`] when the system has no thread for the statistics.
    pub fn start(settings: Settings, config: Config) -> Result<Arc<Self>, HubError> {
        let mut stats = StatsConfig::fleet();
        stats.targets_max = HOSTS_MAX;
        let mut hub = HubConfig::default();
        hub.stats = stats;
        let app = Self {
            config: watch::Sender::new(Arc::new(config)),
            hub: Hub::start(hub)?,
            status: Arc::default(),
            probes: Semaphore::new(settings.probes_max),
            reloading: Mutex::default(),
            meters: Meters::default(),
            started: SystemClock.now().wall,
            settings,
        };
        app.note_reload(true);
        Ok(Arc::new(app))
    }

    /// Keeps the configured targets pinged until `cancel`.
    pub async fn ping(&self, cancel: CancellationToken) {
        let recorder = self.hub.recorder();
        continuous::supervise(self.config.subscribe(), recorder, Arc::clone(&self.status), cancel)
            .await;
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// The latest statistics.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.hub.snapshot()
    }

    /// Why continuous pings are not being sent; empty while all are.
    pub fn stopped(&self) -> Vec<String> {
        self.status.stopped()
    }

    /// What was fixed at the start.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads the configuration anew. It takes effect as a whole or not at all; without a file
    /// there is nothing to do. Blocks on the file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]; the old configuration stays in force.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.settings.config_file else { return Ok(()) };
        let loaded = Config::load(path);
        self.note_reload(loaded.is_ok());
        let config = loaded?;
        tracing::info!(modules = config.modules.len(), hosts = config.hosts(), "reloaded");
        self.config.send_replace(Arc::new(config));
        Ok(())
    }

    /// Runs one probe; `allowed` is how long the scraper will wait for the answer, if it said so.
    ///
    /// # Errors
    ///
    /// [`ProbeRefused`] when it was not run.
    pub async fn probe(
        &self,
        module: &str,
        target: &str,
        allowed: Option<Duration>,
    ) -> Result<(Outcome, Module), ProbeRefused> {
        let config = self.config();
        let Some(module) = config.modules.get(module) else {
            self.meters.modules_unknown.fetch_add(1, Ordering::Relaxed);
            let known: Vec<_> = config.modules.keys().map(String::as_str).collect();
            return Err(ProbeRefused::UnknownModule {
                name: module.to_owned(),
                known: known.join(", "),
            });
        };
        let Ok(_permit) = self.probes.try_acquire() else {
            self.meters.probes_rejected.fetch_add(1, Ordering::Relaxed);
            return Err(ProbeRefused::Busy { max: self.settings.probes_max });
        };
        let budget = budget(allowed, self.settings.timeout_offset, module.timeout);
        let outcome = prober::run(module, target, budget).await;
        self.meters.probes.fetch_add(1, Ordering::Relaxed);
        Ok((outcome, module.clone()))
    }

    /// Everything `/metrics` shows.
    pub fn metrics(&self) -> Page {
        let (config, snapshot) = (self.config(), self.snapshot());
        let mut page = Page::default();
        collect::pings(&config, &snapshot, &mut page);
        for host in config.targets.iter().flat_map(|group| &group.hosts) {
            if let Some(count) = self.status.resolve_failures(host) {
                page.number(&names::RESOLVE_FAILURES, &[host], as_number(count));
            }
        }
        if !config.targets.is_empty() {
            let all = if self.stopped().is_empty() { 1.0 } else { 0.0 };
            page.number(&names::PING_RUN_UP, &[], all);
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let meters = &self.meters;
        for (metric, count) in [
            (&names::EVENTS, snapshot.events),
            (&names::EVENTS_DROPPED, snapshot.dropped),
            (&names::SERIES_OVERFLOWED, snapshot.overflowed),
            (&names::PROBES_IN_FLIGHT, self.probes_in_flight()),
            (&names::PROBES_MAX, self.settings.probes_max as u64),
            (&names::PROBES_TOTAL, read(&meters.probes)),
            (&names::PROBES_REJECTED, read(&meters.probes_rejected)),
            (&names::CONNECTIONS_REJECTED, read(&meters.connections_rejected)),
            (&names::MODULE_UNKNOWN, read(&meters.modules_unknown)),
            (&names::RELOAD_SUCCESSFUL, read(&meters.reload_successful)),
            (&names::RELOAD_TIME, read(&meters.reloaded_at)),
        ] {
            page.number(metric, &[], as_number(count));
        }
        page.number(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        #[expect(clippy::cast_precision_loss, reason = "seconds to the microsecond")]
        let started = self.started.as_unix_nanos() as f64 / 1e9;
        page.number(&names::START_TIME, &[], started);
        page
    }

    /// Probes of `/probe` running now.
    pub fn probes_in_flight(&self) -> u64 {
        let free = self.probes.available_permits();
        self.settings.probes_max.saturating_sub(free) as u64
    }

    /// Counts a connection that was refused because too many were open.
    pub fn connection_rejected(&self) {
        self.meters.connections_rejected.fetch_add(1, Ordering::Relaxed);
    }

    fn note_reload(&self, successful: bool) {
        self.meters.reload_successful.store(successful.into(), Ordering::Relaxed);
        if successful {
            let now = SystemClock.now().wall.as_unix_seconds();
            self.meters.reloaded_at.store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
        }
    }
}

/// How long a probe may take: as long as the scraper waits, less `offset`, and no longer than the
/// module allows. `blackbox_exporter`'s rule; where the offset eats all of it, the offset is not
/// taken off.
fn budget(allowed: Option<Duration>, offset: Duration, module: Option<Duration>) -> Duration {
    let allowed = allowed.unwrap_or(ALLOWED).min(ALLOWED_MAX);
    let scraper = allowed.checked_sub(offset).filter(|left| !left.is_zero()).unwrap_or(allowed);
    module.map_or(scraper, |module| module.min(scraper))
}

/// `blackbox_exporter`'s assumption about a scraper that does not say.
const ALLOWED: Duration = Duration::from_mins(2);
/// The longest a scraper may ask for; Prometheus' own intervals are minutes at most.
const ALLOWED_MAX: Duration = Duration::from_hours(1);
/// Most hosts with statistics; those of former configurations count too.
const HOSTS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_ends_before_the_scraper_gives_up_and_within_its_module() {
        let s = Duration::from_secs_f64;
        let offset = s(0.5);
        for (allowed, module, wanted) in [
            (None, None, 119.5),
            (Some(10.0), None, 9.5),
            (Some(10.0), Some(5.0), 5.0),
            (Some(3.0), Some(5.0), 2.5),
            (Some(0.25), Some(5.0), 0.25),
            (Some(1e9), None, 3599.5),
        ] {
            assert_eq!(budget(allowed.map(s), offset, module.map(s)), s(wanted), "{allowed:?}");
        }
    }
}
