//! What was deleted stays deleted, and its tombstones do not stay for ever.

mod harness;
mod workload;

use std::time::Duration;

use anarchoredis::heal::{Healer, PurgeSummary, Silent};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use redis::AsyncCommands;
use workload::run;

const SOON: Duration = Duration::from_secs(30);

/// Tombstones may go after a second and a half.
fn config() -> Config {
    Config {
        operation_timeout: Duration::from_millis(400),
        max_clock_offset: Duration::from_millis(100),
        retry_window: Duration::from_millis(1_300),
        purge_age: Duration::from_millis(1_500),
        ..Config::default()
    }
}

async fn nodes() -> Nodes {
    Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("always"))).await
}

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).config(config()).connect().await.expect("a client")
}

async fn healer(nodes: &Nodes) -> Healer {
    Healer::connect(nodes.urls(), config()).await.expect("a healer")
}

async fn until_votes(client: &Client, node: usize, votes: bool) {
    let seen = || async { matches!(client.nodes()[node].seat, Seat::Voter(_)) == votes };
    eventually("the node is seen as it is", SOON, seen).await;
}

async fn records(server: &Server) -> usize {
    let keys: Vec<String> = server.run(&["KEYS", "anrcho_version:*"]).await.expect("keys");
    keys.len()
}

async fn purge_until(nodes: &Nodes, left: usize) -> PurgeSummary {
    let healer = healer(nodes).await;
    let total = std::cell::RefCell::new(PurgeSummary::default());
    eventually("the tombstones are gone", SOON, || async {
        let once = healer.purge().await.expect("a purge");
        total.replace_with(|total| PurgeSummary {
            purged: total.purged + once.purged,
            settled: total.settled + once.settled,
            ..*total
        });
        let mut all = true;
        for node in nodes.iter() {
            all &= records(node).await == left;
        }
        all
    })
    .await;
    total.into_inner()
}

#[tokio::test]
async fn tombstones_and_expired_registers_go_once_all_nodes_hold_them_settled_and_old() {
    let nodes = nodes().await;
    let store = client(&nodes).await;
    for key in 0..60 {
        run::<()>(&store, &format!("SET key:{key} v")).await;
    }
    for key in 0..20 {
        run::<i64>(&store, &format!("DEL key:{key}")).await;
        run::<i64>(&store, &format!("PEXPIRE key:{} 100", key + 20)).await;
    }
    run::<i64>(&store, "HSET {many}h f v").await;
    run::<()>(&store, "SET {many}s v").await;
    run::<i64>(&store, "DEL {many}h {many}s").await;
    let young = healer(&nodes).await.purge().await.expect("a purge");
    assert!(young.purged == 0 && young.held >= 21, "none is old enough, and they are counted: {young:?}");
    let summary = purge_until(&nodes, 20).await;
    assert_eq!(summary.purged, 41);
    assert_eq!(run::<Option<String>>(&store, "GET key:3").await, None);
    assert_eq!(run::<u64>(&store, "DBSIZE").await, 20);
    // Where there was a tombstone a new history begins.
    assert_eq!(run::<i64>(&store, "APPEND key:3 new").await, 3);
    assert_eq!(run::<String>(&client(&nodes).await, "GET key:3").await, "new");
    let again = healer(&nodes).await.once(&Silent).await.expect("a pass");
    assert!(again.complete && again.seen == again.identical, "{again:?}");
}

/// The log of more than a thousand versions, as the ops would have left it.
const LONG_LOG: &str = "
    for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
      if string.sub(field, 1, 1) == 'l' then
        for i = 100, 4095 do redis.call('HSET', KEYS[1], 'l' .. i, redis.call('HGET', KEYS[1], field)) end
        return redis.call('HLEN', KEYS[1])
      end
    end";

#[tokio::test]
async fn the_tombstone_of_a_register_that_had_very_many_keys_goes_too() {
    let nodes = nodes().await;
    let store = client(&nodes).await;
    let keys: Vec<String> = (0..1_100).map(|key| format!("{{many}}{key}")).collect();
    run::<()>(&store, &format!("MSET {} v", keys.join(" v "))).await;
    run::<i64>(&store, &format!("DEL {}", keys.join(" "))).await;
    for node in nodes.iter() {
        let fields: u64 = node.run(&["EVAL", LONG_LOG, "1", "anrcho_version:{many}"]).await.expect("a log");
        assert!(fields > 3_996, "{fields}");
    }
    assert_eq!(purge_until(&nodes, 0).await.purged, 1);
    assert_eq!(run::<i64>(&store, "APPEND {many}3 new").await, 3);
}

#[tokio::test]
async fn while_a_node_is_away_nothing_is_purged_and_it_brings_nothing_back() {
    let nodes = nodes().await;
    let store = client(&nodes).await;
    for key in 0..30 {
        run::<()>(&store, &format!("SET key:{key} v")).await;
    }
    nodes[1].kill();
    until_votes(&store, 1, false).await;
    for key in 0..30 {
        run::<i64>(&store, &format!("DEL key:{key}")).await;
    }
    let healer = healer(&nodes).await;
    // As long as it would take if the node were there.
    let deleted = std::time::Instant::now();
    eventually("the purge age is over", SOON, || async {
        let waits = PurgeSummary { held: 30, ..PurgeSummary::default() };
        assert_eq!(healer.purge().await.expect("a purge"), waits, "counted, not purged");
        deleted.elapsed() > config().purge_age * 2
    })
    .await;
    nodes[1].restart().await;
    until_votes(&store, 1, true).await;
    assert_eq!(
        nodes[1].run::<Vec<String>>(&["KEYS", "key:*"]).await.expect("keys").len(),
        30,
        "it has them all"
    );
    // The healer's own connection to the node comes back when it does.
    let pass = || async { healer.once(&Silent).await.expect("a pass").complete };
    eventually("all nodes are identical", SOON, pass).await;
    purge_until(&nodes, 0).await;
    assert_eq!(run::<u64>(&store, "DBSIZE").await, 0);
    for node in nodes.iter() {
        assert!(node.run::<Vec<String>>(&["KEYS", "key:*"]).await.expect("keys").is_empty());
    }
}

#[tokio::test]
async fn a_joining_node_drops_what_the_others_have_purged() {
    let nodes = Nodes::start(3).await;
    let store = client(&nodes).await;
    for key in 0..10 {
        run::<()>(&store, &format!("SET key:{key} v")).await;
    }
    let old = nodes[2].snapshot_rdb().await;
    for key in 0..10 {
        run::<i64>(&store, &format!("DEL key:{key}")).await;
    }
    purge_until(&nodes, 0).await;
    nodes[2].restart_from_rdb(&old).await;
    assert_eq!(nodes[2].run::<Vec<String>>(&["KEYS", "key:*"]).await.expect("keys").len(), 10);
    until_votes(&store, 2, false).await;
    let pass = healer(&nodes).await.once(&Silent).await.expect("a pass");
    assert!(pass.complete, "{pass:?}");
    for node in nodes.iter() {
        assert!(node.run::<Vec<String>>(&["KEYS", "key:*"]).await.expect("keys").is_empty());
        assert_eq!(records(node).await, 0);
    }
}

#[tokio::test]
async fn a_client_whose_operations_may_outlive_the_purge_age_is_refused() {
    let nodes = nodes().await;
    client(&nodes).await;
    let patient = Client::builder().nodes(nodes.urls()).connect().await;
    let error = patient.expect_err("its operations take longer").to_string();
    assert!(error.contains("forgets deletions after 1.5s"), "{error}");
    let slow: redis::RedisResult<()> = client(&nodes).await.set("k", "v").await;
    slow.expect("a client with shorter operations");
}
