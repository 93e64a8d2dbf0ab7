//! What is compared: one plain server, and a store over three nodes, which is ours or, as a control, one that is wrong.

use anarchoredis::command::{Scopes, Table};
use anarchoredis::{Client, Config};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::docs::{self, Command};
use crate::generate::Words;
use crate::harness::{Nodes, Server, Version};
use crate::limits::is_compared;
use crate::trial::shown;

/// As long as a busy machine may need.
const PATIENCE: Duration = Duration::from_secs(28);

/// What a store over the nodes does with a sequence of commands.
#[derive(Clone)]
pub enum Store {
    Ours(Client),
    /// Every command to every node; the first one's replies.
    Naive,
    /// Ours, but for one reply.
    Lying(Client),
    /// Ours, and one node is written to behind its back.
    Meddled(Client),
}

pub struct Stores {
    pub version: Version,
    /// Nodes are of other versions than the plain server.
    pub is_mixed: bool,
    /// Some of them have other words for errors than the plain server or the client.
    pub has_other_words: bool,
    pub plain: MultiplexedConnection,
    pub nodes: Vec<MultiplexedConnection>,
    pub client: Client,
    pub store: Store,
    pub table: Table,
    pub commands: Vec<Command>,
    /// What DUMP says of values of each type.
    pub payloads: Vec<Vec<u8>>,
    runs: AtomicU64,
    _servers: (Server, Nodes),
}

impl Stores {
    /// A plain server, and three nodes of the same version.
    pub async fn start(version: Version) -> Stores {
        Stores::of(version, &[version; 3]).await
    }

    /// A plain server, and three nodes on which all keys are one register.
    pub async fn of_one_register(version: Version) -> Stores {
        Stores::with_scopes(version, &[version; 3], &[""]).await
    }

    /// A plain server, and nodes.
    pub async fn of(version: Version, versions: &[Version]) -> Stores {
        Stores::with_scopes(version, versions, &[]).await
    }

    async fn with_scopes(version: Version, versions: &[Version], scopes: &[&str]) -> Stores {
        let (server, nodes) = (Server::start(version).await, Nodes::of(versions).await);
        let config = Config { operation_timeout: PATIENCE, answer_timeout: PATIENCE, ..Config::default() };
        let builder = Client::builder().nodes(nodes.urls()).config(config).scopes(scopes);
        let client = builder.connect().await.expect("a client");
        let mut connections = Vec::new();
        for node in nodes.iter() {
            connections.push(node.connection().await);
        }
        let mut plain = server.connection().await;
        let mut table: Option<Table> = None;
        for node in &mut connections {
            let known = Table::from_reply(&ask(node, &["COMMAND"]).await).expect("a table of commands");
            table = Some(match table {
                Some(table) => table.merge(known),
                None => known,
            });
        }
        let scopes = Scopes::new(scopes).expect("no prefix of the protocol's");
        let table = table.expect("there are nodes").with_scopes(scopes);
        let mut commands = documented(version, &mut plain).await;
        let runs: Vec<&str> = table.commands().filter(|(_, no)| no.is_none()).map(|(name, _)| name).collect();
        commands.retain(|command| runs.contains(&command.name.as_str()) && is_compared(&command.name));
        let payloads = payloads(&mut plain).await;
        Stores {
            version,
            is_mixed: versions.iter().any(|other| *other != version),
            // The client's own words are those of 7.0.
            has_other_words: versions.iter().any(|other| *other != version || *other < Version::V7_0),
            plain,
            nodes: connections,
            store: Store::Ours(client.clone()),
            client,
            table,
            commands,
            payloads,
            runs: AtomicU64::new(1),
            _servers: (server, nodes),
        }
    }

    /// A name for the keys of one run.
    pub fn next_run(&self) -> String {
        format!("r{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }
}

impl Store {
    pub async fn run(&self, commands: &[Words], nodes: &[MultiplexedConnection]) -> Vec<Value> {
        match self {
            Store::Ours(client) => send(&mut client.clone(), commands).await,
            Store::Naive => {
                let mut replies = Vec::new();
                for node in nodes {
                    replies.push(send(&mut node.clone(), commands).await);
                }
                replies.swap_remove(0)
            }
            Store::Lying(client) => {
                let mut replies = send(&mut client.clone(), commands).await;
                let place = last_of(commands, "STRLEN").map(|place| &mut replies[place]);
                if let Some(Value::Int(length)) = place {
                    *length += 1;
                }
                replies
            }
            Store::Meddled(client) => {
                let replies = send(&mut client.clone(), commands).await;
                if let Some(place) = last_of(commands, "APPEND") {
                    send(&mut nodes[2].clone(), &commands[place..=place]).await;
                }
                replies
            }
        }
    }
}

fn last_of(commands: &[Words], name: &str) -> Option<usize> {
    commands.iter().rposition(|words| words[0].eq_ignore_ascii_case(name.as_bytes()))
}

/// All replies, errors among them.
pub async fn send<C: ConnectionLike>(connection: &mut C, commands: &[Words]) -> Vec<Value> {
    if commands.is_empty() {
        return Vec::new();
    }
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for words in commands {
        let mut command = Cmd::new();
        command.arg(words);
        pipeline.add_command(command);
    }
    pipeline.ignore_errors();
    let replies = connection.req_packed_commands(&pipeline, 0, commands.len()).await;
    replies.unwrap_or_else(|error| {
        let lines: Vec<String> = commands.iter().map(shown).collect();
        panic!("the connection failed: {error}; what was sent:\n{}", lines.join("\n"))
    })
}

pub async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Value {
    let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    send(connection, &[words]).await.remove(0)
}

/// What the server says of its commands; for one that cannot say it, what the next version says.
async fn documented(version: Version, plain: &mut MultiplexedConnection) -> Vec<Command> {
    let words = ["COMMAND", "DOCS"];
    if version >= Version::V7_0 {
        return docs::commands(&ask(plain, &words).await);
    }
    let newer = Server::start(Version::V7_0).await;
    docs::commands(&ask(&mut newer.connection().await, &words).await)
}

async fn payloads(plain: &mut MultiplexedConnection) -> Vec<Vec<u8>> {
    let mut payloads = vec![b"no payload".to_vec()];
    for make in
        ["SET k v", "SET k 17", "RPUSH k a b", "SADD k 1 2", "SADD k a b", "HSET k f v", "ZADD k 1 a 2.5 b"]
    {
        ask(plain, &make.split(' ').collect::<Vec<_>>()).await;
        if let Value::BulkString(payload) = ask(plain, &["DUMP", "k"]).await {
            payloads.push(payload);
        }
        ask(plain, &["DEL", "k"]).await;
    }
    payloads
}
