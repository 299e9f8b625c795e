//! Networks for tests: hosts, routers, weak links and servers, on the real kernel, made and gone in
//! a moment, without root.
//!
//! ```text
//! isolated ── runs one test in a process and namespaces of its own
//!    │
//!   Lab ── topology: host, router, link, chain(n), parallel_paths(n), nat_lan
//!    ├── Host ── run, block_on, spawn, command, run_unprivileged; sysctl, routes, resolv.conf
//!    ├── Iface ── addresses, MTU, up, down
//!    └── WeakLink ── delay, loss, bursts, rate, black hole; hooks; the truth about what it did
//! server ── echoes, scripted DNS, HTTP, TLS, silence
//! sim ── the same impairments for machines in virtual time
//! ```
//!
//! A test calls [`isolated`] first and does everything inside. What the lab cannot do, it fails
//! the test for: its functions panic rather than return errors. Where the kernel forbids
//! namespaces, the test prints `skipped: why`.
//!
//! ```no_run
//! use std::net::UdpSocket;
//!
//! #[test]
//! fn a_datagram_crosses_eight_routers() {
//!     sojourner_lab::isolated(|lab| {
//!         let chain = lab.chain(8);
//!         let server = chain.server.run(|| UdpSocket::bind("[::]:7")).unwrap();
//!         let to = (chain.server_v6(), 7);
//!         chain.client.run(|| UdpSocket::bind("[::]:0")?.send_to(b"hello", to)).unwrap();
//!         let mut buffer = [0; 16];
//!         let (len, from) = server.recv_from(&mut buffer).unwrap();
//!         assert_eq!((&buffer[..len], from.ip()), (&b"hello"[..], chain.client_v6()));
//!     });
//! }
//! ```
#![cfg(target_os = "linux")]

mod fail;
mod host;
mod isolate;
pub mod server;
mod shapes;
pub mod sim;
#[expect(unsafe_code, reason = "namespaces, capabilities and packet sockets have no safe wrapper")]
mod sys;
mod topology;
mod weak;

pub use host::{Host, Iface, Prefix};
pub use isolate::isolated;
pub use shapes::{NatLan, ParallelPaths};
pub use topology::{Chain, Lab, Link};
pub use weak::{
    Bursts, Counters, Direction, Frame, Impairment, Lost, Record, Summary, Truth, Verdict,
    WeakLink, What, hook,
};
