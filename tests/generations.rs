//! Changes of the whole cluster that meet each other, or an operation: at most one of them follows each generation.

mod harness;
mod workload;

use std::time::Duration;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config, Error};
use harness::{Link, Server, Version, eventually};
use workload::{Cluster, run, try_run};

const SOON: Duration = Duration::from_secs(20);

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

async fn says(server: &Server, fields: &[&str]) -> Vec<Option<String>> {
    let words = [&["HMGET", "anrcho_node"], fields].concat();
    server.run(&words).await.expect("what the node says of itself")
}

/// A healer that has a link of this delay to each node.
async fn healer_by(cluster: &Cluster, delays: [u64; 4]) -> (Healer, Vec<Link>) {
    let mut links = Vec::new();
    for server in cluster.iter() {
        links.push(Link::before(server).await);
    }
    let healer = Healer::connect(links.iter().map(Link::url), Config::default()).await.expect("a healer");
    for (link, delay) in links.iter().zip(delays) {
        link.delay(Duration::from_millis(delay));
    }
    (healer, links)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_that_was_seen_before_a_flush_does_not_run_again_after_it() {
    let cluster = Cluster::start().await;
    let (slow, other) = (cluster.coordinator().await, cluster.client().await);
    slow.links.iter().for_each(Link::cut_answers);
    let client = slow.client.clone();
    let op = tokio::spawn(async move { try_run::<i64>(&client, "INCR n").await });
    eventually("the op is seen", SOON, || async { run::<Option<i64>>(&other, "GET n").await == Some(1) })
        .await;
    run::<()>(&other, "FLUSHALL").await;
    assert_eq!(run::<Option<i64>>(&other, "GET n").await, None, "gone after it");
    slow.links.iter().for_each(Link::heal);
    let answer = op.await.expect("the task");
    assert!(matches!(answer, Err(Error::Indeterminate { .. })), "{answer:?}");
    assert_eq!(run::<Option<i64>>(&other, "GET n").await, None, "and it stays so");
}

/// The one looks what was decided, the other decides, the one decides: the second decision must not hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_beside_a_change_of_members_is_no_lie() {
    for start_ms in [60, 120] {
        let cluster = Cluster::start().await;
        let (slow, other) = (cluster.coordinator().await, cluster.client().await);
        run::<()>(&other, "SET k before").await;
        let healer = Healer::connect(cluster.urls(), Config::default()).await.expect("a healer");
        slow.links.iter().for_each(|link| link.delay(Duration::from_millis(60)));
        let client: Client = slow.client.clone();
        let flush = tokio::spawn(async move { try_run::<String>(&client, "FLUSHALL").await });
        tokio::time::sleep(Duration::from_millis(start_ms)).await;
        let _ = healer.remove(&address(&cluster[2]), &Silent).await;
        let flushed = flush.await.expect("the task");
        let left = run::<Option<String>>(&other, "GET k").await;
        assert!(flushed.is_err() || left.is_none(), "{start_ms} ms: {flushed:?} and {left:?} is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_removals_at_once_each_makes_a_generation_of_its_own() {
    for offset_ms in [100, 300] {
        let cluster = Cluster::of(&[Version::V7_0; 4]).await;
        run::<()>(&cluster.client().await, "SET k before").await;
        let (one, _links_one) = healer_by(&cluster, [20, 20, 60, 60]).await;
        let (two, _links_two) = healer_by(&cluster, [60, 60, 20, 20]).await;
        let (last, first) = (_links_one[3].url(), _links_two[0].url());
        let name = |url: String| url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let (last, first) = (name(last), name(first));
        let removing = tokio::spawn(async move { one.remove(&last, &Silent).await.is_ok() });
        tokio::time::sleep(Duration::from_millis(offset_ms)).await;
        let also = tokio::spawn(async move { two.remove(&first, &Silent).await.is_ok() });
        let ended = (removing.await.expect("one"), also.await.expect("two"));
        let mut generations: Vec<(u64, Option<String>)> = Vec::new();
        for server in cluster.iter() {
            let [epoch, members] = says(server, &["epoch", "members"]).await.try_into().expect("two fields");
            let epoch: u64 = epoch.expect("an epoch").parse().expect("a number");
            generations.push((epoch / 1_000_000, members));
        }
        for (one, members) in &generations {
            let same = generations.iter().filter(|(other, _)| other == one);
            let alike = same.map(|(_, others)| others).all(|others| others == members);
            assert!(alike, "{offset_ms} ms, {ended:?}: {generations:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_no_member_is_not_moved_to_a_generation() {
    let cluster = Cluster::of(&[Version::V7_0; 4]).await;
    let _client = cluster.client().await;
    let healer = Healer::connect(cluster.urls(), Config::default()).await.expect("a healer");
    healer.remove(&address(&cluster[3]), &Silent).await.expect("a removal");
    let member = says(&cluster[0], &["cluster", "members", "epoch"]).await;
    let removed = says(&cluster[3], &["node", "run_id"]).await;
    let word = |words: &[Option<String>], at: usize| words[at].clone().expect("a word");
    // What a client sends where a member's address has come to lead to this server.
    let admit = anarchoredis::script::script(anarchoredis::script::Name::Admit);
    let (cluster_id, members, epoch) = (word(&member, 0), word(&member, 1), word(&member, 2));
    let (node, run_id) = (word(&removed, 0), word(&removed, 1));
    let words = [
        "EVAL",
        &admit.source,
        "0",
        "move",
        &cluster_id,
        &node,
        &members,
        &epoch,
        "fence",
        &run_id,
        "0",
        "",
        "",
    ];
    let answer: Vec<String> = cluster[3].run(&words).await.expect("an answer");
    assert_eq!(answer[..2], ["OTHER", "node"]);
    assert_eq!(says(&cluster[3], &["epoch"]).await, [Some("1".to_owned())]);
}

/// Whoever decided on it is too slow to begin: the others do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_that_was_decided_is_carried_out_by_whoever_learns_of_it() {
    let cluster = Cluster::start().await;
    let (slow, other) = (cluster.coordinator().await, cluster.client().await);
    run::<()>(&other, "SET k v").await;
    // Slow enough for a look that takes ten round trips to give up.
    slow.links.iter().for_each(|link| link.delay(Duration::from_millis(250)));
    let flushed = try_run::<String>(&slow.client, "FLUSHALL").await;
    drop(slow);
    eventually("the flush has happened", SOON, || async {
        let decided: Option<String> =
            cluster[0].run(&["HGET", "anrcho_config", "generation"]).await.expect("it");
        decided.is_none() || run::<Option<String>>(&other, "GET k").await.is_none()
    })
    .await;
    eprintln!("the slow client was told {flushed:?}");
    run::<()>(&other, "SET later acknowledged").await;
    let healer = Healer::connect(cluster.urls(), Config::default()).await.expect("a healer");
    assert!(healer.once(&Silent).await.expect("a pass").complete);
    assert_eq!(run::<Option<String>>(&other, "GET later").await.as_deref(), Some("acknowledged"));
}
