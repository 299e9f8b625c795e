//! Racing connect (RFC 8305): one attempt per address, staggered; the first to connect wins.
