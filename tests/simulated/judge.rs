//! Whether what the clients were told can have happened: one register, one command after the other, on one server.

use redis::Value;

use super::EPOCH_US;
use super::history::{Said, Told};
use crate::linearizable::{Call, End, Sequential, Verdict, check};
use crate::server_model::Server;

/// How far around its time a key's expiry may take effect, in ms: clocks of nodes and coordinators each differ from the true
/// time, and a ballot may be ahead of all of them.
const EXPIRY_LEEWAY_MS: u64 = 1_500;

/// Commands that change nothing.
const READS: [&[u8]; 12] = [
    b"GET",
    b"STRLEN",
    b"LRANGE",
    b"LLEN",
    b"SMEMBERS",
    b"SISMEMBER",
    b"SCARD",
    b"PEXPIRETIME",
    b"EXISTS",
    b"MGET",
    b"TYPE",
    b"HGETALL",
];

/// One server, which runs commands one after the other, and the time that has certainly passed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OneServer {
    server: Server,
    passed_ms: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Command(Vec<Vec<u8>>),
    /// This time has passed, in ms.
    Tick(u64),
}

impl Sequential for OneServer {
    type Op = Op;
    type Reply = Value;

    fn apply(&mut self, op: &Op) -> Value {
        match op {
            Op::Command(words) => self.run(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            Op::Tick(at_ms) => {
                self.passed_ms = self.passed_ms.max(*at_ms + 1);
                // A key lives through the millisecond of its expiry; whatever is run next finds it gone.
                self.run(&[b"DBSIZE"]);
                Value::Nil
            }
        }
    }

    fn only_reads(op: &Op) -> bool {
        matches!(op, Op::Command(words) if READS.contains(&words[0].as_slice()))
    }

    fn accept(&mut self, op: &Op, reply: &Value) -> bool {
        match op {
            Op::Command(words) if words[0] == b"SPOP" => self.pop(&words[1], reply),
            Op::Command(words) if words[0] == b"SMEMBERS" => sorted(self.apply(op)) == sorted(reply.clone()),
            op => alike(&self.apply(op), reply),
        }
    }
}

impl OneServer {
    fn run(&mut self, words: &[&[u8]]) -> Value {
        self.server.run(self.passed_ms * 1_000, words)
    }

    /// The reply tells which member it was.
    fn pop(&mut self, key: &[u8], reply: &Value) -> bool {
        match reply {
            Value::BulkString(member) => self.run(&[b"SREM", key, member]) == Value::Int(1),
            Value::Nil => self.run(&[b"EXISTS", key]) == Value::Int(0),
            _ => false,
        }
    }
}

/// Redis-rs has several values for one reply.
fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::ServerError(ours), Value::ServerError(theirs)) => ours.code() == theirs.code(),
        (Value::SimpleString(text), Value::Okay) | (Value::Okay, Value::SimpleString(text)) => text == "OK",
        (ours, theirs) => ours == theirs,
    }
}

fn sorted(value: Value) -> Vec<String> {
    let mut members = match value {
        Value::Array(members) | Value::Set(members) => members,
        other => vec![other],
    };
    let mut shown: Vec<String> = members.drain(..).map(|member| format!("{member:?}")).collect();
    shown.sort();
    shown
}

/// Judges one register's history; `times_us` are the times of all events, in their order.
pub fn judge(said: &[Said], times_us: &[u64]) -> Verdict {
    // Which member went, nobody was told.
    let is_hidden = |said: &Said| said.words[0] == b"SPOP" && !matches!(said.told, Told::Reply(_));
    if said.iter().any(is_hidden) {
        return Verdict::Undecided { configurations: 0 };
    }
    let mut calls: Vec<Call<Op, Value>> = said.iter().map(call).collect();
    calls.extend(ticks(said, times_us));
    let start = OneServer { server: Server::default(), passed_ms: EPOCH_US / 1_000 };
    check(&start, &calls)
}

/// Places are doubled, so that a tick fits between any two events.
fn call(said: &Said) -> Call<Op, Value> {
    let at = 2 * said.ended + 1;
    let end = match &said.told {
        Told::Reply(reply) => End::Returned { at, reply: reply.clone() },
        Told::Applied => End::Applied { at },
        Told::Open => End::Open,
    };
    Call { client: said.client, op: Op::Command(said.words.clone()), invoked: 2 * said.invoked + 1, end }
}

/// Every expiry that was asked for takes effect around its time.
fn ticks(said: &[Said], times_us: &[u64]) -> Vec<Call<Op, Value>> {
    let mut expiries: Vec<u64> = said.iter().filter_map(expiry_ms).collect();
    expiries.sort_unstable();
    expiries.dedup();
    let place = |at_us: u64| 2 * times_us.partition_point(|time| *time < at_us) as u64;
    let tick = |at_ms: u64| Call {
        client: usize::MAX,
        op: Op::Tick(at_ms),
        invoked: place((at_ms - EXPIRY_LEEWAY_MS) * 1_000),
        end: End::Applied { at: place((at_ms + EXPIRY_LEEWAY_MS) * 1_000) + 2 },
    };
    expiries.into_iter().map(tick).collect()
}

fn expiry_ms(said: &Said) -> Option<u64> {
    let words: Vec<&[u8]> = said.words.iter().map(Vec::as_slice).collect();
    let text = match words.as_slice() {
        [b"SET", _, _, b"PXAT", at_ms] | [b"PEXPIREAT", _, at_ms] => at_ms,
        _ => return None,
    };
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What a node holds of a key, in one text.
pub fn content(server: &mut Server, now_us: u64, key: &[u8]) -> String {
    let mut run = |words: &[&[u8]]| server.run(now_us, words);
    let value = match run(&[b"TYPE", key]) {
        Value::SimpleString(kind) => match kind.as_str() {
            "string" => run(&[b"GET", key]),
            "list" => run(&[b"LRANGE", key, b"0", b"-1"]),
            "set" => run(&[b"SMEMBERS", key]),
            _ => Value::Nil,
        },
        other => other,
    };
    format!("{value:?}, expiry {:?}", run(&[b"PEXPIRETIME", key]))
}
