//! The ways to a store that a worker has: the library, a proxy, the naive coordinator, Redis with Sentinel. All say of an operation that
//! failed whether it may have happened.

use std::sync::Arc;
use std::time::Duration;

use anarchoredis::{Client, Outcome, outcome_of};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Pipeline, RedisError, Value};

use super::sentinel::Door;
use crate::naive::Naive;

/// Longer than an operation may take, so that who gives up is not the client's side.
const PATIENCE: Duration = Duration::from_secs(12);

/// Why an operation has no reply.
#[derive(Debug, Clone)]
pub enum Failure {
    /// Nothing happened, and nothing will.
    NotApplied(String),
    /// It may have happened, or may yet.
    Unknown(String),
}

impl Failure {
    pub fn text(&self) -> &str {
        match self {
            Failure::NotApplied(text) | Failure::Unknown(text) => text,
        }
    }
}

/// Any number of proxies; a worker uses one, and the next one when a connection breaks.
pub struct Proxies {
    urls: Vec<String>,
    at: usize,
    connection: Option<MultiplexedConnection>,
}

impl Proxies {
    pub fn new(urls: Vec<String>, at: usize) -> Proxies {
        Proxies { at: at % urls.len(), urls, connection: None }
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, Failure> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(self.urls[self.at].as_str()).expect("a URL");
        match client.get_multiplexed_async_connection_with_config(&config).await {
            Ok(connection) => Ok(self.connection.insert(connection).clone()),
            Err(error) => {
                self.at = (self.at + 1) % self.urls.len();
                Err(Failure::NotApplied(format!("no connection to a proxy: {error}")))
            }
        }
    }

    fn judged(&mut self, error: RedisError) -> Failure {
        let failure = failure_of(&error);
        if error.code().is_none() {
            self.connection = None;
            self.at = (self.at + 1) % self.urls.len();
        }
        failure
    }
}

/// Where a worker's operations go.
pub enum Store {
    Library(Client),
    Proxies(Proxies),
    Naive(Arc<Naive>),
    Sentinel(Box<Door>),
}

impl Store {
    /// One command.
    pub async fn call(&mut self, words: &[String]) -> Result<Value, Failure> {
        match self {
            Store::Library(client) => {
                let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
                client.run(&words).await.map_err(|error| match error.outcome() {
                    Outcome::NotApplied => Failure::NotApplied(error.to_string()),
                    _ => Failure::Unknown(error.to_string()),
                })
            }
            Store::Proxies(proxies) => {
                let mut connection = proxies.connection().await?;
                let answer = connection.req_packed_command(&command(words)).await;
                plain(answer).map_err(|error| proxies.judged(error))
            }
            Store::Naive(naive) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                naive.run(&words).await.map_err(Failure::Unknown)
            }
            Store::Sentinel(door) => door.call(&command(words)).await,
        }
    }

    /// Several commands as one transaction. The naive coordinator has none.
    pub async fn together(&mut self, commands: &[Vec<String>]) -> Result<Vec<Value>, Failure> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for words in commands {
            pipe.add_command(command(words));
        }
        let answer = match self {
            Store::Library(client) => {
                executed(&mut client.clone(), &pipe).await.map_err(|error| failure_of(&error))
            }
            Store::Proxies(proxies) => {
                let mut connection = proxies.connection().await?;
                executed(&mut connection, &pipe).await.map_err(|error| proxies.judged(error))
            }
            Store::Naive(_) => panic!("the naive coordinator has no transactions"),
            Store::Sentinel(door) => door.together(&pipe).await,
        };
        match answer? {
            Value::Array(replies) if replies.len() == commands.len() => Ok(replies),
            other => panic!("EXEC of {commands:?} answered {other:?}"),
        }
    }
}

/// The reply of EXEC.
pub async fn executed(connection: &mut impl ConnectionLike, pipe: &Pipeline) -> Result<Value, RedisError> {
    let length = pipe.len();
    let mut replies = connection.req_packed_commands(pipe, length + 1, 1).await?;
    plain(Ok(replies.pop().unwrap_or(Value::Nil)))
}

pub fn plain(answer: Result<Value, RedisError>) -> Result<Value, RedisError> {
    match answer {
        Ok(Value::ServerError(error)) => Err(error.into()),
        other => other,
    }
}

/// What a server said is known; where nothing came, nothing is.
pub fn failure_of(error: &RedisError) -> Failure {
    let text = error.to_string();
    match outcome_of(error) {
        Some(Outcome::NotApplied) => Failure::NotApplied(text),
        Some(_) => Failure::Unknown(text),
        None if error.code().is_some() => Failure::NotApplied(text),
        None => Failure::Unknown(text),
    }
}

fn command(words: &[String]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    words.iter().for_each(|word| {
        command.arg(word);
    });
    command
}
