//! The measurements against a real kernel.

mod diagnose;
mod dns;
mod ping;
mod tcp;
mod trace;
mod weak;
