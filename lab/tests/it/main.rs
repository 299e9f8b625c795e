//! The lab, tested on the real kernel.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod weak;
