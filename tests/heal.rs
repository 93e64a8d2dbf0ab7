//! The healer on real servers: nodes come back, everything ends identical, and the tool says so.

mod harness;

use anarchoredis::heal::{Healer, Silent, Summary};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use redis::AsyncCommands;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("a client")
}

async fn heal(nodes: &Nodes) -> Summary {
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    healer.once(&Silent).await.expect("a pass")
}

fn votes(client: &Client) -> usize {
    client.nodes().iter().filter(|node| matches!(node.seat, Seat::Voter(_))).count()
}

/// Every user key with its value's digest, and every record's version and digest, as one node holds them.
async fn held(nodes: &Nodes, place: usize) -> Vec<String> {
    let mut keys: Vec<String> = nodes[place].run(&["KEYS", "*"]).await.expect("keys");
    keys.retain(|key| key != "anrcho_node" && key != "anrcho_fence" && key != "anrcho_dirty");
    keys.sort();
    let mut lines = Vec::new();
    for key in keys {
        let content: String = if key.starts_with("anrcho_version:") {
            let register = &key["anrcho_version:{".len()..key.len() - 1];
            let record = nodes[place].record(register).await.expect("a record");
            format!("{} {}", record.version, record.digest)
        } else {
            nodes[place].run(&["GET", &key]).await.expect("a value")
        };
        lines.push(format!("{key} = {content}"));
    }
    lines
}

async fn write_some(client: &Client, from: u32, to: u32) {
    let mut store = client.clone();
    for number in from..to {
        let _: () = store.set(format!("key:{number}"), number).await.expect("a write");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_came_back_empty_votes_again_after_a_full_pass() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 200).await;
    nodes[1].restart_empty().await;
    write_some(&client, 150, 250).await;
    eventually("the emptied node is found out", SOON, || async { votes(&client) == 2 }).await;
    let _: u64 = client.clone().del("key:7").await.expect("a delete");

    let summary = heal(&nodes).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!(summary.seen, 250);
    assert_eq!(summary.rejoined.len(), 1);
    assert_eq!(summary.repaired[1].registers, 250);
    assert_eq!(held(&nodes, 1).await, held(&nodes, 0).await);
    assert_eq!(held(&nodes, 1).await, held(&nodes, 2).await);
    eventually("the client counts three votes again", SOON, || async { votes(&client) == 3 }).await;
    let gone: Option<String> = client.clone().get("key:7").await.expect("a read");
    assert_eq!(gone, None, "a deleted key stays deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_came_back_with_older_data_brings_nothing_old_back() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 50).await;
    let old = nodes[2].snapshot_rdb().await;
    let mut store = client.clone();
    let _: u64 = store.del("key:1").await.expect("a delete");
    let _: () = store.set("key:2", "new").await.expect("a write");
    nodes[2].restart_from_rdb(&old).await;
    eventually("the restart is found out", SOON, || async { votes(&client) == 2 }).await;
    let one: Option<String> = store.get("key:1").await.expect("a read");
    let two: String = store.get("key:2").await.expect("a read");
    assert_eq!((one, two.as_str()), (None, "new"));

    let summary = heal(&nodes).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!(summary.rejoined.len(), 1);
    assert_eq!(held(&nodes, 2).await, held(&nodes, 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_node_does_not_vote_and_is_filled_while_clients_write() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 100).await;
    let _: () = nodes[0].run(&["FLUSHALL"]).await.expect("a flush");
    let writer = {
        let client = client.clone();
        tokio::spawn(async move { write_some(&client, 100, 400).await })
    };
    eventually("the flush is found out", SOON, || async { votes(&client) == 2 }).await;
    heal(&nodes).await;
    writer.await.expect("no write failed while the node was filled");
    // Writes went on during the pass and, where it was the quicker, behind it, before the client knew that the node votes again; at rest
    // a pass must end identical.
    let summary = heal(&nodes).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!(held(&nodes, 0).await, held(&nodes, 1).await);
    assert_eq!(held(&nodes, 0).await, held(&nodes, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_that_only_the_returning_node_holds_is_dropped() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 3).await;
    // A record of which no voter knows, as an older life of the node may have left it.
    let (head, digest) = ("1700000000000000-00000000000000011 0", "00000000000000000000000000000001");
    let ghost = ["HSET", "anrcho_version:{ghost}", "h", head, "d", digest];
    let _: u64 = nodes[1].run(&ghost).await.expect("a record");
    let _: () = nodes[1].run(&["SET", "ghost", "boo"]).await.expect("a value");
    nodes[1].restart().await;
    eventually("the restart is found out", SOON, || async { votes(&client) == 2 }).await;

    let summary = heal(&nodes).await;
    assert!(summary.complete, "{summary:?}");
    let left: u64 = nodes[1].run(&["EXISTS", "ghost", "anrcho_version:{ghost}"]).await.expect("exists");
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_missed_a_node_are_remembered_as_dirty_and_drained() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 5).await;
    nodes[2].pause();
    write_some(&client, 0, 20).await;
    nodes[2].resume();
    let marked: u64 = nodes[0].run(&["HLEN", "anrcho_dirty"]).await.expect("the dirty set");
    assert!(marked > 0, "the settles that missed a node are remembered");

    let mut summary = heal(&nodes).await;
    for _ in 0..5 {
        if summary.complete {
            break;
        }
        summary = heal(&nodes).await;
    }
    assert!(summary.complete, "{summary:?}");
    for node in nodes.iter() {
        let left: u64 = node.run(&["HLEN", "anrcho_dirty"]).await.expect("the dirty set");
        assert_eq!(left, 0);
    }
    assert_eq!(held(&nodes, 2).await, held(&nodes, 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_place_was_taken_does_not_count_until_it_is_filled_like_any_other() {
    let durable = || Server::with(Version::V7_0).appendonly("always");
    let nodes = Nodes::with([durable(), durable(), durable(), durable()]).await;
    let [a, b, c, d] = [0, 1, 2, 3].map(|place| nodes[place].url());
    let connect = |urls: [&str; 3]| Client::builder().nodes(urls).connect();
    let first = connect([&a, &b, &c]).await.expect("a client");
    write_some(&first, 0, 20).await;
    assert!(first.close().await);

    // A goes, and an operator lets D take its place; then a write is on B and D alone.
    nodes[0].kill();
    let healer = Healer::connect([&b, &c, &d].map(String::from), Config::default()).await.expect("a healer");
    assert!(healer.once(&Silent).await.expect("a pass").complete);
    let second = connect([&b, &c, &d]).await.expect("a client");
    nodes[2].kill();
    let _: () = second.clone().set("key:1", "on B and D").await.expect("a write");
    assert!(second.close().await);

    // A is back with its old list, D is gone: what A remembers is from before, so it must not count.
    nodes[3].kill();
    nodes[2].restart().await;
    nodes[0].restart().await;
    let third = connect([&a, &b, &c]).await.expect("a client");
    let value: String = third.clone().get("key:1").await.expect("a read");
    assert_eq!(value, "on B and D");
    let healer = Healer::connect([&a, &b, &c].map(String::from), Config::default()).await.expect("a healer");
    let summary = healer.once(&Silent).await.expect("a pass");
    assert!(summary.complete && summary.rejoined.len() == 1, "{summary:?}");
    assert_eq!(held(&nodes, 0).await, held(&nodes, 1).await);

    nodes[3].restart().await;
    let error = connect([&a, &b, &d]).await.expect_err("A and D are one member").to_string();
    assert!(error.contains("same member"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_one_node_lost_long_before_it_was_due_is_put_back_and_moves_no_clock() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    let mut store = client.clone();
    let _: () = store.set_ex("k", "v", 3_600).await.expect("a write");
    let _: u64 = nodes[2].run(&["DEL", "k"]).await.expect("behind the layer's back");
    nodes[1].kill();

    // One majority is left, and one of its nodes says that the key is due in an hour: nobody waits for that.
    let length: u64 = store.append("k", "w").await.expect("the key is put back from the node that has it");
    assert_eq!(length, 2);
    let _: () = store.set("other", 1).await.expect("the client's clock did not move");
    let value: String = nodes[2].run(&["GET", "k"]).await.expect("a value");
    assert_eq!(value, "vw");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_what_it_did_and_exits_0_only_when_all_nodes_are_identical() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 10).await;
    let run = |extra: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        nodes.urls().iter().for_each(|url| {
            command.args(["--node", url]);
        });
        let output = command.args(["--once", extra]).output().expect("anarcho-heal runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run("--json");
    let summary: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code, &summary["seen"], &summary["complete"]), (Some(0), &10.into(), &true.into()));

    nodes[1].kill();
    let (code, text) = run("--json");
    let summary: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code, &summary["complete"]), (Some(1), &false.into()), "a node is away");
    assert_eq!(summary["away"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healer_refuses_a_cluster_without_a_majority_and_changes_nothing() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write_some(&client, 0, 10).await;
    nodes[0].restart_empty().await;
    nodes[1].restart_empty().await;
    let before = held(&nodes, 2).await;
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let error = healer.once(&Silent).await.expect_err("no majority").to_string();
    assert!(error.contains("no quorum") && error.contains("lost its data"), "{error}");
    assert_eq!(held(&nodes, 2).await, before);
    assert!(
        held(&nodes, 0).await.is_empty(),
        "an emptied node never overwrites others, nor is it filled from one"
    );
}
