//! What a node's record says of a register: `lua/lib/record.lua` has the bytes.

use super::parse::{Malformed, fields, next, text};
use redis::Value;

/// Bytes of a ballot, and of a digest.
const BALLOT: usize = 33;
const DIGEST: usize = 32;

/// A record, but for what its history remembers of ops and what it says of keys other than the register's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The highest ballot that the node has answered.
    pub promised: String,
    /// How many ops made the value.
    pub version: String,
    /// Of the key that is the register's id: its expiry in ms since 1970, `0` none, empty where it is not there; `m` where other keys
    /// were touched too, and each has a field of its own.
    pub entry: String,
    /// Equal digests: same ops, same order, same state. Empty at version 0.
    pub digest: String,
    /// The ballot of the last settle; empty where there was none.
    pub accepted: String,
    /// The version at that settle.
    pub settled: String,
}

impl Record {
    /// The fields that [`Record::parse`] takes, as `HMGET` answers them.
    pub const FIELDS: [&'static str; 3] = ["h", "d", "a"];

    /// None where there is no record.
    pub fn parse([h, d, a]: [Value; 3]) -> Result<Option<Record>, Malformed> {
        if h == Value::Nil {
            return Ok(None);
        }
        let malformed = || Malformed("a record without a ballot".into());
        let (h, a) = (text(h)?, if a == Value::Nil { String::new() } else { text(a)? });
        let (promised, rest) = h.split_at_checked(BALLOT).ok_or_else(malformed)?;
        let (version, entry) = rest.split_once(' ').ok_or_else(malformed)?;
        let (accepted, settled) = a.split_at_checked(BALLOT).unwrap_or(("", "0"));
        // Behind the digest there are packed replies, which need not be text.
        let digest = match &d {
            Value::BulkString(bytes) => bytes.get(..DIGEST).unwrap_or_default(),
            _ => &[],
        };
        let digest = String::from_utf8_lossy(digest).into_owned();
        let [promised, version, entry, accepted, settled] =
            [promised, version, entry, accepted, settled].map(str::to_owned);
        Ok(Some(Record { promised, version, entry, digest, accepted, settled }))
    }

    /// The answer of `HMGET` to these fields.
    pub fn of(reply: Value) -> Result<Option<Record>, Malformed> {
        let mut found = fields(reply)?;
        Record::parse([next(&mut found)?, next(&mut found)?, next(&mut found)?])
    }

    /// Of the register's only key its expiry, or `0`; none where it is not there, or where there are other keys.
    pub fn only_key(&self) -> Option<&str> {
        (self.entry != "m" && !self.entry.is_empty()).then_some(self.entry.as_str())
    }
}
