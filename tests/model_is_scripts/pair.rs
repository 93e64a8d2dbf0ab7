//! A real server and its model, which are told the same at the same time.

use anarchoredis::script::{NAMES, script};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use crate::harness::{Server, Version};
use crate::keyspace;
use crate::reply::Reply;
use crate::same::{comparable, in_order};
use crate::server_model::{self, Mistake};

pub type Words = Vec<Vec<u8>>;

/// Where the model was found to be another than the server.
#[derive(Debug)]
pub struct Difference(pub String);

pub struct Pair {
    server: Server,
    connection: MultiplexedConnection,
    model: server_model::Server,
}

impl Pair {
    pub async fn start(version: Version) -> Pair {
        let server = Server::start(version).await;
        let connection = server.connection().await;
        let pair = Pair { server, connection, model: server_model::Server::default() };
        for name in NAMES {
            let load = ["SCRIPT", "LOAD", &script(name).source].map(|word| word.as_bytes().to_vec());
            pair.ask(&load).await;
        }
        pair
    }

    pub fn version(&self) -> Version {
        self.server.version()
    }

    pub async fn forget_all(&mut self, mistake: Option<Mistake>) {
        self.ask(&[b"FLUSHALL".to_vec()]).await;
        self.model = mistake.map_or_else(server_model::Server::default, server_model::Server::with_mistake);
    }

    /// The real server's answer.
    pub async fn ask(&self, words: &[Vec<u8>]) -> Value {
        let mut cmd = Cmd::new();
        for word in words {
            cmd.arg(word.as_slice());
        }
        self.connection.clone().send_packed_command(&cmd).await.expect("an answer of the server")
    }

    /// The real server's clock, right before what is asked along with it.
    pub async fn ask_at(&self, words: &[Vec<u8>]) -> (u64, Value) {
        let time = [b"TIME".to_vec()];
        let (time, answer) = tokio::join!(self.ask(&time), self.ask(words));
        let time = Reply(time);
        (time.number(0) * 1_000_000 + time.number(1), answer)
    }

    /// What the model answers at that time.
    pub fn model(&mut self, now_us: u64, words: &[Vec<u8>]) -> Value {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.model.run(now_us, &words)
    }

    /// Tells both; the server's answer, which is the model's, too.
    pub async fn run(&mut self, words: &[Vec<u8>]) -> Result<Value, Difference> {
        let (now_us, real) = self.ask_at(words).await;
        let modelled = self.model(now_us, words);
        let [real_form, model_form] = [&real, &modelled].map(|answer| {
            let answer =
                if self.is_slice_without_order(now_us, words) { sliced(answer) } else { answer.clone() };
            comparable(words, answer)
        });
        if real_form == model_form {
            return Ok(real);
        }
        let shown: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        let shown = shown.join(" ");
        Err(Difference(format!("{shown}\n  server: {real_form}\n  model:  {model_form}")))
    }

    fn is_slice_without_order(&self, now_us: u64, words: &[Vec<u8>]) -> bool {
        let Some(at) = words.iter().position(|word| word == b"slice") else { return false };
        let mut model = self.model.clone();
        let kind = Reply(model.run(now_us, &[b"TYPE", &words[at - 3]])).to_string();
        kind == "set" || kind == "hash"
    }

    /// Both hold the same keys, expiries and values.
    pub async fn compare_all(&mut self) -> Result<(), Difference> {
        keyspace::compare(self).await
    }
}

/// A slice of a set or hash, of which the model and the server take all elements at once.
fn sliced(answer: &Value) -> Value {
    match answer {
        Value::Array(items) if items.len() == 5 => {
            let mut items = items.clone();
            items[4] = in_order(items[4].clone(), 1);
            Value::Array(items)
        }
        other => other.clone(),
    }
}
