//! Whether all nodes hold the same, looked at behind the layer's back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anarchoredis::Client;
use anarchoredis::script::Record;
use redis::{FromRedisValue, Pipeline};

use super::PATIENCE;
use crate::harness::{Server, eventually};

const RECORD: &str = "anrcho_version:{";

/// What a node holds: of each key a digest of its value, of each register its version and digest, tombstones too.
pub async fn contents(server: &Server) -> BTreeMap<String, String> {
    let mut connection = server.connection().await;
    let mut contents = BTreeMap::new();
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await.expect("SCAN");
        let keys: Vec<String> = keys.into_iter().filter(|key| is_replicated(key)).collect();
        let mut looks = redis::pipe();
        keys.iter().for_each(|key| look(&mut looks, key));
        // A page of keys that are none of ours; an empty pipeline is an error.
        looks.cmd("PING").ignore();
        let found: Vec<redis::Value> = looks.query_async(&mut connection).await.expect("the values");
        for (key, found) in keys.into_iter().zip(found) {
            let text = if key.starts_with(RECORD) {
                let record = Record::of(found).expect("a record");
                record.map(|record| format!("{} {}", record.version, record.digest)).unwrap_or_default()
            } else {
                Vec::<String>::from_redis_value(found).expect("digests are texts").join(" ")
            };
            contents.insert(key, text);
        }
        cursor = next;
        if cursor == 0 {
            return contents;
        }
    }
}

/// The layer's own keys are each node's own, but for the records.
fn is_replicated(key: &str) -> bool {
    key.starts_with(RECORD) || !key.starts_with("anrcho_")
}

fn look(looks: &mut Pipeline, key: &str) {
    if key.starts_with(RECORD) {
        looks.cmd("HMGET").arg(key).arg(&Record::FIELDS);
    } else {
        // Equal for equal values, whatever their encoding, and in sets and hashes whatever the order.
        looks.cmd("DEBUG").arg("DIGEST-VALUE").arg(key);
    }
}

/// The keys that nodes hold differently, each with what each node holds.
pub async fn difference<S: std::borrow::Borrow<Server>>(
    servers: &[S],
) -> BTreeMap<String, Vec<Option<String>>> {
    let mut all = Vec::new();
    for server in servers {
        all.push(contents(server.borrow()).await);
    }
    let keys: BTreeSet<String> = all.iter().flat_map(BTreeMap::keys).cloned().collect();
    let held = |key: String| {
        let values: Vec<Option<String>> = all.iter().map(|held| held.get(&key).cloned()).collect();
        (key, values)
    };
    let differs =
        |(_, values): &(String, Vec<Option<String>>)| values.iter().any(|value| *value != values[0]);
    keys.into_iter().map(held).filter(differs).collect()
}

/// Reads what differs until nothing does: read repair brings the nodes together.
pub async fn eventually_same(servers: &[Server], client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let different = difference(servers).await;
        if different.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "nodes still differ: {different:#?}, {:?}", client.repairs());
        for key in different.keys() {
            let register = key.strip_prefix(RECORD).map_or(key.as_str(), |id| &id[..id.len() - 1]);
            client.run(&[b"EXISTS", register.as_bytes()]).await.expect("a read");
        }
        let at_rest = async || client.repairs().waiting == 0;
        eventually("the repairs are done", PATIENCE, at_rest).await;
    }
}
