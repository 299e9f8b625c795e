//! A real Prometheus scrapes the exporter and answers questions about what it scraped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::exporter::{Exporter, request, until};

struct Prometheus {
    child: Child,
    addr: SocketAddr,
    _data: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn installed(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        println!("skipped: {tool} is not installed");
    }
    there
}

impl Prometheus {
    fn start(exporter: SocketAddr, probed: SocketAddr) -> Self {
        let data = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - {{job_name: pings, static_configs: [{{targets: ['{exporter}']}}]}}\n\
             - job_name: probes\n  metrics_path: /probe\n  params: {{module: [tcp]}}\n  \
               static_configs: [{{targets: ['{probed}', '127.0.0.1:1']}}]\n  relabel_configs:\n  \
               - {{source_labels: [__address__], target_label: __param_target}}\n  \
               - {{source_labels: [__param_target], target_label: instance}}\n  \
               - {{target_label: __address__, replacement: '{exporter}'}}\n"
        );
        let file = data.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Prometheus cannot tell which port it took, so it gets a loopback address of its own.
        let [.., high, low] = std::process::id().to_be_bytes();
        let addr = SocketAddr::from(([127, 200, high, low], 9090));
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Self { child, addr, _data: data };
        until("Prometheus", || std::net::TcpStream::connect(prometheus.addr).ok());
        prometheus
    }

    /// The first value of an instant query.
    fn ask(&self, query: &str) -> Option<f64> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            write!(encoded, "%{byte:02x}").unwrap();
        }
        let path = format!("/api/v1/query?query={encoded}");
        let answer = request(self.addr, "GET", &path, "").body;
        let answer: serde_json::Value = serde_json::from_str(&answer).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    fn wait(&self, query: &str) -> f64 {
        until(query, || self.ask(query))
    }
}

fn start() -> (Exporter, TcpListener) {
    let mut config = tempfile::NamedTempFile::new().unwrap();
    config
        .write_all(
            b"modules: {tcp: {prober: tcp}, icmp: {prober: icmp}}\n\
              targets: [{hosts: [127.0.0.1], interval: 100ms, labels: {site: lab}}]\n",
        )
        .unwrap();
    let exporter = Exporter::start(&["--config.file", config.path().to_str().unwrap()]);
    (exporter, TcpListener::bind("127.0.0.1:0").unwrap())
}

/// Whether this host lets the exporter ping; says why not.
fn can_ping(exporter: &Exporter) -> bool {
    let answer = exporter.probe("icmp", "127.0.0.1");
    let can = answer.value("probe_success") == Some(1.0);
    if !can {
        println!("skipped: no pings here: {:?}", answer.reason());
    }
    can
}

#[test]
fn prometheus_answers_questions_about_what_it_scraped() {
    if !installed("prometheus") {
        return;
    }
    let (exporter, probed) = start();
    let probed_addr = probed.local_addr().unwrap();
    let prometheus = Prometheus::start(exporter.addr, probed_addr);

    let one = prometheus.wait(&format!("probe_success{{instance='{probed_addr}'}} == 1"));
    assert!((one - 1.0).abs() < f64::EPSILON);
    let why = "probe_success{instance='127.0.0.1:1'} == 0 and on (instance) \
               sojourner_probe_failure_info{reason='connection_refused'}";
    assert!(prometheus.wait(why).abs() < f64::EPSILON);
    assert!(prometheus.wait("up{job='pings'} == 1") > 0.0);

    if can_ping(&exporter) {
        let labels = "{host='127.0.0.1',ip='127.0.0.1',site='lab'}";
        assert!(prometheus.wait(&format!("smokeping_requests_total{labels} > 5")) > 5.0);
        let q = format!(
            "histogram_quantile(0.5, rate(smokeping_response_duration_seconds_bucket{labels}[1m])) > 0"
        );
        let median = prometheus.wait(&q);
        assert!(median > 0.0 && median < 2.0, "{median}");
        let answered = "increase(smokeping_response_duration_seconds_count[1m]) / \
                        increase(smokeping_requests_total[1m]) > 0";
        let answered = prometheus.wait(answered);
        assert!(answered > 0.0 && answered < 1.5, "{answered}");
    }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !installed("promtool") {
        return;
    }
    let (exporter, probed) = start();
    if can_ping(&exporter) {
        until("a reply", || exporter.metric("smokeping_response_ttl"));
    }
    let probe = exporter.probe("tcp", &probed.local_addr().unwrap().to_string());
    let failed = exporter.probe("tcp", "127.0.0.1:1");
    let icmp = exporter.probe("icmp", "127.0.0.1");
    for page in [exporter.get("/metrics"), probe, failed, icmp] {
        let mut check = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check.stdin.take().unwrap().write_all(page.body.as_bytes()).unwrap();
        let checked = check.wait_with_output().unwrap();
        let said = String::from_utf8(checked.stderr).unwrap();
        assert!(checked.status.success(), "{said}\n{}", page.body);
    }
}
