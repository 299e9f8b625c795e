use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn families_take_turns_beginning_with_the_preferred_one() {
    let order = interleave(&[v4(1), v4(2), v4(1), v6(1), v4(3)]);
    assert_eq!(order, [v4(1), v6(1), v4(2), v4(3)]);
    assert_eq!(interleave(&[]), []);
}

#[test]
fn the_second_address_waits_for_its_delay_and_no_longer() {
    let mut race = Race::new(config(), &[v4(1), v4(2)], at(0));
    assert_eq!(steps(&mut race, 0), [dial(0, v4(1))]);
    assert_eq!(race.poll_timeout().unwrap().at, at(250));
    assert_eq!(steps(&mut race, 249), []);
    assert_eq!(steps(&mut race, 250), [dial(1, v4(2))]);
}

#[test]
fn a_failure_lets_the_next_address_start_at_once() {
    let mut race = Race::new(config(), &[v4(1), v4(2)], at(0));
    steps(&mut race, 0);
    race.handle_input(at(10), failed(0, TcpOutcome::Refused));
    assert_eq!(steps(&mut race, 10), [dial(1, v4(2))]);
    assert_eq!(ended(&mut race), [(0, TcpOutcome::Refused, 10, false)]);
}

#[test]
fn the_first_to_connect_wins_and_the_others_are_cancelled() {
    let mut race = Race::new(config(), &[v4(1), v4(2), v4(3)], at(0));
    steps(&mut race, 0);
    steps(&mut race, 250);
    race.handle_input(at(300), RaceInput::Connected { attempt: 1 });
    assert_eq!(steps(&mut race, 300), [RaceStep::HangUp { attempt: 0 }]);
    let wanted = [(1, TcpOutcome::Connected, 50, true), (0, TcpOutcome::Cancelled, 300, false)];
    assert_eq!(ended(&mut race), wanted);
    assert!(race.is_finished());
    race.handle_input(at(301), RaceInput::Connected { attempt: 0 });
    assert_eq!(race.poll_event(), None, "a second winner came too late");
}

#[test]
fn silence_ends_each_attempt_and_then_the_race() {
    let config = RaceConfig { overall_timeout: ms(400), attempt_timeout: ms(300), ..config() };
    let mut race = Race::new(config, &[v4(1), v4(2), v4(3), v4(4)], at(0));
    for now in [0, 250, 300, 400] {
        steps(&mut race, now);
    }
    let mut events = std::iter::from_fn(|| race.poll_event()).collect::<Vec<_>>();
    let last = events.pop();
    assert_eq!(events.len(), 3, "attempts 0 to 2: {events:?}");
    assert_eq!(last, Some(RaceEvent::Finished { winner: None, untried: vec![v4(4)] }));
}

#[test]
fn each_goes_on_after_the_winner_and_keeps_the_others() {
    let config = RaceConfig { goal: RaceGoal::Each, ..config() };
    let mut race = Race::new(config, &[v4(1), v4(2)], at(0));
    steps(&mut race, 0);
    race.handle_input(at(5), RaceInput::Connected { attempt: 0 });
    assert_eq!(steps(&mut race, 250), [dial(1, v4(2))]);
    race.handle_input(at(255), RaceInput::Connected { attempt: 1 });
    let wanted = [(0, TcpOutcome::Connected, 5, true), (1, TcpOutcome::Connected, 5, false)];
    assert_eq!(ended(&mut race), wanted);
    assert!(race.is_finished());
}

#[test]
fn a_race_to_nowhere_is_over_at_once() {
    let mut race = Race::new(config(), &[], at(0));
    assert_eq!(race.poll_event(), Some(RaceEvent::Finished { winner: None, untried: vec![] }));
    assert_eq!(race.poll_timeout(), None);
}

#[test]
fn giving_up_ends_what_is_open_and_names_what_was_not_tried() {
    let mut race = Race::new(config(), &[v4(1), v4(2)], at(0));
    steps(&mut race, 0);
    race.handle_input(at(7), RaceInput::Cancel);
    assert_eq!(steps(&mut race, 7), [RaceStep::HangUp { attempt: 0 }]);
    let events = std::iter::from_fn(|| race.poll_event()).collect::<Vec<_>>();
    assert!(matches!(&events[..], [
        RaceEvent::AttemptEnded { outcome: TcpOutcome::Cancelled, won: false, .. },
        RaceEvent::Finished { winner: None, untried },
    ] if untried[..] == [v4(2)]));
}

#[test]
fn more_addresses_than_the_bound_are_dropped() {
    let many = (0..200).map(v4).collect::<Vec<_>>();
    let config = RaceConfig { parallel_max: 1_000, attempt_delay: ms(0), ..config() };
    let mut race = Race::new(config, &many, at(0));
    assert_eq!(steps(&mut race, 0).len(), ADDRS_MAX);
}

/// What a script does after letting time pass.
#[derive(Clone, Debug)]
enum Act {
    Wait,
    Connected(u32),
    Failed(u32),
    Cancel,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Wait),
        1 => (0..12_u32).prop_map(Act::Connected),
        4 => (0..12_u32).prop_map(Act::Failed),
        1 => Just(Act::Cancel),
    ]
}

proptest! {
    /// Whatever happens: each dialled attempt ends exactly once, in dial order starts, the bound
    /// on open attempts holds, and the machine neither spins nor sleeps past a deadline.
    #[test]
    fn every_attempt_ends_exactly_once(
        (v4s, v6s) in (0..6_u16, 0..6_u16),
        parallel_max in 0..5_usize,
        each in any::<bool>(),
        delay_ms in 0..400_u64,
        script in vec((0..300_u64, act()), 0..60),
    ) {
        let addrs: Vec<_> = (0..v4s).map(v4).chain((0..v6s).map(v6)).collect();
        let goal = if each { RaceGoal::Each } else { RaceGoal::First };
        let config = RaceConfig { parallel_max, goal, attempt_delay: ms(delay_ms), ..config() };
        let cap = parallel_max.max(1);
        let mut race = Race::new(config, &addrs, at(0));
        let mut twin = race_twin(&race, &addrs);
        let (mut open, mut ends) = (BTreeSet::new(), BTreeMap::new());
        let (mut dialled, mut finished, mut now) = (Vec::new(), None, 0);
        // After the script, time alone must end it.
        let tail = std::iter::repeat_n((2_500, Act::Wait), 40);
        for (wait_ms, act) in script.into_iter().chain(tail) {
            now += wait_ms;
            for race in [&mut race, &mut twin] {
                match act {
                    Act::Wait => {}
                    Act::Connected(attempt) => {
                        race.handle_input(at(now), RaceInput::Connected { attempt });
                    }
                    Act::Failed(attempt) => {
                        race.handle_input(at(now), failed(attempt, TcpOutcome::Refused));
                    }
                    Act::Cancel => race.handle_input(at(now), RaceInput::Cancel),
                }
                race.handle_timeout(at(now));
            }
            while let Some(step) = race.poll_transmit(at(now)) {
                prop_assert_eq!(Some(step), twin.poll_transmit(at(now)), "same in, same out");
                if let RaceStep::Dial { attempt, addr } = step {
                    prop_assert!(finished.is_none(), "dialled after the end");
                    open.insert(attempt);
                    dialled.push(addr);
                }
            }
            while let Some(event) = race.poll_event() {
                prop_assert_eq!(Some(event.clone()), twin.poll_event());
                prop_assert!(finished.is_none(), "{:?} after the end", event);
                match event {
                    RaceEvent::AttemptEnded { attempt, outcome, won, .. } => {
                        prop_assert!(ends.insert(attempt, (outcome, won)).is_none());
                        prop_assert!(open.remove(&attempt), "{} was not open", attempt);
                    }
                    RaceEvent::Finished { winner, untried } => finished = Some((winner, untried)),
                }
            }
            prop_assert!(open.len() <= cap, "{} open", open.len());
            prop_assert!(race.poll_timeout().is_none_or(|due| due.at > at(now)), "it spins");
            // Early and backwards calls are harmless.
            let before = format!("{race:?}");
            race.handle_timeout(at(now.saturating_sub(1_000)));
            prop_assert_eq!(before, format!("{race:?}"));
        }
        let Some((winner, untried)) = finished else {
            return Err(TestCaseError::fail("the race never ended"));
        };
        prop_assert!(open.is_empty(), "left open: {open:?}");
        prop_assert_eq!(race.poll_timeout(), None);
        dialled.extend(untried);
        prop_assert_eq!(dialled, interleave(&addrs), "each address once, in order");
        let winners: Vec<_> = ends.iter().filter(|(_, end)| end.1).map(|(n, _)| *n).collect();
        prop_assert_eq!(winners, winner.into_iter().collect::<Vec<_>>());
    }
}

/// A second race that is told the same, to see that nothing but the inputs decides.
fn race_twin(race: &Race, addrs: &[SocketAddr]) -> Race {
    Race::new(race.config.clone(), addrs, at(0))
}

fn config() -> RaceConfig {
    RaceConfig::default()
}

fn steps(race: &mut Race, now_ms: u64) -> Vec<RaceStep> {
    race.handle_timeout(at(now_ms));
    std::iter::from_fn(|| race.poll_transmit(at(now_ms))).collect()
}

fn ended(race: &mut Race) -> Vec<(u32, TcpOutcome, u64, bool)> {
    let told = std::iter::from_fn(|| race.poll_event());
    told.filter_map(|event| match event {
        RaceEvent::AttemptEnded { attempt, outcome, elapsed, won, .. } => {
            Some((attempt, outcome, u64::try_from(elapsed.as_millis()).unwrap(), won))
        }
        RaceEvent::Finished { .. } => None,
    })
    .collect()
}

fn dial(attempt: u32, addr: SocketAddr) -> RaceStep {
    RaceStep::Dial { attempt, addr }
}

fn failed(attempt: u32, outcome: TcpOutcome) -> RaceInput {
    RaceInput::Failed { attempt, outcome }
}

fn v4(n: u16) -> SocketAddr {
    format!("192.0.2.1:{}", n + 1).parse().unwrap()
}

fn v6(n: u16) -> SocketAddr {
    format!("[2001:db8::1]:{}", n + 1).parse().unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
