//! Many ops, reads and confirmations in one call: what a node pays for a call at all it pays once, and so does the connection.

use super::call::{ApplyCall, ReadCall};
use super::native::is_listed;
use super::parse::{Malformed, fields, text};
use super::{Name, script};
use crate::protocol::{Ballot, Digest};
use redis::{Cmd, Value};
use std::fmt;
use std::io::Write as _;

/// A longer call travels alone: others would wait for it.
const MOST_BYTES: usize = 8 * 1024;
const MOST_COMMANDS: usize = 64;
/// What travels with others, in order: commands that take a node microseconds, whatever the key holds.
const TOGETHER: [&str; 68] = [
    "APPEND",
    "DECR",
    "DECRBY",
    "DEL",
    "EXISTS",
    "EXPIREAT",
    "GET",
    "GETBIT",
    "GETDEL",
    "GETEX",
    "GETRANGE",
    "GETSET",
    "HDEL",
    "HEXISTS",
    "HGET",
    "HINCRBY",
    "HINCRBYFLOAT",
    "HLEN",
    "HMGET",
    "HMSET",
    "HSET",
    "HSETNX",
    "HSTRLEN",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "LINDEX",
    "LLEN",
    "LPOP",
    "LPUSH",
    "LPUSHX",
    "LSET",
    "LTRIM",
    "MGET",
    "MSET",
    "MSETNX",
    "PERSIST",
    "PEXPIREAT",
    "PFADD",
    "PTTL",
    "RPOP",
    "RPUSH",
    "RPUSHX",
    "SADD",
    "SCARD",
    "SET",
    "SETBIT",
    "SETEX",
    "SETNX",
    "SETRANGE",
    "SISMEMBER",
    "SMISMEMBER",
    "SREM",
    "STRLEN",
    "TTL",
    "TYPE",
    "UNLINK",
    "XLEN",
    "ZADD",
    "ZCARD",
    "ZINCRBY",
    "ZMSCORE",
    "ZPOPMAX",
    "ZPOPMIN",
    "ZRANK",
    "ZREM",
    "ZREVRANK",
    "ZSCORE",
];

/// One op, read or confirmation of a bunch, encoded once for all nodes.
#[derive(Debug)]
pub struct Part {
    /// The words of the call, one behind the other: the record, its keys, then the arguments without the deadline.
    words: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    keys: usize,
    commands: usize,
}

/// What is the same for all ops of one client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest reply that is remembered for a retry, in bytes.
    pub reply_limit: usize,
    /// How long replies are remembered, in milliseconds.
    pub retry_window_ms: u64,
    /// How far a ballot may be ahead of the node's clock, in milliseconds.
    pub max_clock_offset_ms: u64,
}

impl Part {
    /// How many bytes it adds to a call.
    pub fn bytes(&self) -> usize {
        self.words.len()
    }

    fn push(&mut self, word: &[u8]) {
        self.words.extend_from_slice(word);
        self.ends.push(self.words.len());
    }

    /// A word that is written in its place.
    fn push_text(&mut self, word: fmt::Arguments<'_>) {
        // Memory takes all that is written to it.
        let _ = self.words.write_fmt(word);
        self.ends.push(self.words.len());
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.words[start..*end])
    }
}

impl Part {
    /// Whether calls of these commands and keys may travel with others.
    fn fits(keys: &[Vec<u8>], commands: &[Vec<Vec<u8>>]) -> bool {
        let is_short =
            |command: &Vec<Vec<u8>>| command.first().is_some_and(|name| is_listed(&TOGETHER, name));
        let bytes: usize = commands.iter().flatten().chain(keys).map(|word| word.len() + 8).sum();
        bytes <= MOST_BYTES && commands.len() <= MOST_COMMANDS && commands.iter().all(is_short)
    }

    fn new(
        record: &[u8],
        keys: &[Vec<u8>],
        commands: &[Vec<Vec<u8>>],
        push_head: impl FnOnce(&mut Part),
    ) -> Part {
        let bytes: usize = commands.iter().flatten().chain(keys).map(|word| word.len() + 4).sum();
        let count: usize = commands.iter().map(|command| command.len() + 1).sum();
        let mut part = Part {
            words: Vec::with_capacity(bytes + record.len() + 128),
            ends: Vec::with_capacity(keys.len() + 4 + count),
            keys: keys.len(),
            commands: commands.len(),
        };
        part.push(record);
        keys.iter().for_each(|key| part.push(key));
        push_head(&mut part);
        for command in commands {
            part.push_text(format_args!("{}", command.len()));
            command.iter().for_each(|word| part.push(word));
        }
        part
    }
}

impl ApplyCall<'_> {
    /// The op as a part of a bunch; none where it travels alone, because it is large or needs what a bunch does not know.
    pub fn part(&self) -> Option<Part> {
        let is_alone = self.state_limit > 0 || self.flags.delivery_ms.is_some();
        if is_alone || !Part::fits(self.keys, self.commands) {
            return None;
        }
        Some(Part::new(self.record, self.keys, self.commands, |part| {
            part.push(&self.ballot.digits());
            part.push(&self.op.digits());
            self.push_shape(part);
        }))
    }

    /// What most calls have in common, in one word, which the script reads once for all that have the same.
    fn push_shape(&self, part: &mut Part) {
        let (keys, commands) = (self.keys.len(), self.commands.len());
        let (lowest, flags) = (self.lowest_expiry_ms, self.flags.text());
        match self.expected {
            None => part.push_text(format_args!("{keys},{commands},{lowest},*,{flags}")),
            Some(_) => {
                let expected = self.expectation();
                part.push_text(format_args!("{keys},{commands},{lowest},{expected},{flags}"));
            }
        }
    }
}

impl ReadCall<'_> {
    /// The read as a part of a bunch, as of an op.
    pub fn part(&self) -> Option<Part> {
        if !Part::fits(self.keys, self.commands) {
            return None;
        }
        Some(Part::new(self.record, self.keys, self.commands, |part| {
            part.push(b"");
            part.push_text(format_args!("{}", self.at_ms));
            part.push_text(format_args!("{},{},0,*,", self.keys.len(), self.commands.len()));
        }))
    }
}

impl Part {
    /// A `settle` of what the node has: it accepts this digest under this ballot; if dirty, it remembers that another node missed it.
    pub fn confirmation(record: &[u8], ballot: Ballot, digest: Digest, dirty: bool) -> Part {
        Part::new(record, &[], &[], |part| {
            part.push(&ballot.digits());
            part.push_text(format_args!("{digest}"));
            part.push(if dirty { b"0,0,0,*,c1".as_slice() } else { b"0,0,0,*,c" });
        })
    }
}

/// `bunch`: these calls, each with its own deadline in the node's clock, in milliseconds; instead of what was in `cmd`.
pub fn bunch_call(cmd: &mut Cmd, fence: &str, limits: Limits, parts: &[(&Part, u64)]) {
    cmd.clear();
    let keys: usize = parts.iter().map(|(part, _)| part.keys + 1).sum();
    cmd.arg("EVALSHA").arg(&script(Name::Bunch).sha).arg(keys);
    for (part, _) in parts {
        part.words().take(part.keys + 1).for_each(|word| {
            cmd.arg(word);
        });
    }
    let last_ms = parts.iter().map(|(_, deadline_ms)| *deadline_ms).max().unwrap_or_default();
    cmd.arg(fence).arg(last_ms);
    cmd.arg(limits.reply_limit).arg(limits.retry_window_ms).arg(limits.max_clock_offset_ms);
    for (part, deadline_ms) in parts {
        cmd.arg(*deadline_ms);
        part.words().skip(part.keys + 1).for_each(|word| {
            cmd.arg(word);
        });
    }
}

/// The answer to each of these calls, as [`ApplyReply::parse`](super::ApplyReply::parse), [`ReadReply::parse`](super::ReadReply::parse)
/// and [`SettleReply::parse`](super::SettleReply::parse) take them.
pub fn split_bunch(reply: Value, parts: &[&Part]) -> Result<Vec<Value>, Malformed> {
    if let Value::ServerError(_) = &reply {
        return Ok(vec![reply; parts.len()]);
    }
    let mut items = fields(reply)?;
    let status = items.next().unwrap_or(Value::Nil);
    if text(status.clone())? != "BUNCH" {
        // One word for all of them, as FENCED.
        let whole = Value::Array(std::iter::once(status).chain(items).collect());
        return Ok(vec![whole; parts.len()]);
    }
    let missing = || Malformed("a bunch with fewer answers than calls".into());
    let mut answers = Vec::with_capacity(parts.len());
    for part in parts {
        answers.push(match items.next().ok_or_else(missing)? {
            whole @ Value::Array(_) => whole,
            line => {
                let replies = items.next().ok_or_else(missing)?;
                let replies = if part.commands == 1 { Value::Array(vec![replies]) } else { replies };
                Value::Array(vec![line, replies])
            }
        });
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::TOGETHER;

    #[test]
    fn the_list_is_in_order() {
        assert!(TOGETHER.is_sorted());
    }
}
