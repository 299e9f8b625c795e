//! Linux: one socket for all distances, answers from its error queue.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::event::{HopAnswer, IcmpUnreachable, TraceProtocol};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Event, Instant, Machine, Sink, Stamp};
use tokio_util::sync::CancellationToken;

use super::machine::{Probe, TraceInput, Tracer};
use super::{TraceConfig, TraceReport};
use crate::ProbeError;
use crate::driver::kernel_clock::KernelClock;
use crate::driver::socket::{Method, ProbeSocket, SocketOptions};
use crate::driver::sys::linux::{Batch, Datagram, Origin, Queue};
use crate::driver::{low_16, random};
use crate::wire::icmp::{self, Cookie, EchoKind, Family};

pub(super) async fn run(
    config: &TraceConfig,
    sink: &dyn Sink,
    cancel: &CancellationToken,
) -> Result<TraceReport, ProbeError> {
    let family = if config.addr.is_ipv4() { Family::V4 } else { Family::V6 };
    let interface = config.interface.as_deref();
    let options = SocketOptions { source: config.source, interface, ttl: None };
    let socket = match config.protocol {
        TraceProtocol::Udp => ProbeSocket::open(family, Method::Udp, options),
        _ => ProbeSocket::icmp(family, options),
    }?;
    let run = random();
    let reader = Reader { config, run, family, method: socket.method, ident: low_16(run) };
    let mut driver = Driver {
        tracer: Tracer::new(config, SystemClock.instant()),
        reader,
        socket,
        clock: KernelClock::new(),
        batch: Batch::new(BATCH, BYTES_MAX),
        payload: [0; PAYLOAD_BYTES],
        message: Vec::new(),
    };
    driver.run(sink, cancel).await;
    Ok(driver.tracer.report())
}

struct Driver<'a> {
    tracer: Tracer,
    reader: Reader<'a>,
    socket: ProbeSocket,
    clock: KernelClock,
    batch: Batch,
    payload: [u8; PAYLOAD_BYTES],
    message: Vec<u8>,
}

impl Driver<'_> {
    async fn run(&mut self, sink: &dyn Sink, cancel: &CancellationToken) {
        let mut now = self.clock.turn();
        loop {
            self.tracer.handle_timeout(now.mono);
            while let Some(probe) = self.tracer.poll_transmit(now.mono) {
                self.send(probe);
            }
            self.emit(sink, now);
            if self.tracer.is_done() || cancel.is_cancelled() {
                return;
            }
            let due = self.tracer.poll_timeout();
            let wait = due.map_or(WAIT_MAX, |due| due.at.since(SystemClock.instant()));
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                ready = self.socket.ready(false) => if ready.is_err() { return },
                () = tokio::time::sleep(wait.min(WAIT_MAX)) => {}
            }
            now = self.clock.turn();
            self.receive(now.mono, Wake::Ready);
        }
    }

    /// Sends one probe. What cannot be sent stays unanswered: the hop is silent.
    fn send(&mut self, probe: Probe) {
        let id = u64::from(probe.round) << TTL_BITS | u64::from(probe.ttl);
        Cookie { run: self.reader.run, id }.write(&mut self.payload);
        let to = if self.socket.method == Method::Udp {
            self.message.clear();
            self.message.extend_from_slice(&self.payload);
            let port = UDP_PORT_FIRST + (low_16(id) & UDP_PORT_MASK);
            self.socket.peer(self.reader.config.addr, port)
        } else {
            let (ident, seq) = (self.reader.ident, low_16(id));
            icmp::Echo { kind: EchoKind::Request, ident, seq, payload: &self.payload }
                .emit(self.reader.family, &mut self.message);
            self.socket.peer(self.reader.config.addr, 0)
        };
        if let Err(error) = self.socket.set_ttl(probe.ttl) {
            tracing::debug!(%error, ttl = probe.ttl, "the TTL was refused");
            return;
        }
        for _ in 0..SEND_TRIES {
            let at = SystemClock.instant();
            match self.socket.send(&self.message, &to) {
                Ok(()) => {
                    self.tracer.handle_input(at, TraceInput::Sent { ttl: probe.ttl });
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An answer to an earlier probe fails this send, which then did not happen.
                Err(error) => tracing::trace!(%error, ttl = probe.ttl, "sending again"),
            }
            let _ = self.socket.take_error();
            let now = SystemClock.instant();
            self.receive(now, Wake::Sending);
        }
    }

    fn receive(&mut self, now: Instant, wake: Wake) {
        let Self { tracer, reader, socket, clock, batch, .. } = self;
        let mut take = |queue, datagram: Datagram<'_>| {
            let stamped = datagram.control.realtime_ns.and_then(|at| clock.instant(at));
            let at = stamped.filter(|&at| at <= now + STAMP_AHEAD_MAX).unwrap_or(now);
            if let Some(input) = reader.read(queue, &datagram) {
                tracer.handle_input(at, input);
            }
        };
        match wake {
            Wake::Ready => socket.drain_ready(batch, &mut take),
            Wake::Sending => socket.drain_now(batch, &mut take),
        }
    }

    fn emit(&mut self, sink: &dyn Sink, now: Stamp) {
        while let Some((at, kind)) = self.tracer.poll_event() {
            sink.emit(Event::new(now.at(at), self.reader.config.origin.clone(), kind));
        }
    }
}

#[derive(Clone, Copy)]
enum Wake {
    /// Tokio says that there is something.
    Ready,
    /// In the middle of sending.
    Sending,
}

/// Turns what the socket heard into the machine's words, dropping what is not ours.
struct Reader<'a> {
    config: &'a TraceConfig,
    run: u64,
    family: Family,
    method: Method,
    ident: u16,
}

impl Reader<'_> {
    fn read(&self, queue: Queue, datagram: &Datagram<'_>) -> Option<TraceInput> {
        let peer = datagram.peer.filter(|peer| peer.ip() == self.config.addr)?;
        let (kind, message) = match (queue, self.method, self.family) {
            (Queue::Data, Method::IcmpRaw, Family::V4) => {
                (EchoKind::Reply, icmp::skip_ipv4(datagram.data)?)
            }
            (Queue::Data, ..) => (EchoKind::Reply, datagram.data),
            (Queue::Errors, ..) => (EchoKind::Request, datagram.data),
        };
        let (from, answer) = match queue {
            Queue::Data => (peer.ip(), HopAnswer::Reached),
            Queue::Errors => self.error(datagram)?,
        };
        let (round, round_mask, ttl) = if self.method == Method::Udp {
            let bits = peer.port().checked_sub(UDP_PORT_FIRST)?;
            self.probe(message, bits, UDP_PORT_MASK)?
        } else {
            let echo = icmp::Echo::parse(self.family, message).filter(|echo| echo.kind == kind)?;
            if self.method == Method::IcmpRaw && echo.ident != self.ident {
                return None;
            }
            self.probe(echo.payload, echo.seq, u16::MAX)?
        };
        let return_ttl = datagram.control.ttl;
        Some(TraceInput::Answer { round, round_mask, ttl, from, answer, return_ttl })
    }

    fn error(&self, datagram: &Datagram<'_>) -> Option<(IpAddr, HopAnswer)> {
        let queued = datagram.control.error?;
        let from = queued.offender?;
        if !matches!(queued.origin, Origin::Icmp | Origin::Icmp6) {
            return None;
        }
        let error = icmp::error(self.family, queued.icmp_type, queued.code, queued.info)?;
        Some((
            from,
            match error {
                IcmpUnreachable::TtlExceeded => HopAnswer::TimeExceeded,
                IcmpUnreachable::Port if self.method == Method::Udp && from == self.config.addr => {
                    HopAnswer::Reached
                }
                error => HopAnswer::Unreachable(error),
            },
        ))
    }

    /// Which probe it was: by the cookie, or, of a router that quotes little, by its low bits.
    fn probe(&self, payload: &[u8], bits: u16, mask: u16) -> Option<(u32, u32, u8)> {
        let (id, mask) = match Cookie::read(payload) {
            Some(cookie) if cookie.run == self.run => (cookie.id, u64::MAX),
            Some(_) => return None,
            None => (u64::from(bits & mask), u64::from(mask)),
        };
        let ttl = u8::try_from(id & TTL_MASK).ok()?;
        let rounds = |bits: u64| u32::try_from(bits >> TTL_BITS & u64::from(u32::MAX)).ok();
        Some((rounds(id)?, rounds(mask)?, ttl))
    }
}

/// Datagrams a system call: one round's answers.
const BATCH: usize = 32;
/// An IPv4 header, which raw sockets deliver, our packet, and some.
const BYTES_MAX: usize = 256;
/// The cookie, and as much as `traceroute` sends (60 bytes with headers), so as to fare alike.
const PAYLOAD_BYTES: usize = 32;
/// Distances 1 to 64 fit into 7 bits; the round is above.
const TTL_BITS: u32 = 7;
const TTL_MASK: u64 = (1 << TTL_BITS) - 1;
/// The first of the ports that traceroute made known as closed.
const UDP_PORT_FIRST: u16 = 33_434;
/// Four rounds of distances: a late answer of the round before is told from this one's.
const UDP_PORT_MASK: u16 = 511;
/// Sends of one probe: each earlier probe's answer can fail it once.
const SEND_TRIES: usize = 64;
/// Longest sleep: a bound on what a suspended timer can delay.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How far a kernel stamp may lie ahead of our own look at the clock.
const STAMP_AHEAD_MAX: Duration = Duration::from_micros(50);
