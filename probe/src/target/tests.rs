use proptest::prelude::*;

use super::*;

#[test]
fn every_way_to_write_a_target_is_understood() {
    // text, scheme, host, port, path, dns name, wants tcp
    for (text, scheme, host, port, path, dns, tcp) in [
        ("example.net", Scheme::Host, "example.net", None, "/", Some("example.net"), false),
        ("Example.NET.", Scheme::Host, "example.net", None, "/", Some("example.net"), false),
        ("192.0.2.7", Scheme::Host, "192.0.2.7", None, "/", None, false),
        ("2001:db8::7", Scheme::Host, "2001:db8::7", None, "/", None, false),
        ("::1", Scheme::Host, "::1", None, "/", None, false),
        ("[::1]", Scheme::Host, "::1", None, "/", None, false),
        ("[::1]:80", Scheme::Host, "::1", Some(80), "/", None, true),
        ("localhost:65535", Scheme::Host, "localhost", Some(65535), "/", Some("localhost"), true),
        ("192.0.2.7:1/", Scheme::Host, "192.0.2.7", Some(1), "/", None, true),
        ("my_service", Scheme::Host, "my_service", None, "/", Some("my_service"), false),
        ("http://a.example", Scheme::Http, "a.example", Some(80), "/", Some("a.example"), true),
        ("HTTPS://a/b?c=d#e", Scheme::Https, "a", Some(443), "/b?c=d", Some("a"), true),
        ("https://a:8443?c", Scheme::Https, "a", Some(8443), "/?c", Some("a"), true),
        ("https://[::1]:8443/x", Scheme::Https, "::1", Some(8443), "/x", None, true),
        ("tcp://a:22", Scheme::Tcp, "a", Some(22), "/", Some("a"), true),
        ("link://[::1]:22", Scheme::Link, "::1", Some(22), "/", None, true),
        ("icmp://a", Scheme::Icmp, "a", None, "/", Some("a"), false),
        ("dns://192.0.2.53/A.b.", Scheme::Dns, "192.0.2.53", Some(53), "/", Some("a.b"), false),
        ("dns://[::1]:5353/a", Scheme::Dns, "::1", Some(5353), "/", Some("a"), false),
    ] {
        let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(target.to_string(), text);
        assert_eq!(target.scheme(), scheme, "{text}");
        assert_eq!(target.host().to_string(), host, "{text}");
        assert_eq!(target.port(), port, "{text}");
        assert_eq!(target.path(), path, "{text}");
        assert_eq!(target.dns_name(), dns, "{text}");
        assert_eq!(target.wants_tcp(), tcp, "{text}");
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_mend() {
    for (text, expected) in [
        ("  ", "the target is empty; write a host, such as example.net or 192.0.2.7"),
        ("a:0", "port 0 of target \"a:0\" is not a port that can be connected to; use 1 to 65535"),
        ("a:70000", "port 70000 of target \"a:70000\" is out of range; use 1 to 65535"),
        ("[::1]:", "port \"\" of target \"[::1]:\" is missing after the colon; use 1 to 65535"),
        ("a:+1", "port +1 of target \"a:+1\" is no number; use 1 to 65535"),
        (
            "ftp://a",
            "scheme \"ftp\" of target \"ftp://a\" is unknown; use http, https, tcp, icmp, dns or link",
        ),
        ("tcp://a", "target \"tcp://a\" has no port; add one, such as tcp://a:443"),
        (
            "icmp://a:7",
            "target \"icmp://a:7\" has a port, and ICMP knows none; use tcp://a:7 instead",
        ),
        ("icmp://a/b", "target \"icmp://a/b\" has a path, and its scheme takes none; leave it out"),
        ("a/b", "target \"a/b\" has a path; write its scheme too, such as https://"),
        (
            "dns://a",
            "target \"dns://a\" names no name to ask about; write dns://192.0.2.53/example.net",
        ),
        (
            "dns://a/::1",
            "target \"dns://a/::1\" asks about an address; write a name after the slash",
        ),
        (
            "http://a/ b",
            "target \"http://a/ b\" holds a space or a character outside ASCII; percent-encode it",
        ),
        (":80", "host \"\" of target \":80\" is empty; write a name or an address"),
        ("u@a", "host \"u@a\" of target \"u@a\" holds a user name; leave it out"),
        ("a b", "host \"a b\" of target \"a b\" holds a space; give one target at a time"),
        (
            "a!",
            "host \"a!\" of target \"a!\" holds a character that names cannot; use letters, digits, hyphens and dots",
        ),
        (
            "a..b",
            "host \"a..b\" of target \"a..b\" holds an empty label; write single dots between its parts",
        ),
        (
            "-a",
            "host \"-a\" of target \"-a\" holds a label that begins or ends with a hyphen, which no name can",
        ),
        (
            "bücher.example",
            "host \"bücher.example\" of target \"bücher.example\" holds letters outside ASCII; write the name in its xn-- form",
        ),
        (
            "256.0.0.1",
            "host \"256.0.0.1\" of target \"256.0.0.1\" ends in a number and is no IPv4 address; write four numbers from 0 to 255",
        ),
        (
            "1::2::3",
            "host \"1::2::3\" of target \"1::2::3\" is no IPv6 address; write one such as 2001:db8::7, with a port [2001:db8::7]:443",
        ),
        (
            "fe80::1%eth0",
            "host \"fe80::1%eth0\" of target \"fe80::1%eth0\" holds a zone; leave it out and choose the interface instead",
        ),
        (
            "[::1",
            "host \"[::1\" of target \"[::1\" has no closing bracket; write [2001:db8::7]:443",
        ),
        (
            "[::1]x",
            "host \"[::1]x\" of target \"[::1]x\" goes on after its bracket; write [2001:db8::7]:443",
        ),
        (
            "[a]:1",
            "host \"[a]:1\" of target \"[a]:1\" is no IPv6 address; brackets are for those alone",
        ),
    ] {
        let error = text.parse::<Target>().expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn names_and_targets_that_are_too_long_are_refused() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    assert!(longest.parse::<Target>().is_ok());
    for text in [format!("{longest}a"), format!("{label}a.b")] {
        let error = text.parse::<Target>().unwrap_err();
        assert!(matches!(error, TargetError::Host { .. }), "{error}");
    }
    let error = "a".repeat(TARGET_BYTES_MAX + 1).parse::<Target>().unwrap_err();
    assert_eq!(error, TargetError::TooLong { bytes: TARGET_BYTES_MAX + 1 });
}

#[test]
fn a_target_is_its_text_in_json() {
    let target: Target = "tcp://a:22".parse().unwrap();
    let json = serde_json::to_string(&target).unwrap();
    assert_eq!(json, r#""tcp://a:22""#);
    assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target);
    assert!(serde_json::from_str::<Target>(r#""a:0""#).is_err());
}

#[tokio::test]
async fn a_literal_is_its_own_address_and_the_other_family_is_refused() {
    let target: Target = "192.0.2.7".parse().unwrap();
    let addr: IpAddr = "192.0.2.7".parse().unwrap();
    assert_eq!(target.resolve(Family::Any).await.unwrap(), [addr]);
    assert_eq!(target.resolve(Family::V4).await.unwrap(), [addr]);
    let error = target.resolve(Family::V6).await.unwrap_err();
    assert!(matches!(error, ResolveError::Family { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_and_what_is_parsed_keeps_its_text(text in "\\PC{0,40}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string(), text.trim());
            prop_assert_ne!(target.port(), Some(0));
        }
    }

    #[test]
    fn any_host_and_port_come_back_as_written(host in "[a-z][a-z0-9]{0,20}(\\.[a-z]{2,5}){0,3}", port in 1_u16..) {
        let target: Target = format!("{host}:{port}").parse().unwrap();
        prop_assert_eq!(target.host().to_string(), host);
        prop_assert_eq!(target.port(), Some(port));
    }
}
