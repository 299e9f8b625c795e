//! The Linux engines: one socket a family for all targets, stamped by the kernel.

use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;

use sojourner_stats::event::{IcmpUnreachable, PingEngine, StampSource};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Instant, Machine, Sink, Stamp};
use tokio_util::sync::CancellationToken;

use super::machine::{Echo, Key, PingInput, Pinger, Schedule};
use super::{EngineChoice, PingConfig, PingReport};
use crate::ProbeError;
use crate::driver::kernel_clock::KernelClock;
use crate::driver::socket::{Method, ProbeSocket, SocketOptions, local_addr_toward};
use crate::driver::sys::linux::{Batch, Datagram, Origin, Queue, QueuedError};
use crate::driver::{low_16, random};
use crate::wire::icmp::{self, Cookie, EchoKind, Family};

/// Opens what the choice allows, and pings.
pub(super) async fn run(
    config: &PingConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<PingReport, ProbeError> {
    let mut driver = Driver::new(config)?;
    driver.run(sink, cancel).await;
    Ok(PingReport { overflowed: driver.overflowed(), targets: driver.pinger.summaries() })
}

struct Driver<'a> {
    config: &'a PingConfig,
    v4: Option<Lane>,
    v6: Option<Lane>,
    pinger: Pinger,
    clock: KernelClock,
    batch: Batch,
    run: u64,
    payload: Vec<u8>,
    message: Vec<u8>,
    heard: Vec<(Instant, PingInput)>,
    /// An echo that found the send buffer full.
    held: Option<Echo>,
}

struct Lane {
    socket: ProbeSocket,
    /// The ICMP identifier of our echoes, where we choose it.
    ident: u16,
    overflowed: u32,
}

impl<'a> Driver<'a> {
    fn new(config: &'a PingConfig) -> Result<Self, ProbeError> {
        let run = random();
        let lane = |family: Family, of_family: fn(&IpAddr) -> bool| {
            let wanted = config.targets.iter().any(|target| of_family(&target.addr));
            wanted.then(|| Lane::open(config, family, low_16(run))).transpose()
        };
        let v4 = lane(Family::V4, IpAddr::is_ipv4)?;
        let v6 = lane(Family::V6, IpAddr::is_ipv6)?;
        let engine = |addr: IpAddr| match if addr.is_ipv4() { &v4 } else { &v6 } {
            Some(lane) => lane.engine(),
            None => PingEngine::KernelUdp,
        };
        let PingConfig { count, interval, timeout, .. } = *config;
        let schedule = Schedule { count, interval, timeout };
        let targets = config.targets.iter().map(|target| (target.clone(), engine(target.addr)));
        let bytes = usize::from(config.size_bytes);
        Ok(Self {
            pinger: Pinger::new(schedule, targets, SystemClock.instant()),
            config,
            v4,
            v6,
            clock: KernelClock::new(),
            batch: Batch::new(BATCH, bytes + HEADERS_BYTES_MAX),
            run,
            payload: (0..=u8::MAX).cycle().take(bytes).collect(),
            message: Vec::with_capacity(bytes + icmp::HEADER_BYTES),
            heard: Vec::new(),
            held: None,
        })
    }

    async fn run(&mut self, sink: &dyn Sink, cancel: &CancellationToken) {
        let mut now = self.clock.turn();
        loop {
            self.pinger.handle_timeout(now.mono);
            self.send_due(now.mono);
            self.emit(sink, now);
            if self.pinger.is_done() || cancel.is_cancelled() {
                return;
            }
            let due = self.pinger.poll_timeout();
            let wait = due.map_or(WAIT_MAX, |due| due.at.since(SystemClock.instant()));
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = ready(self.v4.as_ref(), self.held.is_some()) => {}
                () = ready(self.v6.as_ref(), self.held.is_some()) => {}
                () = tokio::time::sleep(wait.min(WAIT_MAX)) => {}
            }
            now = self.clock.turn();
            self.receive(now.mono, Wake::Ready);
        }
    }

    fn send_due(&mut self, now: Instant) {
        let mut sent = 0;
        while let Some(echo) = self.held.take().or_else(|| self.pinger.poll_transmit(now)) {
            if self.send(echo, now).is_break() {
                return;
            }
            sent += 1;
            if sent % BATCH == 0 {
                // Near replies are here already; the receive buffer is small without privilege.
                let now = self.clock.turn();
                self.receive(now.mono, Wake::Sending);
            }
        }
    }

    /// Sends one echo; breaks when there is no room for it now.
    fn send(&mut self, echo: Echo, now: Instant) -> ControlFlow<()> {
        let Echo { id, target } = echo;
        let addr = self.config.targets[target].addr;
        let Some(lane) = (if addr.is_ipv4() { &self.v4 } else { &self.v6 }) else {
            return ControlFlow::Continue(()); // cannot be: lanes are opened for the targets
        };
        Cookie { run: self.run, id }.write(&mut self.payload);
        let to = match lane.socket.method {
            Method::IcmpDgram | Method::IcmpRaw => {
                let (ident, seq) = (lane.ident, low_16(id));
                icmp::Echo { kind: EchoKind::Request, ident, seq, payload: &self.payload }
                    .emit(lane.socket.family, &mut self.message);
                lane.socket.peer(addr, 0)
            }
            Method::Udp => {
                self.message.clone_from(&self.payload);
                lane.socket.peer(addr, UDP_PORT_FIRST + (low_16(id) & UDP_PORT_MASK))
            }
        };
        let mut errno = 0;
        for _ in 0..SEND_TRIES {
            let at = SystemClock.instant();
            match lane.socket.send(&self.message, &to) {
                Ok(()) => {
                    self.pinger.handle_input(at, PingInput::Sent { id });
                    return ControlFlow::Continue(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.held = Some(echo);
                    return ControlFlow::Break(());
                }
                // An error that came for an earlier echo fails this send, which then did not
                // happen; the error itself is in the queue. Only one that comes again is ours.
                Err(error) => errno = error.raw_os_error().unwrap_or(0),
            }
            let _ = lane.socket.take_error();
        }
        self.pinger.handle_input(now, PingInput::SendFailed { id, errno });
        ControlFlow::Continue(())
    }

    fn receive(&mut self, now: Instant, wake: Wake) {
        let Self { config, v4, v6, clock, batch, run, heard, .. } = self;
        for lane in [v4, v6].into_iter().flatten() {
            let Lane { socket, ident, overflowed } = lane;
            let (family, method) = (socket.family, socket.method);
            let reader = Reader { config, run: *run, family, method, ident: *ident };
            let mut take = |queue, datagram: Datagram<'_>| {
                *overflowed = datagram.control.overflowed.unwrap_or(*overflowed);
                let stamped = datagram.control.realtime_ns.and_then(|at| clock.instant(at));
                let (at, stamp) = match stamped {
                    // Later than now: the clock is being stepped under our feet.
                    Some(at) if at <= now + STAMP_AHEAD_MAX => (at, StampSource::Kernel),
                    _ => (now, StampSource::User),
                };
                let input = match queue {
                    Queue::Data => reader.reply(&datagram, stamp, now),
                    Queue::Errors => reader.error(&datagram, stamp, now),
                };
                heard.extend(input.map(|input| (at, input)));
            };
            match wake {
                Wake::Ready => socket.drain_ready(batch, &mut take),
                Wake::Sending => socket.drain_now(batch, &mut take),
            }
        }
        for (at, input) in heard.drain(..) {
            self.pinger.handle_input(at, input);
        }
    }

    fn emit(&mut self, sink: &dyn Sink, now: Stamp) {
        while let Some(event) = self.pinger.poll_event() {
            let origin = self.config.targets[event.target].origin.clone();
            sink.emit(Event::new(now.at(event.at), origin, event.kind));
        }
    }

    fn overflowed(&self) -> u64 {
        [&self.v4, &self.v6].into_iter().flatten().map(|lane| u64::from(lane.overflowed)).sum()
    }
}

impl Lane {
    fn open(config: &PingConfig, family: Family, ident: u16) -> Result<Self, ProbeError> {
        let (source, ttl) = (config.source, config.ttl);
        let options = SocketOptions { source, interface: config.interface.as_deref(), ttl };
        let socket = match config.engine {
            EngineChoice::Udp => ProbeSocket::open(family, Method::Udp, options),
            EngineChoice::Auto => match ProbeSocket::icmp(family, options) {
                Err(ProbeError::Denied { .. }) => ProbeSocket::open(family, Method::Udp, options),
                opened => opened,
            },
            EngineChoice::Kernel | EngineChoice::Surge => ProbeSocket::icmp(family, options),
        }?;
        Ok(Self { socket, ident, overflowed: 0 })
    }

    const fn engine(&self) -> PingEngine {
        match self.socket.method {
            Method::IcmpDgram => PingEngine::KernelDgram,
            Method::IcmpRaw => PingEngine::KernelRaw,
            Method::Udp => PingEngine::KernelUdp,
        }
    }
}

#[derive(Clone, Copy)]
enum Wake {
    /// Tokio says that there is something.
    Ready,
    /// In the middle of sending many.
    Sending,
}

async fn ready(lane: Option<&Lane>, to_send: bool) {
    match lane {
        // An error of the registration itself would spin; the deadline goes on without it.
        Some(lane) if lane.socket.ready(to_send).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

/// Turns what a socket heard into the machine's words, dropping what is not ours.
struct Reader<'a> {
    config: &'a PingConfig,
    run: u64,
    family: Family,
    method: Method,
    ident: u16,
}

impl Reader<'_> {
    fn reply(
        &self,
        datagram: &Datagram<'_>,
        stamp: StampSource,
        seen: Instant,
    ) -> Option<PingInput> {
        let peer = datagram.peer?;
        let message = match (self.method, self.family) {
            (Method::IcmpRaw, Family::V4) => icmp::skip_ipv4(datagram.data)?,
            _ => datagram.data,
        };
        let key = match self.method {
            Method::Udp => self.udp_key(message, peer.ip(), peer.port())?,
            Method::IcmpDgram | Method::IcmpRaw => {
                self.icmp_key(EchoKind::Reply, message, peer.ip())?
            }
        };
        let size_bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
        Some(PingInput::Reply { key, ttl: datagram.control.ttl, size_bytes, stamp, seen })
    }

    fn error(
        &self,
        datagram: &Datagram<'_>,
        stamp: StampSource,
        seen: Instant,
    ) -> Option<PingInput> {
        let (peer, queued) = (datagram.peer?, datagram.control.error?);
        let key = match self.method {
            Method::Udp => self.udp_key(datagram.data, peer.ip(), peer.port())?,
            Method::IcmpDgram | Method::IcmpRaw => {
                self.icmp_key(EchoKind::Request, datagram.data, peer.ip())?
            }
        };
        let error = self.meaning(&queued)?;
        let from = queued.offender;
        if self.method == Method::Udp && error == IcmpUnreachable::Port && from == Some(peer.ip()) {
            let size_bytes = u32::try_from(datagram.data.len() + icmp::HEADER_BYTES).ok()?;
            return Some(PingInput::Reply {
                key,
                ttl: datagram.control.ttl,
                size_bytes,
                stamp,
                seen,
            });
        }
        // A dead neighbour is reported by this host itself, under its own address.
        let from = from.filter(|&from| {
            from == peer.ip()
                || (self.config.source != Some(from) && local_addr_toward(peer.ip()) != Some(from))
        });
        Some(PingInput::Error { key, from, error })
    }

    fn meaning(&self, queued: &QueuedError) -> Option<IcmpUnreachable> {
        match queued.origin {
            Origin::Icmp | Origin::Icmp6 => {
                icmp::error(self.family, queued.icmp_type, queued.code, queued.info)
            }
            Origin::Local => match queued.errno {
                libc::ENETUNREACH => Some(IcmpUnreachable::Network),
                libc::EHOSTUNREACH => Some(IcmpUnreachable::Host),
                libc::EACCES | libc::EPERM => Some(IcmpUnreachable::Prohibited),
                _ => None, // too big: the send itself said so
            },
            Origin::Other => None,
        }
    }

    fn icmp_key(&self, kind: EchoKind, message: &[u8], addr: IpAddr) -> Option<Key> {
        let echo = icmp::Echo::parse(self.family, message).filter(|echo| echo.kind == kind)?;
        if self.method == Method::IcmpRaw && echo.ident != self.ident {
            return None;
        }
        self.key(echo.payload, Key::Partial { addr, bits: echo.seq, mask: u16::MAX })
    }

    fn udp_key(&self, payload: &[u8], addr: IpAddr, port: u16) -> Option<Key> {
        let bits = port.checked_sub(UDP_PORT_FIRST).filter(|&bits| bits <= UDP_PORT_MASK)?;
        self.key(payload, Key::Partial { addr, bits, mask: UDP_PORT_MASK })
    }

    fn key(&self, payload: &[u8], partial: Key) -> Option<Key> {
        match Cookie::read(payload) {
            Some(cookie) if usize::from(self.config.size_bytes) >= Cookie::BYTES => {
                (cookie.run == self.run).then_some(Key::Id(cookie.id))
            }
            _ => Some(partial), // a small payload of ours, or a router that quotes little
        }
    }
}

/// Datagrams a system call, and sends between two receives.
const BATCH: usize = 32;
/// The longest IPv4 header, which raw sockets deliver, and the ICMP one.
const HEADERS_BYTES_MAX: usize = 60 + icmp::HEADER_BYTES;
/// Sends of one echo, before its error is its own: errors of others seldom come this densely.
const SEND_TRIES: usize = 8;
/// Longest sleep: a bound on what a suspended timer can delay.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_mins(1);
/// How far a kernel stamp may lie ahead of our own look at the clock.
const STAMP_AHEAD_MAX: std::time::Duration = std::time::Duration::from_micros(50);
/// The first of the ports that traceroute made known as closed.
const UDP_PORT_FIRST: u16 = 33_434;
/// 64 ports: an answer that quotes nothing of ours still tells 64 echoes apart.
const UDP_PORT_MASK: u16 = 63;
