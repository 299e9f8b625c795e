//! One attempt: a socket, its connect, and what its failure means.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use sojourner_stats::event::{TcpInfo, TcpOutcome};
use tokio::net::TcpStream;

/// Who ended an attempt by ICMP, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpSender {
    /// Who sent it: a router, the host itself, or this host when a neighbour did not answer.
    pub from: Option<IpAddr>,
    /// The type, of ICMP or of `ICMPv6`.
    pub icmp_type: u8,
    /// Its code.
    pub code: u8,
}

pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) info: Option<TcpInfo>,
}

pub(crate) struct DialError {
    pub(crate) outcome: TcpOutcome,
    pub(crate) icmp: Option<IcmpSender>,
}

/// Connects once, for as long as the future lives.
pub(crate) async fn dial(
    addr: SocketAddr,
    source: Option<IpAddr>,
    interface: Option<&str>,
) -> Result<Dialled, DialError> {
    let here = |error: &io::Error| DialError { outcome: before(error), icmp: None };
    let socket = open(addr, source, interface).map_err(|error| here(&error))?;
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(error) if in_progress(&error) => {}
        Err(error) => return Err(here(&error)),
    }
    let stream = TcpStream::from_std(socket.into()).map_err(|error| here(&error))?;
    let ready = stream.writable().await;
    // The socket's own error says more than the failure to wait for it.
    let error = stream.take_error().unwrap_or_else(Some).or_else(|| ready.err());
    if let Some(error) = error {
        let icmp = sender(&stream);
        return Err(DialError { outcome: after(&error, icmp, addr), icmp });
    }
    let local = stream.local_addr().ok();
    Ok(Dialled { local, info: info(&stream), stream })
}

fn open(addr: SocketAddr, source: Option<IpAddr>, interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Evidence only: without it the outcome is still right, but who sent an ICMP error is not known.
    if let Err(error) = want_icmp(&socket, addr) {
        tracing::debug!(%error, "the error queue is not available");
    }
    bind_interface(&socket, interface)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    Ok(socket)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn bind_interface(socket: &Socket, interface: Option<&str>) -> io::Result<()> {
    interface.map_or(Ok(()), |name| socket.bind_device(Some(name.as_bytes())))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn bind_interface(_socket: &Socket, interface: Option<&str>) -> io::Result<()> {
    interface.map_or(Ok(()), |_| Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT)))
}

fn in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS) || error.kind() == io::ErrorKind::WouldBlock
}

/// What a failure of the call itself means: the packet never left.
fn before(error: &io::Error) -> TcpOutcome {
    match error.raw_os_error() {
        // EAFNOSUPPORT and EADDRNOTAVAIL: IPv6 is switched off, or there is no address to send from.
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => {
            TcpOutcome::NoRoute
        }
        Some(libc::EACCES | libc::EPERM) => TcpOutcome::Prohibited,
        Some(libc::ECONNREFUSED) => TcpOutcome::Refused,
        Some(errno) => TcpOutcome::LocalError(errno),
        None => TcpOutcome::LocalError(libc::EIO),
    }
}

/// What a failure after the SYN means: the network answered.
fn after(error: &io::Error, icmp: Option<IcmpSender>, addr: SocketAddr) -> TcpOutcome {
    if icmp.is_some_and(|icmp| is_prohibition(icmp, addr)) {
        return TcpOutcome::Prohibited;
    }
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ENOPROTOOPT) => TcpOutcome::Refused,
        Some(
            libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN | libc::ENONET | libc::EPROTO,
        ) => TcpOutcome::Unreachable,
        Some(libc::EACCES | libc::EPERM) => TcpOutcome::Prohibited,
        Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) => TcpOutcome::Reset,
        Some(libc::ETIMEDOUT) => TcpOutcome::TimedOut,
        Some(errno) => TcpOutcome::LocalError(errno),
        None => TcpOutcome::LocalError(libc::EIO),
    }
}

/// RFC 1812 §5.2.7.1: network, host or communication administratively prohibited; RFC 4443 §3.1:
/// prohibited, source address failed policy, reject route.
fn is_prohibition(icmp: IcmpSender, addr: SocketAddr) -> bool {
    match addr {
        SocketAddr::V4(_) => icmp.icmp_type == 3 && matches!(icmp.code, 9 | 10 | 13),
        SocketAddr::V6(_) => icmp.icmp_type == 1 && matches!(icmp.code, 1 | 5 | 6),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn want_icmp(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    match addr {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn want_icmp(_socket: &Socket, _addr: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Reads the ICMP error that ended the connect from the socket's error queue.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sender(stream: &TcpStream) -> Option<IcmpSender> {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    let mut quoted = [0_u8; 128];
    let mut iov = [IoSliceMut::new(&mut quoted)];
    let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(stream.as_raw_fd(), &mut iov, Some(&mut space), flags).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, from)
            if error.ee_origin == libc::SO_EE_ORIGIN_ICMP =>
        {
            let from = from.map(|from| Ipv4Addr::from_bits(u32::from_be(from.sin_addr.s_addr)));
            let from = from.map(IpAddr::from);
            Some(IcmpSender { from, icmp_type: error.ee_type, code: error.ee_code })
        }
        ControlMessageOwned::Ipv6RecvErr(error, from)
            if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 =>
        {
            let from = from.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr)).map(IpAddr::from);
            Some(IcmpSender { from, icmp_type: error.ee_type, code: error.ee_code })
        }
        _ => None,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sender(_stream: &TcpStream) -> Option<IcmpSender> {
    let _: (Ipv4Addr, Ipv6Addr); // used where there is an error queue
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn info(stream: &TcpStream) -> Option<TcpInfo> {
    crate::driver::sys::linux::tcp_info::tcp_info(stream).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn info(_stream: &TcpStream) -> Option<TcpInfo> {
    None
}
