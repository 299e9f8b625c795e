//! A socket that probes: kernel stamps, the error queue and a large receive buffer, in tokio.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

use libc::c_int;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;

use super::ICMP_MEND;
use super::sys::linux::{
    Batch, Datagram, IcmpFamily, Queue, RECEIVE_BYTES, filter_icmp, set_option,
};
use crate::ProbeError;
use crate::wire::icmp::Family;

/// What a socket sends and how it got the right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// ICMP datagrams: echo only, the kernel sets the identifier.
    IcmpDgram,
    /// Raw ICMP.
    IcmpRaw,
    /// UDP.
    Udp,
}

/// What all sockets of a run share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketOptions<'a> {
    pub(crate) source: Option<IpAddr>,
    pub(crate) interface: Option<&'a str>,
    pub(crate) ttl: Option<u8>,
}

/// A probing socket of one family.
#[derive(Debug)]
pub(crate) struct ProbeSocket {
    io: UdpSocket,
    pub(crate) family: Family,
    pub(crate) method: Method,
    scope_id: u32,
}

impl ProbeSocket {
    /// Opens an ICMP socket: a datagram one where allowed, else a raw one.
    pub(crate) fn icmp(family: Family, options: SocketOptions<'_>) -> Result<Self, ProbeError> {
        match Self::open(family, Method::IcmpDgram, options) {
            Err(ProbeError::Denied { .. }) => Self::open(family, Method::IcmpRaw, options),
            opened => opened,
        }
    }

    /// Opens a socket of the given method.
    pub(crate) fn open(
        family: Family,
        method: Method,
        options: SocketOptions<'_>,
    ) -> Result<Self, ProbeError> {
        let socket = new_socket(family, method)?;
        prepare(&socket, family, method)
            .map_err(|source| ProbeError::Io { op: "preparing a probing socket", source })?;
        if let Some(ttl) = options.ttl {
            set_ttl(&socket, family, ttl)
                .map_err(|source| ProbeError::Io { op: "setting the TTL", source })?;
        }
        let scope_id = match options.interface {
            Some(name) => bind_interface(&socket, name)?,
            None => 0,
        };
        bind_source(&socket, family, options.source, scope_id)?;
        let io = socket
            .set_nonblocking(true)
            .and_then(|()| UdpSocket::from_std(socket.into()))
            .map_err(|source| ProbeError::Io { op: "registering a probing socket", source })?;
        Ok(Self { io, family, method, scope_id })
    }

    /// The address to send to: `port` matters for UDP alone.
    pub(crate) fn peer(&self, addr: IpAddr, port: u16) -> SockAddr {
        SockAddr::from(match addr {
            IpAddr::V4(_) => SocketAddr::new(addr, port),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, self.scope_id).into(),
        })
    }

    /// Sends one packet, without waiting.
    pub(crate) fn send(&self, packet: &[u8], to: &SockAddr) -> io::Result<()> {
        socket2::SockRef::from(&self.io).send_to(packet, to).map(drop)
    }

    /// Sets the TTL or hop limit of the packets sent from now on.
    pub(crate) fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        set_ttl(&socket2::SockRef::from(&self.io), self.family, ttl)
    }

    /// Takes and clears the pending error, which would fail the next send.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.io.take_error().ok().flatten()
    }

    /// Waits until there is something to receive, in either queue, or room to send where asked.
    pub(crate) async fn ready(&self, to_send: bool) -> io::Result<Ready> {
        let receive = Interest::READABLE | Interest::ERROR;
        self.io.ready(if to_send { receive | Interest::WRITABLE } else { receive }).await
    }

    /// Gives what is in both queues to `take`, after [`ready`](Self::ready) said there is
    /// something. Stops after a bounded number of batches.
    pub(crate) fn drain_ready(&self, batch: &mut Batch, mut take: impl FnMut(Queue, Datagram<'_>)) {
        for (interest, queue) in
            [(Interest::READABLE, Queue::Data), (Interest::ERROR, Queue::Errors)]
        {
            // `WouldBlock` from the closure tells tokio to wait for the next edge.
            let _ = self.io.try_io(interest, || self.drain(queue, batch, &mut take));
        }
    }

    /// The same whether or not tokio has seen something.
    pub(crate) fn drain_now(&self, batch: &mut Batch, mut take: impl FnMut(Queue, Datagram<'_>)) {
        for queue in [Queue::Data, Queue::Errors] {
            let _ = self.drain(queue, batch, &mut take);
        }
    }

    /// Empties a queue: `WouldBlock` once it is empty, `Ok` when the budget was used up first.
    fn drain(
        &self,
        queue: Queue,
        batch: &mut Batch,
        take: &mut impl FnMut(Queue, Datagram<'_>),
    ) -> io::Result<()> {
        for _ in 0..BATCHES_MAX {
            match batch.receive(self.io.as_fd(), queue) {
                Ok(_) => batch.iter().for_each(|datagram| take(queue, datagram)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // The pending error, which the error queue tells better, is cleared: go on.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Whether this process may have such a socket, with its error queue; it is closed at once.
pub(crate) fn try_open(family: Family, method: Method) -> io::Result<()> {
    create(family, method).and_then(|socket| prepare(&socket, family, method))
}

/// The local address from which this host would send to `addr`.
pub(crate) fn local_addr_toward(addr: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match addr {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((addr, DISCARD_PORT)).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

fn new_socket(family: Family, method: Method) -> Result<Socket, ProbeError> {
    let op = match method {
        Method::IcmpDgram => "opening an ICMP datagram socket",
        Method::IcmpRaw => "opening a raw ICMP socket",
        Method::Udp => "opening a UDP socket",
    };
    create(family, method).map_err(|source| ProbeError::from_io(op, ICMP_MEND, source))
}

fn create(family: Family, method: Method) -> io::Result<Socket> {
    let (domain, icmp) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let (kind, protocol) = match method {
        Method::IcmpDgram => (Type::DGRAM, icmp),
        Method::IcmpRaw => (Type::RAW, icmp),
        Method::Udp => (Type::DGRAM, Protocol::UDP),
    };
    Socket::new(domain, kind, Some(protocol))
}

fn prepare(socket: &Socket, family: Family, method: Method) -> io::Result<()> {
    let options: &[(c_int, c_int)] = match family {
        Family::V4 => &[(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IP, libc::IP_RECVTTL)],
        Family::V6 => &[
            (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        ],
    };
    let common = [(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS), (libc::SOL_SOCKET, libc::SO_RXQ_OVFL)];
    for &(level, name) in options.iter().chain(&common) {
        set_option(socket.as_fd(), level, name, 1)?;
    }
    if set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BYTES).is_err() {
        // Without privilege the system's maximum, `net.core.rmem_max`, is what one gets.
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BYTES)?;
    }
    match (method, family) {
        (Method::IcmpRaw, Family::V4) => filter_icmp(socket.as_fd(), IcmpFamily::V4, &[0]),
        (Method::IcmpRaw, Family::V6) => filter_icmp(socket.as_fd(), IcmpFamily::V6, &[129]),
        (Method::IcmpDgram | Method::Udp, _) => Ok(()),
    }
}

fn set_ttl(socket: &Socket, family: Family, ttl: u8) -> io::Result<()> {
    match family {
        Family::V4 => socket.set_ttl_v4(ttl.into()),
        Family::V6 => socket.set_unicast_hops_v6(ttl.into()),
    }
}

fn bind_interface(socket: &Socket, name: &str) -> Result<u32, ProbeError> {
    let index = nix::net::if_::if_nametoindex(name).map_err(|_no_such| ProbeError::Invalid {
        field: "interface",
        value: name.to_owned(),
        mend: "there is no such interface; `ip link` lists them".to_owned(),
    })?;
    socket.bind_device(Some(name.as_bytes())).map_err(|source| {
        ProbeError::from_io("binding to an interface", "run as root, or leave it out", source)
    })?;
    Ok(index)
}

fn bind_source(
    socket: &Socket,
    family: Family,
    source: Option<IpAddr>,
    scope_id: u32,
) -> Result<(), ProbeError> {
    let local: SocketAddr = match (family, source) {
        (_, None) => return Ok(()),
        (Family::V4, Some(IpAddr::V4(v4))) => (v4, 0).into(),
        (Family::V6, Some(IpAddr::V6(v6))) => SocketAddrV6::new(v6, 0, 0, scope_id).into(),
        (_, Some(addr)) => {
            return Err(ProbeError::Invalid {
                field: "source",
                value: addr.to_string(),
                mend: "it must be of the same family as the target".to_owned(),
            });
        }
    };
    socket.bind(&local.into()).map_err(|source| ProbeError::Peer {
        op: "binding to",
        addr: local.ip(),
        source,
    })
}

/// Most batches taken in one go, so that sending is not starved.
const BATCHES_MAX: usize = 64;
/// Nothing is sent to it: a connect of UDP only asks for the route.
const DISCARD_PORT: u16 = 9;
