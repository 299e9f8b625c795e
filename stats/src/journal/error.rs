//! What can be wrong with a journal.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{Magic, VERSION};

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {op} {}", path.display())]
    Io {
        /// What was tried, such as `open`.
        op: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// The file holds something else. It was not touched.
    #[error(
        "{} is not a Sojourner journal: it begins with {found}, a journal begins with {expected}; name another file",
        path.display()
    )]
    NotAJournal {
        /// Which file.
        path: PathBuf,
        /// Its first bytes, escaped.
        found: String,
        /// The first bytes of a journal, escaped.
        expected: &'static str,
    },
    /// A newer release wrote it.
    #[error(
        "{} has journal format {version}, this release reads format {VERSION}; use a newer release",
        path.display()
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// Another writer has it open.
    #[error(
        "{} is being written by another process; end that one or name another file",
        path.display()
    )]
    Locked {
        /// Which journal.
        path: PathBuf,
    },
    /// An event is larger than a journal takes.
    #[error("an event of {bytes} bytes exceeds the maximum of {bytes_max}; it was not journaled")]
    TooLarge {
        /// Its size as JSON.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// An event has no form in JSON.
    #[error("an event cannot be written as JSON; it was not journaled")]
    Encode(#[source] serde_json::Error),
}

impl JournalError {
    pub(super) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { op, path: path.into(), source }
    }

    pub(super) fn not_a_journal(path: &Path, magic: &Magic, first: &[u8]) -> Self {
        let found = if first.is_empty() {
            "nothing: it is empty".into()
        } else {
            format!("\"{}\"", first[..first.len().min(8)].escape_ascii())
        };
        Self::NotAJournal { path: path.into(), found, expected: magic.shown }
    }

    /// Whether it concerns one event alone, so that the journal can go on.
    pub const fn is_about_one_event(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Encode(_))
    }
}
