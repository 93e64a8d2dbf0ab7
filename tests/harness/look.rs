//! Looking at a server, and changing it, behind the back of what is tested.

use std::fs;
use std::time::Duration;

use anarchoredis::script::Record;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult};

use super::{Server, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

/// The data of a server at one moment, as an RDB file.
#[derive(Clone)]
pub struct Snapshot(Vec<u8>);

impl Snapshot {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Server {
    /// A plain redis-rs connection to this server alone.
    ///
    /// # Panics
    ///
    /// When the server cannot be reached.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_connection().await.unwrap_or_else(|error| panic!("no connection to {}: {error}", self.url()))
    }

    /// Like [`connection`](Server::connection), for servers that may be down.
    pub async fn try_connection(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Runs one command on this server alone: `let n: i64 = server.run(&["INCR", "n"]).await?`.
    pub async fn run<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut command = Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.try_connection().await?).await
    }

    /// What this server's record says of the register; none where it has no record.
    pub async fn record(&self, register: &str) -> Option<Record> {
        let key = format!("anrcho_version:{{{register}}}");
        let [h, d, a] = Record::FIELDS;
        Record::of(self.run(&["HMGET", &key, h, d, a]).await.expect("an answer")).expect("a record")
    }

    /// How often the command of this name (lower case) was called since the start or the last
    /// [`reset_calls`](Server::reset_calls), failed calls included.
    pub async fn calls(&self, command: &str) -> u64 {
        let info: String = self.run(&["INFO", "commandstats"]).await.expect("INFO commandstats");
        let start = format!("cmdstat_{command}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// How many scripts and transactions were called, however they were: one per operation is one round trip per operation.
    pub async fn round_trips(&self) -> u64 {
        let mut sum = 0;
        for command in ["evalsha", "evalsha_ro", "eval", "eval_ro", "fcall", "fcall_ro", "exec"] {
            sum += self.calls(command).await;
        }
        sum
    }

    /// Counts calls from zero again.
    pub async fn reset_calls(&self) {
        self.run::<()>(&["CONFIG", "RESETSTAT"]).await.expect("CONFIG RESETSTAT");
    }

    /// Everything the server holds now. The server itself keeps no file of it.
    pub async fn snapshot_rdb(&self) -> Snapshot {
        self.save().await;
        let bytes = fs::read(self.folder().join("dump.rdb")).expect("the RDB file that was just saved");
        if !self.saves() {
            self.remove("dump.rdb");
        }
        Snapshot(bytes)
    }

    pub(super) async fn save(&self) {
        // Refused while the server saves in the background by itself.
        let saved = async || self.run::<()>(&["SAVE"]).await.is_ok();
        eventually("the server can save", PATIENCE, saved).await;
    }

    /// Waits until the append-only file that was just switched on holds all data.
    pub(super) async fn until_rewritten(&self) {
        let written = async || {
            let info: String = self.run(&["INFO", "persistence"]).await.expect("INFO persistence");
            info.contains("aof_enabled:1")
                && info.contains("aof_rewrite_in_progress:0")
                && info.contains("aof_rewrite_scheduled:0")
                && info.contains("aof_last_bgrewrite_status:ok")
        };
        eventually("the append-only file is written", PATIENCE, written).await;
    }
}
