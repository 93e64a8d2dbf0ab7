//! A read without Lua: what `read.lua` does for one plain command on one key, as a transaction of the server's own commands, which
//! costs a node a third of the script.
//!
//! ```text
//!   MULTI · GET anrcho_fence · HMGET record h d a f kKEY · EXISTS KEY · the command · EXEC
//! ```
//!
//! (`MULTI` and `EXEC` are sent as they stand: redis-rs's own transactions hide which of the replies was an error.) Nothing comes
//! between the commands of a transaction, so its answers are of one moment, as the script's are. The deadline is left out: a read that
//! comes late changes nothing, and what it answers was true when it did.

use super::call::ReadCall;
use super::parse::{Malformed, fields, next, text};
use super::record::Record;
use redis::{Cmd, Pipeline, Value};

/// What a node says of itself, rather than of the command: another node may well run it.
const REFUSALS: [&str; 8] =
    ["OOM", "MISCONF", "READONLY", "NOPERM", "BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS"];

/// What goes so, in order: every version knows these, and their errors repeat no bytes of the caller's, which would end the connection
/// where they are no text. Replies are strings, lists of them, or small numbers.
const COMMANDS: [&str; 38] = [
    "BITCOUNT",
    "EXISTS",
    "GET",
    "GETBIT",
    "GETRANGE",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HSTRLEN",
    "HVALS",
    "LINDEX",
    "LLEN",
    "LPOS",
    "LRANGE",
    "SCARD",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "STRLEN",
    "SUBSTR",
    "TYPE",
    "XLEN",
    "ZCARD",
    "ZCOUNT",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZRANK",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
    "ZSCORE",
];

/// A read as the server's own commands, and what its answers are held against.
#[derive(Debug)]
pub struct NativeRead {
    /// What is sent.
    pub pipeline: Pipeline,
    at_ms: u64,
    key: Vec<u8>,
    /// Whether the key is the register's id, of which the head tells.
    is_id: bool,
}

impl ReadCall<'_> {
    /// The read without Lua; none where it takes the script: several commands or keys, or a user's script.
    pub fn native(&self) -> Option<NativeRead> {
        let ([key], [command]) = (self.keys, self.commands) else { return None };
        if !is_listed(&COMMANDS, command.first()?) {
            return None;
        }
        let mut pipeline = Pipeline::with_capacity(6);
        pipeline.cmd("MULTI");
        pipeline.cmd("GET").arg("anrcho_fence");
        pipeline
            .cmd("HMGET")
            .arg(self.record)
            .arg(&Record::FIELDS)
            .arg("f")
            .arg([b"k", key.as_slice()].concat());
        pipeline.cmd("EXISTS").arg(key.as_slice());
        let mut read = Cmd::with_capacity(command.len(), command.iter().map(Vec::len).sum());
        command.iter().for_each(|word| {
            read.arg(word.as_slice());
        });
        pipeline.add_command(read);
        pipeline.cmd("EXEC");
        let is_id = self.record == [b"anrcho_version:{", key.as_slice(), b"}"].concat();
        Some(NativeRead { pipeline, at_ms: self.at_ms, key: key.clone(), is_id })
    }
}

impl NativeRead {
    /// The answers of the transaction as `read.lua` would have said it; none where the server would not run it.
    pub fn answer(&self, fence: &str, replies: Vec<Value>) -> Result<Option<Value>, Malformed> {
        let refused = replies.iter().any(|reply| matches!(reply, Value::ServerError(_)));
        let replies = match replies.into_iter().next_back() {
            Some(executed @ Value::Array(_)) if !refused => executed,
            _ => return Ok(None),
        };
        let mut items = fields(replies)?;
        let (token, record) = (next(&mut items)?, next(&mut items)?);
        let (is_there, reply) = (next(&mut items)? == Value::Int(1), next(&mut items)?);
        if let Value::ServerError(error) =
            [&token, &record, &reply].into_iter().find(|value| is_refusal(value)).unwrap_or(&Value::Nil)
        {
            return Ok(Some(word(
                "REFUSED",
                [format!("{} {}", error.code(), error.details().unwrap_or_default())],
            )));
        }
        if !matches!(&token, Value::BulkString(token) if token == fence.as_bytes()) {
            return Ok(Some(word("FENCED", [])));
        }
        let mut found = fields(record)?;
        let mut field = || next(&mut found);
        let [h, d, a, filling, entry] = [field()?, field()?, field()?, field()?, field()?];
        if filling != Value::Nil {
            return Ok(Some(word("REFUSED", ["ERR this register is being filled".to_owned()])));
        }
        let head = Record::parse([h, d, a])?;
        let listed = if entry == Value::Nil { None } else { Some(text(entry)?) };
        let own = head.as_ref().filter(|_| self.is_id).and_then(Record::only_key);
        let entry = own.map_or(listed, |own| Some(own.to_owned()));
        let due = match self.due(entry.as_deref(), is_there) {
            Ok(due) => due,
            Err(gives_up) => return Ok(Some(gives_up)),
        };
        let replies = Value::Array(vec![reply]);
        let Some(head) = head else { return Ok(Some(Value::Array(vec![bulk("ABSENT"), replies]))) };
        let Record { promised, accepted, settled, version, digest, .. } = &head;
        let standing = [promised, accepted, settled, version, digest].map(|text| bulk(text));
        let all = std::iter::once(bulk("READ")).chain(standing).chain([replies, bulk(&due)]);
        Ok(Some(Value::Array(all.collect())))
    }

    /// What the record says of the key against what the server holds: the expiry that has passed, or with what to give up.
    fn due(&self, entry: Option<&str>, is_there: bool) -> Result<String, Value> {
        let none = || Ok("0".to_owned());
        let Some(entry) = entry else {
            let stray = Value::Array(vec![bulk("STRAY"), Value::BulkString(self.key.clone())]);
            return if is_there { Err(stray) } else { none() };
        };
        if entry == "0" {
            return none();
        }
        let has_passed = entry.parse::<u64>().is_ok_and(|expiry_ms| expiry_ms <= self.at_ms);
        match (has_passed, is_there) {
            (true, false) => Ok(entry.to_owned()),
            (false, true) => none(),
            // This node's clock and the read's time disagree on whether the key is alive.
            _ => Err(word("EXPIRING", [entry.to_owned()])),
        }
    }
}

/// Whether a command's name, in any case, is in a sorted list.
pub(super) fn is_listed(list: &[&str], name: &[u8]) -> bool {
    let upper = || name.iter().map(u8::to_ascii_uppercase);
    list.binary_search_by(|known| known.bytes().cmp(upper())).is_ok()
}

fn is_refusal(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if REFUSALS.contains(&error.code()))
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn word<const N: usize>(status: &str, rest: [String; N]) -> Value {
    let rest = rest.into_iter().map(|text| Value::BulkString(text.into_bytes()));
    Value::Array(std::iter::once(bulk(status)).chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::COMMANDS;

    #[test]
    fn the_list_is_in_order() {
        assert!(COMMANDS.is_sorted());
    }
}
