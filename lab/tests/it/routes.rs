use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use sojourner_lab::{Chain, Host, isolated, server};

/// What a connected socket on the client hears after it sent a datagram to `to`.
fn heard(client: &Host, to: &str) -> ErrorKind {
    let to: IpAddr = to.parse().unwrap();
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = client.run(|| UdpSocket::bind(any)).unwrap();
    // Without this, Linux keeps "unreachable" from UDP as an error that may pass.
    if to.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap();
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true).unwrap();
    }
    socket.connect((to, 7)).unwrap();
    socket.send(b"hello").unwrap();
    socket.recv(&mut [0; 8]).unwrap_err().kind()
}

fn router(chain: &Chain) -> &Host {
    &chain.routers[0]
}

#[test]
fn an_unreachable_route_says_so_to_the_client() {
    isolated(|lab| {
        let chain = lab.chain(1);
        router(&chain).unreachable_route("198.51.100.0/24");
        router(&chain).unreachable_route("2001:db8::/32");
        assert_eq!(heard(&chain.client, "198.51.100.1"), ErrorKind::HostUnreachable);
        let kind = heard(&chain.client, "2001:db8::1");
        assert!(matches!(kind, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable));
    });
}

#[test]
fn a_prohibit_route_says_so_to_the_client() {
    isolated(|lab| {
        let chain = lab.chain(1);
        router(&chain).prohibit_route("198.51.100.0/24");
        router(&chain).prohibit_route("2001:db8::/32");
        assert_eq!(heard(&chain.client, "198.51.100.1"), ErrorKind::HostUnreachable);
        assert_eq!(heard(&chain.client, "2001:db8::1"), ErrorKind::PermissionDenied);
    });
}

#[test]
fn a_black_hole_route_says_nothing() {
    isolated(|lab| {
        let (chain, weak) = lab.weak_chain(1, 0);
        server::udp_echo(&chain.server, 7);
        router(&chain).blackhole_route("198.51.100.0/24");
        router(&chain).blackhole_route("2001:db8::/32");
        let socket = chain.client.run(|| UdpSocket::bind("[::]:0")).unwrap();
        for lost in ["::ffff:198.51.100.1", "2001:db8::1"] {
            socket.send_to(b"lost", (lost, 7)).unwrap();
        }
        socket.send_to(b"found", (chain.server_v6(), 7)).unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 5);
        let truth = weak.truth();
        assert_eq!((truth.a_to_b.received, truth.b_to_a.received), (3, 1));
    });
}
