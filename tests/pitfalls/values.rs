//! P28, P32: repairs across server versions and across types.

use super::both;
use crate::harness::Version;
use crate::rig::{A, B, C, Kind, Rig, words};

const WRITES: [&str; 5] = [
    "SET {v}string 1",
    "RPUSH {v}list a b c",
    "HSET {v}hash f 1 g 2",
    "SADD {v}set a b c",
    "ZADD {v}zset 0.1 a 2 b",
];
const MORE: [&str; 5] =
    ["APPEND {v}string 0", "RPUSH {v}list d", "HSET {v}hash h 3", "SADD {v}set d", "ZADD {v}zset 1e300 c"];
const READS: [&str; 4] = ["GET {v}string", "LRANGE {v}list 0 -1", "HMGET {v}hash f g h", "SORT {v}set ALPHA"];

#[tokio::test]
async fn p28_every_type_is_repaired_between_the_oldest_and_the_newest_server_both_ways() {
    let trace = async |kind| {
        let rig = Rig::of(kind, &[Version::V6_2, Version::V7_0, Version::Valkey9]).await;
        let x = rig.join().await;
        let mut equal = true;
        for (lines, behind) in [(WRITES, B), (MORE, A), (MORE, C)] {
            let others: Vec<usize> = [A, B, C].into_iter().filter(|node| *node != behind).collect();
            x.reaches_only(if lines == WRITES { &[A, B, C] } else { &others }).await;
            for line in lines {
                x.must(&words(line)).await;
            }
            let keys: Vec<&str> = lines.iter().map(|line| words(line)[1]).collect();
            rig.heal(&keys).await;
            for line in READS {
                equal &= rig.agree(&words(line)).await;
            }
            // Versions write the same score differently.
            for member in ["a", "b", "c"] {
                let scores: Vec<Option<f64>> = rig.ask(&["ZSCORE", "{v}zset", member]).await;
                equal &= scores.iter().all(|score| *score == scores[0]);
            }
        }
        equal
    };
    let (naive, ours) = both(trace).await;
    assert!(!naive, "DUMP of a newer server is refused by an older one");
    assert!(ours);
}

#[tokio::test]
async fn p32_a_value_of_another_type_that_one_node_holds_is_replaced_not_merged_and_does_not_win() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        for _ in 0..3 {
            rig.nodes[A].run::<()>(&["RPUSH", "k", "stray"]).await.expect("RPUSH");
            if kind == Kind::Naive {
                rig.nodes[A].run::<()>(&["INCR", "version:k"]).await.expect("INCR");
            }
        }
        assert_eq!(x.get::<i64>(&["SADD", "k", "member"]).await, 1);
        rig.heal(&["k"]).await;
        rig.ask::<String>(&["TYPE", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, ["list"; 3], "the acknowledged set is lost");
    assert_eq!(ours, ["set"; 3]);
}
