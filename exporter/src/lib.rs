//! Sojourner's Prometheus exporter: continuous pings and probes on request, under the names that
//! dashboards already know.
//!
//! ```text
//!   main ── flags, signals, exit codes
//!    │
//!   server ──► web ──► app ──┬──► prober ──► probe::{ping, connect}      /probe
//!   (sockets)  (paths)       ├──► continuous ──► probe::ping ──► Hub     kept going
//!                            ├──► collect ◄── Snapshot                   /metrics
//!                            └──► config (YAML)                          /config, /-/reload
//!   names ──► page ──► text    every metric in one table; what a scrape reads
//! ```
//!
//! A scrape reads the latest snapshot: measuring never waits for it. A probe of a broken network
//! is a page with `probe_success 0` and a reason; only a bad request is an HTTP error.
//!
//! # Examples
//!
//! ```
//! # use {std::time::Duration, sojourner_exporter::{app::*, config::Config, page::Format}};
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let app = App::start(Settings::default(), Config::builtin()).unwrap();
//! let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! let target = server.local_addr().unwrap().to_string();
//! let (outcome, _) = app.probe("tcp_connect", &target, None).await.unwrap();
//! assert!(outcome.page.encode(Format::Text).contains("probe_success 1\n"));
//! # });
//! ```

#![forbid(unsafe_code)]

pub mod app;
pub mod collect;
pub mod config;
pub mod continuous;
pub mod duration;
pub mod names;
pub mod page;
pub mod parse;
pub mod prober;
pub mod query;
pub mod server;
pub mod web;
