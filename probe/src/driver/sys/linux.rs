//! Linux: batched receives with their control messages, and socket options without a safe wrapper.
#![expect(
    unsafe_code,
    reason = "recvmmsg, control messages and these options have no safe wrapper"
)]

pub mod tcp_info;

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use libc::{c_int, c_uint, c_void};

/// Which of a socket's two queues to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// What peers sent.
    Data,
    /// What routers, peers and this kernel complained about.
    Errors,
}

/// Room for a batch of datagrams and their control messages, allocated once.
#[derive(Debug)]
pub struct Batch {
    bytes_each: usize,
    data: Vec<u8>,
    control: Vec<ControlRoom>,
    names: Vec<libc::sockaddr_storage>,
    got: Vec<Got>,
}

/// A datagram of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its bytes, cut to the batch's size. From the error queue: what was quoted of our own packet,
    /// from its transport header's payload (UDP) or transport header (ICMP) on.
    pub data: &'a [u8],
    /// Who sent it; from the error queue, to whom our own packet went.
    pub peer: Option<SocketAddr>,
    /// What the kernel says of it.
    pub control: Control,
}

/// What the kernel says of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// When it arrived, nanoseconds of `CLOCK_REALTIME`.
    pub realtime_ns: Option<i64>,
    /// Its remaining TTL or hop limit.
    pub ttl: Option<u8>,
    /// How many datagrams the socket's full buffer has thrown away so far.
    pub overflowed: Option<u32>,
    /// Why it is in the error queue.
    pub error: Option<QueuedError>,
}

/// An entry of the error queue (`struct sock_extended_err`, ip(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// Who says so.
    pub origin: Origin,
    /// The error as the socket sees it.
    pub errno: i32,
    /// The ICMP type, when an ICMP error says so.
    pub icmp_type: u8,
    /// The ICMP code.
    pub code: u8,
    /// The MTU of the next hop for "too big".
    pub info: u32,
    /// Who sent the ICMP error.
    pub offender: Option<IpAddr>,
}

/// Who put an entry in the error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This host.
    Local,
    /// An ICMP error.
    Icmp,
    /// An ICMPv6 error.
    Icmp6,
    /// Something else, such as a send stamp.
    Other,
}

#[derive(Clone, Copy, Debug, Default)]
struct Got {
    bytes: usize,
    name_bytes: libc::socklen_t,
    control_bytes: usize,
}

/// Aligned as `struct cmsghdr` must be; room for a stamp, a TTL, an overflow count and an error
/// with its offender's address, which are 32 + 24 + 24 + 64 bytes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
struct ControlRoom([u8; 256]);

impl Batch {
    /// Room for `slots` datagrams of `bytes_each` bytes.
    pub fn new(slots: usize, bytes_each: usize) -> Self {
        // SAFETY: `sockaddr_storage` is integers and arrays of them; all zero is a valid value.
        let name: libc::sockaddr_storage = unsafe { mem::zeroed() };
        Self {
            bytes_each,
            data: vec![0; slots * bytes_each],
            control: vec![ControlRoom([0; 256]); slots],
            names: vec![name; slots],
            got: Vec::with_capacity(slots),
        }
    }

    /// Takes what is in the queue, as far as there is room, without waiting; replaces what the
    /// batch held before. Returns how many there are, at least 1.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the queue is empty; otherwise the socket's pending error, which is thereby
    /// cleared: call again.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, queue: Queue) -> io::Result<usize> {
        self.got.clear();
        let slots = self.names.len();
        let mut parts: Vec<libc::iovec> = (0..slots)
            .map(|slot| libc::iovec {
                iov_base: self.data[slot * self.bytes_each..].as_mut_ptr().cast(),
                iov_len: self.bytes_each,
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(slots);
        for ((part, name), control) in parts.iter_mut().zip(&mut self.names).zip(&mut self.control)
        {
            // SAFETY: `mmsghdr` is integers and pointers; all zero is a valid value.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = length::<libc::sockaddr_storage>(1);
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.0.len();
            headers.push(header);
        }
        let flags = match queue {
            Queue::Data => libc::MSG_DONTWAIT,
            Queue::Errors => libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE,
        };
        // SAFETY: `headers` holds `slots` headers whose pointers and lengths describe parts of
        // `parts`, `names`, `control` and `data`, all alive and not otherwise used until it returns.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                c_uint::try_from(slots).unwrap_or(c_uint::MAX),
                flags,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_negative| io::Error::last_os_error())?;
        self.got.extend(headers.iter().take(count).map(|header| Got {
            bytes: (header.msg_len as usize).min(self.bytes_each),
            name_bytes: header.msg_hdr.msg_namelen,
            control_bytes: header.msg_hdr.msg_controllen,
        }));
        Ok(count)
    }

    /// The datagrams of the last receive, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.got.iter().enumerate().map(|(slot, got)| Datagram {
            data: &self.data[slot * self.bytes_each..][..got.bytes],
            peer: peer(&self.names[slot], got.name_bytes),
            control: read_control(&self.control[slot], got.control_bytes),
        })
    }
}

/// Sets an integer socket option.
///
/// # Errors
///
/// What the kernel says.
pub fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast::<c_void>(),
            length::<c_int>(1),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives a socket of another library the receive buffer that ours have.
///
/// # Errors
///
/// What the kernel says.
pub fn enlarge_receive_buffer(socket: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor is only borrowed for this call, while its owner, the caller's client,
    // is alive; a closed one would be refused by the kernel.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BYTES)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BYTES))
}

/// Replies to 8,000 echoes that arrive while this process does not run.
pub const RECEIVE_BYTES: c_int = 8 << 20;

/// Lets a raw ICMP socket see only the messages whose types are in `types`.
///
/// # Errors
///
/// What the kernel says.
pub fn filter_icmp(socket: BorrowedFd<'_>, family: IcmpFamily, types: &[u8]) -> io::Result<()> {
    // Both filters are bit sets of the types to block (raw(7), RFC 3542 section 3.2).
    let mut blocked = [u32::MAX; 8];
    for &icmp_type in types {
        blocked[usize::from(icmp_type >> 5)] &= !(1 << (icmp_type & 31));
    }
    let (level, name, words) = match family {
        IcmpFamily::V4 => (libc::SOL_RAW, ICMP_FILTER, 1),
        IcmpFamily::V6 => (libc::IPPROTO_ICMPV6, ICMP6_FILTER, 8),
    };
    // SAFETY: the pointer and length describe the first `words` words of `blocked`, at most all.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            blocked.as_ptr().cast::<c_void>(),
            length::<u32>(words),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Which ICMP a filter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpFamily {
    /// ICMP.
    V4,
    /// ICMPv6.
    V6,
}

/// `linux/icmp.h`.
const ICMP_FILTER: c_int = 1;
/// `linux/icmpv6.h`.
const ICMP6_FILTER: c_int = 1;

/// The size of `count` values, as socket calls want it.
fn length<T>(count: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(count * size_of::<T>()).unwrap_or(libc::socklen_t::MAX)
}

fn peer(name: &libc::sockaddr_storage, name_bytes: libc::socklen_t) -> Option<SocketAddr> {
    let bytes = name_bytes as usize;
    match c_int::from(name.ss_family) {
        libc::AF_INET if bytes >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: the kernel wrote a `sockaddr_in`: the family and the length say so, and
            // `sockaddr_storage` is larger and at least as aligned.
            let v4 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            Some(SocketAddr::V4(from_in(v4)))
        }
        libc::AF_INET6 if bytes >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above, for `sockaddr_in6`.
            let v6 = unsafe { *ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            Some(SocketAddr::V6(from_in6(v6)))
        }
        _ => None,
    }
}

fn from_in(v4: libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), u16::from_be(v4.sin_port))
}

fn from_in6(v6: libc::sockaddr_in6) -> SocketAddrV6 {
    let addr = Ipv6Addr::from(v6.sin6_addr.s6_addr);
    SocketAddrV6::new(addr, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id)
}

fn read_control(room: &ControlRoom, bytes: usize) -> Control {
    let mut control = Control::default();
    // SAFETY: `msghdr` is integers and pointers; all zero is a valid value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_control = room.0.as_ptr().cast_mut().cast();
    header.msg_controllen = bytes.min(room.0.len());
    // SAFETY: `msg_control` points to `msg_controllen` initialised bytes aligned for `cmsghdr`.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: the CMSG macros return a header that lies whole within the control buffer.
        let message = unsafe { ptr::read(next) };
        // SAFETY: as above; its data starts within or right at the end of the buffer.
        let data = unsafe { libc::CMSG_DATA(next) };
        let start = (data as usize).saturating_sub(room.0.as_ptr() as usize);
        let header_bytes = (data as usize).saturating_sub(next as usize);
        let data_bytes = (message.cmsg_len).saturating_sub(header_bytes);
        let end = (start + data_bytes).min(header.msg_controllen);
        read_message(&mut control, message.cmsg_level, message.cmsg_type, room.0.get(start..end));
        // SAFETY: `next` came from these macros over the same header.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    control
}

fn read_message(control: &mut Control, level: c_int, kind: c_int, data: Option<&[u8]>) {
    let data = data.unwrap_or_default();
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
            control.realtime_ns = read_plain::<libc::timespec>(data)
                .map(|at| at.tv_sec.saturating_mul(1_000_000_000).saturating_add(at.tv_nsec));
        }
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => control.overflowed = read_plain::<u32>(data),
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            control.ttl = read_plain::<c_int>(data).and_then(|ttl| u8::try_from(ttl).ok());
        }
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            control.error = read_error(data);
        }
        _ => {}
    }
}

fn read_error(data: &[u8]) -> Option<QueuedError> {
    let error = read_plain::<libc::sock_extended_err>(data)?;
    let origin = match error.ee_origin {
        libc::SO_EE_ORIGIN_LOCAL => Origin::Local,
        libc::SO_EE_ORIGIN_ICMP => Origin::Icmp,
        libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp6,
        _ => Origin::Other,
    };
    let after = data.get(size_of::<libc::sock_extended_err>()..).unwrap_or_default();
    let family = read_plain::<libc::sa_family_t>(after).map(c_int::from);
    let offender = match family {
        Some(libc::AF_INET) => {
            read_plain::<libc::sockaddr_in>(after).map(|v4| IpAddr::V4(*from_in(v4).ip()))
        }
        Some(libc::AF_INET6) => {
            read_plain::<libc::sockaddr_in6>(after).map(|v6| IpAddr::V6(*from_in6(v6).ip()))
        }
        _ => None,
    };
    let errno = i32::try_from(error.ee_errno).unwrap_or(i32::MAX);
    let (icmp_type, code, info) = (error.ee_type, error.ee_code, error.ee_info);
    Some(QueuedError { origin, errno, icmp_type, code, info, offender })
}

/// A plain C struct at the start of `data`, if there is all of it.
fn read_plain<T: Plain>(data: &[u8]) -> Option<T> {
    if data.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, any bytes are a valid `T` (`Plain`), and alignment is not
    // assumed.
    Some(unsafe { data.as_ptr().cast::<T>().read_unaligned() })
}

/// Types for which any bytes are a valid value.
///
/// # Safety
///
/// The type is made of integers alone.
unsafe trait Plain: Copy {}
// SAFETY: integers alone, and structs of them.
unsafe impl Plain for c_int {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for libc::sa_family_t {}
// SAFETY: as above.
unsafe impl Plain for libc::timespec {}
// SAFETY: as above.
unsafe impl Plain for libc::sockaddr_in {}
// SAFETY: as above.
unsafe impl Plain for libc::sockaddr_in6 {}
// SAFETY: as above.
unsafe impl Plain for libc::sock_extended_err {}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn wait(socket: &UdpSocket, for_what: PollFlags) {
        poll(&mut [PollFd::new(socket.as_fd(), for_what)], PollTimeout::NONE).unwrap();
    }

    #[test]
    fn a_batch_holds_data_stamp_ttl_and_peer_of_each_datagram() {
        let (a, b) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        set_option(a.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
        set_option(a.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, 1).unwrap();
        b.set_ttl(17).unwrap();
        for text in ["one", "three", "five and more than fits"] {
            b.send_to(text.as_bytes(), a.local_addr().unwrap()).unwrap();
        }
        let mut batch = Batch::new(8, 8);
        wait(&a, PollFlags::POLLIN);
        assert_eq!(batch.receive(a.as_fd(), Queue::Data).unwrap(), 3);
        let all: Vec<_> = batch.iter().collect();
        assert_eq!(
            all.iter().map(|got| got.data).collect::<Vec<_>>(),
            [&b"one"[..], b"three", b"five and"]
        );
        for got in all {
            assert_eq!(got.peer, Some(b.local_addr().unwrap()));
            assert_eq!(got.control.ttl, Some(17));
            assert!(got.control.realtime_ns.unwrap() > 1_000_000_000_000_000_000);
            assert_eq!(got.control.error, None);
        }
        let empty = batch.receive(a.as_fd(), Queue::Data).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(batch.iter().count(), 0);
    }

    #[test]
    fn a_closed_port_shows_in_the_error_queue_with_what_it_quotes() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let closed = UdpSocket::bind(local).unwrap().local_addr().unwrap();
            let socket = UdpSocket::bind(local).unwrap();
            let (level, name) = match closed {
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
            };
            set_option(socket.as_fd(), level, name, 1).unwrap();
            socket.send_to(b"anybody there", closed).unwrap();
            wait(&socket, PollFlags::empty()); // an error is always waited for
            let mut batch = Batch::new(4, 64);
            assert_eq!(batch.receive(socket.as_fd(), Queue::Errors).unwrap(), 1);
            let got = batch.iter().next().unwrap();
            assert_eq!((got.data, got.peer), (&b"anybody there"[..], Some(closed)));
            let error = got.control.error.unwrap();
            assert_eq!((error.errno, error.offender), (libc::ECONNREFUSED, Some(closed.ip())));
            let expected =
                if closed.is_ipv4() { (Origin::Icmp, 3, 3) } else { (Origin::Icmp6, 1, 4) };
            assert_eq!((error.origin, error.icmp_type, error.code), expected);
        }
    }

    #[test]
    fn control_bytes_that_are_cut_short_are_skipped() {
        let mut control = Control::default();
        for data in [None, Some(&[][..]), Some(&[1, 2, 3][..])] {
            read_message(&mut control, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, data);
            read_message(&mut control, libc::IPPROTO_IP, libc::IP_RECVERR, data);
            read_message(&mut control, libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, data);
        }
        assert_eq!(control, Control::default());
    }
}
