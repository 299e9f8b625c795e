use proptest::prelude::*;
use sojourner_stats::event::{PingEngine, PingLost, PingReply, StampSource};
use sojourner_stats::{Event, Kind, Origin, Source, Stamp, Stats};

use super::*;
use crate::page::Format;
use crate::parse::parse;

const CONFIG: &str = "targets:\n\
    - {hosts: [gone, both], network: ip4, labels: {site: \"a\\\"b\"}}\n\
    - {hosts: [both], network: ip6, source: '::1'}\n";

fn reply(host: &str, addr: &str, rtt_us: u64) -> Event {
    let reply = PingReply {
        seq: 0,
        addr: addr.parse().unwrap(),
        rtt_us: std::time::Duration::from_micros(rtt_us).into(),
        ttl: Some(63),
        size_bytes: 64,
        stamp: StampSource::Kernel,
        engine: PingEngine::KernelRaw,
    };
    Event::new(Stamp::default(), Origin::new(Source::Ping, host), Kind::PingReply(reply))
}

fn lost(host: &str, addr: &str) -> Event {
    let lost = PingLost { seq: 1, addr: addr.parse().unwrap() };
    Event::new(Stamp::default(), Origin::new(Source::Ping, host), Kind::PingLost(lost))
}

fn page_of(events: &[Event]) -> Page {
    let mut stats = Stats::default();
    for event in events {
        stats.fold(event);
    }
    let config = Config::parse(CONFIG, "test.yml".as_ref()).unwrap();
    let mut page = Page::default();
    pings(&config, &stats.snapshot(Stamp::default()), &mut page);
    page
}

#[test]
fn both_families_of_one_host_are_two_series_with_their_own_labels() {
    let page = page_of(&[
        reply("both", "192.0.2.1", 1_000),
        lost("both", "192.0.2.1"),
        reply("both", "2001:db8::1", 2_000),
    ]);
    let samples = parse(&page.encode(Format::Text)).unwrap();
    let requests: Vec<_> =
        samples.iter().filter(|sample| sample.name == "smokeping_requests_total").collect();
    assert_eq!(requests.len(), 2);
    let by_ip = |ip: &str| requests.iter().find(|sample| sample.labels["ip"] == ip).unwrap();
    let v4 = by_ip("192.0.2.1");
    assert_eq!(
        (v4.value, v4.labels["site"].as_str(), v4.labels["source"].as_str()),
        (2.0, "a\"b", "")
    );
    let v6 = by_ip("2001:db8::1");
    assert_eq!(
        (v6.value, v6.labels["source"].as_str(), v6.labels["tos"].as_str()),
        (1.0, "::1", "0")
    );
}

#[test]
fn what_was_not_measured_is_absent_and_not_zero() {
    let page = page_of(&[lost("both", "192.0.2.1"), reply("stranger", "192.0.2.9", 5)]);
    let text = page.encode(Format::Text);
    assert!(text.contains("sojourner_ping_lost_total{ip=\"192.0.2.1\",host=\"both\""), "{text}");
    for absent in ["srtt", "jitter", "last_rtt", "response_ttl", "gone", "stranger"] {
        assert!(!text.contains(absent), "{absent} is there: {text}");
    }
}

#[test]
fn the_buckets_are_those_of_smokeping_prober() {
    let text = page_of(&[reply("both", "192.0.2.1", 150)]).encode(Format::Text);
    let samples = parse(&text).unwrap();
    let buckets: Vec<_> =
        samples.iter().filter(|sample| sample.name.ends_with("_bucket")).collect();
    assert_eq!(buckets.len(), 21);
    let bounds: Vec<_> = buckets.iter().map(|sample| sample.labels["le"].as_str()).collect();
    assert_eq!(
        (bounds[0], bounds[1], bounds[19], bounds[20]),
        ("5e-05", "0.0001", "26.2144", "+Inf")
    );
    let counts: Vec<_> = buckets.iter().map(|sample| sample.value).collect();
    assert_eq!((counts[1], counts[2], counts[20]), (0.0, 1.0, 1.0));
}

proptest! {
    #[test]
    fn buckets_rise_and_are_off_by_no_more_than_the_samples_near_their_bound(
        rtts in prop::collection::vec(1e-6..60.0_f64, 0..300),
    ) {
        let mut rtt = Distribution::new();
        for value in &rtts {
            rtt.record(*value);
        }
        let histogram = classic(&rtt);
        prop_assert_eq!(histogram.count, rtts.len() as u64);
        let mut before = 0;
        for (bound, count) in &histogram.buckets {
            prop_assert!(*count >= before && *count <= histogram.count);
            before = *count;
            // The width of the one bucket that the bound cuts.
            let near = 1.0 + 2.5 * rtt.relative_error();
            let surely = rtts.iter().filter(|rtt| **rtt * near <= *bound).count() as u64;
            let perhaps = rtts.iter().filter(|rtt| **rtt <= *bound * near).count() as u64;
            prop_assert!((surely..=perhaps).contains(count), "{} of {}..{} at {}", count, surely, perhaps, bound);
        }
    }
}
