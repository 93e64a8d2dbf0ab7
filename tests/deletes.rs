//! Very many keys are deleted, or expire, while a node is away for longer than the purge age; it comes back with all of them, and none
//! returns. `ANARCHO_DELETES` sets how many.

mod harness;
mod workload;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config};
use futures_util::StreamExt;
use harness::{Nodes, Server, Version, eventually};
use std::env;
use std::time::{Duration, Instant};
use workload::{run, try_run};

const SOON: Duration = Duration::from_secs(540);
const AT_ONCE: usize = 64;

fn config() -> Config {
    Config {
        operation_timeout: Duration::from_millis(1_000),
        max_clock_offset: Duration::from_millis(100),
        retry_window: Duration::from_millis(2_500),
        purge_age: Duration::from_millis(3_000),
        ..Config::default()
    }
}

async fn each(client: &Client, keys: u64, line: impl Fn(u64) -> String) {
    let writes = (0..keys).map(|key| {
        let (client, line) = (client.clone(), line(key));
        // On a busy machine an answer may come too late; what is written is the same each time.
        async move { while try_run::<redis::Value>(&client, &line).await.is_err() {} }
    });
    futures_util::stream::iter(writes).buffer_unordered(AT_ONCE).for_each(async |_| {}).await;
}

async fn memory(server: &Server) -> u64 {
    let info: String = server.run(&["INFO", "memory"]).await.expect("INFO");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|used| used.trim().parse().ok()).expect("the memory used")
}

async fn keys(server: &Server, pattern: &str) -> usize {
    server.run::<Vec<String>>(&["KEYS", pattern]).await.expect("keys").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_and_expired_keys_do_not_return_with_a_node_that_was_away_for_longer_than_the_purge_age() {
    let deletes: u64 = env::var("ANARCHO_DELETES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("always"))).await;
    let client = Client::builder().nodes(nodes.urls()).config(config()).connect().await.expect("a client");
    run::<()>(&client, "SET stays v").await;
    let empty = memory(&nodes[0]).await;
    each(&client, deletes, |key| format!("SET gone:{key} v")).await;
    each(&client, deletes, |key| format!("SET mortal:{key} v")).await;
    let healer = Healer::connect(nodes.urls(), config()).await.expect("a healer");
    eventually("all nodes hold it all", SOON, async || {
        healer.once(&Silent).await.is_ok_and(|done| done.complete)
    })
    .await;
    nodes[2].kill();
    eventually("the node is away", SOON, async || healer.status().await.voters == 2).await;
    let began = Instant::now();
    each(&client, deletes, |key| format!("DEL gone:{key}")).await;
    each(&client, deletes, |key| format!("PEXPIRE mortal:{key} 1")).await;
    let deleted = Instant::now();
    println!("{deletes} deleted and {deletes} expired in {:?}", deleted - began);
    eventually("the purge age is over", SOON, async || {
        let purge = healer.purge().await.expect("a purge");
        assert_eq!((purge.purged, purge.held), (0, 2 * deletes), "they stay while a node is away");
        deleted.elapsed() > config().purge_age * 2
    })
    .await;
    let held = memory(&nodes[0]).await;
    nodes[2].restart().await;
    assert_eq!(keys(&nodes[2], "gone:*").await as u64, deletes, "it comes back with all that was deleted");
    let began = Instant::now();
    eventually("all nodes are identical", SOON, async || {
        healer.once(&Silent).await.is_ok_and(|done| done.complete)
    })
    .await;
    println!("identical again after {:?}", began.elapsed());
    let (began, mut purged) = (Instant::now(), 0);
    eventually("no tombstone is left", SOON, async || {
        let purge = healer.purge().await.expect("a purge");
        purged += purge.purged;
        purge.held == 0
    })
    .await;
    println!("{purged} purged in {:?}", began.elapsed());
    for node in nodes.iter() {
        assert_eq!((keys(node, "gone:*").await, keys(node, "mortal:*").await), (0, 0), "none returned");
        assert_eq!(keys(node, "anrcho_version:*").await, 1, "only what lives has a record");
    }
    assert_eq!(run::<u64>(&client, "DBSIZE").await, 1);
    let rest = memory(&nodes[0]).await;
    println!("memory: {empty} bytes before, {held} with all tombstones, {rest} at rest");
    if deletes >= 10_000 {
        assert!(rest - empty < (held - empty) / 10, "the tombstones' memory is free again");
    }
}
