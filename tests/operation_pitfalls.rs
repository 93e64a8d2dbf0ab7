//! What operators of a naive layer over plain Redis run into, on real servers: servers that evict, turn into another's or into a replica,
//! clocks that are off, queues that overflow, heals that starve clients, rights that go missing. The other pitfalls: `tests/pitfalls.rs`.

mod harness;
mod workload;

use anarchoredis::heal::{Fault, Healer, Settings, Silent};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use harness::{Server, Version, eventually};
use redis::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use workload::{Cluster, Load, Shifted, eventually_same, run, try_run};

const SOON: Duration = Duration::from_secs(30);

async fn healer(urls: Vec<String>) -> Healer {
    Healer::connect(urls, Config::default()).await.expect("a healer")
}

async fn plainly(server: &Server, line: &str) -> Value {
    server.run(&line.split(' ').collect::<Vec<_>>()).await.unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Waits until the client does not ask the node, and why that is says this.
async fn until_away(client: &Client, node: usize, says: &str) {
    eventually(
        "the node is not asked any more, and it is said why",
        SOON,
        async || matches!(&client.nodes()[node].seat, Seat::Away(reason) if reason.contains(says)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p34_a_server_that_is_set_to_evict_is_not_asked_any_more_and_what_it_dropped_is_found_and_put_back() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for key in 0..30 {
        run::<()>(&client, &format!("SET key:{key} v")).await;
    }
    plainly(&cluster[1], "CONFIG SET maxmemory-policy allkeys-lru").await;
    until_away(&client, 1, "set it to noeviction").await;
    // As eviction leaves them: data without records, and records without data.
    plainly(&cluster[1], "DEL anrcho_version:{key:1} anrcho_version:{key:2} key:3 key:4").await;
    run::<()>(&client, "SET key:5 w").await;
    plainly(&cluster[1], "CONFIG SET maxmemory-policy noeviction").await;
    cluster.until_votes(&client, 1).await;
    let healer = healer(cluster.urls()).await;
    let verified = healer.verify(false, &Silent).await.expect("a verification");
    let found = |key: &str| {
        verified.findings.iter().find(|finding| finding.register == key).map(|finding| finding.fault)
    };
    assert_eq!((found("key:3"), found("key:4")), (Some(Fault::Lost), Some(Fault::Lost)), "{verified:?}");
    assert!(found("key:1").is_some() && found("key:2").is_some(), "{verified:?}");
    let repaired = healer.verify(true, &Silent).await.expect("a verification");
    assert!(repaired.is_sound(), "{repaired:?}");
    eventually_same(&cluster, &client).await;
    assert_eq!(run::<String>(&client, "GET key:1").await, "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn p39_the_protocols_own_keys_are_not_counted_listed_or_named() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let expected: BTreeSet<String> = (0..50).map(|key| format!("key:{key}")).collect();
    for key in &expected {
        run::<()>(&client, &format!("SET {key} v")).await;
    }
    assert!(matches!(plainly(&cluster[0], "DBSIZE").await, Value::Int(keys) if keys > 100));
    assert_eq!(run::<u64>(&client, "DBSIZE").await, 50);
    let mut listed: Vec<String> = run(&client, "KEYS *").await;
    listed.sort();
    assert_eq!(listed, expected.iter().cloned().collect::<Vec<_>>(), "each once");
    let (mut seen, mut cursor) = (BTreeSet::new(), "0".to_owned());
    loop {
        let (next, keys): (String, Vec<String>) = run(&client, &format!("SCAN {cursor} COUNT 7")).await;
        seen.extend(keys);
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(seen, expected, "all of them and nothing else");
    for line in ["GET anrcho_version:{key:1}", "SET anrcho_mine v", "DEL anrcho_node", "MSET a 1 anrcho_b 2"]
    {
        let error = try_run::<Value>(&client, line).await.expect_err(line).to_string();
        assert!(error.contains("anrcho_"), "{line}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p45_a_node_that_is_made_a_replica_of_another_while_it_runs_is_no_second_vote() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    run::<()>(&client, "SET k v").await;
    plainly(&cluster[2], &format!("REPLICAOF 127.0.0.1 {}", cluster[0].port())).await;
    until_away(&client, 2, "replica").await;
    run::<()>(&client, "SET k w").await;
    cluster[1].kill();
    let alone = try_run::<Value>(&client, "SET k x").await;
    assert!(alone.is_err(), "one node and its copy are no majority: {alone:?}");
    cluster[1].restart_empty().await;
    plainly(&cluster[2], "REPLICAOF NO ONE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p47_another_clusters_data_at_a_members_address_has_no_say_and_is_not_touched() {
    let (ours, theirs) = (Cluster::start().await, Cluster::start().await);
    let client = ours.client().await;
    run::<()>(&client, "SET k ours").await;
    run::<()>(&theirs.client().await, "SET k theirs").await;
    let foreign = theirs[0].snapshot_rdb().await;
    ours[2].restart_from_rdb(&foreign).await;
    until_away(&client, 2, "it belongs to cluster").await;
    run::<()>(&client, "SET k still-ours").await;
    let error =
        Client::builder().nodes(ours.urls()).connect().await.expect_err("a list of two clusters").to_string();
    assert!(error.contains("it belongs to cluster"), "{error}");
    let error =
        Healer::connect(ours.urls(), Config::default()).await.expect_err("nor is it healed").to_string();
    assert!(error.contains("it belongs to cluster"), "{error}");
    assert_eq!(plainly(&ours[2], "GET k").await, Value::BulkString(b"theirs".to_vec()));
    assert_eq!(run::<String>(&client, "GET k").await, "still-ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn p48_a_clock_that_is_ahead_mutes_nobody_and_one_that_is_far_ahead_is_refused() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let ahead = Shifted { by_ms: 450 }.client(cluster.urls()).await;
    for turn in 0..20 {
        run::<()>(&ahead, &format!("SET k ahead:{turn}")).await;
        run::<()>(&client, &format!("SET k right:{turn}")).await;
        assert_eq!(run::<String>(&ahead, "GET k").await, format!("right:{turn}"), "the later write is there");
    }
    for by_ms in [600_000, -600_000] {
        let config = Config { surroundings: Arc::new(Shifted { by_ms }), ..Config::default() };
        let far = Client::builder().nodes(cluster.urls()).config(config).connect().await;
        let error = far.expect_err("ten minutes off").to_string();
        assert!(error.contains("run NTP on both"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p49_a_sweep_looks_at_the_union_of_all_nodes_and_is_unfinished_while_one_is_missing() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    for key in ["a", "b", "deleted"] {
        run::<()>(&client, &format!("SET {key} old")).await;
    }
    // The first node misses a key and a deletion, the second one another key: no single node's list names all of it.
    cluster[0].kill();
    cluster.until_not_voting(&client, 0).await;
    run::<()>(&client, "SET only-on-two-and-three v").await;
    run::<i64>(&client, "DEL deleted").await;
    cluster[0].restart().await;
    cluster.until_votes(&client, 0).await;
    cluster[1].kill();
    cluster.until_not_voting(&client, 1).await;
    run::<()>(&client, "SET only-on-one-and-three v").await;
    let healer = healer(cluster.urls()).await;
    let unfinished = healer.once(&Silent).await.expect("a pass over two nodes");
    assert!(!unfinished.complete && unfinished.away.len() == 1, "{unfinished:?}");
    cluster[1].restart().await;
    eventually("all nodes are identical", SOON, async || {
        healer.once(&Silent).await.expect("a pass").complete
    })
    .await;
    for node in cluster.iter() {
        let mut keys: Vec<String> = node.run(&["KEYS", "*"]).await.expect("keys");
        keys.retain(|key| !key.starts_with("anrcho_"));
        keys.sort();
        assert_eq!(keys, ["a", "b", "only-on-one-and-three", "only-on-two-and-three"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p50_repairs_that_find_no_room_in_the_queue_are_counted_found_again_and_none_is_left_at_rest() {
    let cluster = Cluster::start().await;
    let config = Config { repair_queue: 1, repairs_at_once: 1, ..Config::default() };
    let narrow = Client::builder().nodes(cluster.urls()).config(config).connect().await.expect("a client");
    // A node misses what the others settle, and what they noted of it is gone: only reads find it now.
    cluster[2].pause();
    for key in 0..200 {
        run::<()>(&narrow, &format!("SET key:{key} v")).await;
    }
    cluster[2].resume();
    cluster.until_all_vote(&narrow).await;
    eventually("no repair is under way", SOON, async || narrow.repairs().waiting == 0).await;
    for node in cluster.iter() {
        plainly(node, "DEL anrcho_dirty").await;
    }
    let reads = (0..200).map(|key| {
        let client = narrow.clone();
        async move { run::<String>(&client, &format!("GET key:{key}")).await }
    });
    assert!(futures_util::future::join_all(reads).await.iter().all(|value| value == "v"));
    let overflowed = narrow.repairs().overflowed;
    println!("{overflowed} repairs found no room");
    eventually("the queue overflows, and says so", SOON, async || narrow.repairs().overflowed > 0).await;
    eventually("nothing waits any more", SOON, async || narrow.repairs().waiting == 0).await;
    let healer = healer(cluster.urls()).await;
    eventually("what was dropped is remembered", SOON, async || healer.status().await.backlog > 0).await;
    let settings =
        Settings { drain_every: Duration::from_millis(50), interval: SOON, ..Settings::unlimited() };
    let daemon = healer.run(settings);
    eventually("nothing is left", SOON, async || {
        let status = healer.status().await;
        status.backlog == 0 && status.last_sweep.is_some_and(|sweep| sweep.complete)
    })
    .await;
    daemon.stop().await;
    let look = healer.look(&Silent).await.expect("a look");
    assert!(look.complete && look.differing == 0, "{look:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p51_a_heal_keeps_to_its_limits_and_clients_work_on_beside_it_and_beside_a_large_value() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for key in 0..600 {
        run::<()>(&client, &format!("SET key:{key} {}", "v".repeat(100))).await;
    }
    let large = vec![b'x'; 48 * 1024 * 1024];
    client.run(&[b"SET", b"large", &large]).await.expect("a large value");
    cluster[2].restart_empty().await;
    cluster.until_not_voting(&client, 2).await;
    let load = Load::start(&client, "beside", 4);
    load.further(100).await;
    let limits = Settings { keys_per_second: 500, bytes_per_second: 24 * 1024 * 1024, ..Settings::default() };
    let healer = healer(cluster.urls()).await.with_settings(limits);
    let began = Instant::now();
    let summary = healer.once(&Silent).await.expect("a pass");
    let took = began.elapsed();
    assert_eq!(summary.rejoined.len(), 1, "{summary:?}");
    // 600 registers at 500 a second, less what is free at the beginning; never faster, however slow the machine.
    assert!(took > Duration::from_secs(1), "limits that were not kept: {took:?}");
    load.further(100).await;
    let outcome = load.stop().await;
    println!("filled in {took:?}; beside it the longest operation took {:?}", outcome.longest_gap);
    outcome.assert_none_failed();
}

#[tokio::test(flavor = "multi_thread")]
async fn p53_a_password_that_is_changed_on_one_node_and_a_right_that_is_taken_away_are_named_and_the_others_go_on()
 {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    run::<()>(&client, "SET k v").await;
    plainly(&cluster[1], "CONFIG SET requirepass rotated").await;
    let mut admin = redis::Client::open(format!("redis://:rotated@127.0.0.1:{}/", cluster[1].port()))
        .expect("a URL")
        .get_multiplexed_async_connection()
        .await
        .expect("the new password");
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal"])
        .exec_async(&mut admin)
        .await
        .expect("connections end");
    run::<()>(&client, "SET k w").await;
    until_away(&client, 1, "it does not allow what nodes need").await;
    redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).exec_async(&mut admin).await.expect("as it was");
    cluster.until_votes(&client, 1).await;
    let denied =
        Server::with(Version::V7_0).config("user", "default on nopass ~* +@all -evalsha").start().await;
    let urls = vec![denied.url(), cluster[0].url(), cluster[1].url()];
    let client = Client::builder().nodes(urls).connect().await.expect("two of three are a majority");
    let odd =
        client.nodes().into_iter().find(|node| matches!(node.seat, Seat::Away(_))).expect("one is not asked");
    assert!(matches!(&odd.seat, Seat::Away(reason) if reason.contains("evalsha")), "{odd:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p54_a_plain_write_behind_the_stores_back_is_found_by_a_read_or_by_verify_and_undone() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    run::<()>(&client, "SET read v").await;
    run::<()>(&client, "SET unread v").await;
    for key in ["read", "unread"] {
        plainly(&cluster[0], &format!("SET {key} other")).await;
    }
    eventually("a read finds it", SOON, async || {
        let _ = run::<String>(&client, "GET read").await;
        plainly(&cluster[0], "GET read").await == Value::BulkString(b"v".to_vec())
    })
    .await;
    assert_eq!(
        plainly(&cluster[0], "GET unread").await,
        Value::BulkString(b"other".to_vec()),
        "nobody read it"
    );
    let verified = healer(cluster.urls()).await.verify(true, &Silent).await.expect("a verification");
    assert!(verified.is_sound() && verified.findings.len() == 1, "{verified:?}");
    eventually_same(&cluster, &client).await;
}
