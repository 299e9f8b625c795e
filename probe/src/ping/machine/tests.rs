use std::collections::BTreeMap;
use std::iter;

use proptest::collection::vec;
use proptest::prelude::*;
use sojourner_stats::{Origin, Source};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn addr(n: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(n % 250).unwrap()])
}

fn pinger(targets: usize, count: Option<u64>, interval: Duration, timeout: Duration) -> Pinger {
    let targets = (0..targets).map(|n| {
        let origin = Origin::new(Source::Ping, format!("t{n}"));
        (PingTarget { origin, addr: addr(n) }, PingEngine::KernelDgram)
    });
    Pinger::new(Schedule { count, interval, timeout }, targets, Instant::ZERO)
}

fn sends(pinger: &mut Pinger, now: Instant) -> Vec<Echo> {
    iter::from_fn(|| pinger.poll_transmit(now)).collect()
}

fn events(pinger: &mut Pinger) -> Vec<Kind> {
    iter::from_fn(|| pinger.poll_event()).map(|event| event.kind).collect()
}

fn reply(key: Key) -> PingInput {
    PingInput::Reply {
        key,
        ttl: None,
        size_bytes: 64,
        stamp: StampSource::Kernel,
        seen: Instant::FAR,
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn a_reply_is_timed_from_the_send_stamp_to_the_receive_stamp() {
    let mut pinger = pinger(1, Some(1), 1000 * MS, 2000 * MS);
    let echo = sends(&mut pinger, at(0))[0];
    pinger.handle_input(Instant::from_nanos(70), PingInput::Sent { id: echo.id });
    pinger.handle_input(Instant::from_nanos(100), reply(Key::Id(echo.id)));
    let events = events(&mut pinger);
    assert!(matches!(&events[..], [Kind::PingReply(r)] if r.rtt_us.0 == Duration::from_nanos(30)));
    assert!(pinger.is_done());
}

#[test]
fn a_second_reply_is_a_duplicate_and_one_after_the_loss_is_late() {
    let mut pinger = pinger(2, Some(1), 1000 * MS, 50 * MS);
    let echoes = sends(&mut pinger, at(0));
    pinger.handle_input(at(10), reply(Key::Id(echoes[0].id)));
    pinger.handle_input(at(11), reply(Key::Id(echoes[0].id)));
    pinger.handle_timeout(at(50));
    pinger.handle_input(at(60), reply(Key::Id(echoes[1].id)));
    pinger.handle_input(at(61), reply(Key::Id(echoes[1].id)));
    let kinds = events(&mut pinger);
    assert!(
        matches!(
            &kinds[..],
            [
                Kind::PingReply(_),
                Kind::PingDuplicate(_),
                Kind::PingLost(_),
                Kind::PingLate(_),
                Kind::PingDuplicate(_)
            ]
        ),
        "{kinds:?}"
    );
    let total: u64 = pinger.summaries().iter().map(PingSummary::sent).sum();
    assert_eq!(total, 2);
}

#[test]
fn a_send_failure_is_not_the_networks_loss() {
    let mut pinger = pinger(1, Some(1), 1000 * MS, 50 * MS);
    let echo = sends(&mut pinger, at(0))[0];
    pinger.handle_input(at(0), PingInput::SendFailed { id: echo.id, errno: 101 });
    pinger.handle_timeout(at(1000));
    assert!(matches!(&events(&mut pinger)[..], [Kind::PingSendFailed(_)]));
    let summary = &pinger.summaries()[0];
    assert_eq!((summary.send_failed, summary.lost, summary.sent()), (1, 0, 0));
}

#[test]
fn an_error_that_quotes_only_a_sequence_number_finds_the_newest_echo_to_its_address() {
    let mut pinger = pinger(3, Some(1), 1000 * MS, 50 * MS);
    let echoes = sends(&mut pinger, at(0));
    let key = Key::Partial { addr: addr(1), bits: low_16(echoes[1].id), mask: u16::MAX };
    let error = IcmpUnreachable::Host;
    pinger.handle_input(at(5), PingInput::Error { key, from: None, error });
    let wrong = Key::Partial { addr: addr(1), bits: low_16(echoes[2].id), mask: u16::MAX };
    pinger.handle_input(at(5), PingInput::Error { key: wrong, from: None, error });
    let kinds = events(&mut pinger);
    assert!(matches!(&kinds[..], [Kind::PingError(e)] if e.addr == addr(1)), "{kinds:?}");
}

#[test]
fn more_than_a_sequence_number_holds_may_be_in_flight() {
    let mut pinger = pinger(70_000, Some(1), 1000 * MS, 5000 * MS);
    let echoes: Vec<_> = (0..=1000).flat_map(|ms| sends(&mut pinger, at(ms))).collect();
    assert_eq!(echoes.len(), 70_000);
    for echo in echoes {
        pinger.handle_input(at(1001), reply(Key::Id(echo.id)));
    }
    assert!(pinger.summaries().iter().all(|summary| summary.replies == 1));
}

#[test]
fn at_the_bound_sending_waits_and_nothing_is_forgotten_in_flight() {
    let mut pinger = pinger(1, None, MS, Duration::from_hours(1));
    let mut sent = 0;
    for ms in 0..RECORDS_MAX as u64 + 10 {
        sent += sends(&mut pinger, at(ms)).len();
    }
    assert_eq!(sent, RECORDS_MAX);
    assert_eq!(pinger.poll_timeout().unwrap().why, "echo lost");
    pinger.handle_input(at(300_000), reply(Key::Id(0)));
    assert_eq!(sends(&mut pinger, at(300_000)).len(), 1, "one ended, one may go");
}

#[test]
fn a_sleep_of_an_hour_owes_no_burst_and_keeps_the_phase() {
    let mut pinger = pinger(64, None, 1000 * MS, 50 * MS);
    assert_eq!(sends(&mut pinger, at(0)).len(), 32, "the first group");
    assert_eq!(sends(&mut pinger, at(500)).len(), 32, "the second, half an interval later");
    let woke = at(3_600_700);
    assert_eq!(sends(&mut pinger, woke).len(), 64, "one echo a target");
    assert_eq!(sends(&mut pinger, at(3_601_000)).len(), 32, "spread as before");
    assert_eq!(sends(&mut pinger, at(3_601_500)).len(), 32);
}

#[test]
fn a_stamp_from_before_the_send_is_replaced_by_the_drivers_own() {
    let mut pinger = pinger(1, Some(1), 1000 * MS, 50 * MS);
    let echo = sends(&mut pinger, at(10))[0];
    let stepped = PingInput::Reply {
        key: Key::Id(echo.id),
        ttl: None,
        size_bytes: 64,
        stamp: StampSource::Kernel,
        seen: at(12),
    };
    pinger.handle_input(at(3), stepped);
    let events = events(&mut pinger);
    assert!(
        matches!(&events[..], [Kind::PingReply(r)] if r.rtt_us.0 == 2 * MS && r.stamp == StampSource::User)
    );
}

#[derive(Clone, Debug)]
enum Step {
    Reply(usize),
    Error(usize),
    Fail(usize),
    Stray(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_usize).prop_map(Step::Reply),
        1 => (0..400_usize).prop_map(Step::Error),
        1 => (0..400_usize).prop_map(Step::Fail),
        1 => any::<u64>().prop_map(Step::Stray),
        4 => (0..40_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Each echo ends exactly once, nothing spins, and no loss is slept past.
    #[test]
    fn every_echo_ends_exactly_once(
        targets in 1..70_usize,
        interval_ms in 1..60_u64,
        timeout_ms in 1..200_u64,
        steps in vec(step(), 1..300),
    ) {
        let timeout = Duration::from_millis(timeout_ms);
        let mut pinger = pinger(targets, Some(20), Duration::from_millis(interval_ms), timeout);
        let (mut now, mut all, mut open) = (Instant::ZERO, Vec::new(), BTreeMap::new());
        for step in steps {
            let id = |n: usize| all.get(n).map_or(u64::MAX, |echo: &Echo| echo.id);
            match step {
                Step::Wait(ms) => now = now + Duration::from_millis(ms),
                Step::Reply(n) => pinger.handle_input(now, reply(Key::Id(id(n)))),
                Step::Error(n) => pinger.handle_input(now, PingInput::Error {
                    key: Key::Id(id(n)), from: None, error: IcmpUnreachable::Host,
                }),
                Step::Fail(n) => pinger.handle_input(now, PingInput::SendFailed { id: id(n), errno: 1 }),
                Step::Stray(id) => pinger.handle_input(now, reply(Key::Id(id))),
            }
            pinger.handle_timeout(now);
            for echo in sends(&mut pinger, now) {
                let seq = all.iter().filter(|e: &&Echo| e.target == echo.target).count() as u64;
                open.insert((echo.target, seq), now);
                all.push(echo);
            }
            while let Some(event) = pinger.poll_event() {
                let seq = match event.kind {
                    Kind::PingReply(e) => e.seq,
                    Kind::PingLost(e) => e.seq,
                    Kind::PingError(e) => e.seq,
                    Kind::PingSendFailed(e) => e.seq,
                    _ => continue,
                };
                prop_assert!(open.remove(&(event.target, seq)).is_some(), "{seq} ended twice");
            }
            let due = pinger.poll_timeout().map(|due| due.at);
            prop_assert!(due.is_none_or(|due| due > now), "spins at {now:?}");
            prop_assert!(open.values().all(|&at| due.is_some_and(|due| due <= at + timeout)));
            prop_assert_eq!(open.len(), pinger.open);
        }
    }
}
