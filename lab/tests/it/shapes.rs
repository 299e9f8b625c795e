use std::net::UdpSocket;

use sojourner_lab::{isolated, server};

#[test]
fn every_parallel_path_carries_flows_of_both_families() {
    isolated(|lab| {
        let paths = lab.parallel_paths(2);
        server::udp_echo(&paths.server, 7);
        let mut before = paths.forwarded();
        let link = &paths.server_link;
        for (any, server) in [("0.0.0.0:0", link.b.v4()), ("[::]:0", link.b.v6())] {
            for _ in 0..64 {
                // A port of its own for each, so a flow of its own.
                let flow = paths.client.run(|| UdpSocket::bind(any)).unwrap();
                flow.send_to(b"hello", (server, 7)).unwrap();
                assert_eq!(flow.recv(&mut [0; 8]).unwrap(), 5);
            }
            let after = paths.forwarded();
            let carried: Vec<_> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            assert!(carried.iter().all(|&packets| packets > 0), "{carried:?}");
            assert_eq!(carried.iter().sum::<u64>(), 2 * 64, "{carried:?}");
            before = after;
        }
    });
}

#[test]
fn a_client_behind_a_translator_wears_its_gateways_address() {
    isolated(|lab| {
        let lan = match lab.nat_lan() {
            Ok(lan) => lan,
            Err(why) => return println!("skipped: {why}"),
        };
        let outside = &lan.outside;
        for (any, server, gateway) in
            [("0.0.0.0", outside.b.v4(), outside.a.v4()), ("::", outside.b.v6(), outside.a.v6())]
        {
            let there = lan.server.run(|| UdpSocket::bind((any, 7))).unwrap();
            let here = lan.client.run(|| UdpSocket::bind((any, 0))).unwrap();
            here.send_to(b"ping", (server, 7)).unwrap();
            let (_, from) = there.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(from.ip(), gateway);
            there.send_to(b"pong", from).unwrap();
            assert_eq!(here.recv_from(&mut [0; 8]).unwrap().1.ip(), server);
        }
    });
}
