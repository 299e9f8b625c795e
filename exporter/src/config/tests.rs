use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("f.yml"))
}

/// A file as users of the two exporters have it.
const REAL: &str = r#"
modules:
  icmp_v4:
    prober: icmp
    timeout: 5s
    icmp:
      preferred_ip_protocol: "ip4"
      ip_protocol_fallback: false
      source_ip_address: "127.0.0.1"
      payload_size: 100
      ttl: 5
  tcp_connect:
    prober: tcp
  dns_mx:
    prober: dns
    timeout: 1m30s
    dns:
      transport_protocol: "tcp"
      query_name: "example.org"
      query_type: "MX"
      recursion_desired: false
      valid_rcodes: [NOERROR, NXDOMAIN]
      validate_answer_rrs:
        fail_if_not_matches_regexp: ["mail\\."]
targets:
- hosts: [192.0.2.1, host.example]
  interval: 500ms
  network: ip4
  protocol: icmp
  size: 56
  labels: {site: "a \"b\""}
- host: host.example
  network: ip6
"#;

#[test]
fn a_file_of_both_exporters_is_read() {
    let config = parse(REAL).unwrap();
    assert_eq!(config.modules.keys().collect::<Vec<_>>(), ["dns_mx", "icmp_v4", "tcp_connect"]);
    let Prober::Icmp(icmp) = &config.modules["icmp_v4"].prober else { panic!("no icmp") };
    assert_eq!((icmp.ttl, icmp.payload_size, icmp.address.fallback), (5, 100, false));
    assert_eq!(config.modules["dns_mx"].timeout, Some(Duration::from_secs(90)));
    assert_eq!(config.hosts(), 3);
    assert_eq!(config.targets[0].labels["site"], "a \"b\"");
    assert_eq!(config.targets[1].network, Some(Family::V6));
}

#[test]
fn the_effective_configuration_is_read_back_to_itself() {
    for config in [parse(REAL).unwrap(), Config::builtin()] {
        let yaml = config.to_yaml();
        let again = parse(&yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
        assert_eq!(again.to_yaml(), yaml);
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
    }
}

#[test]
fn without_modules_the_built_in_ones_are_there() {
    for text in ["", "targets: []", "# nothing\n"] {
        assert!(parse(text).unwrap().modules.contains_key("tcp_connect"), "{text}");
    }
    assert!(parse("modules: {}").unwrap().modules.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_a_mend() {
    for (text, line, message) in [
        ("modules:\n  a: {prober: http}\n", 2, "prober http is not supported yet"),
        ("modules:\n  a:\n    prober: http\n    http: {method: GET}\n", 3, "use icmp, tcp or dns"),
        ("modules:\n  a:\n    prober: ping\n", 3, "prober `ping` is unknown"),
        ("modules:\n  a:\n    timeout: 5s\n", 3, "prober"),
        ("modules:\n  a: {prober: icmp}\n  b: {prober: icmp, ttl: 3}\n", 3, "ttl"),
        ("modules:\n  a:\n    prober: tcp\n    timeout: 5\n", 4, "1m30s"),
        ("modules:\n  a:\n    prober: icmp\n    icmp: {ttl: 300}\n", 4, "from 1 to 255"),
        ("modules:\n  a:\n    prober: icmp\n    icmp: {payload_size: 70000}\n", 4, "65507"),
        ("modules:\n  a:\n    prober: icmp\n    icmp: {dont_fragment: true}\n", 4, "not supported"),
        ("modules:\n  a:\n    prober: tcp\n    tcp: {tls: true}\n", 4, "not supported yet"),
        ("modules:\n  a:\n    prober: dns\n", 3, "query_name is missing"),
        ("modules:\n  a:\n    prober: dns\n    dns: {query_name: x, query_type: AX}\n", 4, "AAAA"),
        (
            "modules:\n  a:\n    prober: dns\n    dns: {query_name: x, valid_rcodes: [OK]}\n",
            4,
            "NXDOMAIN",
        ),
        (
            "modules:\n  a:\n    prober: dns\n    dns:\n      query_name: x\n      \
             validate_answer_rrs: {fail_if_matches_regexp: ['(']}\n",
            6,
            "not a regular expression",
        ),
        ("targets:\n- hosts: [a, b]\n- hosts: [c, a]\n", 3, "already pinged by line 2"),
        ("targets:\n- hosts: ['a b']\n", 2, "is not a host"),
        ("targets:\n- hosts: ['a:80']\n", 2, "without port"),
        ("targets:\n- {hosts: [a], interval: 1ms}\n", 2, "shorter than 10ms"),
        ("targets:\n- {hosts: [a], protocol: udp}\n", 2, "use icmp"),
        ("targets:\n- {hosts: [a], network: ip5}\n", 2, "use ip, ip4 or ip6"),
        ("targets:\n- {hosts: [a], size: 1}\n", 2, "less than 24"),
        ("targets:\n- {hosts: [a], labels: {host: x}}\n", 2, "cannot be a label"),
        ("targets:\n- {hosts: [a], labels: {'a-b': x}}\n", 2, "cannot be a label"),
        ("targets:\n- {hosts: [a], colour: red}\n", 2, "colour"),
        ("mudules: {}\n", 1, "mudules"),
        ("modules:\n  a: {prober: icmp\n", 2, "unclosed"),
        ("just a text\n", 1, ""),
    ] {
        let error = parse(text).expect_err(text).to_string();
        let place = format!("f.yml:{line}: ");
        assert!(error.starts_with(&place), "wanted line {line} for {text:?}: {error}");
        assert!(error.contains(message), "wanted {message:?} for {text:?}: {error}");
    }
}

#[test]
fn a_list_that_is_too_long_is_refused() {
    use std::fmt::Write as _;
    let mut text = String::from("targets:\n- hosts:\n");
    for host in 0..100_001 {
        writeln!(text, "  - h{host}").unwrap();
    }
    let error = parse(&text).expect_err("too many").to_string();
    assert!(error.contains("100000"), "{error}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in "[a-z{}\\[\\]:,\\-# \n'\"&*!|>]{0,80}") {
        let _ = parse(&text);
    }
}
