//! P19, P20, P25-P27: the same command that has another effect on every node, and equal values that look different.

use redis::Value;

use super::both;
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Party, Rig, SOON};

/// A set of the numbers from 1.
async fn add_members(party: &Party, count: usize) {
    let numbers: Vec<String> = (1..=count).map(|number| format!("member-{number}")).collect();
    for some in numbers.chunks(100) {
        let mut words = vec!["SADD", "s"];
        words.extend(some.iter().map(String::as_str));
        party.must(&words).await;
    }
}

#[tokio::test]
async fn p19_a_random_choice_is_made_once_and_not_by_every_node() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        add_members(&x, 100).await;
        let mut popped = Vec::new();
        for _ in 0..20 {
            popped.push(x.get::<String>(&["SPOP", "s"]).await);
        }
        popped.sort();
        popped.dedup();
        let gone = async |member: &String| rig.ask::<i64>(&["SISMEMBER", "s", member]).await == [0; 3];
        let mut all_gone = true;
        for member in &popped {
            all_gone &= gone(member).await;
        }
        (rig.agree(&["SORT", "s", "ALPHA"]).await, all_gone, popped.len())
    };
    let (naive, ours) = both(trace).await;
    assert!(!naive.0 && !naive.1, "every node popped members of its own choice");
    assert_eq!(ours, (true, true, 20));
}

#[tokio::test]
async fn p20_no_id_is_taken_from_a_nodes_own_clock() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.links[A].delay(std::time::Duration::from_millis(20));
        let added = x.run(&["XADD", "k", "*", "f", "v"]).await;
        (added, rig.comes_to_agree(&["XRANGE", "k", "-", "+"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert!(naive.0.is_ok() && !naive.1, "the entry has another id on another node");
    assert!(ours.0.is_ok() && ours.1, "{:?}", ours.0);
}

#[tokio::test]
async fn p25_sums_of_floats_are_the_same_on_every_node_whatever_the_order_of_arrival() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "0.8"]).await;
        x.links[C].hold_requests();
        let late = async {
            let counted =
                async || rig.ask::<String>(&["GET", "k"]).await[..C].iter().all(|sum| sum.len() > 10);
            eventually("X is at A and B", SOON, counted).await;
            y.must(&["INCRBYFLOAT", "k", "0.3"]).await;
            x.links[C].heal();
        };
        let (added, ()) = tokio::join!(x.run(&["INCRBYFLOAT", "k", "1e17"]), late);
        added.expect("three nodes answer in the end");
        rig.heal(&["k"]).await;
        y.must(&["INCRBYFLOAT", "k", "-1e17"]).await;
        rig.comes_to_agree(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert!(!naive);
    assert!(ours);
}

#[tokio::test]
async fn p26_counting_a_hyperloglog_leaves_the_nodes_byte_for_byte_equal() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, reader) = (rig.join().await, rig.join().await);
        x.must(&["PFADD", "h", "a", "b", "c", "d", "e"]).await;
        reader.reaches_only(&[A, B]).await;
        assert_eq!(reader.get::<i64>(&["PFCOUNT", "h"]).await, 5);
        rig.heal(&["h"]).await;
        rig.agree(&["GET", "h"]).await
    };
    let (naive, ours) = both(trace).await;
    assert!(!naive, "versions are equal, bytes are not: repaired for ever, or never");
    assert!(ours);
}

#[tokio::test]
async fn p27_equal_sets_in_another_order_are_not_repaired_again_and_again() {
    let naive = async {
        let rig = Rig::start(Kind::Naive).await;
        let x = rig.join().await;
        add_members(&x, 1_000).await;
        let mut copied = Vec::new();
        for _ in 0..3 {
            copied.push(x.naive().scrub("s").await);
        }
        copied
    };
    let ours = async {
        let rig = Rig::start(Kind::Ours).await;
        let x = rig.join().await;
        add_members(&x, 1_000).await;
        for _ in 0..5 {
            assert_eq!(x.get::<Vec<Value>>(&["SMEMBERS", "s"]).await.len(), 1_000);
        }
        let summary = rig.heal_pass().await;
        (
            rig.agree(&["SMEMBERS", "s"]).await,
            x.client().repairs().requested,
            summary.seen == summary.identical,
        )
    };
    let (naive, ours) = tokio::join!(naive, ours);
    assert!(naive.iter().all(|copied| *copied > 0), "{naive:?}");
    assert_eq!(ours, (false, 0, true), "another order on every node, and nothing to repair");
}
