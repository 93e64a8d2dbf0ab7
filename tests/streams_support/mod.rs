//! A look at a whole stream, behind the layer's back.

#![allow(dead_code)]

use std::time::Duration;

use crate::harness::Server;
use anarchoredis::{Client, Config};
use redis::Value;

/// What is each node's own: how it packs entries, and when it last saw a consumer.
const OWN: [&[u8]; 4] = [b"radix-tree-keys", b"radix-tree-nodes", b"seen-time", b"active-time"];
/// What Redis 6.2 does not count.
pub const COUNTED: [&[u8]; 5] =
    [b"entries-added", b"max-deleted-entry-id", b"recorded-first-entry-id", b"entries-read", b"lag"];

/// A client that waits for every node's answer, however busy the machine is: what it leaves different was made different.
pub async fn patient(urls: Vec<String>) -> Client {
    let hedge = (Duration::from_secs(2), Duration::from_secs(2));
    let connecting = Client::builder().nodes(urls).config(Config { hedge, ..Config::default() }).connect();
    connecting.await.expect("a client of all nodes")
}

/// Entries, groups, consumers and all that is pending, with delivery times and counts, as text.
pub async fn full(server: &Server, key: &str) -> String {
    text(&info(server, key).await, &[])
}

/// The same without what not every version counts.
pub async fn essence(server: &Server, key: &str) -> String {
    text(&info(server, key).await, &COUNTED)
}

/// The same; none where there is no such stream.
pub async fn try_essence(server: &Server, key: &str) -> Option<String> {
    let exists: bool = server.run(&["EXISTS", key]).await.expect("EXISTS");
    if exists { Some(essence(server, key).await) } else { None }
}

async fn info(server: &Server, key: &str) -> Value {
    server.run(&["XINFO", "STREAM", key, "FULL", "COUNT", "0"]).await.expect("XINFO STREAM FULL")
}

/// All nodes hold these streams alike; what they hold.
pub async fn same_streams(servers: &[Server], keys: &[&str]) -> String {
    let mut all = String::new();
    for key in keys {
        let held = full(&servers[0], key).await;
        for server in &servers[1..] {
            assert_eq!(full(server, key).await, held, "{key}");
        }
        all.push_str(&held);
    }
    all
}

fn text(value: &Value, without: &[&[u8]]) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(number) => number.to_string(),
        Value::Array(fields) => {
            let is_left_out = |field: &Value| {
                let name: &[u8] = if let Value::BulkString(name) = field { name } else { b"" };
                OWN.contains(&name) || without.contains(&name)
            };
            let mut kept = Vec::new();
            let mut fields = fields.iter();
            while let Some(field) = fields.next() {
                if is_left_out(field) {
                    fields.next();
                } else {
                    kept.push(text(field, without));
                }
            }
            format!("[{}]", kept.join(" "))
        }
        other => format!("{other:?}"),
    }
}
