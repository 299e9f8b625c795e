//! Bad input: a message that says what, where and how to mend it, and exit code 2.

use std::fmt::Write as _;
use std::fs;

use crate::{run, stderr, stdout};

fn refused(args: &[&str], words: &[&str]) {
    let output = run(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?} printed results: {}", stdout(&output));
    for word in words {
        assert!(text.contains(word), "{args:?}: {word:?} is not in: {text}");
    }
}

#[test]
fn a_host_that_is_none_is_refused_with_the_reason() {
    refused(&["bad host"], &["bad host", "space"]);
    refused(&["check", ""], &["empty"]);
    refused(&["ping", "gopher://example"], &["gopher", "https"]);
}

#[test]
fn ports_that_do_not_exist_are_refused_with_the_range() {
    for command in [&[][..], &["check"], &["tcp"], &["watch"]] {
        for port in ["0", "70000", "http"] {
            let target = format!("localhost:{port}");
            refused(&[command, &[target.as_str()]].concat(), &[port, "1 to 65535"]);
        }
    }
    refused(&["tcp", "localhost"], &["has no port", "localhost:443"]);
}

#[test]
fn a_file_of_targets_is_refused_with_its_name_and_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    let at = format!("@{}", path.display());
    refused(&["watch", &at], &["cannot read the target file", "hosts.txt"]);
    fs::write(&path, "good.example\nlocalhost:0\n").unwrap();
    refused(&["watch", &at], &["hosts.txt is malformed", "line 2", "1 to 65535"]);
    fs::write(&path, [0xff_u8, 0xfe, 0, 1]).unwrap();
    refused(&["ping", &at], &["hosts.txt is not text"]);
    refused(&["ping", "--targets-file", path.to_str().unwrap()], &["hosts.txt is not text"]);
    fs::write(&path, "# nothing\n").unwrap();
    refused(&["ping", &at], &["no target"]);
}

#[test]
fn a_hundred_thousand_targets_are_refused_with_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    let mut lines = String::new();
    for number in 0..100_000 {
        writeln!(lines, "host-{number}.example").unwrap();
    }
    fs::write(&path, lines).unwrap();
    let at = format!("@{}", path.display());
    refused(&[&at], &["100000 targets", "at most 1000"]);
    refused(&["watch", &at], &["100000 targets", "at most 20000"]);
}

#[test]
fn a_journal_that_is_none_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noise");
    let noise: Vec<u8> =
        (0..5_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(&path, &noise).unwrap();
    let file = path.to_str().unwrap();
    refused(&["replay", file], &["noise", "not a Sojourner journal"]);
    refused(&["watch", "127.0.0.1", "--journal", file], &["noise", "not a Sojourner journal"]);
    assert_eq!(fs::read(&path).unwrap(), noise);
    refused(&["replay", "/nonexistent/journal"], &["/nonexistent/journal"]);
}

#[test]
fn options_are_refused_with_what_is_possible() {
    refused(&["ping", "127.0.0.1", "--interval", "fast"], &["--interval", "unit"]);
    refused(&["ping", "127.0.0.1", "--interval", "1:2s"], &["--interval", "500ms"]);
    refused(&["ping", "127.0.0.1", "--timeout", "9d"], &["--timeout", "use us, ms, s, m or h"]);
    refused(&["ping", "127.0.0.1", "-4", "-6"], &["cannot be used with"]);
    refused(&["ping", "127.0.0.1", "--count", "0"], &["--count"]);
    refused(&["dns", "localhost", "--server", "127.0.0.1:70000"], &["--server", "1 to 65535"]);
    refused(&["dns", "localhost", "--doh", "127.0.0.1"], &["--doh", "https://"]);
    refused(&["dns", "localhost", "--type", "X-Y"], &["--type", "AAAA"]);
    refused(&["dns", "localhost", "--ca", "/nonexistent.pem"], &["cannot read the CA file"]);
    refused(&["dns", "127.0.0.1"], &["needs no DNS"]);
}

#[test]
fn without_a_target_or_a_terminal_it_says_what_to_do() {
    refused(&[], &["no target", "--help"]);
    refused(&["127.0.0.1"], &["needs a terminal", "watch"]);
}

#[test]
fn help_teaches_by_examples_and_names_the_exit_codes() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for word in ["Examples:", "Exit codes:", "sojourner check", "@FILE", "NO_COLOR", "dns://"] {
        assert!(stdout(&output).contains(word), "{word:?} is not in: {}", stdout(&output));
    }
    for command in ["check", "ping", "trace", "dns", "tcp", "watch", "replay", "doctor"] {
        let output = run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(stdout(&output).contains("Exit codes"), "{command}");
    }
}
