//! The sockets: an accept loop of our own with a bound on connections, time limits on request
//! heads, and a shutdown that lets scrapes finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::web;

/// The exporter cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address cannot be read or found.
    #[error("cannot listen on `{address}`: it is no host:port or :port")]
    Address {
        /// What was asked for.
        address: String,
    },
    /// The system refuses.
    #[error("cannot listen on {address}; {mend}")]
    Refused {
        /// What was asked for.
        address: String,
        /// What would mend it.
        mend: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Listens on `host:port`, or on every address for `:port`.
///
/// # Errors
///
/// [`BindError`], with what would mend it.
pub async fn bind(address: &str) -> Result<TcpListener, BindError> {
    let unreadable = || BindError::Address { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(unreadable)?;
    let port: u16 = port.parse().map_err(|_not_a_port| unreadable())?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let candidates: Vec<SocketAddr> = if host.is_empty() {
        // The IPv6 wildcard takes IPv4 too; a host without IPv6 has only the other.
        vec![([0_u16; 8], port).into(), ([0_u8; 4], port).into()]
    } else {
        let found = tokio::net::lookup_host((host, port)).await;
        found.map_err(|_no_such_host| unreadable())?.collect()
    };
    let mut refused = None;
    for candidate in candidates {
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                refused = Some(error);
                break;
            }
            Err(error) => refused = Some(error),
        }
    }
    let source = refused.ok_or_else(unreadable)?;
    let mend = match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "stop what listens there, or choose another --web.listen-address"
        }
        std::io::ErrorKind::PermissionDenied => "choose a port from 1024",
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this host",
        _ => "choose another --web.listen-address",
    };
    Err(BindError::Refused { address: address.to_owned(), mend, source })
}

/// Serves until `stop`, then lets the requests in hand finish, for 15 s at most.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if connections.len() >= CONNECTIONS_MAX => {
                app.connection_rejected();
                refuse(&stream);
            }
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&app), stop.clone()));
            }
            Err(error) => {
                // Out of descriptors, mostly: those in use must end first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained =
        tokio::time::timeout(DRAIN_MAX, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(left = connections.len(), "requests did not end in time and are cut");
    }
}

async fn connection(stream: TcpStream, app: Arc<App>, stop: CancellationToken) {
    let service = service_fn(|request| {
        let (app, stop) = (Arc::clone(&app), stop.clone());
        async move { Ok::<_, Infallible>(web::answer(&app, &stop, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Says that too many are connected, if the socket takes it at once.
fn refuse(stream: &TcpStream) {
    let said = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 22\r\n\r\n\
          too many connections\r\n",
    );
    if let Err(error) = said {
        tracing::debug!(%error, "a refused connection was not told");
    }
}

/// Most connections: every probe that may run and as many scrapers again.
const CONNECTIONS_MAX: usize = 1024;
/// How long a request's head may take, and an idle connection may stay.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head: the longest target, encoded twice, and a browser's cookies.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most header lines of a request.
const HEADERS_MAX: usize = 64;
/// Longest wait for requests in hand at shutdown: Prometheus' usual scrape timeout and a half.
const DRAIN_MAX: Duration = Duration::from_secs(15);
/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
