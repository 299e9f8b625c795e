//! Why a probe failed: OONI's failure strings, where they have one.

use std::io;

/// Why a probe failed: a closed vocabulary, so that a label made of it is bounded. The strings are
/// OONI's (`ooni/spec:data-formats/df-007-errors.md`); the last three are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The port is closed.
    ConnectionRefused,
    /// The peer reset the connection.
    ConnectionReset,
    /// The connection was aborted.
    ConnectionAborted,
    /// The connection ended before the answer.
    EofError,
    /// Nothing came in time.
    GenericTimeoutError,
    /// The host cannot be reached.
    HostUnreachable,
    /// The network cannot be reached.
    NetworkUnreachable,
    /// This host's network is down.
    NetworkDown,
    /// The target's name does not exist.
    DnsNxdomainError,
    /// The target's name has no address of a wanted family.
    DnsNoAnswer,
    /// The system's resolver cannot answer now.
    DnsTemporaryFailure,
    /// The system's resolver cannot answer.
    DnsNonRecoverableFailure,
    /// The DNS server answered with a response code that is not valid here.
    DnsServerMisbehaving,
    /// The DNS server answered `REFUSED`.
    DnsRefusedError,
    /// The DNS server answered `SERVFAIL`.
    DnsServfailError,
    /// What came is no answer to the question.
    DnsReplyWithWrongQueryId,
    /// The answer does not pass the module's rules.
    ValidationFailed,
    /// The target cannot be read.
    InvalidTarget,
    /// This host does not permit the probe.
    PermissionDenied,
    /// Anything else.
    UnknownFailure,
}

impl Reason {
    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionReset => "connection_reset",
            Self::ConnectionAborted => "connection_aborted",
            Self::EofError => "eof_error",
            Self::GenericTimeoutError => "generic_timeout_error",
            Self::HostUnreachable => "host_unreachable",
            Self::NetworkUnreachable => "network_unreachable",
            Self::NetworkDown => "network_down",
            Self::DnsNxdomainError => "dns_nxdomain_error",
            Self::DnsNoAnswer => "dns_no_answer",
            Self::DnsTemporaryFailure => "dns_temporary_failure",
            Self::DnsNonRecoverableFailure => "dns_non_recoverable_failure",
            Self::DnsServerMisbehaving => "dns_server_misbehaving",
            Self::DnsRefusedError => "dns_refused_error",
            Self::DnsServfailError => "dns_servfail_error",
            Self::DnsReplyWithWrongQueryId => "dns_reply_with_wrong_query_id",
            Self::ValidationFailed => "validation_failed",
            Self::InvalidTarget => "invalid_target",
            Self::PermissionDenied => "permission_denied",
            Self::UnknownFailure => "unknown_failure",
        }
    }
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::ConnectionReset => Self::ConnectionReset,
            ErrorKind::ConnectionAborted => Self::ConnectionAborted,
            ErrorKind::UnexpectedEof => Self::EofError,
            ErrorKind::TimedOut => Self::GenericTimeoutError,
            ErrorKind::HostUnreachable => Self::HostUnreachable,
            ErrorKind::NetworkUnreachable => Self::NetworkUnreachable,
            ErrorKind::NetworkDown => Self::NetworkDown,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            _ => Self::UnknownFailure,
        }
    }
}
