//! Asking the operating system's own resolver, as every program does.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use sojourner_stats::event::{DnsAnswer, DnsError, DnsFailure, DnsRecord, DnsTransport};
use sojourner_stats::time::SystemClock;
use sojourner_stats::{Clock, Micros};

use super::ask::Labels;
use super::{DnsConfig, Job, Lookup, wire};

/// One `getaddrinfo`, split into one lookup for each of `types` (A, AAAA).
pub(super) async fn ask(config: &DnsConfig, job: &Job, types: Vec<Labels>) -> Vec<Lookup> {
    let start = SystemClock.instant();
    let host = host(job);
    let patience = config.timeout.saturating_mul(config.retries.saturating_add(1));
    let found = tokio::time::timeout(patience, tokio::net::lookup_host((host.as_str(), 0))).await;
    let elapsed = SystemClock.instant().since(start);
    let outcome = match found {
        Err(_elapsed) => Err(DnsError::Timeout),
        Ok(Ok(addrs)) => Ok((addrs.map(|addr| addr.ip()).collect(), "NOERROR")),
        Ok(Err(error)) => denial(&error).map(|rcode| (Vec::new(), rcode)),
    };
    types.into_iter().map(|labels| lookup(labels, &outcome, elapsed)).collect()
}

/// The name itself is asked for as every program does, so that the hosts file counts; a name that
/// does not exist gets a final dot, which keeps search lists from finding it elsewhere.
fn host(job: &Job) -> String {
    let bare = wire::text(&job.name);
    if job.own { bare } else { format!("{bare}.") }
}

fn lookup(
    labels: Labels,
    outcome: &Result<(Vec<IpAddr>, &'static str), DnsError>,
    elapsed: Duration,
) -> Lookup {
    let Labels { server, role, name, record_type } = labels;
    let (transport, elapsed_us) = (DnsTransport::System, Micros(elapsed));
    match outcome {
        Ok((addrs, rcode)) => {
            let wants_v6 = &*record_type == "AAAA";
            let mut records = Vec::new();
            for addr in addrs.iter().filter(|addr| addr.is_ipv6() == wants_v6) {
                let record = DnsRecord {
                    name: name.to_string(),
                    record_type: record_type.to_string(),
                    data: addr.to_string(),
                    ttl_s: None,
                };
                if !records.contains(&record) {
                    records.push(record);
                }
            }
            let rcode = (*rcode).into();
            Lookup::Answer(DnsAnswer {
                server,
                role,
                transport,
                name,
                record_type,
                rcode,
                records,
                elapsed_us,
            })
        }
        Err(error) => Lookup::Failure(DnsFailure {
            server,
            role,
            transport,
            name,
            record_type,
            error: *error,
            elapsed_us,
        }),
    }
}

/// Tells "there is no such name" from a failure. `getaddrinfo`'s codes do not reach us, but its
/// texts do, and no locale is set that would translate them.
fn denial(error: &io::Error) -> Result<&'static str, DnsError> {
    let text = error.to_string().to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    if says(NO_SUCH_NAME) {
        Ok("NXDOMAIN")
    } else if says(NO_ADDRESS) {
        Ok("NOERROR")
    } else {
        tracing::debug!(%error, "the system's resolver failed");
        Err(DnsError::System)
    }
}

/// `EAI_NONAME` of glibc, musl and macOS.
const NO_SUCH_NAME: &[&str] =
    &["name or service not known", "name does not resolve", "nodename nor servname provided"];
/// `EAI_NODATA` of the same.
const NO_ADDRESS: &[&str] = &["no address associated with", "name has no usable address"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_an_answer_and_a_dead_resolver_a_failure() {
        let said = |text: &str| denial(&io::Error::other(text.to_owned()));
        let glibc = "failed to lookup address information: Name or service not known";
        assert_eq!(said(glibc), Ok("NXDOMAIN"));
        assert_eq!(said("No address associated with hostname"), Ok("NOERROR"));
        assert_eq!(said("Temporary failure in name resolution"), Err(DnsError::System));
        assert_eq!(said("Try again"), Err(DnsError::System));
    }
}
