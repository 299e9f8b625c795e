//! Writing a journal, and mending one that a crash left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::format::{
    BlockHeader, EVENT_BYTES_MAX, FILE_HEADER, FRAME_HEADER, Frame, SEGMENT, STAGING,
    STAGING_BYTES, STATE_AT, STATE_ZEROING, staged,
};
use super::map::Map;
use super::segment::SegmentReader;
use super::{JournalConfig, JournalError, Recovery, old_segments, staging_path, with_suffix};
use crate::event::Event;

/// Appends events to a journal; see [the module](super) for files and format.
///
/// One writer a journal: the staging file is locked while it lives. Dropping it leaves staged
/// events where they are; they are as safe there.
#[derive(Debug)]
pub struct JournalWriter {
    config: JournalConfig,
    /// The newest segment, and its length up to the last whole block.
    segment: File,
    segment_len: u64,
    /// Kept open for its lock.
    _staging: File,
    map: Map,
    /// Bytes of the map in use, header included.
    used: usize,
    first_staged: u64,
    next_seq: u64,
    recovery: Recovery,
}

impl JournalWriter {
    /// Opens a journal, made if there is none; an existing one is mended and appended to.
    ///
    /// # Errors
    ///
    /// [`JournalError::Locked`] when another writer has it, [`JournalError::NotAJournal`] when the
    /// file holds something else (it is left alone), [`JournalError::Version`] when it is newer,
    /// [`JournalError::Io`] when the system refuses, a full disk included.
    pub fn open(config: JournalConfig) -> Result<Self, JournalError> {
        let path = &config.path;
        // Before anything is made beside it, so that a wrong path is named as the user wrote it.
        drop(SegmentReader::new(open_file(path)?, path)?);
        let staging_path = staging_path(path);
        let staging = open_file(&staging_path)?;
        match staging.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Locked { path: path.clone() });
            }
            Err(TryLockError::Error(error)) => {
                return Err(JournalError::io("lock", &staging_path, error));
            }
        }
        let mut recovery = Recovery::default();
        let old = read_old_staging(&staging_path)?;
        let (frames, cut) = staged(&old);
        recovery.cut_bytes += cut;
        // Again, under the lock: the writer before may have rotated.
        let (segment, segment_len) = open_segment(path, &mut recovery)?;
        let frames = drop_duplicates(frames, &mut recovery);
        let (first_staged, count) = (recovery.next_seq, recovery.recovered);
        recovery.next_seq += count;
        let mut old_frames = OldFrames { segment, segment_len };
        old_frames.append(path, frames, first_staged, count)?;
        clear_staging(&staging, &staging_path)?;
        let map = Map::new(&staging, STAGING_BYTES)
            .map_err(|error| JournalError::io("map", &staging_path, error))?;
        Ok(Self {
            segment: old_frames.segment,
            segment_len: old_frames.segment_len,
            config,
            _staging: staging,
            map,
            used: FILE_HEADER,
            first_staged: recovery.next_seq,
            next_seq: recovery.next_seq,
            recovery,
        })
    }

    /// What opening found and mended.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Appends one event and returns its sequence number. Once this returns, the event survives a
    /// kill of this process.
    ///
    /// # Errors
    ///
    /// [`JournalError::TooLarge`] and [`JournalError::Encode`] concern this event alone;
    /// [`JournalError::Io`] means that a full staging area could not be moved to the segment. What
    /// was appended before stays safe, and appending may be tried again.
    pub fn append(&mut self, event: &Event) -> Result<u64, JournalError> {
        self.append_json(&encode(event)?)
    }

    /// Appends one event that [`encode`] made.
    pub(crate) fn append_json(&mut self, payload: &[u8]) -> Result<u64, JournalError> {
        let frame = Frame { seq: self.next_seq, payload };
        if frame.len() > STAGING_BYTES - self.used {
            self.seal()?;
        }
        if frame.len() > STAGING_BYTES - self.used {
            let mut bytes = vec![0; frame.len()];
            frame.write(&mut bytes);
            self.append_block(&bytes, frame.seq, 1)?;
            self.first_staged = frame.seq + 1;
        } else {
            frame.write(&mut self.map.bytes_mut()[self.used..]);
            self.used += frame.len();
        }
        self.next_seq = frame.seq + 1;
        Ok(frame.seq)
    }

    /// Moves all staged events into a compressed block of the segment.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`]; then they stay staged.
    pub fn seal(&mut self) -> Result<(), JournalError> {
        if self.used == FILE_HEADER {
            return Ok(());
        }
        let frames = self.map.bytes()[FILE_HEADER..self.used].to_vec();
        let count = u32::try_from(self.next_seq - self.first_staged).unwrap_or(u32::MAX);
        self.append_block(&frames, self.first_staged, count)?;
        // From here the events are in the segment; a kill while zeroing must not show half of them.
        let used = std::mem::replace(&mut self.used, FILE_HEADER);
        let bytes = self.map.bytes_mut();
        bytes[STATE_AT..FILE_HEADER].copy_from_slice(&STATE_ZEROING);
        fence();
        bytes[FILE_HEADER..used].fill(0);
        fence();
        bytes[STATE_AT..FILE_HEADER].fill(0);
        self.first_staged = self.next_seq;
        if self.segment_len >= self.config.segment_bytes_max {
            self.rotate()?;
        }
        Ok(())
    }

    /// Waits until the disk has every event, so that a power cut loses none of them.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`] when the disk refuses.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let path = &self.config.path;
        self.map.sync().map_err(|error| JournalError::io("sync", &staging_path(path), error))?;
        self.segment.sync_data().map_err(|error| JournalError::io("sync", path, error))
    }

    fn append_block(&mut self, frames: &[u8], seq: u64, count: u32) -> Result<(), JournalError> {
        let path = &self.config.path;
        append_block(&mut self.segment, &mut self.segment_len, path, frames, seq, count)
    }

    /// Puts the segment aside and begins a new one.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let path = &self.config.path;
        let mut old = old_segments(path)?;
        let number = old.last().map_or(0, |(number, _)| *number).saturating_add(1);
        let aside = with_suffix(path, &format!("{number:06}"));
        fs::rename(path, &aside).map_err(|error| JournalError::io("rename", path, error))?;
        old.push((number, aside));
        self.segment = open_file(path)?;
        self.segment_len = begin(&mut self.segment, path)?;
        let kept = self.config.segments_max.map_or(usize::MAX, |max| max.max(1) - 1);
        for (_, path) in &old[..old.len().saturating_sub(kept)] {
            fs::remove_file(path).map_err(|error| JournalError::io("remove", path, error))?;
        }
        Ok(())
    }
}

/// The JSON of an event, as a journal keeps it.
pub(crate) fn encode(event: &Event) -> Result<Vec<u8>, JournalError> {
    let json = serde_json::to_vec(event).map_err(JournalError::Encode)?;
    if json.len() > EVENT_BYTES_MAX {
        return Err(JournalError::TooLarge { bytes: json.len(), bytes_max: EVENT_BYTES_MAX });
    }
    Ok(json)
}

/// The segment while what was staged before a crash is moved into it.
struct OldFrames {
    segment: File,
    segment_len: u64,
}

impl OldFrames {
    fn append(
        &mut self,
        path: &Path,
        frames: &[u8],
        seq: u64,
        count: u64,
    ) -> Result<(), JournalError> {
        if count == 0 {
            return Ok(());
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        append_block(&mut self.segment, &mut self.segment_len, path, frames, seq, count)
    }
}

fn append_block(
    segment: &mut File,
    segment_len: &mut u64,
    path: &Path,
    frames: &[u8],
    first_seq: u64,
    count: u32,
) -> Result<(), JournalError> {
    let failed = |error| JournalError::io("append to", path, error);
    let data = zstd::bulk::compress(frames, ZSTD_LEVEL).map_err(failed)?;
    let header = BlockHeader {
        stored_len: data.len(),
        raw_len: frames.len(),
        count,
        first_seq,
        data_crc: crc32fast::hash(&data),
    };
    let mut block = header.encode().to_vec();
    block.extend(data);
    segment.seek(SeekFrom::Start(*segment_len)).map_err(failed)?;
    if let Err(error) = segment.write_all(&block) {
        // The half of a block is cut at the next opening too, should this fail as well.
        drop(segment.set_len(*segment_len));
        return Err(failed(error));
    }
    *segment_len += block.len() as u64;
    Ok(())
}

fn open_file(path: &Path) -> Result<File, JournalError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| JournalError::io("open", path, error))
}

/// Opens the newest segment, cuts its torn tail and finds the next sequence number.
fn open_segment(path: &Path, recovery: &mut Recovery) -> Result<(File, u64), JournalError> {
    let (mut end, next_seq, cut) = measure(path)?;
    recovery.cut_bytes += cut;
    recovery.next_seq = next_seq;
    if next_seq == 0
        && let Some((_, older)) = old_segments(path)?.last()
    {
        recovery.next_seq = measure(older)?.1;
    }
    let mut segment = open_file(path)?;
    segment.set_len(end).map_err(|error| JournalError::io("cut", path, error))?;
    if end == 0 {
        end = begin(&mut segment, path)?;
    }
    Ok((segment, end))
}

/// Where a segment's last whole block ends, the sequence number after it, and how much follows.
fn measure(path: &Path) -> Result<(u64, u64, u64), JournalError> {
    let mut reader = SegmentReader::open(path)?;
    let len = fs::metadata(path).map_err(|error| JournalError::io("read", path, error))?.len();
    let mut places = Vec::new();
    while let Some(place) = reader.next_place()? {
        places.push(place);
    }
    // Only the last one can be torn; those before it were whole when it was appended.
    while let Some(last) = places.last() {
        if reader.read_block(last)?.is_some() {
            let end = last.at + last.header.len();
            return Ok((end, last.header.next_seq(), len - end));
        }
        places.pop();
    }
    let end = if len < FILE_HEADER as u64 { 0 } else { FILE_HEADER as u64 };
    Ok((end, 0, len - end))
}

fn begin(segment: &mut File, path: &Path) -> Result<u64, JournalError> {
    let failed = |error| JournalError::io("write", path, error);
    segment.seek(SeekFrom::Start(0)).map_err(failed)?;
    segment.write_all(&SEGMENT.header()).map_err(failed)?;
    Ok(FILE_HEADER as u64)
}

/// The bytes of the staging file, unless it was never finished.
fn read_old_staging(path: &Path) -> Result<Vec<u8>, JournalError> {
    let bytes = fs::read(path).map_err(|error| JournalError::io("read", path, error))?;
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(Vec::new());
    }
    STAGING.check(path, &bytes)?;
    Ok(bytes)
}

/// The frames that no block holds yet.
fn drop_duplicates<'a>(frames: &'a [u8], recovery: &mut Recovery) -> &'a [u8] {
    let (mut at, mut first) = (0, None);
    while let Some(frame) = frames.get(at..).and_then(Frame::read) {
        if frame.seq < recovery.next_seq {
            recovery.duplicates += 1;
        } else {
            if first.is_none() {
                // Behind a lost block, staged events keep the numbers they were given.
                (first, recovery.next_seq) = (Some(at), frame.seq);
            }
            recovery.recovered += 1;
        }
        at += frame.len();
    }
    first.and_then(|first| frames.get(first..)).unwrap_or_default()
}

/// Zeroes the whole staging file by writing it: every page then has its place on the disk, so no
/// later store into the map can fail for want of room.
fn clear_staging(staging: &File, path: &Path) -> Result<(), JournalError> {
    let clear = |mut file: &File| -> io::Result<()> {
        let mut header = STAGING.header();
        let old_len = file.metadata()?.len();
        file.seek(SeekFrom::Start(0))?;
        if old_len > 0 {
            header[STATE_AT..].copy_from_slice(&STATE_ZEROING);
            file.write_all(&header)?;
        }
        file.seek(SeekFrom::Start(FILE_HEADER as u64))?;
        file.write_all(&vec![0; STAGING_BYTES - FILE_HEADER])?;
        file.set_len(STAGING_BYTES as u64)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&STAGING.header())
    };
    clear(staging).map_err(|error| JournalError::io("write", path, error))
}

fn fence() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

/// Echoes compress to a tenth at the fastest level already.
const ZSTD_LEVEL: i32 = 1;

const _: () = assert!(FRAME_HEADER + FILE_HEADER < STAGING_BYTES);
