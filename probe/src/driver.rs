//! Sockets and clocks: what feeds the machines and does what they ask for.

#[cfg(all(feature = "suite", any(target_os = "linux", target_os = "android")))]
pub(crate) mod kernel_clock;
#[cfg(all(feature = "suite", any(target_os = "linux", target_os = "android")))]
pub(crate) mod socket;
pub mod sys;

/// The last 16 bits, as sequence numbers and identifiers carry them.
#[cfg(feature = "suite")]
pub(crate) const fn low_16(id: u64) -> u16 {
    let [.., high, low] = id.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// A number nobody can guess.
#[cfg(feature = "suite")]
pub(crate) fn random() -> u64 {
    use rand_core::{OsRng, TryRngCore};
    use sojourner_stats::Clock;
    // The system's generator does not fail on Linux once the system has started.
    OsRng
        .try_next_u64()
        .unwrap_or_else(|_unavailable| sojourner_stats::time::SystemClock.instant().as_nanos())
}

/// What lets an ordinary process send ICMP.
#[cfg(feature = "suite")]
pub(crate) const ICMP_MEND: &str = "allow it with `sysctl -w net.ipv4.ping_group_range=\"0 \
     2147483647\"`, or give the program the right with `setcap cap_net_raw+ep PROGRAM`";
