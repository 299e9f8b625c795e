//! Reading a segment block by block, whatever became of its bytes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::format::{BLOCK_HEADER, BLOCK_MAGIC, Begun, BlockHeader, FILE_HEADER, SEGMENT};

/// Reads a segment from its first block to its end.
#[derive(Debug)]
pub(super) struct SegmentReader {
    file: File,
    path: PathBuf,
    at: u64,
    len: u64,
    /// Damaged stretches that were skipped because something whole follows.
    pub(super) corrupt_blocks: u64,
    /// Bytes at the end that are no whole block.
    pub(super) cut_bytes: u64,
}

/// A block's header, and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) at: u64,
    pub(super) header: BlockHeader,
}

impl SegmentReader {
    /// Opens a segment and checks its kind.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(|error| JournalError::io("open", path, error))?;
        Self::new(file, path)
    }

    pub(super) fn new(file: File, path: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::io("read", path, error);
        let len = file.metadata().map_err(failed)?.len();
        let mut reader =
            Self { file, path: path.into(), at: 0, len, corrupt_blocks: 0, cut_bytes: 0 };
        let first = reader.read_at(0, FILE_HEADER)?;
        match SEGMENT.check(path, &first)? {
            Begun::Whole => reader.at = FILE_HEADER as u64,
            Begun::Partly => reader.cut(),
        }
        Ok(reader)
    }

    /// The next block whose header is whole and whose data is all there.
    pub(super) fn next_place(&mut self) -> Result<Option<Place>, JournalError> {
        while self.at < self.len {
            let bytes = self.read_at(self.at, BLOCK_HEADER)?;
            let Some(header) = BlockHeader::decode(&bytes) else {
                self.skip_damage()?;
                continue;
            };
            let place = Place { at: self.at, header };
            if self.len - self.at < header.len() {
                self.cut(); // written in part: nothing was ever appended behind it
                return Ok(None);
            }
            self.at += header.len();
            return Ok(Some(place));
        }
        Ok(None)
    }

    /// The frames of the next whole block.
    pub(super) fn next_block(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        while let Some(place) = self.next_place()? {
            if let Some(frames) = self.read_block(&place)? {
                return Ok(Some(frames));
            }
            self.on_damaged(&place);
        }
        Ok(None)
    }

    /// The frames of a block, or `None` if its data is damaged.
    pub(super) fn read_block(&mut self, place: &Place) -> Result<Option<Vec<u8>>, JournalError> {
        let data = self.read_at(place.at + BLOCK_HEADER as u64, place.header.stored_len)?;
        Ok(place.header.decompress(&data))
    }

    /// Counts a block whose data is damaged: as a torn tail if it is the last one.
    pub(super) fn on_damaged(&mut self, place: &Place) {
        if self.at >= self.len {
            self.cut_bytes += self.len - place.at;
        } else {
            self.corrupt_blocks += 1;
        }
    }

    /// Goes on at the next whole header, if there is one.
    fn skip_damage(&mut self) -> Result<(), JournalError> {
        let mut from = self.at + 1;
        while from < self.len {
            let chunk = self.read_at(from, SCAN_BYTES)?;
            let found = (0..chunk.len().saturating_sub(BLOCK_HEADER - 1)).find(|&i| {
                chunk[i..].starts_with(&BLOCK_MAGIC) && BlockHeader::decode(&chunk[i..]).is_some()
            });
            if let Some(found) = found {
                self.at = from + found as u64;
                self.corrupt_blocks += 1;
                return Ok(());
            }
            // Headers may lie across two chunks.
            let step = chunk.len().saturating_sub(BLOCK_HEADER - 1).max(1);
            from += step as u64;
            if chunk.len() < BLOCK_HEADER {
                break;
            }
        }
        self.cut();
        Ok(())
    }

    /// Gives up on the rest.
    fn cut(&mut self) {
        self.cut_bytes += self.len - self.at;
        self.at = self.len;
    }

    /// Up to `len` bytes; fewer only at the end of the file.
    fn read_at(&mut self, at: u64, len: usize) -> Result<Vec<u8>, JournalError> {
        let mut read = || -> io::Result<Vec<u8>> {
            self.file.seek(SeekFrom::Start(at))?;
            let mut bytes = Vec::new();
            (&mut self.file).take(len as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| JournalError::io("read", &self.path, error))
    }
}

/// How much is searched at a time for the next whole block.
const SCAN_BYTES: usize = 64 << 10;
