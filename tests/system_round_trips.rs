//! How many round trips an operation takes, counted on the nodes: one script or transaction of a node is one round trip to it.

mod harness;
mod workload;

use anarchoredis::Client;
use harness::Server;
use std::time::Duration;
use workload::{Cluster, words};

/// Round trips to each node that is alive, while the command runs ten times on keys of their own.
///
/// Each time waits for all nodes: an operation ends with a majority, and what would wait at a slow node then goes to it together.
async fn calls_of(cluster: &Cluster, alive: &[usize], client: &Client, command: &str) -> Vec<u64> {
    let mut counts = Vec::new();
    for node in alive {
        cluster[*node].reset_calls().await;
        counts.push(Counted { node: &cluster[*node], asked: 0 });
    }
    let mut calls = Vec::new();
    for turn in 1..=10 {
        let command = command.replace("KEY", &format!("key:{turn}"));
        client.run(&words(&command)).await.expect(&command);
        calls.clear();
        for count in &mut counts {
            calls.push(count.at_least(turn).await);
        }
    }
    calls
}

struct Counted<'a> {
    node: &'a Server,
    asked: u64,
}

impl Counted<'_> {
    /// How many round trips there were, as soon as there were so many.
    async fn at_least(&mut self, wanted: u64) -> u64 {
        let counting = async {
            loop {
                let calls = self.round_trips().await;
                if calls >= wanted {
                    return calls;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, counting).await.expect("an operation goes to each node that is alive")
    }

    /// Those of operations: now and then a client looks at a node, which takes one INFO and one script.
    async fn round_trips(&mut self) -> u64 {
        let stats: String = self.node.run(&["INFO", "commandstats"]).await.expect("INFO commandstats");
        let calls = |command: &str| -> u64 {
            let start = format!("cmdstat_{command}:calls=");
            let line = stats.lines().find_map(|line| line.strip_prefix(&start));
            line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
        };
        let looks = calls("info") - self.asked;
        self.asked += 1;
        calls("evalsha") + calls("exec") - looks
    }
}

const ONE_EACH: u64 = 10;
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn with_all_nodes_up_every_operation_is_one_round_trip() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for command in [
        "SET KEY 1",
        "GET KEY",
        "INCR KEY",
        "APPEND KEY 0",
        "GET nothing:KEY",
        "SETNX KEY 5",
        "PEXPIRE KEY 60000",
        "TTL KEY",
        "DEL KEY",
        "GET KEY",
        "INCR KEY",
        "DEL KEY",
        "SADD KEY a b c",
        "SMEMBERS KEY",
    ] {
        let calls = calls_of(&cluster, &[0, 1, 2], &client, command).await;
        assert_eq!(calls, [ONE_EACH; 3], "{command}");
    }
}

#[tokio::test]
async fn with_one_node_down_writes_take_two_round_trips_and_settled_reads_one() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    cluster[1].kill();
    cluster.until_not_voting(&client, 1).await;
    for command in ["SET KEY 1", "INCR KEY", "APPEND KEY 0"] {
        let calls = calls_of(&cluster, &[0, 2], &client, command).await;
        assert_eq!(calls, [2 * ONE_EACH; 2], "{command}");
        let calls = calls_of(&cluster, &[0, 2], &client, "GET KEY").await;
        assert_eq!(calls, [ONE_EACH; 2], "GET after {command}");
    }
    let calls = calls_of(&cluster, &[0, 2], &client, "GET nothing:KEY").await;
    assert_eq!(calls, [ONE_EACH; 2], "GET of a key that was never there");
}

#[tokio::test]
async fn what_was_written_by_all_nodes_is_settled_by_its_first_read_without_one_of_them() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    calls_of(&cluster, &[0, 1, 2], &client, "SET KEY 1").await;
    cluster[1].kill();
    cluster.until_not_voting(&client, 1).await;
    let first = calls_of(&cluster, &[0, 2], &client, "GET KEY").await;
    assert!(first.iter().all(|calls| *calls > ONE_EACH), "{first:?}");
    let second = calls_of(&cluster, &[0, 2], &client, "GET KEY").await;
    assert_eq!(second, [ONE_EACH; 2]);
}

#[tokio::test]
async fn operations_that_wait_for_the_same_key_share_a_round_trip() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    client.run(&words("SET shared 0")).await.expect("SET");
    cluster.reset_calls().await;
    let command = words("INCR shared");
    let replies = futures_util::future::join_all((0..100).map(|_| client.run(&command))).await;
    let mut totals: Vec<i64> = replies
        .into_iter()
        .map(|reply| redis::from_redis_value(reply.expect("INCR")).expect("a number"))
        .collect();
    totals.sort_unstable();
    assert_eq!(totals, (1..=100).collect::<Vec<i64>>());
    for calls in cluster.round_trips().await {
        assert!(calls <= 10, "100 operations took {calls} round trips");
    }
}
