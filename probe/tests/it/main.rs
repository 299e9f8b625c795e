//! The measurements against a real kernel.

mod diagnose;
mod ping;
mod tcp;
