//! A replication layer as one would first write it, over connections of the simulation.
//!
//! An integer version key beside the value, a script that bumps it and runs the command, the command sent to every node as it
//! is, any majority of answers is success and the first good one is the reply, a call without an answer is sent once more, the
//! highest version wins a read and a repair. No fences, no tombstones, no digests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anarchoredis::Error;
use anarchoredis::error::Failures;
use anarchoredis::surroundings::{Connection, Patience, Surroundings};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use redis::{Client, Cmd, RedisResult, ServerError, Value, from_redis_value};
use sha1_smol::Sha1;

use crate::simulated::wire::Party;
use crate::simulated::workload::Store;

/// After how long it sends the same call once more, and after how long it gives up that one.
const PATIENCE: Duration = Duration::from_millis(500);
const READS: [&str; 13] = [
    "GET",
    "STRLEN",
    "LRANGE",
    "LLEN",
    "SMEMBERS",
    "SISMEMBER",
    "SCARD",
    "PEXPIRETIME",
    "PTTL",
    "EXISTS",
    "MGET",
    "TYPE",
    "HGETALL",
];

/// One coordinator. Clones share its connections.
#[derive(Clone)]
pub struct Naive {
    party: Arc<Party>,
    nodes: Arc<Vec<Node>>,
}

struct Node {
    client: Client,
    connection: Mutex<Option<Connection>>,
}

/// What one node holds of a key.
#[derive(Clone, Debug)]
pub struct Held {
    pub version: Option<u64>,
    /// The command that makes the value, where there is one.
    pub value: Option<String>,
}

/// Why a command has no reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Every node that answered refused it.
    Refused(ServerError),
    /// Too few nodes answered. It does not say what became of the command.
    TooFew,
}

impl Naive {
    pub fn new(urls: &[String], party: Arc<Party>) -> Naive {
        let node = |url: &String| Node {
            client: Client::open(url.as_str()).expect("a URL"),
            connection: Mutex::new(None),
        };
        Naive { party, nodes: Arc::new(urls.iter().map(node).collect()) }
    }

    /// Runs one command on all nodes.
    pub async fn say(&self, words: &[&str]) -> Result<Value, Failure> {
        if READS.contains(&words[0]) { self.read(words).await } else { self.write(words).await }
    }

    async fn write(&self, words: &[&str]) -> Result<Value, Failure> {
        let script = pasted(words);
        let mut calls: FuturesUnordered<_> =
            self.nodes.iter().map(|node| self.evaluate(node, &script)).collect();
        let mut answers = Vec::new();
        while let Some(answer) = calls.next().await {
            answers.extend(answer.ok().map(last));
        }
        self.check_majority(answers.len())?;
        let good = answers.iter().find(|answer| !matches!(answer, Value::ServerError(_)));
        good.cloned().map_or_else(|| accepted(answers.remove(0)), Ok)
    }

    /// The highest version wins; a node that has none has no vote.
    async fn read(&self, words: &[&str]) -> Result<Value, Failure> {
        let script = format!("GET version:{}\n{}", words[1], words.join(" "));
        let calls = join_all(self.nodes.iter().map(|node| self.evaluate(node, &script))).await;
        let answers: Vec<(Option<u64>, Value)> = calls.into_iter().flatten().map(version_and_reply).collect();
        self.check_majority(answers.len())?;
        let best = answers.into_iter().rev().max_by_key(|(version, _)| *version);
        accepted(best.map_or(Value::Nil, |(_, reply)| reply))
    }

    fn check_majority(&self, answers: usize) -> Result<(), Failure> {
        if answers > self.nodes.len() / 2 { Ok(()) } else { Err(Failure::TooFew) }
    }

    /// Several commands, pipelined on each node; what a node does not know as a script goes again.
    pub async fn pipeline(&self, commands: &[&[&str]]) {
        let scripts: Vec<String> = commands.iter().map(|words| pasted(words)).collect();
        let per_node = async |node| {
            // Both are under way at once, and the retry comes behind both.
            let first = join_all(scripts.iter().map(|script| self.send(node, by_hash(script)))).await;
            for (script, answer) in scripts.iter().zip(first) {
                if matches!(answer, Ok(Value::ServerError(error)) if error.code() == "NOSCRIPT") {
                    self.send(node, in_full(script)).await.expect("an answer");
                }
            }
        };
        join_all(self.nodes.iter().map(per_node)).await;
    }

    /// What every node holds of a key, where it answers.
    pub async fn look(&self, key: &str) -> Vec<Option<Held>> {
        let script = format!(
            "GET version:{key}\nTYPE {key}\nGET {key}\nLRANGE {key} 0 -1\nSMEMBERS {key}\nHGETALL {key}"
        );
        let look = async |node| Some(held(key, self.send(node, in_full(&script)).await.ok()?));
        join_all(self.nodes.iter().map(look)).await
    }

    /// Copies the highest version to the nodes that have a lower one, or the same without a value. Nodes without a version
    /// have no vote and get nothing.
    pub async fn heal(&self, key: &str) {
        let held = self.look(key).await;
        let best =
            held.iter().flatten().filter(|held| held.value.is_some()).rev().max_by_key(|held| held.version);
        let Some(best) = best else { return };
        for (place, held) in held.iter().enumerate() {
            let Some(held) = held else { continue };
            if held.version.is_some() && (held.version < best.version || held.value.is_none()) {
                self.store(place, key, best).await;
            }
        }
    }

    /// The value alone travels, without its expiry, whatever the node holds by now.
    pub async fn store(&self, place: usize, key: &str, held: &Held) {
        let (value, version) = (held.value.as_deref().expect("a value"), held.version.unwrap_or_default());
        let script = format!("DEL {key}\n{value}\nSET version:{key} {version}");
        // A node that does not answer stays as it is.
        let _ = self.send(&self.nodes[place], in_full(&script)).await;
    }

    /// A call that got no answer is sent once more.
    async fn evaluate(&self, node: &Node, script: &str) -> RedisResult<Value> {
        match self.send(node, in_full(script)).await {
            Ok(answer) => Ok(answer),
            Err(_) => self.send(node, in_full(script)).await,
        }
    }

    /// An error is no answer; what the server refuses is an answer.
    async fn send(&self, node: &Node, command: Cmd) -> RedisResult<Value> {
        let lock = || node.connection.lock().expect("nothing panics under this lock");
        let sending = async {
            let known = lock().clone();
            let connection = match known {
                Some(connection) => connection,
                None => {
                    let patience = Patience { connect: PATIENCE, answer: PATIENCE };
                    self.party.dial(&node.client, patience).await?
                }
            };
            *lock() = Some(connection.clone());
            connection.send(&command).await
        };
        let timed_out = |_| Err((redis::ErrorKind::Io, "timed out").into());
        let answer = tokio::time::timeout(PATIENCE, sending).await.unwrap_or_else(timed_out);
        if answer.is_err() {
            *lock() = None;
        }
        answer
    }
}

/// In random schedules what failed may have happened, which is the most that can be said for it.
impl Store for Naive {
    async fn run(&self, words: &[&[u8]]) -> Result<Value, Error> {
        if words[0] == b"SPOP" {
            // Model servers cannot choose, so ours does not run it either.
            return Err(Error::NotApplied { why: "not sent", failures: Failures::default() });
        }
        let words: Vec<&str> =
            words.iter().map(|word| std::str::from_utf8(word).expect("words of text")).collect();
        self.say(&words).await.map_err(|failure| match failure {
            Failure::Refused(error) => Error::Command(error),
            Failure::TooFew => Error::Indeterminate { failures: Failures::default() },
        })
    }
}

fn accepted(reply: Value) -> Result<Value, Failure> {
    if let Value::ServerError(error) = reply { Err(Failure::Refused(error)) } else { Ok(reply) }
}

/// The reply of a script's last command.
fn last(answer: Value) -> Value {
    match answer {
        Value::Array(mut replies) => replies.pop().expect("a script of some commands"),
        refused => refused,
    }
}

fn version_and_reply(answer: Value) -> (Option<u64>, Value) {
    let Value::Array(replies) = answer else { panic!("{answer:?} is no script's answer") };
    (from_redis_value(replies[0].clone()).expect("a version"), replies[1].clone())
}

fn held(key: &str, answer: Value) -> Held {
    let Value::Array(replies) = answer else { panic!("{answer:?} is no script's answer") };
    let kind: String = from_redis_value(replies[1].clone()).expect("a type");
    let (verb, place) = match kind.as_str() {
        "string" => ("SET", 2),
        "list" => ("RPUSH", 3),
        "set" => ("SADD", 4),
        "hash" => ("HSET", 5),
        _ => ("", 1),
    };
    let elements = || match &replies[place] {
        Value::Array(_) => from_redis_value::<Vec<String>>(replies[place].clone()).expect("elements of text"),
        one => vec![from_redis_value(one.clone()).expect("a text")],
    };
    let value = (!verb.is_empty()).then(|| format!("{verb} {key} {}", elements().join(" ")));
    Held { version: from_redis_value(replies[0].clone()).expect("a version"), value }
}

/// Bumps the version, then runs the command; a deletion takes the version with it.
fn pasted(words: &[&str]) -> String {
    let verb = if words[0] == "DEL" { "DEL" } else { "INCR" };
    format!("{verb} version:{}\n{}", words[1], words.join(" "))
}

fn by_hash(script: &str) -> Cmd {
    redis::cmd("EVALSHA").arg(Sha1::from(script).hexdigest()).arg(0).clone()
}

fn in_full(script: &str) -> Cmd {
    redis::cmd("EVAL").arg(script).arg(0).clone()
}
