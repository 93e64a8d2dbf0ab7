//! What counts as the same answer: everything but the order of what has none, the clock, and the words of the server's
//! own errors, which differ between versions.

use redis::Value;

use crate::reply::Reply;
use crate::server_model::unpacked;

/// Errors that each version says in words of its own: what all of them begin with, and contain.
const ONE_ERROR: [(&str, &str); 2] = [("err unknown", "command"), ("err wrong number", "of arg")];

/// An answer, in the form in which two are compared.
pub fn comparable(words: &[Vec<u8>], answer: Value) -> String {
    Reply(sorted(words, answer)).to_string()
}

fn sorted(words: &[Vec<u8>], answer: Value) -> Value {
    let is_script = words[0].starts_with(b"EVALSHA");
    match answer {
        Value::ServerError(_) if is_script => raised(&Reply(answer).to_string()),
        Value::Array(items) if is_script => Value::Array(script_answer(words, items)),
        other => command_answer(words, other),
    }
}

/// An error that a script did not catch comes in different words in each version.
fn raised(text: &str) -> Value {
    let causes = ["NOSCRIPT", "WRONGTYPE"];
    let cause = causes.into_iter().find(|cause| text.contains(cause)).unwrap_or("raised");
    Value::SimpleString(cause.into())
}

fn script_answer(words: &[Vec<u8>], mut items: Vec<Value>) -> Vec<Value> {
    let replies = |items: &mut Vec<Value>, at: usize| {
        if let Some(Value::Array(replies)) = items.get_mut(at) {
            let all = std::mem::take(replies).into_iter().zip(commands_of(words));
            *replies = all.map(|(reply, command)| command_answer(command, reply)).collect();
        }
    };
    match Reply(items[0].clone()).to_string().as_str() {
        "ACK" => {
            replies(&mut items, 7);
            items[8] = map(items[8].clone(), state);
        }
        "READ" => replies(&mut items, 6),
        "ABSENT" => replies(&mut items, 1),
        "SNAPSHOT" => {
            items[9] = in_order(items[9].clone(), 1);
            items[10] = in_order(map(items[10].clone(), state), 1);
        }
        "BUNCH" => answers_of_bunch(words, &mut items),
        "PAGE" if words[5] == b"marks" => items[2] = marks_in_order(words, &items[2]),
        "PAGE" => items[2] = in_order(items[2].clone(), 1),
        "COPIES" => {
            items[3] = copies_in_order(&items[3]);
            items[4] = in_order(items[4].clone(), 1);
        }
        "AHEAD" | "EXPIRED" => items[1] = Value::Nil,
        // A server counts keys whose time has passed until it drops them; KEYS, which is compared too, does not name them.
        "NODE" => items[8..=9].fill(Value::Nil),
        _ => {}
    }
    items
}

/// Of each call what it would have answered alone, an acknowledgement and a report in two items.
fn answers_of_bunch(words: &[Vec<u8>], items: &mut [Value]) {
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<usize>().ok();
    let mut rest = &words[3 + number(&words[2]).unwrap_or(0) + 5..];
    let mut items = items[1..].iter_mut();
    while let [_, _, _, shape, behind @ ..] = rest {
        let count = shape.split(|byte| *byte == b',').nth(1).and_then(number).unwrap_or(0);
        let mut commands = Vec::new();
        rest = behind;
        for _ in 0..count {
            let (command, after) = rest[1..].split_at(number(&rest[0]).unwrap_or(0));
            commands.push(command);
            rest = after;
        }
        let Some(first) = items.next() else { return };
        let is_list = count > 1 || matches!(first, Value::Array(_));
        let replies = match first {
            Value::Array(parts) => match Reply(parts[0].clone()).to_string().as_str() {
                "ABSENT" => &mut parts[1],
                "AHEAD" | "EXPIRED" => {
                    parts[1] = Value::Nil;
                    continue;
                }
                _ => continue,
            },
            _ => items.next().expect("replies behind a line"),
        };
        *replies = match std::mem::replace(replies, Value::Nil) {
            Value::Array(all) if is_list => Value::Array(
                all.into_iter().zip(commands).map(|(reply, of)| command_answer(of, reply)).collect(),
            ),
            reply => commands.first().map_or(Value::Nil, |command| command_answer(command, reply)),
        };
    }
}

/// The marks of registers, in the order in which the server scans them.
fn marks_in_order(words: &[Vec<u8>], page: &Value) -> Value {
    let Value::Array(items) = page else { return page.clone() };
    let [Value::BulkString(packed)] = items.as_slice() else { return page.clone() };
    let mut marks: Vec<&[u8]> = packed.chunks(if words[8] == b"a" { 12 } else { 8 }).collect();
    marks.sort_unstable();
    Value::Array(vec![Value::BulkString(marks.concat())])
}

/// Copies as they are packed: of each register the fields, and of each key the elements, in no order of their own.
fn copies_in_order(packed: &Value) -> Value {
    let Value::BulkString(packed) = packed else { return packed.clone() };
    let Some(copies) = unpacked(packed) else { return Value::Nil };
    let copy = |copy| {
        let Value::Array(mut parts) = copy else { return copy };
        parts[1] = in_order(parts[1].clone(), 2);
        let key = |key| {
            let Value::Array(mut key) = key else { return key };
            // As a state: its expiry is among the fields.
            key.insert(2, Value::Nil);
            state(Value::Array(key))
        };
        parts[2] = in_order(map(parts[2].clone(), key), 1);
        Value::Array(parts)
    };
    in_order(map(copies, copy), 1)
}

/// The commands of an apply or a read: the words behind the last number of commands that fits.
fn commands_of(words: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let number = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|text| text.parse::<usize>().ok());
    let keys = number(&words[2]).unwrap_or(0);
    [12, 4].into_iter().find_map(|at| split(words.get(2 + keys + at..)?, number)).unwrap_or_default()
}

fn split(words: &[Vec<u8>], number: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<&[Vec<u8>]>> {
    let (count, mut rest) = words.split_first()?;
    let mut commands = Vec::new();
    for _ in 0..number(count)? {
        let (argc, after) = rest.split_first()?;
        let (command, after) = after.split_at_checked(number(argc)?)?;
        commands.push(command);
        rest = after;
    }
    rest.is_empty().then_some(commands)
}

fn command_answer(words: &[Vec<u8>], answer: Value) -> Value {
    match words[0].to_ascii_uppercase().as_slice() {
        _ if matches!(answer, Value::ServerError(_)) => error(&Reply(answer).to_string()[1..]),
        b"SMEMBERS" | b"HKEYS" | b"KEYS" => in_order(answer, 1),
        b"HGETALL" => in_order(answer, 2),
        _ => answer,
    }
}

fn error(text: &str) -> Value {
    let lower = text.to_lowercase();
    let is_one = |(begin, inside): &(&str, &str)| lower.starts_with(begin) && lower.contains(inside);
    let shown = ONE_ERROR.into_iter().find(is_one).map_or(text, |(begin, _)| begin);
    Value::SimpleString(format!("!{shown}"))
}

/// `{name, form, expiry, elements}`
fn state(state: Value) -> Value {
    let Value::Array(mut parts) = state else { return state };
    let size = match Reply(parts[1].clone()).to_string().as_str() {
        "set" => 1,
        "hash" => 2,
        _ => usize::MAX,
    };
    parts[3] = in_order(parts[3].clone(), size);
    Value::Array(parts)
}

fn map(value: Value, each: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(each).collect()),
        other => other,
    }
}

/// Sorts groups of so many items.
pub fn in_order(value: Value, size: usize) -> Value {
    let Value::Array(items) = value else { return value };
    let mut groups: Vec<&[Value]> = items.chunks(size.min(items.len().max(1))).collect();
    groups.sort_by_cached_key(|group| format!("{group:?}"));
    Value::Array(groups.concat())
}
