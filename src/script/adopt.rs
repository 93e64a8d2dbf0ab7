//! `adopt`: keys that were there before the records.

use super::Name;
use super::answer::position;
use super::call::{Ticket, evalsha};
use super::parse::{Malformed, fields, integer, next, parsed, text};
use crate::protocol::{Ballot, OpId, Position};
use redis::{Cmd, Value};

/// Takes keys of one register into its record.
#[derive(Clone, Debug)]
pub struct AdoptCall<'a> {
    /// The register's record.
    pub record: &'a [u8],
    /// Keys of the register, at most a thousand.
    pub keys: &'a [Vec<u8>],
    /// Above all that any node has answered.
    pub ballot: Ballot,
    /// The op that this is in the register's history.
    pub op: OpId,
    /// Also where they are listed as they are: their values are not what was copied.
    pub anew: bool,
}

impl AdoptCall<'_> {
    /// The `EVALSHA` for the node that is adopted.
    pub fn encode(&self, ticket: &Ticket<'_>) -> Cmd {
        let mut cmd = evalsha(Name::Adopt, ticket, self.record, self.keys, 0);
        cmd.arg("list").arg(self.ballot.to_string()).arg(self.op.to_string());
        cmd.arg(if self.anew { "1" } else { "0" });
        cmd
    }
}

/// What became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptReply {
    /// They are listed now.
    Listed(Position),
    /// They were before.
    Same(Position),
    /// A higher ballot was promised; none is known to be.
    Nack(Ballot),
    /// It did nothing, and why.
    Refused(String),
}

impl AdoptReply {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<AdoptReply, Malformed> {
        let mut items = fields(value)?;
        let status = text(next(&mut items)?)?;
        Ok(match status.as_str() {
            "LISTED" => AdoptReply::Listed(position(&mut items)?),
            "SAME" => AdoptReply::Same(position(&mut items)?),
            "NACK" => AdoptReply::Nack(parsed(&mut items)?),
            "OTHER" | "REFUSED" | "FENCED" | "EXPIRED" => {
                let words = items.map(text).collect::<Result<Vec<_>, _>>()?;
                AdoptReply::Refused(format!("{status} {}", words.join(" ")))
            }
            _ => return Err(Malformed(status)),
        })
    }
}

/// The `EVALSHA` that drops those of these keys that the record does not list.
pub fn drop_call(ticket: &Ticket<'_>, record: &[u8], keys: &[Vec<u8>]) -> Cmd {
    let mut cmd = evalsha(Name::Adopt, ticket, record, keys, 0);
    cmd.arg("drop");
    cmd
}

/// How many were dropped.
pub fn parse_dropped(value: Value) -> Result<u64, Malformed> {
    let mut items = fields(value)?;
    let status = text(next(&mut items)?)?;
    if status != "DROPPED" {
        return Err(Malformed(status));
    }
    integer(next(&mut items)?)
}
