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
///
/// Empty elsewhere than on Linux, where there is nothing to choose from.
///
/// # Examples
///
/// ```
/// for privilege in sojourner_probe::privilege::read() {
///     assert_eq!(privilege.granted, privilege.mend.is_none(), "what is refused can be mended");
/// }
/// ```
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn read() -> Vec<Privilege> {
    use crate::driver::ICMP_MEND;
    use crate::driver::socket::{Method, try_open};
    use crate::wire::icmp::Family;
    const RAW_MEND: &str = "give the program the right with `setcap cap_net_raw+ep PROGRAM`";
    const FAMILY_MEND: &str =
        "the kernel has switched this family off: boot without ipv6.disable=1";
    const DGRAM: &str = "ping and trace by ICMP, without root";
    const RAW: &str = "ping and trace by ICMP where datagram sockets are refused";
    const UDP: &str = "ping and trace by UDP: works for everybody, but filtered hosts look lossy";
    let wanted = [
        ("icmp_dgram_v4", Family::V4, Method::IcmpDgram, DGRAM, ICMP_MEND),
        ("icmp_dgram_v6", Family::V6, Method::IcmpDgram, DGRAM, ICMP_MEND),
        ("icmp_raw_v4", Family::V4, Method::IcmpRaw, RAW, RAW_MEND),
        ("icmp_raw_v6", Family::V6, Method::IcmpRaw, RAW, RAW_MEND),
        ("udp_error_queue_v4", Family::V4, Method::Udp, UDP, FAMILY_MEND),
        ("udp_error_queue_v6", Family::V6, Method::Udp, UDP, FAMILY_MEND),
    ];
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range")
        .map(|range| range.split_whitespace().collect::<Vec<_>>().join(" "));
    wanted
        .into_iter()
        .map(|(name, family, method, purpose, mend)| {
            let opened = try_open(family, method);
            let said =
                opened.as_ref().err().map_or_else(|| "allowed".to_owned(), ToString::to_string);
            let detail = match (&range, method) {
                (Ok(range), Method::IcmpDgram) => format!("{said}; ping_group_range is {range}"),
                _ => said,
            };
            let granted = opened.is_ok();
            Privilege { name, purpose, granted, detail, mend: (!granted).then_some(mend) }
        })
        .collect()
}

/// Tries each thing out and says what is allowed, best method first. Sends nothing.
///
/// Empty elsewhere than on Linux, where there is nothing to choose from.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn read() -> Vec<Privilege> {
    Vec::new()
}
