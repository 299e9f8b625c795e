//! The laws of the statistics and the journal, from the outside.

mod distribution;
mod fold;
mod hub;
mod journal;
mod kill;
mod window;
