//! FLUSHALL: everything goes, on every node, once; and nothing that is written after it.

mod harness;
mod workload;

use std::time::Duration;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use redis::AsyncCommands;
use workload::{Cluster, run, try_run};

const SOON: Duration = Duration::from_secs(20);

/// The users' keys that a node holds.
async fn users_keys(server: &Server) -> Vec<String> {
    let mut keys: Vec<String> = server.run(&["KEYS", "*"]).await.expect("keys");
    keys.retain(|key| !key.starts_with("anrcho_"));
    keys.sort();
    keys
}

async fn epoch(server: &Server) -> String {
    server.run(&["HGET", "anrcho_node", "epoch"]).await.expect("an epoch")
}

async fn fill(client: &Client, keys: usize) {
    for key in 0..keys {
        let _: () = client.clone().set(format!("key:{key}"), "old").await.expect("a write");
    }
}

#[tokio::test]
async fn a_flush_empties_every_node_and_every_client_goes_on() {
    let cluster = Cluster::start().await;
    let (one, other) = (cluster.client().await, cluster.client().await);
    fill(&one, 50).await;
    assert_eq!(run::<u64>(&other, "DBSIZE").await, 50);
    assert_eq!(run::<String>(&other, "FLUSHALL ASYNC").await, "OK");
    for place in 0..3 {
        assert_eq!(users_keys(&cluster[place]).await, Vec::<String>::new());
    }
    assert_eq!(run::<u64>(&one, "DBSIZE").await, 0);
    assert_eq!(run::<Option<String>>(&one, "GET key:1").await, None);
    for client in [&one, &other] {
        run::<()>(client, "APPEND key:1 new").await;
    }
    assert_eq!(run::<String>(&other, "GET key:1").await, "newnew");
    assert_eq!(run::<String>(&one, "FLUSHDB").await, "OK");
    assert_eq!(run::<Vec<String>>(&other, "KEYS *").await, Vec::<String>::new());
    // Whoever connects now begins in the same generation.
    assert_eq!(run::<u64>(&cluster.client().await, "LPUSH l a b").await, 2);
    assert_eq!(run::<u64>(&one, "DBSIZE").await, 1);
}

#[tokio::test]
async fn a_flush_is_refused_with_other_words_and_in_a_transaction() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    fill(&client, 3).await;
    let error = try_run::<()>(&client, "FLUSHALL NOW").await.expect_err("it is no option");
    assert!(error.to_string().contains("syntax error"), "{error}");
    let atomic: redis::RedisResult<()> =
        redis::pipe().atomic().cmd("FLUSHALL").set("key:1", "x").query_async(&mut client.clone()).await;
    assert!(atomic.expect_err("not in one register").to_string().contains("flushall"));
    assert_eq!(run::<u64>(&client, "DBSIZE").await, 3);
}

#[tokio::test]
async fn a_node_that_missed_a_flush_brings_nothing_back() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    fill(&client, 40).await;
    cluster[1].kill();
    cluster.until_not_voting(&client, 1).await;
    run::<()>(&client, "FLUSHALL").await;
    run::<()>(&client, "SET key:7 new").await;
    cluster[1].restart().await;
    // Any client that sees the node moves it; it votes on, with nothing in it.
    eventually("the node is moved", SOON, || async { epoch(&cluster[1]).await == epoch(&cluster[0]).await })
        .await;
    let kept = users_keys(&cluster[1]).await;
    assert!(kept.is_empty() || kept == ["key:7"], "{kept:?}");
    cluster[0].kill();
    cluster.until_not_voting(&client, 0).await;
    eventually("the node votes", SOON, || async {
        try_run::<String>(&client, "GET key:7").await.is_ok_and(|value| value == "new")
    })
    .await;
    assert_eq!(run::<Option<String>>(&client, "GET key:8").await, None);
    cluster[0].restart().await;
    assert_eq!(run::<u64>(&client, "DBSIZE").await, 1);
}

#[tokio::test]
async fn without_a_majority_nothing_is_flushed() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    fill(&client, 5).await;
    cluster[1].kill();
    cluster[2].kill();
    cluster.until_not_voting(&client, 1).await;
    cluster.until_not_voting(&client, 2).await;
    let error = try_run::<()>(&client, "FLUSHALL").await.expect_err("there is no majority");
    assert!(matches!(error, anarchoredis::Error::NoQuorum { .. }), "{error}");
    assert_eq!(users_keys(&cluster[0]).await.len(), 5);
    cluster[1].restart().await;
    eventually("a majority votes", SOON, || async { try_run::<String>(&client, "GET key:1").await.is_ok() })
        .await;
    assert_eq!(run::<String>(&client, "GET key:4").await, "old");
}

/// Of keys that were written before the flush began none is left; of those written after it came back all are.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_after_a_flush_stays_and_what_came_before_it_is_gone() {
    let cluster = Cluster::start().await;
    for round in 0..5 {
        let (writer, flusher) = (cluster.client().await, cluster.client().await);
        let writing = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0..400 {
                let began = std::time::Instant::now();
                let key = format!("k:{round}:{number}");
                let written: redis::RedisResult<()> = writer.clone().set(&key, 1).await;
                if written.is_ok() {
                    acknowledged.push((key, began, std::time::Instant::now()));
                }
            }
            acknowledged
        });
        eventually("some keys are there", SOON, || async { run::<u64>(&flusher, "DBSIZE").await > 20 }).await;
        let began = std::time::Instant::now();
        run::<()>(&flusher, "FLUSHALL").await;
        let ended = std::time::Instant::now();
        for (key, from, to) in writing.await.expect("the writer") {
            let there: bool = flusher.clone().exists(&key).await.expect("a read");
            assert!(there || from < ended, "{key} was written after the flush and is gone");
            assert!(!there || to > began, "{key} was written before the flush and is there");
        }
    }
}

/// Whoever flushes dies at any moment: then it happened or it did not, on all nodes alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_is_cut_short_is_finished_or_never_happened() {
    let nodes = Nodes::of(&[Version::V7_0; 3]).await;
    let reader = Client::builder().nodes(nodes.urls()).connect().await.expect("a client");
    let mut ends = [0, 0];
    for round in 0..30_u64 {
        fill(&reader, 10).await;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime of its own");
        let urls = nodes.urls();
        let (connected, ready) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let client = Client::builder().nodes(urls).connect().await.expect("a client");
            let _ = connected.send(());
            let _ = try_run::<()>(&client, "FLUSHALL").await;
        });
        ready.await.expect("a client that flushes");
        tokio::time::sleep(Duration::from_micros(round * 150)).await;
        runtime.shutdown_background();
        let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
        let summary = healer.once(&Silent).await.expect("a pass");
        assert!(summary.complete, "round {round}: {summary:?}");
        let left = run::<u64>(&reader, "DBSIZE").await;
        assert!(left == 0 || left == 10, "round {round}: {left} keys are left");
        let held = [users_keys(&nodes[0]).await, users_keys(&nodes[1]).await, users_keys(&nodes[2]).await];
        assert!(held.iter().all(|keys| *keys == held[0]), "round {round}: {held:?}");
        assert_eq!(epoch(&nodes[0]).await, epoch(&nodes[1]).await, "round {round}");
        assert_eq!(epoch(&nodes[0]).await, epoch(&nodes[2]).await, "round {round}");
        ends[usize::from(left == 0)] += 1;
    }
    eprintln!("cut short: {} were not begun, {} were finished", ends[0], ends[1]);
}
