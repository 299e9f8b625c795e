//! Sockets and clocks: what feeds the machines and does what they ask for.

pub mod sys;
