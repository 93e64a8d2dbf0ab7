//! The ops that a history remembers: `{sequence, ballot it ran under, packed replies or false}`, one per coordinator. (I5)

use super::fragments::{End, Ended, Field, number};
use super::pack::{pack, unpack};
use super::reply::{Error, Reply, words};

/// What a history remembers of a coordinator's last op.
pub struct Remembered {
    /// 16 hex digits.
    pub sequence: Vec<u8>,
    pub ballot: Vec<u8>,
    pub replies: Field,
}

/// A ballot begins with 16 digits of microseconds.
pub fn ms_of(text: &[u8]) -> Ended<i64> {
    number(&text[..text.len().min(13)])
}

/// `string.sub(ballot, 18)`
pub fn coordinator_of(ballot: &[u8]) -> &[u8] {
    ballot.get(17..).unwrap_or_default()
}

pub fn pack_ops(ops: &[Remembered]) -> Vec<u8> {
    let entry = |op: &Remembered| {
        words![op.sequence.clone(), op.ballot.clone(), Reply::optional(op.replies.as_deref())]
    };
    pack(&Reply::Array(ops.iter().map(entry).collect()))
}

pub fn unpack_ops(packed: &[u8]) -> Ended<Vec<Remembered>> {
    let malformed = || End::Raised(Error::new("ERR remembered ops that were not packed here"));
    let Some(Reply::Array(entries)) = unpack(packed) else { return Err(malformed()) };
    let entry = |entry: Reply| {
        let Reply::Array(fields) = entry else { return None };
        let [Reply::Bulk(sequence), Reply::Bulk(ballot), replies]: [Reply; 3] = fields.try_into().ok()?
        else {
            return None;
        };
        let replies = if let Reply::Bulk(packed) = replies { Some(packed) } else { None };
        Some(Remembered { sequence, ballot, replies })
    };
    entries.into_iter().map(|found| entry(found).ok_or_else(malformed)).collect()
}
