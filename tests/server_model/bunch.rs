//! lua/bunch.lua

use super::fragments::{Call, End, Ended, as_text, number, raise};
use super::reply::{Reply, words};
use super::{apply, read, settle};

/// What one word says of a part: number of keys, number of commands, lowest expiry, digest that it holds at, flags.
struct Shape<'c> {
    keys: usize,
    commands: i64,
    lowest: &'c [u8],
    expected: &'c [u8],
    flags: &'c [u8],
}

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let (mut answers, mut key, mut at) = (vec![Reply::bulk("BUNCH")], 1, 6);
    while at <= call.args.len() {
        let Some((shape, behind)) = whole(&call, at) else {
            answers.push(words!["REFUSED", "ERR the arguments do not add up"]);
            return Ok(Reply::Array(answers));
        };
        let now_ms = call.session.now_ms();
        if now_ms > call.number(at)? {
            answers.push(words!["EXPIRED", as_text(now_ms)]);
        } else {
            answers.extend(part(&mut call, &shape, key, at, behind)?);
        }
        (key, at) = (key + shape.keys + 1, behind);
    }
    Ok(Reply::Array(answers))
}

/// Runs one op as `apply` does, and answers in a line and its replies where that acknowledges.
fn part(
    call: &mut Call<'_, '_>,
    shape: &Shape<'_>,
    key: usize,
    at: usize,
    behind: usize,
) -> Ended<Vec<Reply>> {
    let commands = as_text(shape.commands);
    if let Some(dirty) = shape.flags.strip_prefix(b"c") {
        let args = [
            call.arg(1)?,
            call.arg(at)?,
            call.arg(at + 1)?,
            b"0",
            call.arg(at + 2)?,
            b"confirm",
            b"",
            b"",
            dirty,
        ];
        let keys = keys_of(call, shape, key)?;
        return Ok(answered(settle::run(Call { session: &mut *call.session, keys, args: &args }), shape));
    }
    if call.arg(at + 1)?.is_empty() {
        let mut args = vec![call.arg(1)?, call.arg(at)?, call.arg(at + 2)?, commands.as_bytes()];
        args.extend(&call.args[at + 3..behind - 1]);
        let keys = keys_of(call, shape, key)?;
        return Ok(answered(read::run(Call { session: &mut *call.session, keys, args: &args }), shape));
    }
    let mut args = vec![call.arg(1)?, call.arg(at)?, call.arg(at + 1)?, call.arg(at + 2)?];
    args.extend([shape.flags, shape.expected, b"0", call.arg(3)?, call.arg(4)?, call.arg(5)?, shape.lowest]);
    args.push(commands.as_bytes());
    args.extend(&call.args[at + 3..behind - 1]);
    let keys = keys_of(call, shape, key)?;
    Ok(answered(apply::run(Call { session: &mut *call.session, keys, args: &args }), shape))
}

fn keys_of<'c>(call: &Call<'c, '_>, shape: &Shape<'_>, key: usize) -> Ended<&'c [&'c [u8]]> {
    call.keys.get(key - 1..key + shape.keys).map_or_else(|| raise("ERR a nil among KEYS"), Ok)
}

fn answered(ended: Ended<Reply>, shape: &Shape<'_>) -> Vec<Reply> {
    let answer = match ended {
        Ok(reply) | Err(End::Answer(reply)) => reply,
        Err(End::Raised(error)) => words!["REFUSED", error.0.to_string()],
    };
    let is = |items: &[Reply], word: &str| items.first() == Some(&Reply::bulk(word));
    match answer {
        Reply::Array(mut items) if is(&items, "READ") => {
            items.swap(6, 7);
            in_two(items, shape.commands)
        }
        Reply::Array(items) if is(&items, "ACK") => in_two(items, shape.commands),
        other => vec![other],
    }
}

/// A line, and the replies.
fn in_two(items: Vec<Reply>, commands: i64) -> Vec<Reply> {
    let Some(Reply::Array(replies)) = items.get(7).cloned() else { return vec![Reply::Array(items)] };
    let words = items.into_iter().take(7).map(|item| match item {
        Reply::Bulk(bytes) => bytes,
        other => panic!("{other:?} in an acknowledgement"),
    });
    let line = words.collect::<Vec<_>>().join(&b' ');
    let alone = commands == 1;
    let replies =
        if alone { replies.into_iter().next().unwrap_or(Reply::Nil) } else { Reply::Array(replies) };
    vec![Reply::Bulk(line), replies]
}

/// The shape of the op that begins here, and where the next one begins.
fn whole<'c>(call: &Call<'c, '_>, at: usize) -> Option<(Shape<'c>, usize)> {
    let shape = shape(call.arg(at + 3).ok()?).ok()?;
    let mut behind = at + 4;
    for _ in 0..shape.commands {
        let argc = call.number(behind).ok().filter(|argc| *argc >= 1)?;
        behind += 1 + usize::try_from(argc).ok()?;
    }
    Some((shape, behind))
}

fn shape(text: &[u8]) -> Ended<Shape<'_>> {
    let mut words = text.splitn(5, |byte| *byte == b',');
    let mut next = || words.next().map_or_else(|| raise("ERR no shape"), Ok);
    let (keys, commands) = (number(next()?)?, number(next()?)?);
    let keys = usize::try_from(keys).unwrap_or(0);
    Ok(Shape { keys, commands, lowest: next()?, expected: next()?, flags: next()? })
}
