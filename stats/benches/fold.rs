//! What recording and folding cost beside `hdrhistogram`, in one run: `cargo bench -p
//! sojourner-stats`. It prints nanoseconds an event and the ratios.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hdrhistogram::Histogram;
use sojourner_stats::event::{PingEngine, PingReply, StampSource};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{
    Clock, Distribution, Event, Hub, HubConfig, Instant, Kind, Micros, Origin, Recorded, Source,
    Stamp, Stats, WallTime,
};

const EVENTS: u32 = 200_000;
const TARGETS: u32 = 1_000;
/// Turns of each, the best of which counts: the machine may be busy with something else.
const TURNS: usize = 5;

fn main() {
    let rtts = round_trips();
    let events = events(&rtts);
    let distribution = best(|| {
        let mut distribution = Distribution::new();
        for rtt in &rtts {
            distribution.record(rtt.as_secs_f64());
        }
        black_box(distribution.count());
    });
    let hdr = best(|| {
        let mut hdr = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 2).unwrap();
        for rtt in &rtts {
            hdr.record(u64::try_from(rtt.as_nanos()).unwrap()).unwrap();
        }
        black_box(hdr.len());
    });
    let fold = best(|| {
        let mut stats = Stats::default();
        for event in &events {
            stats.fold(event);
        }
        black_box(stats.snapshot(Stamp::default()).events);
    });
    let hub = best(|| through_hub(&events, HubConfig::default()));
    let folder = tempfile::tempdir().unwrap();
    let mut turn = 0;
    let journal = best(|| {
        turn += 1;
        let path = folder.path().join(format!("{turn}.journal"));
        let mut config = HubConfig::default();
        config.journal = Some(sojourner_stats::journal::JournalConfig::new(path));
        through_hub(&events, config);
    });
    agree(&rtts);
    println!("{EVENTS} echoes of {TARGETS} targets, best of {TURNS} turns, ns an event");
    for (name, ns) in [
        ("hdrhistogram record (2 digits)", hdr),
        ("distribution record", distribution),
        ("fold into all series of a target", fold),
        ("record, hand over, fold, publish", hub),
        ("the same with a journal", journal),
    ] {
        println!("{name:34} {ns:8.1}   {:6.2} x hdrhistogram", ns / hdr);
    }
}

fn through_hub(events: &[Event], config: HubConfig) {
    let hub = Hub::start(config).unwrap();
    let recorder = hub.recorder();
    for event in events {
        while recorder.record(event) == Recorded::Dropped {
            hub.flush();
        }
    }
    black_box(hub.finish().events);
}

/// The best turn, in nanoseconds an event.
fn best(mut work: impl FnMut()) -> f64 {
    let turns = (0..TURNS).map(|_| {
        let start = SystemClock.instant();
        work();
        SystemClock.instant().since(start).as_secs_f64() * 1e9 / f64::from(EVENTS)
    });
    turns.fold(f64::INFINITY, f64::min)
}

/// Both must tell the same story, or the comparison is of nothing.
fn agree(rtts: &[Duration]) {
    let ours: Distribution = rtts.iter().map(Duration::as_secs_f64).collect();
    let mut hdr = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
    for rtt in rtts {
        hdr.record(u64::try_from(rtt.as_nanos()).unwrap()).unwrap();
    }
    for q in [0.5, 0.9, 0.99] {
        let theirs = Duration::from_nanos(hdr.value_at_quantile(q)).as_secs_f64();
        let off = (ours.quantile(q).unwrap() / theirs - 1.0).abs();
        assert!(off <= ours.relative_error() + 0.002, "{q}: off by {off}");
    }
}

/// From 8 ms up, with a long tail; the same in each run.
fn round_trips() -> Vec<Duration> {
    let mut state = 1_u64;
    (0..EVENTS)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let uniform = f64::from(u32::try_from(state >> 40).unwrap() + 1) / f64::from(1 << 24);
            Duration::from_secs_f64(0.008 - 0.004 * uniform.ln())
        })
        .collect()
}

fn events(rtts: &[Duration]) -> Vec<Event> {
    let origins: Vec<_> = (0..TARGETS)
        .map(|target| Origin::new(Source::Ping, format!("host-{target}.example")))
        .collect();
    (0_u32..)
        .zip(rtts)
        .map(|(n, rtt)| {
            let mono = Instant::from_millis(u64::from(n));
            let at = Stamp { wall: WallTime::default(), mono };
            let target = n % TARGETS;
            let reply = PingReply {
                seq: u64::from(n / TARGETS),
                addr: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + target)),
                rtt_us: Micros(*rtt),
                ttl: Some(57),
                size_bytes: 64,
                stamp: StampSource::Kernel,
                engine: PingEngine::KernelDgram,
            };
            let origin = origins[target as usize].clone();
            Event::new(at, origin, Kind::PingReply(reply))
        })
        .collect()
}
