//! What faces read: an immutable picture of everything the fold knows.
//!
//! A [`Snapshot`] shares every target that did not change with the one before it, so taking one
//! costs a reference count a target.

mod app;
mod path;
mod ping;
mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;

pub use app::{CustomView, LinkView};
pub use path::{HopView, PathView};
pub use ping::{PingView, Recent, Sample};
pub use server::{DnsResult, DnsView, TcpView};

use crate::event::{
    AppReply, DnsVerdict, Finding, LocalNetwork, NetworkChange, TraceProtocol, Verdict,
};
use crate::time::Stamp;

/// Everything the fold knows, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Stamp,
    /// By target, as its user wrote it. What had no room is under [`Snapshot::OTHER`].
    pub targets: BTreeMap<Arc<str>, Arc<TargetView>>,
    /// Events folded so far.
    pub events: u64,
    /// Events that full queues dropped before they could be folded.
    pub dropped: u64,
    /// Events of kinds this release does not know, or with values it cannot hold.
    pub unknown: u64,
    /// Events that some bound kept from having a place of their own.
    pub overflowed: u64,
}

impl Snapshot {
    /// The target that events of targets beyond the bound are counted under.
    pub const OTHER: &'static str = "other";

    /// The view of one target.
    pub fn target(&self, target: &str) -> Option<&TargetView> {
        self.targets.get(target).map(|view| &**view)
    }
}

/// Everything the fold knows about one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetView {
    /// As its user wrote it.
    pub target: Arc<str>,
    /// When the first event about it was seen.
    pub first: Stamp,
    /// When the last event about it was seen.
    pub last: Stamp,
    /// Events about it.
    pub events: u64,
    /// Echoes, by the address asked.
    pub ping: BTreeMap<IpAddr, PingView>,
    /// Paths, by the packets that explored them.
    pub paths: BTreeMap<TraceProtocol, PathView>,
    /// The latest answer or failure of each server, transport, name and record type, in the order
    /// they were first asked.
    pub dns: Vec<DnsView>,
    /// The latest verdict on each server and name, in the order they were first judged.
    pub dns_verdicts: Vec<(Stamp, DnsVerdict)>,
    /// Connection attempts, by the address tried.
    pub tcp: BTreeMap<SocketAddr, TcpView>,
    /// The latest answer of the application.
    pub app: Option<(Stamp, AppReply)>,
    /// What this host last knew of its own network.
    pub local: Option<LocalNetwork>,
    /// The latest changes of this host's network, oldest first.
    pub changes: Vec<(Stamp, NetworkChange)>,
    /// The findings of the last complete diagnosis.
    pub findings: Vec<Finding>,
    /// The verdict of the last complete diagnosis.
    pub verdict: Option<(Stamp, Verdict)>,
    /// Links of `netcore`, by name.
    pub links: BTreeMap<Arc<str>, LinkView>,
    /// The application's own numbers, by key.
    pub custom: BTreeMap<Arc<str>, CustomView>,
    /// Findings of a diagnosis whose verdict has not come yet.
    #[serde(skip)]
    pub(crate) pending: Vec<Finding>,
}

impl TargetView {
    pub(crate) fn new(target: Arc<str>, at: Stamp) -> Self {
        Self {
            target,
            first: at,
            last: at,
            events: 0,
            ping: BTreeMap::new(),
            paths: BTreeMap::new(),
            dns: Vec::new(),
            dns_verdicts: Vec::new(),
            tcp: BTreeMap::new(),
            app: None,
            local: None,
            changes: Vec::new(),
            findings: Vec::new(),
            verdict: None,
            links: BTreeMap::new(),
            custom: BTreeMap::new(),
            pending: Vec::new(),
        }
    }
}
