//! Who is measured, and what they do.

use crate::harness::Server;
use anarchoredis::Client;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The plainest script that runs a command: what a node pays for a script at all.
const BARE: &str = "return redis.call(unpack(ARGV))";
const VALUE: [u8; 100] = [b'x'; 100];

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Set,
    Get,
    Incr,
    Lpush,
}

impl Operation {
    pub const ALL: [Operation; 4] = [Operation::Set, Operation::Get, Operation::Incr, Operation::Lpush];

    pub fn name(self) -> &'static str {
        match self {
            Operation::Set => "SET",
            Operation::Get => "GET",
            Operation::Incr => "INCR",
            Operation::Lpush => "LPUSH",
        }
    }

    fn has_value(self) -> bool {
        matches!(self, Operation::Set | Operation::Lpush)
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client, linearizable.
    Ours,
    /// `EVALSHA` of the bare script to the same three servers, waiting for all.
    Evalsha,
    /// The command itself to the same three servers, waiting for all.
    Raw,
    /// The command to one server.
    Plain,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Ours, Kind::Evalsha, Kind::Raw, Kind::Plain];

    /// As in `--contender`, and in front of its keys.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ours => "ours",
            Kind::Evalsha => "evalsha",
            Kind::Raw => "raw",
            Kind::Plain => "plain",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Kind::Ours => "ours, linearizable",
            Kind::Evalsha => "bare EVALSHA to all three",
            Kind::Raw => "the command to all three",
            Kind::Plain => "one plain server",
        }
    }
}

#[derive(Clone)]
enum Way {
    Client(Client),
    Script(Vec<MultiplexedConnection>, String),
    Connections(Vec<MultiplexedConnection>),
}

/// A contender with its connections. Clones share them, as the tasks of a service do.
#[derive(Clone)]
pub struct Contender {
    kind: Kind,
    way: Way,
    pushed: Arc<AtomicUsize>,
}

impl Contender {
    pub async fn new(kind: Kind, client: &Client, servers: &[Server]) -> Contender {
        let servers = if kind == Kind::Plain { &servers[..1] } else { servers };
        let connections = join_all(servers.iter().map(Server::connection)).await;
        let way = match kind {
            Kind::Ours => Way::Client(client.clone()),
            Kind::Raw | Kind::Plain => Way::Connections(connections),
            Kind::Evalsha => load_script(connections).await,
        };
        Contender { kind, way, pushed: Arc::default() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many elements it has put into lists.
    pub fn pushed(&self) -> usize {
        self.pushed.load(Ordering::Relaxed)
    }

    pub fn forget_pushed(&self) {
        self.pushed.store(0, Ordering::Relaxed);
    }

    /// Runs the operation on the key of this number.
    ///
    /// # Panics
    ///
    /// When it fails: a benchmark of errors is no benchmark.
    pub async fn run(&mut self, operation: Operation, number: usize) {
        if operation == Operation::Lpush {
            self.pushed.fetch_add(1, Ordering::Relaxed);
        }
        let key = self.key(operation, number);
        let value = operation.has_value().then_some(&VALUE[..]);
        self.send(operation.name(), &key, value).await;
    }

    /// Makes the key of this number exist where the operation reads; the others make their own.
    pub async fn prepare(&mut self, operation: Operation, number: usize) {
        let key = self.key(operation, number);
        match operation {
            Operation::Get => self.send("SET", &key, Some(&VALUE)).await,
            Operation::Set | Operation::Incr | Operation::Lpush => self.run(operation, number).await,
        }
    }

    pub async fn drop_key(&mut self, operation: Operation, number: usize) {
        let key = self.key(operation, number);
        self.send("DEL", &key, None).await;
    }

    fn key(&self, operation: Operation, number: usize) -> String {
        format!("{}:{}:{number}", self.kind.word(), operation.name())
    }

    async fn send(&mut self, name: &str, key: &str, value: Option<&[u8]>) {
        match &mut self.way {
            Way::Client(client) => {
                let reply: Value =
                    command(name, key, value).query_async(client).await.expect("the store answers");
                std::hint::black_box(reply);
            }
            Way::Connections(connections) => to_all(connections, &command(name, key, value)).await,
            Way::Script(connections, sha) => {
                let mut cmd = redis::cmd("EVALSHA");
                cmd.arg(sha.as_str()).arg(1).arg(key).arg(name).arg(key).arg(value);
                to_all(connections, &cmd).await;
            }
        }
    }
}

fn command(name: &str, key: &str, value: Option<&[u8]>) -> Cmd {
    let mut cmd = redis::cmd(name);
    cmd.arg(key).arg(value);
    cmd
}

async fn to_all(connections: &mut [MultiplexedConnection], cmd: &Cmd) {
    let sending = connections.iter_mut().map(|connection| cmd.query_async::<Value>(connection));
    for reply in join_all(sending).await {
        std::hint::black_box(reply.expect("the server answers"));
    }
}

async fn load_script(mut connections: Vec<MultiplexedConnection>) -> Way {
    let mut sha = String::new();
    for connection in &mut connections {
        let mut load = redis::cmd("SCRIPT");
        sha = load.arg("LOAD").arg(BARE).query_async(connection).await.expect("the script loads");
    }
    Way::Script(connections, sha)
}
