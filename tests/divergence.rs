//! What each node would answer for itself: random choices, clocks, float arithmetic. Two hundred rounds each, by two clients at once,
//! and the nodes hold the same; sent to each node as it is, SPOP leaves them different nearly every time.

mod harness;
mod workload;

use anarchoredis::Client;
use redis::Value;
use workload::{Cluster, contents, difference, eventually_same, run, words};

const ROUNDS: usize = 200;

/// Lines with ROUND in the place of the round's number; a line that begins with `EVAL` has its script up to `|`.
async fn round(client: &Client, line: &str, round: usize) {
    let line = line.replace("ROUND", &round.to_string());
    let args: Vec<&[u8]> = match line.strip_prefix("EVAL ").and_then(|rest| rest.split_once('|')) {
        Some((script, rest)) => [&b"EVAL"[..], script.as_bytes()].into_iter().chain(words(rest)).collect(),
        None => words(&line),
    };
    let reply = client.run(&args).await;
    reply.unwrap_or_else(|error| panic!("{line}: {error}"));
}

async fn leaves_the_nodes_alike(lines: &[&str]) {
    let cluster = Cluster::start().await;
    let clients = [cluster.client().await, cluster.client().await];
    let run_all = |client: Client, first: usize| {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        async move {
            for number in (first..ROUNDS).step_by(2) {
                for line in &lines {
                    round(&client, line, number).await;
                }
            }
        }
    };
    tokio::join!(run_all(clients[0].clone(), 0), run_all(clients[1].clone(), 1));
    eventually_same(&cluster, &clients[0]).await;
    assert!(!contents(&cluster[0]).await.is_empty(), "there was something to compare");
}

#[tokio::test]
async fn spop_takes_the_same_members_everywhere() {
    leaves_the_nodes_alike(&["SADD s aROUND bROUND cROUND", "SPOP s", "SPOP s 1"]).await;
}

#[tokio::test]
async fn xadd_gives_one_id_everywhere() {
    leaves_the_nodes_alike(&["XADD x * round ROUND", "XADD x MAXLEN ~ 50 * round ROUND"]).await;
}

#[tokio::test]
async fn srandmember_may_be_used_for_writes() {
    let script = "EVAL local m = redis.call('SRANDMEMBER', KEYS[1]) redis.call('SMOVE', KEYS[1], KEYS[2], m)|2 {s}a {s}b";
    leaves_the_nodes_alike(&["SADD {s}a aROUND bROUND", script]).await;
}

#[tokio::test]
async fn float_arithmetic_stores_one_result() {
    leaves_the_nodes_alike(&["INCRBYFLOAT f 0.1", "HINCRBYFLOAT h f 3.7e-3", "ZINCRBY z 0.3 m"]).await;
}

#[tokio::test]
async fn relative_expiry_ends_at_one_moment() {
    leaves_the_nodes_alike(&[
        "SET kROUND v EX 1000",
        "EXPIRE kROUND 5000",
        "SETEX xROUND 77 v",
        "GETEX xROUND PX 123456",
    ])
    .await;
}

#[tokio::test]
async fn scripts_with_time_and_random_numbers_write_the_same() {
    let time =
        "EVAL local t = redis.call('TIME') redis.call('HSET', KEYS[1], t[1] .. t[2], math.random())|1 times";
    let expiry = "EVAL redis.call('SET', KEYS[1], redis.call('PTTL', KEYS[2])) redis.call('EXPIRE', KEYS[1], 900)|2 {t}a {t}b";
    leaves_the_nodes_alike(&[time, "SET {t}b v EX 500", expiry]).await;
}

/// The control: the same rounds, each node asked for itself.
#[tokio::test]
async fn a_spop_that_is_sent_to_each_node_as_it_is_leaves_them_different() {
    let cluster = Cluster::start().await;
    let mut different = 0;
    for round in 0..ROUNDS {
        let set = format!("s{round}");
        for node in cluster.iter() {
            let mut words = vec!["SADD".to_owned(), set.clone()];
            words.extend((0..50).map(|member| member.to_string()));
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let _: i64 = node.run(&words).await.expect("SADD");
            let _: Value = node.run(&["SPOP", &set]).await.expect("SPOP");
        }
        different += usize::from(difference(&cluster).await.contains_key(&set));
        for node in cluster.iter() {
            let _: i64 = node.run(&["DEL", &set]).await.expect("DEL");
        }
    }
    assert!(different > ROUNDS * 9 / 10, "only {different} of {ROUNDS} rounds left the sets different");
}

/// A transaction takes what its clients choose as one op, too.
#[tokio::test]
async fn transactions_with_scripts_leave_the_nodes_alike() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for round in 0..ROUNDS {
        let mut pipe = redis::pipe();
        pipe.atomic().sadd("{s}a", &[round, round + 1_000, round + 2_000]).ignore();
        pipe.cmd("EVAL").arg("return redis.call('SPOP', KEYS[1])").arg(1).arg("{s}a");
        pipe.cmd("SPOP").arg("{s}a");
        pipe.cmd("ZADD").arg("{s}z").arg(round % 3).arg(round).arg(1).arg(round + 1_000).ignore();
        pipe.cmd("ZREMRANGEBYLEX").arg("{s}z").arg("[2").arg("(4").ignore();
        pipe.cmd("XADD").arg("{s}x").arg("*").arg("round").arg(round).ignore();
        let taken: (usize, usize) = pipe.query_async(&mut client.clone()).await.expect("a transaction");
        assert!(taken.0 % 1_000 <= round && taken.1 % 1_000 <= round && taken.0 != taken.1, "{taken:?}");
    }
    eventually_same(&cluster, &client).await;
    assert_eq!(run::<usize>(&client, "SCARD {s}a").await, ROUNDS);
    assert_eq!(run::<usize>(&client, "XLEN {s}x").await, ROUNDS);
}
