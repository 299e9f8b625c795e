//! The task that owns one link: its machine, its socket, its timer.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use rand_core::{OsRng, TryRngCore};
use sojourner_stats::event::{DisconnectReason, LinkStatus, Source};
use sojourner_stats::time::{Clock, SystemClock};
use sojourner_stats::{Event, Instant, Kind, Machine, Origin, Sink, Stamp};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::{Command, dial};
use crate::codec::Codec;
use crate::config::LinkConfig;
use crate::long_link::{DialReport, Input, LinkEvent, LinkMachine, Transmit};
use crate::task::{Push, Reply, TaskError};

/// The actor's ends of the channels to its handles.
pub(super) struct Ends {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) cancelled: Arc<Mutex<Vec<u32>>>,
    pub(super) status: watch::Sender<LinkStatus>,
    pub(super) pushes: broadcast::Sender<Push>,
}

pub(super) struct Actor<C> {
    machine: LinkMachine<C>,
    config: LinkConfig,
    origin: Origin,
    sink: Arc<dyn Sink>,
    ends: Ends,
    /// Who waits for which task; at most one an accepted task.
    waiters: HashMap<u32, oneshot::Sender<Result<Reply, TaskError>>>,
    dials: JoinSet<(u64, DialReport, Option<TcpStream>)>,
    /// Stops the dial of this connection.
    dialling: Option<(u64, CancellationToken)>,
    socket: Option<Socket>,
    alarm: Alarm,
}

struct Socket {
    connection: u64,
    stream: TcpStream,
    inbound: BytesMut,
    /// How much room the next read gets: more for a busy link, little for 10,000 idle ones.
    read_bytes: usize,
    outbound: VecDeque<Bytes>, // as much as the machine's backlog allows
    write_error: Option<i32>,
}

/// A timer that may ring early, and is set anew only when it would ring too late.
struct Alarm {
    at: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What woke the actor.
enum Woken {
    Commands(usize),
    Read(io::Result<usize>),
    Writable,
    Dialled(u64, DialReport, Option<TcpStream>),
    Alarm,
}

impl<C: Codec> Actor<C> {
    pub(super) fn new(config: LinkConfig, codec: C, sink: Arc<dyn Sink>, ends: Ends) -> Self {
        let seed = config.seed.unwrap_or_else(|| OsRng.try_next_u64().unwrap_or(0));
        Self {
            machine: LinkMachine::new(config.clone(), codec, seed),
            origin: Origin::new(Source::Link, Arc::clone(&config.target)),
            config,
            sink,
            ends,
            waiters: HashMap::new(),
            dials: JoinSet::new(),
            dialling: None,
            socket: None,
            alarm: Alarm { at: Instant::FAR, sleep: None },
        }
    }

    pub(super) async fn run(mut self) {
        let mut commands = Vec::with_capacity(COMMANDS_A_TURN);
        self.machine.handle_input(SystemClock.instant(), Input::Connect);
        loop {
            self.turn();
            if self.machine.is_closed() {
                break;
            }
            match self.wake(&mut commands).await {
                Woken::Commands(0) => {
                    self.machine.handle_input(SystemClock.instant(), Input::Close);
                }
                Woken::Commands(_) => commands.drain(..).for_each(|command| self.obey(command)),
                Woken::Read(read) => self.on_read(read),
                Woken::Writable => {}
                Woken::Dialled(connection, report, stream) => {
                    self.on_dialled(connection, report, stream);
                }
                // What has come by now came in time.
                Woken::Alarm => self.read_what_is_there(),
            }
        }
        // Races that were called off still have their last event to emit.
        while self.dials.join_next().await.is_some() {}
    }

    async fn wake(&mut self, commands: &mut Vec<Command>) -> Woken {
        let Self { ends, socket, dials, alarm, .. } = self;
        tokio::select! {
            count = ends.commands.recv_many(commands, COMMANDS_A_TURN) => Woken::Commands(count),
            woken = Socket::wake(socket.as_mut()) => woken,
            Some(Ok((connection, report, stream))) = dials.join_next(), if !dials.is_empty() => {
                Woken::Dialled(connection, report, stream)
            }
            () = alarm.ring() => Woken::Alarm,
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            // Its caller left before it was accepted.
            Command::Send { done, .. } if done.is_closed() => {}
            Command::Send { id, task, at, done } => {
                self.waiters.insert(id, done);
                self.machine.handle_input(at, Input::Send { id, task });
            }
            Command::Cancel { id } => {
                self.waiters.remove(&id);
                self.machine.handle_input(SystemClock.instant(), Input::Cancel { id });
            }
            Command::NetworkChanged => {
                self.machine.handle_input(SystemClock.instant(), Input::NetworkChanged);
            }
            Command::Close => self.machine.handle_input(SystemClock.instant(), Input::Close),
        }
    }

    fn on_dialled(&mut self, connection: u64, report: DialReport, stream: Option<TcpStream>) {
        if self.dialling.as_ref().is_none_or(|(id, _)| *id != connection) {
            return; // called off
        }
        self.dialling = None;
        self.socket = stream.map(|stream| Socket::new(connection, stream));
        self.machine.handle_input(SystemClock.instant(), Input::Dialled { connection, report });
    }

    fn on_read(&mut self, read: io::Result<usize>) {
        let Some(socket) = &mut self.socket else { return };
        let connection = socket.connection;
        let input = match read {
            Ok(1..) => Input::Received { connection, bytes: socket.take_read() },
            Ok(0) => {
                let errno = socket.write_error;
                Input::Ended { connection, reason: reason(errno), errno }
            }
            Err(error) => {
                let errno = error.raw_os_error().or(socket.write_error);
                let reason = match error.kind() {
                    io::ErrorKind::ConnectionReset => DisconnectReason::Reset,
                    _ => DisconnectReason::Io,
                };
                Input::Ended { connection, reason, errno }
            }
        };
        self.machine.handle_input(SystemClock.instant(), input);
    }

    fn read_what_is_there(&mut self) {
        self.alarm = Alarm { at: Instant::FAR, sleep: None };
        let Some(socket) = &mut self.socket else { return };
        socket.make_room();
        match socket.stream.try_read_buf(&mut socket.inbound) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => self.on_read(read),
        }
    }

    /// Lets time pass, and does what the machine wants until it wants nothing more.
    fn turn(&mut self) {
        let now = SystemClock.now();
        let cancelled = std::mem::take(
            &mut *self.ends.cancelled.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for id in cancelled {
            self.obey(Command::Cancel { id });
        }
        self.machine.handle_timeout(now.mono);
        loop {
            while let Some(transmit) = self.machine.poll_transmit(now.mono) {
                self.transmit(transmit);
            }
            while let Some(event) = self.machine.poll_event() {
                self.publish(now, event);
            }
            let Some((connection, bytes)) = self.socket.as_mut().and_then(Socket::flush) else {
                break;
            };
            self.machine.handle_input(now.mono, Input::Written { connection, bytes });
        }
        self.alarm.set(self.machine.poll_timeout().map(|due| due.at), now.mono);
    }

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Dial { connection } => {
                let cancel = CancellationToken::new();
                self.dialling = Some((connection, cancel.clone()));
                let (origin, sink) = (self.origin.clone(), Arc::clone(&self.sink));
                let dial = dial::dial(self.config.clone(), origin, sink, cancel);
                self.dials.spawn(async move {
                    let (report, stream) = dial.await;
                    (connection, report, stream)
                });
            }
            Transmit::Write { connection, bytes } => {
                if let Some(socket) = &mut self.socket
                    && socket.connection == connection
                    && socket.write_error.is_none()
                {
                    socket.outbound.push_back(bytes);
                }
            }
            Transmit::Close { connection } => {
                self.socket.take_if(|socket| socket.connection == connection);
                if let Some((_, cancel)) = self.dialling.take_if(|(id, _)| *id == connection) {
                    cancel.cancel();
                }
            }
        }
    }

    fn publish(&mut self, now: Stamp, event: LinkEvent) {
        match event {
            LinkEvent::Done { id, result } => {
                if let Some(waiter) = self.waiters.remove(&id) {
                    // The caller may be gone.
                    let _ = waiter.send(result);
                }
            }
            LinkEvent::Push(push) => {
                // Nobody may be listening.
                let _ = self.ends.pushes.send(push);
            }
            LinkEvent::Report(kind) => {
                if let Kind::LinkState(state) = &kind {
                    self.ends.status.send_replace(state.status);
                }
                self.sink.emit(Event::new(now, self.origin.clone(), kind));
            }
        }
    }
}

impl Socket {
    fn new(connection: u64, stream: TcpStream) -> Self {
        // A request waits for no other. Without it the link is slower, not wrong.
        let _ = stream.set_nodelay(true);
        Self {
            connection,
            stream,
            inbound: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            outbound: VecDeque::new(),
            write_error: None,
        }
    }

    async fn wake(socket: Option<&mut Self>) -> Woken {
        let Some(socket) = socket else { return pending().await };
        socket.make_room();
        let (mut reader, writer) = socket.stream.split();
        tokio::select! {
            read = reader.read_buf(&mut socket.inbound) => Woken::Read(read),
            _ = writer.writable(), if !socket.outbound.is_empty() => Woken::Writable,
        }
    }

    fn make_room(&mut self) {
        if self.inbound.capacity() - self.inbound.len() < self.read_bytes / 4 {
            self.inbound.reserve(self.read_bytes);
        }
    }

    fn take_read(&mut self) -> BytesMut {
        if self.inbound.len() == self.inbound.capacity() {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        self.inbound.split()
    }

    /// Writes what the kernel takes now; `None` if nothing.
    fn flush(&mut self) -> Option<(u64, u64)> {
        let mut written = 0;
        while let Some(front) = self.outbound.front_mut() {
            match self.stream.try_write(front) {
                Ok(count) => {
                    written += count as u64;
                    front.advance(count);
                    if front.is_empty() {
                        self.outbound.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // What the peer said before is still to be read; the read then ends it.
                    self.write_error = Some(error.raw_os_error().unwrap_or(0));
                    self.outbound.clear();
                }
            }
        }
        (written > 0).then_some((self.connection, written))
    }
}

impl Alarm {
    fn set(&mut self, at: Option<Instant>, now: Instant) {
        let at = at.unwrap_or(Instant::FAR);
        if at < self.at {
            let sleep = tokio::time::sleep(at.since(now));
            match &mut self.sleep {
                Some(pinned) => pinned.set(sleep),
                none => *none = Some(Box::pin(sleep)),
            }
            self.at = at;
        }
    }

    async fn ring(&mut self) {
        match &mut self.sleep {
            Some(sleep) => sleep.await,
            None => pending().await,
        }
    }
}

/// Why a connection ended whose read side says "end of stream".
const fn reason(write_error: Option<i32>) -> DisconnectReason {
    match write_error {
        // The write met the reset first.
        Some(_) => DisconnectReason::Reset,
        None => DisconnectReason::RemoteClosed,
    }
}

/// Commands taken at once, before the socket gets its turn.
const COMMANDS_A_TURN: usize = 256;
/// Room for a read on a quiet link.
const READ_BYTES_MIN: usize = 2 * 1_024;
/// Room for a read on a busy link: what Mars reads a turn.
const READ_BYTES_MAX: usize = 64 * 1_024;
