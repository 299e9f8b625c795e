//! What a long link is told: where to connect, and its patience. Checked when it is made.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::cadence::Backoff;

/// The configuration of one long link. A value is a valid one: setters refuse what cannot work.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_netcore::LinkConfig};
/// let config = LinkConfig::new("chat.example.com:8080")?
///     .with_heartbeat(Duration::from_secs(210), Duration::from_secs(8))?
///     .with_client_version(200);
/// assert_eq!(config.target(), "chat.example.com:8080");
/// assert!(LinkConfig::new("chat.example.com:0").is_err());
/// # Ok::<(), sojourner_netcore::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinkConfig {
    pub(crate) target: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) in_flight_max: usize,
    pub(crate) tasks_max: usize,
    pub(crate) client_version: u32,
    pub(crate) seed: Option<u64>,
}

/// A host name or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(Arc<str>),
    Addr(IpAddr),
}

impl LinkConfig {
    /// A link to `target`: `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Target`] when it is not that, or the port is not in 1..=65535.
    pub fn new(target: &str) -> Result<Self, ConfigError> {
        let (host, port) = parse_target(target)?;
        Ok(Self {
            target: target.into(),
            name: DEFAULT_NAME.into(),
            host,
            port,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            heartbeat_timeout: HEARTBEAT_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            backoff: Backoff::default(),
            in_flight_max: IN_FLIGHT_MAX,
            tasks_max: TASKS_MAX,
            client_version: 0,
            seed: None,
        })
    }

    /// Host and port as given to [`new`](Self::new).
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The link's name in events and logs. Default `default-longlink`, as Mars'.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// How long either direction may be quiet before a beat (default 270 s; a NAT that forgets
    /// sooner needs less, and each beat wakes the radio), and how long its answer may take (8 s).
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] unless the interval is 10 ms to 1 h and the timeout 10 ms to
    /// 60 s.
    pub fn with_heartbeat(
        mut self,
        interval: Duration,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        within("heartbeat interval", interval, SHORTEST, Duration::from_hours(1))?;
        within("heartbeat timeout", timeout, SHORTEST, Duration::from_mins(1))?;
        (self.heartbeat_interval, self.heartbeat_timeout) = (interval, timeout);
        Ok(self)
    }

    /// How long resolving and racing may take together. Default 30 s: three rounds of Mars' 10 s.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] unless it is 10 ms to 5 min.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Result<Self, ConfigError> {
        within("connect timeout", timeout, SHORTEST, Duration::from_mins(5))?;
        self.connect_timeout = timeout;
        Ok(self)
    }

    /// How a lost link tries again; see [`Backoff`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] unless each wait is 1 ms to 1 h and `first` is at most `max`.
    pub fn with_backoff(mut self, backoff: Backoff) -> Result<Self, ConfigError> {
        let (least, most) = (Duration::from_millis(1), Duration::from_hours(1));
        within("longest wait of all", backoff.max, least, most)?;
        within("first wait", backoff.first, least, backoff.max)?;
        within("wait with a task", backoff.with_task, least, most)?;
        self.backoff = backoff;
        Ok(self)
    }

    /// How many tasks may be on the wire (default 16,384; more wait their turn), and how many may
    /// be accepted in all (131,072; more are refused with
    /// [`TaskError::Full`](crate::TaskError::Full)).
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] unless `1 <= in_flight <= tasks <= 1,048,576`.
    pub fn with_limits(mut self, in_flight: usize, tasks: usize) -> Result<Self, ConfigError> {
        if in_flight == 0 || in_flight > tasks || tasks > 1_048_576 {
            return Err(ConfigError::Limits { in_flight, tasks });
        }
        (self.in_flight_max, self.tasks_max) = (in_flight, tasks);
        Ok(self)
    }

    /// The version in each packet's header; both ends must agree. Default 0, as Mars'.
    #[must_use]
    pub const fn with_client_version(mut self, version: u32) -> Self {
        self.client_version = version;
        self
    }

    /// Seeds the jitter, to repeat a run. Default: from the operating system.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// A link can't be configured so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a host and a port.
    #[error("{target:?} is not a link's target: {why}; write host:port or [IPv6]:port")]
    Target {
        /// What was given.
        target: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A duration that can't work.
    #[error("{what} of {given:?} is outside {min:?} to {max:?}")]
    OutOfRange {
        /// Which duration.
        what: &'static str,
        /// What was given.
        given: Duration,
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// Limits that can't work.
    #[error("{in_flight} tasks in flight of {tasks} in all: want 1 <= in flight <= all <= 1048576")]
    Limits {
        /// Tasks on the wire.
        in_flight: usize,
        /// Tasks accepted in all.
        tasks: usize,
    },
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Addr(addr) => addr.fmt(f),
        }
    }
}

fn parse_target(target: &str) -> Result<(Host, u16), ConfigError> {
    let refuse = |why| ConfigError::Target { target: target.chars().take(300).collect(), why };
    let (host, port) = target.rsplit_once(':').ok_or_else(|| refuse("there is no port"))?;
    let port = match port.parse::<u32>() {
        Ok(0) => return Err(refuse("port 0 is not a port")),
        Ok(port) => u16::try_from(port).map_err(|_too_large| refuse("ports end at 65535"))?,
        Err(_not_a_number) => return Err(refuse("the port is not a number")),
    };
    if let Some(bare) = host.strip_prefix('[') {
        let bare = bare.strip_suffix(']').ok_or_else(|| refuse("the bracket is not closed"))?;
        let addr = std::net::Ipv6Addr::from_str(bare)
            .map_err(|_syntax| refuse("what is in brackets is not an IPv6 address"))?;
        return Ok((Host::Addr(addr.into()), port));
    }
    if let Ok(addr) = std::net::Ipv4Addr::from_str(host) {
        return Ok((Host::Addr(addr.into()), port));
    }
    if host.contains(':') {
        return Err(refuse("an IPv6 address goes in brackets"));
    }
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.is_empty() || host.len() > 253 || !host.trim_end_matches('.').split('.').all(label_ok) {
        return Err(refuse("the host is not a host name"));
    }
    Ok((Host::Name(host.into()), port))
}

fn within(
    what: &'static str,
    given: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), ConfigError> {
    if given < min || given > max {
        return Err(ConfigError::OutOfRange { what, given, min, max });
    }
    Ok(())
}

/// Mars' name of the link that is there without asking.
const DEFAULT_NAME: &str = "default-longlink";
/// What Mars' learner settles on where NATs allow it (`Tencent/mars:mars/stn/config.h`: 210 s plus
/// one step of 60 s).
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(270);
/// `Tencent/mars:mars/stn/src/longlink.cc`.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Mars has no window; its throughput falls eightfold at 4,096 in flight, so a bound is tested.
const IN_FLIGHT_MAX: usize = 16_384;
/// A server's pause must not lose what a busy application says meanwhile: 100,000 sends and some.
const TASKS_MAX: usize = 131_072;
/// Shorter than a timer's tick is not meant.
const SHORTEST: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_into_host_and_port() {
        for (target, host, port) in [
            ("localhost:1", "localhost", 1),
            ("a-b.example.com.:65535", "a-b.example.com.", 65535),
            ("192.0.2.1:80", "192.0.2.1", 80),
            ("[2001:db8::1]:443", "2001:db8::1", 443),
        ] {
            let config = LinkConfig::new(target).unwrap();
            assert_eq!((config.host.to_string().as_str(), config.port), (host, port));
        }
    }

    #[test]
    fn bad_targets_are_refused_with_what_is_wrong_and_how_to_write_them() {
        for (target, why) in [
            ("localhost", "there is no port"),
            ("localhost:0", "port 0 is not a port"),
            ("localhost:70000", "ports end at 65535"),
            ("localhost:http", "the port is not a number"),
            ("localhost:-1", "the port is not a number"),
            (":80", "the host is not a host name"),
            ("a b:80", "the host is not a host name"),
            ("a..b:80", "the host is not a host name"),
            ("::1:80", "an IPv6 address goes in brackets"),
            ("[::1:80", "the bracket is not closed"),
            ("[zz]:80", "what is in brackets is not an IPv6 address"),
        ] {
            let error = LinkConfig::new(target).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("write host:port"), "{target}: {error}");
        }
    }

    #[test]
    fn durations_and_limits_that_cannot_work_are_refused() {
        let config = || LinkConfig::new("localhost:1").unwrap();
        assert!(config().with_heartbeat(Duration::ZERO, HEARTBEAT_TIMEOUT).is_err());
        assert!(config().with_connect_timeout(Duration::MAX).is_err());
        assert!(config().with_limits(0, 1).is_err());
        assert!(config().with_limits(2, 1).is_err());
        let backoff = Backoff {
            first: Duration::from_secs(9),
            max: Duration::from_secs(1),
            ..Backoff::default()
        };
        assert!(config().with_backoff(backoff).is_err());
    }
}
