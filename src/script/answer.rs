//! The scripts' replies as types, one variant for each that `lua/README.md` names.

use super::parse::{Malformed, bytes, fields, integer, next, optional, parsed, text};
use super::{KeyState, state};
use crate::protocol::{Ballot, Digest, Position, Standing, Version};
use redis::Value;

/// What an op's commands answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Replies {
    /// One reply for each command; a command's error is its reply.
    Each(Vec<Value>),
    /// The op is in the history, but its replies were too long to be remembered for a retry.
    Lost,
    /// The op did not run: the register was at another digest than it holds at.
    Mismatch,
}

/// What came with an acknowledgement beside the node's standing.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The history's digest before the op; empty where the op was already there.
    pub base: Digest,
    /// The commands' replies.
    pub replies: Replies,
    /// The keys after the op, where the caller's limit allowed.
    pub states: Vec<KeyState>,
}

/// The answers of `apply`.
#[derive(Clone, Debug)]
pub enum ApplyReply {
    /// The ballot is promised and the op ran, now or before.
    Ack {
        /// Where the node's history stands.
        standing: Standing,
        /// The ballot under which the history holds the op.
        ran: Option<Ballot>,
        /// Replies and states.
        executed: Executed,
    },
    /// No record, and none was left behind.
    Absent(Replies),
    /// A higher ballot is promised.
    Nack(Ballot),
    /// Clock and ballot disagree on whether a key is alive at this time (ms).
    Expiring(u64),
    /// Nothing changed; the text says why (FENCED, EXPIRED, STRAY, AHEAD, or the node's own error).
    Refused(String),
    /// The admission that the call named is not the node's.
    Fenced,
}

/// The answers of `read`.
#[derive(Clone, Debug)]
pub enum ReadReply {
    /// What the commands answered, and from which history.
    Report {
        /// The highest ballot that the node has answered.
        promised: Ballot,
        /// Where the node's history stands.
        standing: Standing,
        /// One reply for each command.
        replies: Vec<Value>,
        /// The latest expiry among the keys that has passed by the read's time, in ms; 0 for none.
        due_ms: u64,
    },
    /// No record; what the commands answer on nothing.
    Absent(Vec<Value>),
    /// As in [`ApplyReply::Expiring`].
    Expiring(u64),
    /// As in [`ApplyReply::Refused`].
    Refused(String),
    /// As in [`ApplyReply::Fenced`].
    Fenced,
}

/// The answers of `settle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleReply {
    /// Accepted.
    Settled,
    /// A higher ballot is promised.
    Nack(Ballot),
    /// The node is at another digest, or a staged key is not there.
    NeedsState(Position),
    /// As in [`ApplyReply::Refused`].
    Refused(String),
    /// As in [`ApplyReply::Fenced`].
    Fenced,
}

type Items = std::vec::IntoIter<Value>;

/// Takes the status word off; a server error in place of an array is a refusal of the node.
fn open(value: Value) -> Result<(String, Items), Malformed> {
    if let Value::ServerError(error) = &value {
        let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
        return Ok(("REFUSED".into(), vec![Value::SimpleString(text)].into_iter()));
    }
    let mut items = fields(value)?;
    let status = text(next(&mut items)?)?;
    Ok((status, items))
}

fn refusal(status: &str, items: &mut Items) -> Result<String, Malformed> {
    let detail = items.next().map(bytes).transpose()?.unwrap_or_default();
    let detail = String::from_utf8_lossy(&detail).into_owned();
    match status {
        "REFUSED" => Ok(detail),
        "EXPIRED" => {
            Ok(format!("EXPIRED the call came after its deadline, at {detail} ms of the node's clock"))
        }
        "AHEAD" => {
            Ok(format!("AHEAD the ballot is further ahead of the node's clock ({detail} ms) than allowed"))
        }
        "STRAY" => Ok(format!("STRAY the key '{detail}' was written behind the protocol's back")),
        "CONFLICT" => Ok(format!("CONFLICT another history was settled at this ballot: {detail}")),
        other => Err(Malformed(format!("{other} {detail}"))),
    }
}

pub(super) fn position(items: &mut Items) -> Result<Position, Malformed> {
    Ok(Position { version: Version(integer(next(items)?)?), digest: parsed(items)? })
}

pub(super) fn standing(items: &mut Items) -> Result<Standing, Malformed> {
    Ok(Standing {
        accepted: optional(items)?,
        settled: Version(integer(next(items)?)?),
        position: position(items)?,
    })
}

fn replies(value: Value) -> Result<Replies, Malformed> {
    match value {
        Value::Array(items) => Ok(Replies::Each(items)),
        Value::Nil => Ok(Replies::Lost),
        other if text(other.clone())? == "MISMATCH" => Ok(Replies::Mismatch),
        other => Err(Malformed::of(&other)),
    }
}

impl ApplyReply {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<ApplyReply, Malformed> {
        let (status, mut items) = open(value)?;
        if let Some(line) = status.strip_prefix("ACK ") {
            return acknowledgement(line, replies(next(&mut items)?)?);
        }
        Ok(match status.as_str() {
            "ACK" => ApplyReply::Ack {
                standing: standing(&mut items)?,
                ran: optional(&mut items)?,
                executed: Executed {
                    base: parsed(&mut items)?,
                    replies: replies(next(&mut items)?)?,
                    states: state::states(next(&mut items)?)?,
                },
            },
            "ABSENT" => ApplyReply::Absent(replies(next(&mut items)?)?),
            "NACK" => ApplyReply::Nack(parsed(&mut items)?),
            "EXPIRING" => ApplyReply::Expiring(integer(next(&mut items)?)?),
            "FENCED" => ApplyReply::Fenced,
            other => ApplyReply::Refused(refusal(other, &mut items)?),
        })
    }
}

/// An acknowledgement in one line, as a bunch has it: accepted, settled, version, digest, ran, base.
fn acknowledgement(line: &str, replies: Replies) -> Result<ApplyReply, Malformed> {
    let mut words = Line(Some(line));
    let (accepted, settled) = (words.ballot()?, words.next()?);
    let position = Position { version: Version(words.next()?), digest: words.next()? };
    let standing = Standing { accepted, settled: Version(settled), position };
    let (ran, base) = (words.ballot()?, words.next()?);
    Ok(ApplyReply::Ack { standing, ran, executed: Executed { base, replies, states: Vec::new() } })
}

/// A report in one line: promised, accepted, settled, version, digest, due.
fn report(line: &str, replies: Vec<Value>) -> Result<ReadReply, Malformed> {
    let mut words = Line(Some(line));
    let (promised, accepted, settled) = (words.next()?, words.ballot()?, words.next()?);
    let position = Position { version: Version(words.next()?), digest: words.next()? };
    let standing = Standing { accepted, settled: Version(settled), position };
    Ok(ReadReply::Report { promised, standing, replies, due_ms: words.next()? })
}

/// The words of an answer in one line that are still to be read, of which the last may be empty.
struct Line<'a>(Option<&'a str>);

impl<'a> Line<'a> {
    fn word(&mut self) -> Result<&'a str, Malformed> {
        let rest = self.0.ok_or_else(|| Malformed("a line that ends too early".into()))?;
        // Words are short: a plain loop finds their end sooner than what is made for long texts.
        let end = rest.bytes().position(|byte| byte == b' ');
        self.0 = end.map(|end| &rest[end + 1..]);
        Ok(&rest[..end.unwrap_or(rest.len())])
    }

    fn next<T: std::str::FromStr>(&mut self) -> Result<T, Malformed> {
        let word = self.word()?;
        word.parse().map_err(|_| Malformed(word.to_owned()))
    }

    /// None where the word is empty.
    fn ballot(&mut self) -> Result<Option<Ballot>, Malformed> {
        match self.word()? {
            "" => Ok(None),
            word => word.parse().map(Some).map_err(|_| Malformed(word.to_owned())),
        }
    }
}

impl ReadReply {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<ReadReply, Malformed> {
        let (status, mut items) = open(value)?;
        if let Some(line) = status.strip_prefix("READ ") {
            return report(line, fields(next(&mut items)?)?.collect());
        }
        Ok(match status.as_str() {
            "READ" => ReadReply::Report {
                promised: parsed(&mut items)?,
                standing: standing(&mut items)?,
                replies: fields(next(&mut items)?)?.collect(),
                due_ms: integer(next(&mut items)?)?,
            },
            "ABSENT" => ReadReply::Absent(fields(next(&mut items)?)?.collect()),
            "EXPIRING" => ReadReply::Expiring(integer(next(&mut items)?)?),
            "FENCED" => ReadReply::Fenced,
            other => ReadReply::Refused(refusal(other, &mut items)?),
        })
    }
}

impl SettleReply {
    /// Reads the script's reply.
    pub fn parse(value: Value) -> Result<SettleReply, Malformed> {
        let (status, mut items) = open(value)?;
        Ok(match status.as_str() {
            "SETTLED" => SettleReply::Settled,
            "NACK" => SettleReply::Nack(parsed(&mut items)?),
            "NEEDS_STATE" => SettleReply::NeedsState(position(&mut items)?),
            "FENCED" => SettleReply::Fenced,
            other => SettleReply::Refused(refusal(other, &mut items)?),
        })
    }
}
