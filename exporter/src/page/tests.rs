use proptest::prelude::*;

use super::*;
use crate::parse::{Sample, parse};

static REQUESTS: Metric = Metric {
    name: "demo_requests_total",
    kind: Kind::Counter,
    help: "Says \"how many\",\nwith a \\ in it.",
    labels: &["host", "ip"],
};
static LATENCY: Metric =
    Metric { name: "demo_seconds", kind: Kind::Histogram, help: "How long.", labels: &["host"] };

#[test]
fn a_page_is_written_as_prometheus_reads_it() {
    let mut page = Page::default();
    page.number(&REQUESTS, &["b", "192.0.2.1"], 2.0);
    page.number_with(&REQUESTS, &["a\"\\\n", "::1"], &[("site", "x")], 1.5e-7);
    assert_eq!(
        page.encode(Format::Text),
        "# HELP demo_requests_total Says \"how many\",\\nwith a \\\\ in it.\n\
         # TYPE demo_requests_total counter\n\
         demo_requests_total{host=\"a\\\"\\\\\\n\",ip=\"::1\",site=\"x\"} 1.5e-07\n\
         demo_requests_total{host=\"b\",ip=\"192.0.2.1\"} 2\n"
    );
}

#[test]
fn open_metrics_drops_the_suffix_from_the_family_and_marks_the_end() {
    let mut page = Page::default();
    page.number(&REQUESTS, &["a", "::1"], 1.0);
    let text = page.encode(Format::OpenMetrics);
    assert!(text.contains("# TYPE demo_requests counter\n"), "{text}");
    assert!(text.contains("\ndemo_requests_total{"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn a_histogram_ends_with_the_infinite_bucket_its_sum_and_its_count() {
    let mut page = Page::default();
    let histogram =
        ClassicHistogram { buckets: vec![(5e-5, 1), (26.2144, 3)], sum: 0.25, count: 4 };
    page.histogram_with(&LATENCY, &["a"], &[], histogram);
    let text = page.encode(Format::Text);
    let samples = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    assert_eq!(
        samples,
        [
            "demo_seconds_bucket{host=\"a\",le=\"5e-05\"} 1",
            "demo_seconds_bucket{host=\"a\",le=\"26.2144\"} 3",
            "demo_seconds_bucket{host=\"a\",le=\"+Inf\"} 4",
            "demo_seconds_sum{host=\"a\"} 0.25",
            "demo_seconds_count{host=\"a\"} 4",
        ]
    );
}

#[test]
fn the_format_is_the_one_the_scraper_prefers() {
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                      application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,*/*;q=0.1";
    for (accept, wanted) in [
        ("", Format::Text),
        ("*/*", Format::Text),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
        (prometheus, Format::OpenMetrics),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Format::Text),
        ("application/openmetrics-text; version=0.0.1", Format::Text),
        ("application/openmetrics-text;q=0", Format::Text),
        (";;q=,=;", Format::Text),
    ] {
        assert_eq!(Format::from_accept(accept), wanted, "{accept}");
    }
}

proptest! {
    #[test]
    fn every_label_value_is_read_back_as_it_was(
        host in any::<String>(), ip in any::<String>(), extra in any::<String>(),
    ) {
        let mut page = Page::default();
        page.number_with(&REQUESTS, &[&host, &ip], &[("site", &extra)], 1.0);
        for format in [Format::Text, Format::OpenMetrics] {
            let samples = parse(&page.encode(format)).unwrap();
            let labels = [("host", host.clone()), ("ip", ip.clone()), ("site", extra.clone())];
            let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let wanted = Sample { name: REQUESTS.name.to_owned(), labels, value: 1.0 };
            prop_assert_eq!(samples, vec![wanted]);
        }
    }

    #[test]
    fn every_number_is_read_back_exactly(value in any::<f64>()) {
        let text = go_float(value);
        let read: f64 = text.parse().unwrap();
        prop_assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()), "{}", text);
    }

    #[test]
    fn no_series_is_written_twice(hosts in prop::collection::vec("[ab\"\\\\,=]{0,3}", 0..20)) {
        let mut page = Page::default();
        for (value, host) in hosts.iter().enumerate() {
            page.number(&REQUESTS, &[host, "x"], as_number(value as u64));
        }
        let samples = parse(&page.encode(Format::Text)).unwrap();
        let distinct: std::collections::BTreeSet<_> =
            samples.iter().map(|sample| sample.labels.clone()).collect();
        prop_assert_eq!(distinct.len(), samples.len());
        let hosts: std::collections::BTreeSet<_> = hosts.iter().collect();
        prop_assert_eq!(distinct.len(), hosts.len());
    }
}
