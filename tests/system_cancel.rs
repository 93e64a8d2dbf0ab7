//! Callers that go away, scripts that are gone, connections that are killed: nothing is applied twice, and the next operation
//! works.

mod harness;
mod workload;

use std::time::Duration;

use anarchoredis::Client;
use workload::{Cluster, Increments, Load, Rng, eventually_same, run, try_run, words};

/// Drops a call after this long. Says whether the reply came before.
async fn abandon(client: &Client, command: &str, after: Duration) -> bool {
    let words = words(command);
    tokio::time::timeout(after, client.run(&words)).await.is_ok_and(|reply| reply.is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_whose_callers_go_away_count_once_or_not_at_all() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut rng = Rng::new(7);
    let (mut acked, mut dropped) = (0, 0);
    for _ in 0..1_000 {
        let after = Duration::from_micros(rng.below(600));
        let done = abandon(&client, "INCR counter", after).await;
        *(if done { &mut acked } else { &mut dropped }) += 1;
    }
    assert!(acked > 0 && dropped > 0, "{acked} answered, {dropped} dropped: the drops show nothing");
    let total: i64 = run(&client, "GET counter").await;
    assert!(acked <= total && total <= acked + dropped, "{acked} ≤ {total} ≤ {acked} + {dropped}");
    let next: i64 = run(&client, "INCR counter").await;
    assert!(next > total);
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_while_a_node_hangs_harm_nobody_else() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let load = Load::start(&client, "others", 4);
    cluster[2].pause();
    let mut rng = Rng::new(11);
    for turn in 0..300 {
        let key = turn % 5;
        abandon(&client, &format!("RPUSH list:{key} {turn}"), Duration::from_micros(rng.below(3_000))).await;
        abandon(&client, &format!("LRANGE list:{key} 0 -1"), Duration::from_micros(rng.below(3_000))).await;
    }
    cluster[2].resume();
    cluster.until_votes(&client, 2).await;
    load.stop().await.assert_unharmed();
    for key in 0..5 {
        let list: Vec<u32> = run(&client, &format!("LRANGE list:{key} 0 -1")).await;
        let mut once = list.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), list.len(), "list:{key} holds an element twice: {list:?}");
    }
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn script_caches_emptied_under_load_neither_fail_nor_double_an_operation() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let load = Load::start(&client, "flushed", 8);
    for turn in 0..30 {
        cluster[turn % 3].run::<()>(&["SCRIPT", "FLUSH"]).await.expect("SCRIPT FLUSH");
        load.further(50).await;
    }
    load.stop().await.assert_unharmed();
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_killed_under_load_neither_fail_nor_double_an_operation() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let load = Load::start(&client, "killed", 8);
    for turn in 0..30 {
        let killed: i64 = cluster[turn % 3]
            .run(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
            .await
            .expect("CLIENT KILL");
        assert!(killed > 0, "there was no connection to kill");
        load.further(50).await;
        cluster.until_all_vote(&client).await;
    }
    load.stop().await.assert_unharmed();
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_killed_at_once_leave_no_operation_applied_twice() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let increments = Increments::start(&client, 8);
    for _ in 0..5 {
        for server in cluster.iter() {
            let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
            server.run::<i64>(&kill).await.expect("CLIENT KILL");
        }
        cluster.until_all_vote(&client).await;
        increments.further(20).await;
    }
    increments.assert_exact(&client).await;
    eventually_same(&cluster, &client).await;
}

#[tokio::test]
async fn a_client_that_is_closed_finishes_what_is_under_way_and_takes_nothing_more() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let other = client.clone();
    let command = words("INCR counter");
    let under_way: Vec<_> = (0..50).map(|_| client.run(&command)).collect();
    let (replies, done) = tokio::join!(futures_util::future::join_all(under_way), other.close());
    assert!(done, "it did not finish in time");
    let acked = replies.iter().filter(|reply| reply.is_ok()).count();
    assert_eq!(acked, 50, "{replies:?}");
    let refused = try_run::<i64>(&client, "INCR counter").await;
    assert!(matches!(refused, Err(anarchoredis::Error::Closed)), "{refused:?}");
    let newcomer = cluster.client().await;
    assert_eq!(run::<i64>(&newcomer, "GET counter").await, 50);
}
