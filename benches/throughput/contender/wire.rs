//! An operation as it goes to a Redis server.

use crate::workload::Operation;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, Value};

/// How many elements a capped list keeps.
const KEPT: usize = 16;
/// How many fields a hash, or members a sorted set, comes to have.
const PARTS: usize = 16;
/// How long a server may wait for its replicas, in milliseconds.
const PATIENCE: usize = 2_000;

/// A command, or several that belong together.
pub enum Wire {
    One(Cmd),
    Several(Pipeline),
}

impl Wire {
    /// As a user would send it.
    pub fn plain(operation: Operation, key: &str, value: &[u8]) -> Wire {
        if operation != Operation::Capped {
            return Wire::One(command(operation, key, value));
        }
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("LPUSH").arg(key).arg(value);
        pipe.cmd("LTRIM").arg(key).arg(0).arg(KEPT - 1);
        Wire::Several(pipe)
    }

    /// By way of a script that does nothing but run it.
    pub fn scripted(operation: Operation, key: &str, value: &[u8], scripts: &Scripts) -> Wire {
        let mut call = redis::cmd("EVALSHA");
        if operation == Operation::Capped {
            call.arg(&scripts.capped).arg(1).arg(key).arg(value).arg(KEPT - 1);
        } else {
            call.arg(&scripts.bare).arg(1).arg(key);
            for argument in command(operation, key, value).args_iter() {
                if let redis::Arg::Simple(argument) = argument {
                    call.arg(argument);
                }
            }
        }
        Wire::One(call)
    }

    /// Followed by WAIT for so many replicas, unless it only reads.
    pub fn awaited(operation: Operation, key: &str, value: &[u8], replicas: usize) -> Wire {
        if operation.is_read() {
            return Wire::plain(operation, key, value);
        }
        let mut pipe = redis::pipe();
        if operation == Operation::Capped {
            pipe.cmd("MULTI").cmd("LPUSH").arg(key).arg(value);
            pipe.cmd("LTRIM").arg(key).arg(0).arg(KEPT - 1).cmd("EXEC");
        } else {
            pipe.add_command(command(operation, key, value));
        }
        pipe.cmd("WAIT").arg(replicas).arg(PATIENCE);
        Wire::Several(pipe)
    }

    pub async fn send(&self, connection: &mut (impl ConnectionLike + Send)) -> Result<Value, String> {
        let reply: redis::RedisResult<Value> = match self {
            Wire::One(cmd) => cmd.query_async(connection).await,
            Wire::Several(pipe) => pipe.query_async(connection).await,
        };
        reply.map(std::hint::black_box).map_err(|error| error.to_string())
    }
}

fn command(operation: Operation, key: &str, value: &[u8]) -> Cmd {
    let name = match operation {
        Operation::Set => "SET",
        Operation::Get => "GET",
        Operation::Incr => "INCR",
        Operation::Push | Operation::Capped => "LPUSH",
        Operation::Hset => "HSET",
        Operation::Zadd => "ZADD",
    };
    let mut cmd = redis::cmd(name);
    cmd.arg(key);
    match operation {
        Operation::Set | Operation::Push | Operation::Capped => cmd.arg(value),
        Operation::Hset => cmd.arg(format!("field:{}", part())).arg(value),
        // A score that changes: what is written already costs less.
        Operation::Zadd => cmd.arg(rand::random_range(0..1_000_000)).arg(format!("member:{}", part())),
        Operation::Get | Operation::Incr => &mut cmd,
    };
    cmd
}

fn part() -> usize {
    rand::random_range(0..PARTS)
}

/// The SHA-1 of the scripts that only run commands.
#[derive(Clone, Default)]
pub struct Scripts {
    bare: String,
    capped: String,
}

impl Scripts {
    const BARE: &str = "return redis.call(unpack(ARGV))";
    const CAPPED: &str =
        "redis.call('LPUSH', KEYS[1], ARGV[1]) return redis.call('LTRIM', KEYS[1], 0, ARGV[2])";

    pub async fn load(connection: &mut (impl ConnectionLike + Send)) -> Scripts {
        let mut load = async |script: &str| -> String {
            let mut cmd = redis::cmd("SCRIPT");
            cmd.arg("LOAD").arg(script).query_async(connection).await.expect("the script loads")
        };
        Scripts { bare: load(Scripts::BARE).await, capped: load(Scripts::CAPPED).await }
    }
}
