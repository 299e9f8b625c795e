//! Packet sockets, and the offloads that would hide whole frames from them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The largest frame: 64 KiB of IP behind an Ethernet header.
pub(crate) const FRAME_MAX: usize = 65_536 + 14;

const AF_PACKET: libc::sa_family_t = 17;
const ETH_P_ALL: u16 = 3;
const SOL_PACKET: libc::c_int = 263;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_QDISC_BYPASS: libc::c_int = 20;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
/// Room for a burst that arrives while the forwarding thread waits for a processor.
const RECEIVE_BUFFER_BYTES: libc::c_int = 32 << 20;

/// A non-blocking socket that sees every frame which arrives at one interface, and sends frames
/// out of it.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl PacketSocket {
    /// Opens one in the calling thread's network namespace.
    pub(crate) fn open(index: u32) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes integers only. Protocol 0: it hears nothing until it is bound.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        super::check(fd)?;
        // SAFETY: the descriptor is new and has no other owner.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        socket.set(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
        socket.set(SOL_PACKET, PACKET_QDISC_BYPASS, 1)?;
        if socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES).is_err() {
            socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES)?;
        }
        socket.bind(index)?;
        Ok(socket)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = AF_PACKET;
        address.sll_protocol = ETH_P_ALL.to_be();
        address.sll_ifindex = index.cast_signed();
        let len = len_of(&address);
        // SAFETY: the address and its length belong together and live for the call.
        super::check(unsafe {
            libc::bind(self.fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), len)
        })
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let len = len_of(&value);
        let value = std::ptr::from_ref(&value).cast();
        // SAFETY: the value and its length belong together and live for the call.
        super::check(unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, value, len) })
    }

    /// The next frame into `buffer`, which should hold [`FRAME_MAX`] bytes; its length.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length are those of one live slice.
        let len =
            unsafe { libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        usize::try_from(len).ok().ok_or_else(io::Error::last_os_error)
    }

    /// Sends one frame out of the interface.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of one live slice.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// How many frames the kernel dropped since the last call because this socket was full.
    pub(crate) fn overrun(&self) -> io::Result<u32> {
        let mut stats = [0_u32; 2]; // struct tpacket_stats: packets, drops
        let mut len = len_of(&stats);
        let to = stats.as_mut_ptr().cast();
        // SAFETY: the buffer is as long as `len` says.
        super::check(unsafe {
            libc::getsockopt(self.fd.as_raw_fd(), SOL_PACKET, PACKET_STATISTICS, to, &raw mut len)
        })?;
        Ok(stats[1])
    }
}

/// The size of a value as socket calls want it.
fn len_of<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0)
}

/// Makes the interface `name` of the calling thread's namespace send frames as they look on a
/// wire: checksums filled in, no super-frames.
pub(crate) fn disable_offloads(name: &str) -> io::Result<()> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    // linux/ethtool.h: ETHTOOL_{SRXCSUM, STXCSUM, STSO, SGSO, SGRO}
    const COMMANDS: [u32; 5] = [0x15, 0x17, 0x1f, 0x24, 0x2c];
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    for command in COMMANDS {
        let mut value = Value { command, data: 0 };
        // SAFETY: all zeroes is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, &from) in request.ifr_name.iter_mut().zip(name.as_bytes()).take(libc::IFNAMSIZ - 1)
        {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request names an interface and points to an ethtool_value, both live.
        let done = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        let error = io::Error::last_os_error();
        if done < 0 && error.raw_os_error() != Some(libc::EOPNOTSUPP) {
            return Err(error);
        }
    }
    Ok(())
}
