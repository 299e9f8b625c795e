//! Names: the system resolver beside trusted ones, and whether their answers can be believed.
//!
//! ```text
//!   DnsServer ── who and how        judge ── pure: lookups in, judgements out
//!       │                             ▲
//!       ▼                             │
//!      run ──► ask (UDP, TCP, DoT, DoH, getaddrinfo) ──► Lookup
//!                      │
//!                     wire: messages as bytes          special: addresses that cannot be public
//! ```
//!
//! [`run`] asks every server for every record type at once. Where there is something to compare it
//! also asks for two names that do not exist, to see who invents answers; those lookups are in the
//! report, not in the events, so that no screen mistakes them for the name's own.

mod ask;
mod judge;
mod server;
mod special;
mod system;
mod trust;
mod wire;

use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hickory_resolver::proto::rr::Name;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sojourner_stats::event::{DnsAnswer, DnsFailure, DnsRole, DnsTransport, DnsVerdict};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Kind, Origin, Sink};
use tokio_util::sync::CancellationToken;

use crate::error::ProbeError;

/// A type of record to ask for, such as `A`; parses from and prints as its name.
pub use hickory_resolver::proto::rr::RecordType;
pub use judge::{Judgement, Question, judge};
pub use server::{DnsServer, DnsServerError};
pub use special::{SpecialBlock, special_purpose};
pub use trust::TrustRoots;

/// Public DoH servers that a face may offer as trusted ones. [`run`] asks nobody by itself.
pub const DOH_SERVERS: [&str; 2] =
    ["https://1.1.1.1/dns-query", "https://dns.quad9.net@9.9.9.9/dns-query"];

/// What to ask, whom, and how patiently.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// Whose events these are.
    pub origin: Origin,
    /// The name to ask for. Servers are asked for it as it is; only the system's resolver may
    /// apply its hosts file and search list, as it does for every program.
    pub name: String,
    /// The record types to ask for. Default: A and AAAA. The system's resolver knows only these
    /// two and is not asked for others.
    pub record_types: Vec<RecordType>,
    /// The servers in use. Default: the system's resolver.
    pub servers: Vec<DnsServer>,
    /// The servers to judge by. Default: none, so that little can be judged.
    pub trusted: Vec<DnsServer>,
    /// How long one try may take. Default 2 s.
    pub timeout: Duration,
    /// How many more tries a UDP question gets. Default 1, since one packet may be lost.
    pub retries: u32,
    /// Whether to ask for names that do not exist too.
    pub nonexistent: Nonexistent,
    /// Which certificates DoT and DoH servers may show.
    pub trust: TrustRoots,
    /// Ask from this address. The system's resolver does as it likes.
    pub source: Option<IpAddr>,
    /// Ask through this interface (Linux, Android). The system's resolver does as it likes.
    pub interface: Option<String>,
}

impl DnsConfig {
    /// The defaults for a name.
    pub fn new(origin: Origin, name: impl Into<String>) -> Self {
        Self {
            origin,
            name: name.into(),
            record_types: vec![RecordType::A, RecordType::AAAA],
            servers: vec![DnsServer::System],
            trusted: Vec::new(),
            timeout: Duration::from_secs(2),
            retries: 1,
            nonexistent: Nonexistent::Ask,
            trust: TrustRoots::web(),
            source: None,
            interface: None,
        }
    }
}

/// Whether to ask for names that do not exist, to find who invents answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Nonexistent {
    /// Two more questions to each server: a random name beside the one asked for, and a random
    /// one under `invalid.` (RFC 6761 §6.4: it never exists).
    #[default]
    Ask,
    /// Only the name itself.
    Skip,
}

/// What came of one question to one server.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The server answered, whatever the answer.
    Answer(DnsAnswer),
    /// There was no usable answer.
    Failure(DnsFailure),
}

impl Lookup {
    /// Who was asked.
    pub fn server(&self) -> &Arc<str> {
        match self {
            Self::Answer(answer) => &answer.server,
            Self::Failure(failure) => &failure.server,
        }
    }

    /// Why.
    pub const fn role(&self) -> DnsRole {
        match self {
            Self::Answer(answer) => answer.role,
            Self::Failure(failure) => failure.role,
        }
    }

    /// How; TCP where a UDP answer was truncated.
    pub const fn transport(&self) -> DnsTransport {
        match self {
            Self::Answer(answer) => answer.transport,
            Self::Failure(failure) => failure.transport,
        }
    }

    /// The name asked for, without a final dot.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Answer(answer) => &answer.name,
            Self::Failure(failure) => &failure.name,
        }
    }

    /// The record type asked for.
    pub fn record_type(&self) -> &str {
        match self {
            Self::Answer(answer) => &answer.record_type,
            Self::Failure(failure) => &failure.record_type,
        }
    }

    /// From the question to its end.
    pub const fn elapsed(&self) -> Duration {
        match self {
            Self::Answer(answer) => answer.elapsed_us.0,
            Self::Failure(failure) => failure.elapsed_us.0,
        }
    }

    /// The addresses of the answer, in its order.
    pub fn addrs(&self) -> Vec<IpAddr> {
        let Self::Answer(answer) = self else { return Vec::new() };
        let addresses = answer
            .records
            .iter()
            .filter(|record| matches!(record.record_type.as_str(), "A" | "AAAA"));
        addresses.filter_map(|record| record.data.parse().ok()).collect()
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsReport {
    /// Lookups of the name: servers in the order given, then trusted ones; each with its record
    /// types in the order given.
    pub lookups: Vec<Lookup>,
    /// Lookups of names that do not exist, in the same order.
    pub nonexistent: Vec<Lookup>,
    /// One judgement for each configured server that was asked for addresses.
    pub judgements: Vec<Judgement>,
    /// From the start to the end of it all.
    pub elapsed: Duration,
}

impl DnsReport {
    /// The judgements' verdicts, as they were emitted.
    pub fn verdicts(&self) -> impl Iterator<Item = &DnsVerdict> {
        self.judgements.iter().map(|judgement| &judgement.verdict)
    }

    /// The addresses that configured servers gave for the name, in order, each once.
    pub fn addrs(&self) -> Vec<IpAddr> {
        let mut addrs = Vec::new();
        let configured = self.lookups.iter().filter(|it| it.role() == DnsRole::Configured);
        for addr in configured.flat_map(Lookup::addrs) {
            if !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        addrs
    }
}

/// Asks all servers at once, then judges their answers.
///
/// Emits a [`DnsAnswer`] or [`DnsFailure`] for each lookup of the name as it ends, then a
/// [`DnsVerdict`] for each configured server.
///
/// # Errors
///
/// [`ProbeError::Invalid`] for a name that is none, no server, no record type, or too many.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::dns::{self, DnsConfig, RecordType};
/// # use sojourner_stats::{Origin, Source, sink::Discard};
/// # use tokio_util::sync::CancellationToken;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let mut config = DnsConfig::new(Origin::new(Source::Dns, "localhost"), "localhost");
/// config.record_types = vec![RecordType::A];
/// let report = dns::run(&config, &Discard, &CancellationToken::new()).await.unwrap();
/// assert_eq!(report.addrs(), ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
/// # });
/// ```
pub async fn run(
    config: &DnsConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<DnsReport, ProbeError> {
    let name = parse_name(&config.name)?;
    check(config)?;
    let start = SystemClock.instant();
    let mut rng = ChaCha20Rng::from_os_rng();
    let nonexistent = match config.nonexistent {
        Nonexistent::Ask => Some(names_that_do_not_exist(&name, &mut rng)),
        Nonexistent::Skip => None,
    };
    let plan = plan(config, &name, nonexistent.as_ref(), &mut rng);
    let jobs = plan.into_iter().map(|job| ask_one(config, job, sink, cancel));
    let answers = stream::iter(jobs).buffered(IN_FLIGHT_MAX);
    let answers: Vec<(bool, Lookup)> =
        answers.filter_map(std::future::ready).map(stream::iter).flatten().collect().await;
    let judged: Vec<Lookup> = answers.iter().map(|(_, lookup)| lookup.clone()).collect();
    let (lookups, extra): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(own, _)| *own);
    let question = Question {
        name: wire::text(&name).into(),
        sibling: nonexistent.as_ref().map(|names| wire::text(&names.sibling).into()),
        invalid: nonexistent.as_ref().map(|names| wire::text(&names.invalid).into()),
    };
    let judgements = judge(&question, &judged);
    for judgement in &judgements {
        let kind = Kind::DnsVerdict(judgement.verdict.clone());
        sink.emit(Event::new(SystemClock.now(), config.origin.clone(), kind));
    }
    Ok(DnsReport {
        lookups: lookups.into_iter().map(|(_, lookup)| lookup).collect(),
        nonexistent: extra.into_iter().map(|(_, lookup)| lookup).collect(),
        judgements,
        elapsed: SystemClock.instant().since(start),
    })
}

/// One question to one server.
struct Job {
    server: DnsServer,
    role: DnsRole,
    name: Name,
    record_types: Vec<RecordType>, // several only for the system's resolver, which is asked once
    own: bool,                     // of the name itself, so it is an event
    rng: ChaCha20Rng,
}

struct Names {
    sibling: Name,
    invalid: Name,
}

async fn ask_one(
    config: &DnsConfig,
    mut job: Job,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Option<Vec<(bool, Lookup)>> {
    let lookups = cancel.run_until_cancelled(ask::ask(config, &mut job)).await?;
    let now = SystemClock.now();
    for lookup in lookups.iter().filter(|_| job.own) {
        let kind = match lookup.clone() {
            Lookup::Answer(answer) => Kind::DnsAnswer(answer),
            Lookup::Failure(failure) => Kind::DnsFailure(failure),
        };
        sink.emit(Event::new(now, config.origin.clone(), kind));
    }
    Some(lookups.into_iter().map(|lookup| (job.own, lookup)).collect())
}

fn plan(
    config: &DnsConfig,
    name: &Name,
    nonexistent: Option<&Names>,
    rng: &mut ChaCha20Rng,
) -> Vec<Job> {
    let configured = config.servers.iter().map(|server| (server, DnsRole::Configured));
    let trusted = config.trusted.iter().map(|server| (server, DnsRole::Trusted));
    let mut jobs = Vec::new();
    let mut add = |server: &DnsServer, role, name: &Name, record_types: Vec<_>, own| {
        let (server, name, rng) = (server.clone(), name.clone(), ChaCha20Rng::from_rng(rng));
        jobs.push(Job { server, role, name, record_types, own, rng });
    };
    for (server, role) in configured.chain(trusted) {
        let types = config.record_types.iter().copied();
        if *server == DnsServer::System {
            let types: Vec<_> = types.filter(|it| it.is_ip_addr()).collect();
            if !types.is_empty() {
                add(server, role, name, types, true);
            }
        } else {
            types.for_each(|record_type| add(server, role, name, vec![record_type], true));
        }
        if let Some(names) = nonexistent {
            for name in [&names.sibling, &names.invalid] {
                add(server, role, name, vec![RecordType::A], false);
            }
        }
    }
    jobs
}

fn parse_name(text: &str) -> Result<Name, ProbeError> {
    let invalid = |mend: String| ProbeError::Invalid {
        field: "name",
        value: format!("{:?}", text.chars().take(80).collect::<String>()),
        mend,
    };
    if text.trim().is_empty() {
        return Err(invalid("give a name such as example.com".into()));
    }
    let mut name = Name::from_str(text.trim()).map_err(|error| invalid(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn check(config: &DnsConfig) -> Result<(), ProbeError> {
    let servers = config.servers.len() + config.trusted.len();
    let invalid = |field, value: usize, mend: String| {
        Err(ProbeError::Invalid { field, value: value.to_string(), mend })
    };
    if !(1..=SERVERS_MAX).contains(&servers) {
        return invalid("number of DNS servers", servers, format!("name 1 to {SERVERS_MAX}"));
    }
    let types = config.record_types.len();
    if !(1..=RECORD_TYPES_MAX).contains(&types) {
        return invalid("number of record types", types, format!("name 1 to {RECORD_TYPES_MAX}"));
    }
    if config.retries > RETRIES_MAX {
        let retries = usize::try_from(config.retries).unwrap_or(usize::MAX);
        return invalid("number of retries", retries, format!("use 0 to {RETRIES_MAX}"));
    }
    Ok(())
}

/// A random name beside `name` and one under `invalid.`.
fn names_that_do_not_exist(name: &Name, rng: &mut ChaCha20Rng) -> Names {
    let mut label = || format!("sojourner-{:08x}", rng.next_u32());
    let zone = if name.num_labels() > 2 { name.base_name() } else { name.clone() };
    let invalid = Name::from_labels([label().as_bytes(), b"invalid"]);
    let invalid = invalid.expect("two short labels are a name");
    // A name so long that no label fits before it has no sibling to ask for.
    let sibling = zone.prepend_label(label().as_bytes()).unwrap_or_else(|_| invalid.clone());
    Names { sibling, invalid }
}

/// More servers or types than this is a mistake, and would be a burst of packets.
const SERVERS_MAX: usize = 64;
const RECORD_TYPES_MAX: usize = 16;
const RETRIES_MAX: u32 = 10;

/// Questions in flight at once; others wait for their turn.
const IN_FLIGHT_MAX: usize = 64;
