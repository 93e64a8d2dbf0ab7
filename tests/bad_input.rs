//! What a user can get wrong: each is an error that says what is wrong, and changes nothing on any node.

mod harness;

#[path = "bad_input/commands.rs"]
mod commands;
#[path = "bad_input/lists.rs"]
mod lists;
#[path = "bad_input/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use anarchoredis::script::Record;
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, eventually};
use redis::Value;

/// Long enough for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// What every key of a node holds; of the protocol's records only what an op changes, and not its promises.
type Keyspace = BTreeMap<Vec<u8>, Value>;

async fn keyspace(server: &Server) -> Keyspace {
    let mut connection = server.connection().await;
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("KEYS");
    let mut all = Keyspace::new();
    for key in keys {
        let look = if key.starts_with(b"anrcho_version:") {
            redis::cmd("HMGET").arg(&key).arg(&Record::FIELDS).clone()
        } else {
            redis::cmd("DUMP").arg(&key).clone()
        };
        let found: Value = look.query_async(&mut connection).await.expect("a look at the key");
        let held = if key.starts_with(b"anrcho_version:") { history(found) } else { found };
        all.insert(key, held);
    }
    all
}

/// Version and digest.
fn history(found: Value) -> Value {
    let record = Record::of(found).expect("a record").expect("a record");
    Value::SimpleString(format!("{} {}", record.version, record.digest))
}

async fn keyspaces(nodes: &[Server]) -> Vec<Keyspace> {
    futures_util::future::join_all(nodes.iter().map(keyspace)).await
}

async fn connect_with(urls: &[String], config: Config) -> Result<Client, String> {
    Client::builder().nodes(urls).config(config).connect().await.map_err(|error| error.to_string())
}

async fn connect(urls: &[String]) -> Result<Client, String> {
    connect_with(urls, Config { connect_timeout: Duration::from_secs(5), ..Config::default() }).await
}

/// Three nodes and a client.
async fn store() -> (Nodes, Client) {
    let nodes = Nodes::start(3).await;
    let client = connect(&nodes.urls()).await.expect("a client");
    (nodes, client)
}

async fn run<W: AsRef<[u8]>>(client: &Client, words: &[W]) -> Result<Value, String> {
    let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
    client.run(&words).await.map_err(|error| error.to_string())
}

async fn must<W: AsRef<[u8]>>(client: &Client, words: &[W]) -> Value {
    run(client, words).await.expect("a reply")
}

/// Waits until no repair is under way, so that nodes are as they will stay.
async fn rest(client: &Client) {
    eventually("no repair waits", SOON, async || client.repairs().waiting == 0).await;
}
