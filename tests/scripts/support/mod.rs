//! A node with the scripts loaded, and calls spelled out as the contract spells them.

mod call;
mod reply;
mod settling;

pub use call::{Apply, ballot, ballot_of, op, op_of, words};
pub use reply::Reply;
pub use settling::{Key, Settle};

use std::collections::BTreeMap;

pub use anarchoredis::script::Record;
use anarchoredis::script::{NAMES, Name, script};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};

use crate::harness::{Server, Version};

/// The token of the admission that [`Node::start`] makes.
pub const FENCE: &str = "fence";
/// A deadline that no test lives to see.
pub const NEVER: &str = "99999999999999";

/// DBSIZE of a node that holds no register: its fence and what it is.
pub const OWN_KEYS: &str = "2";

pub type Bytes = Vec<u8>;

/// Runs a test on a fresh node of every version; the last line that it printed names the one that failed.
pub async fn on_each_version(test: impl AsyncFn(&Node)) {
    for version in Version::ALL {
        println!("on {version}");
        test(&Node::start(version).await).await;
    }
}

/// The record key of a register.
pub fn record(register: impl AsRef<[u8]>) -> Bytes {
    [b"anrcho_version:{", register.as_ref(), b"}"].concat()
}

/// A server that votes in a cluster of its own.
pub struct Node {
    pub server: Server,
    connection: MultiplexedConnection,
}

impl Node {
    pub async fn start(version: Version) -> Node {
        let node = Node::unclaimed(version).await;
        let claimed = node.admit(&["claim", "cluster", "node", "node", "run"]).await;
        let started = node.admit(&["start", "cluster", FENCE]).await;
        assert_eq!((claimed.word(), started.word()), ("OK".into(), "OK".into()));
        node
    }

    /// Knows the scripts and no cluster.
    pub async fn unclaimed(version: Version) -> Node {
        let server = Server::start(version).await;
        let connection = server.connection().await;
        let node = Node { server, connection };
        for name in NAMES {
            let loaded = node.run(["SCRIPT", "LOAD", &script(name).source]).await;
            assert_eq!(loaded.to_string(), script(name).sha);
        }
        node
    }

    pub fn version(&self) -> Version {
        self.server.version()
    }

    /// The node's clock, in milliseconds.
    pub async fn now_ms(&self) -> u64 {
        let time = self.run(["TIME"]).await;
        time.number(0) * 1_000 + time.number(1) / 1_000
    }

    /// A plain command, behind the protocol's back.
    pub async fn run(&self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Reply {
        let mut cmd = Cmd::new();
        for arg in args {
            cmd.arg(arg.as_ref());
        }
        self.send(&cmd).await
    }

    /// A plain command given as one line.
    pub async fn line(&self, line: &str) -> String {
        self.run(line.split_whitespace()).await.to_string()
    }

    pub async fn send(&self, cmd: &Cmd) -> Reply {
        let reply = self.connection.clone().send_packed_command(cmd).await;
        Reply(reply.expect("an answer of the server"))
    }

    /// A script by its cached SHA-1.
    pub async fn call(&self, name: Name, keys: &[Bytes], args: &[Bytes]) -> Reply {
        self.evaluate("EVALSHA", name, keys, args).await
    }

    /// The same by the command that lets a script write nothing, where the server has it.
    pub async fn call_read_only(&self, name: Name, keys: &[Bytes], args: &[Bytes]) -> Reply {
        let command = if self.version() >= Version::V7_0 { "EVALSHA_RO" } else { "EVALSHA" };
        self.evaluate(command, name, keys, args).await
    }

    async fn evaluate(&self, command: &str, name: Name, keys: &[Bytes], args: &[Bytes]) -> Reply {
        let mut cmd = redis::cmd(command);
        cmd.arg(&script(name).sha).arg(keys.len()).arg(keys).arg(args);
        self.send(&cmd).await
    }

    pub async fn apply(&self, apply: &Apply) -> Reply {
        self.call(Name::Apply, &apply.keys(), &apply.args(FENCE, NEVER)).await
    }

    /// Applies one command, or a batch with `;` between, as the `number`th op of coordinator 1 at the `number`th ballot.
    pub async fn op(&self, register: &str, number: u64, commands: &str) -> Reply {
        self.apply(&Apply::new(register, number, commands)).await
    }

    pub async fn settle(&self, settle: &Settle) -> Reply {
        self.call(Name::Settle, &[record(&settle.register)], &settle.args()).await
    }

    /// `read` of commands at the node's own time.
    pub async fn read(&self, register: &str, commands: &str) -> Reply {
        let now_ms = self.now_ms().await;
        self.read_at(register, now_ms, commands).await
    }

    pub async fn read_at(&self, register: &str, at_ms: u64, commands: &str) -> Reply {
        let call = Apply::new(register, 1, commands);
        let mut args = words(&format!("{FENCE} {NEVER} {at_ms}"));
        args.extend(call.command_args());
        self.call_read_only(Name::Read, &call.keys(), &args).await
    }

    /// `snapshot` of a register; `what` is the line of arguments after the deadline.
    pub async fn snapshot(&self, register: &str, keys: &[&str], what: &str) -> Reply {
        let mut all = vec![record(register)];
        all.extend(keys.iter().map(|key| key.as_bytes().to_vec()));
        self.call_read_only(Name::Snapshot, &all, &words(&format!("{FENCE} {NEVER} {what}"))).await
    }

    pub async fn admit(&self, args: &[&str]) -> Reply {
        let args: Vec<Bytes> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        self.call(Name::Admit, &[], &args).await
    }

    /// What a register's record says.
    pub async fn record(&self, register: &str) -> Record {
        let fields = Record::FIELDS.map(|field| field.as_bytes().to_vec());
        let look = [vec![b"HMGET".to_vec(), record(register)], fields.to_vec()].concat();
        Record::of(self.run(look).await.0).expect("a record").expect("a record")
    }

    /// What a register's record says of a key: its expiry in ms, `0` none; empty where it is not there.
    pub async fn entry(&self, register: &str, key: &str) -> String {
        let record = self.record(register).await;
        match record.entry.as_str() {
            "m" => self.field(register, &format!("k{key}")).await,
            entry => {
                if key == register {
                    entry.to_owned()
                } else {
                    String::new()
                }
            }
        }
    }

    /// One field of a register's record; empty where there is none.
    pub async fn field(&self, register: &str, field: &str) -> String {
        let found = self.run([b"HGET".as_slice(), &record(register), field.as_bytes()]).await;
        if found.0 == Value::Nil { String::new() } else { found.to_string() }
    }

    /// How many changes the server has counted since it started.
    pub async fn writes(&self) -> String {
        let info = self.run(["INFO", "persistence"]).await.to_string();
        let (_, rest) = info.split_once("rdb_changes_since_last_save:").expect("a count of changes");
        rest.chars().take_while(char::is_ascii_digit).collect()
    }

    /// Everything that the server holds, by key.
    pub async fn keyspace(&self) -> BTreeMap<Bytes, String> {
        let mut all = BTreeMap::new();
        let Value::Array(keys) = self.run(["KEYS", "*"]).await.0 else { panic!("KEYS answers an array") };
        for key in keys {
            let Value::BulkString(key) = key else { panic!("a key is a string") };
            let value = self.value(&key).await;
            all.insert(key, value);
        }
        all
    }

    /// A key's value as text that does not depend on an order that is the server's own.
    async fn value(&self, key: &[u8]) -> String {
        let kind = self.run([b"TYPE", key]).await.to_string();
        let ask = async |command: &str| self.run([command.as_bytes(), key]).await;
        let (elements, size) = match kind.as_str() {
            "hash" => (ask("HGETALL").await.items(), 2),
            "set" => (ask("SMEMBERS").await.items(), 1),
            _ => return ask("DUMP").await.to_string(),
        };
        let mut elements: Vec<String> = elements
            .chunks(size)
            .map(|chunk| Reply(Value::Array(chunk.iter().map(|item| item.0.clone()).collect())).to_string())
            .collect();
        elements.sort();
        elements.join(" ")
    }

    /// Asserts that what happens meanwhile writes nothing at all.
    pub async fn unchanged<T>(&self, what: impl Future<Output = T>) -> T {
        let before = (self.writes().await, self.keyspace().await);
        let result = what.await;
        assert_eq!((self.writes().await, self.keyspace().await), before, "something was written");
        result
    }
}
