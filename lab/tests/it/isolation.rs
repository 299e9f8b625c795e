use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use sojourner_lab::isolated;

#[test]
fn a_failure_inside_is_a_failure_outside() {
    if std::env::var_os("SOJOURNER_LAB").is_none() {
        let failed = catch_unwind(AssertUnwindSafe(|| isolated(|_| {})));
        // Skipped where there are no namespaces: then nothing ran that could fail.
        if let Err(panic) = failed {
            let message = panic.downcast_ref::<String>().expect("a message").clone();
            assert!(message.contains("the reason inside"), "{message}");
        }
    } else {
        isolated(|_| panic!("the reason inside"));
    }
}

#[test]
fn a_name_that_is_no_test_fails_loudly() {
    let stray = thread::Builder::new().name("no::such::test".to_owned());
    let stray = stray.spawn(|| isolated(|_| {})).unwrap();
    if let Err(panic) = stray.join() {
        let message = panic.downcast_ref::<String>().expect("a message").clone();
        assert!(message.contains("names no test"), "{message}");
    }
}

#[test]
fn a_thread_without_privilege_may_not_open_a_raw_socket() {
    isolated(|lab| {
        let host = lab.host("host");
        let raw = || {
            let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::RAW);
            socket2::Socket::new(domain, kind, Some(socket2::Protocol::ICMPV4)).map(drop)
        };
        assert!(host.run(raw).is_ok());
        assert_eq!(host.run_unprivileged(raw).unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn ping_sockets_are_closed_until_they_are_opened() {
    isolated(|lab| {
        let host = lab.host("host");
        let ping = || {
            let (domain, kind) = (socket2::Domain::IPV6, socket2::Type::DGRAM);
            socket2::Socket::new(domain, kind, Some(socket2::Protocol::ICMPV6)).map(drop)
        };
        assert_eq!(host.run_unprivileged(ping).unwrap_err().kind(), ErrorKind::PermissionDenied);
        host.open_ping_sockets();
        host.run_unprivileged(ping).unwrap();
    });
}

#[test]
fn a_command_runs_inside_its_host_with_and_without_privilege() {
    isolated(|lab| {
        let (one, two) = (lab.host("one"), lab.host("two"));
        let link = lab.link(&one, &two);
        assert_eq!(link.b.name(), "eth0");
        let status = |mut command: std::process::Command| {
            let text = command.arg("/proc/self/status").output().unwrap().stdout;
            let text = String::from_utf8(text).unwrap();
            text.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned()
        };
        assert!(status(two.command_unprivileged("cat")).ends_with("0000000000000000"));
        assert!(!status(two.command("cat")).ends_with("0000000000000000"));
        let interfaces = two.command("cat").arg("/proc/net/dev").output().unwrap().stdout;
        assert!(String::from_utf8(interfaces).unwrap().contains("eth0"));
    });
}

#[test]
fn a_host_has_its_own_resolver_file_and_the_others_keep_theirs() {
    isolated(|lab| {
        let (one, two) = (lab.host("one"), lab.host("two"));
        let read = || std::fs::read_to_string("/etc/resolv.conf").unwrap();
        let before = two.run(read);
        one.resolv_conf("nameserver 192.0.2.1\n");
        one.resolv_conf("nameserver 192.0.2.53\n");
        assert_eq!(one.run(read), "nameserver 192.0.2.53\n");
        assert_eq!(two.run(read), before);
        let cat = one.command("cat").arg("/etc/resolv.conf").output().unwrap().stdout;
        assert_eq!(cat, b"nameserver 192.0.2.53\n");
    });
}

#[test]
#[expect(clippy::zombie_processes, reason = "that nobody waits for the child is the test")]
fn a_panic_inside_leaves_no_process_and_so_no_namespace_behind() {
    const NAME: &str = "isolation::a_panic_inside_leaves_no_process_and_so_no_namespace_behind";
    if std::env::var_os("SOJOURNER_LAB").is_some() {
        isolated(|lab| {
            let chain = lab.chain(1);
            let _child = chain.server.command("sleep").arg("infinity").spawn().unwrap();
            panic!("with hosts, links and a command alive");
        });
    }
    // Skipped where there are no namespaces: then there is nothing to leave.
    let _ = catch_unwind(AssertUnwindSafe(|| isolated(|_| {})));
    // Everything of the lab's has this in its environment; a killed child may take a moment to go.
    let mark = format!("SOJOURNER_LAB={NAME}");
    let left = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let environments = processes.flat_map(|p| std::fs::read(p.path().join("environ")));
        environments.into_iter().any(|e| e.split(|&b| b == 0).any(|v| v == mark.as_bytes()))
    };
    while left() {
        thread::yield_now();
    }
}
