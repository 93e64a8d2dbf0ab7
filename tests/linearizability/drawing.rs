//! Histories drawn as they happen: a line for each client, time from left to right.
//!
//! ```text
//! [set 1]        returned; what a command answers stands behind it: [get=1], [range=1,2], [pop=]
//! [set 1>        open: it takes effect at any time, or never
//! [set 1)        took effect within, and its reply got lost
//! [tick 5?       takes effect within, or never
//! ```
//!
//! Two calls overlap where their columns do. A call that ends in the column in which another begins overlaps it.

use super::linearizable::{Call, End};
use super::model::{Op, Reply};

/// The calls of a drawing.
pub fn calls(drawing: &str) -> Vec<Call<Op, Reply>> {
    let lanes = drawing.lines().filter(|line| !line.trim().is_empty());
    lanes.enumerate().flat_map(|(client, lane)| calls_of(client, lane)).collect()
}

fn calls_of(client: usize, lane: &str) -> Vec<Call<Op, Reply>> {
    let mut calls = Vec::new();
    let mut column = 0;
    while let Some(begin) = lane[column..].find('[').map(|offset| column + offset) {
        let end = begin + lane[begin..].find([']', '>', ')', '?']).expect("a call that ends");
        let (op, reply) = lane[begin + 1..end].split_once('=').unwrap_or((&lane[begin + 1..end], ""));
        let at = 2 * end as u64 + 1;
        let end_of_call = match &lane[end..=end] {
            "]" => End::Returned { at, reply: numbers(reply) },
            ")" => End::Applied { at },
            "?" => End::Perhaps { at },
            _ => End::Open,
        };
        calls.push(Call { client, op: parse(op), invoked: 2 * begin as u64, end: end_of_call });
        column = end + 1;
    }
    calls
}

fn numbers(text: &str) -> Reply {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(number).collect()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn parse(text: &str) -> Op {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["set", value] => Op::Set(number(value)),
        ["set", value, "until", time] => Op::SetUntil(number(value), number(time) as u64),
        ["get"] => Op::Get,
        ["incr"] => Op::Incr,
        ["push", element] => Op::Push(number(element)),
        ["pop"] => Op::Pop,
        ["range"] => Op::Range,
        ["add", element] => Op::Add(number(element)),
        ["members"] => Op::Members,
        ["tick", time] => Op::Tick(number(time) as u64),
        _ => panic!("{text} is no op of these drawings"),
    }
}
