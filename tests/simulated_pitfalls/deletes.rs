//! P07-P12: keys that are gone, and must be gone; keys that one node has lost, and must not be.

use redis::Value;

use super::both;
use crate::rig::{A, B, C, Kind, pause_ms, record};
use crate::simulated::world::Link;

#[test]
fn p07_a_deleted_key_stays_deleted_when_the_node_that_missed_it_returns() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k v").await;
        x.reaches_only(&[A, B]).await;
        x.must("DEL k").await;
        y.reaches_only(&[B, C]).await;
        let read = y.get::<Option<String>>("GET k").await;
        rig.heal(&["k"]).await;
        (read, rig.ask::<i64>("EXISTS k"))
    });
    assert_eq!(naive, (Some("v".to_owned()), vec![0, 0, 1]));
    assert_eq!(ours, (None, vec![0, 0, 0]));
}

/// Nothing is purged yet; whatever will be must keep to this. The naive one has forgotten the deletion at once.
#[test]
fn p08_a_deletion_is_remembered_for_a_node_that_was_away_for_an_hour() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k v").await;
        y.links(&[C], Link::Cut);
        x.reaches_only(&[A, B]).await;
        x.must("DEL k").await;
        pause_ms(3_600_000).await;
        x.dies();
        y.reaches_only(&[B, C]).await;
        let read = y.get::<Option<String>>("GET k").await;
        rig.heal(&["k"]).await;
        (read, rig.ask::<i64>("EXISTS k"))
    });
    assert_eq!(naive, (Some("v".to_owned()), vec![0, 0, 1]));
    assert_eq!(ours, (None, vec![0, 0, 0]));
}

#[test]
fn p09_a_repair_of_a_key_that_is_deleted_meanwhile_does_not_bring_it_back() {
    let (naive, ours) = both(async |rig| {
        rig.repair_after("DEL k").await;
        rig.ask::<i64>("EXISTS k")
    });
    assert_eq!(naive, [0, 0, 1]);
    assert_eq!(ours, [0, 0, 0]);
}

#[test]
fn p10_a_write_that_comes_too_late_for_a_deletion_changes_nothing_not_even_the_record() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("HSET h f 1").await;
        x.loses(&[A]);
        x.run("HSET h f 2").await.expect("two nodes answered");
        y.must("DEL h").await;
        if rig.kind == Kind::Ours {
            rig.heal(&["h"]).await;
        }
        let record = format!("HGETALL {}", record("h"));
        let before = rig.ask::<Value>(&record);
        x.delivers(&[A]).await;
        (rig.ask::<i64>("EXISTS h"), rig.ask::<Value>(&record) == before)
    });
    assert_eq!(naive.0, [1, 0, 0], "the late write brought the key back");
    assert_eq!(ours, (vec![0, 0, 0], true));
}

#[test]
fn p11_what_a_merge_decides_does_not_depend_on_the_order_of_the_nodes() {
    const ORDERS: [[usize; 3]; 6] = [[A, B, C], [A, C, B], [B, A, C], [B, C, A], [C, A, B], [C, B, A]];
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        let keys = [0, 1, 2, 3, 4, 5].map(|order| format!("k{order}"));
        for key in &keys {
            x.must(&format!("SET {key} old")).await;
        }
        x.loses(&[B, C]);
        y.reaches_only(&[B, C]).await;
        for key in &keys {
            y.must(&format!("SET {key} acknowledged")).await;
        }
        let stray = keys.iter().map(async |key| x.fails(&format!("SET {key} stray")).await);
        futures_util::future::join_all(stray).await;
        x.dies();
        let mut merged = Vec::new();
        for (key, order) in keys.iter().zip(ORDERS) {
            let merger = rig.join_in_order(&order).await;
            if rig.kind == Kind::Naive {
                merger.naive().heal(key).await;
            }
            merged.push(merger.get::<String>(&format!("GET {key}")).await);
            if rig.kind == Kind::Ours {
                assert!(rig.comes_to_agree(&format!("GET {key}")).await);
            }
        }
        merged
    });
    let [stray, acknowledged] = ["stray", "acknowledged"];
    assert_eq!(naive, [stray, stray, acknowledged, acknowledged, acknowledged, acknowledged]);
    assert_eq!(ours, [acknowledged; 6]);
}

#[test]
fn p12_a_key_that_one_node_has_lost_is_repaired_by_the_next_read() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        for number in 1..=7 {
            x.must(&format!("SET k {number}")).await;
        }
        let lost = rig.ask_one::<i64>(A, &format!("DEL k version:k {}", record("k")));
        assert_eq!(lost, 2);
        assert_eq!(x.get::<i64>("GET k").await, 7);
        match rig.kind {
            Kind::Naive => x.naive().heal("k").await,
            Kind::Ours => assert!(rig.comes_to_agree("GET k").await),
        }
        rig.ask::<Option<i64>>("GET k")
    });
    assert_eq!(naive, [None, Some(7), Some(7)]);
    assert_eq!(ours, [Some(7); 3]);
}
