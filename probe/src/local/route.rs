//! The kernel's routing and neighbour tables, as `/proc/net` shows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The flags of `include/uapi/linux/route.h`.
const RTF_UP: u32 = 0x1;
const RTF_GATEWAY: u32 = 0x2;
const RTF_REJECT: u32 = 0x200;
/// `ATF_COM` of `include/uapi/linux/if_arp.h`: the hardware address is known.
const ATF_COM: u32 = 0x2;

/// One usable route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where it leads: the first address of the network.
    pub network: IpAddr,
    /// How many leading bits of the network count.
    pub prefix: u8,
    /// The next hop; `None` when the network is on the link.
    pub gateway: Option<IpAddr>,
    /// Through which interface.
    pub interface: String,
    /// Lower is preferred.
    pub metric: u32,
}

impl RouteEntry {
    /// Whether it leads to every address of its family that no other route holds.
    pub const fn is_default(&self) -> bool {
        self.prefix == 0
    }

    /// Whether it leads to `addr`.
    pub fn holds(&self, addr: IpAddr) -> bool {
        match (self.network, addr) {
            (IpAddr::V4(network), IpAddr::V4(addr)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                let bits = u64::from(network.to_bits() ^ addr.to_bits());
                bits >> shift == 0
            }
            (IpAddr::V6(network), IpAddr::V6(addr)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                let bits = network.to_bits() ^ addr.to_bits();
                bits.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Parses `/proc/net/route`: usable routes in the table's order. Lines that are not understood,
/// routes that are down and those that reject are left out.
pub fn parse_ipv4_routes(text: &str) -> Vec<RouteEntry> {
    text.lines().skip(1).filter_map(ipv4_route).collect()
}

/// Parses `/proc/net/ipv6_route`: usable routes in the table's order, without loopback's.
pub fn parse_ipv6_routes(text: &str) -> Vec<RouteEntry> {
    text.lines().filter_map(ipv6_route).collect()
}

/// Whether `/proc/net/arp` knows the hardware address of `addr`; `None` when it does not list it.
pub(super) fn parse_neighbour(text: &str, addr: IpAddr) -> Option<bool> {
    text.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        if columns.next()?.parse() != Ok(addr) {
            return None;
        }
        let flags = columns.nth(1)?.strip_prefix("0x")?;
        Some(u32::from_str_radix(flags, 16).ok()? & ATF_COM != 0)
    })
}

fn ipv4_route(line: &str) -> Option<RouteEntry> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[interface, network, gateway, flags, _, _, metric, mask, ..] = columns.as_slice() else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & RTF_UP == 0 || flags & RTF_REJECT != 0 {
        return None;
    }
    // The mask counts from its first bit; one with holes is no prefix.
    let mask = ipv4(mask)?.to_bits();
    if mask.leading_ones() != mask.count_ones() {
        return None;
    }
    let gateway = ipv4(gateway)?;
    Some(RouteEntry {
        network: IpAddr::V4(ipv4(network)?),
        prefix: u8::try_from(mask.leading_ones()).ok()?,
        gateway: (flags & RTF_GATEWAY != 0).then_some(IpAddr::V4(gateway)),
        interface: interface.to_owned(),
        metric: metric.parse().ok()?,
    })
}

/// The kernel prints an IPv4 address as the number that its bytes make in the host's order.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let number = (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten()?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

fn ipv6_route(line: &str) -> Option<RouteEntry> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[network, prefix, _, _, gateway, metric, _, _, flags, interface] = columns.as_slice()
    else {
        return None;
    };
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & RTF_UP == 0 || flags & RTF_REJECT != 0 || interface == "lo" {
        return None;
    }
    let prefix = u8::from_str_radix(prefix, 16).ok().filter(|prefix| *prefix <= 128)?;
    let gateway = ipv6(gateway)?;
    Some(RouteEntry {
        network: IpAddr::V6(ipv6(network)?),
        prefix,
        gateway: (flags & RTF_GATEWAY != 0).then_some(IpAddr::V6(gateway)),
        interface: interface.to_owned(),
        metric: u32::from_str_radix(metric, 16).ok()?,
    })
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
    Some(Ipv6Addr::from_bits(number))
}
