use std::net::IpAddr;

use crossterm::event::KeyModifiers;
use sojourner_stats::event::{PingEngine, PingLost, PingReply, Scope, StampSource, Verdict};
use sojourner_stats::{Event, Kind, Micros, Origin, Source, Stats, WallTime};

use super::*;

fn at(ms: u64) -> Stamp {
    let wall = i64::try_from(ms * 1_000_000).unwrap();
    Stamp { wall: WallTime::from_unix_nanos(wall), mono: Instant::from_millis(ms) }
}

fn model(targets: &[&str]) -> Model {
    let targets = targets.iter().map(|target| target.parse().unwrap()).collect();
    Model::new(targets, at(0), Duration::from_secs(1))
}

fn press(model: &mut Model, code: KeyCode) -> Option<Command> {
    model.update(Message::Key(KeyEvent::new(code, KeyModifiers::NONE))).0
}

fn echo(target: &str, ms: u64, rtt_ms: Option<u64>) -> Event {
    let addr: IpAddr = "192.0.2.7".parse().unwrap();
    let kind = match rtt_ms {
        Some(rtt) => Kind::PingReply(PingReply {
            seq: ms,
            addr,
            rtt_us: Micros(Duration::from_millis(rtt)),
            ttl: Some(64),
            size_bytes: 64,
            stamp: StampSource::Kernel,
            engine: PingEngine::KernelDgram,
        }),
        None => Kind::PingLost(PingLost { seq: ms, addr }),
    };
    Event::new(at(ms), Origin::new(Source::Ping, target), kind)
}

fn verdict(target: &str, ms: u64, status: Status, cause: Cause) -> Event {
    let (summary, advice) = (String::from("why"), String::from("mend"));
    let verdict = Verdict { status, cause, scope: Scope::Path, confidence: 0.9, summary, advice };
    Event::new(at(ms), Origin::new(Source::Diagnose, target), Kind::Verdict(verdict))
}

fn show(model: &mut Model, stats: &Stats, ms: u64) {
    model.update(Message::Tick(at(ms)));
    model.update(Message::Snapshot(Arc::new(stats.snapshot(at(ms)))));
}

#[test]
fn q_and_control_c_quit() {
    let mut model = model(&["a"]);
    assert_eq!(press(&mut model, KeyCode::Char('q')), Some(Command::Quit));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(model.update(Message::Key(control_c)).0, Some(Command::Quit));
    assert_eq!(press(&mut model, KeyCode::Char('c')), None);
}

#[test]
fn the_selection_stays_within_the_targets() {
    let mut model = model(&["a", "b", "c"]);
    for (key, selected) in [
        (KeyCode::Up, 0),
        (KeyCode::Char('j'), 1),
        (KeyCode::Down, 2),
        (KeyCode::Down, 2),
        (KeyCode::Home, 0),
        (KeyCode::PageDown, 2),
        (KeyCode::PageUp, 0),
        (KeyCode::End, 2),
    ] {
        press(&mut model, key);
        assert_eq!(model.selected, selected, "{key:?}");
    }
}

#[test]
fn panes_go_round_in_both_directions() {
    let mut model = model(&["a"]);
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.pane, Pane::Findings);
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.pane, Pane::Latency);
    press(&mut model, KeyCode::Char('3'));
    assert_eq!(model.pane, Pane::Dns);
}

#[test]
fn a_held_screen_keeps_its_numbers_until_it_is_released() {
    let mut model = model(&["a"]);
    let mut stats = Stats::default();
    press(&mut model, KeyCode::Char('p'));
    stats.fold(&echo("a", 1_000, Some(10)));
    show(&mut model, &stats, 1_000);
    assert!(model.targets[0].view.is_none());
    press(&mut model, KeyCode::Char('p'));
    show(&mut model, &stats, 1_100);
    assert_eq!(model.targets[0].shown.status, Some(Status::Healthy));
}

#[test]
fn the_verdict_follows_the_evidence_and_remembers_what_it_was() {
    let mut model = model(&["a"]);
    let mut stats = Stats::default();
    for ms in [1_000, 2_000] {
        stats.fold(&echo("a", ms, Some(10)));
    }
    show(&mut model, &stats, 2_000);
    for ms in 3_000..3_020 {
        stats.fold(&echo("a", ms, None));
    }
    show(&mut model, &stats, 4_000);
    let statuses: Vec<Status> = model.targets[0].changes.iter().map(|change| change.1).collect();
    assert_eq!(statuses, [Status::Healthy, Status::Down]);
}

#[test]
fn a_diagnosis_that_began_before_the_evidence_changed_is_not_shown() {
    let mut model = model(&["a"]);
    let mut stats = Stats::default();
    let (command, _) = model.update(Message::Tick(at(100)));
    assert_eq!(command, Some(Command::Diagnose(0)), "the first verdict is wanted at once");
    stats.fold(&echo("a", 1_000, Some(10)));
    show(&mut model, &stats, 1_000);
    stats.fold(&verdict("a", 2_000, Status::Down, Cause::HostUnreachable));
    show(&mut model, &stats, 2_000);
    assert_eq!(
        (model.targets[0].shown.status, model.targets[0].shown.cause),
        (Some(Status::Healthy), None)
    );

    model.update(Message::Diagnosed(0));
    let (command, _) = model.update(Message::Tick(at(2_500)));
    assert_eq!(command, None, "not again at once");
    let due = 2_000 + u64::try_from(DIAGNOSE_EVERY.as_millis()).unwrap();
    assert_eq!(model.update(Message::Tick(at(due))).0, Some(Command::Diagnose(0)));
    stats.fold(&verdict("a", due + 100, Status::Degraded, Cause::PacketLoss));
    show(&mut model, &stats, due + 100);
    assert_eq!(model.targets[0].shown.cause, Some(Cause::PacketLoss));
}

#[test]
fn nothing_new_draws_nothing() {
    let mut model = model(&["a"]);
    let tick = |model: &mut Model, ms| model.update(Message::Tick(at(ms))).1;
    assert_eq!(tick(&mut model, 100), Redraw::Needless);
    assert_eq!(tick(&mut model, 1_100), Redraw::Needed, "the clock shows another second");
}

#[test]
fn notes_are_bounded_and_told_once() {
    let mut model = model(&["a"]);
    for number in 0..50 {
        for _twice in 0..2 {
            model.update(Message::Note(0, format!("reason {number}")));
        }
    }
    model.update(Message::Note(7, "of no target".into()));
    assert_eq!(model.targets[0].notes.len(), NOTES_MAX);
}
