//! A server with scripts loaded, and what it holds.

use std::collections::BTreeMap;

use anarchoredis::script::{NAMES, script};
use redis::Cmd;
use redis::aio::MultiplexedConnection;
use serde_json::Value as Json;

use super::file::{bytes_of, json_of};
use crate::harness::{Server, Version};

/// The text of each script, by name.
pub type Scripts = BTreeMap<&'static str, String>;

/// As the library pastes them.
pub fn pasted() -> Scripts {
    NAMES.iter().map(|name| (name.as_str(), script(*name).source.clone())).collect()
}

const STATE: &str = include_str!("../../lua/vectors/state.lua");

pub struct Node {
    pub server: Server,
    connection: MultiplexedConnection,
    shas: BTreeMap<String, String>,
}

/// What a node holds: of each key its type, whether it expires, and its elements.
pub type State = BTreeMap<String, Json>;

impl Node {
    pub async fn start(version: Version, scripts: &Scripts) -> Node {
        let server = Server::start(version).await;
        let connection = server.connection().await;
        let mut node = Node { server, connection, shas: BTreeMap::new() };
        for (name, source) in scripts {
            let sha = node.run([b"SCRIPT".as_slice(), b"LOAD", source.as_bytes()]).await;
            node.shas.insert((*name).to_owned(), sha.as_str().expect("a SHA-1").to_owned());
        }
        node
    }

    /// Any command, and its reply as the vectors write it.
    pub async fn run(&self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Json {
        let mut cmd = Cmd::new();
        for arg in args {
            cmd.arg(arg.as_ref());
        }
        json_of(&self.connection.clone().send_packed_command(&cmd).await.expect("an answer of the server"))
    }

    pub async fn call(&self, script: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> Json {
        let count = keys.len().to_string();
        let head = [b"EVALSHA".to_vec(), self.shas[script].clone().into_bytes(), count.into_bytes()];
        self.run(head.iter().chain(keys).chain(args)).await
    }

    pub async fn empty(&self) {
        self.run(["FLUSHALL"]).await;
        self.run(["CONFIG", "SET", "maxmemory", "0"]).await;
    }

    pub async fn state(&self) -> State {
        let rows = self.run(["EVAL", STATE, "0"]).await;
        let Json::Array(rows) = rows else { panic!("state.lua answers {rows}") };
        let row = |row: Json| match row {
            Json::Array(mut row) => {
                let key = row.remove(0);
                (key.as_str().expect("a key").to_owned(), Json::Array(row))
            }
            other => panic!("a row of state.lua is {other}"),
        };
        rows.into_iter().map(row).collect()
    }

    /// Whether the server is at least of this version; Valkey says which Redis it is like.
    pub async fn is_since(&self, since: &str) -> bool {
        let info = bytes_of(&self.run(["INFO", "server"]).await);
        let info = String::from_utf8(info).expect("text");
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).expect("a version");
        let numbers = |text: &str| {
            text.split('.').map(|part| part.trim().parse::<u32>().unwrap_or(0)).collect::<Vec<_>>()
        };
        numbers(version) >= numbers(since)
    }
}
