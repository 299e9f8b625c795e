//! ICMP echo and errors, the same words for IPv4 (RFC 792) and IPv6 (RFC 4443).

use sojourner_stats::event::IcmpUnreachable;

/// Which ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// ICMP (RFC 792).
    V4,
    /// ICMPv6 (RFC 4443).
    V6,
}

/// An echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Request or reply.
    pub kind: EchoKind,
    /// The identifier; the kernel chooses it on datagram sockets.
    pub ident: u16,
    /// The sequence number.
    pub seq: u16,
    /// What the request carries and the reply returns.
    pub payload: &'a [u8],
}

/// Request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoKind {
    /// Type 8, or 128 for IPv6.
    Request,
    /// Type 0, or 129 for IPv6.
    Reply,
}

/// Bytes before the payload: type, code, checksum, identifier, sequence number.
pub const HEADER_BYTES: usize = 8;

impl<'a> Echo<'a> {
    /// Reads an echo from the bytes of an ICMP message; `None` for any other message, and for one
    /// too short. Checksums are the kernel's business: it delivers no message with a wrong one.
    pub fn parse(family: Family, message: &'a [u8]) -> Option<Self> {
        let (header, payload) = message.split_first_chunk::<HEADER_BYTES>()?;
        let &[icmp_type, code, _, _, ident_0, ident_1, seq_0, seq_1] = header;
        let kind = match (family, icmp_type) {
            (Family::V4, 8) | (Family::V6, 128) => EchoKind::Request,
            (Family::V4, 0) | (Family::V6, 129) => EchoKind::Reply,
            _ => return None,
        };
        let ident = u16::from_be_bytes([ident_0, ident_1]);
        let seq = u16::from_be_bytes([seq_0, seq_1]);
        (code == 0).then_some(Self { kind, ident, seq, payload })
    }

    /// Writes the message into `out`, which it replaces. The checksum is filled in for IPv4; for
    /// IPv6, whose checksum covers addresses, the kernel does it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sojourner_probe::wire::icmp::{Echo, EchoKind, Family};
    /// let echo = Echo { kind: EchoKind::Request, ident: 7, seq: 1, payload: b"sojourner" };
    /// let mut message = Vec::new();
    /// echo.emit(Family::V4, &mut message);
    /// assert_eq!(Echo::parse(Family::V4, &message), Some(echo));
    /// assert_eq!(Echo::parse(Family::V6, &message), None, "8 is no echo there");
    /// ```
    pub fn emit(&self, family: Family, out: &mut Vec<u8>) {
        let icmp_type = match (family, self.kind) {
            (Family::V4, EchoKind::Request) => 8,
            (Family::V4, EchoKind::Reply) => 0,
            (Family::V6, EchoKind::Request) => 128,
            (Family::V6, EchoKind::Reply) => 129,
        };
        let ([ident_0, ident_1], [seq_0, seq_1]) =
            (self.ident.to_be_bytes(), self.seq.to_be_bytes());
        out.clear();
        out.extend_from_slice(&[icmp_type, 0, 0, 0, ident_0, ident_1, seq_0, seq_1]);
        out.extend_from_slice(self.payload);
        if family == Family::V4 {
            let sum = checksum(out).to_be_bytes();
            out[2..4].copy_from_slice(&sum);
        }
    }
}

/// What an ICMP error says, or `None` for a message that is no error. `mtu` is what "too big"
/// carries, 0 when it does not.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::wire::icmp::{self, Family};
/// # use sojourner_stats::event::IcmpUnreachable;
/// assert_eq!(icmp::error(Family::V4, 3, 3, 0), Some(IcmpUnreachable::Port));
/// assert_eq!(icmp::error(Family::V6, 2, 0, 1280), Some(IcmpUnreachable::TooBig { mtu: 1280 }));
/// assert_eq!(icmp::error(Family::V4, 0, 0, 0), None, "an echo reply");
/// ```
pub const fn error(family: Family, icmp_type: u8, code: u8, mtu: u32) -> Option<IcmpUnreachable> {
    use IcmpUnreachable as Is;
    Some(match (family, icmp_type, code) {
        (Family::V4, 3, 0 | 6) | (Family::V6, 1, 0) => Is::Network,
        (Family::V4, 3, 1 | 7) | (Family::V6, 1, 3) => Is::Host,
        (Family::V4, 3, 2) => Is::Protocol,
        (Family::V4, 3, 3) | (Family::V6, 1, 4) => Is::Port,
        (Family::V4, 3, 4) | (Family::V6, 2, _) => Is::TooBig { mtu },
        (Family::V4, 3, 9 | 10 | 13) | (Family::V6, 1, 1 | 5 | 6) => Is::Prohibited,
        (Family::V4, 11, 0) | (Family::V6, 3, 0) => Is::TtlExceeded,
        (Family::V4, 3 | 4 | 11 | 12, _) | (Family::V6, 1..=127, _) => {
            Is::Other { icmp_type, code }
        }
        _ => return None,
    })
}

/// Skips the header of an IPv4 packet, as raw sockets deliver it.
///
/// Returns what follows; `None` when it is no IPv4 header.
pub fn skip_ipv4(packet: &[u8]) -> Option<&[u8]> {
    let &first = packet.first()?;
    let header_bytes = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_bytes < 20 {
        return None;
    }
    packet.get(header_bytes..)
}

/// The first bytes of a payload: which run of ours sent it, and as which packet.
///
/// The run's half is random, so neither another process's packets nor a stranger's are taken for
/// ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Random, one a run.
    pub run: u64,
    /// The number of the packet within the run.
    pub id: u64,
}

impl Cookie {
    /// Its size in a payload.
    pub const BYTES: usize = 16;

    /// Reads it from the start of a payload; `None` when the payload is shorter.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (id, _) = rest.split_first_chunk()?;
        Some(Self { run: u64::from_be_bytes(*run), id: u64::from_be_bytes(*id) })
    }

    /// Writes it to the start of a payload; does nothing when the payload is shorter.
    pub fn write(self, payload: &mut [u8]) {
        if let Some(start) = payload.first_chunk_mut::<{ Self::BYTES }>() {
            start[..8].copy_from_slice(&self.run.to_be_bytes());
            start[8..].copy_from_slice(&self.id.to_be_bytes());
        }
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    let mut pairs = bytes.chunks_exact(2);
    for pair in &mut pairs {
        sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    if let [last] = pairs.remainder() {
        sum += u64::from(*last) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let sum = sum as u16;
    !sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

    #[test]
    fn the_checksum_of_a_message_with_its_checksum_is_zero() {
        for payload in [&b""[..], b"o", b"odd", b"even"] {
            let mut message = Vec::new();
            let echo = Echo { kind: EchoKind::Request, ident: 0xbeef, seq: 0xffff, payload };
            echo.emit(Family::V4, &mut message);
            assert_eq!(checksum(&message), 0, "{payload:?}");
        }
    }

    #[test]
    fn a_payload_too_short_for_a_cookie_holds_none_and_is_left_alone() {
        let mut payload = [7; Cookie::BYTES - 1];
        Cookie { run: 1, id: 2 }.write(&mut payload);
        assert_eq!((payload, Cookie::read(&payload)), ([7; Cookie::BYTES - 1], None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_echo_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for family in FAMILIES {
                if let Some(echo) = Echo::parse(family, &bytes) {
                    let mut again = Vec::new();
                    echo.emit(family, &mut again);
                    prop_assert_eq!(Echo::parse(family, &again), Some(echo), "parse undoes emit");
                }
            }
            let _ = (skip_ipv4(&bytes), Cookie::read(&bytes), checksum(&bytes));
        }

        #[test]
        fn a_cookie_comes_back_whole(run: u64, id: u64, extra in 0..100_usize) {
            let mut payload = vec![0; Cookie::BYTES + extra];
            Cookie { run, id }.write(&mut payload);
            prop_assert_eq!(Cookie::read(&payload), Some(Cookie { run, id }));
        }

        #[test]
        fn no_echo_is_an_error(icmp_type: u8, code: u8, mtu: u32) {
            for (family, echoes) in [(Family::V4, [8, 0]), (Family::V6, [128, 129])] {
                let error = error(family, icmp_type, code, mtu);
                prop_assert!(error.is_none() || !echoes.contains(&icmp_type));
            }
        }
    }
}
