//! P01-P04: writes that are lost, doubled, or come too late.

use super::both;
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Rig, SOON};

#[tokio::test]
async fn p01_a_write_that_reached_one_node_twice_does_not_beat_one_that_two_nodes_acknowledged() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "old"]).await;
        x.loses(&[B, C]);
        x.run(&["SET", "k", "a1"]).await.expect_err("one node is no majority");
        x.run(&["SET", "k", "a2"]).await.expect_err("one node is no majority");
        y.reaches_only(&[B, C]).await;
        y.must(&["SET", "k", "acknowledged"]).await;
        rig.heal(&["k"]).await;
        rig.ask::<String>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, ["a2"; 3]);
    assert_eq!(ours, ["acknowledged"; 3]);
}

#[tokio::test]
async fn p02_nodes_that_applied_two_pushes_in_different_orders_are_not_taken_for_equal() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.links[C].hold_requests();
        let late = async {
            eventually("X is at A and B", SOON, async || {
                rig.ask::<usize>(&["LLEN", "k"]).await[..C] == [1, 1]
            })
            .await;
            y.must(&["RPUSH", "k", "y"]).await;
            x.links[C].heal();
        };
        let (pushed, ()) = tokio::join!(x.run(&["RPUSH", "k", "x"]), late);
        pushed.expect("three nodes answer in the end");
        eventually("X is at C too", SOON, async || rig.nodes[C].round_trips().await >= 2).await;
        rig.heal(&["k"]).await;
        rig.ask::<Vec<String>>(&["LRANGE", "k", "0", "-1"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [["x", "y"], ["x", "y"], ["y", "x"]]);
    assert_eq!(ours, [["x", "y"]; 3]);
}

#[tokio::test]
async fn p03_a_call_that_is_sent_again_because_its_reply_was_lost_counts_once() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "10"]).await;
        x.links[A].cut_answers();
        let heal = async {
            // Looked at more than once: between seen and lost is a moment.
            let mut looks = 0;
            let lost = async || {
                looks += u32::from(x.has_lost_an_answer(A));
                looks > 3
            };
            eventually("A's answer is lost", SOON, lost).await;
            x.links[A].heal();
        };
        let (counted, ()) = tokio::join!(x.run(&["INCR", "k"]), heal);
        counted.expect("two nodes answered");
        if kind == Kind::Ours {
            x.reaches_all().await;
        }
        rig.heal(&["k"]).await;
        rig.ask::<i64>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [12; 3]);
    assert_eq!(ours, [11; 3]);
}

/// The same for an op whose rounds all fail until the network is back: it is applied once under its one id.
#[tokio::test]
async fn p03_a_write_that_is_tried_again_under_the_same_id_by_its_coordinator_counts_once() {
    let rig = Rig::start(Kind::Ours).await;
    let x = rig.join().await;
    x.must(&["SET", "k", "10"]).await;
    x.links.iter().for_each(|link| link.cut_answers());
    let heal = async {
        let lost = async || [A, B, C].iter().all(|node| x.has_lost_an_answer(*node));
        eventually("all answers are lost", SOON, lost).await;
        assert_eq!(rig.ask::<i64>(&["GET", "k"]).await, [11; 3]);
        x.links.iter().for_each(|link| link.heal());
    };
    let (counted, ()) = tokio::join!(x.run(&["INCR", "k"]), heal);
    assert_eq!(counted, Ok(redis::Value::Int(11)));
    assert_eq!(rig.ask::<i64>(&["GET", "k"]).await, [11; 3]);
}

#[tokio::test]
async fn p04_a_write_that_its_caller_was_told_failed_does_not_arrive_late_over_an_acknowledged_one() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let (x, y) = (rig.join().await, rig.join().await);
        x.must(&["SET", "k", "first"]).await;
        x.loses(&[B, C]);
        x.links[A].hold_requests();
        x.run(&["SET", "k", "late"]).await.expect_err("nobody answered");
        y.must(&["SET", "k", "acknowledged"]).await;
        let calls = rig.nodes[A].round_trips().await;
        x.links[A].heal();
        eventually("the late write arrives", SOON, async || rig.nodes[A].round_trips().await > calls).await;
        rig.heal(&["k"]).await;
        rig.ask::<String>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, ["late"; 3]);
    assert_eq!(ours, ["acknowledged"; 3]);
}
