//! lua/read.lua

use super::fragments::{Call, Ended, error_of, give_up, is_refusal, number, or_empty, or_zero, raise};
use super::record::Head;
use super::reply::{Reply, words};

pub fn run(mut call: Call<'_, '_>) -> Ended<Reply> {
    call.check_fence()?;
    let at_ms = call.number(3)?;
    let (head, entries) = call.load_record()?;
    if call.is_filling()? {
        return give_up(words!["REFUSED", "ERR this register is being filled"]);
    }
    let mut due_ms = 0;
    for (key, entry) in call.user_keys().iter().zip(&entries) {
        let is_due = call.is_due(entry.as_deref(), key, at_ms)?;
        if is_due && call.session.exists(key) {
            return give_up(words!["EXPIRING", or_empty(entry)]);
        }
        if is_due {
            due_ms = due_ms.max(number(&or_zero(entry))?);
        }
    }
    let mut replies = Vec::new();
    for command in commands(&call, 4)? {
        let reply = call.session.pcall(command);
        if let Some(failure) = error_of(&reply)
            && is_refusal(failure)
        {
            return give_up(words!["REFUSED", failure]);
        }
        replies.push(reply);
    }
    let Some(head) = head else { return Ok(words!["ABSENT", replies]) };
    let Head { promised, accepted, settled, version, digest, .. } = head;
    let due = due_ms.to_string().into_bytes();
    Ok(words!["READ", promised, accepted, settled, version, digest, replies, due])
}

/// The commands behind `ARGV[at]`, which is their number: argc and words of each.
pub fn commands<'c>(call: &Call<'c, '_>, at: usize) -> Ended<Vec<&'c [&'c [u8]]>> {
    let mut rest: &'c [&'c [u8]] = &call.args[at..];
    let mut commands = Vec::new();
    for _ in 0..call.number(at)? {
        let Some((argc, after)) = rest.split_first() else { return raise("ERR a nil among ARGV") };
        let argc = usize::try_from(number(argc)?).unwrap_or_default();
        let Some((command, after)) = after.split_at_checked(argc) else {
            return raise("ERR a nil among ARGV");
        };
        if command.is_empty() {
            return raise("ERR Please specify at least one argument for this redis.call() call");
        }
        commands.push(command);
        rest = after;
    }
    Ok(commands)
}
