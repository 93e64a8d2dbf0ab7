//! Expiry.

use super::super::reply::{Outcome, Reply};
use super::super::session::Session;
use super::number;

fn expire_at(session: &mut Session<'_>, key: &[u8], expiry_ms: i64) -> Outcome {
    if !session.store.contains(key) {
        return Ok(Reply::Int(0));
    }
    if expiry_ms <= session.now_ms() {
        session.store.remove(key);
    }
    session.store.set_expiry(key, Some(expiry_ms));
    Ok(Reply::Int(1))
}

pub fn pexpireat(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    expire_at(session, words[1], number(words[2])?)
}

pub fn pexpire(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let expiry_ms = number(words[2])?.saturating_add(session.now_ms());
    expire_at(session, words[1], expiry_ms)
}

pub fn persist(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let expires = session.store.expiry_ms(words[1]).is_some();
    session.store.set_expiry(words[1], None);
    Ok(Reply::Int(i64::from(expires)))
}

pub fn pexpiretime(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let missing = if session.store.contains(words[1]) { -1 } else { -2 };
    Ok(Reply::Int(session.store.expiry_ms(words[1]).unwrap_or(missing)))
}

pub fn pttl(session: &mut Session<'_>, words: &[&[u8]]) -> Outcome {
    let Reply::Int(ms) = pexpiretime(session, words)? else { unreachable!("it answers a time") };
    Ok(Reply::Int(if ms < 0 { ms } else { (ms - session.now_ms()).max(0) }))
}
