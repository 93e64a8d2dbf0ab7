//! Streams where clocks differ: what is stored is the same on all nodes, and past on each.

mod harness;
mod streams_support;
mod workload;

use anarchoredis::Client;
use harness::eventually;
use redis::Value;
use streams_support::same_streams;
use workload::{Cluster, PATIENCE, Shifted, eventually_same, run};

async fn client(cluster: &Cluster, by_ms: i64) -> Client {
    Shifted { by_ms }.client(cluster.urls()).await
}

#[tokio::test]
async fn a_client_whose_clock_is_off_still_delivers_in_one_round_trip() {
    for by_ms in [300, -300] {
        let cluster = Cluster::start().await;
        let store = client(&cluster, by_ms).await;
        run::<()>(&store, "XGROUP CREATE x g 0 MKSTREAM").await;
        run::<String>(&store, "XADD x * f v").await;
        cluster.reset_calls().await;
        run::<Value>(&store, "XREADGROUP GROUP g one STREAMS x >").await;
        eventually("all nodes were asked", PATIENCE, async || cluster.round_trips().await == [1; 3]).await;
        let held = same_streams(&cluster, &["x"]).await;
        assert!(held.contains(" one "), "{held}");
    }
}

#[tokio::test]
async fn ids_grow_also_where_the_clocks_of_the_writers_are_apart() {
    let cluster = Cluster::start().await;
    let (fast, slow) = (client(&cluster, 200).await, client(&cluster, -200).await);
    run::<()>(&slow, "XGROUP CREATE x g 0 MKSTREAM").await;
    let mut last = (0, 0);
    for turn in 0..20 {
        let store = if turn % 2 == 0 { &fast } else { &slow };
        let id: String = run(store, "XADD x * f v").await;
        let (ms, sequence) = id.split_once('-').expect("an id");
        let id: (u64, u64) = (ms.parse().expect("a time"), sequence.parse().expect("a sequence"));
        assert!(id > last, "{id:?} after {last:?}");
        last = id;
        run::<Value>(store, "XREADGROUP GROUP g one STREAMS x >").await;
        run::<Value>(store, "XAUTOCLAIM x g two 0 - COUNT 3").await;
    }
    eventually_same(&cluster, &fast).await;
    same_streams(&cluster, &["x"]).await;
}
