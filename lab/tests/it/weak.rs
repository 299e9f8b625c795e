use std::net::UdpSocket;
use std::time::Duration;

use sojourner_lab::{Direction, Impairment, Lost, hook, isolated};

#[test]
fn what_arrives_is_what_the_link_says_it_let_through() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        let impairment = Impairment::default().delay(Duration::from_millis(5));
        weak.set(Direction::AtoB, impairment.loss(0.3).duplicate(0.1));
        let there = b.run(|| UdpSocket::bind("0.0.0.0:7")).unwrap();
        let here = a.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        for n in 0..200_u8 {
            here.send_to(&[n], (weak.link.b.v4(), 7)).unwrap();
        }
        let truth = weak.wait_until(|t| t.a_to_b.received == 200 && t.in_flight == 0).a_to_b;
        assert_eq!(truth.received, truth.forwarded + truth.lost());
        assert!(truth.lost() > 0 && truth.duplicated > 0);
        for _ in 0..truth.forwarded + truth.duplicated {
            there.recv_from(&mut [0; 8]).unwrap();
        }
        assert_eq!(weak.truth().overrun, 0);
    });
}

#[test]
fn a_black_hole_swallows_the_large_and_passes_the_small() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        weak.set_both(Impairment::default().mtu_black_hole(1_000));
        let there = b.run(|| UdpSocket::bind("[::]:7")).unwrap();
        let here = a.run(|| UdpSocket::bind("[::]:0")).unwrap();
        for len in [1_200, 952] {
            here.send_to(&vec![1; len], (weak.link.b.v6(), 7)).unwrap();
        }
        assert_eq!(there.recv_from(&mut [0; 2_000]).unwrap().0, 952);
        assert_eq!(weak.truth().a_to_b.lost_by(Lost::TooBig), 1);
    });
}

#[test]
fn a_forged_answer_arrives_though_no_server_answers() {
    isolated(|lab| {
        let (a, b) = (lab.host("a"), lab.host("b"));
        let weak = lab.weak_link(&a, &b);
        weak.hook(hook::dns_race("blocked.example", [192, 0, 2, 66].into()));
        let there = b.run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
        let here = a.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(b"\x07blocked\x07example\x00\x00\x01\x00\x01");
        here.send_to(&query, (weak.link.b.v4(), 53)).unwrap();
        let mut buffer = [0; 512];
        let (len, from) = here.recv_from(&mut buffer).unwrap();
        assert_eq!((from.ip(), &buffer[..2]), (weak.link.b.v4(), &query[..2]));
        assert!(buffer[..len].ends_with(&[192, 0, 2, 66]));
        assert_eq!(there.recv_from(&mut buffer).unwrap().0, query.len(), "the query goes on");
        let truth = weak.truth();
        assert_eq!((truth.a_to_b.forwarded, truth.b_to_a.injected), (1, 1));
    });
}
