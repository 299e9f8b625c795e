use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream, UdpSocket};
use std::sync::Arc;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::Name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sojourner_lab::server::{self, Authority, RData, RecordType, Reply, Script};
use sojourner_lab::{Host, isolated};

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.queries.push(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

/// Asks over UDP.
pub(crate) fn ask(host: &Host, server: IpAddr, name: &str, kind: RecordType) -> Message {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = host.run(|| UdpSocket::bind(any)).unwrap();
    socket.send_to(&query(name, kind), (server, 53)).unwrap();
    let mut buffer = [0; 1_500];
    let len = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..len]).unwrap()
}

#[test]
fn echoes_answer_over_both_families() {
    isolated(|lab| {
        let chain = lab.chain(1);
        server::udp_echo(&chain.server, 7);
        server::tcp_echo(&chain.server, 7);
        for (any, server) in [("0.0.0.0:0", chain.server_v4()), ("[::]:0", chain.server_v6())] {
            let udp = chain.client.run(|| UdpSocket::bind(any)).unwrap();
            udp.send_to(b"hello", (server, 7)).unwrap();
            let mut buffer = [0; 16];
            let (len, from) = udp.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..len], from.ip()), (&b"hello"[..], server));
            let mut tcp = chain.client.run(|| TcpStream::connect((server, 7))).unwrap();
            tcp.write_all(b"hello").unwrap();
            tcp.shutdown(Shutdown::Write).unwrap();
            let mut back = String::new();
            tcp.read_to_string(&mut back).unwrap();
            assert_eq!(back, "hello");
        }
    });
}

#[test]
fn a_silent_server_takes_everything_and_says_nothing() {
    isolated(|lab| {
        let chain = lab.chain(0);
        server::silent(&chain.server, 9);
        let address = (chain.server_v4(), 9);
        let mut stream = chain.client.run(|| TcpStream::connect(address)).unwrap();
        stream.write_all(b"is anybody there?").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn an_aborted_server_closes_its_connections() {
    isolated(|lab| {
        let chain = lab.chain(0);
        let server = server::silent(&chain.server, 9);
        let address = (chain.server_v4(), 9);
        let mut stream = chain.client.run(|| TcpStream::connect(address)).unwrap();
        server.abort();
        // An end or a reset, whichever comes of a connection that nobody had accepted yet.
        assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
    });
}

#[test]
fn a_fixed_http_response_is_served_whole() {
    isolated(|lab| {
        let chain = lab.chain(0);
        server::http(&chain.server, 80, 503, "come back later");
        let address = (chain.server_v6(), 80);
        let mut stream = chain.client.run(|| TcpStream::connect(address)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(response.ends_with("\r\n\r\ncome back later"), "{response}");
    });
}

#[test]
fn a_dns_server_follows_its_script() {
    isolated(|lab| {
        let chain = lab.chain(0);
        let script = Script::default()
            .answer("www.example", &["192.0.2.1", "2001:db8::1"])
            .reply_type("half.example", RecordType::AAAA, Reply::ServFail)
            .answer("half.example", &["192.0.2.2"])
            .reply("quiet.example", Reply::Silence)
            .reply("*.example", Reply::NxDomain);
        server::dns(&chain.server, 53, script);
        let (a, aaaa) = (RecordType::A, RecordType::AAAA);
        let cases = [
            ("WWW.example.", a, ResponseCode::NoError, 1),
            ("www.example.", aaaa, ResponseCode::NoError, 1),
            ("www.example.", RecordType::MX, ResponseCode::NoError, 0),
            ("half.example.", a, ResponseCode::NoError, 1),
            ("half.example.", aaaa, ResponseCode::ServFail, 0),
            ("nothing.example.", a, ResponseCode::NXDomain, 0),
            ("example.", a, ResponseCode::Refused, 0),
        ];
        for (name, kind, code, answers) in cases {
            let heard = ask(&chain.client, chain.server_v4(), name, kind);
            assert_eq!((heard.metadata.response_code, heard.answers.len()), (code, answers));
        }
        // Over one TCP connection: what is met with silence, then what is answered.
        let address = (chain.server_v6(), 53);
        let mut tcp = chain.client.run(|| TcpStream::connect(address)).unwrap();
        for name in ["quiet.example.", "www.example."] {
            let message = query(name, a);
            tcp.write_all(&u16::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
            tcp.write_all(&message).unwrap();
        }
        let mut len = [0; 2];
        tcp.read_exact(&mut len).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        tcp.read_exact(&mut message).unwrap();
        let heard = Message::from_vec(&message).unwrap();
        assert_eq!(heard.queries[0].name().to_ascii(), "www.example.");
        assert_eq!(heard.answers[0].data, RData::A(std::net::Ipv4Addr::new(192, 0, 2, 1).into()));
    });
}

/// A TLS session with `www.example` that trusts `authority`.
fn tls_session(authority: &Authority) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("www.example").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// Has `hello` echoed over TLS.
fn tls_hello(host: &Host, to: (IpAddr, u16), authority: &Authority) -> std::io::Result<String> {
    let stream = host.run(|| TcpStream::connect(to))?;
    let mut tls = StreamOwned::new(tls_session(authority), stream);
    tls.write_all(b"hello")?;
    let mut back = [0; 5];
    tls.read_exact(&mut back)?;
    Ok(String::from_utf8_lossy(&back).into_owned())
}

#[test]
fn a_tls_server_is_trusted_under_its_own_authority_alone() {
    isolated(|lab| {
        let chain = lab.chain(0);
        let authority = Authority::new();
        server::tls_echo(&chain.server, 443, &authority, &["www.example"]);
        let to = (chain.server_v4(), 443);
        assert_eq!(tls_hello(&chain.client, to, &authority).unwrap(), "hello");
        let refused = tls_hello(&chain.client, to, &Authority::new()).unwrap_err();
        assert!(refused.to_string().contains("certificate"), "{refused}");
        assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    });
}
