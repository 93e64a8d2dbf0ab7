//! Keys of any type, and the server itself.

use super::super::reply::{Error, NO_SUCH_KEY, Outcome, Reply, SYNTAX};
use super::super::session::Session;

pub fn del(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(words[1..].iter().filter(|key| session.store.remove(key)).count()))
}

pub fn exists(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::count(words[1..].iter().filter(|key| session.store.contains(key)).count()))
}

pub fn kind(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    Ok(Reply::Status(session.store.get(words[1]).map_or("none", |value| value.kind()).into()))
}

fn put_copy(session: &mut Session<'_>, from: &[u8], to: &[u8]) -> bool {
    let Some(value) = session.store.get(from).cloned() else { return false };
    let expiry_ms = session.store.expiry_ms(from);
    session.store.insert(to, value);
    session.store.set_expiry(to, expiry_ms);
    true
}

pub fn rename(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let (from, to) = (words[1], words[2]);
    if !put_copy(session, from, to) {
        return Err(NO_SUCH_KEY);
    }
    if from != to {
        session.store.remove(from);
    }
    Ok(Reply::OK)
}

pub fn copy(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let replace = match &words[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"REPLACE") => true,
        _ => return Err(SYNTAX),
    };
    if words[1] == words[2] {
        return Err(Error::new("ERR source and destination objects are the same"));
    }
    if !replace && session.store.contains(words[2]) {
        return Ok(Reply::Int(0));
    }
    Ok(Reply::Int(i64::from(put_copy(session, words[1], words[2]))))
}

pub fn dbsize(session: &mut Session<'_>, _: &[&[u8]]) -> Outcome {
    Ok(Reply::count(session.store.len()))
}

pub fn flushall(session: &mut Session<'_>, _: &[&[u8]]) -> Outcome {
    session.store.clear();
    Ok(Reply::OK)
}

pub fn time(session: &mut Session<'_>, _: &[&[u8]]) -> Outcome {
    let (seconds, rest) = (session.now_us / 1_000_000, session.now_us % 1_000_000);
    Ok(Reply::Array(vec![Reply::text(seconds), Reply::text(rest)]))
}

/// No value of this model has a DUMP, so none is good.
pub fn restore(_: &mut Session<'_>, _: &[&[u8]]) -> Outcome {
    Err(Error::new("ERR DUMP payload version or checksum are wrong"))
}
