//! Sockets and clocks: what feeds the machines and does what they ask for.

#[cfg(all(feature = "suite", any(target_os = "linux", target_os = "android")))]
pub(crate) mod kernel_clock;
#[cfg(all(feature = "suite", any(target_os = "linux", target_os = "android")))]
pub(crate) mod socket;
pub mod sys;
