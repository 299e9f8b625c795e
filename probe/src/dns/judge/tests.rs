use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sojourner_stats::Micros;
use sojourner_stats::event::{DnsAnswer, DnsError, DnsFailure, DnsRecord, DnsTransport};

use super::*;
use DnsIntegrity::{Bogon, Consistent, Differs, Inconclusive, NameDenied, NxdomainRewritten};

const NX: &[&str] = &["NXDOMAIN"];
const NODATA: &[&str] = &[];
const SILENT: &[&str] = &["silence"];
const SERVFAIL: &[&str] = &["SERVFAIL"];

/// What the configured server says of A, what a trusted one says, and the verdict with the least
/// and the most confidence it may have.
#[test]
fn every_pair_of_answers_has_its_verdict() {
    type Row = (&'static [&'static str], &'static [&'static str], DnsIntegrity, f64, f64);
    let rows: &[Row] = &[
        (&["9.9.9.9"], &["9.9.9.9"], Consistent, 0.9, 1.0),
        (&["9.9.9.9", "8.8.8.8"], &["8.8.8.8", "1.1.1.1"], Consistent, 0.9, 1.0),
        (&["10.0.0.1"], &["10.0.0.1"], Consistent, 0.9, 1.0),
        (NX, NX, Consistent, 0.9, 1.0),
        (NODATA, NODATA, Consistent, 0.9, 1.0),
        (&["8.8.8.8"], &["9.9.9.9"], Differs, 0.5, 0.7),
        (&["9.9.1.1"], &["9.9.9.9"], Differs, 0.0, 0.4),
        (&["9.9.1.1", "alias.net."], &["7.7.7.7", "alias.net."], Differs, 0.0, 0.4),
        (&["192.0.2.66"], &["198.51.100.7"], Differs, 0.7, 1.0),
        (&["8.8.8.8"], NODATA, Differs, 0.4, 0.6),
        (&["10.0.0.1"], &["9.9.9.9"], Bogon, 0.8, 1.0),
        (&["0.0.0.0"], &["9.9.9.9"], Bogon, 0.8, 1.0),
        (&["10.0.0.1"], SILENT, Bogon, 0.0, 0.49),
        (&["8.8.8.8"], NX, NxdomainRewritten, 0.5, 0.7),
        (&["10.0.0.1"], NX, Inconclusive, 0.0, 0.0),
        (NX, &["9.9.9.9"], NameDenied, 0.8, 1.0),
        (NODATA, &["9.9.9.9"], NameDenied, 0.6, 0.8),
        (&["8.8.8.8"], SILENT, Inconclusive, 0.0, 0.0),
        (&["8.8.8.8"], SERVFAIL, Inconclusive, 0.0, 0.0),
        (SILENT, &["9.9.9.9"], Inconclusive, 0.0, 0.0),
        (SERVFAIL, &["9.9.9.9"], Inconclusive, 0.0, 0.0),
        (SILENT, SILENT, Inconclusive, 0.0, 0.0),
    ];
    for (ours, theirs, integrity, least, most) in rows {
        let lookups = [configured("www.a.com", "A", ours), trusted("t", "www.a.com", "A", theirs)];
        let judgements = judge(&question(), &lookups);
        let [judgement] = &judgements[..] else { panic!("one verdict: {judgements:?}") };
        let verdict = &judgement.verdict;
        assert_eq!(verdict.integrity, *integrity, "{ours:?} against {theirs:?}: {verdict:?}");
        let range = *least..=*most;
        assert!(range.contains(&judgement.confidence), "{ours:?}, {theirs:?}: {judgement:?}");
        assert_eq!((&*verdict.server, &*verdict.name), ("c", "www.a.com"));
    }
}

#[test]
fn a_lost_packet_is_no_denial() {
    let lookups = [
        configured("www.a.com", "A", SILENT),
        configured("www.a.com", "AAAA", NODATA),
        trusted("t", "www.a.com", "A", &["9.9.9.9"]),
        trusted("t", "www.a.com", "AAAA", NODATA),
    ];
    assert_eq!(integrities(&lookups), [Consistent], "AAAA alone can be compared");
}

#[test]
fn a_resolver_that_hides_ipv6_is_consistent_by_its_ipv4() {
    let lookups = [
        configured("www.a.com", "A", &["9.9.9.9"]),
        configured("www.a.com", "AAAA", NODATA),
        trusted("t", "www.a.com", "A", &["9.9.9.9"]),
        trusted("t", "www.a.com", "AAAA", &["2620:fe::9"]),
    ];
    assert_eq!(integrities(&lookups), [Consistent]);
}

#[test]
fn one_agreeing_trusted_server_is_enough_and_disagreeing_ones_lower_the_confidence() {
    let own = configured("www.a.com", "A", &["8.8.8.8"]);
    let one = trusted("t", "www.a.com", "A", &["9.9.9.9"]);
    let agreeing = [own.clone(), one.clone(), trusted("u", "www.a.com", "A", &["8.8.8.8"])];
    assert_eq!(integrities(&agreeing), [Consistent]);
    let cdn = [own, one, trusted("u", "www.a.com", "A", &["7.7.7.7"])];
    let judgements = judge(&question(), &cdn);
    assert_eq!(judgements[0].verdict.integrity, Differs);
    assert!(judgements[0].confidence < 0.5, "{judgements:?}");
}

#[test]
fn an_invented_sibling_is_told_beside_the_name_that_is_right() {
    let lookups = [
        configured("www.a.com", "A", &["9.9.9.9"]),
        configured("x1.a.com", "A", &["6.6.6.6"]),
        trusted("t", "www.a.com", "A", &["9.9.9.9"]),
        trusted("t", "x1.a.com", "A", NX),
    ];
    assert_eq!(integrities(&lookups), [Consistent, NxdomainRewritten]);
}

#[test]
fn a_wildcard_of_the_zone_is_no_invention() {
    let lookups = [
        configured("www.a.com", "A", &["9.9.9.9"]),
        configured("x1.a.com", "A", &["9.9.9.9"]),
        trusted("t", "www.a.com", "A", &["9.9.9.9"]),
        trusted("t", "x1.a.com", "A", &["9.9.9.9"]),
    ];
    assert_eq!(integrities(&lookups), [Consistent]);
}

#[test]
fn names_under_invalid_need_no_trusted_server() {
    let lookups =
        [configured("www.a.com", "A", &["9.9.9.9"]), configured("x2.invalid", "A", &["10.0.0.1"])];
    assert_eq!(integrities(&lookups), [Inconclusive, NxdomainRewritten]);
}

#[test]
fn a_rewritten_name_and_a_rewritten_sibling_are_one_finding() {
    let lookups = [
        configured("www.a.com", "A", &["10.6.6.6"]),
        configured("x1.a.com", "A", &["10.6.6.6"]),
        trusted("t", "www.a.com", "A", NX),
        trusted("t", "x1.a.com", "A", NX),
    ];
    let judgements = judge(&question(), &lookups);
    let [judgement] = &judgements[..] else { panic!("{judgements:?}") };
    assert_eq!(judgement.verdict.integrity, NxdomainRewritten);
    assert!(judgement.confidence > 0.5);
}

#[test]
fn private_names_may_have_private_addresses() {
    let question = Question { name: "nas.lan".into(), sibling: None, invalid: None };
    let judgements = judge(&question, &[configured("nas.lan", "A", &["192.168.1.5"])]);
    assert_eq!(judgements[0].verdict.integrity, Inconclusive);
}

#[test]
fn servers_that_were_not_asked_for_addresses_are_not_judged() {
    assert_eq!(judge(&question(), &[configured("www.a.com", "MX", NODATA)]), []);
}

const SAYINGS: &[&[&str]] = &[
    NX,
    NODATA,
    SILENT,
    SERVFAIL,
    &["9.9.9.9"],
    &["9.9.1.1", "alias.net."],
    &["10.0.0.1"],
    &["8.8.8.8", "0.0.0.0"],
    &["2620:fe::9"],
];

type Row = (&'static str, &'static str, &'static [&'static str]);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let names = select(vec!["www.a.com", "x1.a.com"]);
    vec((names, select(vec!["A", "AAAA"]), select(SAYINGS)), 0..8)
}

proptest! {
    /// Whatever they say: one or two verdicts for each server that was asked, each with a sentence
    /// and a confidence that is one.
    #[test]
    fn any_answers_have_a_verdict(
        ours in rows(),
        theirs in vec((select(vec!["t", "u"]), rows()), 0..3),
    ) {
        let mut lookups: Vec<_> = ours.iter().map(|it| configured(it.0, it.1, it.2)).collect();
        for (server, rows) in &theirs {
            lookups.extend(rows.iter().map(|it| trusted(server, it.0, it.1, it.2)));
        }
        let judgements = judge(&question(), &lookups);
        let asked = ours.iter().any(|it| it.0 == "www.a.com");
        let verdicts = if asked { 1..=2 } else { 0..=0 };
        prop_assert!(verdicts.contains(&judgements.len()), "{judgements:?}");
        for judgement in judgements {
            prop_assert!((0.0..=1.0).contains(&judgement.confidence));
            prop_assert!(!judgement.verdict.detail.is_empty());
        }
    }

    /// Whoever says what a trusted server says is never accused.
    #[test]
    fn an_honest_server_is_never_accused(rows in rows()) {
        let ours = rows.iter().map(|it| configured(it.0, it.1, it.2));
        let theirs = rows.iter().map(|it| trusted("t", it.0, it.1, it.2));
        let lookups: Vec<_> = ours.chain(theirs).collect();
        for judgement in judge(&question(), &lookups) {
            let integrity = judgement.verdict.integrity;
            prop_assert!(matches!(integrity, Consistent | Inconclusive), "{judgement:?}");
        }
    }
}

fn integrities(lookups: &[Lookup]) -> Vec<DnsIntegrity> {
    judge(&question(), lookups).iter().map(|it| it.verdict.integrity).collect()
}

fn question() -> Question {
    Question {
        name: "www.a.com".into(),
        sibling: Some("x1.a.com".into()),
        invalid: Some("x2.invalid".into()),
    }
}

fn configured(name: &str, record_type: &str, said: &[&str]) -> Lookup {
    lookup("c", DnsRole::Configured, name, record_type, said)
}

fn trusted(server: &str, name: &str, record_type: &str, said: &[&str]) -> Lookup {
    lookup(server, DnsRole::Trusted, name, record_type, said)
}

fn lookup(server: &str, role: DnsRole, name: &str, record_type: &str, said: &[&str]) -> Lookup {
    let (transport, elapsed_us) = (DnsTransport::Udp, Micros(Duration::from_millis(1)));
    let (server, name) = (server.into(), Arc::<str>::from(name));
    if said == SILENT {
        let (error, record_type) = (DnsError::Timeout, record_type.into());
        return Lookup::Failure(DnsFailure {
            server,
            role,
            transport,
            name,
            record_type,
            error,
            elapsed_us,
        });
    }
    let (rcode, data) = match said {
        [code @ ("NXDOMAIN" | "SERVFAIL")] => (*code, &[][..]),
        data => ("NOERROR", data),
    };
    let record = |data: &&str| DnsRecord {
        name: name.to_string(),
        record_type: if data.ends_with('.') { "CNAME".into() } else { record_type.into() },
        data: (*data).to_owned(),
        ttl_s: Some(60),
    };
    let records = data.iter().map(record).collect();
    Lookup::Answer(DnsAnswer {
        server,
        role,
        transport,
        name,
        record_type: record_type.into(),
        rcode: rcode.into(),
        records,
        elapsed_us,
    })
}
