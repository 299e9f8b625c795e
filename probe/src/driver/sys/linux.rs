//! Linux: the error queue, receive stamps and batched calls.

pub mod tcp_info;
