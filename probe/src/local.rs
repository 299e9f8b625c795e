//! What this host knows of its own network: interfaces, routes, resolvers.
//!
//! Interfaces come from `netdev` (netlink on Linux), routes from the kernel's tables below
//! `/proc/thread-self/net`, so that a thread in a network namespace of its own reads its own, and
//! resolvers from `/etc/resolv.conf`. Elsewhere `netdev` knows the default gateways.

mod resolv;
mod route;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sojourner_stats::event::{Interface, LocalNetwork, Route};

pub use resolv::parse_resolv_conf;
pub use route::{RouteEntry, parse_ipv4_routes, parse_ipv6_routes};

/// Where to read: the system's files, which tests override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPaths {
    /// The IPv4 routing table in the format of `/proc/net/route`.
    pub ipv4_routes: PathBuf,
    /// The IPv6 routing table in the format of `/proc/net/ipv6_route`.
    pub ipv6_routes: PathBuf,
    /// The neighbour table in the format of `/proc/net/arp`.
    pub neighbours: PathBuf,
    /// The resolver's configuration, see `resolv.conf(5)`.
    pub resolv_conf: PathBuf,
}

impl Default for LocalPaths {
    fn default() -> Self {
        Self {
            ipv4_routes: "/proc/thread-self/net/route".into(),
            ipv6_routes: "/proc/thread-self/net/ipv6_route".into(),
            neighbours: "/proc/thread-self/net/arp".into(),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }
}

/// Most bytes read of one file: a routing table of about 30,000 entries; the rest is not seen.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads interfaces, default routes (the preferred one first) and resolvers.
///
/// What is absent or unreadable is empty, not an error: a host without `/etc/resolv.conf` has no
/// resolver.
///
/// # Examples
///
/// ```
/// let local = sojourner_probe::local::read();
/// assert!(local.default_routes.is_sorted_by_key(|route| route.metric));
/// ```
pub fn read() -> LocalNetwork {
    read_from(&LocalPaths::default())
}

/// The same as [`read`], from other files.
pub fn read_from(paths: &LocalPaths) -> LocalNetwork {
    let found = netdev::get_interfaces();
    let mut default_routes: Vec<Route> = routes_from(paths)
        .into_iter()
        .filter(RouteEntry::is_default)
        .map(|entry| Route {
            gateway: entry.gateway,
            interface: entry.interface,
            metric: entry.metric,
        })
        .collect();
    if cfg!(not(any(target_os = "linux", target_os = "android"))) {
        default_routes = found.iter().flat_map(gateways_of).collect();
    }
    default_routes.sort_by_key(|route| route.metric);
    let resolvers = read_bounded(&paths.resolv_conf)
        .map(|text| parse_resolv_conf(&text, &paths.resolv_conf.display().to_string()))
        .unwrap_or_default();
    LocalNetwork { interfaces: found.iter().map(interface).collect(), default_routes, resolvers }
}

/// Every route of the kernel's main tables, in their order; empty where there is no such file.
pub fn routes() -> Vec<RouteEntry> {
    routes_from(&LocalPaths::default())
}

/// The next hop towards `addr`, by the longest prefix and then the lowest metric; `None` when it is
/// on the link or when there is no route. Policy routing is not looked at.
pub fn gateway_for(routes: &[RouteEntry], addr: IpAddr) -> Option<IpAddr> {
    routes
        .iter()
        .filter(|entry| entry.holds(addr))
        .max_by_key(|entry| (entry.prefix, std::cmp::Reverse(entry.metric)))
        .and_then(|entry| entry.gateway)
}

/// Whether the link layer knows an IPv4 neighbour: `Some(false)` when it was asked for and did not
/// answer, `None` when it was never asked for, or where no table tells.
///
/// A known neighbour may have died since: the kernel asks again only after a while.
pub fn neighbour_known(addr: IpAddr) -> Option<bool> {
    let text = read_bounded(&LocalPaths::default().neighbours).ok()?;
    route::parse_neighbour(&text, addr)
}

fn routes_from(paths: &LocalPaths) -> Vec<RouteEntry> {
    let mut routes =
        read_bounded(&paths.ipv4_routes).map(|text| parse_ipv4_routes(&text)).unwrap_or_default();
    routes.extend(
        read_bounded(&paths.ipv6_routes).map(|text| parse_ipv6_routes(&text)).unwrap_or_default(),
    );
    routes
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn interface(found: &netdev::Interface) -> Interface {
    let v4 = found.ipv4.iter().map(ToString::to_string);
    let v6 = found.ipv6.iter().map(ToString::to_string);
    Interface {
        name: found.name.clone(),
        index: found.index,
        up: found.is_up(),
        // The kernel may tell of a fresh carrier up to a second before it calls the link running.
        running: found.is_running()
            || (cfg!(any(target_os = "linux", target_os = "android"))
                && found.flags & IFF_LOWER_UP != 0),
        loopback: found.is_loopback(),
        mtu: found.mtu,
        addrs: v4.chain(v6).collect(),
    }
}

/// The link has a carrier (`linux/if.h`).
const IFF_LOWER_UP: u32 = 1 << 16;

fn gateways_of(found: &netdev::Interface) -> Vec<Route> {
    let Some(gateway) = &found.gateway else { return Vec::new() };
    let v4 = gateway.ipv4.iter().copied().map(IpAddr::V4);
    let v6 = gateway.ipv6.iter().copied().map(IpAddr::V6);
    v4.chain(v6)
        .map(|gateway| Route {
            gateway: Some(gateway),
            interface: found.name.clone(),
            metric: u32::from(!found.default),
        })
        .collect()
}

#[cfg(test)]
mod tests;
