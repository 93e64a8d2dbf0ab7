//! A node that came back without its streams is filled from the others, whatever versions they are of.

mod harness;
mod streams_support;
mod workload;

use anarchoredis::Config;
use anarchoredis::heal::{Healer, Silent};
use harness::Version;
use redis::Value;
use redis::streams::StreamReadReply;
use streams_support::{essence, full, patient};
use workload::{Cluster, eventually_same, run};

async fn emptied_and_healed(versions: [Version; 3], emptied: usize) {
    let cluster = Cluster::of(&versions).await;
    let store = patient(cluster.urls()).await;
    for command in [
        "XGROUP CREATE x g $ MKSTREAM",
        "XADD x 1-1 f v",
        "XADD x 2-1 f v",
        "XADD x 3-1 f v",
        "XREADGROUP GROUP g one COUNT 2 STREAMS x >",
        "XREADGROUP GROUP g two STREAMS x >",
        "XAUTOCLAIM x g two 0 2-1 COUNT 1",
        "XDEL x 1-1",
    ] {
        run::<Value>(&store, command).await;
    }
    let other = (emptied + 1) % 3;
    let held = (full(&cluster[other], "x").await, essence(&cluster[other], "x").await);
    cluster[emptied].restart_empty().await;
    let healer = Healer::connect(cluster.urls(), Config::default()).await.expect("a healer");
    let summary = healer.once(&Silent).await.expect("a pass");
    cluster.until_all_vote(&store).await;
    eventually_same(&cluster, &store).await;
    assert_eq!(essence(&cluster[emptied], "x").await, held.1, "{summary:?}");
    if versions == [versions[0]; 3] {
        assert_eq!(full(&cluster[emptied], "x").await, held.0);
    }
    // It votes, and knows enough to go on without one of the others.
    cluster[other].pause();
    let read: StreamReadReply = run(&store, "XREADGROUP GROUP g two STREAMS x 0").await;
    let ids: Vec<&str> = read.keys[0].ids.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids, ["2-1", "3-1"]);
    cluster[other].resume();
}

#[tokio::test]
async fn an_emptied_node_gets_its_streams_back() {
    emptied_and_healed([Version::V7_0; 3], 1).await;
}

#[tokio::test]
async fn an_emptied_node_that_is_older_than_the_others_gets_its_streams_back() {
    emptied_and_healed([Version::V6_2, Version::V7_4, Version::Valkey9], 0).await;
}

#[tokio::test]
async fn a_node_that_restarts_from_its_own_file_holds_the_streams_that_it_held() {
    let cluster = Cluster::durable(3).await;
    let store = patient(cluster.urls()).await;
    for command in [
        "XGROUP CREATE x g $ MKSTREAM",
        "XADD x * f v",
        "XADD x MAXLEN ~ 5 * f v",
        "XADD x 99999999999999-1 f v",
        "XREADGROUP GROUP g one COUNT 2 STREAMS x >",
        "XREADGROUP GROUP g one STREAMS x 0",
        "XREADGROUP GROUP g two NOACK STREAMS x >",
        "XREADGROUP GROUP g three STREAMS x >",
        "XAUTOCLAIM x g four 0 - COUNT 1",
        "XCLAIM x g two 0 99999999999999-1 FORCE IDLE 5000 RETRYCOUNT 7",
        "XDEL x 99999999999999-1",
    ] {
        run::<Value>(&store, command).await;
    }
    let held = essence(&cluster[0], "x").await;
    for node in 0..3 {
        cluster[node].restart().await;
        assert_eq!(essence(&cluster[node], "x").await, held);
    }
}
