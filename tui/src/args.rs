//! What users write on the command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sojourner_probe::dns::{DnsServer, RecordType};
use sojourner_probe::target::{Family, Target};

/// Network diagnosis and monitoring in the terminal.
///
/// Without a command it opens the dashboard: live round trips, the path hop by hop, DNS answers
/// side by side, connection attempts, and a verdict that says what is wrong, where, and how sure.
#[derive(Debug, Parser)]
#[command(name = "sojourner", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// What to look at; or `@FILE` with one target a line
    #[arg(value_name = "TARGET", value_parser = parse_target, help = TARGET_HELP)]
    pub(crate) targets: Vec<TargetArg>,

    #[command(flatten)]
    pub(crate) common: Common,

    /// Panics on purpose, to test that the terminal is restored
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, env = "SOJOURNER_TEST_PANIC", global = true)]
    pub(crate) test_panic: bool,
}

/// One thing to do and be done with.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One full diagnosis, one verdict
    #[command(after_help = "Examples:\n  sojourner check example.net:443\n  \
        sojourner check https://example.net --json | jq .verdict.cause\n\n\
        Exit codes: 0 healthy, 1 a fault was found, 2 usage or cannot run.")]
    Check(CheckArgs),
    /// Echoes and their round trips, until Ctrl-C or --count
    #[command(after_help = "Examples:\n  sojourner ping 192.0.2.7 --count 5\n  \
        sojourner ping @hosts.txt --interval 200ms\n  sojourner ping 192.0.2.7 --json   \
        (4 echoes unless --count says otherwise)\n\n\
        Exit codes: 0 every target replied, 1 one did not, 2 usage or cannot run.")]
    Ping(PingArgs),
    /// The path, hop by hop
    #[command(after_help = "Examples:\n  sojourner trace example.net\n  \
        sojourner trace example.net --protocol udp --count 10\n\n\
        Exit codes: 0 the target answered, 1 it did not, 2 usage or cannot run.")]
    Trace(TraceArgs),
    /// What several name servers say, side by side
    #[command(after_help = "Examples:\n  sojourner dns example.net\n  \
        sojourner dns example.net --server 192.0.2.53 --doh https://dns.example/dns-query\n\n\
        Exit codes: 0 answers that agree, 1 none or suspicious ones, 2 usage or cannot run.")]
    Dns(DnsArgs),
    /// Connection attempts, and whether anybody speaks
    #[command(after_help = "Examples:\n  sojourner tcp example.net:443\n  \
        sojourner tcp '[2001:db8::7]:22' --json\n\n\
        Exit codes: 0 connected and answered, 1 not, 2 usage or cannot run.")]
    Tcp(TcpArgs),
    /// Measures without a screen, into a journal or as JSON lines
    #[command(after_help = "Examples:\n  sojourner watch example.net --journal run.sjl\n  \
        sojourner watch @hosts.txt --json | jq -c 'select(.kind == \"ping_lost\")'\n\n\
        A line is printed once the journal holds its event: what was printed survives a kill.\n\
        Exit codes: 0 ended by Ctrl-C or --count, 2 usage or cannot run.")]
    Watch(WatchArgs),
    /// What a journal holds: the same statistics as when it was live
    #[command(after_help = "Examples:\n  sojourner replay run.sjl\n  \
        sojourner replay run.sjl --json | jq .targets\n\n\
        Exit codes: 0 read, 1 damaged and read as far as possible, 2 no journal.")]
    Replay(ReplayArgs),
    /// What this process may do here, and how to get more
    #[command(after_help = "Exit codes: 0 enough to measure, 1 something is missing.")]
    Doctor,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// What to diagnose
    #[arg(value_name = "TARGET", value_parser = parse_target, required_unless_present = "targets_file")]
    pub(crate) targets: Vec<TargetArg>,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// Whom to ask
    #[arg(value_name = "TARGET", value_parser = parse_target, required_unless_present = "targets_file")]
    pub(crate) targets: Vec<TargetArg>,
    /// ICMP payload, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 56)]
    pub(crate) size: u16,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// Where the path leads
    #[arg(value_name = "TARGET", value_parser = parse_one)]
    pub(crate) target: Target,
    /// Packets to explore with
    #[arg(long, value_enum, default_value_t = TraceWith::Auto)]
    pub(crate) protocol: TraceWith,
    /// The same as `--protocol udp`
    #[arg(long, conflicts_with = "protocol")]
    pub(crate) udp: bool,
    /// The farthest hop to look for
    #[arg(long, value_name = "HOPS", default_value_t = 30,
        value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) max_ttl: u8,
}

/// Packets to explore a path with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceWith {
    /// ICMP where this process may, UDP elsewhere
    Auto,
    /// ICMP echoes
    Icmp,
    /// UDP to closed ports; needs no privilege
    Udp,
}

#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// The name to ask for
    #[arg(value_name = "NAME", value_parser = parse_one,
        help = "The name to ask for, or dns://server/name")]
    pub(crate) name: Target,
    /// Record types to ask for
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', default_value = "A,AAAA",
        value_parser = parse_record_type)]
    pub(crate) record_types: Vec<RecordType>,
}

#[derive(Debug, Args)]
pub(crate) struct TcpArgs {
    /// Whom to connect to, with its port
    #[arg(value_name = "TARGET", value_parser = parse_one)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// What to measure
    #[arg(value_name = "TARGET", value_parser = parse_target, required_unless_present = "targets_file")]
    pub(crate) targets: Vec<TargetArg>,
    /// Where to keep every event; readable by `sojourner replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A journal written by `sojourner watch --journal`
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Common {
    /// IPv4 alone
    #[arg(short = '4', global = true, conflicts_with = "ipv6", help_heading = "Common options")]
    pub(crate) ipv4: bool,
    /// IPv6 alone
    #[arg(short = '6', global = true, help_heading = "Common options")]
    pub(crate) ipv6: bool,
    /// Send through this interface
    #[arg(long, value_name = "NAME", global = true, help_heading = "Common options")]
    pub(crate) interface: Option<String>,
    /// Send from this address
    #[arg(long, value_name = "ADDR", global = true, help_heading = "Common options")]
    pub(crate) source: Option<IpAddr>,
    /// Ask this name server too: an address, or address:port (may be repeated)
    #[arg(long, value_name = "ADDR", global = true, help_heading = "Common options")]
    pub(crate) server: Vec<DnsServer>,
    /// Compare with this trusted server, by DNS over HTTPS (may be repeated)
    #[arg(long, value_name = "URL", value_parser = parse_doh, global = true,
        help_heading = "Common options")]
    pub(crate) doh: Vec<DnsServer>,
    /// Trust the certificates in this PEM file as well
    #[arg(long, value_name = "FILE", global = true, help_heading = "Common options")]
    pub(crate) ca: Option<PathBuf>,
    /// How long an answer may take, such as 2s or 500ms
    #[arg(long, value_name = "TIME", value_parser = parse_duration, global = true,
        help_heading = "Common options")]
    pub(crate) timeout: Option<Duration>,
    /// How many echoes, or rounds
    #[arg(long, short = 'c', value_name = "N", global = true,
        value_parser = clap::value_parser!(u32).range(1..), help_heading = "Common options")]
    pub(crate) count: Option<u32>,
    /// From one measurement to the next, such as 1s or 200ms
    #[arg(long, short = 'i', value_name = "TIME", value_parser = parse_duration, global = true,
        help_heading = "Common options")]
    pub(crate) interval: Option<Duration>,
    /// Whether to use more than an ordinary user may
    #[arg(long, value_enum, default_value_t = Privilege::Auto, global = true,
        help_heading = "Common options")]
    pub(crate) privilege: Privilege,
    /// Machine-readable output on stdout
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) json: bool,
    /// Read more targets from this file, one a line, # for comments
    #[arg(long, value_name = "FILE", global = true, help_heading = "Common options")]
    pub(crate) targets_file: Option<PathBuf>,
}

impl Common {
    pub(crate) const fn family(&self) -> Family {
        match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        }
    }
}

/// Whether to use more than an ordinary user may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Privilege {
    /// The best method that is allowed
    #[default]
    Auto,
    /// Only what needs no privilege
    Never,
    /// Refuse to run without ICMP sockets
    Require,
}

/// A target, or a file of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetArg {
    One(Target),
    File(PathBuf),
}

fn parse_target(text: &str) -> Result<TargetArg, String> {
    match text.strip_prefix('@') {
        Some("") => Err("no file after the @; write @hosts.txt".into()),
        Some(path) => Ok(TargetArg::File(path.into())),
        None => parse_one(text).map(TargetArg::One),
    }
}

fn parse_one(text: &str) -> Result<Target, String> {
    text.parse::<Target>().map_err(|error| crate::text::sanitise(&error.to_string()).into_owned())
}

fn parse_doh(text: &str) -> Result<DnsServer, String> {
    match text.parse::<DnsServer>() {
        Ok(server @ DnsServer::Https { .. }) => Ok(server),
        Ok(_) => Err("is no URL; write https://dns.example/dns-query".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_record_type(text: &str) -> Result<RecordType, String> {
    text.to_ascii_uppercase()
        .parse()
        .map_err(|_error| "is no record type; use A, AAAA, MX, TXT, NS, CNAME or the like".into())
}

/// Reads `2s`, `500ms`, `1.5` (seconds) or `1m`, from 1 ms to a day.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("the unit {unit:?} is unknown; use us, ms, s, m or h")),
    };
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_error| "is no time; write a number and its unit, such as 500ms".to_owned())?;
    let seconds = number * scale;
    if !(0.001..=86_400.0).contains(&seconds) {
        return Err("is out of range; use 1ms to 24h".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

const TARGET_HELP: &str = "What to look at: host, host:port, [v6]:port, https://host/path, \
    tcp://host:port, icmp://host, dns://server/name; or @FILE with one target a line";

const AFTER_HELP: &str = "\
Examples:
  sojourner 192.0.2.7                      live dashboard of one host
  sojourner example.net:443 192.0.2.1      name, path, DNS and TCP; two targets
  sojourner @hosts.txt                     one target a line
  sojourner check example.net --json       one diagnosis, one verdict, as JSON
  sojourner watch @hosts.txt --journal run.sjl
  sojourner replay run.sjl                 the same statistics, later
  sojourner doctor                         what this process may do here
  sojourner -- check                       a target that is named like a command

Exit codes: 0 healthy or done, 1 a fault was found or the probe failed, 2 usage or cannot run.
Colour: only on a terminal; NO_COLOR turns it off, COLORTERM=truecolor turns 24-bit colour on.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_words_are_targets() {
        let cli = Cli::parse_from(["sojourner", "192.0.2.7", "@hosts.txt", "--json"]);
        assert!(cli.command.is_none() && cli.common.json);
        assert_eq!(cli.targets[1], TargetArg::File("hosts.txt".into()));
    }

    #[test]
    fn a_target_named_like_a_command_comes_after_two_dashes() {
        let cli = Cli::parse_from(["sojourner", "--", "check"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.targets, [TargetArg::One("check".parse().unwrap())]);
    }

    #[test]
    fn times_carry_their_unit_and_have_bounds() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "x", "-1s", "0", "NaN", "1y", "2d", "1e9h"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn options_work_before_and_after_the_command() {
        for words in [["sojourner", "--json", "check", "x"], ["sojourner", "check", "x", "--json"]]
        {
            let cli = Cli::parse_from(words);
            assert!(cli.common.json && matches!(cli.command, Some(Command::Check(_))));
        }
    }
}
