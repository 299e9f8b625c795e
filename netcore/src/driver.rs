//! The tokio driver of a long link: [`LongLink`], the handle, and the actor behind it.
//!
//! One actor task owns the machine, the socket and the timer. Handles send it commands over a
//! bounded queue (a full one makes the caller wait); it answers each task once. It decides nothing:
//! it resolves, races (`sojourner_probe::connect`), reads, writes, asks the clock, and stamps what
//! the machine reports.

mod actor;
mod dial;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sojourner_stats::event::LinkStatus;
use sojourner_stats::time::{Clock, SystemClock};
use sojourner_stats::{Instant, Sink};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::codec::{Codec, MarsCodec, TASK_ID_END};
use crate::config::LinkConfig;
use crate::task::{Push, Reply, Task, TaskError};

/// A handle to a long link. Clones share the link; when the last one is dropped it closes.
///
/// # Examples
///
/// See the [crate](crate)'s example.
#[derive(Clone, Debug)]
pub struct LongLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: mpsc::Sender<Command>,
    /// Cancelled while the queue was full: at most one entry a task, taken at the next turn.
    cancelled: Arc<Mutex<Vec<u32>>>,
    status: watch::Receiver<LinkStatus>,
    pushes: broadcast::WeakSender<Push>,
    tasks: AtomicU64,
}

/// What a handle asks of the actor.
#[derive(Debug)]
enum Command {
    Send { id: u32, task: Task, at: Instant, done: oneshot::Sender<Result<Reply, TaskError>> },
    Cancel { id: u32 },
    NetworkChanged,
    Close,
}

impl LongLink {
    /// Starts a link in Mars' format, which connects at once and keeps connected until it is
    /// closed. What happens is emitted to `sink`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn connect(config: LinkConfig, sink: impl Sink + 'static) -> Self {
        let codec = MarsCodec::new(config.client_version);
        Self::connect_with(config, codec, sink)
    }

    /// As [`connect`](Self::connect), in another packet format.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn connect_with(config: LinkConfig, codec: impl Codec, sink: impl Sink + 'static) -> Self {
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        let (status_writer, status) = watch::channel(LinkStatus::Idle);
        let (push_writer, _) = broadcast::channel(PUSHES_MAX);
        let pushes = push_writer.downgrade();
        let cancelled = Arc::default();
        let actor = actor::Actor::new(
            config,
            codec,
            Arc::new(sink),
            actor::Ends {
                commands: queue,
                cancelled: Arc::clone(&cancelled),
                status: status_writer,
                pushes: push_writer,
            },
        );
        tokio::spawn(actor.run());
        let tasks = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { commands, cancelled, status, pushes, tasks }) }
    }

    /// Sends a task and waits for its reply, across reconnects. Dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// [`TaskError`], within the task's timeout. What is worth trying again says
    /// [`is_retryable`](TaskError::is_retryable).
    pub async fn send(&self, task: Task) -> Result<Reply, TaskError> {
        let number = self.shared.tasks.fetch_add(1, Ordering::Relaxed);
        let id = u32::try_from(number % u64::from(TASK_ID_END - 1)).unwrap_or(0) + 1;
        let (done, reply) = oneshot::channel();
        let command = Command::Send { id, task, at: SystemClock.instant(), done };
        if self.shared.commands.send(command).await.is_err() {
            return Err(TaskError::Closed);
        }
        let mut cancel = CancelOnDrop { shared: &self.shared, id, armed: true };
        let result = reply.await.unwrap_or(Err(TaskError::Closed));
        cancel.armed = false;
        result
    }

    /// What the server says of its own accord from now on. A reader that falls more than 1,024
    /// behind misses the oldest, and [`Pushes::missed`] counts them.
    pub fn pushes(&self) -> Pushes {
        let receiver = self.shared.pushes.upgrade().map(|pushes| pushes.subscribe());
        Pushes { receiver, missed: 0 }
    }

    /// The link's state, to read or to wait on. It ends when the link has closed.
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.shared.status.clone()
    }

    /// Tells the link that the network changed: it connects anew at once, without back-off.
    pub async fn network_changed(&self) {
        // A closed link has no network to change.
        let _ = self.shared.commands.send(Command::NetworkChanged).await;
    }

    /// Closes the link and waits until it is closed. Tasks end as [`TaskError::Closed`].
    pub async fn close(&self) {
        let _ = self.shared.commands.send(Command::Close).await;
        let mut status = self.shared.status.clone();
        while status.changed().await.is_ok() {}
    }
}

/// What a server says of its own accord; see [`LongLink::pushes`].
#[derive(Debug)]
pub struct Pushes {
    receiver: Option<broadcast::Receiver<Push>>,
    missed: u64,
}

impl Pushes {
    /// The next push, oldest first; `None` once the link is closed and all was read.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Push> {
        loop {
            match self.receiver.as_mut()?.recv().await {
                Ok(push) => return Some(push),
                Err(broadcast::error::RecvError::Lagged(count)) => self.missed += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// How many this reader was too slow for.
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// Tells the actor when the caller of a task is gone.
struct CancelOnDrop<'a> {
    shared: &'a Shared,
    id: u32,
    armed: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        let id = self.id;
        if self.armed
            && let Err(mpsc::error::TrySendError::Full(_)) =
                self.shared.commands.try_send(Command::Cancel { id })
        {
            // The queue being full, the actor is about to take a turn.
            let mut cancelled =
                self.shared.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
            cancelled.push(id);
        }
    }
}

/// Commands on their way to the actor; a caller waits when there are more.
const COMMANDS_MAX: usize = 1_024;
/// Pushes a slow reader may fall behind by; then it misses the oldest.
const PUSHES_MAX: usize = 1_024;
