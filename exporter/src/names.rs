//! Every metric of this exporter, in one table: name, type, help, labels.
//!
//! `probe_*` are the names of `blackbox_exporter`, `smokeping_*` those of `smokeping_prober`; ours
//! are `sojourner_*`. Seconds, bytes, ratios from 0 to 1; counters end in `_total`. Labels come
//! from the configuration alone, or from a closed vocabulary ([`crate::prober::Reason`]), so the
//! number of series is bounded by the configuration: each target costs one series of each of the
//! `smokeping_*` and `sojourner_ping_*` metrics (a histogram counts 23).

/// One metric: all that its page needs but the values.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How its values add up.
    pub kind: Kind,
    /// What it says, one sentence.
    pub help: &'static str,
    /// Its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
}

/// How a metric's values add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts samples by size.
    Histogram,
}

impl Kind {
    /// The word of the text formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What `smokeping_prober` labels its series with: the address, the host as configured, the
/// configured source address (or empty) and the type of service.
const PING: &[&str] = &["ip", "host", "source", "tos"];
/// No labels.
const NONE: &[&str] = &[];

macro_rules! table {
    ($($id:ident = $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        $(#[doc = $help]
        pub static $id: Metric =
            Metric { name: $name, kind: Kind::$kind, help: $help, labels: $labels };)*
        /// All of them.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

table! {
    PROBE_SUCCESS = Gauge "probe_success" NONE,
        "Displays whether or not the probe was a success";
    PROBE_DURATION = Gauge "probe_duration_seconds" NONE,
        "Returns how long the probe took to complete in seconds";
    PROBE_TIMEOUT = Gauge "probe_timeout_seconds" NONE,
        "Returns the timeout of the probe in seconds";
    PROBE_DNS_LOOKUP_TIME = Gauge "probe_dns_lookup_time_seconds" NONE,
        "Returns the time taken for probe dns lookup in seconds";
    PROBE_IP_PROTOCOL = Gauge "probe_ip_protocol" NONE,
        "Specifies whether probe ip protocol is IP4 or IP6";
    PROBE_IP_ADDR_HASH = Gauge "probe_ip_addr_hash" NONE,
        "Specifies the hash of IP address. It's useful to detect if the IP address changes.";
    PROBE_ICMP_DURATION = Gauge "probe_icmp_duration_seconds" &["phase"],
        "Duration of icmp request by phase";
    PROBE_ICMP_REPLY_HOP_LIMIT = Gauge "probe_icmp_reply_hop_limit" NONE,
        "Replied packet hop limit (TTL for ipv4)";
    PROBE_DNS_DURATION = Gauge "probe_dns_duration_seconds" &["phase"],
        "Duration of DNS request by phase";
    PROBE_DNS_ANSWER_RRS = Gauge "probe_dns_answer_rrs" NONE,
        "Returns number of entries in the answer resource record list";
    PROBE_DNS_AUTHORITY_RRS = Gauge "probe_dns_authority_rrs" NONE,
        "Returns number of entries in the authority resource record list";
    PROBE_DNS_ADDITIONAL_RRS = Gauge "probe_dns_additional_rrs" NONE,
        "Returns number of entries in the additional resource record list";
    PROBE_DNS_QUERY_SUCCEEDED = Gauge "probe_dns_query_succeeded" NONE,
        "Displays whether or not the query was executed successfully";
    PROBE_DNS_SERIAL = Gauge "probe_dns_serial" NONE,
        "Returns the serial number of the zone";
    PROBE_FAILED_DUE_TO_REGEX = Gauge "probe_failed_due_to_regex" NONE,
        "Indicates if probe failed due to regex";
    PROBE_FAILURE_INFO = Gauge "sojourner_probe_failure_info" &["reason"],
        "Why the probe failed, from a closed vocabulary; absent when it succeeded";

    SMOKEPING_REQUESTS = Counter "smokeping_requests_total" PING,
        "Number of ping requests sent whose fate is known";
    SMOKEPING_DURATION = Histogram "smokeping_response_duration_seconds" PING,
        "A histogram of latencies for ping responses.";
    SMOKEPING_TTL = Gauge "smokeping_response_ttl" PING,
        "The last response Time To Live (TTL).";
    SMOKEPING_DUPLICATES = Counter "smokeping_response_duplicates_total" PING,
        "The number of duplicated response packets.";
    SMOKEPING_SEND_ERRORS = Counter "smokeping_send_errors_total" PING,
        "Number of pings that this host could not send";
    PING_LOST = Counter "sojourner_ping_lost_total" PING,
        "Pings without a reply within the timeout";
    PING_ERRORS = Counter "sojourner_ping_errors_total" PING,
        "Pings that a router or host answered with an ICMP error";
    PING_LATE = Counter "sojourner_ping_late_total" PING,
        "Replies that came after their ping was counted as lost";
    PING_LAST_RTT = Gauge "sojourner_ping_last_rtt_seconds" PING,
        "Round trip of the last reply";
    PING_SRTT = Gauge "sojourner_ping_srtt_seconds" PING,
        "Smoothed round trip (RFC 6298)";
    PING_JITTER = Gauge "sojourner_ping_jitter_seconds" PING,
        "Interarrival jitter (RFC 3550)";
    PING_RUN_UP = Gauge "sojourner_ping_running" NONE,
        "Whether every group of continuous pings is being sent";
    RESOLVE_FAILURES = Counter "sojourner_ping_resolve_failures_total" &["host"],
        "Lookups of a target's name that gave no address";

    EVENTS = Counter "sojourner_events_total" NONE,
        "Events folded into the statistics";
    EVENTS_DROPPED = Counter "sojourner_events_dropped_total" NONE,
        "Events lost because a queue was full";
    SERIES_OVERFLOWED = Counter "sojourner_series_overflowed_total" NONE,
        "Events whose series was over the bound";
    PROBES_IN_FLIGHT = Gauge "sojourner_exporter_probes_in_flight" NONE,
        "Probes of /probe running now";
    PROBES_MAX = Gauge "sojourner_exporter_probes_limit" NONE,
        "Most probes of /probe that may run at once";
    PROBES_TOTAL = Counter "sojourner_exporter_probes_total" NONE,
        "Probes of /probe that were run to their end";
    PROBES_REJECTED = Counter "sojourner_exporter_probes_rejected_total" NONE,
        "Probes of /probe refused because too many were running";
    CONNECTIONS_REJECTED = Counter "sojourner_exporter_connections_rejected_total" NONE,
        "HTTP connections refused because too many were open";
    MODULE_UNKNOWN = Counter "blackbox_module_unknown_total" NONE,
        "Count of unknown modules requested by probes";
    RELOAD_SUCCESSFUL = Gauge "blackbox_exporter_config_last_reload_successful" NONE,
        "Whether the last configuration (re)load was successful";
    RELOAD_TIME = Gauge "blackbox_exporter_config_last_reload_success_timestamp_seconds" NONE,
        "Timestamp of the last successful configuration reload";
    BUILD_INFO = Gauge "sojourner_exporter_build_info" &["version"],
        "The version of this exporter";
    START_TIME = Gauge "process_start_time_seconds" NONE,
        "Start time of the process since unix epoch in seconds";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once_and_follows_the_conventions() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is there twice");
        for metric in ALL {
            let counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), counter, "{}", metric.name);
            assert!(!metric.help.is_empty(), "{}", metric.name);
            let labels: BTreeSet<_> = metric.labels.iter().collect();
            assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
            assert!(!labels.contains(&"le"), "{}: `le` belongs to histograms", metric.name);
        }
    }

    #[test]
    fn the_manual_lists_every_metric() {
        let manual = include_str!("../../docs/exporter.md");
        for metric in ALL {
            assert!(manual.contains(&format!("`{}", metric.name)), "{} is missing", metric.name);
        }
    }
}
