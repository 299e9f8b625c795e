//! What this host knows of its own network.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What this host knows of its own network at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalNetwork {
    /// Interfaces in the system's order, loopback included.
    pub interfaces: Vec<Interface>,
    /// Default routes, the preferred one first.
    pub default_routes: Vec<Route>,
    /// Resolvers in the order they are asked.
    pub resolvers: Vec<Resolver>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The system's name, such as `wlan0`.
    pub name: String,
    /// The system's number.
    pub index: u32,
    /// Administratively up.
    pub up: bool,
    /// A cable is in, a radio is associated.
    pub running: bool,
    /// The loopback interface.
    pub loopback: bool,
    /// Maximum transmission unit, bytes, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Addresses in the system's order, as `address/prefix`.
    pub addrs: Vec<String>,
}

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The next hop; absent on a point-to-point link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Through which interface.
    pub interface: String,
    /// Lower is preferred.
    pub metric: u32,
}

/// A resolver this host is configured to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where this host learnt it, such as `/etc/resolv.conf`.
    pub from: String,
}

/// This host's network changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkChange {
    /// What changed, in one phrase, such as `wlan0 down`.
    pub what: String,
}
