//! Streams on three nodes: as one Redis would answer, equal on all nodes, repaired with groups and pending entries.

mod harness;
mod streams_support;
mod workload;

use std::collections::BTreeSet;

use anarchoredis::Client;
use harness::{Server, Version, eventually};
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamClaimReply, StreamMaxlen, StreamPendingCountReply,
    StreamPendingReply, StreamReadOptions, StreamReadReply,
};
use redis::{AsyncCommands, Value};
use streams_support::{essence, full, patient, same_streams};
use workload::{Cluster, PATIENCE, eventually_same, run, try_run};

#[tokio::test]
async fn an_application_uses_streams_as_on_one_redis() {
    let cluster = Cluster::start().await;
    let mut store = patient(cluster.urls()).await;
    let first: String = store.xadd("x", "*", &[("field", "1")]).await.expect("XADD");
    let () = store.xgroup_create("x", "g", "0").await.expect("XGROUP CREATE");
    let second: String =
        store.xadd_maxlen("x", StreamMaxlen::Approx(10), "*", &[("field", "2")]).await.expect("XADD MAXLEN");
    let options = StreamReadOptions::default().group("g", "one").count(1);
    let read: StreamReadReply = store.xread_options(&["x"], &[">"], &options).await.expect("XREADGROUP");
    assert_eq!(read.keys[0].ids[0].id, first);
    assert_eq!(read.keys[0].ids[0].get::<String>("field").as_deref(), Some("1"));
    let options = StreamReadOptions::default().group("g", "two");
    let read: StreamReadReply = store.xread_options(&["x"], &[">"], &options).await.expect("XREADGROUP");
    assert_eq!(read.keys[0].ids[0].id, second);
    let pending: StreamPendingReply = store.xpending("x", "g").await.expect("XPENDING");
    assert_eq!(pending.count(), 2);
    let claimed: StreamClaimReply = store.xclaim("x", "g", "two", 0, &[&first]).await.expect("XCLAIM");
    assert_eq!(claimed.ids[0].id, first);
    let options = StreamAutoClaimOptions::default().count(1);
    let claimed: StreamAutoClaimReply =
        store.xautoclaim_options("x", "g", "one", 3_600_000, "0-0", options).await.expect("XAUTOCLAIM");
    assert_eq!((claimed.next_stream_id.as_str(), claimed.claimed.len()), ("0-0", 0));
    let rows: StreamPendingCountReply =
        store.xpending_count("x", "g", "-", "+", 10).await.expect("XPENDING with a range");
    let rows: Vec<(&str, &str, usize)> =
        rows.ids.iter().map(|row| (row.id.as_str(), row.consumer.as_str(), row.times_delivered)).collect();
    assert_eq!(rows, [(first.as_str(), "two", 2), (second.as_str(), "two", 1)]);
    let acknowledged: usize = store.xack("x", "g", &[&first, &second]).await.expect("XACK");
    let deleted: usize = store.xdel("x", &[&first]).await.expect("XDEL");
    let length: usize = store.xlen("x").await.expect("XLEN");
    assert_eq!((acknowledged, deleted, length), (2, 1, 1));
    same_streams(&cluster, &["x"]).await;
    eventually_same(&cluster, &store).await;
}

/// Of these only replies that tell of one node's clock or memory may differ.
const CONVERSATION: &[&str] = &[
    "XADD x NOMKSTREAM * f v",
    "XREAD STREAMS x 0",
    "XREADGROUP GROUP g a STREAMS x >",
    "XGROUP CREATE x g $",
    "XADD x 1-1 f v",
    "XADD x 1-1 f v",
    "XADD x 0-0 f v",
    "XADD x 1-* f v g w",
    "XADD x 3-1 f",
    "XGROUP CREATE x g 0",
    "XGROUP CREATE x g 0",
    "XADD y 5-1 f y",
    "XADD {x}z 6-1 f z",
    "XREAD COUNT 1 STREAMS y none x {x}z 0 0 1-1 0",
    "XREAD STREAMS y x $ $",
    "XREAD STREAMS x y wrong 0",
    "XREADGROUP GROUP g a COUNT 1 STREAMS x >",
    "XREADGROUP GROUP g b STREAMS x >",
    "XREADGROUP GROUP g b STREAMS x >",
    "XREADGROUP GROUP g b STREAMS x {x}z > >",
    "XDEL x 1-2",
    "XREADGROUP GROUP g b STREAMS x 0",
    "XPENDING x g",
    "XPENDING x none",
    "XCLAIM x g b 3600000 1-1",
    "XCLAIM x g b 0 1-1",
    "XCLAIM x g b 0 1-1 7-7 JUSTID",
    "XCLAIM x none b 0 1-1",
    "XAUTOCLAIM x g c 3600000 0",
    "XAUTOCLAIM x g c 0 0 COUNT 1",
    "XAUTOCLAIM x g c 0 wrong",
    "XAUTOCLAIM x g c 0 0",
    "XPENDING x g",
    "XACK x g 1-1 1-1 8-8",
    "XPENDING x g",
    "XGROUP DELCONSUMER x g c",
    "XGROUP SETID x g 0",
    "XGROUP SETID x none 0",
    "XSETID x 1-1",
    "XSETID x 9-9",
    "XADD x 9-9 f v",
    "XTRIM x MAXLEN 0",
    "XLEN x",
    "TYPE x",
    "XINFO GROUPS x",
    "XINFO STREAM none",
    "XGROUP DESTROY x g",
    "XGROUP DESTROY x g",
    "XRANGE x - +",
    "XREVRANGE y + - COUNT 1",
    "SET text v",
    "XADD text * f v",
    "XLEN text",
    "XREADGROUP GROUP g c STREAMS text >",
    "XCLAIM text g c 0 1-1",
    "XAUTOCLAIM text g c 0 0",
    "XADD full 18446744073709551615-18446744073709551615 f v",
    "XADD full * f v",
];

#[tokio::test]
async fn replies_and_errors_are_those_of_a_lone_redis() {
    let cluster = Cluster::start().await;
    let store = patient(cluster.urls()).await;
    let lone = Server::start(Version::V7_0).await;
    let mut alone = lone.connection().await;
    for line in CONVERSATION {
        let mut cmd = redis::Cmd::new();
        cmd.arg(line.split(' ').collect::<Vec<_>>());
        let theirs: Result<Value, String> =
            cmd.query_async(&mut alone).await.map_err(|error: redis::RedisError| error.to_string());
        let ours = try_run::<Value>(&store, line).await;
        let ours = ours.map_err(|error| redis::RedisError::from(error).to_string());
        assert_eq!(ours, theirs, "{line}");
    }
    same_streams(&cluster, &["x", "y", "{x}z", "full"]).await;
    assert_eq!(store.repairs().requested, 0, "nodes were found to differ");
}

fn parsed(id: &str) -> (u64, u64) {
    let (ms, sequence) = id.split_once('-').expect("an id");
    (ms.parse().expect("a time"), sequence.parse().expect("a sequence"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_grow_whoever_adds_and_are_the_same_on_all_nodes() {
    let cluster = Cluster::start().await;
    let add = |store: Client| async move {
        let mut ids = Vec::new();
        for turn in 0..200 {
            ids.push(run::<String>(&store, &format!("XADD x * turn {turn}")).await);
        }
        ids
    };
    let (one, other) = (cluster.client().await, cluster.client().await);
    let (ours, theirs) = tokio::join!(tokio::spawn(add(one.clone())), tokio::spawn(add(other)));
    let (ours, theirs) = (ours.expect("200 adds"), theirs.expect("200 adds"));
    for ids in [&ours, &theirs] {
        assert!(ids.windows(2).all(|pair| parsed(&pair[0]) < parsed(&pair[1])), "{ids:?}");
    }
    let all: BTreeSet<(u64, u64)> = ours.iter().chain(&theirs).map(|id| parsed(id)).collect();
    assert_eq!(all.len(), 400);
    eventually_same(&cluster, &one).await;
    let entries = same_streams(&cluster, &["x"]).await;
    assert!(all.iter().all(|(ms, sequence)| entries.contains(&format!("{ms}-{sequence}"))));
}

/// Reads for the group until the stream has ended and nothing is left.
async fn consume(store: Client, name: &'static str, wanted: usize) -> Vec<String> {
    let mut store = store;
    let options = StreamReadOptions::default().group("g", name).count(3);
    let mut mine: Vec<String> = Vec::new();
    loop {
        let read: Option<StreamReadReply> =
            store.xread_options(&["x"], &[">"], &options).await.expect("XREADGROUP");
        let ids: Vec<String> = read
            .into_iter()
            .flat_map(|read| read.keys)
            .flat_map(|key| key.ids)
            .map(|entry| entry.id)
            .collect();
        if !ids.is_empty() {
            let acknowledged: usize = store.xack("x", "g", &ids).await.expect("XACK");
            assert_eq!(acknowledged, ids.len());
        } else if run::<usize>(&store, "XLEN x").await == wanted {
            return mine;
        }
        mine.extend(ids);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_goes_to_exactly_one_of_two_consumers() {
    const WANTED: usize = 150;
    let cluster = Cluster::start().await;
    let (writer, one, other) = (cluster.client().await, cluster.client().await, cluster.client().await);
    run::<()>(&writer, "XGROUP CREATE x g $ MKSTREAM").await;
    let add = async {
        for turn in 0..WANTED {
            run::<String>(&writer, &format!("XADD x * turn {turn}")).await;
        }
    };
    let consumers =
        [tokio::spawn(consume(one, "one", WANTED)), tokio::spawn(consume(other, "other", WANTED))];
    let ((), ours, theirs) = {
        let [ours, theirs] = consumers;
        tokio::join!(add, ours, theirs)
    };
    let (ours, theirs) = (ours.expect("a consumer"), theirs.expect("a consumer"));
    let both: BTreeSet<&String> = ours.iter().chain(&theirs).collect();
    assert_eq!(
        (both.len(), ours.len() + theirs.len()),
        (WANTED, WANTED),
        "{} and {}",
        ours.len(),
        theirs.len()
    );
    assert_eq!(run::<(usize, Value, Value, Value)>(&writer, "XPENDING x g").await.0, 0);
    eventually_same(&cluster, &writer).await;
    same_streams(&cluster, &["x"]).await;
}

#[tokio::test]
async fn a_node_that_was_away_gets_entries_groups_consumers_and_what_is_pending() {
    let cluster = Cluster::durable(3).await;
    let store = cluster.client().await;
    run::<()>(&store, "XGROUP CREATE x g $ MKSTREAM").await;
    for turn in 0..10 {
        run::<String>(&store, &format!("XADD x * turn {turn}")).await;
    }
    run::<Value>(&store, "XREADGROUP GROUP g one COUNT 4 STREAMS x >").await;
    cluster[1].kill();
    cluster.until_not_voting(&store, 1).await;
    run::<Value>(&store, "XREADGROUP GROUP g two COUNT 4 STREAMS x >").await;
    run::<Value>(&store, "XREADGROUP GROUP g two STREAMS x 0").await;
    run::<Value>(&store, "XAUTOCLAIM x g three 0 0 COUNT 2").await;
    run::<()>(&store, "XGROUP CREATE x later 0").await;
    run::<Value>(&store, "XREADGROUP GROUP later four COUNT 1 NOACK STREAMS x >").await;
    let last: String = run(&store, "XADD x MAXLEN ~ 9 * turn last").await;
    run::<usize>(&store, &format!("XDEL x {last}")).await;
    let before = full(&cluster[0], "x").await;
    cluster[1].restart().await;
    cluster.until_votes(&store, 1).await;
    eventually_same(&cluster, &store).await;
    assert_eq!(same_streams(&cluster, &["x"]).await, before);
    let counts: Vec<(String, String, i64, i64)> = run(&store, "XPENDING x g - + 20").await;
    let counts: Vec<(&str, i64)> = counts.iter().map(|row| (row.1.as_str(), row.3)).collect();
    let expected = ["three", "three", "one", "one", "two", "two", "two", "two"];
    assert_eq!(counts.iter().map(|row| row.0).collect::<Vec<_>>(), expected);
    assert_eq!(counts.iter().map(|row| row.1).collect::<Vec<_>>(), [2, 2, 1, 1, 2, 2, 2, 2]);
    // The node that was away knows enough to go on.
    cluster[0].kill();
    cluster.until_not_voting(&store, 0).await;
    assert!(parsed(&run::<String>(&store, "XADD x * turn after").await) > parsed(&last));
    let read: Value = run(&store, "XREADGROUP GROUP g one STREAMS x >").await;
    let text = format!("{read:?}");
    assert_eq!(text.matches("turn").count(), 3, "{text}");
}

#[tokio::test]
async fn a_stream_that_was_changed_behind_the_protocol_gets_the_value_of_the_others() {
    let cluster = Cluster::of(&[Version::V7_0, Version::V7_4, Version::V6_2]).await;
    let store = patient(cluster.urls()).await;
    for command in ["XADD x 1-1 f v", "XADD x 2-1 f v", "XADD x 3-1 f v", "XGROUP CREATE x g 0"] {
        run::<Value>(&store, command).await;
    }
    run::<Value>(&store, "XREADGROUP GROUP g one COUNT 2 STREAMS x >").await;
    let held = essence(&cluster[0], "x").await;
    for odd in 0..3 {
        let _: usize = cluster[odd].run(&["XDEL", "x", "2-1"]).await.expect("XDEL");
        let alike = async || {
            run::<Value>(&store, "XRANGE x - +").await;
            essence(&cluster[odd], "x").await == held
        };
        eventually("the node holds what the others hold", PATIENCE, alike).await;
    }
}

#[tokio::test]
async fn each_stream_command_takes_one_round_trip() {
    let cluster = Cluster::start().await;
    let store = patient(cluster.urls()).await;
    run::<()>(&store, "XGROUP CREATE x g 0 MKSTREAM").await;
    for command in [
        "XADD x * f v",
        "XREAD STREAMS x 0",
        "XREADGROUP GROUP g one STREAMS x >",
        "XREADGROUP GROUP g two STREAMS x >",
        "XAUTOCLAIM x g two 0 -",
        "XCLAIM x g one 0 1-1",
        "XACK x g 1-1",
        "XTRIM x MAXLEN ~ 5",
    ] {
        cluster.reset_calls().await;
        run::<Value>(&store, command).await;
        eventually("all nodes were asked", PATIENCE, async || cluster.round_trips().await == [1; 3]).await;
    }
}
