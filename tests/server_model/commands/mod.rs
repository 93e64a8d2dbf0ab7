//! The commands: a table, and their order of checks and errors as in Redis.

mod collections;
mod expiry;
mod keys;
mod lists;
mod scan;
mod strings;

use super::reply::{Error, NOT_AN_INTEGER, Outcome, Reply};
use super::session::Session;

type Run = fn(&mut Session<'_>, &[&[u8]]) -> Outcome;

/// Name, number of words (negative: at least so many), what it does. Sorted by name.
const COMMANDS: &[(&str, i32, Run)] = &[
    ("APPEND", 3, strings::append),
    ("COPY", -3, keys::copy),
    ("DBSIZE", 1, keys::dbsize),
    ("DECR", 2, |session, words| strings::add(session, words[1], -1)),
    ("DECRBY", 3, strings::decrby),
    ("DEL", -2, keys::del),
    ("EXISTS", -2, keys::exists),
    ("FLUSHALL", -1, keys::flushall),
    ("GET", 2, strings::get),
    ("GETDEL", 2, strings::getdel),
    ("GETRANGE", 4, strings::getrange),
    ("HDEL", -3, collections::hdel),
    ("HEXISTS", 3, collections::hexists),
    ("HGET", 3, collections::hget),
    ("HGETALL", 2, collections::hgetall),
    ("HINCRBY", 4, collections::hincrby),
    ("HKEYS", 2, collections::hkeys),
    ("HLEN", 2, collections::hlen),
    ("HMGET", -3, collections::hmget),
    ("HSCAN", -3, scan::hscan),
    ("HSET", -4, collections::hset),
    ("INCR", 2, |session, words| strings::add(session, words[1], 1)),
    ("INCRBY", 3, strings::incrby),
    ("KEYS", 2, scan::keys),
    ("LLEN", 2, lists::llen),
    ("LPOP", -2, |session, words| lists::pop(session, words, true)),
    ("LPUSH", -3, |session, words| lists::push(session, words, true)),
    ("LRANGE", 4, lists::lrange),
    ("LREM", 4, lists::lrem),
    ("LSET", 4, lists::lset),
    ("MGET", -2, strings::mget),
    ("MSET", -3, strings::mset),
    ("PERSIST", 2, expiry::persist),
    ("PEXPIRE", 3, expiry::pexpire),
    ("PEXPIREAT", 3, expiry::pexpireat),
    ("PEXPIRETIME", 2, expiry::pexpiretime),
    ("PING", -1, |_, _| Ok(Reply::Status("PONG".into()))),
    ("PTTL", 2, expiry::pttl),
    ("RENAME", 3, keys::rename),
    ("RESTORE", -4, keys::restore),
    ("RPOP", -2, |session, words| lists::pop(session, words, false)),
    ("RPUSH", -3, |session, words| lists::push(session, words, false)),
    ("SADD", -3, collections::sadd),
    ("SCAN", -2, scan::scan),
    ("SCARD", 2, collections::scard),
    ("SET", -3, strings::set),
    ("SETNX", 3, strings::setnx),
    ("SETRANGE", 4, strings::setrange),
    ("SISMEMBER", 3, collections::sismember),
    ("SMEMBERS", 2, collections::smembers),
    ("SRANDMEMBER", 3, collections::srandmember),
    ("SREM", -3, collections::srem),
    ("SSCAN", -3, scan::sscan),
    ("STRLEN", 2, strings::strlen),
    ("TIME", 1, keys::time),
    ("TYPE", 2, keys::kind),
    ("ZADD", -4, collections::zadd),
    ("ZCARD", 2, collections::zcard),
    ("ZRANGE", -4, collections::zrange),
    ("ZREM", -3, collections::zrem),
    ("ZSCORE", 3, collections::zscore),
];

fn find(name: &[u8]) -> Option<&'static (&'static str, i32, Run)> {
    let by_name = |row: &(&str, i32, Run)| row.0.bytes().cmp(name.iter().map(u8::to_ascii_uppercase));
    COMMANDS.binary_search_by(by_name).ok().map(|at| &COMMANDS[at])
}

fn has_arity(words: &[&[u8]], arity: i32) -> bool {
    let count = i32::try_from(words.len()).unwrap_or(i32::MAX);
    if arity < 0 { count >= -arity } else { count == arity }
}

/// A client's command.
pub fn run(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let name = String::from_utf8_lossy(words[0]);
    match find(words[0]) {
        Some((_, arity, run)) if has_arity(words, *arity) => run(session, words),
        Some(_) => {
            let name = name.to_lowercase();
            Err(Error::new(format!("ERR wrong number of arguments for '{name}' command")))
        }
        None => {
            let shown = |word: &&[u8]| format!("'{}' ", String::from_utf8_lossy(word));
            let args: String = words[1..].iter().map(shown).collect();
            Err(Error::new(format!("ERR unknown command '{name}', with args beginning with: {args}")))
        }
    }
}

/// A script's command: what the server itself finds wrong has other texts there.
pub fn run_in_script(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    match find(words[0]) {
        Some((_, arity, run)) if has_arity(words, *arity) => run(session, words),
        Some(_) => Err(Error::new("ERR Wrong number of args calling Redis command from script")),
        None => Err(Error::new("ERR Unknown Redis command called from script")),
    }
}

/// A whole number written as the server writes it: no plus, no leading zero.
pub fn number(word: &[u8]) -> Result<i64, Error> {
    let text = std::str::from_utf8(word).map_err(|_| NOT_AN_INTEGER)?;
    let number: i64 = text.parse().map_err(|_| NOT_AN_INTEGER)?;
    let may_be_odd = text.starts_with(['+', '-', '0']);
    if may_be_odd && number.to_string() != text { Err(NOT_AN_INTEGER) } else { Ok(number) }
}

/// The places of a range whose ends may count from the end.
fn range(start: &[u8], stop: &[u8], length: usize) -> Result<std::ops::Range<usize>, Error> {
    let (start, stop, length) = (number(start)?, number(stop)?, length as i64);
    let from = if start < 0 { (start + length).max(0) } else { start };
    let to = if stop < 0 { stop + length } else { stop.min(length - 1) };
    if from > to { Ok(0..0) } else { Ok(from as usize..to as usize + 1) }
}

#[test]
fn the_table_is_sorted() {
    assert!(COMMANDS.is_sorted_by_key(|row| row.0));
}
