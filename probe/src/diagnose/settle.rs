//! Which finding explains the others.

use sojourner_stats::event::{Cause, Finding, Scope, Severity, Status, Verdict};

use super::evidence::Facts;
use crate::target::Scheme;

/// The first fault on the way outwards, or else the first warning, or else health.
///
/// `findings` are in the order of the way outwards, as the rules are: what is nearer explains what
/// lies behind it. Information never decides.
pub(super) fn settle(findings: &[Finding], facts: &Facts<'_>) -> Verdict {
    let first = |severity| findings.iter().find(|finding| finding.severity == severity);
    if let Some(finding) = first(Severity::Fault) {
        return verdict(Status::Down, finding);
    }
    if let Some(finding) = first(Severity::Warning) {
        return verdict(Status::Degraded, finding);
    }
    let target = &facts.subject.target;
    if works(facts) {
        return Verdict {
            status: Status::Healthy,
            cause: Cause::Healthy,
            scope: Scope::App,
            confidence: 0.95,
            summary: format!("{target} answers as it should."),
            advice: "Nothing is to be done.".to_owned(),
        };
    }
    Verdict {
        status: Status::Down,
        cause: Cause::HostUnreachable,
        scope: Scope::Path,
        // There is no sign of life and no sign of why: a guess, and marked as one.
        confidence: 0.3,
        summary: format!(
            "Nothing shows that {target} works, and too little was measured to say why."
        ),
        advice: "Check again with more time, and see what was skipped.".to_owned(),
    }
}

fn verdict(status: Status, finding: &Finding) -> Verdict {
    Verdict {
        status,
        cause: finding.cause,
        scope: finding.scope,
        confidence: finding.confidence,
        summary: finding.summary.clone(),
        advice: finding.advice.clone(),
    }
}

/// Whether what the target is for was seen to work.
fn works(facts: &Facts<'_>) -> bool {
    let target = &facts.subject.target;
    if target.wants_tcp() {
        return facts.connects.iter().any(|(_, connect)| connect.won);
    }
    if target.scheme() == Scheme::Dns {
        return !facts.dns_answers.is_empty();
    }
    facts.target_alive()
}
