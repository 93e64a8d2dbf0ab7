//! What the scripts share: `lua/lib/`, and what Lua itself does at their border.

use super::record::Head;
use super::reply::{Error, Reply, words};
use super::session::Session;

/// How a script ends before its last line: `return`, or an error that it does not catch.
#[derive(Debug)]
pub enum End {
    Answer(Reply),
    Raised(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Raised(error)
    }
}

pub type Ended<T> = Result<T, End>;

/// `return {...}` from the midst of a script.
pub fn give_up<T>(reply: Reply) -> Ended<T> {
    Err(End::Answer(reply))
}

/// What Lua does with a nil, or with what is no number, where it needs one.
pub fn raise<T>(text: &'static str) -> Ended<T> {
    Err(End::Raised(Error::new(text)))
}

/// A field of a record.
pub type Field = Option<Vec<u8>>;

/// One call of a script: KEYS and ARGV.
pub struct Call<'c, 's> {
    pub session: &'c mut Session<'s>,
    pub keys: &'c [&'c [u8]],
    pub args: &'c [&'c [u8]],
}

impl<'c> Call<'c, '_> {
    /// `KEYS[at]`.
    pub fn key(&self, at: usize) -> Ended<&'c [u8]> {
        self.keys.get(at - 1).copied().map_or_else(|| raise("ERR a nil among KEYS"), Ok)
    }

    /// `ARGV[at]`.
    pub fn arg(&self, at: usize) -> Ended<&'c [u8]> {
        self.args.get(at - 1).copied().map_or_else(|| raise("ERR a nil among ARGV"), Ok)
    }

    /// `tonumber(ARGV[at])`, which is used as a number.
    pub fn number(&self, at: usize) -> Ended<i64> {
        number(self.arg(at)?)
    }

    /// `KEYS[2..]`.
    pub fn user_keys(&self) -> &'c [&'c [u8]] {
        self.keys.get(1..).unwrap_or_default()
    }

    /// lib/fence.lua
    pub fn check_fence(&mut self) -> Ended<()> {
        let (fence, deadline_ms) = (self.arg(1)?, self.number(2)?);
        let now_ms = self.session.now_ms();
        if self.session.call_string(&[b"GET", b"anrcho_fence"])?.as_deref() != Some(fence) {
            return give_up(words!["FENCED"]);
        }
        if now_ms > deadline_ms {
            return give_up(words!["EXPIRED", as_text(now_ms)]);
        }
        Ok(())
    }

    /// lib/expiry.lua: the record's head, and the entry of each key.
    pub fn load_record(&mut self) -> Ended<(Option<Head>, Vec<Field>)> {
        let record = self.key(1)?;
        let head = self.session.load_head(record)?;
        let entry = |key: &&[u8]| self.session.entry_of(record, head.as_ref(), key);
        let entries = self.keys.iter().skip(1).map(entry).collect::<Ended<Vec<Field>>>()?;
        Ok((head, entries))
    }

    /// Whether a page by page fill of this register is under way.
    pub fn is_filling(&mut self) -> Ended<bool> {
        Ok(self.session.call_string(&[b"HGET", self.key(1)?, b"f"])?.is_some())
    }

    /// lib/expiry.lua: whether the key is due; what to give up with.
    pub fn is_due(&mut self, entry: Option<&[u8]>, key: &[u8], at_ms: i64) -> Ended<bool> {
        let Some(entry) = entry else {
            return if self.session.exists(key) { give_up(words!["STRAY", key]) } else { Ok(false) };
        };
        if entry == b"0" {
            return Ok(false);
        }
        if number(entry)? <= at_ms {
            return Ok(true);
        }
        if self.session.exists(key) { Ok(false) } else { give_up(words!["EXPIRING", entry]) }
    }
}

impl Session<'_> {
    /// lib/log.lua
    pub fn log_length(&mut self, record: &[u8]) -> Ended<i64> {
        Ok(if self.call_integer(&[b"HLEN", record])? > 1_000 { 4_096 } else { 32 })
    }

    /// lib/deadline.lua: -1 none, -2 no such key.
    pub fn expiry_of(&mut self, key: &[u8]) -> Ended<i64> {
        Ok(self.call_integer(&[b"PEXPIRETIME", key])?)
    }

    /// lib/state.lua
    pub fn form_of(&mut self, key: &[u8]) -> &'static str {
        self.store.get(key).map_or("gone", |value| value.kind())
    }

    /// lib/state.lua
    fn elements_of(&mut self, key: &[u8], form: &str) -> Ended<Vec<Vec<u8>>> {
        let command: &[&[u8]] = match form {
            "string" => return Ok(self.call_string(&[b"GET", key])?.into_iter().collect()),
            "list" => &[b"LRANGE", key, b"0", b"-1"],
            "hash" => &[b"HGETALL", key],
            "set" => &[b"SMEMBERS", key],
            "zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
            _ => return Ok(Vec::new()),
        };
        Ok(self.call_strings(command)?.into_iter().flatten().collect())
    }

    /// lib/state.lua: the elements and their bytes, or the key's length where that is more than limit bytes.
    pub fn elements_within(
        &mut self,
        key: &[u8],
        form: &str,
        limit: i64,
        most: i64,
    ) -> Ended<(Option<Elements>, i64)> {
        let length = match length_command(form) {
            Some(command) => self.call_integer(&[command, key])?,
            None => 0,
        };
        if length > limit || form != "string" && length > most {
            return Ok((None, length));
        }
        let elements = self.elements_of(key, form)?;
        let bytes = elements.iter().map(Vec::len).sum::<usize>() as i64;
        if bytes > limit && length_command(form).is_some() {
            return Ok((None, length));
        }
        Ok((Some(elements), bytes))
    }

    /// lib/value.lua
    pub fn store_value(&mut self, key: &[u8], form: &str, elements: &[&[u8]]) -> Ended<()> {
        let swapped: Vec<&[u8]> = elements.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
        let (command, elements): (&[u8], _) = match form {
            "string" => (b"SET", elements),
            "list" => (b"RPUSH", elements),
            "hash" => (b"HSET", elements),
            "set" => (b"SADD", elements),
            "zset" => (b"ZADD", swapped.as_slice()),
            _ => return Ok(()),
        };
        self.call(&[&[command, key], elements].concat())?;
        Ok(())
    }
}

pub type Elements = Vec<Vec<u8>>;

/// The table `lengths` of lib/state.lua, settle.lua and stage.lua.
pub fn length_command(form: &str) -> Option<&'static [u8]> {
    Some(match form {
        "string" => b"STRLEN",
        "list" => b"LLEN",
        "hash" => b"HLEN",
        "set" => b"SCARD",
        "zset" => b"ZCARD",
        _ => return None,
    })
}

/// lib/text.lua
pub fn as_text(number: i64) -> String {
    number.to_string()
}

/// lib/text.lua
pub fn error_of(reply: &Reply) -> Option<&str> {
    if let Reply::Error(text) = reply { Some(text) } else { None }
}

/// lib/text.lua
pub fn is_refusal(text: &str) -> bool {
    let code = text.split(|letter: char| !letter.is_ascii_uppercase()).next().unwrap_or_default();
    ["OOM", "MISCONF", "READONLY", "NOPERM", "BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS"].contains(&code)
        || text.contains("ACL failure in script")
        || text.contains("The user executing the script")
}

/// `tonumber`, of whole numbers.
pub fn number(text: &[u8]) -> Ended<i64> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
    number.map_or_else(|| raise("ERR attempt to use a nil value as a number"), Ok)
}

/// `'k' .. key`
pub fn entry_field(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

/// `'l' .. version % 32`
pub fn log_field(version: i64, length: i64) -> Vec<u8> {
    format!("l{}", version.rem_euclid(length)).into_bytes()
}

/// The register of a record key: `string.sub(record, 17, -2)`.
pub fn register_of(record: &[u8]) -> &[u8] {
    record.get(16..record.len() - 1).unwrap_or_default()
}

/// A field that is `''` where there is none.
pub fn or_empty(field: &Field) -> Vec<u8> {
    field.clone().unwrap_or_default()
}

/// A field that is `'0'` where there is none.
pub fn or_zero(field: &Field) -> Vec<u8> {
    field.clone().unwrap_or_else(|| b"0".to_vec())
}
