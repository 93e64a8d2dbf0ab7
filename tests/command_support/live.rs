//! Commands on a live server.

use super::words;
use anarchoredis::command::Table;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult, Value};

pub async fn send(connection: &mut MultiplexedConnection, args: &[Vec<u8>]) -> RedisResult<Value> {
    let mut command = Cmd::new();
    for arg in args {
        command.arg(arg);
    }
    command.query_async(connection).await
}

pub async fn table_of(connection: &mut MultiplexedConnection) -> Table {
    Table::from_reply(&send(connection, &words("COMMAND")).await.unwrap()).unwrap()
}

/// Code word and text, as redis-rs tells them.
pub fn said(error: &RedisError) -> String {
    format!("{} {}", error.code().unwrap_or("?"), error.detail().unwrap_or(""))
}

/// One script of ordinary use, in order; `''` is an empty argument. It calls every command that we run.
pub fn script() -> impl Iterator<Item = Vec<Vec<u8>>> {
    include_str!("script.txt").lines().filter(|line| !line.starts_with('#')).map(words)
}

pub fn shown(args: &[Vec<u8>]) -> String {
    args.iter().take(20).map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>().join(" ")
}

pub async fn now_ms(connection: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await.unwrap();
    seconds * 1000 + micros / 1000
}
