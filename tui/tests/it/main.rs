//! The binary from outside: what it prints, how it exits, what it leaves behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

mod commands;
mod journal;
mod screen;
mod usage;

use std::process::{Command, Output};

/// The binary under test, without what the environment may say about colour.
fn sojourner() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sojourner"));
    command.env_remove("NO_COLOR").env_remove("COLORTERM").env_remove("SOJOURNER_TEST_PANIC");
    command
}

fn run(args: &[&str]) -> Output {
    sojourner().args(args).output().expect("the binary under test runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("plain text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("plain text")
}
