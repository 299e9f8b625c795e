//! One Ethernet frame, as hooks see it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Direction;

/// The length of an Ethernet header, bytes.
pub(crate) const ETHERNET: usize = 14;
/// The protocol number of ICMP in IPv4.
pub(crate) const ICMP: u8 = 1;
const IGMP: u8 = 2;
/// The protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// The protocol number of UDP.
pub(crate) const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What a hook decides about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, to the next hook and to the impairment.
    Forward,
    /// It ends here.
    Drop,
}

/// Who sends what to whom. The addresses are unspecified and the protocol 0 if it is no IP packet;
/// ports are 0 where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The IP protocol: 1 ICMP, 6 TCP, 17 UDP, 58 `ICMPv6`.
    pub protocol: u8,
    /// The sender.
    pub src: SocketAddr,
    /// The receiver.
    pub dst: SocketAddr,
    /// Type, code and, of an echo, the sequence number, if it is ICMP.
    pub icmp: Option<(u8, u8, u16)>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.icmp) {
            (0, _) => write!(f, "no IP packet"),
            (_, Some((kind, code, seq))) => {
                let (src, dst) = (self.src.ip(), self.dst.ip());
                write!(f, "{src} > {dst} ICMP type {kind} code {code} seq {seq}")
            }
            (protocol, None) => write!(f, "{} > {} protocol {protocol}", self.src, self.dst),
        }
    }
}

/// Where things are in an IP packet inside a frame.
#[derive(Clone, Copy, Debug)]
struct Layout {
    v6: bool,
    protocol: u8,
    /// Where the transport header starts.
    transport: usize,
    /// Where the packet ends: padding may follow.
    end: usize,
    /// It is not the first fragment, so it has no transport header.
    fragment: bool,
}

/// An Ethernet frame that a weak link is about to carry.
///
/// # Examples
///
/// ```no_run
/// use sojourner_lab::{Verdict, isolated};
///
/// # isolated(|lab| {
/// # let weak = lab.weak_link(&lab.host("a"), &lab.host("b"));
/// // Change the first byte of each UDP payload to port 7, with a good checksum.
/// weak.hook(|frame, _| {
///     if frame.is_udp() && frame.summary().dst.port() == 7 {
///         frame.payload_mut()[0] = b'X';
///         frame.fix_checksums();
///     }
///     Verdict::Forward
/// });
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) changed: bool,
    pub(super) injected: Vec<(Direction, Vec<u8>)>,
}

impl Frame {
    /// Wraps the bytes of a frame, Ethernet header first.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, changed: false, injected: Vec::new() }
    }

    /// All of it, from the Ethernet header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same to be rewritten; call [`fix_checksums`](Self::fix_checksums) afterwards.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.changed = true;
        &mut self.bytes
    }

    /// Whether it is a UDP datagram (or its first fragment).
    pub fn is_udp(&self) -> bool {
        self.layout().is_some_and(|l| l.protocol == UDP && !l.fragment)
    }

    /// Whether it is a TCP segment.
    pub fn is_tcp(&self) -> bool {
        self.layout().is_some_and(|l| l.protocol == TCP && !l.fragment)
    }

    /// Who sends what to whom.
    pub fn summary(&self) -> Summary {
        let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let nothing = Summary { protocol: 0, src: nobody, dst: nobody, icmp: None };
        let Some(layout) = self.layout() else { return nothing };
        let Some((src, dst)) = self.addresses(layout) else { return nothing };
        let at = layout.transport;
        let with_ports = matches!(layout.protocol, TCP | UDP) && !layout.fragment;
        let port = |at| if with_ports { self.u16_at(at).unwrap_or(0) } else { 0 };
        let is_icmp = matches!(layout.protocol, ICMP | ICMPV6) && !layout.fragment;
        let byte = |at| self.bytes.get(at).copied().unwrap_or(0);
        Summary {
            protocol: layout.protocol,
            src: SocketAddr::new(src, port(at)),
            dst: SocketAddr::new(dst, port(at + 2)),
            icmp: is_icmp.then(|| (byte(at), byte(at + 1), self.u16_at(at + 6).unwrap_or(0))),
        }
    }

    /// What a UDP datagram or TCP segment carries; empty for all else.
    pub fn payload(&self) -> &[u8] {
        self.payload_range().and_then(|range| self.bytes.get(range)).unwrap_or(&[])
    }

    /// The same to be rewritten in place; call [`fix_checksums`](Self::fix_checksums) afterwards.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.changed = true;
        let range = self.payload_range().unwrap_or(0..0);
        self.bytes.get_mut(range).unwrap_or(&mut [])
    }

    /// The header of a TCP segment with its options, to be rewritten in place.
    pub fn tcp_header_mut(&mut self) -> Option<&mut [u8]> {
        let layout = self.layout().filter(|l| l.protocol == TCP && !l.fragment)?;
        let end = self.payload_range()?.start;
        self.changed = true;
        self.bytes.get_mut(layout.transport..end)
    }

    /// The header of a TCP segment with its options.
    pub fn tcp_header(&self) -> Option<&[u8]> {
        let layout = self.layout().filter(|l| l.protocol == TCP && !l.fragment)?;
        self.bytes.get(layout.transport..self.payload_range()?.start)
    }

    /// Sends another frame, at once and unimpaired.
    pub fn inject(&mut self, direction: Direction, bytes: Vec<u8>) {
        self.injected.push((direction, bytes));
    }

    /// The frame that would bring `payload` back to the sender of this UDP datagram, as if the
    /// receiver had sent it.
    pub fn udp_answer(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let layout = self.layout().filter(|l| l.protocol == UDP && !l.fragment)?;
        let mut header = [0; 8];
        header[..2].copy_from_slice(self.bytes.get(layout.transport + 2..layout.transport + 4)?);
        header[2..4].copy_from_slice(self.bytes.get(layout.transport..layout.transport + 2)?);
        let len = u16::try_from(payload.len() + header.len()).ok()?;
        header[4..6].copy_from_slice(&len.to_be_bytes());
        self.packet(layout, true, &[&header[..], payload].concat())
    }

    /// The same datagram or segment with another UDP payload.
    pub fn set_udp_payload(&mut self, payload: &[u8]) {
        let Some(layout) = self.layout().filter(|l| l.protocol == UDP && !l.fragment) else {
            return;
        };
        let Some(header) = self.bytes.get(layout.transport..layout.transport + 4) else { return };
        let len = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
        let transport = [header, &len, &[0, 0], payload].concat();
        if let Some(bytes) = self.packet(layout, false, &transport) {
            self.bytes = bytes;
            self.changed = true;
        }
    }

    /// The frames that reset the connection of this TCP segment: the first for its sender, the
    /// second for its receiver, each as if from the other.
    pub fn tcp_resets(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let layout = self.layout().filter(|l| l.protocol == TCP && !l.fragment)?;
        let header = self.tcp_header()?;
        let number = |at: usize| {
            header.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes)
        };
        let (seq, ack, flags) = (number(4)?, number(8)?, *header.get(13)?);
        let ends = u32::from(flags & 3 != 0); // SYN and FIN take a number each
        let next = seq.wrapping_add(u32::try_from(self.payload().len()).ok()? + ends);
        let reset = |ports: [u8; 4], seq: u32, ack: u32| {
            let (seq, ack) = (seq.to_be_bytes(), ack.to_be_bytes());
            // Header of 5 words; RST and ACK; no window, checksum to come, nothing urgent.
            [&ports[..], &seq, &ack, &[0x50, 0x14, 0, 0, 0, 0, 0, 0]].concat()
        };
        let [a, b, c, d] = header.get(..4)?.try_into().ok()?;
        let to_sender = self.packet(layout, true, &reset([c, d, a, b], ack, next))?;
        let to_receiver = self.packet(layout, false, &reset([a, b, c, d], seq, ack))?;
        Some((to_sender, to_receiver))
    }

    /// Makes every checksum right again: of the IPv4 header and of TCP, UDP or ICMP.
    pub fn fix_checksums(&mut self) {
        let Some(layout) = self.layout() else { return };
        self.changed = true;
        if !layout.v6 {
            put(&mut self.bytes, ETHERNET + 10, 0);
            let header = self.bytes.get(ETHERNET..layout.transport).unwrap_or(&[]);
            let sum = fold(sum(header));
            put(&mut self.bytes, ETHERNET + 10, !sum);
        }
        let offset = match layout.protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMPV6 => 2,
            _ => return,
        };
        if layout.fragment || layout.transport + offset + 2 > layout.end {
            return;
        }
        put(&mut self.bytes, layout.transport + offset, 0);
        let transport = self.bytes.get(layout.transport..layout.end).unwrap_or(&[]);
        let addresses =
            if layout.v6 { ETHERNET + 8..ETHERNET + 40 } else { ETHERNET + 12..ETHERNET + 20 };
        let pseudo = if layout.protocol == ICMP {
            0
        } else {
            let len = u64::try_from(transport.len()).unwrap_or(0);
            sum(self.bytes.get(addresses).unwrap_or(&[])) + len + u64::from(layout.protocol)
        };
        let sum = !fold(sum(transport) + pseudo);
        let sum = if sum == 0 && layout.protocol == UDP { 0xffff } else { sum };
        put(&mut self.bytes, layout.transport + offset, sum);
    }

    /// Whether it is the housekeeping of neighbours, which a weak link spares.
    pub(super) fn is_housekeeping(&self) -> bool {
        let Some(layout) = self.layout() else { return true };
        let kind = self.bytes.get(layout.transport).copied().unwrap_or(0);
        layout.protocol == IGMP
            || layout.protocol == ICMPV6 && matches!(kind, 130..=137 | 143) && !layout.fragment
    }

    /// The length of the IP packet, bytes.
    pub(super) fn ip_len(&self) -> usize {
        self.layout().map_or(self.bytes.len(), |layout| layout.end).saturating_sub(ETHERNET)
    }

    /// A frame with the addresses of this one (`back`: swapped) around another transport part.
    fn packet(&self, layout: Layout, back: bool, transport: &[u8]) -> Option<Vec<u8>> {
        let base = if layout.v6 { ETHERNET + 40 } else { ETHERNET + 20 };
        let mut bytes = self.bytes.get(..base)?.to_vec();
        if back {
            let (to, from) = bytes.split_at_mut(6);
            to.swap_with_slice(from.get_mut(..6)?);
            let (first, len) = if layout.v6 { (ETHERNET + 8, 16) } else { (ETHERNET + 12, 4) };
            let (src, dst) = bytes.get_mut(first..first + 2 * len)?.split_at_mut(len);
            src.swap_with_slice(dst);
        }
        if layout.v6 {
            put(&mut bytes, ETHERNET + 4, u16::try_from(transport.len()).ok()?);
            *bytes.get_mut(ETHERNET + 6)? = layout.protocol;
        } else {
            *bytes.get_mut(ETHERNET)? = 0x45; // the options, if any, are not kept
            put(&mut bytes, ETHERNET + 2, u16::try_from(transport.len() + 20).ok()?);
            put(&mut bytes, ETHERNET + 6, 0);
        }
        bytes.extend_from_slice(transport);
        let mut frame = Self::new(bytes);
        frame.fix_checksums();
        Some(frame.bytes)
    }

    fn payload_range(&self) -> Option<std::ops::Range<usize>> {
        let layout = self.layout().filter(|layout| !layout.fragment)?;
        let header = match layout.protocol {
            UDP => 8,
            TCP => usize::from(self.bytes.get(layout.transport + 12)? >> 4) * 4,
            _ => return None,
        };
        let start = layout.transport + header;
        (start <= layout.end).then_some(start..layout.end)
    }

    fn addresses(&self, layout: Layout) -> Option<(IpAddr, IpAddr)> {
        let first = ETHERNET + if layout.v6 { 8 } else { 12 };
        if layout.v6 {
            let at = |at| self.bytes.get(at..at + 16).and_then(|b| <[u8; 16]>::try_from(b).ok());
            Some((Ipv6Addr::from(at(first)?).into(), Ipv6Addr::from(at(first + 16)?).into()))
        } else {
            let at = |at| self.bytes.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
            Some((Ipv4Addr::from(at(first)?).into(), Ipv4Addr::from(at(first + 4)?).into()))
        }
    }

    fn layout(&self) -> Option<Layout> {
        let ip = self.bytes.get(ETHERNET..)?;
        match self.u16_at(12)? {
            0x0800 => {
                let header = usize::from(ip.first()? & 15) * 4;
                let len = usize::from(self.u16_at(ETHERNET + 2)?);
                let layout = Layout {
                    v6: false,
                    protocol: *ip.get(9)?,
                    transport: ETHERNET + header,
                    end: ETHERNET + len,
                    fragment: self.u16_at(ETHERNET + 6)? & 0x1fff != 0,
                };
                (header >= 20 && len >= header && layout.end <= self.bytes.len()).then_some(layout)
            }
            0x86dd => {
                let end = ETHERNET + 40 + usize::from(self.u16_at(ETHERNET + 4)?);
                let (mut protocol, mut at, mut fragment) = (*ip.get(6)?, ETHERNET + 40, false);
                while let 0 | 43 | 44 | 60 = protocol {
                    let units = usize::from(*self.bytes.get(at + 1)?);
                    let next = *self.bytes.get(at)?;
                    if protocol == 44 {
                        fragment |= self.u16_at(at + 2)? & 0xfff8 != 0;
                    }
                    at += if protocol == 44 { 8 } else { (units + 1) * 8 };
                    protocol = next;
                }
                let layout = Layout { v6: true, protocol, transport: at, end, fragment };
                (at <= end && end <= self.bytes.len()).then_some(layout)
            }
            _ => None,
        }
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        self.bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes)
    }
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(to) = bytes.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

/// The sum of the 16-bit words of RFC 1071, not folded yet.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
    words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum::<u64>() + last
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A UDP datagram from 10.0.0.1:1000 to 10.0.0.2:53, checksums not set.
    fn datagram(payload: &[u8]) -> Frame {
        let mut bytes = vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 8, 0];
        let len = u16::try_from(payload.len()).unwrap();
        bytes.extend([0x45, 0]);
        bytes.extend((len + 28).to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, UDP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0x03, 0xe8, 0, 53]);
        bytes.extend((len + 8).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        Frame::new(bytes)
    }

    #[test]
    fn a_datagram_is_taken_apart_and_answered() {
        let frame = datagram(b"what?");
        assert_eq!(frame.summary().to_string(), "10.0.0.1:1000 > 10.0.0.2:53 protocol 17");
        assert_eq!((frame.payload(), frame.is_udp(), frame.ip_len()), (&b"what?"[..], true, 33));
        let answer = Frame::new(frame.udp_answer(b"that!!").unwrap());
        assert_eq!(answer.summary().to_string(), "10.0.0.2:53 > 10.0.0.1:1000 protocol 17");
        assert_eq!((answer.payload(), &answer.bytes[..6]), (&b"that!!"[..], &[2; 6][..]));
    }

    #[test]
    fn fixed_checksums_sum_up_as_rfc_1071_wants() {
        let mut frame = datagram(b"odd length!");
        frame.fix_checksums();
        assert_eq!(fold(sum(&frame.bytes[14..34])), 0xffff);
        let udp = &frame.bytes[34..];
        let pseudo = sum(&frame.bytes[26..34]) + u64::from(UDP) + udp.len() as u64;
        assert_eq!(fold(sum(udp) + pseudo), 0xffff);
    }

    #[test]
    fn a_longer_payload_keeps_addresses_and_ports() {
        let mut frame = datagram(b"x");
        let before = frame.summary();
        frame.set_udp_payload(b"longer");
        assert_eq!((frame.summary(), frame.payload()), (before, &b"longer"[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), v6: bool) {
            let mut bytes = bytes;
            if bytes.len() > 14 {
                bytes[12..14].copy_from_slice(&if v6 { [0x86, 0xdd] } else { [8, 0] });
            }
            let mut frame = Frame::new(bytes);
            frame.fix_checksums();
            frame.set_udp_payload(b"x");
            let _ = (frame.summary(), frame.tcp_resets(), frame.udp_answer(b"y"), frame.ip_len());
            let _ = (frame.payload_mut().len(), frame.is_housekeeping());
        }
    }
}
