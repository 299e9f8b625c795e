//! A DNS server that does what a script says.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::Record;
pub use hickory_proto::rr::{RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{serve_tcp, serve_udp};
use crate::Host;
use crate::fail::OrFail;

/// The TTL of scripted records, seconds.
const TTL_S: u32 = 60;

/// What a scripted DNS server does with a query.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reply {
    /// Answers with those of the records that are of the type asked for; perhaps with none.
    Records(Vec<RData>),
    /// Says that there is no such name.
    NxDomain,
    /// Says that the server failed.
    ServFail,
    /// Says that it does not want to.
    Refused,
    /// Says nothing.
    Silence,
}

/// The replies of a DNS server, by name and type; the first rule that fits is followed. What no
/// rule fits is refused.
///
/// # Examples
///
/// ```
/// use sojourner_lab::server::{RecordType, Reply, Script};
///
/// let script = Script::default()
///     .answer("www.example", &["192.0.2.1"])
///     .reply_type("half.example", RecordType::AAAA, Reply::Silence)
///     .answer("half.example", &["192.0.2.2"])
///     .reply("*.example", Reply::NxDomain) // below `example`, not itself
///     .reply("*", Reply::ServFail); // everything else
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    rules: Vec<(String, Option<RecordType>, Reply)>,
}

impl Script {
    /// Answers queries for `name` with addresses. Panics if one of them is none.
    #[must_use]
    pub fn answer(self, name: &str, addresses: &[&str]) -> Self {
        let data = |address: &&str| match address.parse().or_fail("an address") {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        };
        let records = addresses.iter().map(data).collect();
        self.reply(name, Reply::Records(records))
    }

    /// Treats queries of every type for `name`, or for `*.name`, or for `*`, in this way.
    #[must_use]
    pub fn reply(mut self, name: &str, reply: Reply) -> Self {
        self.rules.push((plain(name), None, reply));
        self
    }

    /// The same for queries of one type.
    #[must_use]
    pub fn reply_type(mut self, name: &str, kind: RecordType, reply: Reply) -> Self {
        self.rules.push((plain(name), Some(kind), reply));
        self
    }

    fn find(&self, name: &str, kind: RecordType) -> &Reply {
        let fits = |pattern: &str| match pattern.strip_prefix('*') {
            Some(rest) => name.ends_with(rest),
            None => name == pattern,
        };
        let mut rules = self.rules.iter();
        let rule = rules.find(|(name, of, _)| fits(name) && of.is_none_or(|of| of == kind));
        rule.map_or(&Reply::Refused, |(_, _, reply)| reply)
    }

    /// The response to a message, or `None` for silence.
    fn respond(&self, message: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(message).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let asked = query.queries.first()?.clone();
        let name = plain(&asked.name().to_ascii());
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.edns.clone_from(&query.edns);
        response.metadata.response_code = match self.find(&name, asked.query_type()) {
            Reply::Records(records) => {
                let of_type = records.iter().filter(|r| r.record_type() == asked.query_type());
                response.answers = of_type
                    .map(|data| Record::from_rdata(asked.name().clone(), TTL_S, data.clone()))
                    .collect();
                ResponseCode::NoError
            }
            Reply::NxDomain => ResponseCode::NXDomain,
            Reply::ServFail => ResponseCode::ServFail,
            Reply::Refused => ResponseCode::Refused,
            Reply::Silence => return None,
        };
        response.queries.push(asked);
        response.to_vec().ok()
    }
}

/// A name as rules are written: small letters, no dot at the end.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Serves DNS by `script` over UDP and TCP. Abort both handles to stop it.
pub fn dns(host: &Host, port: u16, script: Script) -> [JoinHandle<()>; 2] {
    let script = Arc::new(script);
    let same = Arc::clone(&script);
    let udp = serve_udp(host, port, move |message| script.respond(message));
    let tcp = serve_tcp(host, port, move |stream| {
        let script = Arc::clone(&same);
        async move {
            // A client that goes away, in whatever manner, ends its connection.
            let _ = converse(stream, &script).await;
        }
    });
    [udp, tcp]
}

/// One connection: messages with their lengths before them.
async fn converse(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    loop {
        let mut message = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut message).await?;
        let Some(response) = script.respond(&message) else { continue };
        let len = u16::try_from(response.len()).map_err(std::io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes()[..], &response].concat()).await?;
    }
}
