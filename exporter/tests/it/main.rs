//! The exporter from outside: its binary, over sockets of this host.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test fails the test"
)]

mod exporter;
mod pages;
mod probes;
mod prometheus;
