//! The lab itself, and the networks that tests share.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::host::{Host, Iface};

/// A laboratory for one test; [`isolated`](crate::isolated) hands it out.
#[derive(Debug)]
pub struct Lab {
    links: AtomicU16,
}

/// A link between two hosts, with an address of each family at both ends.
#[derive(Clone, Debug)]
pub struct Link {
    /// The end at the first host: `10.0.n.1/24` and `fd00:0:0:n::1/64`, for the n-th link.
    pub a: Iface,
    /// The end at the second host: `10.0.n.2/24` and `fd00:0:0:n::2/64`.
    pub b: Iface,
}

/// A line of routers; see [`Lab::chain`].
#[derive(Clone, Debug)]
pub struct Chain {
    /// The host before the first router.
    pub client: Host,
    /// The routers, the client's neighbour first.
    pub routers: Vec<Host>,
    /// The host behind the last router.
    pub server: Host,
    /// The links from left to right; `a` is the client's side. One more than there are routers.
    pub links: Vec<Link>,
}

impl Chain {
    /// The client's IPv4 address.
    pub fn client_v4(&self) -> std::net::IpAddr {
        self.links[0].a.v4()
    }

    /// The client's IPv6 address.
    pub fn client_v6(&self) -> std::net::IpAddr {
        self.links[0].a.v6()
    }

    /// The server's IPv4 address.
    pub fn server_v4(&self) -> std::net::IpAddr {
        self.links[self.routers.len()].b.v4()
    }

    /// The server's IPv6 address.
    pub fn server_v6(&self) -> std::net::IpAddr {
        self.links[self.routers.len()].b.v6()
    }

    /// The address with which the `ttl`-th hop answers a trace from the client, from 1; the server
    /// answers last.
    pub fn hop_v4(&self, ttl: usize) -> std::net::IpAddr {
        self.links[ttl - 1].b.v4()
    }

    /// The same for IPv6.
    pub fn hop_v6(&self, ttl: usize) -> std::net::IpAddr {
        self.links[ttl - 1].b.v6()
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { links: AtomicU16::new(0) }
    }

    /// Makes a host that forwards nothing.
    pub fn host(&self, name: &str) -> Host {
        Host::new(name)
    }

    /// Makes a host that forwards both families.
    pub fn router(&self, name: &str) -> Host {
        let host = Host::new(name);
        host.set_forwarding(true);
        host
    }

    /// Connects two hosts without addresses; both ends are up.
    pub fn wire(&self, a: &Host, b: &Host) -> (Iface, Iface) {
        a.wire(b)
    }

    /// Connects two hosts, with addresses of both families: see [`Link`].
    pub fn link(&self, a: &Host, b: &Host) -> Link {
        let (a, b) = a.wire(b);
        self.number(a, b)
    }

    /// Gives both ends of a cable the addresses of the next link.
    pub(crate) fn number(&self, mut a: Iface, mut b: Iface) -> Link {
        let n = self.links.fetch_add(1, Ordering::Relaxed);
        let [high, low] = n.to_be_bytes();
        for (end, last) in [(&mut a, 1), (&mut b, 2)] {
            end.add_address(&format!("10.{high}.{low}.{last}/24"));
            end.add_address(&format!("fd00:0:0:{n:x}::{last}/64"));
        }
        Link { a, b }
    }

    /// Makes `client - r1 - ... - rn - server` with routes for both families. The first link of a
    /// lab is number 0, so in a fresh one hop 1 is `10.0.0.2`, hop 2 `10.0.1.2`, and so on up to
    /// the server at `10.0.n.2` (`fd00:0:0:n::2`).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # sojourner_lab::isolated(|lab| {
    /// let chain = lab.chain(8);
    /// assert_eq!(chain.hop_v4(9), chain.server_v4());
    /// # });
    /// ```
    pub fn chain(&self, routers: usize) -> Chain {
        self.chain_of(routers, |_, a, b| self.link(a, b))
    }

    /// Makes a chain whose links come from `connect`: number (from 0), left host, right host.
    pub(crate) fn chain_of(
        &self,
        routers: usize,
        mut connect: impl FnMut(usize, &Host, &Host) -> Link,
    ) -> Chain {
        let client = self.host("client");
        let routers: Vec<_> = (1..=routers).map(|n| self.router(&format!("r{n}"))).collect();
        let server = self.host("server");
        let line: Vec<&Host> = [&client].into_iter().chain(&routers).chain([&server]).collect();
        let links: Vec<_> =
            line.windows(2).enumerate().map(|(n, pair)| connect(n, pair[0], pair[1])).collect();
        if let ([first, ..], [.., last]) = (&links[..], &links[..])
            && links.len() > 1
        {
            for (host, gateway) in [(&client, &first.b), (&server, &last.a)] {
                host.route("0.0.0.0/0", gateway.v4());
                host.route("::/0", gateway.v6());
            }
        }
        for (n, router) in routers.iter().enumerate() {
            // Router n stands between links n and n + 1.
            let (left, right) = (&links[n].a, &links[n + 1].b);
            let before = links[..n].iter().map(|link| (link, left));
            let behind = links[n + 2..].iter().map(|link| (link, right));
            for (link, gateway) in before.chain(behind) {
                router.route(&format!("{}/24", network(link.a.v4())), gateway.v4());
                router.route(&format!("{}/64", network(link.a.v6())), gateway.v6());
            }
        }
        Chain { client, routers, server, links }
    }
}

/// The address of the /24 or /64 that `addr` lies in.
pub(crate) fn network(addr: std::net::IpAddr) -> std::net::IpAddr {
    match addr {
        std::net::IpAddr::V4(v4) => (v4 & std::net::Ipv4Addr::new(255, 255, 255, 0)).into(),
        std::net::IpAddr::V6(v6) => (v6 & std::net::Ipv6Addr::from(u128::MAX << 64)).into(),
    }
}
