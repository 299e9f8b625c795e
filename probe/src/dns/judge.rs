//! Whether answers can be believed: lookups in, judgements out.
//!
//! A server is compared with trusted ones only in the record types that both answered, so that a
//! lost packet never looks like a lie. What a content network may explain (other addresses in
//! another place) or a private zone (names and addresses of the local network alone) gets a low
//! confidence, or no verdict at all.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use sojourner_stats::event::{DnsIntegrity, DnsRole, DnsVerdict};

use super::{Lookup, special_purpose};

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
///
/// One judgement about the name for each configured server that was asked for addresses, in the
/// order of the lookups; then a second one where a server invents names but not this one.
///
/// | the server says | trusted ones say | verdict |
/// | --- | --- | --- |
/// | an address that they say too; nothing, as they do | | `Consistent` |
/// | an address that cannot be public | a public one | `Bogon` |
/// | other addresses | addresses | `Differs` |
/// | an address | no such name | `NxdomainRewritten`; `Inconclusive` for a private zone |
/// | no such name, no address | addresses | `NameDenied` |
/// | an address for a random name | no such name | `NxdomainRewritten` |
/// | an address for a name under `invalid.` | (nobody is needed) | `NxdomainRewritten` |
/// | nothing usable, or they do not | | `Inconclusive` |
pub fn judge(question: &Question, lookups: &[Lookup]) -> Vec<Judgement> {
    let mut servers: Vec<&Arc<str>> = Vec::new();
    for lookup in lookups.iter().filter(|it| it.role() == DnsRole::Configured) {
        let asked = *lookup.name() == question.name && is_address_type(lookup.record_type());
        if asked && !servers.contains(&lookup.server()) {
            servers.push(lookup.server());
        }
    }
    let judgements = servers.into_iter().flat_map(|server| {
        let case = Case::new(question, lookups, server);
        let invented = case.invented();
        let about_name = case.about_name(invented.as_ref());
        let told = about_name.verdict.integrity == DnsIntegrity::NxdomainRewritten;
        std::iter::once(about_name).chain(invented.filter(|_| !told))
    });
    judgements.collect()
}

/// One configured server against all trusted ones.
struct Case<'a> {
    question: &'a Question,
    lookups: &'a [Lookup],
    server: &'a Arc<str>,
    own: Said<'a>,
    trusted: Vec<Said<'a>>,
}

/// What one server said of one name, in the types that count.
struct Said<'a> {
    server: &'a Arc<str>,
    types: BTreeSet<&'a str>,
    addrs: BTreeSet<IpAddr>,
    aliases: BTreeSet<String>,
    denied: bool,
}

impl<'a> Case<'a> {
    fn new(question: &'a Question, lookups: &'a [Lookup], server: &'a Arc<str>) -> Self {
        let name = &question.name;
        let all = said(lookups, DnsRole::Configured, server, name, None);
        let mut trusted: Vec<Said<'a>> = Vec::new();
        for lookup in lookups.iter().filter(|it| it.role() == DnsRole::Trusted) {
            let server = lookup.server();
            if trusted.iter().all(|said| said.server != server) {
                trusted.push(said(lookups, DnsRole::Trusted, server, name, Some(&all.types)));
            }
        }
        trusted.retain(|said| !said.types.is_empty());
        // With trusted answers only the types that they cover are compared.
        let covered: BTreeSet<_> = trusted.iter().flat_map(|it| it.types.clone()).collect();
        let only = (!covered.is_empty()).then_some(&covered);
        let own = said(lookups, DnsRole::Configured, server, name, only);
        Self { question, lookups, server, own, trusted }
    }

    fn verdict(
        &self,
        integrity: DnsIntegrity,
        confidence: f64,
        trusted: Option<&Said<'_>>,
        detail: String,
    ) -> Judgement {
        let verdict = DnsVerdict {
            name: Arc::clone(&self.question.name),
            server: Arc::clone(self.server),
            trusted: trusted.map(|said| Arc::clone(said.server)),
            integrity,
            detail,
        };
        Judgement { verdict, confidence }
    }

    /// Whether the server gives addresses to names that do not exist.
    fn invented(&self) -> Option<Judgement> {
        let rewritten = DnsIntegrity::NxdomainRewritten;
        let answer = |name: &'a Arc<str>| {
            let said = said(self.lookups, DnsRole::Configured, self.server, name, None);
            said.addrs.first().copied()
        };
        if let Some(name) = &self.question.invalid
            && let Some(addr) = answer(name)
        {
            let detail = format!("{} answers {addr} for {name}, which cannot exist", self.server);
            return Some(self.verdict(rewritten, 0.95, None, detail));
        }
        let name = self.question.sibling.as_ref()?;
        let addr = answer(name)?;
        let trusted = self.trusted_on(name);
        // Where a trusted server knows it too, the zone has a wildcard.
        if trusted.iter().any(|said| !said.addrs.is_empty()) {
            return None;
        }
        let denier = trusted.iter().find(|said| said.denied)?;
        let confidence = if special_purpose(addr).is_some() { 0.7 } else { 0.9 };
        let detail = format!(
            "{} answers {addr} for {name}, which does not exist by {}",
            self.server, denier.server
        );
        Some(self.verdict(rewritten, confidence, Some(denier), detail))
    }

    fn trusted_on(&self, name: &Arc<str>) -> Vec<Said<'a>> {
        let servers = self.lookups.iter().filter(|it| it.role() == DnsRole::Trusted);
        let servers: BTreeSet<_> = servers.map(Lookup::server).collect();
        let all = servers.into_iter();
        all.map(|server| said(self.lookups, DnsRole::Trusted, server, name, None)).collect()
    }

    fn about_name(&self, invented: Option<&Judgement>) -> Judgement {
        let inconclusive =
            |detail: String| self.verdict(DnsIntegrity::Inconclusive, 0.0, None, detail);
        if self.own.types.is_empty() {
            return inconclusive(format!("{} gave no usable answer", self.server));
        }
        let Some(first) = self.trusted.first() else {
            return self.alone().unwrap_or_else(|| {
                inconclusive("no trusted server answered to compare with".into())
            });
        };
        let speaking = self.trusted.iter().find(|said| !said.addrs.is_empty());
        match (self.own.addrs.is_empty(), speaking) {
            (true, None) => {
                let detail = format!("{} has no address for it either", first.server);
                self.verdict(DnsIntegrity::Consistent, 0.9, Some(first), detail)
            }
            (true, Some(trusted)) => self.denial(trusted),
            (false, Some(trusted)) => self.comparison(trusted),
            (false, None) => self.against_denial(first, invented),
        }
    }

    /// With nobody to compare with, only an impossible address says anything.
    fn alone(&self) -> Option<Judgement> {
        let (addr, block) = self.own.special()?;
        if !is_public(&self.question.name) {
            return None;
        }
        let detail = format!(
            "{} answers {addr} ({}), and nobody trusted was there to say whether that is meant",
            self.server, block
        );
        Some(self.verdict(DnsIntegrity::Bogon, 0.4, None, detail))
    }

    fn denial(&self, trusted: &Said<'_>) -> Judgement {
        let (what, confidence) =
            if self.own.denied { ("no such name", 0.9) } else { ("no address", 0.7) };
        let detail = format!(
            "{} says {what}, {} says {}",
            self.server,
            trusted.server,
            list(&trusted.addrs)
        );
        self.verdict(DnsIntegrity::NameDenied, confidence, Some(trusted), detail)
    }

    fn comparison(&self, trusted: &Said<'_>) -> Judgement {
        let same = self.trusted.iter().find(|it| !it.addrs.is_disjoint(&self.own.addrs));
        if let Some(same) = same {
            let common = self.own.addrs.intersection(&same.addrs).copied().collect();
            let detail = format!("{} says {} too", same.server, list(&common));
            return self.verdict(DnsIntegrity::Consistent, 0.95, Some(same), detail);
        }
        let says = format!(
            "{} says {}, {} says {}",
            self.server,
            list(&self.own.addrs),
            trusted.server,
            list(&trusted.addrs)
        );
        let all_special =
            |said: &Said<'_>| said.addrs.iter().all(|it| special_purpose(*it).is_some());
        match self.own.special() {
            Some((_, block)) if !all_special(trusted) => {
                let detail = format!("{says}; the former is {block} and cannot be public");
                self.verdict(DnsIntegrity::Bogon, 0.9, Some(trusted), detail)
            }
            Some(_) => {
                let detail = format!("{says}; no content network has such addresses");
                self.verdict(DnsIntegrity::Differs, 0.8, Some(trusted), detail)
            }
            None => {
                let (confidence, doubt) = self.innocence(trusted);
                self.verdict(DnsIntegrity::Differs, confidence, Some(trusted), says + doubt)
            }
        }
    }

    /// How a content network would look, and how likely it is no excuse.
    fn innocence(&self, trusted: &Said<'_>) -> (f64, &'static str) {
        let disagree = self.trusted.iter().any(|it| it.addrs.is_disjoint(&trusted.addrs));
        if !self.own.aliases.is_disjoint(&trusted.aliases) {
            (0.2, "; both by the same alias, as content networks do")
        } else if disagree {
            (0.2, "; trusted servers differ among themselves, as with content networks")
        } else if self.own.addrs.iter().any(|a| trusted.addrs.iter().any(|b| neighbours(*a, *b))) {
            (0.3, "; they are neighbours, so a content network is likely")
        } else {
            (0.6, "; a content network may explain it")
        }
    }

    /// The server has an address, trusted ones have none.
    fn against_denial(&self, trusted: &Said<'_>, invented: Option<&Judgement>) -> Judgement {
        let says = format!("{} says {}", self.server, list(&self.own.addrs));
        if !trusted.denied {
            let detail = format!("{says}, {} knows the name but no address", trusted.server);
            return self.verdict(DnsIntegrity::Differs, 0.5, Some(trusted), detail);
        }
        let says = format!("{says}, {} says no such name", trusted.server);
        let rewritten = DnsIntegrity::NxdomainRewritten;
        if let Some(invented) = invented {
            let detail = format!("{says}; {}", invented.verdict.detail);
            return self.verdict(rewritten, invented.confidence, Some(trusted), detail);
        }
        if self.own.special().is_some() {
            let detail = format!("{says}; it may exist in this network alone");
            return self.verdict(DnsIntegrity::Inconclusive, 0.0, Some(trusted), detail);
        }
        let detail = format!("{says}; other names that do not exist are left alone");
        self.verdict(rewritten, 0.6, Some(trusted), detail)
    }
}

impl Said<'_> {
    fn special(&self) -> Option<(IpAddr, &'static str)> {
        let special = |addr: &IpAddr| special_purpose(*addr).map(|block| (*addr, block.purpose));
        self.addrs.iter().find_map(special)
    }
}

/// Gathers what `server` said of `name`, in the types of `only` if given.
fn said<'a>(
    lookups: &'a [Lookup],
    role: DnsRole,
    server: &'a Arc<str>,
    name: &Arc<str>,
    only: Option<&BTreeSet<&str>>,
) -> Said<'a> {
    let mut said = Said {
        server,
        types: BTreeSet::new(),
        addrs: BTreeSet::new(),
        aliases: BTreeSet::new(),
        denied: false,
    };
    for lookup in lookups {
        let record_type = lookup.record_type();
        let ours = lookup.role() == role && lookup.server() == server && lookup.name() == name;
        let counts = is_address_type(record_type) && only.is_none_or(|it| it.contains(record_type));
        let Lookup::Answer(answer) = lookup else { continue };
        if !(ours && counts && matches!(&*answer.rcode, "NOERROR" | "NXDOMAIN")) {
            continue;
        }
        said.types.insert(record_type);
        said.addrs.extend(lookup.addrs());
        let aliases = answer.records.iter().filter(|record| record.record_type == "CNAME");
        said.aliases.extend(aliases.map(|record| record.data.to_ascii_lowercase()));
        said.denied |= &*answer.rcode == "NXDOMAIN";
    }
    said
}

fn is_address_type(record_type: &str) -> bool {
    matches!(record_type, "A" | "AAAA")
}

/// Whether two addresses are close enough to belong to one operator: a /16, or an IPv6 /32, which
/// is the least that registries hand out.
fn neighbours(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.to_bits() >> 16 == b.to_bits() >> 16,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() >> 96 == b.to_bits() >> 96,
        _ => false,
    }
}

/// Whether a name is one that the public DNS would answer for.
fn is_public(name: &str) -> bool {
    let Some((_, top)) = name.rsplit_once('.') else { return false };
    !PRIVATE_TOPS.iter().any(|private| top.eq_ignore_ascii_case(private))
}

fn list(addrs: &BTreeSet<IpAddr>) -> String {
    let mut text: Vec<_> = addrs.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    if addrs.len() > LISTED_MAX {
        text.push(format!("{} more", addrs.len() - LISTED_MAX));
    }
    text.join(", ")
}

/// RFC 6761, RFC 6762 (with its appendix G), RFC 7686 and ICANN's `internal`.
const PRIVATE_TOPS: &[&str] = &[
    "test",
    "localhost",
    "invalid",
    "example",
    "local",
    "onion",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "arpa",
    "localdomain",
];

/// A sentence with more addresses is not read.
const LISTED_MAX: usize = 3;

#[cfg(test)]
mod tests;
