//! CPU time of an echo: our engine, a bare send-and-receive loop, and fping where it is installed,
//! turn by turn over loopback. Prints the ratios: a busy machine slows all alike.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use socket2::{Domain, Protocol, Socket, Type};
use sojourner_probe::ping::{self, PingConfig, PingTarget};
use sojourner_stats::sink::Discard;
use sojourner_stats::{Origin, Source};
use tokio_util::sync::CancellationToken;

/// As many as one fleet dashboard shows.
const TARGETS: u16 = 1_000;
const ROUNDS: u16 = 10;
/// Short, so that the bench ends in seconds; the wake-ups of a pace are in every figure alike.
const INTERVAL: Duration = Duration::from_millis(200);
const TURNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut figures: [Vec<f64>; 3] = Default::default();
    for _ in 0..TURNS {
        figures[0].push(ours()?);
        if let Some(us) = bare_loop()? {
            figures[1].push(us);
        }
        if let Some(us) = fping()? {
            figures[2].push(us);
        }
    }
    let [ours, bare, peer] = figures.map(median);
    let ours = ours.ok_or("our engine gave no figure")?;
    println!("CPU of an echo, {TARGETS} targets, {ROUNDS} rounds, median of {TURNS} turns");
    println!("ours        {ours:6.2} us");
    for (name, figure) in [("bare loop", bare), ("fping -i 0", peer)] {
        match figure {
            Some(us) => println!("{name:<11} {us:6.2} us   ours / {name}: {:.2}", ours / us),
            None => println!("{name:<11} skipped: not installed, or not permitted"),
        }
    }
    Ok(())
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

fn addrs() -> impl Iterator<Item = Ipv4Addr> {
    (0..TARGETS).map(|n| {
        let [high, low] = n.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    })
}

/// Microseconds of CPU an echo between two readings.
fn per_echo(before: &Usage, after: &Usage) -> f64 {
    let cpu = |usage: &Usage| (usage.user_time() + usage.system_time()).num_microseconds();
    (cpu(after) - cpu(before)) as f64 / (f64::from(TARGETS) * f64::from(ROUNDS))
}

fn ours() -> Result<f64, Box<dyn Error>> {
    let targets = addrs()
        .map(|addr| PingTarget {
            origin: Origin::new(Source::Ping, addr.to_string()),
            addr: IpAddr::V4(addr),
        })
        .collect();
    let mut config = PingConfig::new(targets);
    config.count = Some(ROUNDS.into());
    config.interval = INTERVAL;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = getrusage(UsageWho::RUSAGE_SELF)?;
    let report = runtime.block_on(ping::run(&config, &Discard, &CancellationToken::new()))?;
    let after = getrusage(UsageWho::RUSAGE_SELF)?;
    let replies: u64 = report.targets.iter().map(|target| target.replies).sum();
    assert_eq!(replies, u64::from(TARGETS) * u64::from(ROUNDS), "fast and wrong");
    Ok(per_echo(&before, &after))
}

/// Each target's echo is sent and its reply read at once: no schedule, no state, no stamps.
fn bare_loop() -> Result<Option<f64>, Box<dyn Error>> {
    let open = |kind| Socket::new(Domain::IPV4, kind, Some(Protocol::ICMPV4));
    let Ok(socket) = open(Type::DGRAM) else { return Ok(None) };
    socket.set_nonblocking(true)?;
    let socket: std::net::UdpSocket = socket.into();
    let mut buffer = [0; 256];
    let before = getrusage(UsageWho::RUSAGE_SELF)?;
    let mut replies = 0_u32;
    for round in 0..ROUNDS {
        let mut echo = [0_u8; 64];
        echo[0] = 8;
        echo[6..8].copy_from_slice(&round.to_be_bytes());
        for addr in addrs() {
            socket.send_to(&echo, SocketAddr::from((addr, 0)))?;
            match socket.recv_from(&mut buffer) {
                Ok(_) => replies += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let after = getrusage(UsageWho::RUSAGE_SELF)?;
    assert!(replies > 0, "loopback answers at once");
    Ok(Some(per_echo(&before, &after)))
}

fn fping() -> Result<Option<f64>, Box<dyn Error>> {
    let interval_ms = INTERVAL.as_millis().to_string();
    let rounds = ROUNDS.to_string();
    let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let child = Command::new("fping")
        .args(["-q", "-i", "0", "-c", &rounds, "-p", &interval_ms, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return Ok(None) };
    let mut stdin = child.stdin.take().ok_or("fping has no standard input")?;
    for addr in addrs() {
        writeln!(stdin, "{addr}")?;
    }
    drop(stdin);
    let answered = child.wait()?.success();
    let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(answered.then(|| per_echo(&before, &after)))
}
