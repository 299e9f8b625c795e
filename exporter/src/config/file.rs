//! The file's syntax: the only place that knows the YAML reader.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::settings::{
    AddressChoice, DnsProber, DnsTransportChoice, Family, IcmpProber, RecordRules, TargetGroup,
    TcpProber,
};
use super::{Config, Module, Prober};
use crate::duration::PromDuration;
use crate::names;

/// What is wrong, and on which line (from 1).
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: u64,
    pub(super) message: String,
}

fn wrong<T>(at: &Spanned<T>, message: String) -> Wrong {
    Wrong { line: at.referenced.line().max(1), message }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    modules: Option<BTreeMap<String, ModuleFile>>,
    targets: Vec<GroupFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleFile {
    prober: Spanned<String>,
    timeout: Option<Spanned<PromDuration>>,
    icmp: Option<IcmpFile>,
    tcp: Option<TcpFile>,
    dns: Option<DnsFile>,
    // Sections of probers that are not there yet: the prober's own message is the better one.
    #[serde(default, rename = "http")]
    _http: Option<IgnoredAny>,
    #[serde(default, rename = "grpc")]
    _grpc: Option<IgnoredAny>,
    #[serde(default, rename = "unix")]
    _unix: Option<IgnoredAny>,
    #[serde(default, rename = "websocket")]
    _websocket: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IcmpFile {
    preferred_ip_protocol: Option<Family>,
    ip_protocol_fallback: Option<bool>,
    source_ip_address: Option<IpAddr>,
    dont_fragment: Option<Spanned<bool>>,
    payload_size: Option<Spanned<u32>>,
    ttl: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TcpFile {
    preferred_ip_protocol: Option<Family>,
    ip_protocol_fallback: Option<bool>,
    source_ip_address: Option<IpAddr>,
    tls: Option<Spanned<bool>>,
    query_response: Option<Vec<IgnoredAny>>,
    tls_config: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DnsFile {
    preferred_ip_protocol: Option<Family>,
    ip_protocol_fallback: Option<bool>,
    source_ip_address: Option<IpAddr>,
    transport_protocol: Option<DnsTransportChoice>,
    dns_over_tls: Option<Spanned<bool>>,
    tls_config: Option<IgnoredAny>,
    query_name: Option<Spanned<String>>,
    query_type: Option<Spanned<String>>,
    query_class: Option<Spanned<String>>,
    recursion_desired: Option<bool>,
    valid_rcodes: Option<Vec<Spanned<String>>>,
    validate_answer_rrs: RecordRules,
    validate_authority_rrs: RecordRules,
    validate_additional_rrs: RecordRules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GroupFile {
    hosts: Vec<Spanned<String>>,
    host: Option<Spanned<String>>,
    interval: Option<Spanned<PromDuration>>,
    network: Option<Spanned<String>>,
    protocol: Option<Spanned<String>>,
    size: Option<Spanned<u32>>,
    source: Option<IpAddr>,
    tos: Option<Spanned<u8>>,
    labels: BTreeMap<String, Spanned<String>>,
}

/// Reads and checks a whole file. Without `modules:` the built-in ones are there.
pub(super) fn parse(text: &str) -> Result<Config, Wrong> {
    let builtin = Config::builtin();
    if text.trim().is_empty() {
        return Ok(builtin);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line().max(1));
        Wrong { line, message: error.without_snippet().to_string() }
    })?;
    let modules = match file.modules {
        None => builtin.modules,
        Some(modules) => modules
            .into_iter()
            .map(|(name, module)| Ok((name.clone(), module.check(&name)?)))
            .collect::<Result<_, Wrong>>()?,
    };
    Ok(Config { modules, targets: groups(file.targets)? })
}

impl ModuleFile {
    fn check(self, name: &str) -> Result<Module, Wrong> {
        let prober = match self.prober.value.as_str() {
            "icmp" => Prober::Icmp(self.icmp.unwrap_or_default().check(name)?),
            "tcp" => Prober::Tcp(self.tcp.unwrap_or_default().check(name, &self.prober)?),
            "dns" => Prober::Dns(Box::new(self.dns.unwrap_or_default().check(name, &self.prober)?)),
            known @ ("http" | "grpc" | "unix" | "websocket") => {
                let what = format!(
                    "module `{name}`: prober {known} is not supported yet; use icmp, tcp or dns, \
                     or remove the module"
                );
                return Err(wrong(&self.prober, what));
            }
            other => {
                let what =
                    format!("module `{name}`: prober `{other}` is unknown; use icmp, tcp or dns");
                return Err(wrong(&self.prober, what));
            }
        };
        // As in blackbox_exporter, a timeout of 0 is none.
        let timeout = self.timeout.map(|timeout| timeout.value.0).filter(|t| *t > Duration::ZERO);
        Ok(Module { prober, timeout })
    }
}

fn choice(preferred: Option<Family>, fallback: Option<bool>) -> AddressChoice {
    let usual = AddressChoice::default();
    AddressChoice {
        preferred: preferred.unwrap_or(usual.preferred),
        fallback: fallback.unwrap_or(usual.fallback),
    }
}

impl IcmpFile {
    fn check(self, name: &str) -> Result<IcmpProber, Wrong> {
        if let Some(set) = self.dont_fragment.filter(|set| set.value) {
            let what = format!("module `{name}`: dont_fragment is not supported yet; remove it");
            return Err(wrong(&set, what));
        }
        let usual = IcmpProber::default();
        let ttl = match self.ttl {
            None => usual.ttl,
            Some(ttl) => u8::try_from(ttl.value).ok().filter(|ttl| *ttl > 0).ok_or_else(|| {
                wrong(&ttl, format!("module `{name}`: ttl {} is not from 1 to 255", ttl.value))
            })?,
        };
        let payload_size = match self.payload_size {
            // As in blackbox_exporter, 0 means the usual size.
            None => usual.payload_size,
            Some(size) if size.value == 0 => usual.payload_size,
            Some(size) => payload(&size, &format!("module `{name}`: payload_size"))?,
        };
        Ok(IcmpProber {
            address: choice(self.preferred_ip_protocol, self.ip_protocol_fallback),
            source_ip_address: self.source_ip_address,
            payload_size,
            ttl,
        })
    }
}

fn payload(size: &Spanned<u32>, what: &str) -> Result<u16, Wrong> {
    u16::try_from(size.value).ok().filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX).ok_or_else(|| {
        wrong(size, format!("{what} {} is more than {PAYLOAD_BYTES_MAX} bytes", size.value))
    })
}

impl TcpFile {
    fn check(self, name: &str, prober: &Spanned<String>) -> Result<TcpProber, Wrong> {
        if let Some(tls) = self.tls.filter(|tls| tls.value) {
            let what = format!("module `{name}`: tcp.tls is not supported yet; remove it");
            return Err(wrong(&tls, what));
        }
        let steps = self.query_response.is_some_and(|steps| !steps.is_empty());
        if steps || self.tls_config.is_some() {
            let key = if steps { "query_response" } else { "tls_config" };
            let what = format!("module `{name}`: tcp.{key} is not supported yet; remove it");
            return Err(wrong(prober, what));
        }
        Ok(TcpProber {
            address: choice(self.preferred_ip_protocol, self.ip_protocol_fallback),
            source_ip_address: self.source_ip_address,
        })
    }
}

impl DnsFile {
    fn check(self, name: &str, prober: &Spanned<String>) -> Result<DnsProber, Wrong> {
        use hickory_proto::rr::{DNSClass, Name, RecordType};
        if let Some(set) = self.dns_over_tls.filter(|set| set.value) {
            let what = format!("module `{name}`: dns_over_tls is not supported yet; remove it");
            return Err(wrong(&set, what));
        }
        if self.tls_config.is_some() {
            let what = format!("module `{name}`: dns.tls_config is not supported yet; remove it");
            return Err(wrong(prober, what));
        }
        let usual = DnsProber::default();
        let query_name = self.query_name.ok_or_else(|| {
            let what = format!("module `{name}`: dns.query_name is missing; say what to ask for");
            wrong(prober, what)
        })?;
        if query_name.value.is_empty() || Name::from_ascii(&query_name.value).is_err() {
            let what = format!("module `{name}`: query_name `{}` is no name", query_name.value);
            return Err(wrong(&query_name, what));
        }
        let query_type = checked(self.query_type, usual.query_type, |text| {
            text.parse::<RecordType>().is_ok().then_some("").ok_or_else(|| {
                format!("module `{name}`: query_type `{text}` is unknown; use A, AAAA, MX, ...")
            })
        })?;
        let query_class = checked(self.query_class, usual.query_class, |text| {
            text.parse::<DNSClass>().is_ok().then_some("").ok_or_else(|| {
                format!("module `{name}`: query_class `{text}` is unknown; use IN or CH")
            })
        })?;
        let valid_rcodes = match self.valid_rcodes.filter(|rcodes| !rcodes.is_empty()) {
            None => usual.valid_rcodes,
            Some(rcodes) => {
                for rcode in &rcodes {
                    if !crate::prober::rcode::is_known(&rcode.value) {
                        let what = format!(
                            "module `{name}`: rcode `{}` is unknown; use NOERROR, NXDOMAIN, ...",
                            rcode.value
                        );
                        return Err(wrong(rcode, what));
                    }
                }
                rcodes.into_iter().map(|rcode| rcode.value).collect()
            }
        };
        Ok(DnsProber {
            address: choice(self.preferred_ip_protocol, self.ip_protocol_fallback),
            source_ip_address: self.source_ip_address,
            transport_protocol: self.transport_protocol.unwrap_or(usual.transport_protocol),
            query_name: query_name.value,
            query_type,
            query_class,
            recursion_desired: self.recursion_desired.unwrap_or(usual.recursion_desired),
            valid_rcodes,
            validate_answer_rrs: self.validate_answer_rrs,
            validate_authority_rrs: self.validate_authority_rrs,
            validate_additional_rrs: self.validate_additional_rrs,
        })
    }
}

fn checked(
    text: Option<Spanned<String>>,
    usual: String,
    check: impl Fn(&str) -> Result<&'static str, String>,
) -> Result<String, Wrong> {
    let Some(text) = text else { return Ok(usual) };
    check(&text.value).map_err(|message| wrong(&text, message))?;
    Ok(text.value)
}

fn groups(files: Vec<GroupFile>) -> Result<Vec<TargetGroup>, Wrong> {
    let mut seen: BTreeMap<String, Vec<(Option<Family>, u64)>> = BTreeMap::new();
    let mut groups = Vec::with_capacity(files.len());
    let mut total = 0_usize;
    for file in files {
        let (group, lines) = file.check()?;
        total += group.hosts.len();
        for (host, line) in group.hosts.iter().zip(lines) {
            if total > HOSTS_MAX {
                let message = format!("more than {HOSTS_MAX} hosts; split them over exporters");
                return Err(Wrong { line, message });
            }
            let before = seen.entry(host.clone()).or_default();
            let clash = |(network, _): &&(Option<Family>, u64)| {
                network.is_none() || group.network.is_none() || *network == group.network
            };
            if let Some((_, first)) = before.iter().find(clash) {
                let message = format!(
                    "host `{host}` is already pinged by line {first}; remove one, or give them \
                     network ip4 and ip6"
                );
                return Err(Wrong { line, message });
            }
            before.push((group.network, line));
        }
        groups.push(group);
    }
    Ok(groups)
}

impl GroupFile {
    /// The group, and the line of each host.
    fn check(self) -> Result<(TargetGroup, Vec<u64>), Wrong> {
        let line = |host: &Spanned<String>| host.referenced.line().max(1);
        let hosts: Vec<_> = self.host.into_iter().chain(self.hosts).collect();
        if let Some(bad) = hosts.iter().find(|host| !is_host(&host.value)) {
            let what = format!(
                "`{}` is not a host; write a name or an address, without port or scheme",
                bad.value
            );
            return Err(wrong(bad, what));
        }
        if let Some(protocol) = self.protocol.filter(|protocol| protocol.value != "icmp") {
            let what = format!("protocol `{}` is not supported yet; use icmp", protocol.value);
            return Err(wrong(&protocol, what));
        }
        if let Some(tos) = self.tos.filter(|tos| tos.value != 0) {
            return Err(wrong(&tos, "tos is not supported yet; remove it".to_owned()));
        }
        let network = match &self.network {
            None => None,
            Some(network) => match network.value.as_str() {
                "ip" => None,
                "ip4" => Some(Family::V4),
                "ip6" => Some(Family::V6),
                other => {
                    let what = format!("network `{other}` is unknown; use ip, ip4 or ip6");
                    return Err(wrong(network, what));
                }
            },
        };
        let interval = match self.interval {
            None => PromDuration(INTERVAL),
            Some(interval) if interval.value.0 < INTERVAL_MIN => {
                let least = PromDuration(INTERVAL_MIN);
                let what = format!("interval {} is shorter than {least}", interval.value);
                return Err(wrong(&interval, what));
            }
            Some(interval) => interval.value,
        };
        let size = match self.size {
            None => SIZE_BYTES,
            Some(size) if size.value < SIZE_BYTES_MIN => {
                let what = format!("size {} is less than {SIZE_BYTES_MIN} bytes", size.value);
                return Err(wrong(&size, what));
            }
            Some(size) => payload(&size, "size")?,
        };
        for (name, value) in &self.labels {
            if !is_label(name) {
                let what = format!(
                    "`{name}` cannot be a label; use letters, digits and _, and none of {}",
                    names::SMOKEPING_REQUESTS.labels.join(", ")
                );
                return Err(wrong(value, what));
            }
        }
        let lines = hosts.iter().map(line).collect();
        let group = TargetGroup {
            hosts: hosts.into_iter().map(|host| host.value).collect(),
            interval,
            network,
            size,
            source: self.source,
            labels: self.labels.into_iter().map(|(name, value)| (name, value.value)).collect(),
        };
        Ok((group, lines))
    }
}

fn is_host(text: &str) -> bool {
    let name = |text: &str| {
        text.len() <= 253
            && text.trim_end_matches('.').split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            })
    };
    text.parse::<IpAddr>().is_ok() || name(text)
}

fn is_label(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let reserved = names::SMOKEPING_REQUESTS.labels.contains(&name) || name == "le";
    letters
        && !reserved
        && !name.starts_with("__")
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Most hosts of one exporter; the ping engine's own bound.
const HOSTS_MAX: usize = 100_000;
/// Most payload: a full IPv4 datagram without its headers.
const PAYLOAD_BYTES_MAX: u16 = 65_507;
/// `smokeping_prober`'s defaults and bounds.
const INTERVAL: Duration = Duration::from_secs(1);
const SIZE_BYTES: u16 = 56;
const SIZE_BYTES_MIN: u32 = 24;
/// Shortest interval between pings of one host: 100 a second.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
