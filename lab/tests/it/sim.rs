use std::time::Duration;

use sojourner_lab::sim::{self, Link};
use sojourner_lab::{Direction, Impairment};
use sojourner_stats::Machine;
use sojourner_stats::time::{Deadline, Instant};

/// Which law the toy breaks.
#[derive(PartialEq)]
enum Breaks {
    None,
    DeadlineAfterNow,
    EarlyTimeoutIsHarmless,
}

/// Sends a beat every second and reports each echo; one message on the way per beat.
struct Beats {
    breaks: Breaks,
    next: Instant,
    beat: u64,
    send: bool,
    heard: Option<u64>,
}

impl Beats {
    fn new(breaks: Breaks) -> Self {
        Self { breaks, next: Instant::from_millis(1_000), beat: 0, send: false, heard: None }
    }
}

impl Machine for Beats {
    type Input = u64;
    type Transmit = u64;
    type Event = u64;

    fn handle_input(&mut self, _: Instant, beat: u64) {
        self.heard = Some(beat);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next || self.breaks == Breaks::EarlyTimeoutIsHarmless {
            self.send = true;
            self.beat += 1;
            if self.breaks != Breaks::DeadlineAfterNow {
                self.next = now + Duration::from_secs(1);
            }
        }
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<u64> {
        std::mem::take(&mut self.send).then_some(self.beat)
    }

    fn poll_event(&mut self) -> Option<u64> {
        self.heard.take()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        Some(Deadline { at: self.next, why: "beat" })
    }
}

/// Runs the toy for 1,000 beats; every beat is echoed.
fn run(breaks: Breaks, link: &mut Link) -> Vec<(Instant, u64)> {
    let end = Instant::from_millis(1_000_500);
    sim::run(&mut Beats::new(breaks), link, end, |_, beat| Some(beat))
}

#[test]
fn on_a_perfect_link_every_beat_is_echoed_in_order_after_both_delays() {
    let delay = Impairment::default().delay(Duration::from_millis(100));
    let mut link =
        Link::new(1).impair(Direction::AtoB, delay.clone()).impair(Direction::BtoA, delay);
    let events = run(Breaks::None, &mut link);
    assert_eq!(events.len(), 1_000);
    for (n, &(at, beat)) in (1..).zip(&events) {
        assert_eq!((at, beat), (Instant::from_millis(n * 1_000 + 200), n));
    }
}

#[test]
fn what_is_not_echoed_is_what_the_link_lost() {
    let lossy = Impairment::default().delay(Duration::from_millis(1)).loss(0.3);
    let mut link = Link::new(2).impair(Direction::BtoA, lossy);
    let events = run(Breaks::None, &mut link);
    let lost = link.lost(Direction::BtoA);
    assert!(lost > 200, "{lost}");
    assert_eq!(events.len() as u64 + lost, 1_000);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let events = |seed| {
        let jitter = Impairment::default().jitter(Duration::from_millis(50)).loss(0.1);
        run(Breaks::None, &mut Link::new(seed).impair(Direction::AtoB, jitter))
    };
    assert_eq!(events(3), events(3));
    assert_ne!(events(3), events(4));
}

#[test]
#[should_panic(expected = "the machine spins")]
fn a_machine_whose_deadline_stays_behind_is_caught() {
    run(Breaks::DeadlineAfterNow, &mut Link::new(5));
}

#[test]
#[should_panic(expected = "an early timeout")]
fn a_machine_that_acts_on_an_early_timeout_is_caught() {
    run(Breaks::EarlyTimeoutIsHarmless, &mut Link::new(6));
}
