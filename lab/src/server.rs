//! Servers for tests, each started by one call on a [`Host`]: echoes, DNS by script, HTTP, TLS, and
//! one that accepts and says nothing.
//!
//! Every server listens on all addresses of its host, both families, from the moment the call
//! returns. It runs until the handle is aborted, which also closes its connections, or until the
//! host goes. A port that is taken fails the test.
//!
//! # Examples
//!
//! ```no_run
//! use sojourner_lab::{isolated, server};
//! use sojourner_lab::server::{Authority, Reply, Script};
//!
//! # isolated(|lab| {
//! let chain = lab.chain(2);
//! server::tcp_echo(&chain.server, 7);
//! let script = Script::default()
//!     .answer("www.example", &["192.0.2.1", "2001:db8::1"])
//!     .reply("*.broken.example", Reply::ServFail);
//! server::dns(&chain.server, 53, script);
//! let authority = Authority::new();
//! server::tls_echo(&chain.server, 443, &authority, &["www.example"]);
//! println!("trust this: {}", authority.pem());
//! # });
//! ```

use std::net::Ipv6Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

use crate::Host;
use crate::fail::OrFail;

mod dns;
mod tls;

pub use dns::{RData, RecordType, Reply, Script, dns};
pub use tls::{Authority, tls_echo};

/// The largest UDP payload, bytes.
const DATAGRAM_MAX: usize = 65_535;
/// How much of an HTTP request is read before the answer goes out anyway, bytes.
const REQUEST_MAX: usize = 65_536;

/// Sends every datagram back to where it came from.
pub fn udp_echo(host: &Host, port: u16) -> JoinHandle<()> {
    serve_udp(host, port, |datagram| Some(datagram.to_vec()))
}

/// Sends back every byte, and closes when the client does.
pub fn tcp_echo(host: &Host, port: u16) -> JoinHandle<()> {
    serve_tcp(host, port, |mut stream| async move {
        let (mut read, mut write) = stream.split();
        // The client may reset the connection; that is its affair.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
}

/// Accepts, hears everything and never says a word; closes when the client does.
pub fn silent(host: &Host, port: u16) -> JoinHandle<()> {
    serve_tcp(host, port, |mut stream| async move {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
}

/// Answers every HTTP/1.1 request with `status` and `body`, then closes the connection.
pub fn http(host: &Host, port: u16, status: u16, body: &str) -> JoinHandle<()> {
    let response = format!(
        "HTTP/1.1 {status} Scripted\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len(),
    );
    serve_tcp(host, port, move |mut stream| {
        let response = response.clone();
        async move {
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                if request.len() > REQUEST_MAX {
                    break;
                }
                match stream.read_buf(&mut request).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
}

/// Answers datagrams with what `answer` makes of them.
fn serve_udp(
    host: &Host,
    port: u16,
    mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> JoinHandle<()> {
    let socket = host.prepare(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)));
    let socket = socket.or_fail(&format!("bind UDP port {port} of {host:?}"));
    host.spawn(async move {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            // An error is an ICMP answer to something sent earlier: nothing to do with the next.
            let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
            if let Some(answer) = answer(&buffer[..len]) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    })
}

/// Hands every connection to a task of its own.
fn serve_tcp<F>(
    host: &Host,
    port: u16,
    handle: impl Fn(TcpStream) -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = host.prepare(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)));
    let listener = listener.or_fail(&format!("bind TCP port {port} of {host:?}"));
    host.spawn(async move {
        // Not more than a test's clients open; gone with the server.
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.or_fail("accept a connection");
            while connections.try_join_next().is_some() {}
            connections.spawn(handle(stream));
        }
    })
}
