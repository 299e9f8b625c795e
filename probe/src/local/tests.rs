use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const IPV4_TABLE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0102000A\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t0000000A\t090200C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0
*\t006433C6\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth1\tnonsense
";

const IPV6_TABLE: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
";

#[cfg(target_endian = "little")]
#[test]
fn the_kernels_ipv4_table_is_read_and_what_rejects_is_left_out() {
    let routes = parse_ipv4_routes(IPV4_TABLE);
    assert_eq!(routes.len(), 4);
    assert_eq!(routes[0].gateway, Some(addr("10.0.2.1")));
    assert_eq!((routes[2].network, routes[2].prefix), (addr("192.0.2.0"), 24));
    assert_eq!(routes[2].gateway, None, "it is on the link");
}

#[cfg(target_endian = "little")]
#[test]
fn the_next_hop_is_that_of_the_longest_prefix_and_then_the_lowest_metric() {
    let routes = parse_ipv4_routes(IPV4_TABLE);
    assert_eq!(gateway_for(&routes, addr("203.0.113.1")), Some(addr("192.0.2.1")));
    assert_eq!(gateway_for(&routes, addr("10.1.2.3")), Some(addr("192.0.2.9")));
    assert_eq!(gateway_for(&routes, addr("192.0.2.200")), None, "it is on the link");
    assert_eq!(gateway_for(&routes, addr("2001:db8::1")), None, "there is no IPv6");
}

#[test]
fn the_kernels_ipv6_table_is_read_without_loopbacks_routes() {
    let routes = parse_ipv6_routes(IPV6_TABLE);
    assert_eq!(routes.len(), 2);
    assert!(routes[1].is_default());
    assert_eq!(gateway_for(&routes, addr("2001:db8::1")), Some(addr("fd00::1")));
    assert_eq!(gateway_for(&routes, addr("fd00::7")), None);
}

#[test]
fn a_neighbour_is_known_asked_for_in_vain_or_not_listed() {
    let table = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
";
    assert_eq!(route::parse_neighbour(table, addr("192.0.2.1")), Some(true));
    assert_eq!(route::parse_neighbour(table, addr("192.0.2.9")), Some(false));
    assert_eq!(route::parse_neighbour(table, addr("192.0.2.8")), None);
}

#[test]
fn resolvers_are_read_in_order_without_comments_repeats_and_scopes() {
    let text = "# head\nnameserver 192.0.2.53\nnameserver  fe80::1%eth0 ; x\nsearch lan\n\
        nameserver 192.0.2.53\nnameserver\nnameserver bad\noptions ndots:5\n nameserver ::1\n";
    let found: Vec<String> = parse_resolv_conf(text, "here")
        .into_iter()
        .map(|resolver| format!("{} {}", resolver.addr, resolver.from))
        .collect();
    assert_eq!(found, ["192.0.2.53:53 here", "[fe80::1]:53 here", "[::1]:53 here"]);
}

#[test]
fn missing_files_make_an_empty_answer() {
    let nowhere = Path::new("/nonexistent").to_owned();
    let paths = LocalPaths {
        ipv4_routes: nowhere.clone(),
        ipv6_routes: nowhere.clone(),
        neighbours: nowhere.clone(),
        resolv_conf: nowhere,
    };
    let local = read_from(&paths);
    assert_eq!(local.resolvers, []);
    if cfg!(target_os = "linux") {
        assert_eq!(local.default_routes, []);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[ -~\\n\\t]{0,300}") {
        parse_ipv4_routes(&text);
        parse_ipv6_routes(&text);
        parse_resolv_conf(&text, "here");
        route::parse_neighbour(&text, addr("192.0.2.1"));
    }

    #[test]
    fn a_table_with_a_damaged_line_loses_that_line_alone(cut in 0_usize..90) {
        let mut lines: Vec<&str> = IPV6_TABLE.lines().collect();
        lines[0] = &lines[0][..cut];
        prop_assert_eq!(parse_ipv6_routes(&lines.join("\n")).len(), 1);
    }

    #[test]
    fn written_ipv4_routes_are_read_back(
        rows in proptest::collection::vec((any::<u32>(), 0_u32..=32, any::<u32>(), any::<u16>()), 0..20),
    ) {
        let mut text = String::from("Iface ...\n");
        for &(network, prefix, gateway, metric) in &rows {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            let raw = |bits: u32| u32::from_ne_bytes(Ipv4Addr::from_bits(bits).octets());
            let (network, gateway, mask) = (raw(network & mask), raw(gateway), raw(mask));
            writeln!(text, "eth0\t{network:08X}\t{gateway:08X}\t0003\t0\t0\t{metric}\t{mask:08X}\t0\t0\t0")
                .unwrap();
        }
        let routes = parse_ipv4_routes(&text);
        prop_assert_eq!(routes.len(), rows.len());
        for (route, &(network, prefix, gateway, metric)) in routes.iter().zip(&rows) {
            prop_assert_eq!(u32::from(route.prefix), prefix);
            prop_assert_eq!(route.gateway, Some(IpAddr::V4(Ipv4Addr::from_bits(gateway))));
            prop_assert_eq!(route.metric, u32::from(metric));
            prop_assert!(route.holds(IpAddr::V4(Ipv4Addr::from_bits(network))));
        }
    }

    #[test]
    fn a_prefix_holds_exactly_the_addresses_that_share_its_bits(
        a in any::<u128>(), b in any::<u128>(), prefix in 0_u8..=128,
    ) {
        let entry = RouteEntry {
            network: IpAddr::V6(Ipv6Addr::from_bits(a)),
            prefix,
            gateway: None,
            interface: String::new(),
            metric: 0,
        };
        let same = (a ^ b).leading_zeros() >= u32::from(prefix);
        prop_assert_eq!(entry.holds(IpAddr::V6(Ipv6Addr::from_bits(b))), same);
    }
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}
