//! Strings and counters.

use super::super::reply::{Error, NOT_AN_INTEGER, OVERFLOW, Outcome, Reply, SYNTAX};
use super::super::session::Session;
use super::super::value::{Bytes, Value};
use super::{number, range};

pub fn get(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::optional(session.store.view::<Bytes>(words[1])?))
}

pub fn getdel(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let found = get(session, words)?;
    session.store.remove(words[1]);
    Ok(found)
}

pub fn strlen(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.view::<Bytes>(words[1])?.map_or(0, Vec::len)))
}

pub fn getrange(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    number(words[2]).and(number(words[3]))?;
    let Some(value) = session.store.view::<Bytes>(words[1])? else { return Ok(Reply::bulk("")) };
    Ok(Reply::bulk(&value[range(words[2], words[3], value.len())?]))
}

pub fn append(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    session.store.edit(words[1], |value: &mut Bytes| {
        value.extend_from_slice(words[2]);
        Reply::count(value.len())
    })
}

/// As `stage` uses it: with some bytes, below the largest string.
pub fn setrange(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let start = usize::try_from(number(words[2])?).map_err(|_| NOT_AN_INTEGER)?;
    session.store.edit(words[1], |value: &mut Bytes| {
        value.resize(value.len().max(start + words[3].len()), 0);
        value[start..start + words[3].len()].copy_from_slice(words[3]);
        Reply::count(value.len())
    })
}

pub fn setnx(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let is_new = !session.store.contains(words[1]);
    if is_new {
        session.store.insert(words[1], Value::String(words[2].to_vec()));
    }
    Ok(Reply::Int(i64::from(is_new)))
}

pub fn mget(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let one = |key: &&[u8]| Reply::optional(session.store.view::<Bytes>(key).ok().flatten());
    Ok(Reply::Array(words[1..].iter().map(one).collect()))
}

pub fn mset(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    if words.len().is_multiple_of(2) {
        return Err(Error::new("ERR wrong number of arguments for 'mset' command"));
    }
    for pair in words[1..].chunks(2) {
        session.store.insert(pair[0], Value::String(pair[1].to_vec()));
    }
    Ok(Reply::OK)
}

/// INCR and its kin; the key keeps its expiry.
pub fn add(session: &mut Session<'_>, key: &[u8], amount: i64) -> Outcome {
    let found = session.store.view::<Bytes>(key)?;
    let before = found.map_or(Ok(0), |value| number(value))?;
    let after = before.checked_add(amount).ok_or(OVERFLOW)?;
    session.store.edit(key, |value: &mut Bytes| *value = after.to_string().into_bytes())?;
    Ok(Reply::Int(after))
}

pub fn incrby(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    add(session, words[1], number(words[2])?)
}

pub fn decrby(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let amount = number(words[2])?.checked_neg();
    add(session, words[1], amount.ok_or(Error::new("ERR decrement would overflow"))?)
}

#[derive(Default)]
struct SetOptions {
    only_new: bool,
    only_old: bool,
    get: bool,
    keep_ttl: bool,
    expiry_ms: Option<i64>,
}

impl SetOptions {
    fn parse(words: &[&[u8]], now_ms: i64) -> Result<SetOptions, Error> {
        let mut options = SetOptions::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" if !options.only_old => options.only_new = true,
                b"XX" if !options.only_new => options.only_old = true,
                b"GET" => options.get = true,
                b"KEEPTTL" if options.expiry_ms.is_none() => options.keep_ttl = true,
                unit @ (b"PX" | b"PXAT" | b"EX" | b"EXAT")
                    if !options.keep_ttl && options.expiry_ms.is_none() =>
                {
                    let given = number(words.next().ok_or(SYNTAX)?)?;
                    options.expiry_ms = Some(absolute(unit, given, now_ms)?);
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

fn absolute(unit: &[u8], given: i64, now_ms: i64) -> Result<i64, Error> {
    let invalid = || Error::new("ERR invalid expire time in 'set' command");
    if given <= 0 {
        return Err(invalid());
    }
    let scale = if unit.starts_with(b"EX") { 1_000 } else { 1 };
    let from = if unit.ends_with(b"AT") { 0 } else { now_ms };
    given.checked_mul(scale).and_then(|ms| ms.checked_add(from)).ok_or_else(invalid)
}

pub fn set(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let (key, now_ms) = (words[1], session.now_ms());
    let options = SetOptions::parse(&words[3..], now_ms)?;
    let old = if options.get { get(session, words)? } else { Reply::Nil };
    let exists = session.store.contains(key);
    if (options.only_new && exists) || (options.only_old && !exists) {
        return Ok(old);
    }
    let kept = session.store.expiry_ms(key).filter(|_| options.keep_ttl);
    session.store.insert(key, Value::String(words[2].to_vec()));
    let expiry_ms = options.expiry_ms.or(kept);
    if expiry_ms.is_some_and(|ms| ms < now_ms) {
        session.store.remove(key);
    }
    session.store.set_expiry(key, expiry_ms);
    Ok(if options.get { old } else { Reply::OK })
}

#[test]
fn only_plain_numbers_are_numbers() {
    for (text, expected) in [("0", Ok(0)), ("-7", Ok(-7)), ("9223372036854775807", Ok(i64::MAX))] {
        assert_eq!(number(text.as_bytes()), expected, "{text}");
    }
    for text in ["", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808"] {
        assert_eq!(number(text.as_bytes()), Err(NOT_AN_INTEGER), "{text}");
    }
}
