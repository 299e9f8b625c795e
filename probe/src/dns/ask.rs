//! Asking one server one question.
//!
//! UDP and TCP are our own: a resolver library returns the first answer and hides what else came.
//! A fresh socket per try gives each question its own random port beside its random id.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::net::h2;
use hickory_resolver::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_resolver::net::xfer::{DnsRequestSender as _, FirstAnswer as _};
use hickory_resolver::net::{DnsError as NetDnsError, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Message};
use rand_core::RngCore as _;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use sojourner_stats::event::{DnsAnswer, DnsError, DnsFailure, DnsRole, DnsTransport, TcpOutcome};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Micros};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use super::wire::{self, Ask};
use super::{DnsConfig, DnsServer, Job, Lookup, system};
use crate::connect::dial;

/// Asks; one lookup for each of the job's record types.
pub(super) async fn ask(config: &DnsConfig, job: &mut Job) -> Vec<Lookup> {
    let labels = |record_type: String| Labels {
        server: job.server.to_string().into(),
        role: job.role,
        name: wire::text(&job.name).into(),
        record_type: record_type.into(),
    };
    if job.server == DnsServer::System {
        let types: Vec<_> = job.record_types.iter().map(|it| labels(it.to_string())).collect();
        return system::ask(config, job, types).await;
    }
    let mut lookups = Vec::new();
    for record_type in job.record_types.clone() {
        let start = SystemClock.instant();
        let labels = labels(record_type.to_string());
        let mut exchange = Exchange { config, transport: job.server.transport() };
        let mut next_ask = || {
            let id = u16::try_from(job.rng.next_u32() & 0xffff).unwrap_or_default();
            Ask::new(id, &job.name, record_type)
        };
        let outcome = exchange.ask(&job.server, &mut next_ask).await;
        let elapsed = SystemClock.instant().since(start);
        lookups.push(labels.lookup(exchange.transport, outcome, elapsed));
    }
    lookups
}

/// What every lookup of a job carries.
pub(super) struct Labels {
    pub(super) server: Arc<str>,
    pub(super) role: DnsRole,
    pub(super) name: Arc<str>,
    pub(super) record_type: Arc<str>,
}

impl Labels {
    fn lookup(
        self,
        transport: DnsTransport,
        outcome: Result<Message, DnsError>,
        elapsed: Duration,
    ) -> Lookup {
        let elapsed_us = Micros(elapsed);
        let Self { server, role, name, record_type } = self;
        match outcome {
            Ok(message) => Lookup::Answer(DnsAnswer {
                rcode: wire::rcode(&message).into(),
                records: wire::records(&message),
                server,
                role,
                transport,
                name,
                record_type,
                elapsed_us,
            }),
            Err(error) => Lookup::Failure(DnsFailure {
                server,
                role,
                transport,
                name,
                record_type,
                error,
                elapsed_us,
            }),
        }
    }
}

struct Exchange<'a> {
    config: &'a DnsConfig,
    transport: DnsTransport,
}

impl Exchange<'_> {
    async fn ask(
        &mut self,
        server: &DnsServer,
        next_ask: &mut (dyn FnMut() -> Ask + Send),
    ) -> Result<Message, DnsError> {
        match server {
            DnsServer::System => Err(DnsError::NoServer),
            DnsServer::Udp(addr) => {
                let message = self.udp(*addr, next_ask).await?;
                if !message.metadata.truncation {
                    return Ok(message);
                }
                self.transport = DnsTransport::Tcp;
                self.within(self.tcp(*addr, &next_ask())).await
            }
            DnsServer::Tcp(addr) => self.within(self.tcp(*addr, &next_ask())).await,
            DnsServer::Tls { addr, name } => {
                self.within(self.tls(*addr, name.as_deref(), &next_ask())).await
            }
            DnsServer::Https { host, port, path, addr } => {
                self.within(self.https(host, *port, path, *addr, &next_ask())).await
            }
        }
    }

    async fn within<T>(
        &self,
        exchange: impl Future<Output = Result<T, DnsError>>,
    ) -> Result<T, DnsError> {
        let elapsed = tokio::time::timeout(self.config.timeout, exchange).await;
        elapsed.unwrap_or(Err(DnsError::Timeout))
    }

    /// Tries over UDP. Only silence is worth another try; a closed port stays closed.
    async fn udp(
        &self,
        addr: SocketAddr,
        next_ask: &mut (dyn FnMut() -> Ask + Send),
    ) -> Result<Message, DnsError> {
        let mut error = DnsError::Timeout;
        for _try in 0..=self.config.retries {
            let (ask, mut noise) = (next_ask(), None);
            let answer = self.udp_once(addr, &ask, &mut noise);
            match self.within(answer).await {
                Err(DnsError::Timeout) => error = noise.unwrap_or(error),
                ended => return ended,
            }
        }
        Err(error)
    }

    /// Waits for the answer and steps over what is not: a forged one must not end the wait.
    async fn udp_once(
        &self,
        addr: SocketAddr,
        ask: &Ask,
        noise: &mut Option<DnsError>,
    ) -> Result<Message, DnsError> {
        let socket = self.udp_socket(addr).map_err(|error| broken(&error))?;
        let bytes = ask.message().to_vec().map_err(|_too_long| DnsError::Malformed)?;
        socket.send(&bytes).await.map_err(|error| broken(&error))?;
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            let len = socket.recv(&mut buffer).await.map_err(|error| broken(&error))?;
            match ask.answer(buffer.get(..len).unwrap_or_default()) {
                Ok(message) => return Ok(message),
                Err(mismatch) => {
                    tracing::trace!(%addr, len, ?mismatch, "not the answer");
                    *noise = Some(DnsError::Malformed);
                }
            }
        }
    }

    /// A connected socket: the kernel then takes packets of the server alone, and tells of ICMP.
    fn udp_socket(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if let Err(error) = dial::want_icmp(&socket, addr) {
            tracing::debug!(%error, "ICMP errors will look like silence");
        }
        dial::bind_interface(&socket, self.config.interface.as_deref())?;
        if let Some(source) = self.config.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&addr.into())?;
        UdpSocket::from_std(socket.into())
    }

    async fn tcp(&self, addr: SocketAddr, ask: &Ask) -> Result<Message, DnsError> {
        let mut stream = self.dial(addr).await?;
        framed(&mut stream, ask).await
    }

    async fn tls(
        &self,
        addr: SocketAddr,
        name: Option<&str>,
        ask: &Ask,
    ) -> Result<Message, DnsError> {
        let name = match name {
            Some(name) => ServerName::try_from(name.to_owned()).ok().ok_or(DnsError::Tls)?,
            None => ServerName::from(addr.ip()),
        };
        let stream = self.dial(addr).await?;
        let connector = TlsConnector::from(self.config.trust.dot());
        let mut stream = connector.connect(name, stream).await.map_err(|error| {
            tracing::debug!(%addr, %error, "TLS handshake failed");
            DnsError::Tls
        })?;
        framed(&mut stream, ask).await
    }

    async fn https(
        &self,
        host: &str,
        port: u16,
        path: &str,
        addr: Option<IpAddr>,
        ask: &Ask,
    ) -> Result<Message, DnsError> {
        let addr = if let Some(addr) = addr {
            SocketAddr::new(addr, port)
        } else {
            let found = tokio::net::lookup_host((host, port)).await;
            found.ok().and_then(|mut addrs| addrs.next()).ok_or(DnsError::NoServer)?
        };
        let stream = self.dial(addr).await?;
        let tcp = std::future::ready(Ok(AsyncIoTokioAsStd(stream)));
        let trust = self.config.trust.doh();
        let connecting = h2::connect(tcp, trust, addr, host.into(), path.into(), None);
        let mut connection = connecting.await.map_err(|error| doh_error(addr, &error))?;
        let request = DnsRequest::new(ask.message(), DnsRequestOptions::default());
        let response = connection.send_message(request).first_answer().await;
        let message = response.map_err(|error| doh_error(addr, &error))?.into_message();
        // Over HTTP the id is 0 (RFC 8484 §4.1): the request and its response share a stream.
        let ask = Ask { id: message.metadata.id, query: ask.query.clone() };
        ask.check(&message).map_err(|_other| DnsError::Malformed)?;
        Ok(message)
    }

    async fn dial(&self, addr: SocketAddr) -> Result<TcpStream, DnsError> {
        let interface = self.config.interface.as_deref();
        let dialled = dial::dial(addr, self.config.source, interface).await;
        let stream = dialled.map_err(|error| refused(error.outcome))?.stream;
        // Two writes would otherwise wait for each other's acknowledgement; only speed is lost.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no-delay is not available");
        }
        Ok(stream)
    }
}

/// One question and its answer, each after its length (RFC 1035 §4.2.2).
async fn framed<S>(stream: &mut S, ask: &Ask) -> Result<Message, DnsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes = ask.message().to_vec().map_err(|_too_long| DnsError::Malformed)?;
    let len = u16::try_from(bytes.len()).map_err(|_too_long| DnsError::Malformed)?;
    let mut frame = len.to_be_bytes().to_vec();
    frame.extend(bytes);
    stream.write_all(&frame).await.map_err(|error| broken(&error))?;
    stream.flush().await.map_err(|error| broken(&error))?;
    let len = stream.read_u16().await.map_err(|error| broken(&error))?;
    let mut buffer = vec![0; len.into()];
    stream.read_exact(&mut buffer).await.map_err(|error| broken(&error))?;
    ask.answer(&buffer).map_err(|_mismatch| DnsError::Malformed)
}

fn refused(outcome: TcpOutcome) -> DnsError {
    match outcome {
        TcpOutcome::Refused => DnsError::PortClosed,
        TcpOutcome::TimedOut => DnsError::Timeout,
        TcpOutcome::Reset => DnsError::Closed,
        _ => DnsError::Unreachable,
    }
}

fn broken(error: &io::Error) -> DnsError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => DnsError::PortClosed,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof
        | Kind::NotConnected => DnsError::Closed,
        Kind::TimedOut => DnsError::Timeout,
        Kind::InvalidData => DnsError::Tls,
        _ => DnsError::Unreachable,
    }
}

fn doh_error(addr: SocketAddr, error: &NetError) -> DnsError {
    tracing::debug!(%addr, %error, "DNS over HTTPS failed");
    match error {
        NetError::Timeout => DnsError::Timeout,
        NetError::Proto(_) | NetError::Dns(NetDnsError::NoRecordsFound(_)) => DnsError::Malformed,
        _ => DnsError::Tls,
    }
}

/// The largest UDP payload: a server may send more than was asked for.
const MESSAGE_BYTES_MAX: usize = 65_535;
