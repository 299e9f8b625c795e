//! Why a measurement could not run.

use std::io;
use std::net::IpAddr;

/// Why a measurement could not run: the caller's mistake, or this host's refusal.
///
/// A measurement that ran and found a broken network is no error: it has a report and events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The host forbids it; `mend` says what would grant it.
    #[error("{op} is not permitted; {mend}")]
    Denied {
        /// What was tried, such as `opening an ICMP socket`.
        op: &'static str,
        /// What would grant it, one imperative sentence without a full stop.
        mend: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A system call failed that should not have.
    #[error("{op} failed")]
    Io {
        /// What was tried.
        op: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A system call failed for one peer or source address.
    #[error("{op} {addr} failed")]
    Peer {
        /// What was tried, with its preposition, such as `binding to`.
        op: &'static str,
        /// For which address.
        addr: IpAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A configured value is out of range or contradicts another.
    #[error("{field} of {value} is not possible: {mend}")]
    Invalid {
        /// Which setting.
        field: &'static str,
        /// The value asked for.
        value: String,
        /// What is possible instead.
        mend: String,
    },
    /// This platform or build cannot do it.
    #[error("{what} is not available here; {mend}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What to use instead.
        mend: &'static str,
    },
}

impl ProbeError {
    /// Sorts an operating system's error: a refusal is [`Denied`](Self::Denied) with `mend`,
    /// anything else is [`Io`](Self::Io).
    pub fn from_io(op: &'static str, mend: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::Denied { op, mend, source };
        }
        Self::Io { op, source }
    }

    /// Whether the host refused for want of privilege.
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_how_to_mend_it() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ProbeError::from_io("opening an ICMP socket", "run as root", refused);
        assert_eq!(error.to_string(), "opening an ICMP socket is not permitted; run as root");
        assert!(error.is_denied());
        let other = io::Error::from(io::ErrorKind::AddrInUse);
        assert!(!ProbeError::from_io("binding", "run as root", other).is_denied());
    }
}
