//! P07, P10-P12: keys that are gone, and must be gone; keys that one node has lost, and must not be.

use redis::Value;

use super::both;
use crate::direct::record;
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Rig, SOON};

#[tokio::test]
async fn p07_a_deleted_key_stays_deleted_when_the_node_that_missed_it_returns() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "v"]).await;
        x.reaches_only(&[A, B]).await;
        x.must(&["DEL", "k"]).await;
        y.reaches_only(&[B, C]).await;
        let read = y.get::<Option<String>>(&["GET", "k"]).await;
        rig.heal(&["k"]).await;
        (read, rig.ask::<i64>(&["EXISTS", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, (Some("v".to_owned()), vec![0, 0, 1]));
    assert_eq!(ours, (None, vec![0, 0, 0]));
}

#[tokio::test]
async fn p10_a_write_that_comes_too_late_for_a_deletion_changes_nothing_not_even_the_record() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["HSET", "h", "f", "1"]).await;
        x.links[A].hold_requests();
        x.run(&["HSET", "h", "f", "2"]).await.expect("two nodes answered");
        y.must(&["DEL", "h"]).await;
        if kind == Kind::Ours {
            rig.heal(&["h"]).await;
        }
        let calls = rig.nodes[A].round_trips().await;
        let before = rig.ask::<Value>(&["HGETALL", &record("h")]).await;
        x.links[A].heal();
        eventually("it arrives at A", SOON, async || rig.nodes[A].round_trips().await > calls).await;
        let same_record = rig.ask::<Value>(&["HGETALL", &record("h")]).await == before;
        (rig.ask::<i64>(&["EXISTS", "h"]).await, same_record)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive.0, [1, 0, 0], "the late write brought the key back");
    assert_eq!(ours, (vec![0, 0, 0], true));
}

#[tokio::test]
async fn p11_what_a_merge_decides_does_not_depend_on_the_order_of_the_nodes() {
    const ORDERS: [[usize; 3]; 6] = [[A, B, C], [A, C, B], [B, A, C], [B, C, A], [C, A, B], [C, B, A]];
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        let keys = [0, 1, 2, 3, 4, 5].map(|order| format!("k{order}"));
        for key in &keys {
            x.must(&["SET", key, "old"]).await;
        }
        x.loses(&[B, C]);
        y.reaches_only(&[B, C]).await;
        for key in &keys {
            y.must(&["SET", key, "acknowledged"]).await;
        }
        let stray =
            keys.iter().map(async |key| x.run(&["SET", key, "stray"]).await.expect_err("no majority"));
        futures_util::future::join_all(stray).await;
        let mut merged = Vec::new();
        for (key, order) in keys.iter().zip(ORDERS) {
            let merger = rig.join_in_order(&order).await;
            if kind == Kind::Naive {
                merger.naive().heal(key).await;
            }
            merged.push(merger.get::<String>(&["GET", key]).await);
            if kind == Kind::Ours {
                assert!(rig.comes_to_agree(&["GET", key]).await);
            }
        }
        merged
    };
    let (naive, ours) = both(trace).await;
    assert!(naive.contains(&"stray".to_owned()) && naive.contains(&"acknowledged".to_owned()), "{naive:?}");
    assert_eq!(ours, ["acknowledged"; 6]);
}

#[tokio::test]
async fn p12_a_key_that_one_node_has_lost_is_repaired_by_the_next_read() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        for number in 1..=7 {
            x.must(&["SET", "k", &number.to_string()]).await;
        }
        let lost = rig.nodes[A].run::<i64>(&["DEL", "k", "version:k", &record("k")]).await;
        assert_eq!(lost, Ok(2));
        assert_eq!(x.get::<i64>(&["GET", "k"]).await, 7);
        match kind {
            Kind::Naive => drop(x.naive().heal("k").await),
            Kind::Ours => assert!(rig.comes_to_agree(&["GET", "k"]).await),
        }
        rig.ask::<Option<i64>>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [None, Some(7), Some(7)]);
    assert_eq!(ours, [Some(7); 3]);
}
