//! `watch --journal`: what was printed is kept, whatever happens to the process.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use sojourner_stats::{Event, journal};

use crate::{run, sojourner, stdout};

/// The printed events of one run that was killed in the middle of its work.
fn watch_and_kill(path: &Path, lines: usize) -> Vec<String> {
    let mut child = sojourner()
        .args(["watch", "127.0.0.1", "--json", "-i", "1ms", "--journal"])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _line in 0..lines {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "it ended by itself: {text}");
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    reader.read_to_string(&mut text).unwrap();
    // A line without its end was not printed yet.
    let printed = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    printed.map(canonical).collect()
}

fn canonical(line: &str) -> String {
    let event: Event = serde_json::from_str(line).expect("an event a line");
    serde_json::to_string(&event).unwrap()
}

#[test]
fn what_was_printed_before_a_kill_is_replayed_and_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sjl");
    let mut printed = BTreeSet::new();
    for kill in 0..20 {
        let lines = watch_and_kill(&path, 5 + 13 * kill);
        let all = printed.len() + lines.len();
        printed.extend(lines);
        assert_eq!(printed.len(), all, "kill {kill}: an event was printed twice");
        let mut replayed = BTreeSet::new();
        for event in journal::replay(&path).unwrap() {
            let event = serde_json::to_string(&event.unwrap()).unwrap();
            assert!(replayed.insert(event.clone()), "kill {kill}: replayed twice: {event}");
        }
        let lost: Vec<&String> = printed.difference(&replayed).collect();
        assert!(lost.is_empty(), "kill {kill}: printed and not replayed: {lost:?}");
    }
}

#[test]
fn a_replay_holds_what_was_watched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sjl");
    let file = path.to_str().unwrap();
    let watched = run(&["watch", "127.0.0.1", "-c", "5", "-i", "10ms", "--journal", file]);
    assert_eq!(watched.status.code(), Some(0));
    let output = run(&["replay", file, "--json"]);
    let replay: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(replay["schema"], "sojourner.replay/1");
    assert_eq!(replay["targets"]["127.0.0.1"]["ping"]["127.0.0.1"]["replies"], 5, "{replay}");
    let plain = run(&["replay", file]);
    assert!(stdout(&plain).contains("5 sent, 0% lost"), "{}", stdout(&plain));
    assert_eq!(plain.status.code(), Some(0));
}
