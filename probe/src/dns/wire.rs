//! DNS messages as bytes: what is asked, and what counts as its answer.

use hickory_resolver::proto::op::{Message, MessageType, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use sojourner_stats::event::DnsRecord;

/// One question, under one id.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) id: u16,
    pub(super) query: Query,
}

impl Ask {
    pub(super) fn new(id: u16, name: &Name, record_type: RecordType) -> Self {
        Self { id, query: Query::query(name.clone(), record_type) }
    }

    pub(super) fn message(&self) -> Message {
        let mut message = Message::query();
        message.metadata.id = self.id;
        message.metadata.recursion_desired = true;
        message.add_query(self.query.clone());
        message
    }

    /// The answer in `bytes`, if they are one to this question. Any bytes: never a panic.
    pub(super) fn answer(&self, bytes: &[u8]) -> Result<Message, Mismatch> {
        let message = Message::from_vec(bytes).map_err(|_decode| Mismatch::Malformed)?;
        self.check(&message)?;
        Ok(message)
    }

    /// Whether `message` answers this question: id, kind and question section (RFC 5452 §9.1).
    pub(super) fn check(&self, message: &Message) -> Result<(), Mismatch> {
        if message.metadata.id != self.id || message.metadata.message_type != MessageType::Response
        {
            return Err(Mismatch::Other);
        }
        match message.queries.as_slice() {
            [query] if *query == self.query => Ok(()),
            // Some servers leave the question out when they refuse it.
            [] if message.answers.is_empty() => Ok(()),
            _ => Err(Mismatch::Other),
        }
    }
}

/// Why bytes are not the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// No DNS message at all.
    Malformed,
    /// A message, but not the answer to this question.
    Other,
}

/// The answer section, for people.
pub(super) fn records(message: &Message) -> Vec<DnsRecord> {
    let records = message.answers.iter().take(RECORDS_MAX);
    records
        .map(|record| DnsRecord {
            name: text(&record.name),
            record_type: record.record_type().to_string(),
            data: record.data.to_string(),
            ttl_s: Some(record.ttl),
        })
        .collect()
}

/// The response code as the registry writes it, such as `NXDOMAIN`.
pub(super) fn rcode(message: &Message) -> String {
    use hickory_resolver::proto::op::ResponseCode as Code;
    match message.metadata.response_code {
        Code::NoError => "NOERROR".into(),
        Code::FormErr => "FORMERR".into(),
        Code::ServFail => "SERVFAIL".into(),
        Code::NXDomain => "NXDOMAIN".into(),
        Code::NotImp => "NOTIMP".into(),
        Code::Refused => "REFUSED".into(),
        Code::YXDomain => "YXDOMAIN".into(),
        Code::YXRRSet => "YXRRSET".into(),
        Code::NXRRSet => "NXRRSET".into(),
        Code::NotAuth => "NOTAUTH".into(),
        Code::NotZone => "NOTZONE".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

/// A name without its final dot.
pub(super) fn text(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

/// An answer with more records is cut: 64 KiB hold some 4,000, people read a few.
const RECORDS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_same_id_and_question_make_an_answer() {
        let ask = ask();
        let mut reply = ask.message();
        reply.metadata.message_type = MessageType::Response;
        assert!(ask.answer(&reply.to_vec().unwrap()).is_ok());
        let mut other = reply.clone();
        other.metadata.id ^= 1;
        assert_eq!(ask.answer(&other.to_vec().unwrap()), Err(Mismatch::Other));
        let mut other = reply.clone();
        other.queries[0].query_type = RecordType::AAAA;
        assert_eq!(ask.answer(&other.to_vec().unwrap()), Err(Mismatch::Other));
        assert_eq!(ask.answer(&ask.message().to_vec().unwrap()), Err(Mismatch::Other), "a query");
        assert_eq!(ask.answer(b"HTTP/1.1 400"), Err(Mismatch::Malformed));
    }

    #[test]
    fn the_case_of_a_name_does_not_matter() {
        let ask = ask();
        let mut reply = ask.message();
        reply.metadata.message_type = MessageType::Response;
        reply.queries[0].name = Name::from_str("WWW.Example.COM.").unwrap();
        assert!(ask.answer(&reply.to_vec().unwrap()).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_and_never_a_panic(
            mut bytes in vec(any::<u8>(), 0..600),
            like_an_answer in any::<bool>(),
        ) {
            let ask = ask();
            if like_an_answer {
                // A true header and question before the noise reaches deeper.
                let mut reply = ask.message();
                reply.metadata.message_type = MessageType::Response;
                let mut head = reply.to_vec().unwrap();
                head[7] = 3; // it says that three records follow
                head.append(&mut bytes);
                bytes = head;
            }
            if let Ok(message) = ask.answer(&bytes) {
                prop_assert!(records(&message).len() <= RECORDS_MAX);
                prop_assert!(!rcode(&message).is_empty());
            }
        }
    }

    fn ask() -> Ask {
        Ask::new(0x1234, &Name::from_str("www.example.com.").unwrap(), RecordType::A)
    }
}
