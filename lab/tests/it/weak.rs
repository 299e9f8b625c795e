use std::net::UdpSocket;
use std::time::Duration;

use sojourner_lab::{Direction, Impairment, Lost, isolated};

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
