//! `kill -9` in the middle of recording, twenty times.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use sojourner_stats::event::{Custom, CustomValue};
use sojourner_stats::journal::{JournalConfig, replay};
use sojourner_stats::{Hub, HubConfig, Kind, Recorded};

use crate::fold::event;

const JOURNAL: &str = "SOJOURNER_TEST_KILL_JOURNAL";
const RUN: &str = "SOJOURNER_TEST_KILL_RUN";

fn config(path: &Path) -> JournalConfig {
    let mut config = JournalConfig::new(path);
    config.segment_bytes_max = 16 << 10; // so that kills fall into rotations too
    config
}

/// Not a test of its own: the process that is killed. It acknowledges each event on stdout.
#[test]
fn child_that_records_until_it_is_killed() {
    let (Some(path), Ok(run)) = (std::env::var_os(JOURNAL), std::env::var(RUN)) else { return };
    let mut hub = HubConfig::default();
    hub.journal = Some(config(Path::new(&path)));
    let hub = Hub::start(hub).unwrap();
    let recorder = hub.recorder();
    let mut out = std::io::stdout();
    for n in 0.. {
        // Targets of different lengths, so that staging fills up at different places.
        let target = "x".repeat(n as usize % 1_500);
        let custom = Custom { key: run.as_str().into(), value: CustomValue::Count(n) };
        match recorder.record(&event(n, &target, Kind::Custom(custom))) {
            Recorded::Kept => out.write_all(format!("kept {n}\n").as_bytes()).unwrap(),
            Recorded::Dropped => assert_eq!(hub.journal_error().map(|e| e.to_string()), None),
        }
        out.flush().unwrap();
    }
}

/// Kills a recording process after it acknowledged about `wanted` events, and returns the number
/// of the last one it acknowledged.
fn killed_run(path: &Path, run: u64, wanted: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_records_until_it_is_killed", "--nocapture"])
        .env(JOURNAL, path)
        .env(RUN, run.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 512]);
    // The test harness prints lines of its own, and begins the first of ours.
    while String::from_utf8_lossy(&seen).matches("kept ").count() <= wanted {
        let n = out.read(&mut buffer).unwrap();
        assert!(n > 0, "the child ended by itself: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..n]);
    }
    child.kill().unwrap(); // SIGKILL
    out.read_to_end(&mut seen).unwrap();
    child.wait().unwrap();
    let text = String::from_utf8(seen).unwrap();
    let whole = text.rsplit_once('\n').unwrap().0;
    let last = whole.lines().rev().find_map(|line| line.rsplit_once("kept "));
    last.unwrap().1.parse().unwrap()
}

#[test]
fn every_event_acknowledged_before_a_kill_is_replayed_and_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.journal");
    let mut acknowledged = BTreeMap::new();
    for run in 0..20_u64 {
        // Spread over a few fills of the staging area; where the kill really falls is the
        // scheduler's choice.
        let wanted = 1 + (run * 7_919 % 601) as usize;
        acknowledged.insert(run.to_string(), killed_run(&path, run, wanted));

        let mut replayed: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for event in replay(&path).unwrap() {
            if let Kind::Custom(Custom { key, value: CustomValue::Count(n) }) = event.unwrap().kind
            {
                replayed.entry(key.to_string()).or_default().push(n);
            }
        }
        for (run, last) in &acknowledged {
            let numbers = &replayed[run];
            let expected: Vec<_> = (0..numbers.len() as u64).collect();
            assert_eq!(numbers, &expected, "run {run}: in order, none missing, none twice");
            assert!(numbers.last() >= Some(last), "run {run}: {last} was acknowledged");
        }
    }
}
