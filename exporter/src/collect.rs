//! From a snapshot to a page: the continuous pings as `smokeping_*` and `sojourner_ping_*`.

use std::net::IpAddr;

use sojourner_stats::Distribution;
use sojourner_stats::snapshot::{PingView, Snapshot};

use crate::config::{Config, TargetGroup};
use crate::names;
use crate::page::{ClassicHistogram, ExtraLabel, Page, as_number};

/// Puts every target that is configured and was measured on the page.
pub fn pings(config: &Config, snapshot: &Snapshot, page: &mut Page) {
    for group in &config.targets {
        for host in &group.hosts {
            let Some(view) = snapshot.target(host) else { continue };
            for (addr, ping) in &view.ping {
                if group.network.is_none_or(|family| family.has(*addr)) {
                    one_address(group, host, *addr, ping, page);
                }
            }
        }
    }
}

fn one_address(group: &TargetGroup, host: &str, addr: IpAddr, ping: &PingView, page: &mut Page) {
    let ip = addr.to_string();
    let source = group.source.map(|source| source.to_string()).unwrap_or_default();
    let labels = [ip.as_str(), host, source.as_str(), TOS];
    let extra: Vec<ExtraLabel<'_>> =
        group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    for (metric, count) in [
        (&names::SMOKEPING_REQUESTS, ping.sent()),
        (&names::SMOKEPING_DUPLICATES, ping.duplicates),
        (&names::SMOKEPING_SEND_ERRORS, ping.send_failed),
        (&names::PING_LOST, ping.lost),
        (&names::PING_ERRORS, ping.errors),
        (&names::PING_LATE, ping.late),
    ] {
        page.number_with(metric, &labels, &extra, as_number(count));
    }
    let histogram = classic(&ping.rtt);
    page.histogram_with(&names::SMOKEPING_DURATION, &labels, &extra, histogram);
    // Not measured yet: no sample at all. A 0 would read as "instant".
    for (metric, seconds) in [
        (&names::PING_LAST_RTT, ping.last_rtt),
        (&names::PING_SRTT, ping.srtt),
        (&names::PING_JITTER, ping.jitter),
    ] {
        if let Some(seconds) = seconds {
            page.number_with(metric, &labels, &extra, seconds.as_secs_f64());
        }
    }
    if let Some(ttl) = ping.ttl {
        page.number_with(&names::SMOKEPING_TTL, &labels, &extra, f64::from(ttl));
    }
}

/// The distribution in `smokeping_prober`'s default buckets. Count and sum are exact; a bound cuts
/// one of the distribution's own buckets, whose samples are counted in proportion, so a bucket is
/// off by at most the samples within [`Distribution::relative_error`] of its bound.
fn classic(rtt: &Distribution) -> ClassicHistogram {
    let buckets = bounds().map(|bound| (bound, rtt.count_below(bound))).collect();
    ClassicHistogram { buckets, sum: rtt.sum(), count: rtt.count() }
}

/// `smokeping_prober`'s default buckets: 20 from 50 microseconds, doubling.
fn bounds() -> impl Iterator<Item = f64> {
    std::iter::successors(Some(5e-5), |bound| Some(bound * 2.0)).take(20)
}

/// The type of service that pings are sent with.
const TOS: &str = "0";

#[cfg(test)]
#[path = "collect/tests.rs"]
mod tests;
