//! The system calls that no safe crate wraps; one small file a platform.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub mod linux;
