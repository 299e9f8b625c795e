//! ICMP echo to many targets at once.
