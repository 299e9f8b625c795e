//! Causes that only a weak link has, and the health that mild jitter does not disturb.

use std::time::Duration;

use sojourner_lab::{Chain, Impairment, Lab, WeakLink, hook, isolated};
use sojourner_probe::diagnose::CheckConfig;
use sojourner_stats::event::{Cause, Status};

use crate::diagnose::{check, expect, quick, serve_greeting};

#[test]
fn a_link_that_loses_packets_is_named_by_its_loss() {
    isolated(|lab| {
        let (chain, weak) = chain_before_a_weak_server(lab);
        weak.set_both(Impairment::default().loss(0.15));
        let mut config = quick(&chain.server_v4().to_string());
        config.pings = 60;
        let report = check(&chain, &config);
        expect(&report, Cause::PacketLoss, Status::Degraded);
        assert!(weak.truth().a_to_b.lost() + weak.truth().b_to_a.lost() > 0);
    });
}

#[test]
fn a_link_that_takes_long_is_named_by_its_latency() {
    isolated(|lab| {
        let (chain, weak) = chain_before_a_weak_server(lab);
        weak.set_both(Impairment::default().delay(Duration::from_millis(200)));
        let mut config = quick(&chain.server_v4().to_string());
        config.ping_timeout = Duration::from_secs(5);
        expect(&check(&chain, &config), Cause::HighLatency, Status::Degraded);
    });
}

#[test]
fn a_port_whose_packets_are_dropped_is_told_from_one_that_refuses() {
    isolated(|lab| {
        let (chain, weak) = chain_before_a_weak_server(lab);
        serve_greeting(&chain.server, 80);
        expect(&check(&chain, &port_80(&chain)), Cause::Healthy, Status::Healthy);
        weak.hook(hook::drop_if(sojourner_lab::Frame::is_tcp));
        expect(&check(&chain, &port_80(&chain)), Cause::TcpFiltered, Status::Down);
    });
}

#[test]
fn a_link_that_drops_icmp_alone_is_no_fault_of_the_service() {
    isolated(|lab| {
        let (chain, weak) = chain_before_a_weak_server(lab);
        serve_greeting(&chain.server, 80);
        weak.hook(hook::drop_if(|frame| frame.summary().icmp.is_some()));
        let report = check(&chain, &port_80(&chain));
        expect(&report, Cause::Healthy, Status::Healthy);
        let causes: Vec<Cause> = report.findings.iter().map(|finding| finding.cause).collect();
        assert_eq!(causes, [Cause::IcmpFiltered]);
    });
}

// Fifty checks over twenty seeds, in two halves that run side by side.

#[test]
fn twenty_five_checks_over_ten_even_seeds_of_mild_jitter_are_all_healthy() {
    isolated(|lab| healthy_under_mild_jitter(lab, 0));
}

#[test]
fn twenty_five_checks_over_ten_odd_seeds_of_mild_jitter_are_all_healthy() {
    isolated(|lab| healthy_under_mild_jitter(lab, 1));
}

fn healthy_under_mild_jitter(lab: &Lab, first_seed: u64) {
    let (chain, weak) = chain_before_a_weak_server(lab);
    serve_greeting(&chain.server, 80);
    let ms = Duration::from_millis;
    weak.set_both(Impairment::default().delay(ms(5)).jitter(ms(3)));
    for run in 0..25 {
        let seed = first_seed + 2 * (run % 10);
        weak.reseed(seed);
        let report = check(&chain, &port_80(&chain));
        expect(&report, Cause::Healthy, Status::Healthy);
        assert_eq!(report.findings, [], "run {run}, seed {seed}");
    }
}

/// Two routers and a server behind a weak link that has carried a packet each way.
fn chain_before_a_weak_server(lab: &Lab) -> (Chain, WeakLink) {
    let (chain, weak) = lab.weak_chain(2, 2);
    crate::diagnose::warm_up(&chain);
    (chain, weak)
}

fn port_80(chain: &Chain) -> CheckConfig {
    let mut config = quick(&format!("{}:80", chain.server_v4()));
    config.ping_interval = Duration::from_millis(10);
    config
}
