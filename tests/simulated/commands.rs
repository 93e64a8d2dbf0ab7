//! What the model servers answer to COMMAND: the lines of Redis 7.0 for the commands that they know.

use std::sync::OnceLock;

use redis::Value;

use crate::command_support::{REDIS_7_0, command_reply};

/// What clients of the simulation use.
const USED: [&str; 34] = [
    "append",
    "copy",
    "decr",
    "del",
    "exists",
    "get",
    "getdel",
    "incr",
    "incrby",
    "llen",
    "lpop",
    "lpush",
    "lrange",
    "mget",
    "mset",
    "persist",
    "pexpireat",
    "pexpiretime",
    "rename",
    "rpop",
    "rpush",
    "sadd",
    "scard",
    "set",
    "setnx",
    "sismember",
    "smembers",
    "srem",
    "strlen",
    "type",
    "hset",
    "hgetall",
    "spop",
    "srandmember",
];

pub fn command_table() -> Value {
    static TABLE: OnceLock<Value> = OnceLock::new();
    let is_used = |line: &&str| line.split(' ').next().is_some_and(|name| USED.contains(&name));
    let lines = || REDIS_7_0.lines().filter(is_used).collect::<Vec<_>>().join("\n");
    TABLE.get_or_init(|| command_reply(&lines())).clone()
}
