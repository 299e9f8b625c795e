use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sojourner_netcore::{Backoff, LinkConfig, LongLink, Task, TaskError};
use sojourner_stats::Kind;
use sojourner_stats::event::{AddressSource, DisconnectReason, FailStep, LinkStatus};
use tokio::task::JoinSet;

use crate::server::{Events, Manner, Server};

#[tokio::test]
async fn a_thousand_tasks_at_once_get_each_its_own_reply_and_one_profile() {
    let server = Server::start(Manner::Echo).await;
    let events = Events::default();
    let link = LongLink::connect(config(&server), events.clone());
    let mut tasks = JoinSet::new();
    for number in 0..1_000_u32 {
        let link = link.clone();
        tasks.spawn(async move {
            let body = format!("task {number} {}", "x".repeat(number as usize));
            let reply = link.send(Task::new(12, body.clone())).await.unwrap();
            assert_eq!(reply.body, body.as_bytes());
        });
    }
    let ended = tasks.join_all().await.len();
    link.close().await;

    assert_eq!((ended, server.accepted.load(Ordering::SeqCst)), (1_000, 1));
    let profiles = events.pick(|kind| match kind {
        Kind::TaskProfile(profile) => Some(profile.clone()),
        _ => None,
    });
    let ids: BTreeSet<u32> = profiles.iter().map(|profile| profile.task).collect();
    assert_eq!((profiles.len(), ids.len()), (1_000, 1_000));
    for profile in profiles {
        assert_eq!((profile.failure, profile.attempts), (None, 1));
        assert_eq!(profile.sent_bytes, profile.received_bytes);
        assert!(profile.queued_us.unwrap() <= profile.total_us);
    }
    let connections = events.pick(|kind| match kind {
        Kind::ConnectProfile(profile) => Some(profile.clone()),
        _ => None,
    });
    let [profile] = &connections[..] else { panic!("one connection: {connections:?}") };
    assert_eq!((profile.addr, profile.ended), (Some(server.addr), Some(DisconnectReason::Closed)));
    assert!(profile.sent_bytes > 0 && profile.received_bytes > 0);
    assert_eq!(
        states(&events),
        [LinkStatus::Connecting, LinkStatus::Connected, LinkStatus::Disconnected]
    );
}

#[tokio::test]
async fn after_the_server_is_killed_the_link_comes_back_and_later_tasks_succeed() {
    let server = Server::start_alone(Manner::Echo).await;
    let addr = server.addr;
    let events = Events::default();
    let link = LongLink::connect(config(&server), events.clone());
    link.send(Task::new(12, "before")).await.unwrap();
    server.kill().await;
    let mut status = link.status();
    status.wait_for(|status| *status != LinkStatus::Connected).await.unwrap();
    // Waits for the next connection rather than fail.
    let later = tokio::spawn({
        let link = link.clone();
        async move { link.send(Task::new(12, "after")).await }
    });
    status.wait_for(|status| *status == LinkStatus::ConnectFailed).await.unwrap();
    let _server = Server::start_on(addr, Manner::Echo);
    assert_eq!(later.await.unwrap().unwrap().body, "after");
    link.close().await;
    let dials = events.pick(|kind| match kind {
        Kind::LinkState(state) => (state.status == LinkStatus::Connecting).then_some(()),
        _ => None,
    });
    let profiles = events.pick(|kind| matches!(kind, Kind::ConnectProfile(_)).then_some(()));
    assert_eq!(dials.len(), profiles.len(), "each connection is recorded once");
    assert!(profiles.len() >= 3, "a good one, a failed one, a good one");
}

#[tokio::test]
async fn heartbeats_are_sent_answered_and_recorded() {
    let server = Server::start(Manner::Echo).await;
    let events = Events::default();
    let config =
        config(&server).with_heartbeat(Duration::from_millis(10), Duration::from_secs(30)).unwrap();
    let link = LongLink::connect(config, events.clone());
    let answered = |events: &Events| {
        events.pick(|kind| match kind {
            Kind::Heartbeat(heartbeat) => Some(heartbeat.answered),
            _ => None,
        })
    };
    events.until(|events| answered(events).len() >= 5).await;
    assert!(answered(&events).iter().all(|answered| *answered));
    assert!(server.noops.load(Ordering::SeqCst) >= 5);
    assert_eq!(*link.status().borrow(), LinkStatus::Connected);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_found_by_the_heartbeat() {
    let server = Server::start(Manner::Silent).await;
    let events = Events::default();
    let config =
        config(&server).with_heartbeat(Duration::from_mins(1), Duration::from_millis(50)).unwrap();
    let link = LongLink::connect(config, events.clone());
    let error = link.send(Task::new(12, "anybody?").with_retries(1)).await.unwrap_err();
    let TaskError::Lost { addr, reason, attempts, heard, .. } = error else {
        panic!("another end: {error}");
    };
    assert_eq!((addr, attempts, heard), (server.addr, 2, false));
    assert_eq!(reason, DisconnectReason::HeartbeatTimeout);
    assert_eq!((error.step(), error.mars()), (FailStep::FirstPacket, (4, -10_091)));
    let ends = events.pick(|kind| match kind {
        Kind::ConnectProfile(profile) => profile.ended,
        _ => None,
    });
    assert!(ends.len() >= 2);
    assert!(ends.iter().all(|end| *end == DisconnectReason::HeartbeatTimeout), "{ends:?}");
}

#[tokio::test]
async fn pushes_reach_every_reader_in_order_and_end_with_the_link() {
    let server = Server::start(Manner::PushFirst).await;
    let link = LongLink::connect(config(&server), Events::default());
    let mut readers = [link.pushes(), link.pushes()];
    for body in ["one", "two"] {
        link.send(Task::new(12, body)).await.unwrap();
    }
    link.close().await;
    for pushes in &mut readers {
        for body in ["one", "two"] {
            let push = pushes.next().await.unwrap();
            assert_eq!((push.cmd, &push.body[..]), (99, body.as_bytes()));
        }
        assert_eq!((pushes.next().await, pushes.missed()), (None, 0));
    }
    assert_eq!(link.pushes().next().await, None);
    assert_eq!(link.send(Task::new(12, "late")).await, Err(TaskError::Closed));
}

#[tokio::test]
async fn garbage_closes_the_connection_and_says_so() {
    let server = Server::start(Manner::Garbage).await;
    let link = LongLink::connect(config(&server), Events::default());
    let error = link.send(Task::new(12, "hello").with_retries(0)).await.unwrap_err();
    assert!(matches!(error, TaskError::Lost { reason: DisconnectReason::Framing, .. }), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(error.mars(), (6, -10_504));
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_as_often_as_the_task_allows() {
    // The noop, then the task: each connection breaks with the task on the wire.
    let server = Server::start(Manner::Hang(2)).await;
    let link = LongLink::connect(config(&server), Events::default());
    let error = link.send(Task::new(12, "hello").with_retries(2)).await.unwrap_err();
    let TaskError::Lost { attempts, .. } = error else { panic!("another end: {error}") };
    assert_eq!((attempts, error.is_retryable()), (3, true));
    assert!(server.accepted.load(Ordering::SeqCst) >= 3);
}

#[tokio::test]
async fn a_dropped_call_is_a_cancelled_task() {
    let server = Server::start(Manner::Silent).await;
    let events = Events::default();
    let link = LongLink::connect(config(&server), events.clone());
    let mut status = link.status();
    status.wait_for(|status| *status == LinkStatus::Connected).await.unwrap();
    for _ in 0..10 {
        let call = link.send(Task::new(12, "never mind"));
        // Polled, so that it is accepted, and dropped.
        tokio::select! {
            biased;
            reply = call => panic!("nobody answers here: {reply:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    link.close().await;
    let steps = events.pick(|kind| match kind {
        Kind::TaskProfile(profile) => Some(profile.failure.unwrap().step),
        _ => None,
    });
    assert!(!steps.is_empty());
    assert!(steps.iter().all(|step| *step == FailStep::Cancelled), "{steps:?}");
}

#[tokio::test]
async fn without_a_server_a_task_ends_in_time_and_says_there_was_no_connection() {
    let server = Server::start_alone(Manner::Echo).await;
    let config = config(&server);
    server.kill().await;
    let link = LongLink::connect(config, Events::default());
    let task = Task::new(12, "hello").with_timeout(Duration::from_millis(100));
    let error = link.send(task).await.unwrap_err();
    assert_eq!((error.step(), error.mars()), (FailStep::Connect, (9, -1)));
}

#[tokio::test]
async fn the_last_handle_closes_the_link() {
    let server = Server::start(Manner::Echo).await;
    let link = LongLink::connect(config(&server), Events::default());
    let (other, mut status) = (link.clone(), link.status());
    other.send(Task::new(12, "hello")).await.unwrap();
    drop((link, other));
    while status.changed().await.is_ok() {}
    assert_eq!(*status.borrow(), LinkStatus::Disconnected);
}

#[tokio::test]
async fn the_largest_body_goes_there_and_back_whole() {
    let server = Server::start(Manner::Echo).await;
    let link = LongLink::connect(config(&server), Events::default());
    let body: Vec<u8> = (0..1_048_556_u32).map(|at| (at % 251) as u8).collect();
    let reply = link.send(Task::new(12, body.clone())).await.unwrap();
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
}

#[tokio::test]
async fn a_host_name_is_resolved_and_its_addresses_race() {
    let server = Server::start(Manner::Echo).await;
    let events = Events::default();
    let target = format!("localhost:{}", server.addr.port());
    let link = LongLink::connect(LinkConfig::new(&target).unwrap(), events.clone());
    link.send(Task::new(12, "hello")).await.unwrap();
    link.close().await;
    let profiles = events.pick(|kind| match kind {
        Kind::ConnectProfile(profile) => Some(profile.clone()),
        _ => None,
    });
    let profile = &profiles[0];
    assert_eq!((&*profile.host, profile.source), (&*target, AddressSource::Dns));
    let winner = profile.winner.unwrap() as usize;
    assert_eq!((profile.addr, profile.candidates[winner]), (Some(server.addr), server.addr));
    let attempts = events.pick(|kind| match kind {
        Kind::TcpConnect(connect) => Some(connect.won),
        _ => None,
    });
    assert_eq!(attempts.iter().filter(|won| **won).count(), 1);
}

/// Quick to come back, so that tests are short.
fn config(server: &Server) -> LinkConfig {
    let ms = Duration::from_millis;
    LinkConfig::new(&server.addr.to_string())
        .and_then(|config| {
            config.with_backoff(Backoff { first: ms(4), max: ms(40), with_task: ms(20) })
        })
        .unwrap()
        .with_seed(1)
}

fn states(events: &Events) -> Vec<LinkStatus> {
    events.pick(|kind| match kind {
        Kind::LinkState(state) => Some(state.status),
        _ => None,
    })
}
