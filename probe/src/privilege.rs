//! What this process may do on this host, and how to get more.

use serde::Serialize;

/// One thing a measurement may want to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Privilege {
    /// Its stable name, such as `icmp_dgram_v4`.
    pub name: &'static str,
    /// What it is good for, in one sentence.
    pub purpose: &'static str,
    /// Whether this process may.
    pub granted: bool,
    /// What the system said or shows, such as `ping_group_range is 1 0`.
    pub detail: String,
    /// How to get it, a command where there is one; absent when granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<&'static str>,
}

/// Tries each thing out and says what is allowed, best method first. Sends nothing.
pub fn read() -> Vec<Privilege> {
    Vec::new()
}
