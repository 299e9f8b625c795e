//! A DNS server that answers by script, over UDP, TCP, TLS and HTTPS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, Record};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Udp,
    Stream,
}

/// The messages that answer a question, in order; none is silence.
pub(super) type Script = Arc<dyn Fn(Via, &Message) -> Vec<Vec<u8>> + Send + Sync>;

pub(super) struct Server {
    pub(super) addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Plain DNS on one port of loopback, over UDP and TCP.
    pub(super) async fn plain<F>(script: F) -> Self
    where
        F: Fn(Via, &Message) -> Vec<Vec<u8>> + Send + Sync + 'static,
    {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
            let addr = tcp.local_addr().expect("it is bound");
            // Another test may hold the UDP port of this number; then take another number.
            if let Ok(udp) = UdpSocket::bind(addr).await {
                break (udp, tcp);
            }
        };
        Self::serve(udp, tcp, Arc::new(script))
    }

    pub(super) fn serve(udp: UdpSocket, tcp: TcpListener, script: Script) -> Self {
        let addr = udp.local_addr().expect("it is bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_datagrams(udp, Arc::clone(&script)));
        tasks.spawn(accept(tcp, move |stream| answer_stream(stream, Arc::clone(&script))));
        Self { addr, _tasks: tasks }
    }

    /// DNS over TLS; the certificate is for `name` and 127.0.0.1.
    pub(super) async fn dot(authority: &Authority, name: &str, script: Script) -> Self {
        let acceptor = authority.acceptor(name, &[]);
        Self::stream(move |stream| {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer_stream(stream, script).await;
                }
            }
        })
        .await
    }

    /// DNS over HTTPS; the certificate is for `name` and 127.0.0.1.
    pub(super) async fn doh(authority: &Authority, name: &str, script: Script) -> Self {
        let acceptor = authority.acceptor(name, &[b"h2"]);
        Self::stream(move |stream| {
            let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer_http(stream, script).await;
                }
            }
        })
        .await
    }

    async fn stream<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be bound");
        let addr = tcp.local_addr().expect("it is bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(tcp, serve));
        Self { addr, _tasks: tasks }
    }
}

/// An answer with addresses; a name that is not asked for an address of a family gets none of it.
pub(super) fn answer(query: &Message, addrs: &[&str]) -> Vec<u8> {
    bytes(&message(query, ResponseCode::NoError, addrs))
}

/// An answer without records.
pub(super) fn refuse(query: &Message, code: ResponseCode) -> Vec<u8> {
    bytes(&message(query, code, &[]))
}

pub(super) fn message(query: &Message, code: ResponseCode, addrs: &[&str]) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.response_code = code;
    reply.add_queries(query.queries.clone());
    let question = &query.queries[0];
    for addr in addrs {
        let data = match addr.parse().expect("a test's address is one") {
            IpAddr::V4(addr) => RData::A(addr.into()),
            IpAddr::V6(addr) => RData::AAAA(addr.into()),
        };
        if data.record_type() == question.query_type {
            reply.add_answer(Record::from_rdata(question.name.clone(), 60, data));
        }
    }
    reply
}

pub(super) fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("a test's message fits")
}

/// A certificate authority of this test alone.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("it can be signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn acceptor(&self, name: &str, alpn: &[&[u8]]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key can be made");
        let names = vec![name.to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("a test's name is valid");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("there are protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key is the certificate's");
        config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn answer_datagrams(socket: UdpSocket, script: Script) {
    let mut buffer = vec![0; 65_535];
    // A client that is gone leaves an ICMP error behind; the next one still wants its answer.
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok(query) = Message::from_vec(&buffer[..len]) else { continue };
        for reply in script(Via::Udp, &query) {
            socket.send_to(&reply, from).await.ok();
        }
    }
}

async fn accept<F, Fut>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream));
    }
}

/// Answers until the script is silent, then hangs up.
async fn answer_stream<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Script) {
    while let Ok(len) = stream.read_u16().await {
        let mut query = vec![0; len.into()];
        stream.read_exact(&mut query).await.expect("the question comes whole");
        let query = Message::from_vec(&query).expect("the question is a message");
        let replies = script(Via::Stream, &query);
        if replies.is_empty() {
            return;
        }
        for reply in replies {
            let len = u16::try_from(reply.len()).expect("a test's message fits");
            let frame = [&len.to_be_bytes()[..], &reply].concat();
            stream.write_all(&frame).await.ok();
        }
        stream.flush().await.ok();
    }
}

async fn answer_http<S>(stream: S, script: Script)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = h2::server::handshake(stream).await.expect("the client speaks HTTP/2");
    let mut requests = JoinSet::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let script = Arc::clone(&script);
        requests.spawn(async move {
            let path = request.uri().path().to_owned();
            let mut body = request.into_body();
            let mut query = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                body.flow_control().release_capacity(chunk.len()).ok();
                query.extend_from_slice(&chunk);
            }
            let query = Message::from_vec(&query).expect("the question is a message");
            let found = path == "/dns-query";
            let head = http::Response::builder()
                .status(if found { 200 } else { 404 })
                .header("content-type", "application/dns-message")
                .body(())
                .expect("a test's head is valid");
            let mut send = respond.send_response(head, false).expect("it can answer");
            let reply = script(Via::Stream, &query).concat();
            send.send_data(reply.into(), true).expect("it can answer");
        });
    }
}
