//! Interfaces, addresses and routes of a host, by netlink.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use futures_util::TryStreamExt;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::link::LinkAttribute;
use netlink_packet_route::route::{RouteMessage, RouteType};
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder, RouteNextHopBuilder};

use super::Host;
use crate::fail::{OrFail, fail};

/// An address with the length of its network's prefix: `10.0.0.1/24`, `fd00::1/64`, `default`
/// (IPv4 only; `::/0` for IPv6). Without a length it is a whole address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub addr: IpAddr,
    /// How many of its leading bits name the network.
    pub bits: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = if text == "default" { "0.0.0.0/0" } else { text };
        let (addr, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let addr: IpAddr = addr.parse().map_err(|error| format!("{error}: {text}"))?;
        let all = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(|error| format!("{error}: {text}"))?;
        if bits > all {
            Err(format!("more than {all} bits: {text}"))
        } else {
            Ok(Self { addr, bits })
        }
    }
}

/// One end of a link: an interface of a host.
#[derive(Clone, Debug)]
pub struct Iface {
    host: Host,
    name: String,
    index: u32,
    addresses: Vec<IpAddr>,
}

impl Iface {
    /// The host it belongs to.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its name on the host: `eth0`, `eth1`...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index on the host, for `SO_BINDTOIFINDEX` or an IPv6 scope.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The first IPv4 address that was added; panics if there is none.
    pub fn v4(&self) -> IpAddr {
        self.first(IpAddr::is_ipv4)
    }

    /// The first IPv6 address that was added; panics if there is none.
    pub fn v6(&self) -> IpAddr {
        self.first(IpAddr::is_ipv6)
    }

    fn first(&self, wanted: impl Fn(&IpAddr) -> bool) -> IpAddr {
        let found = self.addresses.iter().copied().find(wanted);
        found.or_fail(&format!("{} of {:?} has no such address", self.name, self.host))
    }

    /// Adds an address such as `192.0.2.1/24`; usable at once, also if it is an IPv6 one.
    pub fn add_address(&mut self, address: &str) {
        let Prefix { addr, bits } = address.parse().or_fail("an address");
        let mut request = self.host.inner.netlink.address().add(self.index, addr, bits);
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        let done = self.host.inner.runtime.block_on(request.execute());
        done.or_fail(&format!("add {address} to {} of {:?}", self.name, self.host));
        self.addresses.push(addr);
    }

    /// Brings the interface up.
    pub fn up(&self) {
        self.host.set_link_up(self.index);
    }

    /// Takes the interface down: its routes go, and the other end loses its carrier.
    pub fn down(&self) {
        self.set(LinkUnspec::new_with_index(self.index).down(), "take down");
    }

    /// Sets the largest IP packet it sends, in bytes.
    pub fn set_mtu(&self, bytes: u32) {
        self.set(LinkUnspec::new_with_index(self.index).mtu(bytes), "set the MTU of");
    }

    fn set(&self, change: rtnetlink::LinkMessageBuilder<LinkUnspec>, what: &str) {
        let request = self.host.inner.netlink.link().set(change.build());
        let done = self.host.inner.runtime.block_on(request.execute());
        done.or_fail(&format!("{what} {} of {:?}", self.name, self.host));
    }
}

impl Host {
    /// Makes an Ethernet cable between two hosts: both ends up, no addresses.
    pub(crate) fn wire(&self, other: &Self) -> (Iface, Iface) {
        let near = self.next_name();
        let far = other.next_name();
        // Where the far end is born, its own name may be taken; nothing else is called this.
        let passing = "passing";
        let netlink = &self.inner.netlink;
        let netlink_far = &other.inner.netlink;
        let work = async {
            netlink.link().add(LinkVeth::new(&near, passing).build()).execute().await?;
            let index = index_of(netlink, passing).await?;
            let goes = LinkUnspec::new_with_index(index).setns_by_fd(other.inner.net.as_raw_fd());
            netlink.link().set(goes.build()).execute().await?;
            let far_index = index_of(netlink_far, passing).await?;
            let named = LinkUnspec::new_with_index(far_index).name(&far);
            netlink_far.link().set(named.build()).execute().await?;
            Ok::<_, rtnetlink::Error>((index_of(netlink, &near).await?, far_index))
        };
        let made = self.inner.runtime.block_on(work);
        let (near_index, far_index) = made.or_fail(&format!("wire {self:?} to {other:?}"));
        let end = |host: &Self, name, index| {
            host.set_link_up(index);
            Iface { host: host.clone(), name, index, addresses: Vec::new() }
        };
        (end(self, near, near_index), end(other, far, far_index))
    }

    fn next_name(&self) -> String {
        format!("eth{}", self.inner.interfaces.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn set_link_up(&self, index: u32) {
        let request = self.inner.netlink.link().set(LinkUnspec::new_with_index(index).up().build());
        let done = self.inner.runtime.block_on(request.execute());
        done.or_fail(&format!("bring up interface {index} of {self:?}"));
    }

    /// Adds a route to a network such as `10.1.0.0/16`, `default` or `::/0` through the gateway
    /// `via`.
    pub fn route(&self, to: &str, via: IpAddr) {
        let prefix: Prefix = to.parse().or_fail("a network");
        let what = format!("route {to} via {via}");
        let message = match (prefix.addr, via) {
            (IpAddr::V4(to), IpAddr::V4(via)) => route_v4(to, prefix.bits).gateway(via).build(),
            (IpAddr::V6(to), IpAddr::V6(via)) => route_v6(to, prefix.bits).gateway(via).build(),
            _ => fail(&format!("{what}: mixed families")),
        };
        self.add_route(message, &what);
    }

    /// Adds a route that spreads flows over several gateways (ECMP), by addresses and ports.
    pub fn multipath_route(&self, to: &str, via: &[IpAddr]) {
        let prefix: Prefix = to.parse().or_fail("a network");
        let what = format!("route {to} via {via:?}");
        let family = if prefix.addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let hops: Vec<_> = via
            .iter()
            .map(|&via| RouteNextHopBuilder::new(family).via(via).or_fail(&what).build())
            .collect();
        let message = match prefix.addr {
            IpAddr::V4(to) => route_v4(to, prefix.bits).multipath(hops).build(),
            IpAddr::V6(to) => route_v6(to, prefix.bits).multipath(hops).build(),
        };
        self.sysctl("net.ipv4.fib_multipath_hash_policy", "1");
        self.sysctl("net.ipv6.fib_multipath_hash_policy", "1");
        self.add_route(message, &what);
    }

    /// Adds a route that swallows packets without a word.
    pub fn blackhole_route(&self, to: &str) {
        self.dead_route(to, RouteType::BlackHole);
    }

    /// Adds a route that answers packets with "host unreachable" (IPv4) or "no route" (IPv6).
    pub fn unreachable_route(&self, to: &str) {
        self.dead_route(to, RouteType::Unreachable);
    }

    /// Adds a route that answers packets with "administratively prohibited".
    pub fn prohibit_route(&self, to: &str) {
        self.dead_route(to, RouteType::Prohibit);
    }

    fn dead_route(&self, to: &str, kind: RouteType) {
        let prefix: Prefix = to.parse().or_fail("a network");
        let what = format!("route {to} to {kind:?}");
        let message = match prefix.addr {
            IpAddr::V4(to) => route_v4(to, prefix.bits).kind(kind).build(),
            // The kernel wants a device even here; any will do.
            IpAddr::V6(to) => route_v6(to, prefix.bits).kind(kind).output_interface(1).build(),
        };
        self.add_route(message, &what);
    }

    fn add_route(&self, message: RouteMessage, what: &str) {
        let request = self.inner.netlink.route().add(message).replace();
        let done = self.inner.runtime.block_on(request.execute());
        done.or_fail(&format!("{what} on {self:?}"));
    }
}

fn route_v4(to: Ipv4Addr, bits: u8) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, bits)
}

fn route_v6(to: Ipv6Addr, bits: u8) -> RouteMessageBuilder<Ipv6Addr> {
    RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, bits)
}

/// The index of the interface called `name`.
async fn index_of(netlink: &rtnetlink::Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = netlink.link().get().match_name(name.to_owned()).execute();
    let found = links.try_next().await?;
    let named =
        |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(n) if n == name);
    let found = found.filter(|link| link.attributes.iter().any(named));
    Ok(found.map(|link| link.header.index).or_fail(&format!("no interface is called {name}")))
}
