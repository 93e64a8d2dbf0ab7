//! A replication layer as one would first write it: the control of the pitfall tests, each of which it must fail.
//!
//! An integer version key beside the value, a script that bumps it and runs the command, the command sent to every node as it
//! is, any majority of answers is success and the first good one is the reply, the highest version wins a read and a repair.

#![allow(dead_code)]

use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisResult, Value};

/// After how long it sends the same call once more, and after how long it gives up that one.
const PATIENCE: Duration = Duration::from_millis(500);
const READS: [&str; 9] =
    ["GET", "LRANGE", "SMEMBERS", "HGETALL", "TTL", "PTTL", "EXISTS", "STRLEN", "PFCOUNT"];

/// One coordinator.
pub struct Naive {
    clients: Vec<Client>,
    connections: Vec<Mutex<Option<MultiplexedConnection>>>,
}

/// What one node holds of a key.
#[derive(Clone, Debug)]
pub struct Held {
    pub version: Option<u64>,
    pub dump: Option<Vec<u8>>,
}

impl Naive {
    pub fn new(urls: &[String]) -> Naive {
        Naive {
            clients: urls.iter().map(|url| Client::open(url.as_str()).expect("a URL")).collect(),
            connections: urls.iter().map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Runs one command on all nodes. The error does not say what became of it.
    pub async fn run(&self, words: &[&str]) -> Result<Value, String> {
        if READS.contains(&words[0]) { self.read(words).await } else { self.write(words).await }
    }

    async fn write(&self, words: &[&str]) -> Result<Value, String> {
        let script = pasted(words);
        let mut calls: FuturesUnordered<_> = self.nodes().map(|node| self.evaluate(node, &script)).collect();
        let mut answers = Vec::new();
        while let Some(answer) = calls.next().await {
            answers.extend(answer.ok());
        }
        if answers.len() <= self.clients.len() / 2 {
            return Err("the write failed".to_owned());
        }
        let good = answers.iter().find(|answer| !matches!(answer, Value::ServerError(_)));
        good.cloned().ok_or_else(|| format!("{:?}", answers[0]))
    }

    /// The highest version wins; a node that has none has no vote.
    async fn read(&self, words: &[&str]) -> Result<Value, String> {
        let script = format!(
            "return {{redis.call('GET', {}) or false, redis.pcall({})}}",
            quoted(&format!("version:{}", words[1])),
            words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")
        );
        let calls = self.nodes().map(|node| self.evaluate(node, &script));
        let mut answers: Vec<(Option<u64>, Value)> = Vec::new();
        for answer in join_all(calls).await.into_iter().flatten() {
            let (version, reply) = redis::from_redis_value(answer).map_err(|error| error.to_string())?;
            answers.push((version, reply));
        }
        if answers.len() <= self.clients.len() / 2 {
            return Err("the read failed".to_owned());
        }
        let best = answers.into_iter().rev().max_by_key(|(version, _)| *version);
        Ok(best.map_or(Value::Nil, |(_, reply)| reply))
    }

    /// Several commands, pipelined on each node; what a node does not know as a script goes again.
    pub async fn pipeline(&self, commands: &[&[&str]]) {
        let scripts: Vec<String> = commands.iter().map(|words| pasted(words)).collect();
        let per_node = async |node: usize| {
            // Both are under way at once, and the retry comes behind both.
            let first: Vec<_> = join_all(scripts.iter().map(|script| self.send(node, by_hash(script)))).await;
            for (script, answer) in scripts.iter().zip(first) {
                if answer.is_ok_and(|value| is_noscript(&value)) {
                    self.send(node, in_full(script)).await.expect("an answer");
                }
            }
        };
        join_all(self.nodes().map(per_node)).await;
    }

    /// What every node holds of a key, where it answers.
    pub async fn look(&self, key: &str) -> Vec<Option<Held>> {
        let look = async |node: usize| {
            let version =
                self.send(node, redis::cmd("GET").arg(format!("version:{key}")).clone()).await.ok()?;
            let dump = self.send(node, redis::cmd("DUMP").arg(key).clone()).await.ok()?;
            let version = redis::from_redis_value(version).expect("a version");
            let dump = redis::from_redis_value(dump).expect("a dump");
            Some(Held { version, dump })
        };
        join_all(self.nodes().map(look)).await
    }

    /// Copies the highest version to the nodes that have a lower one, or the same without a value. Nodes without a version
    /// have no vote and get nothing. Answers what the nodes said to it.
    pub async fn heal(&self, key: &str) -> Vec<Value> {
        let held = self.look(key).await;
        let best =
            held.iter().flatten().filter(|held| held.dump.is_some()).rev().max_by_key(|held| held.version);
        let Some(best) = best else { return Vec::new() };
        let mut answers = Vec::new();
        for (node, held) in held.iter().enumerate() {
            let Some(held) = held else { continue };
            if held.version.is_some() && (held.version < best.version || held.dump.is_none()) {
                answers.push(self.store(node, key, best).await);
            }
        }
        answers
    }

    /// Compares bytes instead of versions, and copies the first node's; says to how many nodes.
    pub async fn scrub(&self, key: &str) -> usize {
        let held: Vec<Held> = self.look(key).await.into_iter().flatten().collect();
        let mut copied = 0;
        for (node, other) in held.iter().enumerate() {
            if other.dump != held[0].dump {
                self.store(node, key, &held[0]).await;
                copied += 1;
            }
        }
        copied
    }

    /// The value alone travels, without its expiry, whatever the node holds by now.
    pub async fn store(&self, node: usize, key: &str, held: &Held) -> Value {
        let mut restore = redis::cmd("RESTORE");
        restore.arg(key).arg(0).arg(held.dump.clone().unwrap_or_default()).arg("REPLACE");
        let answer = self.send(node, restore).await.expect("an answer");
        let mut version = redis::cmd("SET");
        version.arg(format!("version:{key}")).arg(held.version.unwrap_or_default());
        self.send(node, version).await.expect("an answer");
        answer
    }

    fn nodes(&self) -> std::ops::Range<usize> {
        0..self.clients.len()
    }

    /// A call that got no answer is sent once more.
    async fn evaluate(&self, node: usize, script: &str) -> RedisResult<Value> {
        let once = async || self.send(node, in_full(script)).await;
        match once().await {
            Ok(answer) => Ok(answer),
            Err(_) => once().await,
        }
    }

    /// An error is no answer; what the server refuses is an answer.
    async fn send(&self, node: usize, command: Cmd) -> RedisResult<Value> {
        let sending = async {
            let known = self.connections[node].lock().expect("nothing panics under this lock").clone();
            let mut connection = match known {
                Some(connection) => connection,
                None => self.clients[node].get_multiplexed_async_connection().await?,
            };
            *self.connections[node].lock().expect("nothing panics under this lock") =
                Some(connection.clone());
            connection.send_packed_command(&command).await
        };
        let timed_out = |_| Err((redis::ErrorKind::Io, "timed out").into());
        let answer = tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(timed_out);
        if answer.is_err() {
            *self.connections[node].lock().expect("nothing panics under this lock") = None;
        }
        answer
    }
}

fn quoted(word: &str) -> String {
    format!("{word:?}")
}

/// Bumps the version, then runs the command; a deletion takes the version with it.
fn pasted(words: &[&str]) -> String {
    let version = quoted(&format!("version:{}", words[1]));
    let command = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
    if words[0] == "DEL" {
        return format!("redis.call('DEL', {version}) return redis.call({command})");
    }
    format!("redis.call('INCR', {version}) return redis.call({command})")
}

fn by_hash(script: &str) -> Cmd {
    redis::cmd("EVALSHA").arg(sha1_smol::Sha1::from(script).hexdigest()).arg(0).clone()
}

fn in_full(script: &str) -> Cmd {
    redis::cmd("EVAL").arg(script).arg(0).clone()
}

fn is_noscript(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}
