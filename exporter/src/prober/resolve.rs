//! From a target's name to one address.

use std::net::IpAddr;

use super::Reason;
use crate::config::AddressChoice;

/// The addresses of `host` in the system's order; a literal address is its own.
///
/// The error holds the reason and what the system said.
pub(crate) async fn lookup(host: &str) -> Result<Vec<IpAddr>, (Reason, String)> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(addr) = literal.parse() {
        return Ok(vec![addr]);
    }
    if host.is_empty() || host.contains(['/', ' ', '\0']) {
        return Err((Reason::InvalidTarget, "it is no host name".to_owned()));
    }
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => Ok(found.map(|addr| addr.ip()).collect()),
        Err(error) => {
            let said = error.to_string();
            Err((reason(&said), said))
        }
    }
}

/// The standard library hides the resolver's error number; its text is all there is.
fn reason(said: &str) -> Reason {
    if said.contains("not known") || said.contains("nodename nor servname") {
        Reason::DnsNxdomainError
    } else if said.contains("No address associated") {
        Reason::DnsNoAnswer
    } else if said.contains("Temporary failure") || said.contains("Try again") {
        Reason::DnsTemporaryFailure
    } else {
        Reason::DnsNonRecoverableFailure
    }
}

/// The first address of the preferred family, or, where that is allowed, of the other.
pub(super) fn choose(addrs: &[IpAddr], choice: AddressChoice) -> Option<IpAddr> {
    let preferred = addrs.iter().find(|addr| choice.preferred.has(**addr));
    preferred.or_else(|| addrs.first().filter(|_| choice.fallback)).copied()
}

/// The 32-bit FNV-1a hash of an address's bytes, 4 or 16 of them: it changes when the address does.
pub(super) fn hash(addr: IpAddr) -> u32 {
    let fold = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME);
    match addr {
        IpAddr::V4(v4) => v4.octets().iter().fold(FNV_OFFSET, fold),
        IpAddr::V6(v6) => v6.octets().iter().fold(FNV_OFFSET, fold),
    }
}

/// RFC 9923, section 6.1 (the FNV parameters for 32 bits).
const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Family;

    #[test]
    fn the_hash_is_fnv_1a_over_the_raw_bytes() {
        // FNV-1a of the bytes 00 00 00 00 and of 16 zero bytes, computed by hand: xor with 0
        // leaves only the multiplications.
        let powers = |n: u32| (0..n).fold(FNV_OFFSET, |hash, _| hash.wrapping_mul(FNV_PRIME));
        assert_eq!(hash("0.0.0.0".parse().unwrap()), powers(4));
        assert_eq!(hash("::".parse().unwrap()), powers(16));
        // The published test vector for "foob" (66 6f 6f 62).
        assert_eq!(hash("102.111.111.98".parse().unwrap()), 0x3f50_76ef);
    }

    #[test]
    fn the_preferred_family_is_taken_and_the_other_only_when_allowed() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let pick = |addrs: &[IpAddr], preferred, fallback| {
            choose(addrs, AddressChoice { preferred, fallback })
        };
        assert_eq!(pick(&[v4, v6], Family::V6, true), Some(v6));
        assert_eq!(pick(&[v4, v6], Family::V4, false), Some(v4));
        assert_eq!(pick(&[v4], Family::V6, true), Some(v4));
        assert_eq!(pick(&[v4], Family::V6, false), None);
        assert_eq!(pick(&[], Family::V6, true), None);
    }

    #[test]
    fn what_the_system_says_is_sorted_into_the_vocabulary() {
        for (said, wanted) in [
            (
                "failed to lookup address information: Name or service not known",
                Reason::DnsNxdomainError,
            ),
            (
                "failed to lookup address information: No address associated with hostname",
                Reason::DnsNoAnswer,
            ),
            (
                "failed to lookup address information: Temporary failure in name resolution",
                Reason::DnsTemporaryFailure,
            ),
            ("anything else", Reason::DnsNonRecoverableFailure),
        ] {
            assert_eq!(reason(said), wanted, "{said}");
        }
    }
}
