//! The laws of the statistics and the journal, from the outside.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "test values are small"
)]

mod distribution;
mod fold;
mod hub;
mod journal;
mod kill;
mod window;
