//! More nodes restart at once than the protocol can tell the loss of: the cluster stops, and goes on with the newest that is left, loudly.

mod harness;

use anarchoredis::heal::{Healer, Progress, Settings, Silent, Summary};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use redis::AsyncCommands;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("a client")
}

async fn healer(nodes: &Nodes) -> Healer {
    Healer::connect(nodes.urls(), Config::default()).await.expect("a healer")
}

async fn recover(nodes: &Nodes) -> Summary {
    healer(nodes).await.recover(&Silent).await.expect("a recovery")
}

async fn write(client: &Client, from: u32, to: u32) {
    let mut store = client.clone();
    for number in from..to {
        let _: () = store.set(format!("key:{number}"), number).await.expect("a write");
    }
}

/// What all nodes hold of these keys; they must agree.
async fn agreed(nodes: &Nodes, keys: u32) -> Vec<Option<u32>> {
    let mut all = Vec::new();
    for number in 0..keys {
        let mut values = Vec::new();
        for node in nodes.iter() {
            let value: Option<u32> = node.run(&["GET", &format!("key:{number}")]).await.expect("a value");
            values.push(value);
        }
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "key:{number}: {values:?}");
        all.push(values[0]);
    }
    all
}

async fn works_again(nodes: &Nodes, keys: u32) {
    let mut store = client(nodes).await;
    for number in 0..keys {
        let _: u64 = store.incr(format!("key:{number}"), 1).await.expect("a write");
    }
    let summary = healer(nodes).await.once(&Silent).await.expect("a pass");
    assert!(summary.complete, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_restart_from_append_only_files_and_nothing_that_reached_them_is_lost() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let old = client(&nodes).await;
    write(&old, 0, 60).await;
    let _: u64 = old.clone().del("key:7").await.expect("a delete");
    // What one node missed, another one has: the newest counts.
    nodes[2].pause();
    write(&old, 0, 5).await;
    nodes[2].resume();
    drop(old);
    for node in nodes.iter() {
        node.restart().await;
    }
    let error = Client::builder().nodes(nodes.urls()).connect().await.expect_err("nobody votes").to_string();
    assert!(error.contains("0 of the 2 nodes"), "{error}");

    let summary = recover(&nodes).await;
    assert!(summary.complete && summary.rejoined.len() == 3, "{summary:?}");
    let expected: Vec<Option<u32>> = (0..60).map(|number| (number != 7).then_some(number)).collect();
    assert_eq!(agreed(&nodes, 60).await, expected, "and the deleted key stays deleted");
    works_again(&nodes, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_restart_from_backups_of_different_ages_and_the_newest_of_each_key_counts() {
    let nodes = Nodes::start(3).await;
    let old = client(&nodes).await;
    write(&old, 0, 10).await;
    let (first, third) = (nodes[0].snapshot_rdb().await, nodes[2].snapshot_rdb().await);
    let mut store = old.clone();
    for number in 0..5 {
        let _: () = store.set(format!("key:{number}"), 100 + number).await.expect("a write");
    }
    let second = nodes[1].snapshot_rdb().await;
    let _: () = store.set("key:0", 1_000).await.expect("a write that no backup has");
    drop((old, store));
    nodes[0].restart_from_rdb(&first).await;
    nodes[1].restart_from_rdb(&second).await;
    nodes[2].restart_from_rdb(&third).await;

    let summary = recover(&nodes).await;
    assert!(summary.complete, "{summary:?}");
    assert_eq!((summary.seen, summary.differing), (10, 5), "what all hold alike stays as it is");
    let expected: Vec<Option<u32>> =
        (0..10).map(|number| Some(if number < 5 { 100 + number } else { number })).collect();
    assert_eq!(agreed(&nodes, 10).await, expected);
    works_again(&nodes, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_them_empty_and_one_still_voting_end_alike_too() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let old = client(&nodes).await;
    write(&old, 0, 40).await;
    drop(old);
    nodes[0].restart().await;
    nodes[1].restart_empty().await;

    let healer = healer(&nodes).await;
    let error = healer.once(&Silent).await.expect_err("too few vote").to_string();
    assert!(error.contains("no quorum"), "{error}");
    let summary = healer.recover(&Silent).await.expect("a recovery");
    assert!(summary.complete, "{summary:?}");
    assert_eq!(agreed(&nodes, 40).await, (0..40).map(Some).collect::<Vec<_>>());
    works_again(&nodes, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_refused_while_a_majority_votes_and_while_a_node_is_away() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let old = client(&nodes).await;
    write(&old, 0, 10).await;
    drop(old);
    nodes[0].restart().await;
    let error = healer(&nodes).await.recover(&Silent).await.expect_err("two still vote").to_string();
    assert!(error.contains("a majority votes"), "{error}");
    nodes[1].restart().await;
    nodes[2].kill();
    let error = healer(&nodes).await.recover(&Silent).await.expect_err("one is away").to_string();
    assert!(error.contains("no quorum"), "{error}");
    nodes[2].restart().await;
    assert!(recover(&nodes).await.complete);
    assert_eq!(agreed(&nodes, 10).await, (0..10).map(Some).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_was_interrupted_is_finished_by_the_next_one() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let old = client(&nodes).await;
    write(&old, 0, 400).await;
    drop(old);
    for round in 0..4 {
        for node in nodes.iter() {
            node.restart().await;
        }
        let healer = healer(&nodes).await;
        let recovering = healer.recover(&Silent);
        let cut = tokio::time::timeout(Duration::from_millis(40 * round), recovering).await;
        if let Ok(Ok(summary)) = cut {
            assert!(summary.complete, "{summary:?}");
        }
    }
    // A recovery that came so far that a majority votes leaves the rest to a pass.
    let healer = healer(&nodes).await;
    if healer.recover(&Silent).await.is_err() {
        healer.once(&Silent).await.expect("a pass");
    }
    assert_eq!(agreed(&nodes, 400).await, (0..400).map(Some).collect::<Vec<_>>());
    works_again(&nodes, 20).await;
}

/// Does something as soon as a recovery has taken all nodes over.
struct Meanwhile<F>(AtomicBool, F);

impl<F: Fn() + Send + Sync> Progress for Meanwhile<F> {
    fn compared(&self, _seen: u64, _about: u64, _repaired: u64) {}

    fn note(&self, line: &str) {
        if line.contains("each register is decided") && !self.0.swap(true, Ordering::SeqCst) {
            (self.1)();
        }
    }
}

/// Found by a review: what it had read it settled, also where another one had let the nodes vote and clients went on since.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_another_one_has_ended_settles_nothing_any_more() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let old = client(&nodes).await;
    write(&old, 0, 20).await;
    drop(old);
    for node in nodes.iter() {
        node.restart().await;
    }
    let nodes = Arc::new(nodes);
    let of_other = Arc::clone(&nodes);
    let meanwhile = Meanwhile(AtomicBool::new(false), move || {
        let nodes = Arc::clone(&of_other);
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                assert!(recover(&nodes).await.complete);
                // Something to settle, if that were still its business.
                for key in ["key:1", "anrcho_version:{key:1}"] {
                    nodes[2].run::<u64>(&["DEL", key]).await.expect("a loss behind the protocol");
                }
            });
        });
        other.join().expect("the other recovery");
    });
    let overtaken = healer(&nodes).await.recover(&meanwhile).await;
    assert!(meanwhile.0.load(Ordering::SeqCst), "{overtaken:?}");
    let settled: bool = nodes[2].run(&["EXISTS", "anrcho_version:{key:1}"]).await.expect("an answer");
    assert!(!settled, "it went on under the other one's tokens: {overtaken:?}");
    works_again(&nodes, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_recovers_by_itself_and_a_strict_one_waits() {
    let nodes = Nodes::with((0..3).map(|_| Server::with(Version::V7_0).appendonly("everysec"))).await;
    let client = client(&nodes).await;
    write(&client, 0, 20).await;
    let quick = Settings { drain_every: Duration::from_millis(100), ..Settings::default() };
    let strict = client.healer().run(Settings { strict: true, ..quick.clone() });
    for node in nodes.iter() {
        node.restart().await;
    }
    let votes = || client.nodes().iter().filter(|node| matches!(node.seat, Seat::Voter(_))).count();
    let joining = || client.nodes().iter().filter(|node| node.seat == Seat::Joining).count();
    eventually("all are found to have restarted", SOON, || async { joining() == 3 }).await;
    // Long enough for several looks, each of which would have begun.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(votes(), 0, "strict waits for the operator");
    strict.set(quick);
    eventually("the daemon has recovered the cluster", SOON, || async { votes() == 3 }).await;
    assert_eq!(agreed(&nodes, 20).await, (0..20).map(Some).collect::<Vec<_>>());
    strict.stop().await;
}
