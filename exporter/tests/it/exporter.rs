//! Starts the binary, speaks HTTP to it, and ends it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use sojourner_exporter::parse::{Sample, parse};

/// A running exporter; killed when dropped.
pub(crate) struct Exporter {
    child: Child,
    pub(crate) addr: SocketAddr,
}

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sojourner-exporter"))
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    binary().args(args).output().unwrap()
}

impl Exporter {
    /// Starts it on a free port of 127.0.0.1 and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = binary()
            .args(["--web.listen-address", "127.0.0.1:0"])
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let addr = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it ended: {said}");
            if let Some((_, addr)) = line.trim().split_once("listening on http://") {
                break addr.parse().unwrap();
            }
            said += &line;
        };
        // Read on, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, addr }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.addr, "GET", path, "")
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        request(self.addr, "POST", path, "")
    }

    pub(crate) fn probe(&self, module: &str, target: &str) -> Answer {
        self.get(&format!("/probe?module={module}&target={target}"))
    }

    /// The one sample of a metric on `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        self.get("/metrics").value(name)
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(name).arg(self.child.id().to_string()).status();
        assert!(done.unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn samples(&self) -> Vec<Sample> {
        parse(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.samples().into_iter().find(|sample| sample.name == name).map(|sample| sample.value)
    }

    pub(crate) fn reason(&self) -> Option<String> {
        let samples = self.samples().into_iter();
        let mut infos = samples.filter(|sample| sample.name == "sojourner_probe_failure_info");
        infos.next().map(|sample| sample.labels["reason"].clone())
    }
}

pub(crate) fn request(addr: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect::<BTreeMap<_, _>>();
    let body = match headers.get("transfer-encoding").map(String::as_str) {
        Some("chunked") => unchunked(body),
        _ => body.to_owned(),
    };
    Answer { status, headers, body }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    whole
}

/// Asks again until there is an answer; at most for a minute of pauses, which only a broken
/// exporter needs.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask() {
            return answer;
        }
        pause();
    }
    panic!("never came: {what}");
}

#[expect(clippy::disallowed_methods, reason = "between two looks at another process's state")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(100));
}
