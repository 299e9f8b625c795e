//! Name servers and TCP servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::Distribution;
use crate::event::{DnsAnswer, DnsFailure, DnsRole, DnsTransport, TcpConnect, TcpOutcome};
use crate::time::Stamp;

/// What one server last said to one question, and how it did so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsView {
    /// Who was asked.
    pub server: Arc<str>,
    /// Why it was asked.
    pub role: DnsRole,
    /// How.
    pub transport: DnsTransport,
    /// The name asked for.
    pub name: Arc<str>,
    /// The record type asked for.
    pub record_type: Arc<str>,
    /// When the latest result was seen.
    pub at: Stamp,
    /// The latest result.
    pub result: DnsResult,
    /// Questions answered, whatever the answer.
    pub answers: u64,
    /// Questions without a usable answer.
    pub failures: u64,
    /// Times to an answer, in seconds; failures are left out.
    pub elapsed: Distribution,
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsResult {
    /// The server answered, whatever the answer.
    Answer(DnsAnswer),
    /// There was no usable answer.
    Failure(DnsFailure),
}

impl DnsView {
    pub(crate) fn new(at: Stamp, result: DnsResult) -> Self {
        let (server, role, transport, name, record_type) = match &result {
            DnsResult::Answer(a) => (&a.server, a.role, a.transport, &a.name, &a.record_type),
            DnsResult::Failure(f) => (&f.server, f.role, f.transport, &f.name, &f.record_type),
        };
        Self {
            server: Arc::clone(server),
            role,
            transport,
            name: Arc::clone(name),
            record_type: Arc::clone(record_type),
            at,
            result,
            answers: 0,
            failures: 0,
            elapsed: Distribution::new(),
        }
    }

    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        self.server == other.server
            && self.transport == other.transport
            && self.name == other.name
            && self.record_type == other.record_type
    }

    /// Takes the newer view of the same question into this one.
    pub(crate) fn update(&mut self, newer: Self) {
        match &newer.result {
            DnsResult::Answer(answer) => {
                self.answers += 1;
                self.elapsed.record(answer.elapsed_us.as_secs_f64());
            }
            DnsResult::Failure(_) => self.failures += 1,
        }
        (self.at, self.role, self.result) = (newer.at, newer.role, newer.result);
    }
}

/// Connection attempts to one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TcpView {
    /// Attempts that ended, cancelled ones included.
    pub attempts: u64,
    /// Attempts that completed the handshake.
    pub connected: u64,
    /// Races this address won.
    pub won: u64,
    /// How many attempts ended how, at most [`TcpView::OUTCOMES_MAX`] ways.
    #[serde(serialize_with = "as_pairs")]
    pub outcomes: BTreeMap<TcpOutcome, u64>,
    /// When the latest attempt ended.
    pub at: Stamp,
    /// The latest attempt.
    pub last: TcpConnect,
    /// The latest handshake's time.
    pub last_connect: Option<Duration>,
    /// Times of completed handshakes, in seconds.
    pub connect: Distribution,
}

impl TcpView {
    /// The most outcomes counted apart; local error numbers beyond it are counted in `attempts`
    /// alone.
    pub const OUTCOMES_MAX: usize = 24;

    pub(crate) fn new(at: Stamp, last: TcpConnect) -> Self {
        Self {
            attempts: 0,
            connected: 0,
            won: 0,
            outcomes: BTreeMap::new(),
            at,
            last,
            last_connect: None,
            connect: Distribution::new(),
        }
    }

    pub(crate) fn on_connect(&mut self, at: Stamp, connect: &TcpConnect) {
        self.attempts += 1;
        self.won += u64::from(connect.won);
        if connect.outcome == TcpOutcome::Connected {
            self.connected += 1;
            self.last_connect = Some(connect.elapsed_us.0);
            self.connect.record(connect.elapsed_us.as_secs_f64());
        }
        let known = self.outcomes.contains_key(&connect.outcome);
        if known || self.outcomes.len() < Self::OUTCOMES_MAX {
            *self.outcomes.entry(connect.outcome).or_default() += 1;
        }
        self.at = at;
        self.last.clone_from(connect);
    }
}

/// As `[[outcome, count], ...]`: an outcome with an error number cannot be a key in JSON.
fn as_pairs<S: serde::Serializer>(
    outcomes: &BTreeMap<TcpOutcome, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(outcomes)
}
