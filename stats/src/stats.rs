//! The fold: events in, [`Snapshot`] out. A pure value; the same events give the same snapshot.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::event::{CustomValue, Event, Kind};
use crate::snapshot::{
    CustomView, DnsResult, DnsView, LinkView, PathView, PingView, Snapshot, TargetView, TcpView,
};
use crate::time::{Instant, Stamp};
use crate::window::Span;

/// The bounds of a fold. They are what keeps its memory constant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsConfig {
    /// The most targets; events of others are counted under [`Snapshot::OTHER`]. Default 20,000.
    pub targets_max: usize,
    /// The most samples in each [`PingView::recent`]. Default 600: ten minutes at one a second.
    pub recent_max: usize,
    /// The most cells in each window, the shortest first. Default [`Span::cells_max`].
    pub cells_max: [usize; 5],
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self { targets_max: 20_000, recent_max: 600, cells_max: Span::ALL.map(Span::cells_max) }
    }
}

impl StatsConfig {
    /// Bounds for a fleet of many targets: no samples, and few cells. A target pinged once a second
    /// then takes about 14 KiB; with the defaults it is 16 KiB after a minute, 80 after an hour.
    #[must_use]
    pub fn fleet() -> Self {
        Self { recent_max: 0, cells_max: [0, 6, 10, 0, 0], ..Self::default() }
    }
}

/// Folds events into bounded statistics.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_stats::{*, event::*}};
/// let origin = Origin::new(Source::Ping, "192.0.2.7");
/// let addr = "192.0.2.7".parse().unwrap();
/// let mut stats = Stats::default();
/// stats.fold(&Event::new(Stamp::default(), origin, Kind::PingLost(PingLost { seq: 0, addr })));
/// let snapshot = stats.snapshot(Stamp::default());
/// assert_eq!(snapshot.target("192.0.2.7").unwrap().ping[&addr].lost, 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stats {
    config: StatsConfig,
    targets: BTreeMap<Arc<str>, Arc<TargetView>>,
    events: u64,
    dropped: u64,
    unknown: u64,
    overflowed: u64,
    timeline: Timeline,
}

impl Stats {
    /// Makes an empty fold.
    pub fn new(config: StatsConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes in one event, by its own stamp.
    pub fn fold(&mut self, event: &Event) {
        self.events += 1;
        match &event.kind {
            Kind::Dropped(dropped) => {
                self.dropped = self.dropped.saturating_add(dropped.count);
                return;
            }
            kind if is_beyond_us(kind) => {
                self.unknown += 1;
                return;
            }
            _ => {}
        }
        let at = self.timeline.place(event.at);
        let known = self.targets.contains_key(&event.origin.target);
        let target = if known || self.targets.len() < self.config.targets_max {
            Arc::clone(&event.origin.target)
        } else {
            self.overflowed += 1;
            Snapshot::OTHER.into()
        };
        let view = self
            .targets
            .entry(target)
            .or_insert_with_key(|target| Arc::new(TargetView::new(Arc::clone(target), at)));
        let view = Arc::make_mut(view);
        view.events += 1;
        view.last = at;
        if !view.fold(&self.config, at, &event.kind) {
            self.overflowed += 1;
        }
    }

    /// The picture of everything folded so far, taken at `at`.
    pub fn snapshot(&self, at: Stamp) -> Snapshot {
        Snapshot {
            at,
            targets: self.targets.clone(),
            events: self.events,
            dropped: self.dropped,
            unknown: self.unknown,
            overflowed: self.overflowed,
        }
    }
}

/// Whether this release cannot hold what the event says. A number that is not finite counts too:
/// JSON has no word for it, so a replay would not read it either.
fn is_beyond_us(kind: &Kind) -> bool {
    match kind {
        Kind::Unknown => true,
        Kind::Custom(custom) => match custom.value {
            CustomValue::Count(_) => false,
            CustomValue::Gauge(value) | CustomValue::Sample(value) => !value.is_finite(),
        },
        Kind::Finding(finding) => !finding.confidence.is_finite(),
        Kind::Verdict(verdict) => !verdict.confidence.is_finite(),
        _ => false,
    }
}

impl TargetView {
    /// Returns whether there was room.
    fn fold(&mut self, config: &StatsConfig, at: Stamp, kind: &Kind) -> bool {
        match kind {
            Kind::PingReply(reply) => self.on_ping(config, reply.addr, |ping| {
                ping.on_reply(at, reply.rtt_us.0, reply.ttl);
            }),
            Kind::PingLost(lost) => self.on_ping(config, lost.addr, |ping| ping.on_lost(at)),
            Kind::PingError(error) => self.on_ping(config, error.addr, |ping| ping.on_error(at)),
            Kind::PingDuplicate(d) => self.on_ping(config, d.addr, |ping| ping.duplicates += 1),
            Kind::PingLate(late) => self.on_ping(config, late.addr, |ping| ping.late += 1),
            Kind::PingSendFailed(failed) => {
                self.on_ping(config, failed.addr, |ping| ping.send_failed += 1)
            }
            Kind::HopReply(reply) => self.path(reply.protocol, |path| path.on_reply(reply)),
            Kind::HopSilent(silent) => self.path(silent.protocol, |path| path.on_silent(silent)),
            Kind::TraceRound(round) => self.path(round.protocol, |path| path.on_round(round)),
            Kind::DnsAnswer(answer) => self.on_dns(at, DnsResult::Answer(answer.clone())),
            Kind::DnsFailure(failure) => self.on_dns(at, DnsResult::Failure(failure.clone())),
            Kind::DnsVerdict(verdict) => {
                replace_or_push(&mut self.dns_verdicts, (at, verdict.clone()), |(_, a), (_, b)| {
                    a.server == b.server && a.name == b.name
                })
            }
            Kind::TcpConnect(connect) => {
                slot(&mut self.tcp, connect.addr, || TcpView::new(at, connect.clone()))
                    .map(|tcp| tcp.on_connect(at, connect))
                    .is_some()
            }
            _ => self.fold_rest(at, kind),
        }
    }

    fn fold_rest(&mut self, at: Stamp, kind: &Kind) -> bool {
        match kind {
            Kind::AppReply(reply) => self.app = Some((at, reply.clone())),
            Kind::LocalNetwork(local) => self.local = Some(local.clone()),
            Kind::NetworkChange(change) => {
                if self.changes.len() == ENTRIES_MAX {
                    self.changes.remove(0);
                }
                self.changes.push((at, change.clone()));
            }
            Kind::ConnectProfile(profile) => {
                return self.link(&profile.link, |link| link.on_connect(at, profile));
            }
            Kind::TaskProfile(profile) => {
                return self.link(&profile.link, |link| link.on_task(at, profile));
            }
            Kind::LinkState(state) => {
                return self.link(&state.link, |link| link.on_state(at, state));
            }
            Kind::Heartbeat(beat) => return self.link(&beat.link, |link| link.on_beat(at, beat)),
            Kind::Finding(finding) => {
                if self.pending.len() == ENTRIES_MAX {
                    return false;
                }
                self.pending.push(finding.clone());
            }
            Kind::Verdict(verdict) => {
                self.findings = std::mem::take(&mut self.pending);
                self.verdict = Some((at, verdict.clone()));
            }
            Kind::Custom(custom) => {
                return slot(&mut self.custom, Arc::clone(&custom.key), CustomView::default)
                    .map(|view| view.on_value(at, custom.value))
                    .is_some();
            }
            // Counted by `Stats` itself, before there is a target.
            _ => {}
        }
        true
    }

    fn on_ping(
        &mut self,
        config: &StatsConfig,
        addr: IpAddr,
        change: impl FnOnce(&mut PingView),
    ) -> bool {
        slot(&mut self.ping, addr, || PingView::new(config)).map(change).is_some()
    }

    fn path(
        &mut self,
        protocol: crate::event::TraceProtocol,
        change: impl FnOnce(&mut PathView),
    ) -> bool {
        slot(&mut self.paths, protocol, PathView::default).map(change).is_some()
    }

    fn link(&mut self, name: &Arc<str>, change: impl FnOnce(&mut LinkView)) -> bool {
        slot(&mut self.links, Arc::clone(name), LinkView::default).map(change).is_some()
    }

    fn on_dns(&mut self, at: Stamp, result: DnsResult) -> bool {
        let newer = DnsView::new(at, result);
        let place = self.dns.iter().position(|view| view.asks_the_same_as(&newer));
        if let Some(view) = place.and_then(|place| self.dns.get_mut(place)) {
            view.update(newer);
        } else if self.dns.len() < ENTRIES_MAX {
            let mut view = newer.clone();
            view.update(newer);
            self.dns.push(view);
        } else {
            return false;
        }
        true
    }
}

/// The value of a key, made if there is room for one more.
fn slot<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, make: impl FnOnce() -> V) -> Option<&mut V> {
    if !map.contains_key(&key) && map.len() >= ENTRIES_MAX {
        return None;
    }
    Some(map.entry(key).or_insert_with(make))
}

fn replace_or_push<T>(list: &mut Vec<T>, item: T, same: impl Fn(&T, &T) -> bool) -> bool {
    if let Some(old) = list.iter_mut().find(|old| same(old, &item)) {
        *old = item;
    } else if list.len() < ENTRIES_MAX {
        list.push(item);
    } else {
        return false;
    }
    true
}

/// The monotonic time of a journal that outlives its boot: a recording that was continued after a
/// restart goes on where it stopped, as far later as the wall clock says.
#[derive(Clone, Copy, Debug, Default)]
struct Timeline {
    shift_ns: u64,
    latest: Stamp,
}

impl Timeline {
    fn place(&mut self, at: Stamp) -> Stamp {
        let moved =
            |shift_ns: u64| Instant::from_nanos(at.mono.as_nanos().saturating_add(shift_ns));
        let mut mono = moved(self.shift_ns);
        if self.latest.mono.since(mono).as_secs() >= RESTART_S && at.wall > self.latest.wall {
            let gap_ns = at.wall.as_unix_nanos().saturating_sub(self.latest.wall.as_unix_nanos());
            let now_ns = self.latest.mono.as_nanos().saturating_add(gap_ns.unsigned_abs());
            self.shift_ns = now_ns.saturating_sub(at.mono.as_nanos());
            mono = moved(self.shift_ns);
        }
        let placed = Stamp { wall: at.wall, mono };
        if mono > self.latest.mono {
            self.latest = placed;
        }
        placed
    }
}

/// The most entries of each collection of a target: addresses, servers, links, keys, findings.
/// More are counted as overflowed; a screen or a scrape could not use them either.
const ENTRIES_MAX: usize = 256;

/// An event this much before the latest one is from another boot, not late.
const RESTART_S: u64 = 60;
