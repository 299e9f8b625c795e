//! How much a weak link carries, and how well it keeps a delay: `cargo bench -p sojourner-lab`.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::time::Duration;
use std::{fs, thread};

use sojourner_lab::{Direction, Impairment, Lab, isolated};
use sojourner_stats::time::{Clock as _, SystemClock};

/// Where the run inside the namespaces leaves its figures for the one outside to print.
const FIGURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/weak_link.txt");
const PACKETS: usize = 100_000;
/// Packets under way at once: well below what any queue holds.
const WINDOW: usize = 64;
const DELAYED: usize = 500;
const DELAY: Duration = Duration::from_millis(10);

#[expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
fn main() {
    let _ = fs::remove_file(FIGURES); // of an earlier run
    // `isolated` runs the thread of this name again, inside.
    let inside = || isolated(|lab| fs::write(FIGURES, measure(lab)).expect("write the figures"));
    let bench = thread::Builder::new().name("weak_link".to_owned()).spawn(inside);
    bench.expect("start a thread").join().expect("measure");
    if std::env::var_os("SOJOURNER_LAB").is_none()
        && let Ok(figures) = fs::read_to_string(FIGURES)
    {
        println!("{figures}");
    }
}

fn measure(lab: &Lab) -> String {
    let clock = SystemClock;
    let (a, b) = (lab.host("a"), lab.host("b"));
    let weak = lab.weak_link(&a, &b);
    let there = b.run(|| UdpSocket::bind("0.0.0.0:7")).expect("bind");
    let here = a.run(|| UdpSocket::bind("0.0.0.0:0")).expect("bind");
    here.connect((weak.link.b.v4(), 7)).expect("connect");
    let mut buffer = [0; 256];
    let packet = [0; 172]; // 200 bytes of IP

    let start = clock.instant();
    for _ in 0..PACKETS / WINDOW {
        for _ in 0..WINDOW {
            here.send(&packet).expect("send");
        }
        for _ in 0..WINDOW {
            there.recv(&mut buffer).expect("receive");
        }
    }
    let took = clock.instant().since(start);
    let carried = u32::try_from(PACKETS / WINDOW * WINDOW).expect("fits");

    weak.set(Direction::AtoB, Impairment::default().delay(DELAY));
    let mut errors = Vec::new();
    for _ in 0..DELAYED {
        let sent = clock.instant();
        here.send(&packet).expect("send");
        there.recv(&mut buffer).expect("receive");
        errors.push(clock.instant().since(sent).saturating_sub(DELAY));
    }
    errors.sort_unstable();
    let mut text = String::new();
    let rate = f64::from(carried) / took.as_secs_f64();
    let _ = writeln!(text, "carried: {rate:.0} packets/s of 200 bytes, {WINDOW} under way");
    let (median, p99) = (errors[DELAYED / 2], errors[DELAYED * 99 / 100]);
    let _ = write!(text, "late at {DELAY:?}: median {median:?}, p99 {p99:?}, {DELAYED} packets");
    text
}
