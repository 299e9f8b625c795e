use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpStream, UdpSocket};

use hickory_proto::op::ResponseCode;
use socket2::SockRef;
use sojourner_lab::server::{self, RData, RecordType, Reply, Script};
use sojourner_lab::{Impairment, Lab, Lost, hook, isolated};

use crate::server::ask;

const FORGED: [u8; 4] = [192, 0, 2, 66];

#[test]
fn a_hijacked_name_never_reaches_its_server_and_others_do() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        weak.hook(hook::dns_hijack("blocked.example", FORGED.into()));
        server::dns(&b, 53, Script::default().answer("*", &["192.0.2.1"]));
        let addr = |name| ask(&a, weak.link.b.v4(), name, RecordType::A).answers[0].data.clone();
        assert_eq!(addr("blocked.example."), RData::A(std::net::Ipv4Addr::from(FORGED).into()));
        let truth = weak.truth();
        assert_eq!((truth.a_to_b.lost_by(Lost::Hook), truth.b_to_a.injected), (1, 1));
        assert_eq!(addr("free.example."), RData::A(std::net::Ipv4Addr::new(192, 0, 2, 1).into()));
    });
}

#[test]
fn a_missing_name_is_rewritten_and_an_existing_one_is_not() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        weak.hook(hook::dns_nxdomain_rewrite(FORGED.into()));
        let script = Script::default().answer("www.example", &["192.0.2.1"]);
        server::dns(&b, 53, script.reply("*", Reply::NxDomain));
        for (name, last) in [("nothing.example.", 66), ("www.example.", 1)] {
            let heard = ask(&a, weak.link.b.v6(), name, RecordType::A);
            assert_eq!(heard.metadata.response_code, ResponseCode::NoError);
            let addr = std::net::Ipv4Addr::new(192, 0, 2, last);
            assert_eq!(heard.answers[0].data, RData::A(addr.into()));
        }
        assert_eq!(weak.truth().b_to_a.changed, 1);
    });
}

#[test]
fn a_forbidden_word_resets_the_connection_and_an_innocent_one_passes() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        weak.hook(hook::reset_on(b"forbidden"));
        server::tcp_echo(&b, 7);
        for addr in [weak.link.b.v4(), weak.link.b.v6()] {
            let mut stream = a.run(|| TcpStream::connect((addr, 7))).unwrap();
            stream.write_all(b"allowed").unwrap();
            let mut buffer = [0; 7];
            stream.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"allowed");
            stream.write_all(b"a forbidden word").unwrap();
            let error = stream.read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

/// The segment size that a fresh connection settles on where no end may announce more than 1,000
/// bytes.
fn clamped_mss(lab: &Lab, strip: &[u8]) -> u32 {
    let (a, b) = (lab.host("a"), lab.host("b"));
    let weak = lab.weak_link(&a, &b);
    weak.hook(hook::clamp_mss(1_000));
    weak.hook(hook::strip_tcp_options(strip));
    server::tcp_echo(&b, 7);
    let mut stream = a.run(|| TcpStream::connect((weak.link.b.v4(), 7))).unwrap();
    // More than a segment, so that rewritten segments carry data too.
    let sent = vec![7; 5_000];
    stream.write_all(&sent).unwrap();
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(sent, back);
    SockRef::from(&stream).tcp_mss().unwrap()
}

#[test]
fn a_clamped_segment_holds_the_timestamps_too() {
    const TIMESTAMP_BYTES: u32 = 12;
    isolated(|lab| assert_eq!(clamped_mss(lab, &[]), 1_000 - TIMESTAMP_BYTES));
}

#[test]
fn stripped_timestamps_leave_room_in_every_segment() {
    isolated(|lab| assert_eq!(clamped_mss(lab, &[hook::TCP_TIMESTAMPS]), 1_000));
}

#[test]
fn a_cut_link_carries_nothing_until_it_is_mended() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        server::udp_echo(&b, 7);
        let there: IpAddr = weak.link.b.v4();
        let here = a.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let mut buffer = [0; 8];
        here.send_to(b"before", (there, 7)).unwrap();
        assert_eq!(here.recv(&mut buffer).unwrap(), 6);
        weak.set_both(Impairment::default().cut());
        here.send_to(b"cut", (there, 7)).unwrap();
        weak.wait_until(|truth| truth.a_to_b.lost_by(Lost::Cut) > 0);
        weak.set_both(Impairment::default());
        here.send_to(b"mended", (there, 7)).unwrap();
        let len = here.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"mended", "what was cut must not arrive");
    });
}
