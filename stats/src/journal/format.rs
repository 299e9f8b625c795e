//! The bytes of a journal, without any file: what each is and whether it is whole.

use std::path::Path;

use super::JournalError;

/// The format this release writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;

/// The largest event, as JSON. An answer of a thousand DNS records takes a hundredth of it.
pub(super) const EVENT_BYTES_MAX: usize = 4 << 20;

/// The size of `FILE.staging`: a few hundred echoes, a fraction of a millisecond to compress.
pub(super) const STAGING_BYTES: usize = 128 << 10;

/// The most a block holds before and after compression; more in a header is damage.
pub(super) const BLOCK_BYTES_MAX: usize = EVENT_BYTES_MAX + (1 << 20);

/// The length of the header of a segment and of staging.
pub(super) const FILE_HEADER: usize = 16;
pub(super) const FRAME_HEADER: usize = 16;
pub(super) const BLOCK_HEADER: usize = 32;
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"SJBK";

/// The state of a staging area whose events are all in a block already.
pub(super) const STATE_ZEROING: [u8; 4] = *b"ZERO";
/// Where the state is.
pub(super) const STATE_AT: usize = 12;

/// How a kind of file begins. As in PNG, line ends and ^Z show what a text transfer does to it.
pub(super) struct Magic {
    pub(super) bytes: [u8; 8],
    pub(super) shown: &'static str,
}

pub(super) const SEGMENT: Magic = Magic { bytes: *b"SJNL\r\n\x1a\n", shown: r#""SJNL\r\n\x1a\n""# };
pub(super) const STAGING: Magic = Magic { bytes: *b"SJST\r\n\x1a\n", shown: r#""SJST\r\n\x1a\n""# };

impl Magic {
    pub(super) fn header(&self) -> [u8; FILE_HEADER] {
        let mut header = [0; FILE_HEADER];
        header[..8].copy_from_slice(&self.bytes);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header
    }

    /// Whether a file that begins with `first` (at least [`FILE_HEADER`] bytes unless it is
    /// shorter) is of this kind. A file cut within its header is, and holds nothing.
    pub(super) fn check(&self, path: &Path, first: &[u8]) -> Result<Begun, JournalError> {
        let header = self.header();
        if first.len() < FILE_HEADER {
            return if first == &header[..first.len()] {
                Ok(Begun::Partly)
            } else {
                Err(JournalError::not_a_journal(path, self, first))
            };
        }
        if first[..8] != self.bytes {
            return Err(JournalError::not_a_journal(path, self, first));
        }
        match le_u32(first, 8) {
            VERSION => Ok(Begun::Whole),
            version => Err(JournalError::Version { path: path.into(), version }),
        }
    }
}

/// How much of a file's header is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Whole,
    Partly,
}

/// The header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) stored_len: usize,
    pub(super) raw_len: usize,
    pub(super) count: u32,
    pub(super) first_seq: u64,
    pub(super) data_crc: u32,
}

impl BlockHeader {
    pub(super) fn encode(&self) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        bytes[..4].copy_from_slice(&BLOCK_MAGIC);
        bytes[4..8].copy_from_slice(&to_u32(self.stored_len).to_le_bytes());
        bytes[8..12].copy_from_slice(&to_u32(self.raw_len).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.count.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.data_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` unless the bytes are a whole header that this release can have written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..BLOCK_HEADER)?;
        if bytes[..4] != BLOCK_MAGIC || crc32fast::hash(&bytes[..28]) != le_u32(bytes, 28) {
            return None;
        }
        let header = Self {
            stored_len: usize::try_from(le_u32(bytes, 4)).ok()?,
            raw_len: usize::try_from(le_u32(bytes, 8)).ok()?,
            count: le_u32(bytes, 12),
            first_seq: le_u64(bytes, 16),
            data_crc: le_u32(bytes, 24),
        };
        (header.stored_len <= BLOCK_BYTES_MAX && header.raw_len <= BLOCK_BYTES_MAX)
            .then_some(header)
    }

    /// The block's whole length in its file.
    pub(super) const fn len(&self) -> u64 {
        (BLOCK_HEADER + self.stored_len) as u64
    }

    /// The sequence number after the block's last event.
    pub(super) fn next_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.count.into())
    }

    /// The frames of a block, or `None` if its data is damaged.
    pub(super) fn decompress(&self, data: &[u8]) -> Option<Vec<u8>> {
        if crc32fast::hash(data) != self.data_crc {
            return None;
        }
        let raw = zstd::bulk::decompress(data, self.raw_len).ok()?;
        (raw.len() == self.raw_len).then_some(raw)
    }
}

/// One event as a journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) seq: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its length with its header.
    pub(super) const fn len(&self) -> usize {
        FRAME_HEADER + self.payload.len()
    }

    /// Writes it at the start of `into`, which must have room. Its length, which makes it count,
    /// comes last.
    pub(super) fn write(&self, into: &mut [u8]) {
        let len = to_u32(self.payload.len()).to_le_bytes();
        into[16..self.len()].copy_from_slice(self.payload);
        into[8..16].copy_from_slice(&self.seq.to_le_bytes());
        into[4..8].copy_from_slice(&self.crc(len).to_le_bytes());
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        into[..4].copy_from_slice(&len);
    }

    /// The frame at the start of `bytes`; `None` if there is none, or a damaged one.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(FRAME_HEADER)?;
        let len = usize::try_from(le_u32(header, 0)).ok()?;
        let frame = Self { seq: le_u64(header, 8), payload: rest.get(..len)? };
        let whole = len > 0 && frame.crc(to_u32(len).to_le_bytes()) == le_u32(header, 4);
        whole.then_some(frame)
    }

    fn crc(&self, len: [u8; 4]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&len);
        crc.update(&self.seq.to_le_bytes());
        crc.update(self.payload);
        crc.finalize()
    }
}

/// The staged frames of a staging file's bytes, and how many bytes behind them are neither frames
/// nor zeros.
pub(super) fn staged(bytes: &[u8]) -> (&[u8], u64) {
    let body = bytes.get(FILE_HEADER..).unwrap_or_default();
    if bytes.get(STATE_AT..FILE_HEADER) == Some(STATE_ZEROING.as_slice()) {
        return (&[], 0);
    }
    let mut used = 0;
    while let Some(frame) = body.get(used..).and_then(Frame::read) {
        used += frame.len();
    }
    let (frames, rest) = body.split_at(used);
    let cut = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    (frames, cut as u64)
}

pub(super) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Lengths are bounded by [`BLOCK_BYTES_MAX`].
pub(super) fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
