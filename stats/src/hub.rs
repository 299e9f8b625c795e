//! The one owner of the fold: a thread that takes in what recorders hand over and publishes
//! snapshots.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event::Event;
#[cfg(feature = "journal")]
use crate::journal::{JournalConfig, JournalError, Recovery};
use crate::keeper::Keeper;
use crate::recorder::{HURRY, Queue, Recorder, Shared};
use crate::snapshot::Snapshot;
use crate::stats::{Stats, StatsConfig};
use crate::time::{Clock, Instant};

/// How a [`Hub`] works.
#[derive(Clone)]
#[non_exhaustive]
pub struct HubConfig {
    /// The bounds of the fold.
    pub stats: StatsConfig,
    /// The shortest time between two published snapshots. Default 100 ms: ten a second are more
    /// than an eye can follow.
    pub publish_every: Duration,
    /// Stamps snapshots, and the counts of dropped events.
    pub clock: Arc<dyn Clock>,
    /// Where every event is kept. Default: nowhere.
    #[cfg(feature = "journal")]
    pub journal: Option<JournalConfig>,
}

impl HubConfig {
    /// The defaults, on a clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            stats: StatsConfig::default(),
            publish_every: Duration::from_millis(100),
            clock,
            #[cfg(feature = "journal")]
            journal: None,
        }
    }
}

#[cfg(feature = "clock")]
impl Default for HubConfig {
    fn default() -> Self {
        Self::new(Arc::new(crate::time::SystemClock))
    }
}

impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("stats", &self.stats)
            .field("publish_every", &self.publish_every)
            .finish_non_exhaustive()
    }
}

/// Why a hub could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The system has no thread to give; fewer processes or a higher limit mend it.
    #[error("cannot start the thread that folds events")]
    Thread(#[source] io::Error),
    /// The journal cannot be written.
    #[cfg(feature = "journal")]
    #[error("cannot record to the journal")]
    Journal(#[from] JournalError),
}

/// Owns the fold. Events go in by its [`Recorder`]s, [`Snapshot`]s come out.
///
/// One thread folds; it sleeps while nothing is recorded, and publishes at most once every
/// [`HubConfig::publish_every`]. Dropping the hub ends the thread.
///
/// # Examples
///
/// ```
/// # use sojourner_stats::{*, event::*};
/// let hub = Hub::start(HubConfig::default()).unwrap();
/// let recorder = hub.recorder();
/// let origin = Origin::new(Source::Ping, "192.0.2.7");
/// let lost = PingLost { seq: 0, addr: "192.0.2.7".parse().unwrap() };
/// recorder.emit(Event::new(Stamp::default(), origin, Kind::PingLost(lost)));
/// assert_eq!(hub.finish().events, 1);
/// ```
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts the fold thread.
    ///
    /// # Errors
    ///
    /// [`HubError::Thread`] when the system refuses a thread, [`HubError::Journal`] when the
    /// journal cannot be opened.
    pub fn start(config: HubConfig) -> Result<Self, HubError> {
        #[cfg(feature = "journal")]
        let keeper = Keeper::open(config.journal)?;
        #[cfg(not(feature = "journal"))]
        let keeper = Keeper::default();
        let shared = Arc::new(Shared::new(keeper));
        let folder = Folder {
            shared: Arc::clone(&shared),
            stats: Stats::new(config.stats),
            next_publish: Instant::ZERO,
            publish_every: config.publish_every,
            clock: config.clock,
            unpublished: false,
        };
        let thread = std::thread::Builder::new()
            .name("sojourner-stats".into())
            .spawn(move || folder.run())
            .map_err(HubError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A way to record events, for any thread.
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared))
    }

    /// The latest published snapshot; an empty one before the first. Never waits.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.published.load_full()
    }

    /// Waits until everything recorded so far is in the published snapshot, and returns that.
    pub fn flush(&self) -> Arc<Snapshot> {
        let mut queue = self.shared.lock();
        queue.flushes_wanted += 1;
        let mine = queue.flushes_wanted;
        self.shared.work.notify_one();
        while queue.flushes_done < mine && !queue.ended {
            queue = self.shared.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.snapshot()
    }

    /// Folds what is left, brings the journal onto the disk, ends the thread and returns the last
    /// snapshot. Recorders that live on drop what they are given.
    pub fn finish(mut self) -> Arc<Snapshot> {
        self.stop();
        self.snapshot()
    }

    /// Why the journal lacks events; `None` while it lacks none. After a failure that is not about
    /// one event alone nothing more is journaled, while folding goes on.
    #[cfg(feature = "journal")]
    pub fn journal_error(&self) -> Option<Arc<JournalError>> {
        self.shared.lock().keeper.error.clone()
    }

    /// What opening the journal found and mended; `None` without a journal.
    #[cfg(feature = "journal")]
    pub fn journal_recovery(&self) -> Option<Recovery> {
        self.shared.lock().keeper.recovery
    }

    fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the fold was printed by its own thread; the last snapshot stands.
            drop(thread.join());
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The fold thread.
struct Folder {
    shared: Arc<Shared>,
    stats: Stats,
    next_publish: Instant,
    publish_every: Duration,
    clock: Arc<dyn Clock>,
    unpublished: bool,
}

impl Folder {
    fn run(mut self) {
        let _ended = Ended(Arc::clone(&self.shared));
        let mut batch = Vec::new();
        loop {
            let turn = self.wait(&mut batch);
            for event in batch.drain(..) {
                self.stats.fold(&event);
                self.unpublished = true;
            }
            if turn.publish {
                self.publish();
            }
            let mut queue = self.shared.lock();
            queue.flushes_done = turn.flushes;
            if turn.stop {
                queue.keeper.finish();
            }
            drop(queue);
            self.shared.done.notify_all();
            if turn.stop {
                return;
            }
        }
    }

    /// Waits for something to do and takes it.
    fn wait(&self, batch: &mut Vec<Event>) -> Turn {
        let mut queue = self.shared.lock();
        let mut due = false;
        while !due && !is_urgent(&queue) {
            if queue.events.is_empty() && queue.dropped == 0 && !self.unpublished {
                queue = self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let left = self.next_publish.since(self.clock.instant()).min(self.publish_every);
            due = left.is_zero();
            if !due {
                let waited = self.shared.work.wait_timeout(queue, left);
                let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                due = timeout.timed_out();
                queue = woken;
            }
        }
        queue.tell_dropped(self.clock.now());
        std::mem::swap(&mut queue.events, batch);
        let (flushes, stop) = (queue.flushes_wanted, queue.stop);
        let asked = stop || flushes > queue.flushes_done;
        drop(queue);
        due = due || self.clock.instant() >= self.next_publish;
        Turn { flushes, stop, publish: asked || due }
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        self.shared.published.store(Arc::new(self.stats.snapshot(now)));
        self.next_publish = now.mono + self.publish_every;
        self.unpublished = false;
    }
}

/// One round of the fold thread.
struct Turn {
    /// How many flushes are done after it.
    flushes: u64,
    stop: bool,
    publish: bool,
}

fn is_urgent(queue: &Queue) -> bool {
    queue.stop || queue.flushes_wanted > queue.flushes_done || queue.events.len() >= HURRY
}

/// Wakes those who wait for a flush even if the fold panics.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        (queue.ended, queue.stop) = (true, true);
        drop(queue);
        self.0.done.notify_all();
    }
}
