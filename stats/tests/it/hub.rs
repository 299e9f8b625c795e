//! The hub, its thread and its recorders.

use std::sync::Arc;
use std::time::Duration;

use sojourner_stats::{Hub, HubConfig, Recorded, Stats};

use crate::fold::{at, event, reply};

const RTT: Duration = Duration::from_millis(3);

#[test]
fn a_flush_shows_everything_recorded_before_it() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let recorder = hub.recorder();
    for n in 1..=50 {
        assert_eq!(recorder.record(&event(n, "t", reply(n, RTT))), Recorded::Kept);
        assert_eq!(hub.flush().events, n);
    }
}

#[test]
fn recorders_of_many_threads_lose_nothing_and_the_fold_equals_one_by_hand() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let recorder = hub.recorder();
            scope.spawn(move || {
                let target = format!("t{thread}");
                for n in 0..2_000 {
                    let kept = recorder.record(&event(n, &target, reply(n, RTT)));
                    assert_eq!(kept, Recorded::Kept);
                }
            });
        }
    });
    let snapshot = hub.finish();
    assert_eq!((snapshot.events, snapshot.dropped), (8_000, 0));
    let mut stats = Stats::default();
    for n in 0..2_000 {
        stats.fold(&event(n, "t2", reply(n, RTT)));
    }
    assert_eq!(snapshot.target("t2"), stats.snapshot(at(0)).target("t2"));
}

#[test]
fn a_target_that_did_not_change_is_shared_between_snapshots() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let recorder = hub.recorder();
    let _ = recorder.record(&event(0, "still", reply(0, RTT)));
    let _ = recorder.record(&event(0, "busy", reply(0, RTT)));
    let before = hub.flush();
    let _ = recorder.record(&event(1, "busy", reply(1, RTT)));
    let after = hub.flush();
    assert!(Arc::ptr_eq(&before.targets["still"], &after.targets["still"]));
    assert_ne!(before.targets["busy"], after.targets["busy"]);
}

#[test]
fn snapshots_appear_without_a_flush() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let _ = hub.recorder().record(&event(0, "t", reply(0, RTT)));
    while hub.snapshot().events == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_recorder_that_outlives_its_hub_drops_what_it_is_given() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let recorder = hub.recorder();
    let snapshot = hub.finish();
    assert_eq!(recorder.record(&event(0, "t", reply(0, RTT))), Recorded::Dropped);
    assert_eq!(snapshot.events, 0);
}
