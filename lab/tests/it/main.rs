//! The lab, tested on the real kernel.

mod chain;
mod isolation;
