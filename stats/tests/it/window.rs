//! Laws of windows.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use sojourner_stats::window::{Span, Window};
use sojourner_stats::{Instant, Stamp, WallTime};

fn at(ms: u64) -> Stamp {
    Stamp {
        wall: WallTime::from_unix_nanos(1_000_000_000 + ms as i64 * 1_000_000),
        mono: Instant::from_millis(ms),
    }
}

const RTT: Option<Duration> = Some(Duration::from_millis(5));

#[test]
fn a_gap_stays_a_gap() {
    let mut window = Window::new(Span::Second, 60);
    window.add(at(1_500), RTT);
    window.add(at(9_000), None);
    let cells: Vec<_> = window.cells().map(|cell| (cell.start, cell.sent, cell.lost)).collect();
    assert_eq!(cells, [(at(1_000), 1, 0), (at(9_000), 1, 1)]);
}

#[test]
fn a_late_event_goes_to_its_own_cell_while_there_is_one() {
    let mut window = Window::new(Span::Second, 3);
    for ms in [0, 1_000, 2_000, 3_000] {
        window.add(at(ms), RTT);
    }
    window.add(at(1_999), None);
    window.add(at(999), None); // its cell has gone
    let lost: Vec<_> = window.cells().map(|cell| cell.lost).collect();
    assert_eq!(lost, [1, 0, 0]);
    assert_eq!(window.merged(2).unwrap().sent, 2);
}

#[test]
fn a_window_of_no_cells_stays_empty() {
    let mut window = Window::new(Span::Day, 0);
    window.add(at(5), RTT);
    assert_eq!(window.cells().count(), 0);
}

proptest! {
    #[test]
    fn every_event_is_in_one_cell_or_older_than_the_window(times in vec(0..200_000_u64, 1..200)) {
        let mut window = Window::new(Span::TenSeconds, 6);
        for &ms in &times {
            window.add(at(ms), RTT);
        }
        let cells: Vec<_> = window.cells().collect();
        prop_assert!(cells.len() <= 6);
        prop_assert!(cells.windows(2).all(|pair| pair[0].start.mono < pair[1].start.mono));
        let newest = times.iter().max().unwrap() / 10_000 * 10_000;
        prop_assert_eq!(cells.last().unwrap().start, at(newest));
        for cell in cells {
            let start = cell.start.mono.as_nanos() / 1_000_000;
            prop_assert!(start + 50_000 >= newest);
            let inside = times.iter().filter(|&&ms| ms / 10_000 * 10_000 == start).count();
            // Some may have come after the window had passed them and before it came back: never,
            // for windows only go forward.
            prop_assert!(u64::from(cell.sent) <= inside as u64 && cell.sent > 0);
        }
    }
}
