//! Nodes that come back without their data, with older data, or with all of it, and what happens while too few are there.

mod harness;
mod workload;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config, Error, Outcome};
use harness::{Version, eventually};
use workload::{Cluster, Increments, Load, PATIENCE, eventually_same, run, try_run};

/// Writes that must outlive whatever follows.
async fn write_all(client: &Client, value: &str) {
    for key in 0..20 {
        run::<()>(client, &format!("SET key:{key} {value}")).await;
        run::<i64>(client, &format!("INCR counter:{key}")).await;
    }
}

async fn assert_all(client: &Client, value: &str, count: i64) {
    for key in 0..20 {
        assert_eq!(run::<String>(client, &format!("GET key:{key}")).await, value, "key:{key}");
        assert_eq!(run::<i64>(client, &format!("GET counter:{key}")).await, count, "counter:{key}");
    }
}

/// Old and new clients must see the newest values, whichever of the nodes that vote dies.
async fn assert_survives(cluster: &Cluster, client: &Client, value: &str, count: i64) {
    assert_all(client, value, count).await;
    let newcomer = cluster.client().await;
    assert_all(&newcomer, value, count).await;
}

#[tokio::test]
async fn a_node_that_comes_back_empty_does_not_vote_and_nothing_is_lost() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    write_all(&client, "old").await;
    cluster[0].restart_empty().await;
    write_all(&client, "new").await;
    cluster.until_not_voting(&client, 0).await;
    assert_survives(&cluster, &client, "new", 2).await;
    let seat = client.nodes()[0].seat.clone();
    assert!(matches!(&seat, Seat::Away(reason) if reason.contains("anarcho-heal")), "{seat:?}");
}

#[tokio::test]
async fn with_a_majority_that_holds_nothing_reads_fail_rather_than_answer_that_there_is_nothing() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    write_all(&client, "kept").await;
    cluster[0].restart_empty().await;
    cluster[1].restart_empty().await;
    let reply = try_run::<Option<String>>(&client, "GET key:1").await;
    assert!(matches!(reply, Err(Error::NoQuorum { .. })), "{reply:?}");
    let reply = try_run::<()>(&client, "SET key:1 other").await;
    assert!(reply.is_err(), "{reply:?}");
    let newcomer = Client::builder().nodes(cluster.urls()).connect().await;
    assert!(newcomer.is_err(), "a new client takes two empty nodes for a majority");
}

#[tokio::test]
async fn a_node_that_comes_back_with_older_data_does_not_vote_and_reads_never_go_back() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    write_all(&client, "old").await;
    let backup = cluster[2].snapshot_rdb().await;
    cluster[1].kill();
    cluster.until_not_voting(&client, 1).await;
    write_all(&client, "new").await;
    // Now nodes 0 and 2 have "new"; a node 2 with "old" and a node 1 with "old" would be a majority.
    cluster[2].restart_from_rdb(&backup).await;
    cluster.until_not_voting(&client, 2).await;
    let reply = try_run::<String>(&client, "GET key:1").await;
    assert!(!matches!(&reply, Ok(value) if value == "old"), "the read went back");
    eventually("node 2 joins", PATIENCE, async || client.nodes()[2].seat == Seat::Joining).await;
    let reply = try_run::<String>(&client, "GET key:1").await;
    assert!(reply.is_err(), "one voter of three answered {reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_data_restored_under_load_harms_nothing() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    write_all(&client, "old").await;
    let backup = cluster[2].snapshot_rdb().await;
    write_all(&client, "new").await;
    let load = Load::start(&client, "restore", 4);
    load.further(200).await;
    cluster[2].restart_from_rdb(&backup).await;
    load.further(500).await;
    load.stop().await.assert_unharmed();
    eventually("node 2 joins", PATIENCE, async || client.nodes()[2].seat == Seat::Joining).await;
    assert_survives(&cluster, &client, "new", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_flushed_under_load_stops_voting_and_stays_empty_until_it_is_healed() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    write_all(&client, "old").await;
    let load = Load::start(&client, "flush", 8);
    load.further(300).await;
    cluster[1].run::<()>(&["FLUSHALL"]).await.expect("FLUSHALL");
    load.further(1_000).await;
    load.stop().await.assert_unharmed();
    cluster.until_not_voting(&client, 1).await;
    assert_survives(&cluster, &client, "old", 1).await;
    // What wrote to it now would make it a stranger with data, which nobody may fill.
    let keys: Vec<String> = cluster[1].run(&["KEYS", "*"]).await.expect("KEYS");
    assert!(keys.is_empty(), "the flushed node holds {keys:?}");
    let seat = client.nodes()[1].seat.clone();
    assert!(matches!(&seat, Seat::Away(reason) if reason.contains("anarcho-heal --once")), "{seat:?}");
}

#[tokio::test]
async fn without_a_majority_operations_fail_as_documented_and_go_on_when_the_nodes_are_back() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    write_all(&client, "before").await;
    cluster[0].kill();
    cluster[1].kill();
    cluster.until_not_voting(&client, 0).await;
    cluster.until_not_voting(&client, 1).await;
    let read = try_run::<String>(&client, "GET key:1").await.expect_err("one node of three");
    assert!(matches!(read, Error::NoQuorum { needed: 2, .. }), "{read:?}");
    let write = try_run::<()>(&client, "SET key:1 alone").await.expect_err("one node of three");
    assert!(matches!(write, Error::NoQuorum { .. }), "{write:?}");
    assert_eq!(write.outcome(), Outcome::NotApplied);
    cluster[2].kill();
    cluster.until_not_voting(&client, 2).await;
    let write = try_run::<()>(&client, "SET key:2 nobody").await.expect_err("no node at all");
    assert!(matches!(write, Error::NoQuorum { reached: 0, .. }), "{write:?}");
    for server in cluster.iter() {
        server.restart().await;
    }
    cluster.until_all_vote(&client).await;
    for key in ["key:1", "key:2"] {
        assert_eq!(run::<String>(&client, &format!("GET {key}")).await, "before");
    }
    write_all(&client, "after").await;
    assert_survives(&cluster, &client, "after", 2).await;
    eventually_same(&cluster, &client).await;
}

#[tokio::test]
async fn a_write_acknowledged_by_two_of_three_nodes_survives_the_loss_of_any_one() {
    for lost in [0, 2] {
        let cluster = Cluster::durable(3).await;
        let client = cluster.client().await;
        cluster[1].kill();
        cluster.until_not_voting(&client, 1).await;
        write_all(&client, "acknowledged").await;
        cluster[lost].kill();
        cluster[1].restart().await;
        cluster.until_votes(&client, 1).await;
        cluster.until_not_voting(&client, lost).await;
        assert_survives(&cluster, &client, "acknowledged", 1).await;
    }
}

#[tokio::test]
async fn five_nodes_go_on_without_any_two() {
    let cluster = Cluster::of(&[Version::V7_0; 5]).await;
    let client = cluster.client().await;
    write_all(&client, "five").await;
    cluster[0].kill();
    cluster[3].pause();
    write_all(&client, "three").await;
    assert_all(&client, "three", 2).await;
    cluster[3].resume();
}

#[tokio::test]
async fn a_write_that_only_one_node_can_have_run_is_indeterminate() {
    let cluster = Cluster::durable(3).await;
    let coordinator = cluster.coordinator().await;
    let client = &coordinator.client;
    write_all(client, "before").await;
    // The client does not know yet that nobody will answer.
    coordinator.links[0].cut();
    coordinator.links[1].cut();
    let write = try_run::<()>(client, "SET key:1 alone").await.expect_err("one answer of three");
    assert!(matches!(write, Error::Indeterminate { .. }), "{write:?}");
    assert_eq!(write.outcome(), Outcome::Indeterminate);
    coordinator.links[0].heal();
    coordinator.links[1].heal();
    cluster.until_all_vote(client).await;
    let found = run::<String>(client, "GET key:1").await;
    assert!(["before", "alone"].contains(&found.as_str()), "{found}");
    let newcomer = cluster.client().await;
    assert_eq!(run::<String>(&newcomer, "GET key:1").await, found, "the outcome changed after it was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_killed_at_once_under_load_come_back_with_every_acknowledged_write() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    let increments = Increments::start(&client, 8);
    for turn in 1..=3 {
        increments.further(100).await;
        cluster.iter().for_each(harness::Server::kill);
        increments.until_failed(8 * turn).await;
        for server in cluster.iter() {
            server.restart().await;
        }
        cluster.until_all_vote(&client).await;
    }
    increments.further(100).await;
    increments.assert_exact(&client).await;
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_hang_together_lose_nothing_and_double_nothing() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let increments = Increments::start(&client, 8);
    increments.further(100).await;
    for pair in [[0, 1], [1, 2]] {
        cluster[pair[0]].pause();
        cluster[pair[1]].pause();
        cluster.until_not_voting(&client, pair[0]).await;
        cluster.until_not_voting(&client, pair[1]).await;
        cluster[pair[0]].resume();
        cluster[pair[1]].resume();
        cluster.until_all_vote(&client).await;
        increments.further(100).await;
    }
    increments.assert_exact(&client).await;
    eventually_same(&cluster, &client).await;
}

/// Leaves on a node what a claim alone leaves there.
async fn only_claimed(cluster: &Cluster, node: usize) {
    cluster[node].run::<i64>(&["HSET", "anrcho_node", "role", "claimed"]).await.expect("a claimed node");
    cluster[node].run::<i64>(&["DEL", "anrcho_fence"]).await.expect("a node without an admission");
}

/// Found by the simulator: the node stayed out of the cluster for ever, and the next death of another one stopped all.
#[tokio::test]
async fn a_cluster_whose_first_client_died_before_it_had_started_every_node_is_finished_by_the_next() {
    let cluster = Cluster::start().await;
    drop(cluster.client().await);
    only_claimed(&cluster, 2).await;
    let client = cluster.client().await;
    let all_vote = async || client.nodes().iter().all(|node| matches!(node.seat, Seat::Voter(_)));
    eventually("the node that was only claimed votes", PATIENCE, all_vote).await;
    write_all(&client, "new").await;
    cluster[0].kill();
    assert_survives(&cluster, &client, "new", 1).await;
}

/// A claim that arrives late may find a node that has voted and was flushed.
#[tokio::test]
async fn a_claimed_node_among_nodes_with_data_is_filled_before_it_votes() {
    let cluster = Cluster::start().await;
    write_all(&cluster.client().await, "kept").await;
    cluster[2].run::<()>(&["FLUSHALL"]).await.expect("an empty node");
    let members: String = cluster[0].run(&["HGET", "anrcho_node", "members"]).await.expect("the members");
    let known: Vec<String> = vec![
        cluster[0].run(&["HGET", "anrcho_node", "node"]).await.expect("an id"),
        cluster[1].run(&["HGET", "anrcho_node", "node"]).await.expect("an id"),
    ];
    let id =
        members.split(',').find(|id| !known.iter().any(|other| other == id)).expect("the third").to_owned();
    let name: String = cluster[0].run(&["HGET", "anrcho_node", "cluster"]).await.expect("the cluster");
    let contract = anarchoredis::script::contract();
    let claim = ["HSET", "anrcho_node", "cluster", &name, "node", &id, "members", &members, "epoch", "1"];
    let claim = [&claim[..], &["contract", contract]].concat();
    cluster[2].run::<i64>(&claim).await.expect("a claim");
    only_claimed(&cluster, 2).await;
    let client = cluster.client().await;
    let seats = || client.nodes().into_iter().map(|node| node.seat).collect::<Vec<_>>();
    assert_eq!(seats()[2], Seat::Joining, "{:?}", seats());
    assert_all(&client, "kept", 1).await;
    let healer = Healer::connect(cluster.urls(), Config::default()).await.expect("a healer");
    assert!(healer.once(&Silent).await.expect("a pass").complete);
    let newcomer = cluster.client().await;
    cluster[0].kill();
    assert_all(&newcomer, "kept", 1).await;
}
