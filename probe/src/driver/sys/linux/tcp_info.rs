//! `TCP_INFO`: what the kernel measured while it shook hands.
#![expect(unsafe_code, reason = "no safe crate reads TCP_INFO")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::Duration;

use sojourner_stats::Micros;
use sojourner_stats::event::TcpInfo;

/// Reads the state of a connection, without any privilege.
///
/// # Errors
///
/// The operating system's, for instance when it is no TCP socket.
pub fn tcp_info(socket: impl AsFd) -> io::Result<TcpInfo> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len =
        libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    // SAFETY: `info` is writable for `len` bytes, `len` says so, and both outlive the call; the
    // descriptor is open as long as `socket` is borrowed.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every field is an integer, for which zeroes are a value: what an older kernel did
    // not fill in is zero.
    let info = unsafe { info.assume_init() };
    Ok(TcpInfo {
        rtt_us: Micros(Duration::from_micros(info.tcpi_rtt.into())),
        snd_mss: info.tcpi_snd_mss,
        pmtu: info.tcpi_pmtu,
        retransmits: info.tcpi_total_retrans,
        timestamps: info.tcpi_options & OPT_TIMESTAMPS != 0,
        sack: info.tcpi_options & OPT_SACK != 0,
    })
}

/// `TCPI_OPT_TIMESTAMPS` and `TCPI_OPT_SACK` of `linux/tcp.h`, which libc lacks.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_loopback_connection_has_a_round_trip_and_a_segment_size() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let info = tcp_info(&stream).unwrap();
        assert!(info.snd_mss >= 536, "{info:?}");
        assert!(info.pmtu > info.snd_mss, "{info:?}");
    }

    #[test]
    fn what_is_no_tcp_socket_is_refused() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(tcp_info(&udp).is_err());
    }
}
