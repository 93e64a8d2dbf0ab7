//! The client where a redis-rs connection was: commands, pipelines, large values, weaker levels, servers of several versions.

mod harness;
mod workload;

use anarchoredis::Consistency;
use harness::Version;
use redis::AsyncCommands;
use workload::{Cluster, eventually_same, run};

#[tokio::test]
async fn a_pipeline_runs_in_order_on_each_key_and_answers_in_its_own_order() {
    let cluster = Cluster::start().await;
    let mut store = cluster.client().await;
    let mut pipeline = redis::pipe();
    for turn in 0..200 {
        pipeline.rpush("list", turn).ignore();
        pipeline.incr(format!("counter:{}", turn % 3), 1).ignore();
    }
    pipeline.get("counter:0").lrange("list", 0, -1).set("counter:0", "end").ignore().get("counter:0");
    let replies: (i64, Vec<i64>, String) = pipeline.query_async(&mut store).await.expect("the pipeline");
    assert_eq!(replies, (67, (0..200).collect(), "end".to_owned()));
    eventually_same(&cluster, &store).await;
}

#[tokio::test]
async fn a_command_that_fails_in_a_pipeline_takes_no_other_with_it() {
    let cluster = Cluster::start().await;
    let mut store = cluster.client().await;
    let () = store.set("text", "no number").await.expect("SET");
    let mut pipeline = redis::pipe();
    pipeline.incr("n", 1).incr("text", 1).incr("n", 1).ignore_errors();
    let replies: Vec<redis::RedisResult<i64>> = pipeline.query_async(&mut store).await.expect("the pipeline");
    assert!(matches!(replies[..], [Ok(1), Err(_), Ok(2)]), "{replies:?}");
}

#[tokio::test]
async fn large_values_are_written_read_and_brought_to_a_node_that_missed_them() {
    let cluster = Cluster::durable(3).await;
    let mut store = cluster.client().await;
    cluster[1].kill();
    cluster.until_not_voting(&store, 1).await;
    let text = vec![b'x'; 5 * 1024 * 1024];
    let () = store.set("text", &text).await.expect("SET of 5 MB");
    for part in 0..5 {
        let elements: Vec<u32> = (part * 20_000..(part + 1) * 20_000).collect();
        let length: u32 = store.rpush("list", &elements).await.expect("RPUSH of 20,000 elements");
        assert_eq!(length, (part + 1) * 20_000);
    }
    let members: Vec<u32> = (0..20_000).collect();
    let added: u32 = store.sadd("set", &members).await.expect("SADD of 20,000 members");
    assert_eq!(added, 20_000);
    let scored: Vec<(u32, u32)> = members.iter().map(|member| (*member, *member)).collect();
    let () = store.zadd_multiple("zset", &scored).await.expect("ZADD of 20,000 members");
    let () = store.hset_multiple("hash", &scored).await.expect("HSET of 20,000 fields");
    cluster[1].restart().await;
    cluster.until_votes(&store, 1).await;
    eventually_same(&cluster, &store).await;
    let read: Vec<u8> = store.get("text").await.expect("GET of 5 MB");
    assert_eq!(read.len(), text.len());
    let read: Vec<u32> = store.lrange("list", 0, -1).await.expect("LRANGE of 100,000 elements");
    assert!(read.into_iter().eq(0..100_000));
    let held: u32 = cluster[1].run(&["LLEN", "list"]).await.expect("LLEN");
    assert_eq!(held, 100_000);
}

/// Every core type, written while one node is away, then read.
async fn write_each_type(store: &anarchoredis::Client, turn: usize) {
    for command in [
        "APPEND string v",
        "INCRBYFLOAT float 0.1",
        "RPUSH list a b",
        "SADD set a TURN",
        "HSET hash field TURN other x",
        "HINCRBYFLOAT hash float 1.1",
        "ZADD zset TURN a 1.5 b",
        "PFADD hll TURN",
        "GEOADD geo 13.36 38.11 palermo",
        "SETBIT bits TURN 1",
        "SET {tag}:1 TURN",
        "MSET {tag}:2 TURN {tag}:3 TURN",
        "SET volatile TURN PX 600000",
    ] {
        run::<redis::Value>(store, &command.replace("TURN", &turn.to_string())).await;
    }
}

async fn works_and_repairs(versions: &[Version]) {
    let cluster = Cluster::of(versions).await;
    let store = cluster.client().await;
    let mut turn = 1;
    write_each_type(&store, turn).await;
    for away in 0..versions.len() {
        cluster[away].pause();
        turn += 1;
        write_each_type(&store, turn).await;
        cluster[away].resume();
        cluster.until_votes(&store, away).await;
        eventually_same(&cluster, &store).await;
    }
    let text = "v".repeat(turn);
    assert_eq!(run::<String>(&store, "GET string").await, text);
    assert_eq!(run::<usize>(&store, "GET {tag}:3").await, turn);
    assert_eq!(run::<usize>(&store, "LLEN list").await, 2 * turn);
    for server in cluster.iter() {
        let held: String = server.run(&["GET", "string"]).await.expect("GET");
        assert_eq!(held, text, "on {}", server.version());
    }
}

#[tokio::test]
async fn servers_of_6_2_and_7_0_and_valkey_9_make_one_store() {
    works_and_repairs(&[Version::V6_2, Version::V7_0, Version::Valkey9]).await;
}

#[tokio::test]
async fn servers_of_6_2_and_7_4_and_valkey_9_make_one_store() {
    works_and_repairs(&[Version::V7_4, Version::V6_2, Version::Valkey9]).await;
}

#[tokio::test]
async fn reads_at_quorum_level_include_every_acknowledged_write_in_one_round_trip() {
    let cluster = Cluster::start().await;
    let writer = cluster.client().await;
    let reader = cluster.client().await.with_consistency(Consistency::Quorum);
    for turn in 1..=50 {
        assert_eq!(run::<i64>(&writer, "INCR counter").await, turn);
        assert_eq!(run::<i64>(&reader, "GET counter").await, turn);
    }
    cluster[0].kill();
    cluster.until_not_voting(&reader, 0).await;
    cluster.until_not_voting(&writer, 0).await;
    for turn in 51..=60 {
        assert_eq!(run::<i64>(&writer, "INCR counter").await, turn);
        assert_eq!(run::<i64>(&reader, "GET counter").await, turn);
    }
    cluster[1].reset_calls().await;
    run::<i64>(&reader, "GET counter").await;
    assert_eq!(cluster[1].round_trips().await, 1);
}

#[tokio::test]
async fn at_level_one_a_single_node_is_asked_and_writes_reach_the_others_afterwards() {
    let cluster = Cluster::start().await;
    let store = cluster.client().await;
    let one = store.with_consistency(Consistency::One);
    for _ in 0..20 {
        run::<i64>(&one, "INCR counter").await;
    }
    // In line behind the writes of the same client.
    assert_eq!(run::<i64>(&store, "GET counter").await, 20);
    eventually_same(&cluster, &store).await;
    cluster.reset_calls().await;
    for _ in 0..10 {
        assert_eq!(run::<i64>(&one, "GET counter").await, 20);
    }
    let calls: u64 = cluster.round_trips().await.into_iter().sum();
    assert_eq!(calls, 10, "reads at level one asked more than one node each");
}
