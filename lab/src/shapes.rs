//! Networks with more than one way, or with a translator in it.

use std::fs;
use std::io;

use crate::fail::OrFail;
use crate::topology::network;
use crate::{Host, Lab, Link};

/// Several ways between two routers; see [`Lab::parallel_paths`].
#[derive(Clone, Debug)]
pub struct ParallelPaths {
    /// The host before the paths.
    pub client: Host,
    /// The router at which they part.
    pub split: Host,
    /// The routers on them, one each.
    pub branches: Vec<Host>,
    /// The router at which they meet.
    pub join: Host,
    /// The host behind them.
    pub server: Host,
    /// From the client to the split.
    pub client_link: Link,
    /// From the split to each branch.
    pub split_links: Vec<Link>,
    /// From each branch to the join.
    pub join_links: Vec<Link>,
    /// From the join to the server.
    pub server_link: Link,
}

impl ParallelPaths {
    /// How many packets of both families each branch has forwarded.
    pub fn forwarded(&self) -> Vec<u64> {
        self.branches.iter().map(Host::forwarded).collect()
    }
}

/// A home network behind a translator; see [`Lab::nat_lan`].
#[derive(Clone, Debug)]
pub struct NatLan {
    /// The host inside.
    pub client: Host,
    /// The translating gateway.
    pub gateway: Host,
    /// The host outside; it has no route to the inside.
    pub server: Host,
    /// From the client (`a`) to the gateway.
    pub inside: Link,
    /// From the gateway (`a`: the address that the server sees) to the server.
    pub outside: Link,
}

impl Lab {
    /// Makes `client - split - n branches - join - server`, where both routers at the ends spread
    /// flows over the branches by addresses and ports.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # sojourner_lab::isolated(|lab| {
    /// let paths = lab.parallel_paths(2);
    /// // ... many flows from `paths.client` to `paths.server_link.b.v4()` ...
    /// assert!(paths.forwarded().iter().all(|&packets| packets > 0));
    /// # });
    /// ```
    pub fn parallel_paths(&self, n: usize) -> ParallelPaths {
        let (client, server) = (self.host("client"), self.host("server"));
        let (split, join) = (self.router("split"), self.router("join"));
        let branches: Vec<_> = (1..=n).map(|n| self.router(&format!("branch {n}"))).collect();
        let client_link = self.link(&client, &split);
        let split_links: Vec<_> = branches.iter().map(|b| self.link(&split, b)).collect();
        let join_links: Vec<_> = branches.iter().map(|b| self.link(b, &join)).collect();
        let server_link = self.link(&join, &server);
        for v4 in [true, false] {
            let (all, bits) = if v4 { ("0.0.0.0/0", 24) } else { ("::/0", 64) };
            let a = |link: &Link| if v4 { link.a.v4() } else { link.a.v6() };
            let b = |link: &Link| if v4 { link.b.v4() } else { link.b.v6() };
            client.route(all, b(&client_link));
            server.route(all, a(&server_link));
            let ways: Vec<_> = split_links.iter().map(b).collect();
            split.multipath_route(all, &ways);
            let back: Vec<_> = join_links.iter().map(a).collect();
            join.multipath_route(all, &back);
            for ((branch, left), right) in branches.iter().zip(&split_links).zip(&join_links) {
                branch.route(&format!("{}/{bits}", network(a(&client_link))), a(left));
                branch.route(&format!("{}/{bits}", network(b(&server_link))), b(right));
            }
        }
        ParallelPaths {
            client,
            split,
            branches,
            join,
            server,
            client_link,
            split_links,
            join_links,
            server_link,
        }
    }

    /// Makes `client - gateway - server`, where the gateway hides the client behind its own
    /// address, in both families.
    ///
    /// # Errors
    ///
    /// Why there can be no translation here, for a test that then prints it and returns: the
    /// command `nft` is missing, or the kernel knows no `masquerade`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # sojourner_lab::isolated(|lab| {
    /// let lan = match lab.nat_lan() {
    ///     Ok(lan) => lan,
    ///     Err(why) => return println!("skipped: {why}"),
    /// };
    /// // The server sees `lan.outside.a.v4()` for `lan.inside.a.v4()`.
    /// # });
    /// ```
    pub fn nat_lan(&self) -> Result<NatLan, String> {
        const RULES: &str = "add table inet lab; \
             add chain inet lab out { type nat hook postrouting priority 100; }; \
             add rule inet lab out oifname eth1 masquerade";
        let (client, server) = (self.host("client"), self.host("server"));
        let gateway = self.router("gateway");
        let inside = self.link(&client, &gateway);
        let outside = self.link(&gateway, &server);
        client.route("0.0.0.0/0", inside.b.v4());
        client.route("::/0", inside.b.v6());
        let run = gateway.command("nft").arg(RULES).output();
        let done = run.map_err(|error| format!("no address translation without `nft`: {error}"))?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            return Err(format!("`nft` cannot translate addresses here: {}", why.trim()));
        }
        Ok(NatLan { client, gateway, server, inside, outside })
    }
}

impl Host {
    /// How many packets of both families it has forwarded.
    pub fn forwarded(&self) -> u64 {
        self.run(forwarded).or_fail("read the counters of a host")
    }
}

/// The counters of the namespace that this thread is in.
fn forwarded() -> io::Result<u64> {
    let v4 = fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut ip = v4.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (ip.next().unwrap_or_default(), ip.next().unwrap_or_default());
    let mut v4 = names.split(' ').zip(values.split(' '));
    let v4 = v4.find(|(name, _)| *name == "ForwDatagrams").map(|(_, value)| value);
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let v6 = v6.lines().find_map(|line| line.strip_prefix("Ip6OutForwDatagrams"));
    let count = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    Ok(count(v4) + count(v6))
}
