//! Calls that travel together, and reads that travel without Lua.

mod harness;

use anarchoredis::Client;
use futures_util::FutureExt;
use futures_util::future::join_all;
use harness::{Nodes, Server, Version};

async fn nodes() -> Nodes {
    Nodes::with((0..3).map(|_| Server::with(Version::V7_0))).await
}

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("three nodes make a store")
}

/// The rounds of reads and of slow reads that a client has had, as its metrics have them.
fn rounds(client: &Client, kind: &str) -> u64 {
    let kind = format!("kind=\"{kind}\"");
    let metrics = client.metrics();
    let lines =
        metrics.lines().filter(|line| line.starts_with("anarcho_rounds_total{") && line.contains(&kind));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn a_call_whose_answer_nobody_looks_at_holds_up_no_other() {
    let nodes = nodes().await;
    let client = client(&nodes).await;
    for key in [b"k1", b"k2"] {
        client.run(&[b"SET".as_slice(), key, b"v"]).await.expect("SET");
    }
    // As in a `select!` whose other arm goes on: begun, and then left alone.
    let [mut first, mut second] = [b"k1", b"k2"].map(|key| {
        let client = client.clone();
        Box::pin(async move { client.run(&[b"GET".as_slice(), key]).await })
    });
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    client.run(&[b"SET", b"other", b"v"]).await.expect("it was sent, and answered");
    client.run(&[b"GET", b"other"]).await.expect("so was this");
    first.await.expect("its answer is there");
    second.await.expect("its answer is there");
}

#[tokio::test]
async fn many_calls_at_once_take_few_round_trips() {
    let nodes = nodes().await;
    let client = client(&nodes).await;
    nodes.reset_calls().await;
    let keys: Vec<String> = (0..300).map(|number| format!("key:{number}")).collect();
    let write = async |key: &str| client.run(&[b"SET".as_slice(), key.as_bytes(), key.as_bytes()]).await;
    let writes = keys.iter().map(|key| write(key));
    join_all(writes).await.into_iter().for_each(|reply| drop(reply.expect("SET")));
    let read = async |key: &str| client.run(&[b"GET".as_slice(), key.as_bytes()]).await;
    let reads = keys.iter().map(|key| read(key));
    for (key, reply) in keys.iter().zip(join_all(reads).await) {
        assert_eq!(reply.expect("GET"), redis::Value::BulkString(key.clone().into_bytes()));
    }
    for calls in nodes.round_trips().await {
        assert!(calls < 300, "{calls} calls for 600 operations");
    }
}

#[tokio::test]
async fn an_error_that_is_no_text_ends_no_connection() {
    let nodes = nodes().await;
    let client = client(&nodes).await;
    client.run(&[b"XADD", b"there", b"*", b"f", b"v"]).await.expect("XADD");
    let before = connections(&nodes).await;
    for words in [
        [b"XPENDING".as_slice(), b"s\xff", b"g\xff"].as_slice(),
        &[b"XINFO", b"CONSUMERS", b"there", b"g\xff"],
        &[b"OBJECT", b"x\xff", b"s\xff"],
        &[b"GETRANGE", b"k\xff", b"a\xff", b"b"],
    ] {
        client.run(words).await.expect_err("an error of the command");
    }
    let after = connections(&nodes).await;
    assert!(
        before.iter().all(|id| after.contains(id)),
        "somebody had to connect anew: {before:?}, {after:?}"
    );
}

/// The connections that each node has, but for that of the question.
async fn connections(nodes: &Nodes) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let clients: String = node.run(&["CLIENT", "LIST"]).await.expect("CLIENT LIST");
        let others = clients.lines().filter(|line| !line.contains("cmd=client"));
        all.extend(others.filter_map(|line| Some((place, line.split(' ').next()?.to_owned()))));
    }
    all
}

#[tokio::test]
async fn a_user_who_may_not_run_transactions_reads_through_the_script() {
    let nodes = nodes().await;
    client(&nodes).await.run(&[b"SET", b"k", b"v"]).await.expect("SET");
    for node in nodes.iter() {
        node.run::<()>(&["ACL", "SETUSER", "default", "-multi"]).await.expect("ACL");
    }
    let client = client(&nodes).await;
    let before = rounds(&client, "read");
    for _ in 0..10 {
        assert_eq!(client.run(&[b"GET", b"k"]).await.expect("GET"), redis::Value::BulkString(b"v".to_vec()));
    }
    assert_eq!(
        (rounds(&client, "read") - before, rounds(&client, "slow_read")),
        (10, 0),
        "{}",
        client.metrics()
    );
}
