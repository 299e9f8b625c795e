//! Every page, every flag, every way to end.

use std::io::Write;

use crate::exporter::{Exporter, request, run, until};

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn every_page_answers_as_the_manual_says() {
    let exporter = Exporter::start(&[]);
    for (method, path, status, inside) in [
        ("GET", "/", 200, "Sojourner exporter"),
        ("GET", "/-/healthy", 200, "healthy"),
        ("GET", "/-/ready", 200, "ready"),
        ("GET", "/config", 200, "tcp_connect:"),
        ("GET", "/metrics", 200, "sojourner_exporter_build_info"),
        ("POST", "/-/reload", 200, "reloaded"),
        ("GET", "/-/reload", 405, "use POST"),
        ("POST", "/metrics", 405, "use GET"),
        ("DELETE", "/", 405, "use GET"),
        ("GET", "/nothing", 404, "/metrics"),
        ("GET", "/probe", 400, "target is missing"),
        ("GET", "/probe?target=", 400, "target is missing"),
        ("GET", "/probe?target=a", 400, "module is missing"),
        ("GET", "/probe?target=a&module=no", 400, "icmp"),
        ("GET", "/probe?target=%zz&module=icmp", 400, "not percent-encoded"),
    ] {
        let answer = request(exporter.addr, method, path, "");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains(inside), "{method} {path}: {}", answer.body);
    }
    let long = format!("/probe?module=icmp&target={}", "a".repeat(2049));
    assert_eq!(exporter.get(&long).status, 400);
    let many = request(exporter.addr, "GET", "/", &"a: b\r\n".repeat(100));
    assert_eq!(many.status, 431);
    assert_eq!(exporter.metric("blackbox_module_unknown_total"), Some(1.0));
}

#[test]
fn a_scraper_gets_the_format_it_asks_for() {
    let exporter = Exporter::start(&[]);
    let open = "accept: application/openmetrics-text;version=1.0.0\r\n";
    let answer = request(exporter.addr, "GET", "/metrics", open);
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    assert!(answer.body.ends_with("# EOF\n"));
    let text = exporter.get("/metrics");
    assert!(text.headers["content-type"].starts_with("text/plain; version=0.0.4"));
    assert!(!text.body.contains("# EOF"));
}

#[test]
fn a_bad_start_says_why_and_ends_with_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bad = file("modules:\n  web: {prober: http}\n");
    let bad = bad.path().to_str().unwrap();
    for (args, inside) in [
        (vec!["--config.file", bad], ":2: module `web`: prober http is not supported yet"),
        (vec!["--config.file", bad, "--config.check"], ":2: module `web`"),
        (vec!["--config.file", "/nowhere/x.yml"], "cannot be read"),
        (vec!["--web.listen-address", &address], "choose another"),
        (vec!["--web.listen-address", "127.0.0.1:70000"], "no host:port"),
        (vec!["--web.listen-address", "nonsense"], "no host:port"),
        (vec!["--timeout-offset=-1"], "from 0"),
        (vec!["--probe.concurrency", "0"], "must be from 1"),
        (vec!["--colour"], "--colour"),
    ] {
        let ended = run(&args);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(inside), "{args:?}: {said}");
    }
    drop(taken);
}

#[test]
fn a_configuration_can_be_checked_without_starting() {
    let good = file("modules: {ping: {prober: icmp}}\ntargets: [{hosts: [a, b]}]\n");
    let checked = run(&["--config-file", good.path().to_str().unwrap(), "--config.check"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0));
    assert!(said.contains("1 modules, 2 hosts"), "{said}");
}

#[test]
fn a_bad_new_configuration_leaves_the_old_one_in_force() {
    let config = file("modules: {first: {prober: icmp}}\n");
    let exporter = Exporter::start(&["--config.file", config.path().to_str().unwrap()]);
    std::fs::write(config.path(), "modules: {second: {prober: nonsense}}\n").unwrap();
    let refused = exporter.post("/-/reload");
    assert_eq!(refused.status, 500);
    assert!(refused.body.contains(":1: module `second`"), "{}", refused.body);
    assert!(exporter.get("/config").body.contains("first:"));
    assert_eq!(exporter.metric("blackbox_exporter_config_last_reload_successful"), Some(0.0));

    std::fs::write(config.path(), "modules: {second: {prober: tcp}}\n").unwrap();
    exporter.signal("-HUP");
    until("the reload", || exporter.get("/config").body.contains("second:").then_some(()));
    assert_eq!(exporter.metric("blackbox_exporter_config_last_reload_successful"), Some(1.0));
}

#[test]
fn targets_come_and_go_with_the_configuration() {
    let config = file("targets: []\n");
    let exporter = Exporter::start(&["--config.file", config.path().to_str().unwrap()]);
    if exporter.probe("icmp", "127.0.0.1").value("probe_success") != Some(1.0) {
        println!("skipped: no pings here");
        return;
    }
    assert_eq!(exporter.metric("smokeping_requests_total"), None);
    assert_eq!(exporter.metric("sojourner_ping_running"), None);
    std::fs::write(config.path(), "targets: [{hosts: [127.0.0.1], interval: 50ms}]\n").unwrap();
    assert_eq!(exporter.post("/-/reload").status, 200);
    until("a ping", || exporter.metric("smokeping_requests_total").filter(|sent| *sent > 2.0));
    assert_eq!(exporter.metric("sojourner_ping_running"), Some(1.0));
    assert!(exporter.get("/").body.contains("<td>127.0.0.1<td>127.0.0.1<td>"));
    std::fs::write(config.path(), "targets: []\n").unwrap();
    assert_eq!(exporter.post("/-/reload").status, 200);
    assert_eq!(exporter.metric("smokeping_requests_total"), None);
}

#[test]
fn a_signal_ends_it_with_0() {
    for signal in ["-TERM", "-INT"] {
        let exporter = Exporter::start(&[]);
        exporter.signal(signal);
        assert_eq!(exporter.ended(), Some(0), "{signal}");
    }
}

#[test]
fn the_landing_page_cannot_be_written_into_by_a_configuration() {
    let config = file("modules: {'<script>': {prober: icmp}}\n");
    let exporter = Exporter::start(&["--config.file", config.path().to_str().unwrap()]);
    let page = exporter.get("/").body;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}
