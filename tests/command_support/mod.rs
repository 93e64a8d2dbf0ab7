//! A table of Redis 7.0 without a server, and plans as text.

#![allow(dead_code)]

pub mod live;

use anarchoredis::command::{Access, Call, Fold, Join, Part, Plan, Refusal, Table};
use redis::Value;

/// `name arity first last step`, as Redis 7.0.15 answers COMMAND; subcommands as `object|encoding`.
pub const REDIS_7_0: &str = include_str!("redis_7_0.txt");

/// A COMMAND reply of these lines, in the form that a server sends (six fields, then four that 7.0 added).
pub fn command_reply(lines: &str) -> Value {
    let mut entries: Vec<(String, Vec<Value>)> = Vec::new();
    for line in lines.lines() {
        let mut fields = line.split(' ');
        let name = fields.next().unwrap().to_owned();
        let numbers: Vec<i64> = fields.map(|field| field.parse().unwrap()).collect();
        entries.push((name, numbers.into_iter().map(Value::Int).collect()));
    }
    let children = |parent: &str| -> Vec<Value> {
        let prefix = format!("{parent}|");
        entries
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix))
            .map(|(n, f)| entry(n, f, vec![]))
            .collect()
    };
    let top = entries.iter().filter(|(name, _)| !name.contains('|'));
    Value::Array(top.map(|(name, fields)| entry(name, fields, children(name))).collect())
}

fn entry(name: &str, numbers: &[Value], children: Vec<Value>) -> Value {
    let empty = || Value::Array(vec![]);
    let mut fields = vec![Value::BulkString(name.into()), numbers[0].clone(), empty()];
    fields.extend(numbers[1..].iter().cloned());
    fields.extend([empty(), empty(), empty(), Value::Array(children)]);
    Value::Array(fields)
}

pub fn redis_7_0() -> Table {
    Table::from_reply(&command_reply(REDIS_7_0)).unwrap()
}

/// Splits at spaces; `''` is an empty argument.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| if word == "''" { vec![] } else { word.as_bytes().to_vec() }).collect()
}

pub fn plan_of(table: &Table, args: &[Vec<u8>], now_ms: u64) -> Result<Plan, Refusal> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    table.plan(&args, now_ms)
}

/// The time of the plans.
pub const NOW_MS: u64 = 1_000_000;

/// Command lines and the plans that they become.
pub fn check(rows: &[(&str, &str)]) {
    let table = redis_7_0();
    for (line, expected) in rows {
        assert_eq!(shown(&table, line, NOW_MS), *expected, "{line}");
    }
}

/// The plan of a command line as one line of text.
pub fn shown(table: &Table, line: &str, now_ms: u64) -> String {
    match plan_of(table, &words(line), now_ms) {
        Ok(Plan::Read(call)) => format!("read {}", call_text(&call)),
        Ok(Plan::Write(call)) => format!("write {}", call_text(&call)),
        Ok(Plan::Pick(pick)) => format!("pick {}", call_text(&pick.read)),
        Ok(Plan::Split(parts, join)) => split_text(&parts, join),
        Ok(Plan::Walk(walk)) => format!("walk {walk:?}"),
        Ok(Plan::Ask(command)) => format!("ask {command:?}"),
        Ok(Plan::Flush) => "flush".to_owned(),
        Ok(Plan::Publish(publish)) => format!("{publish:?}"),
        Ok(Plan::Census(census)) => format!("{census:?}"),
        Ok(Plan::Block(block)) => format!("block {block:?}"),
        Ok(Plan::Local(reply)) => format!("local {reply:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn split_text(parts: &[Part], join: Join) -> String {
    let part = |part: &Part| {
        let access = if part.access == Access::Read { "read" } else { "write" };
        format!("{access} {} at {:?}", call_text(&part.call), part.places)
    };
    format!("{join:?} of {}", parts.iter().map(part).collect::<Vec<_>>().join(" | "))
}

fn call_text(call: &Call) -> String {
    let text = |words: &[Vec<u8>]| {
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    };
    let commands: Vec<String> = call.commands.iter().map(|command| text(command)).collect();
    let mut line = format!("{} [{}] {}", call.register, text(&call.keys), commands.join("; "));
    if call.lowest_expiry_ms != 0 {
        line.push_str(&format!(" expires={}", call.lowest_expiry_ms));
    }
    let flags = [
        (call.hash_replies, "hashed"),
        (call.integer_reply, "integer"),
        (call.unordered, "unordered"),
        (call.timed, "timed"),
    ];
    for (_, flag) in flags.iter().filter(|(set, _)| *set) {
        line.push_str(&format!(" +{flag}"));
    }
    if call.fold != Fold::First {
        line.push_str(&format!(" fold={:?}", call.fold));
    }
    line
}
