//! One node dies, hangs or is cut off while clients work: no operation fails, and none takes long.

mod harness;
mod workload;

use std::time::{Duration, Instant};

use anarchoredis::node::Seat;
use workload::{Cluster, LONGEST_GAP, Load, eventually_same, run};

const TASKS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_any_one_node_under_load_fails_no_operation_and_delays_none_by_a_second() {
    for victim in 0..3 {
        let cluster = Cluster::start().await;
        let client = cluster.client().await;
        let load = Load::start(&client, "kill", TASKS);
        load.further(500).await;
        cluster[victim].kill();
        load.further(1_000).await;
        let outcome = load.stop().await;
        println!("node {victim} killed: {} operations, longest {:?}", outcome.succeeded, outcome.longest_gap);
        outcome.assert_unharmed();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_that_kept_its_data_votes_again_and_reads_bring_it_what_it_missed() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    let load = Load::start(&client, "back", TASKS);
    for victim in 0..3 {
        load.further(100).await;
        cluster[victim].kill();
        cluster.until_not_voting(&client, victim).await;
        load.further(100).await;
        cluster[victim].restart().await;
        cluster.until_votes(&client, victim).await;
    }
    load.stop().await.assert_unharmed();
    eventually_same(&cluster, &client).await;
}

/// How many rounds have waited for a node in vain.
fn hedges(client: &anarchoredis::Client) -> u64 {
    let metrics = client.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix("anarcho_hedges_total "));
    line.and_then(|count| count.parse().ok()).expect("a count")
}

#[tokio::test]
async fn a_hanging_node_costs_a_few_operations_the_hedge_delay_and_then_none() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for turn in 0..50 {
        run::<()>(&client, &format!("SET hang:{turn} 1")).await;
    }
    cluster[1].pause();
    let before = hedges(&client);
    let mut last = Duration::ZERO;
    for turn in 0..200 {
        let began = Instant::now();
        run::<()>(&client, &format!("SET hang:{turn} 2")).await;
        last = began.elapsed();
        assert!(last < LONGEST_GAP, "operation {turn} took {last:?}");
    }
    let delayed = hedges(&client) - before;
    assert!(delayed <= 20, "{delayed} operations waited for the node that hangs");
    let seat = client.nodes()[1].seat.clone();
    assert!(matches!(seat, Seat::Away(_)), "{seat:?}");
    cluster[1].resume();
    println!("{delayed} operations were delayed; the last one took {last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_and_comes_back_under_load_harms_nothing_and_is_repaired_by_reads() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let load = Load::start(&client, "hang", TASKS);
    for victim in 0..3 {
        load.further(100).await;
        cluster[victim].pause();
        load.further(500).await;
        cluster[victim].resume();
        cluster.until_votes(&client, victim).await;
    }
    load.stop().await.assert_unharmed();
    eventually_same(&cluster, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_either_way_or_late_harms_nothing_and_is_repaired_by_reads() {
    let cluster = Cluster::start().await;
    let coordinator = cluster.coordinator().await;
    let client = &coordinator.client;
    let load = Load::start(client, "cut", TASKS);
    let faults = [
        ("cut", harness::Link::cut as fn(&harness::Link)),
        ("cut_requests", harness::Link::cut_requests),
        ("cut_answers", harness::Link::cut_answers),
        ("hold", harness::Link::hold),
        ("hold_requests", harness::Link::hold_requests),
        ("hold_answers", harness::Link::hold_answers),
        ("refuse", harness::Link::refuse),
        ("close_all", harness::Link::close_all),
    ];
    for (turn, (name, fault)) in faults.into_iter().enumerate() {
        let link = &coordinator.links[turn % 3];
        fault(link);
        load.further(300).await;
        link.heal();
        cluster.until_votes(client, turn % 3).await;
        println!("{name}: the slowest operation took {:?}", load.slowest());
    }
    // One node is cut off while the one before it is still being brought up to date: slower, and no failure.
    load.stop().await.assert_none_failed();
    eventually_same(&cluster, client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_node_slows_the_others_by_no_more_than_the_hedge_delay() {
    let cluster = Cluster::start().await;
    let coordinator = cluster.coordinator().await;
    let load = Load::start(&coordinator.client, "slow", TASKS);
    load.further(200).await;
    coordinator.links[2].delay(Duration::from_millis(300));
    load.further(300).await;
    coordinator.links[2].heal();
    load.stop().await.assert_unharmed();
}
