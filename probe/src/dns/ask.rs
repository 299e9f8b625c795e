//! Asking one server one question.

use super::{DnsConfig, Job, Lookup};

pub(super) async fn ask(_config: &DnsConfig, _job: &mut Job) -> Vec<Lookup> {
    Vec::new()
}
