//! The measurements against a real kernel.

mod ping;
