//! The path to a target, hop by hop, all distances at once.
