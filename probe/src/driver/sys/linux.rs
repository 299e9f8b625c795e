//! Linux: the error queue, receive stamps and batched calls.
