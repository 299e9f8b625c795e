//! Addresses that cannot belong to a public name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A block of addresses that is not part of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialBlock {
    /// Its first address.
    pub base: IpAddr,
    /// The length of its prefix, bits.
    pub prefix_len: u8,
    /// What it is for, such as `private use`.
    pub purpose: &'static str,
}

impl SpecialBlock {
    const fn v4(base: [u8; 4], prefix_len: u8, purpose: &'static str) -> Self {
        let [a, b, c, d] = base;
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix_len, purpose }
    }

    const fn v6(base: u128, prefix_len: u8, purpose: &'static str) -> Self {
        Self { base: IpAddr::V6(Ipv6Addr::from_bits(base)), prefix_len, purpose }
    }

    /// Whether `addr` lies in the block.
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.base, addr) {
            (IpAddr::V4(base), IpAddr::V4(addr)) => {
                let differ = base.to_bits() ^ addr.to_bits();
                differ.leading_zeros() >= self.prefix_len.into()
            }
            (IpAddr::V6(base), IpAddr::V6(addr)) => {
                let differ = base.to_bits() ^ addr.to_bits();
                differ.leading_zeros() >= self.prefix_len.into()
            }
            _ => false,
        }
    }
}

/// The special block that `addr` lies in, if any: then no public name can have it.
///
/// An IPv4-mapped or NAT64 address (`64:ff9b::/96`) is judged by the IPv4 address in it.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::dns::special_purpose;
/// assert_eq!(special_purpose("10.1.2.3".parse().unwrap()).unwrap().purpose, "private use");
/// assert_eq!(special_purpose("9.9.9.9".parse().unwrap()), None);
/// assert!(special_purpose("64:ff9b::10.1.2.3".parse().unwrap()).is_some());
/// ```
pub fn special_purpose(addr: IpAddr) -> Option<&'static SpecialBlock> {
    let addr = match addr {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(addr, IpAddr::V4),
        IpAddr::V4(_) => addr,
    };
    SPECIAL.iter().find(|block| block.contains(addr))
}

fn embedded_v4(addr: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = addr.to_bits();
    let prefix = bits >> 32;
    if prefix == NAT64 >> 32 || prefix == 0xffff {
        let [.., a, b, c, d] = bits.to_be_bytes();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    None
}

/// The well-known prefix of RFC 6052 §2.1.
const NAT64: u128 = 0x0064_ff9b << 96;

/// What is not globally reachable in the IANA special-purpose registries of IPv4 and IPv6 (as of
/// 2025-06), with multicast (RFC 5771, RFC 4291 §2.7) and the unassigned class E.
const SPECIAL: &[SpecialBlock] = &[
    SpecialBlock::v4([0, 0, 0, 0], 8, "this network"),
    SpecialBlock::v4([10, 0, 0, 0], 8, "private use"),
    SpecialBlock::v4([100, 64, 0, 0], 10, "carrier-grade NAT"),
    SpecialBlock::v4([127, 0, 0, 0], 8, "loopback"),
    SpecialBlock::v4([169, 254, 0, 0], 16, "link local"),
    SpecialBlock::v4([172, 16, 0, 0], 12, "private use"),
    SpecialBlock::v4([192, 0, 0, 0], 24, "protocol assignments"),
    SpecialBlock::v4([192, 0, 2, 0], 24, "documentation"),
    SpecialBlock::v4([192, 168, 0, 0], 16, "private use"),
    SpecialBlock::v4([198, 18, 0, 0], 15, "benchmarking"),
    SpecialBlock::v4([198, 51, 100, 0], 24, "documentation"),
    SpecialBlock::v4([203, 0, 113, 0], 24, "documentation"),
    SpecialBlock::v4([224, 0, 0, 0], 4, "multicast"),
    SpecialBlock::v4([240, 0, 0, 0], 4, "reserved"),
    SpecialBlock::v6(0, 128, "unspecified"),
    SpecialBlock::v6(1, 128, "loopback"),
    SpecialBlock::v6(0x0064_ff9b_0001 << 80, 48, "local NAT64"),
    SpecialBlock::v6(0x0100 << 112, 64, "discard only"),
    SpecialBlock::v6(0x2001_0002 << 96, 48, "benchmarking"),
    SpecialBlock::v6(0x2001_0db8 << 96, 32, "documentation"),
    SpecialBlock::v6(0x3fff << 112, 20, "documentation"),
    SpecialBlock::v6(0x5f00 << 112, 16, "segment routing"),
    SpecialBlock::v6(0xfc00 << 112, 7, "private use"),
    SpecialBlock::v6(0xfe80 << 112, 10, "link local"),
    SpecialBlock::v6(0xff00 << 112, 8, "multicast"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_blocks_are_where_the_registry_has_them() {
        for (addr, purpose) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some("private use")),
            ("10.255.255.255", Some("private use")),
            ("11.0.0.0", None),
            ("100.63.255.255", None),
            ("100.64.0.0", Some("carrier-grade NAT")),
            ("172.15.255.255", None),
            ("172.31.255.255", Some("private use")),
            ("172.32.0.0", None),
            ("223.255.255.255", None),
            ("255.255.255.255", Some("reserved")),
            ("::1", Some("loopback")),
            ("::2", None),
            ("2001:db8::1", Some("documentation")),
            ("2606:4700:4700::1111", None),
            ("fd00::1", Some("private use")),
            ("fec0::1", None),
            ("febf::1", Some("link local")),
            ("::ffff:192.168.0.1", Some("private use")),
            ("::ffff:9.9.9.9", None),
        ] {
            let found = special_purpose(addr.parse().unwrap()).map(|block| block.purpose);
            assert_eq!(found, purpose, "{addr}");
        }
    }
}
