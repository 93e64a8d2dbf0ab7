//! What a server holds, in a form in which two can be compared.

use std::fmt;

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::generate::Words;
use crate::same::{in_order, of_any_version};
use crate::stores::send;
use anarchoredis::command::Scopes;
use anarchoredis::script::Record;

/// A key's type and value, and when it goes: in ms since 1970, negative for never.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub kind: Value,
    pub value: Value,
    pub expires: i64,
}

/// PEXPIRETIME, also where there is none yet.
const EXPIRY: &str = concat!(include_str!("../../lua/lib/deadline.lua"), "return expiry_of(KEYS[1])");

impl Held {
    /// The same, and an expiry that was counted from a moment that is so much earlier or later.
    pub fn is_near(&self, other: &Held, apart_ms: u64) -> bool {
        let both_expire = self.expires > 0 && other.expires > 0;
        let apart = if both_expire { self.expires.abs_diff(other.expires) } else { 0 };
        let same_expiry = apart <= apart_ms && (both_expire || self.expires == other.expires);
        self.kind == other.kind && self.value == other.value && same_expiry
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} until {}", kind_name(&self.kind), self.value, self.expires)
    }
}

fn words(words: &[&[u8]]) -> Words {
    words.iter().map(|word| word.to_vec()).collect()
}

/// What the server holds of each key.
pub async fn held(connection: &MultiplexedConnection, keys: &[Vec<u8>]) -> Vec<Held> {
    let mut connection = connection.clone();
    let looks: Vec<Words> = keys
        .iter()
        .flat_map(|key| [words(&[b"TYPE", key]), words(&[b"EVAL", EXPIRY.as_bytes(), b"1", key])])
        .collect();
    let found = send(&mut connection, &looks).await;
    let kinds: Vec<&Value> = found.iter().step_by(2).collect();
    let looks: Vec<Words> = keys.iter().zip(&kinds).map(|(key, kind)| look(key, kind)).collect();
    let values = send(&mut connection, &looks).await;
    let pairs = found.chunks(2).zip(values);
    pairs
        .map(|(found, value)| Held {
            kind: found[0].clone(),
            value: canonical(&found[0], value),
            expires: number(&found[1]),
        })
        .collect()
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        other => panic!("the expiry is {other:?}"),
    }
}

fn kind_name(kind: &Value) -> &str {
    match kind {
        Value::SimpleString(name) => name,
        other => panic!("TYPE answered {other:?}"),
    }
}

fn look(key: &[u8], kind: &Value) -> Words {
    match kind_name(kind) {
        "string" => words(&[b"GET", key]),
        "list" => words(&[b"LRANGE", key, b"0", b"-1"]),
        "hash" => words(&[b"HGETALL", key]),
        "set" => words(&[b"SMEMBERS", key]),
        "zset" => words(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
        "none" => words(&[b"EXISTS", key]),
        // A type that has no order of its own to be listed in.
        _ => words(&[b"DUMP", key]),
    }
}

fn canonical(kind: &Value, value: Value) -> Value {
    match kind_name(kind) {
        "hash" => in_order(&value, 2),
        "set" => in_order(&value, 1),
        // Scores are doubles; their digits are the version's own.
        "zset" => with_scores(value),
        _ => value,
    }
}

fn with_scores(value: Value) -> Value {
    let Value::Array(items) = value else { return value };
    let in_turn = items.into_iter().enumerate();
    Value::Array(in_turn.map(|(at, item)| if at % 2 == 1 { of_any_version(&item) } else { item }).collect())
}

/// Version and digest of the register of each key.
pub async fn digests(
    connection: &MultiplexedConnection,
    scopes: &Scopes,
    keys: &[Vec<u8>],
) -> Vec<Vec<Value>> {
    let [h, d, a] = Record::FIELDS.map(str::as_bytes);
    let look = |key: &Vec<u8>| words(&[b"HMGET", &scopes.register_of(key).record_key(), h, d, a]);
    let looks: Vec<Words> = keys.iter().map(look).collect();
    send(&mut connection.clone(), &looks).await.into_iter().map(history).collect()
}

fn history(found: Value) -> Vec<Value> {
    let record = Record::of(found).expect("a record");
    let texts = record.into_iter().flat_map(|record| [record.version, record.digest]);
    texts.map(|text| Value::BulkString(text.into_bytes())).collect()
}
