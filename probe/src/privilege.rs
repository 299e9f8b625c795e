//! What this process may do on this host, and how to get more.
