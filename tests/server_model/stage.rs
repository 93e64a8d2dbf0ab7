//! lua/stage.lua

use super::fragments::{Call, Ended, as_text, error_of, give_up, length_command, raise};
use super::reply::{Reply, words};

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let (stage, form, ttl_ms) = (call.key(2)?, call.arg(3)?, call.arg(5)?);
    let form = std::str::from_utf8(form).unwrap_or_default();
    let probe = [stage, b":probe"].concat();
    let refused = call.session.pcall(&[b"SET", &probe, b"", b"PX", b"1"]);
    if let Some(refused) = error_of(&refused) {
        return give_up(words!["REFUSED", refused]);
    }
    let first = call.arg(4)?;
    if first.first() == Some(&b'1') {
        call.session.call(&[b"DEL", stage])?;
    }
    let place = first.iter().position(|byte| *byte == b'@').map(|at| &first[at + 1..]);
    if let Some(place) = place {
        call.session.call(&[b"SETRANGE", stage, place, call.arg(6)?])?;
    }
    let elements = &call.args[if place.is_some() { 6 } else { 5 }..];
    let swapped: Vec<&[u8]> = elements.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
    let (command, elements): (&[u8], _) = match form {
        "string" => (b"APPEND", elements),
        "list" => (b"RPUSH", elements),
        "hash" => (b"HSET", elements),
        "set" => (b"SADD", elements),
        "zset" => (b"ZADD", swapped.as_slice()),
        _ => return raise("ERR a stage of no form"),
    };
    if !elements.is_empty() {
        call.session.call(&[&[command, stage], elements].concat())?;
    }
    call.session.call(&[b"PEXPIRE", stage, ttl_ms])?;
    let Some(length) = length_command(form) else { return raise("ERR a stage of no form") };
    Ok(words!["STAGED", as_text(call.session.call_integer(&[length, stage])?)])
}
