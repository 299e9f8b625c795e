//! The configuration: what may be probed on request, and what is pinged all the time.
//!
//! The file is the YAML of `blackbox_exporter` (`modules:`) with `smokeping_prober`'s `targets:`
//! beside it. [`mod@file`] knows the syntax; what is here is valid by construction.

mod file;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::ser::SerializeMap;

pub use settings::{
    AddressChoice, DnsProber, DnsTransportChoice, Family, IcmpProber, Pattern, RecordRules,
    TargetGroup, TcpProber,
};

use crate::duration::PromDuration;

/// What the exporter does: made by parsing, so a value is a valid one.
///
/// # Examples
///
/// ```
/// # use sojourner_exporter::config::Config;
/// let config = Config::parse("modules: {ping: {prober: icmp, timeout: 2s}}", "demo.yml".as_ref());
/// assert!(config.unwrap().modules.contains_key("ping"));
/// let error = Config::parse("modules:\n  ping: {prober: icpm}", "demo.yml".as_ref()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "demo.yml:2: module `ping`: prober `icpm` is unknown; use icmp, tcp or dns"
/// );
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// What `/probe` may be asked for, by name.
    pub modules: BTreeMap<String, Module>,
    /// What is pinged all the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetGroup>,
}

/// One way to probe.
#[derive(Clone, Debug)]
pub struct Module {
    /// What is measured.
    pub prober: Prober,
    /// Longest a probe may take; the scraper's own timeout may be shorter.
    pub timeout: Option<Duration>,
}

/// What a module measures.
#[derive(Clone, Debug)]
pub enum Prober {
    /// One ICMP echo.
    Icmp(IcmpProber),
    /// A TCP connection.
    Tcp(TcpProber),
    /// One DNS question to the target.
    Dns(Box<DnsProber>),
}

impl Prober {
    /// Its name in the file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Icmp(_) => "icmp",
            Self::Tcp(_) => "tcp",
            Self::Dns(_) => "dns",
        }
    }
}

impl Serialize for Module {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("prober", self.prober.name())?;
        if let Some(timeout) = self.timeout {
            map.serialize_entry("timeout", &PromDuration(timeout))?;
        }
        match &self.prober {
            Prober::Icmp(icmp) => map.serialize_entry("icmp", icmp)?,
            Prober::Tcp(tcp) => map.serialize_entry("tcp", tcp)?,
            Prober::Dns(dns) => map.serialize_entry("dns", dns)?,
        }
        map.end()
    }
}

/// The configuration cannot be used. The message says where, what, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read; check that it is there, readable, and UTF-8 text", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is larger than any real one.
    #[error("{}: larger than {max_bytes} bytes; is it the right file?", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The most that is read.
        max_bytes: u64,
    },
    /// A line is wrong.
    #[error("{}:{line}: {message}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1; where the parser knows only the document, its first.
        line: u64,
        /// What is wrong, and how to mend it.
        message: String,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the file cannot be read, or a line is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(read)?.len();
        if size > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), max_bytes: FILE_BYTES_MAX });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?, path)
    }

    /// Checks the text of a file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] for the first wrong line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        file::parse(text).map_err(|wrong| ConfigError::Invalid {
            path: path.to_owned(),
            line: wrong.line,
            message: wrong.message,
        })
    }

    /// What runs without a file: the modules `icmp`, `tcp_connect`, `dns_udp` and `dns_tcp` (a
    /// question for the root's name servers, which any resolver answers), and no targets.
    pub fn builtin() -> Self {
        let dns = |transport| {
            Prober::Dns(Box::new(DnsProber {
                transport_protocol: transport,
                query_name: ".".to_owned(),
                query_type: "NS".to_owned(),
                ..DnsProber::default()
            }))
        };
        let modules = [
            ("icmp", Prober::Icmp(IcmpProber::default())),
            ("tcp_connect", Prober::Tcp(TcpProber::default())),
            ("dns_udp", dns(DnsTransportChoice::Udp)),
            ("dns_tcp", dns(DnsTransportChoice::Tcp)),
        ];
        let module = |prober| Module { prober, timeout: Some(BUILTIN_TIMEOUT) };
        Self {
            modules: modules.map(|(name, prober)| (name.to_owned(), module(prober))).into(),
            targets: Vec::new(),
        }
    }

    /// The effective configuration, as a file that [`Config::parse`] reads back to the same.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        // Serialising our own plain structs cannot fail.
        if let Ok(value) = serde_json::to_value(self) {
            yaml(&value, 0, &mut out);
        }
        out
    }

    /// How many addresses are pinged all the time, at most.
    pub fn hosts(&self) -> usize {
        self.targets.iter().map(|group| group.hosts.len()).sum()
    }
}

/// Largest file that is read: a hundred thousand targets with long names.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// `blackbox_exporter`'s example file gives its modules 5 s.
const BUILTIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Block YAML; scalars as JSON writes them, which is YAML too.
fn yaml(value: &serde_json::Value, indent: usize, out: &mut String) {
    use serde_json::Value;
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&pad);
                out.push_str(&scalar_key(key));
                out.push(':');
                nested(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&pad);
                out.push('-');
                nested(item, indent, out);
            }
        }
        scalar => {
            out.push_str(&pad);
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

fn nested(value: &serde_json::Value, indent: usize, out: &mut String) {
    let leaf = match value {
        serde_json::Value::Object(map) => map.is_empty(),
        serde_json::Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if leaf {
        out.push(' ');
        yaml(value, 0, out);
    } else {
        out.push('\n');
        yaml(value, indent + 2, out);
    }
}

fn scalar_key(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.starts_with(|c: char| c.is_ascii_lowercase());
    if plain { key.to_owned() } else { serde_json::Value::from(key).to_string() }
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
