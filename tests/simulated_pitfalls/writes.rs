//! P01-P04: writes that are lost, doubled, or come too late.

use redis::Value;

use super::both;
use crate::rig::{A, B, C, Kind, pause_ms, until};
use crate::simulated::world::Link;

#[test]
fn p01_a_write_that_reached_one_node_twice_does_not_beat_one_that_two_nodes_acknowledged() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k old").await;
        x.loses(&[B, C]);
        x.fails("SET k a1").await;
        x.fails("SET k a2").await;
        x.dies();
        y.reaches_only(&[B, C]).await;
        y.must("SET k acknowledged").await;
        rig.heal(&["k"]).await;
        rig.ask::<String>("GET k")
    });
    assert_eq!(naive, ["a2"; 3]);
    assert_eq!(ours, ["acknowledged"; 3]);
}

#[test]
fn p02_nodes_that_applied_two_pushes_in_different_orders_are_not_taken_for_equal() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.loses(&[C]);
        let late = async {
            until("X is at A and B", || rig.ask::<usize>("LLEN k")[..C] == [1, 1]).await;
            y.must("RPUSH k y").await;
            x.delivers(&[C]).await;
        };
        let (pushed, ()) = tokio::join!(x.run("RPUSH k x"), late);
        pushed.expect("three nodes answer in the end");
        rig.heal(&["k"]).await;
        rig.ask::<Vec<String>>("LRANGE k 0 -1")
    });
    assert_eq!(naive, [["x", "y"], ["x", "y"], ["y", "x"]]);
    assert_eq!(ours, [["x", "y"]; 3]);
}

#[test]
fn p03_a_call_that_is_sent_again_because_its_reply_was_lost_counts_once() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k 10").await;
        x.links(&[A], Link::AnswersHeld);
        let late = async {
            until("A has counted", || rig.ask_one::<i64>(A, "GET k") == 11).await;
            // Longer than the naive one waits before it sends the call again.
            pause_ms(600).await;
            x.links(&[A], Link::Up);
        };
        let (counted, ()) = tokio::join!(x.run("INCR k"), late);
        counted.expect("two nodes answered");
        rig.heal(&["k"]).await;
        rig.ask::<i64>("GET k")
    });
    assert_eq!(naive, [12; 3]);
    assert_eq!(ours, [11; 3]);
}

/// The same where every reply is lost: ours tries again under its one id, and gets the reply of the first time.
#[test]
fn p03_a_write_whose_replies_are_all_lost_is_tried_again_and_counts_once() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k 10").await;
        x.links(&[A, B, C], Link::AnswersHeld);
        let late = async {
            until("all have counted", || rig.ask::<i64>("GET k") == [11; 3]).await;
            x.dies();
            pause_ms(15).await;
            x.links(&[A, B, C], Link::Up);
        };
        let (counted, ()) = tokio::join!(x.run("INCR k"), late);
        // The naive one may try again before the network is back: then its caller does.
        let counted = if counted.is_ok() { counted } else { x.run("INCR k").await };
        (counted, rig.ask::<i64>("GET k"))
    });
    assert_eq!(naive, (Ok(Value::Int(12)), vec![12; 3]));
    assert_eq!(ours, (Ok(Value::Int(11)), vec![11; 3]));
}

#[test]
fn p04_a_write_that_its_caller_was_told_failed_does_not_arrive_late_over_an_acknowledged_one() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k first").await;
        x.loses(&[A, B, C]);
        x.fails("SET k late").await;
        x.links(&[B, C], Link::Cut);
        y.must("SET k acknowledged").await;
        if rig.kind == Kind::Ours {
            rig.heal(&["k"]).await;
        }
        x.delivers(&[A]).await;
        rig.heal(&["k"]).await;
        rig.ask::<String>("GET k")
    });
    assert_eq!(naive, ["late"; 3]);
    assert_eq!(ours, ["acknowledged"; 3]);
}

/// The same with a node that stands still: the call of before is in its socket when it goes on.
#[test]
fn p04_what_waits_in_the_socket_of_a_paused_node_dies_there() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("SET k first").await;
        let awake_ms = 20_000;
        rig.world.host(A).stands_until_us = rig.world.now_us() + awake_ms * 1_000;
        x.loses(&[B, C]);
        x.fails("SET k late").await;
        x.links(&[B, C], Link::Cut);
        y.must("SET k acknowledged").await;
        pause_ms(awake_ms).await;
        rig.heal(&["k"]).await;
        rig.ask::<String>("GET k")
    });
    assert_eq!(naive, ["late", "acknowledged", "acknowledged"], "equal versions, and nothing to repair");
    assert_eq!(ours, ["acknowledged"; 3]);
}
