//! One probe on request: a module and a target in, a page of `probe_*` metrics out.
//!
//! ```text
//!   run ──► resolve ──► icmp │ tcp │ dns ──► Outcome { page, log, failure }
//!    └── one deadline over all of it; what was learned before it passed is still reported
//! ```

mod dns;
mod icmp;
pub mod rcode;
mod reason;
mod resolve;
mod tcp;

use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Instant};

pub use reason::Reason;
pub(crate) use resolve::lookup;

use crate::config::{AddressChoice, Module, Prober};
use crate::names;
use crate::page::Page;

/// How a probe ended.
#[derive(Debug)]
pub struct Outcome {
    /// What it measured, `probe_success` included.
    pub page: Page,
    /// What it did, line by line, for `debug=true`.
    pub log: Vec<String>,
    /// Why it failed; `None` is success.
    pub failure: Option<Reason>,
}

/// Runs one probe within `budget` (seconds as configured and as the scraper allows).
///
/// It always ends with an outcome: a broken network, a bad target and a refusal of this host are
/// all failed probes, told apart by [`Outcome::failure`].
pub async fn run(module: &Module, target: &str, budget: Duration) -> Outcome {
    let started = SystemClock.instant();
    let mut trace = Trace { page: Page::default(), log: Vec::new(), started, budget };
    trace.say(|| format!("probing {target} by {}, timeout {budget:?}", module.prober.name()));
    let ended = tokio::time::timeout(budget, async {
        match &module.prober {
            Prober::Icmp(settings) => icmp::run(settings, target, &mut trace).await,
            Prober::Tcp(settings) => tcp::run(settings, target, &mut trace).await,
            Prober::Dns(settings) => dns::run(settings, target, &mut trace).await,
        }
    });
    let failure = ended.await.unwrap_or(Err(Reason::GenericTimeoutError)).err();
    let elapsed = SystemClock.instant().since(started);
    match failure {
        None => trace.say(|| format!("succeeded after {elapsed:?}")),
        Some(reason) => trace.say(|| format!("failed after {elapsed:?}: {}", reason.as_str())),
    }
    let mut page = trace.page;
    page.number(&names::PROBE_SUCCESS, &[], if failure.is_none() { 1.0 } else { 0.0 });
    page.number(&names::PROBE_DURATION, &[], elapsed.as_secs_f64());
    page.number(&names::PROBE_TIMEOUT, &[], budget.as_secs_f64());
    if let Some(reason) = failure {
        page.number(&names::PROBE_FAILURE_INFO, &[reason.as_str()], 1.0);
    }
    Outcome { page, log: trace.log, failure }
}

/// What a running probe has learned so far; it outlives the probe when the deadline cuts it.
struct Trace {
    page: Page,
    log: Vec<String>,
    started: Instant,
    budget: Duration,
}

impl Trace {
    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.log.len() < LOG_LINES_MAX {
            self.log.push(line());
        }
    }

    /// What is left of the budget.
    fn left(&self) -> Duration {
        self.budget.saturating_sub(SystemClock.instant().since(self.started))
    }

    /// Chooses the address of `host`, and reports the choice and how long it took.
    async fn resolve(
        &mut self,
        host: &str,
        choice: AddressChoice,
    ) -> Result<(IpAddr, Duration), Reason> {
        let before = SystemClock.instant();
        let found = lookup(host).await;
        let took = SystemClock.instant().since(before);
        self.page.number(&names::PROBE_DNS_LOOKUP_TIME, &[], took.as_secs_f64());
        let addrs = match found {
            Ok(addrs) => addrs,
            Err((reason, said)) => {
                self.say(|| format!("no address for {host}: {said}"));
                return Err(reason);
            }
        };
        let Some(addr) = resolve::choose(&addrs, choice) else {
            self.say(|| format!("{host} has no address of the wanted family: {addrs:?}"));
            return Err(Reason::DnsNoAnswer);
        };
        self.say(|| format!("{host} is {addr}"));
        let protocol = if addr.is_ipv4() { 4.0 } else { 6.0 };
        self.page.number(&names::PROBE_IP_PROTOCOL, &[], protocol);
        self.page.number(&names::PROBE_IP_ADDR_HASH, &[], f64::from(resolve::hash(addr)));
        Ok((addr, took))
    }
}

/// Most lines of a probe's log: a section of a large DNS answer, and no more.
const LOG_LINES_MAX: usize = 256;
