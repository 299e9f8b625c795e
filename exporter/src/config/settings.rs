//! The settings of each prober and of the continuous pings; field names are those of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize, Serializer};

use crate::duration::PromDuration;

/// Which of a name's addresses is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AddressChoice {
    /// The family to prefer: `ip6` unless configured.
    #[serde(rename = "preferred_ip_protocol")]
    pub preferred: Family,
    /// Whether the other family will do when the preferred one has no address.
    #[serde(rename = "ip_protocol_fallback")]
    pub fallback: bool,
}

impl Default for AddressChoice {
    fn default() -> Self {
        Self { preferred: Family::V6, fallback: true }
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ip4")]
    V4,
    /// IPv6.
    #[serde(rename = "ip6")]
    V6,
}

impl Family {
    /// Whether `addr` is of this family.
    pub const fn has(self, addr: IpAddr) -> bool {
        matches!((self, addr), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

/// One ICMP echo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IcmpProber {
    /// Which address is probed.
    #[serde(flatten)]
    pub address: AddressChoice,
    /// The address to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip_address: Option<IpAddr>,
    /// ICMP payload, bytes.
    pub payload_size: u16,
    /// TTL or hop limit of the echo.
    pub ttl: u8,
}

impl Default for IcmpProber {
    /// TTL 64 as `blackbox_exporter` sends; 56 bytes as `ping` does.
    fn default() -> Self {
        Self {
            address: AddressChoice::default(),
            source_ip_address: None,
            payload_size: 56,
            ttl: 64,
        }
    }
}

/// A TCP connection that is closed at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TcpProber {
    /// Which address is probed.
    #[serde(flatten)]
    pub address: AddressChoice,
    /// The address to connect from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip_address: Option<IpAddr>,
}

/// One DNS question.
#[derive(Clone, Debug, Serialize)]
pub struct DnsProber {
    /// Which address of the server is asked.
    #[serde(flatten)]
    pub address: AddressChoice,
    /// The address to ask from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip_address: Option<IpAddr>,
    /// How the question travels.
    pub transport_protocol: DnsTransportChoice,
    /// The name asked for.
    pub query_name: String,
    /// The record type asked for, such as `A`; checked when the file is read.
    pub query_type: String,
    /// The class asked for, such as `IN`; checked when the file is read.
    pub query_class: String,
    /// Whether the server may ask others.
    pub recursion_desired: bool,
    /// The response codes that are a success.
    pub valid_rcodes: Vec<String>,
    /// What the answer section must look like.
    #[serde(skip_serializing_if = "RecordRules::is_empty")]
    pub validate_answer_rrs: RecordRules,
    /// What the authority section must look like.
    #[serde(skip_serializing_if = "RecordRules::is_empty")]
    pub validate_authority_rrs: RecordRules,
    /// What the additional section must look like.
    #[serde(skip_serializing_if = "RecordRules::is_empty")]
    pub validate_additional_rrs: RecordRules,
}

impl Default for DnsProber {
    /// `blackbox_exporter`'s: UDP, any record of class IN, recursion, success is `NOERROR`.
    fn default() -> Self {
        Self {
            address: AddressChoice::default(),
            source_ip_address: None,
            transport_protocol: DnsTransportChoice::Udp,
            query_name: String::new(),
            query_type: "ANY".to_owned(),
            query_class: "IN".to_owned(),
            recursion_desired: true,
            valid_rcodes: vec!["NOERROR".to_owned()],
            validate_answer_rrs: RecordRules::default(),
            validate_authority_rrs: RecordRules::default(),
            validate_additional_rrs: RecordRules::default(),
        }
    }
}

/// How a DNS question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsTransportChoice {
    /// In one datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// Rules over the records of one section; each record is matched in presentation format with tabs:
/// name, TTL, class, type, data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordRules {
    /// Fails if any record matches any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_if_matches_regexp: Vec<Pattern>,
    /// Fails if every record matches all of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_if_all_match_regexp: Vec<Pattern>,
    /// Fails if any record does not match any one of these, or there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_if_not_matches_regexp: Vec<Pattern>,
    /// Fails if no record matches any of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fail_if_none_matches_regexp: Vec<Pattern>,
}

impl RecordRules {
    /// Whether there is no rule.
    pub const fn is_empty(&self) -> bool {
        self.fail_if_matches_regexp.is_empty()
            && self.fail_if_all_match_regexp.is_empty()
            && self.fail_if_not_matches_regexp.is_empty()
            && self.fail_if_none_matches_regexp.is_empty()
    }

    /// Whether `records` pass.
    pub fn allow(&self, records: &[String]) -> bool {
        let must_be_there = [&self.fail_if_not_matches_regexp, &self.fail_if_none_matches_regexp];
        if records.is_empty() {
            return must_be_there.iter().all(|patterns| patterns.is_empty());
        }
        let hit = |patterns: &[Pattern], record: &String| {
            patterns.iter().any(|pattern| pattern.0.is_match(record))
        };
        let hit_all = |patterns: &[Pattern], record: &String| {
            patterns.iter().all(|pattern| pattern.0.is_match(record))
        };
        let all = &self.fail_if_all_match_regexp;
        let none = &self.fail_if_none_matches_regexp;
        !records.iter().any(|record| hit(&self.fail_if_matches_regexp, record))
            && records.iter().all(|record| hit_all(&self.fail_if_not_matches_regexp, record))
            && (all.is_empty() || !records.iter().all(|record| hit_all(all, record)))
            && (none.is_empty() || records.iter().any(|record| hit(none, record)))
    }
}

/// A regular expression that compiled.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub regex::Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match regex::RegexBuilder::new(&text).size_limit(PATTERN_BYTES_MAX).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(error) => {
                let said = error.to_string();
                let said = said.lines().last().unwrap_or_default().trim();
                Err(format!("`{text}` is not a regular expression ({said}); use RE2 syntax"))
            }
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

/// Largest compiled expression: a tenth of the library's default, ample for one record.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Hosts that are pinged all the time, alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    /// Names and addresses, each once.
    pub hosts: Vec<String>,
    /// From one ping to the next of the same host.
    pub interval: PromDuration,
    /// The family to ping; `None` takes the system's first address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Family>,
    /// ICMP payload, bytes.
    pub size: u16,
    /// The address to send from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Labels that every series of these hosts gets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
