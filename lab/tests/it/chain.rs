use std::net::{IpAddr, SocketAddr, UdpSocket};

use sojourner_lab::{Chain, isolated};

/// Sends one datagram from the client to the server and one back.
fn round_trip(chain: &Chain, client: IpAddr, server: IpAddr) {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let there = chain.server.run(|| UdpSocket::bind(SocketAddr::new(server, 7))).unwrap();
    let here = chain.client.run(|| UdpSocket::bind(any)).unwrap();
    here.send_to(b"ping", (server, 7)).unwrap();
    let mut buffer = [0; 8];
    let (len, from) = there.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"ping"[..], client));
    there.send_to(b"pong", from).unwrap();
    let (len, from) = here.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"pong"[..], server));
}

#[test]
fn a_chain_of_eight_routers_forwards_both_families_both_ways() {
    isolated(|lab| {
        let chain = lab.chain(8);
        round_trip(&chain, chain.client_v4(), chain.server_v4());
        round_trip(&chain, chain.client_v6(), chain.server_v6());
    });
}

#[test]
fn a_chain_without_routers_is_a_cable() {
    isolated(|lab| {
        let chain = lab.chain(0);
        round_trip(&chain, chain.client_v4(), chain.server_v4());
    });
}
