//! Packets on a long link: the [`Codec`] trait, and Mars' stock format as its default.
//!
//! ```text
//!  0            4                8       12     16             20              head_length
//!  ┌────────────┬────────────────┬───────┬──────┬──────────────┬─ ─ ─ ─ ─ ─ ─ ─┬──────────────┐
//!  │ head_length│ client_version │ cmdid │ seq  │ body_length  │    options    │     body     │
//!  └────────────┴────────────────┴───────┴──────┴──────────────┴─ ─ ─ ─ ─ ─ ─ ─┴──────────────┘
//!    20 or more   both ends' own            task   bytes          skipped         body_length
//! ```
//!
//! All integers are unsigned, 32 bit, big-endian. `seq` pairs a reply with its request; 0 is a
//! push, and ids from [`TASK_ID_END`] on are the link's own. There is no magic number, checksum or
//! encryption. Source: `Tencent/mars:mars/stn/proto/longlink_packer.cc`.
//!
//! The stock decoder accepts a header shorter than itself, loops for ever on a packet of no bytes
//! and may wrap on large lengths; this one refuses all three.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes to packets and back. One value serves one connection at a time.
///
/// Laws: `decode` undoes `encode`, however the bytes are cut; it consumes at least one byte for
/// each packet it returns, and any input gives a packet, a wish for more, or an error.
pub trait Codec: fmt::Debug + Send + 'static {
    /// Appends one packet to `out`. `body` holds at most [`body_bytes_max`](Self::body_bytes_max).
    fn encode(&self, cmd: u32, seq: u32, body: &[u8], out: &mut BytesMut);

    /// Takes the first packet off `bytes`; `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the bytes are not a packet; the connection can't be used any more.
    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, FrameError>;

    /// The largest body a packet can carry, in bytes.
    fn body_bytes_max(&self) -> usize;

    /// The heartbeat's command and `seq`; its body is empty. No task may use this command.
    fn noop(&self) -> (u32, u32);

    /// What a received packet is.
    fn meaning(&self, packet: &Packet) -> Meaning;
}

/// One packet, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The command.
    pub cmd: u32,
    /// Pairs a reply with its request.
    pub seq: u32,
    /// The body. It shares the connection's read buffer: copy it to keep a small one for long.
    pub body: Bytes,
    /// The packet's size on the wire, in bytes, framing included.
    pub wire_bytes: u32,
}

/// What a received packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The answer to a heartbeat.
    Noop,
    /// Something the server says of its own accord.
    Push,
    /// The answer to the task whose id is the packet's `seq`.
    Reply,
}

/// What came was not a packet; the connection can't be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header claims to be shorter than its own fixed part.
    #[error("packet header of {head_bytes} bytes is shorter than the fixed {HEAD_BYTES}")]
    HeadTooShort {
        /// The header length received, in bytes.
        head_bytes: u32,
    },
    /// Header and body together are too large.
    #[error("packet of {total_bytes} bytes exceeds the maximum of {PACKET_BYTES_MAX}")]
    TooLarge {
        /// The packet's size as its header says, in bytes.
        total_bytes: u64,
    },
    /// The peer speaks another version, or another protocol altogether.
    #[error(
        "packet of version {received} on a link of version {expected}; set the server's version in the link's configuration"
    )]
    Version {
        /// The version received.
        received: u32,
        /// The link's own.
        expected: u32,
    },
}

/// Mars' stock long-link format; see the [module](self).
///
/// # Examples
///
/// ```
/// # use {bytes::BytesMut, sojourner_netcore::codec::{Codec, MarsCodec}};
/// let mut codec = MarsCodec::new(200);
/// let mut wire = BytesMut::new();
/// codec.encode(12, 7, b"hello", &mut wire);
/// assert_eq!(wire.len(), 25);
/// let packet = codec.decode(&mut wire).unwrap().unwrap();
/// assert_eq!((packet.cmd, packet.seq, &packet.body[..]), (12, 7, &b"hello"[..]));
/// assert_eq!(codec.decode(&mut wire), Ok(None), "nothing is left");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarsCodec {
    client_version: u32,
}

impl MarsCodec {
    /// Makes a codec; both ends must use the same `client_version` (Mars: 0, its sample server 200).
    pub const fn new(client_version: u32) -> Self {
        Self { client_version }
    }
}

impl Codec for MarsCodec {
    fn encode(&self, cmd: u32, seq: u32, body: &[u8], out: &mut BytesMut) {
        debug_assert!(body.len() <= self.body_bytes_max(), "the caller checks the size");
        out.reserve(HEAD_BYTES as usize + body.len());
        out.put_u32(HEAD_BYTES);
        out.put_u32(self.client_version);
        out.put_u32(cmd);
        out.put_u32(seq);
        out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_slice(body);
    }

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, FrameError> {
        let Some(mut head) = bytes.get(..HEAD_BYTES as usize) else { return Ok(None) };
        let head_bytes = head.get_u32();
        let version = head.get_u32();
        let cmd = head.get_u32();
        let seq = head.get_u32();
        let total_bytes = u64::from(head_bytes) + u64::from(head.get_u32());
        if head_bytes < HEAD_BYTES {
            return Err(FrameError::HeadTooShort { head_bytes });
        }
        if version != self.client_version {
            return Err(FrameError::Version { received: version, expected: self.client_version });
        }
        let wire_bytes = match u32::try_from(total_bytes) {
            Ok(total) if total <= PACKET_BYTES_MAX => total,
            _ => return Err(FrameError::TooLarge { total_bytes }),
        };
        if bytes.len() < wire_bytes as usize {
            return Ok(None);
        }
        let mut body = bytes.split_to(wire_bytes as usize);
        body.advance(head_bytes as usize);
        Ok(Some(Packet { cmd, seq, body: body.freeze(), wire_bytes }))
    }

    fn body_bytes_max(&self) -> usize {
        (PACKET_BYTES_MAX - HEAD_BYTES) as usize
    }

    fn noop(&self) -> (u32, u32) {
        (NOOP_CMD, NOOP_SEQ)
    }

    fn meaning(&self, packet: &Packet) -> Meaning {
        // The sample server echoes the noop's seq, others need not: the command decides.
        match (packet.cmd, packet.seq) {
            (NOOP_CMD, _) => Meaning::Noop,
            (_, PUSH_SEQ) => Meaning::Push,
            _ => Meaning::Reply,
        }
    }
}

/// The fixed part of the header, in bytes.
pub const HEAD_BYTES: u32 = 20;
/// The largest packet, header included, in bytes: what Mars' receiver takes.
pub const PACKET_BYTES_MAX: u32 = 1_048_576;
/// The heartbeat's command, both ways.
pub const NOOP_CMD: u32 = 6;
/// The heartbeat's `seq`.
pub const NOOP_SEQ: u32 = 0xFFFF_FFFF;
/// The `seq` of what the server says of its own accord.
pub const PUSH_SEQ: u32 = 0;
/// Task ids lie in `1..TASK_ID_END`; the ids from here on are the link's own (noop, identify,
/// signalling).
pub const TASK_ID_END: u32 = 0xFFFF_FFF0;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_noop_is_the_documented_twenty_bytes() {
        let mut wire = BytesMut::new();
        let codec = MarsCodec::new(200);
        let (cmd, seq) = codec.noop();
        codec.encode(cmd, seq, b"", &mut wire);
        let words: Vec<u32> =
            wire.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words, [0x14, 0xC8, 6, 0xFFFF_FFFF, 0]);
    }

    #[test]
    fn a_packet_of_exactly_the_limit_passes_and_one_byte_more_fails() {
        let body_bytes = PACKET_BYTES_MAX - HEAD_BYTES;
        let mut wire = raw(HEAD_BYTES, 0, 1, 2, body_bytes);
        wire.resize(PACKET_BYTES_MAX as usize, 0);
        let packet = MarsCodec::default().decode(&mut wire).unwrap().unwrap();
        assert_eq!((packet.wire_bytes, packet.body.len()), (1_048_576, 1_048_556));
        assert!(wire.is_empty());

        let mut wire = raw(HEAD_BYTES, 0, 1, 2, body_bytes + 1);
        assert_eq!(
            MarsCodec::default().decode(&mut wire),
            Err(FrameError::TooLarge { total_bytes: 1_048_577 }),
            "told by the header alone, before the body has come"
        );
    }

    #[test]
    fn lengths_that_would_wrap_or_loop_are_refused() {
        let decode = |head, body| MarsCodec::default().decode(&mut raw(head, 0, 1, 2, body));
        assert_eq!(decode(0, 0), Err(FrameError::HeadTooShort { head_bytes: 0 }));
        assert_eq!(decode(19, 40), Err(FrameError::HeadTooShort { head_bytes: 19 }));
        assert_eq!(
            decode(u32::MAX, u32::MAX),
            Err(FrameError::TooLarge { total_bytes: 8_589_934_590 })
        );
        assert_eq!(
            decode(20, u32::MAX - 19),
            Err(FrameError::TooLarge { total_bytes: 4_294_967_296 })
        );
    }

    #[test]
    fn options_after_the_fixed_header_are_skipped() {
        for options in 1..=64_u32 {
            let mut wire = raw(HEAD_BYTES + options, 0, 9, 8, 3);
            wire.put_bytes(0xEE, options as usize);
            wire.put_slice(b"abc+");
            let packet = MarsCodec::default().decode(&mut wire).unwrap().unwrap();
            assert_eq!((&packet.body[..], &wire[..]), (&b"abc"[..], &b"+"[..]), "{options}");
        }
    }

    #[test]
    fn another_version_is_an_error_that_says_both() {
        let error = MarsCodec::new(200).decode(&mut raw(20, 7, 1, 2, 0)).unwrap_err();
        assert_eq!(error, FrameError::Version { received: 7, expected: 200 });
        assert!(error.to_string().starts_with("packet of version 7 on a link of version 200"));
    }

    #[test]
    fn a_packet_means_what_its_command_and_seq_say() {
        let meaning = |cmd, seq| {
            MarsCodec::default().meaning(&Packet { cmd, seq, body: Bytes::new(), wire_bytes: 20 })
        };
        assert_eq!(meaning(NOOP_CMD, NOOP_SEQ), Meaning::Noop);
        assert_eq!(meaning(NOOP_CMD, 0), Meaning::Noop, "servers need not echo the seq");
        assert_eq!(meaning(1, PUSH_SEQ), Meaning::Push);
        assert_eq!(meaning(1, 1), Meaning::Reply);
    }

    proptest! {
        /// However a stream is cut, the same packets come out: at every boundary and coalesced.
        #[test]
        fn cutting_the_stream_anywhere_changes_nothing(
            packets in vec((any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..90)), 1..6),
            version in any::<u32>(),
        ) {
            let mut codec = MarsCodec::new(version);
            let mut wire = BytesMut::new();
            for (cmd, seq, body) in &packets {
                codec.encode(*cmd, *seq, body, &mut wire);
            }
            for cut in 0..=wire.len() {
                let (mut bytes, mut seen) = (BytesMut::new(), Vec::new());
                for piece in [&wire[..cut], &wire[cut..]] {
                    bytes.extend_from_slice(piece);
                    while let Some(packet) = codec.decode(&mut bytes).unwrap() {
                        seen.push((packet.cmd, packet.seq, packet.body.to_vec()));
                    }
                }
                prop_assert_eq!(&seen, &packets, "cut at {}", cut);
                prop_assert!(bytes.is_empty());
            }
        }

        #[test]
        fn bytes_that_come_one_by_one_give_the_packet_with_the_last_one(
            body in vec(any::<u8>(), 0..200),
        ) {
            let mut codec = MarsCodec::default();
            let (mut wire, mut bytes) = (BytesMut::new(), BytesMut::new());
            codec.encode(3, 4, &body, &mut wire);
            let last = wire.split_off(wire.len() - 1);
            for byte in wire {
                bytes.put_u8(byte);
                prop_assert_eq!(codec.decode(&mut bytes), Ok(None));
            }
            bytes.extend_from_slice(&last);
            prop_assert_eq!(&codec.decode(&mut bytes).unwrap().unwrap().body[..], &body[..]);
        }

        /// Hostile bytes: never a panic, never a loop, never a packet larger than the limit.
        #[test]
        fn any_bytes_end_in_a_packet_an_error_or_a_wish_for_more(
            head in prop_oneof![Just(20_u32), 0..64_u32, any::<u32>()],
            body in prop_oneof![0..64_u32, any::<u32>()],
            tail in vec(any::<u8>(), 0..300),
        ) {
            let mut codec = MarsCodec::default();
            let mut bytes = raw(head, 0, 1, 2, body);
            bytes.extend_from_slice(&tail);
            let mut turns = 0;
            while let Ok(Some(packet)) = codec.decode(&mut bytes) {
                prop_assert!(packet.wire_bytes <= PACKET_BYTES_MAX);
                turns += 1;
                prop_assert!(turns <= 16, "each packet takes at least its header");
            }
        }
    }

    fn raw(head: u32, version: u32, cmd: u32, seq: u32, body: u32) -> BytesMut {
        let mut bytes = BytesMut::new();
        for word in [head, version, cmd, seq, body] {
            bytes.put_u32(word);
        }
        bytes
    }
}
