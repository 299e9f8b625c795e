//! The mapped staging file: the one place of this crate that needs `unsafe`.
#![expect(unsafe_code, reason = "mapping a file is unsafe: others could change or cut it")]

use std::fs::File;
use std::io;

use memmap2::{MmapMut, MmapOptions};

/// A file's bytes as memory. What is written here is the kernel's at once.
#[derive(Debug)]
pub(super) struct Map(MmapMut);

impl Map {
    /// Maps the first `len` bytes of a file that this process has locked and written in full, so
    /// that every page of it has its place on the disk.
    pub(super) fn new(file: &File, len: usize) -> io::Result<Self> {
        if file.metadata()?.len() < len as u64 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "shorter than its mapping"));
        }
        // SAFETY: the file is at least `len` bytes long, was written in full (no page lacks
        // storage, so no store can fail), and is locked by this process for as long as the map
        // lives: no other writer of ours opens it, and this one never shortens it.
        unsafe { MmapOptions::new().len(len).map_mut(file) }.map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Waits until the disk has it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.flush()
    }
}
