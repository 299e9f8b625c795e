//! Whether answers can be believed: lookups in, judgements out.

use std::sync::Arc;

use sojourner_stats::event::DnsVerdict;

use super::Lookup;

/// What was asked, so that lookups can be told apart by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name itself.
    pub name: Arc<str>,
    /// A random name beside it, if one was asked for.
    pub sibling: Option<Arc<str>>,
    /// A random name under `invalid.`, if one was asked for.
    pub invalid: Option<Arc<str>>,
}

/// A verdict, and how much it can bear.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: DnsVerdict,
    /// How sure it is, 0 to 1. Below 0.5 an innocent explanation is at least as likely.
    pub confidence: f64,
}

/// Judges the answers of each configured server by those of the trusted ones.
pub fn judge(_question: &Question, _lookups: &[Lookup]) -> Vec<Judgement> {
    Vec::new()
}
