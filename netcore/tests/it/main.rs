//! The long link over real sockets on the loopback interface.

#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod long_link;
mod server;
