//! Streams on servers of several versions: equal while all are there, and repaired also where a server cannot read another's DUMP.

mod harness;
mod streams_support;
mod workload;

use anarchoredis::Client;
use harness::Version;
use redis::Value;
use streams_support::{essence, patient};
use workload::{Cluster, eventually_same, run, try_run};

/// Something of each kind: entries that were trimmed and deleted, pending ones that were deleted too, claims and acknowledgements.
async fn work(store: &Client, turn: usize) {
    for command in [
        "XADD x * turn TURN",
        "XADD x MAXLEN ~ 12 * turn TURN",
        "XADD x * turn TURN",
        "XADD x * turn TURN",
        "XREADGROUP GROUP g one COUNT 2 STREAMS x >",
        "XREADGROUP GROUP g two NOACK COUNT 1 STREAMS x >",
        "XREADGROUP GROUP g cTURN STREAMS x >",
        "XREADGROUP GROUP g one COUNT 1 STREAMS x 0",
        "XAUTOCLAIM x g two 0 - COUNT 1",
        "XAUTOCLAIM x g idle 3600000 -",
        "XREADGROUP GROUP none one STREAMS x >",
    ] {
        // The last one fails, on every node.
        let _ = try_run::<Value>(store, &command.replace("TURN", &turn.to_string())).await;
    }
    let pending: Vec<(String, String, i64, i64)> = run(store, "XPENDING x g - + 10").await;
    run::<usize>(store, &format!("XDEL x {}", pending[0].0)).await;
    run::<usize>(store, &format!("XACK x g {}", pending[1].0)).await;
    run::<Value>(store, &format!("XCLAIM x g three 0 {} {}", pending[0].0, pending[2].0)).await;
}

async fn assert_alike(cluster: &Cluster) {
    let held = essence(&cluster[0], "x").await;
    for server in cluster.iter() {
        assert_eq!(essence(server, "x").await, held, "{}", server.version());
    }
}

async fn works_and_repairs(versions: &[Version]) {
    let cluster = Cluster::of(versions).await;
    let first = patient(cluster.urls()).await;
    run::<()>(&first, "XGROUP CREATE x g $ MKSTREAM").await;
    work(&first, 0).await;
    assert_alike(&cluster).await;
    assert_eq!(first.repairs().requested, 0, "nodes were found to differ");
    let store = cluster.client().await;
    for away in 0..versions.len() {
        cluster[away].pause();
        work(&store, away + 1).await;
        cluster[away].resume();
        cluster.until_votes(&store, away).await;
        eventually_same(&cluster, &store).await;
        assert_alike(&cluster).await;
    }
}

#[tokio::test]
async fn servers_of_6_2_and_7_0_and_valkey_9_make_one_stream() {
    works_and_repairs(&[Version::V6_2, Version::V7_0, Version::Valkey9]).await;
}

#[tokio::test]
async fn servers_of_7_4_and_6_2_and_valkey_9_make_one_stream() {
    works_and_repairs(&[Version::V7_4, Version::V6_2, Version::Valkey9]).await;
}

#[tokio::test]
async fn where_most_nodes_are_older_a_newer_one_brings_its_stream_to_them() {
    let cluster = Cluster::of(&[Version::V6_2, Version::V7_4, Version::V6_2]).await;
    let store = cluster.client().await;
    run::<()>(&store, "XGROUP CREATE x g $ MKSTREAM").await;
    for turn in 0..4 {
        // What one older node missed is at the newer one and at the one that goes away now.
        let (back, away) = if turn % 2 == 0 { (0, 2) } else { (2, 0) };
        cluster[away].pause();
        cluster[back].resume();
        cluster.until_votes(&store, back).await;
        work(&store, turn).await;
    }
    cluster[0].resume();
    cluster[2].resume();
    cluster.until_all_vote(&store).await;
    eventually_same(&cluster, &store).await;
    assert_alike(&cluster).await;
    assert!(run::<usize>(&store, "XLEN x").await > 6);
}
