//! The crash-safe journal: every recorded event, for a replay that folds to the same statistics.
//!
//! # Layout
//!
//! A journal is named by one path, `FILE`:
//!
//! | file | holds |
//! |---|---|
//! | `FILE` | the newest segment: compressed blocks, append-only |
//! | `FILE.000001`, `FILE.000002`, ... | older segments after rotation, oldest first |
//! | `FILE.staging` | the newest events, not compressed yet, in mapped memory; also the lock |
//!
//! An event is first copied into the mapped staging file: from then on it is the kernel's, and
//! survives `kill -9` of this process (a power cut only after [`JournalWriter::sync`]). When the
//! staging area is full it is compressed into one block of the segment and zeroed. A kill between
//! those two leaves events in both; their sequence numbers tell, and each is replayed once.
//!
//! # Format, version 1
//!
//! All integers are little-endian; `crc` is CRC-32 (IEEE).
//!
//! ```text
//! segment  = "SJNL\r\n\x1a\n"  version:u32  0:u32                      block*
//! block    = "SJBK"  stored_len:u32  raw_len:u32  count:u32  first_seq:u64
//!            data_crc:u32  header_crc:u32 (of the 28 bytes before)      data (zstd of frame*)
//! staging  = "SJST\r\n\x1a\n"  version:u32  state:u32 (0, or "ZERO" while it is being zeroed)
//!            frame*  zeros
//! frame    = len:u32 (never 0)  crc:u32 (of len, seq, payload)  seq:u64  payload (JSON of Event)
//! ```
//!
//! # Recovery
//!
//! A writer that opens an existing journal cuts a torn tail, moves staged events into a block and
//! goes on behind them. A reader changes nothing: it reports what it cuts and skips. A damaged
//! block amid a segment is skipped and counted; the next block is found by its magic and checksum.

mod error;
mod format;
mod map;
mod replay;
mod segment;
mod writer;

use std::path::{Path, PathBuf};

pub use error::JournalError;
pub use replay::{Replay, ReplayReport, replay};
pub use writer::JournalWriter;
pub(crate) use writer::encode;

/// Where a journal is and how large it may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalConfig {
    /// The newest segment; its neighbours are named after it.
    pub path: PathBuf,
    /// A segment that has grown to this many bytes is put aside and a new one begun. Default
    /// 64 MiB, some ten million echoes.
    pub segment_bytes_max: u64,
    /// How many segments are kept, the newest included; older ones are deleted. Default `None`:
    /// all of them, for a recording is never thrown away unasked.
    pub segments_max: Option<usize>,
}

impl JournalConfig {
    /// The defaults, for a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), segment_bytes_max: 64 << 20, segments_max: None }
    }
}

/// What opening an existing journal found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The sequence number that comes next: the number of events ever recorded.
    pub next_seq: u64,
    /// Staged events that were moved into a block.
    pub recovered: u64,
    /// Staged events that a block already held.
    pub duplicates: u64,
    /// Bytes of a torn tail that were cut, in the segment and in staging together.
    pub cut_bytes: u64,
}

/// `FILE.staging`.
fn staging_path(path: &Path) -> PathBuf {
    with_suffix(path, "staging")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The segments that were put aside, with their numbers, oldest first.
fn old_segments(path: &Path) -> Result<Vec<(u32, PathBuf)>, JournalError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("list", folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| JournalError::io("list", folder, error))?;
        let name = entry.file_name();
        let number = path
            .file_name()
            .and_then(|file| name.to_str()?.strip_prefix(file.to_str()?)?.strip_prefix('.'))
            .filter(|digits| digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse::<u32>().ok());
        if let Some(number) = number {
            found.push((number, with_suffix(path, &format!("{number:06}"))));
        }
    }
    found.sort_unstable();
    Ok(found)
}
