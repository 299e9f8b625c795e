//! Targets as users write them.
