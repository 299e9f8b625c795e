//! The stable labels of what can be wrong.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! causes {
    ($($variant:ident $label:literal $doc:literal)*) => {
        /// Why something is as it is: the public, stable label of a finding.
        ///
        /// Labels are added, never renamed. [`Cause::ALL`] lists them in the order of the design.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $(#[doc = $doc] $variant,)*
        }

        impl Cause {
            /// Every cause, in the order of the design.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable label, such as `dns_server_down`.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }

            /// What the label says, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)*
                }
            }
        }
    };
}

causes! {
    Healthy "healthy" "Nothing is wrong."
    NoInterface "no_interface" "No interface is up."
    NoAddress "no_address" "No interface has a usable address."
    NoRoute "no_route" "There is no route to the target."
    GatewayDown "gateway_down" "The gateway does not answer."
    InternetDown "internet_down" "The gateway answers, nothing beyond it does."
    HostUnreachable "host_unreachable" "The target's host cannot be reached, others can."
    PacketLoss "packet_loss" "Packets are lost."
    BurstyLoss "bursty_loss" "Packets are lost in bursts."
    Corruption "corruption" "Packets arrive changed."
    Reordering "reordering" "Packets arrive out of order."
    HighLatency "high_latency" "Round trips take long."
    HighJitter "high_jitter" "Round trips vary much."
    Bufferbloat "bufferbloat" "Round trips grow under load."
    SlowLink "slow_link" "A link is slow."
    LinkFlapping "link_flapping" "An interface goes up and down."
    RouteLoop "route_loop" "Routers send packets in a circle."
    PathChanged "path_changed" "The path is another than before."
    EcmpBranchBad "ecmp_branch_bad" "One of several parallel paths is bad."
    MtuBlackhole "mtu_blackhole" "Packets above a size vanish."
    DnsServerDown "dns_server_down" "No resolver answers."
    DnsResolverDown "dns_resolver_down" "One of several resolvers does not answer."
    DnsRefused "dns_refused" "The resolver refuses the question."
    DnsServfail "dns_servfail" "The resolver fails to answer the question."
    DnsSlow "dns_slow" "The resolver is slow."
    DnsNoSuchName "dns_no_such_name" "The name does not exist."
    DnsAaaaBroken "dns_aaaa_broken" "Questions for IPv6 addresses are not answered."
    DnsHostsOverride "dns_hosts_override" "The hosts file overrides the name."
    DnsHijackRewrite "dns_hijack_rewrite" "The resolver answers with another's addresses."
    DnsHijackInjected "dns_hijack_injected" "Somebody on the path answers first."
    DnsHijackNxdomain "dns_hijack_nxdomain" "Names that do not exist are given addresses."
    DnsIntercepted "dns_intercepted" "Questions to any server are answered by another."
    DnsTtlTampered "dns_ttl_tampered" "Lifetimes of records are rewritten."
    DnsBogus "dns_bogus" "Signatures of records do not hold."
    EncryptedDnsBlocked "encrypted_dns_blocked" "DNS over TLS or HTTPS is blocked."
    CaptivePortal "captive_portal" "A captive portal wants a login."
    TcpRefused "tcp_refused" "The host refuses connections to the port."
    TcpFiltered "tcp_filtered" "Connections to the port get no answer."
    TcpReset "tcp_reset" "Connections are reset."
    ServerHung "server_hung" "The server accepts and says nothing."
    ServerSlow "server_slow" "The server answers slowly."
    ServerSlowFirst "server_slow_first" "The server's first answer is slow."
    ServerOverloaded "server_overloaded" "The server turns work away."
    ServerPartialOutage "server_partial_outage" "Some of the server's addresses are down."
    TlsNameMismatch "tls_name_mismatch" "The certificate is for another name."
    TlsExpired "tls_expired" "The certificate has expired."
    TlsUntrusted "tls_untrusted" "The certificate's issuer is not trusted."
    TlsIntercepted "tls_intercepted" "Somebody on the path presents another certificate."
    SniBlocked "sni_blocked" "Connections that name the server are cut."
    HttpError "http_error" "The server answers with an error."
    TcpTampered "tcp_tampered" "TCP options are changed on the path."
    MssClamped "mss_clamped" "The segment size is lowered on the path."
    Ipv6Broken "ipv6_broken" "IPv6 does not work, IPv4 does."
    Ipv4Broken "ipv4_broken" "IPv4 does not work, IPv6 does."
    Ipv4LiteralOnIpv6Only "ipv4_literal_on_ipv6_only" "An IPv4 address was used where only IPv6 is."
    IcmpFiltered "icmp_filtered" "ICMP is filtered; the service works."
    IcmpRateLimited "icmp_rate_limited" "ICMP answers are rate limited."
    NatIdleTimeout "nat_idle_timeout" "A NAT forgets idle connections."
    HalfOpen "half_open" "A connection is dead and one end does not know."
    ClockSkew "clock_skew" "This host's clock is wrong."
}

/// The text is no cause's label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known cause")]
pub struct UnknownCause(pub String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(text: &str) -> Result<Self, UnknownCause> {
        Self::ALL
            .iter()
            .copied()
            .find(|cause| cause.label() == text)
            .ok_or_else(|| UnknownCause(text.to_owned()))
    }
}

impl Serialize for Cause {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_unique_and_parses_back() {
        for (i, &cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause.label().parse(), Ok(cause));
            assert!(Cause::ALL[..i].iter().all(|other| other.label() != cause.label()), "{cause}");
        }
        assert!("dns_server_dow".parse::<Cause>().is_err());
    }
}
