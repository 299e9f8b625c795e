//! `sojourner`: what is wrong with a network, where, how sure, and why, in the terminal.
//!
//! ```text
//!   args ──► command/ ──► probe ──► events ──► output          one-shots: plain text or JSON
//!        │
//!        └─► dashboard ──► session ──► probe ──► stats::Hub    measures all the time
//!                │                                  │
//!                │ Message                          │ Snapshot
//!                ▼                                  ▼
//!              model ── update(model, message) -> command      verdict, pulse: what it means
//!                │
//!                ▼
//!              view/ ── draw(model, theme, frame)              widget/, theme, text, words
//!                │
//!              terminal ── a guard that restores itself
//! ```

#![forbid(unsafe_code)]

mod args;
mod command;
mod dashboard;
mod model;
mod output;
mod pulse;
mod session;
mod targets;
mod terminal;
mod text;
mod theme;
mod verdict;
mod view;
mod widget;
mod words;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;

/// How a command ended that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing is wrong.
    Good,
    /// A fault was found, or the probe failed.
    Fault,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(Answer::Good) => ExitCode::SUCCESS,
        Ok(Answer::Fault) => ExitCode::from(1),
        // Whoever read our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let message = format!("{error:#}");
            let lines: Vec<_> = message.lines().map(text::sanitise).collect();
            drop(writeln!(io::stderr(), "sojourner: {}", lines.join("\n")));
            ExitCode::from(2)
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("cannot start"))?;
    let answer = runtime.block_on(command::run(cli));
    // A resolver of the system may be stuck in a call that nothing can cancel.
    runtime.shutdown_background();
    answer
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// One draws, one measures: more would only wake more often.
const WORKERS: usize = 2;
