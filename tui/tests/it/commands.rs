//! One-shot commands against this host itself.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::{run, sojourner, stderr, stdout};

fn document(args: &[&str]) -> (Value, Option<i32>) {
    let output = run(args);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "{args:?} prints one document: {text}{}", stderr(&output));
    (serde_json::from_str(text).expect("JSON"), output.status.code())
}

/// A server that closes each connection at once.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// A port that nothing listens on: the discard service, which no system runs any more.
const CLOSED: &str = "127.0.0.1:9";

#[test]
fn ping_prints_one_document_with_counts_that_add_up() {
    let args = ["ping", "127.0.0.1", "--json", "--count", "3", "--interval", "20ms"];
    let (ping, code) = document(&args);
    assert_eq!((ping["schema"].as_str(), code), (Some("sojourner.ping/1"), Some(0)));
    let target = &ping["targets"][0];
    assert_eq!(target["sent"], 3, "{target}");
    assert_eq!(target["replies"], 3, "{target}");
    assert_eq!(target["loss_ratio"], 0.0, "{target}");
    assert!(target["rtt_us"]["p95"].as_f64().unwrap() > 0.0, "{target}");
}

#[test]
fn ping_without_any_privilege_still_measures() {
    let args = ["ping", "127.0.0.1", "--json", "-c", "2", "-i", "20ms", "--privilege", "never"];
    let (ping, code) = document(&args);
    assert_eq!(code, Some(0), "{ping}");
    assert_eq!(ping["targets"][0]["engine"], "kernel_udp");
}

#[test]
fn tcp_tells_connected_from_refused() {
    let target = format!("127.0.0.1:{}", server());
    let (tcp, code) = document(&["tcp", &target, "--json"]);
    assert_eq!((tcp["schema"].as_str(), code), (Some("sojourner.tcp/1"), Some(0)), "{tcp}");
    assert_eq!(tcp["connected"], target);
    assert_eq!(tcp["attempts"][0]["outcome"], "connected");
    let (tcp, code) = document(&["tcp", CLOSED, "--json"]);
    assert_eq!((tcp["attempts"][0]["outcome"].as_str(), code), (Some("refused"), Some(1)));
}

#[test]
fn dns_asks_the_system_for_a_name_it_knows() {
    let (dns, code) = document(&["dns", "localhost", "--type", "A", "--json"]);
    assert_eq!((dns["schema"].as_str(), code), (Some("sojourner.dns/1"), Some(0)), "{dns}");
    assert_eq!(dns["lookups"][0]["records"][0]["data"], "127.0.0.1");
}

#[test]
fn check_gives_a_verdict_and_an_exit_code() {
    let target = format!("127.0.0.1:{}", server());
    let (check, code) = document(&["check", &target, "--json"]);
    assert_eq!((check["schema"].as_str(), code), (Some("sojourner.check/1"), Some(0)), "{check}");
    assert_eq!(check["verdict"]["cause"], "healthy");
    let (check, code) = document(&["check", CLOSED, "--json"]);
    assert_eq!((check["verdict"]["cause"].as_str(), code), (Some("tcp_refused"), Some(1)));
}

#[test]
fn trace_reaches_this_host_without_any_privilege() {
    let (trace, code) = document(&["trace", "127.0.0.1", "--udp", "--json", "--count", "2"]);
    assert_eq!((trace["schema"].as_str(), code), (Some("sojourner.trace/1"), Some(0)), "{trace}");
    assert_eq!((&trace["reached"], &trace["rounds"]), (&Value::Bool(true), &Value::from(2)));
    assert_eq!(trace["hops"][0]["addrs"][0], "127.0.0.1");
    assert_eq!(trace["protocol"], "udp");
}

#[test]
fn doctor_tells_of_this_host() {
    let output = run(&["doctor", "--json"]);
    let doctor: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(doctor["schema"], "sojourner.doctor/1");
    assert!(doctor["privileges"].is_array() && doctor["local"]["interfaces"].is_array());
}

#[test]
fn plain_output_has_no_colour_when_it_is_not_a_terminal() {
    let output = run(&["ping", "127.0.0.1", "-c", "1"]);
    assert!(stdout(&output).contains("1 sent, 1 replies"), "{}", stdout(&output));
    assert!(!stdout(&output).contains('\x1b') && !stderr(&output).contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = sojourner()
        .args(["watch", "127.0.0.1", "--json", "-i", "5ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Dropping the reader closes the pipe.
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"schema\":\"sojourner.event/1\""), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_in_order_with_a_summary() {
    let mut child = sojourner()
        .args(["ping", "127.0.0.1", "-i", "5ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    crate::screen::signal("INT", child.id());
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
    assert!(text.contains("sent,") && text.contains("measured by"), "{text}");
}
