//! What a response says about a question.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};

use super::Failure;

/// How often an alias is followed, within an answer and by another question.
pub(super) const MAX_ALIASES: usize = 8;

/// What a response comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The records asked for.
    Found(Data),
    /// The name to ask for instead.
    Alias(Name),
}

/// The records that this program asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// The first PTR record.
    Pointer(Name),
    /// The A or AAAA records, all that fit a message.
    Addresses(Vec<IpAddr>),
}

/// The message, if it answers the question.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if it seems to, but cannot be read.
pub(super) fn message(bytes: &[u8], question: &Message) -> io::Result<Option<Message>> {
    if !bytes.starts_with(&question.metadata.id.to_be_bytes()) {
        return Ok(None);
    }
    let answer = Message::from_vec(bytes).map_err(invalid)?;
    let ours = answer.metadata.message_type == MessageType::Response && answer.queries == question.queries;
    Ok(ours.then_some(answer))
}

/// As an error of a connection.
pub(super) fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Reads a response to the query, along the aliases in it: what it says, and how long that is good, seconds.
///
/// # Errors
/// [`Failure::NotFound`] also where the name exists, but without such a record.
pub(super) fn read(response: &Message, query: &Query) -> Result<(Answer, u32), Failure> {
    match response.metadata.response_code {
        ResponseCode::NoError if response.answers.is_empty() => return Err(Failure::NotFound),
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(Failure::NotFound),
        ResponseCode::FormErr => return Err(Failure::Format),
        code => return Err(Failure::Code(code.into())),
    }
    let (name, mut ttl) = end_of_aliases(&response.answers, &query.name);
    let records: Vec<&Record> = response
        .answers
        .iter()
        .filter(|record| record.name == *name && record.record_type() == query.query_type)
        .collect();
    ttl = records.iter().map(|record| life(record)).fold(ttl, u32::min);
    match data(&records) {
        Some(data) => Ok((Answer::Found(data), ttl)),
        None if *name != query.name => Ok((Answer::Alias(name.clone()), ttl)),
        None => Err(Failure::Format),
    }
}

/// Follows CNAME records; a circle ends somewhere in it.
fn end_of_aliases<'a>(records: &'a [Record], start: &'a Name) -> (&'a Name, u32) {
    let (mut name, mut ttl) = (start, u32::MAX);
    for _ in records.iter().take(MAX_ALIASES) {
        let alias = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *name => Some((&target.0, life(record))),
            _ => None,
        });
        let Some((target, seconds)) = alias else { break };
        (name, ttl) = (target, ttl.min(seconds));
    }
    (name, ttl)
}

/// RFC 2181, section 8: the highest bit makes it zero.
fn life(record: &Record) -> u32 {
    if record.ttl <= u32::MAX / 2 { record.ttl } else { 0 }
}

fn data(records: &[&Record]) -> Option<Data> {
    let pointer = records.iter().find_map(|record| match &record.data {
        RData::PTR(target) => Some(Data::Pointer(target.0.clone())),
        _ => None,
    });
    let addresses = records.iter().filter_map(|record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    pointer.or_else(|| Some(addresses.collect::<Vec<_>>()).filter(|all| !all.is_empty()).map(Data::Addresses))
}

/// The name as text, if it has only the characters of RFC 1034, section 3.5.
pub(super) fn host_name(name: &Name) -> Option<String> {
    let good = |label: &[u8]| label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let labels: Option<Vec<&str>> =
        name.iter().map(|label| std::str::from_utf8(label).ok().filter(|_| good(label))).collect();
    labels.filter(|labels| !labels.is_empty()).map(|labels| labels.join("."))
}
