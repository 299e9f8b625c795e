//! The journal as a recorder sees it: there or not, working or not.

use crate::event::Event;
use crate::recorder::Recorded;

#[cfg(feature = "journal")]
use {
    crate::journal::{JournalConfig, JournalError, JournalWriter, Recovery, encode},
    std::sync::Arc,
};

/// Keeps events, if a journal was asked for.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    #[cfg(feature = "journal")]
    writer: Option<JournalWriter>,
    /// The latest failure. One that is not about a single event alone ends the journal: trying
    /// again with each event would make every recorder wait for a broken disk.
    #[cfg(feature = "journal")]
    pub(crate) error: Option<Arc<JournalError>>,
    /// What opening found; `None` without a journal.
    #[cfg(feature = "journal")]
    pub(crate) recovery: Option<Recovery>,
}

/// An event as it will be kept, made before the lock is taken.
#[derive(Debug)]
pub(crate) struct Encoded {
    #[cfg(feature = "journal")]
    json: Option<Result<Vec<u8>, JournalError>>,
}

impl Encoded {
    #[cfg(feature = "journal")]
    pub(crate) fn new(event: &Event, wanted: bool) -> Self {
        Self { json: wanted.then(|| encode(event)) }
    }

    #[cfg(not(feature = "journal"))]
    pub(crate) const fn new(_event: &Event, _wanted: bool) -> Self {
        Self {}
    }
}

#[cfg(feature = "journal")]
impl Keeper {
    pub(crate) fn open(config: Option<JournalConfig>) -> Result<Self, JournalError> {
        let writer = config.map(JournalWriter::open).transpose()?;
        let recovery = writer.as_ref().map(|writer| *writer.recovery());
        Ok(Self { writer, error: None, recovery })
    }

    /// Whether events have to be encoded.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.recovery.is_some()
    }

    pub(crate) fn keep(&mut self, encoded: Encoded) -> Recorded {
        let Some(json) = encoded.json else { return Recorded::Kept };
        let Some(writer) = &mut self.writer else { return Recorded::Dropped };
        let Err(error) = json.and_then(|json| writer.append_json(&json)) else {
            return Recorded::Kept;
        };
        self.fail(error);
        Recorded::Dropped
    }

    /// Ends the journal: everything into its segment and onto the disk.
    pub(crate) fn finish(&mut self) {
        if let Some(mut writer) = self.writer.take()
            && let Err(error) = writer.seal().and_then(|()| writer.sync())
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: JournalError) {
        if !error.is_about_one_event() {
            self.writer = None;
        }
        self.error = Some(Arc::new(error));
    }
}

#[cfg(not(feature = "journal"))]
#[expect(clippy::unused_self, reason = "the same shape as with a journal")]
impl Keeper {
    pub(crate) const fn is_wanted(&self) -> bool {
        false
    }

    pub(crate) const fn keep(&self, _encoded: Encoded) -> Recorded {
        Recorded::Kept
    }

    pub(crate) const fn finish(&self) {}
}
