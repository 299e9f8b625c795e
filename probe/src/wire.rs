//! Packets as bytes: build and parse, no I/O, and no input makes them panic.

pub mod icmp;
