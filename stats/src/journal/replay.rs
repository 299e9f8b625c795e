//! Reading a journal back, oldest event first.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::format::{Begun, Frame, STAGING, staged};
use super::segment::SegmentReader;
use super::{JournalError, old_segments, staging_path};
use crate::event::{Event, Kind, Origin};
use crate::time::Stamp;

/// What a replay read, and what it could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Events given, those of unknown kinds included.
    pub events: u64,
    /// Events of kinds this release does not know.
    pub unknown: u64,
    /// Damaged stretches that were skipped.
    pub corrupt_blocks: u64,
    /// Bytes of torn tails that were cut.
    pub cut_bytes: u64,
    /// Events found twice, and given once.
    pub duplicates: u64,
}

/// Gives a journal's events, oldest first, each once. It changes nothing on the disk.
///
/// After the last one [`report`](Self::report) says what was skipped. After an error it ends.
#[derive(Debug)]
pub struct Replay {
    /// Segments to read, oldest first.
    segments: VecDeque<PathBuf>,
    segment: Option<SegmentReader>,
    /// The frames of `FILE.staging`, read before the segments: what a living writer moves from
    /// staging to the segment meanwhile is seen at least once, and given once.
    staging: Vec<u8>,
    frames: Vec<u8>,
    /// How many bytes of `frames` were given.
    given: usize,
    next_seq: u64,
    report: ReplayReport,
}

/// Opens a journal to read it from its oldest event. A living writer may go on meanwhile.
///
/// # Errors
///
/// [`JournalError::NotAJournal`] and [`JournalError::Version`] when the file is something else or
/// newer; [`JournalError::Io`] when it cannot be read.
///
/// # Examples
///
/// ```
/// # use sojourner_stats::{*, journal::*};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("session.journal");
/// let mut journal = JournalWriter::open(JournalConfig::new(&path)).unwrap();
/// let event = Event::new(Stamp::default(), Origin::new(Source::App, "demo"), Kind::Unknown);
/// journal.append(&event).unwrap();
///
/// let mut stats = Stats::default();
/// let mut replay = replay(&path).unwrap();
/// for event in &mut replay {
///     stats.fold(&event.unwrap());
/// }
/// assert_eq!((replay.report().events, stats.snapshot(Stamp::default()).events), (1, 1));
/// ```
pub fn replay(path: impl AsRef<Path>) -> Result<Replay, JournalError> {
    let path = path.as_ref();
    let mut report = ReplayReport::default();
    let staging = read_staging(path, &mut report)?;
    let mut segments: VecDeque<PathBuf> =
        old_segments(path)?.into_iter().map(|(_, path)| path).collect();
    // A kill in the middle of a rotation leaves old segments alone.
    if segments.is_empty() || path.exists() {
        segments.push_back(path.into());
    }
    let mut replay = Replay {
        segments,
        segment: None,
        staging,
        frames: Vec::new(),
        given: 0,
        next_seq: 0,
        report,
    };
    replay.open_next()?;
    Ok(replay)
}

impl Replay {
    /// What was read so far.
    pub const fn report(&self) -> &ReplayReport {
        &self.report
    }

    fn open_next(&mut self) -> Result<(), JournalError> {
        if let Some(path) = self.segments.pop_front() {
            self.segment = Some(SegmentReader::open(&path)?);
        }
        Ok(())
    }

    /// Makes `frames` the next frames to give. Returns false at the end.
    fn next_frames(&mut self) -> Result<bool, JournalError> {
        self.given = 0;
        self.frames.clear();
        while let Some(segment) = &mut self.segment {
            if let Some(frames) = segment.next_block()? {
                self.frames = frames;
                return Ok(true);
            }
            self.report.corrupt_blocks += segment.corrupt_blocks;
            self.report.cut_bytes += segment.cut_bytes;
            self.segment = None;
            self.open_next()?;
        }
        self.frames = std::mem::take(&mut self.staging);
        Ok(!self.frames.is_empty())
    }

    fn next_event(&mut self) -> Result<Option<Event>, JournalError> {
        loop {
            let Some(frame) = self.frames.get(self.given..).and_then(Frame::read) else {
                if self.next_frames()? {
                    continue;
                }
                return Ok(None);
            };
            self.given += frame.len();
            if frame.seq < self.next_seq {
                self.report.duplicates += 1;
                continue;
            }
            self.next_seq = frame.seq.saturating_add(1);
            let event = parse(frame.payload);
            if event.as_ref().is_none_or(|event| event.kind == Kind::Unknown) {
                self.report.unknown += 1;
            }
            if let Some(event) = event {
                self.report.events += 1;
                return Ok(Some(event));
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Event, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.next_event();
        if event.is_err() {
            self.segments.clear();
            self.segment = None;
            self.staging.clear();
            self.frames.clear();
        }
        event.transpose()
    }
}

/// An event whose kind is known but whose values are newer than this release is unknown too.
fn parse(payload: &[u8]) -> Option<Event> {
    #[derive(Deserialize)]
    struct Known {
        at: Stamp,
        origin: Origin,
    }
    serde_json::from_slice(payload).ok().or_else(|| {
        let Known { at, origin } = serde_json::from_slice(payload).ok()?;
        Some(Event::new(at, origin, Kind::Unknown))
    })
}

fn read_staging(path: &Path, report: &mut ReplayReport) -> Result<Vec<u8>, JournalError> {
    let path = staging_path(path);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("read", &path, error)),
    };
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(Vec::new()); // a kill while it was made
    }
    if STAGING.check(&path, &bytes)? == Begun::Partly {
        report.cut_bytes += bytes.len() as u64;
        return Ok(Vec::new());
    }
    let (frames, cut) = staged(&bytes);
    report.cut_bytes += cut;
    Ok(frames.to_vec())
}
