//! P21-P24: keys that expire.

use std::time::Duration;

use anarchoredis::script::ApplyReply;

use super::both;
use crate::direct::{Direct, stranger};
use crate::harness::eventually;
use crate::rig::{A, B, C, Kind, Rig, SOON};

async fn is_gone_from(rig: &Rig, node: usize) {
    let gone = async || rig.nodes[node].run::<i64>(&["EXISTS", "k"]).await == Ok(0);
    eventually("the key has expired", SOON, gone).await;
}

#[tokio::test]
async fn p21_a_key_expires_at_one_moment_on_all_nodes() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "v"]).await;
        x.links[B].delay(Duration::from_millis(50));
        x.must(&["EXPIRE", "k", "100"]).await;
        rig.comes_to_agree(&["PEXPIRETIME", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert!(!naive);
    assert!(ours);
}

#[tokio::test]
async fn p22_an_append_that_arrives_after_the_key_has_expired_does_not_begin_an_immortal_one() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "x", "PX", "1500"]).await;
        x.links[A].hold_requests();
        let late = async {
            eventually("X is at B", SOON, async || rig.ask::<i64>(&["STRLEN", "k"]).await[B] == 2).await;
            for node in [A, B, C] {
                is_gone_from(&rig, node).await;
            }
            let calls = rig.nodes[A].round_trips().await;
            x.links[A].heal();
            eventually("X is at A", SOON, async || rig.nodes[A].round_trips().await > calls).await;
        };
        let (appended, ()) = tokio::join!(x.run(&["APPEND", "k", "y"]), late);
        appended.expect("two nodes answered");
        rig.heal(&["k"]).await;
        rig.ask::<i64>(&["PTTL", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, [-1; 3], "a key of its own that never expires, and wins");
    assert_eq!(ours, [-2; 3]);
}

/// A coordinator whose clock is behind the node's: to it the key is alive, to the node it is not.
#[tokio::test]
async fn p22_a_node_that_has_expired_the_key_says_so_instead_of_running_an_op_of_an_earlier_time() {
    let rig = Rig::start(Kind::Ours).await;
    let x = rig.join().await;
    x.must(&["SET", "k", "x", "PX", "300"]).await;
    let before = stranger(7);
    is_gone_from(&rig, A).await;
    let answer = Direct::to(&rig.nodes[A]).await.apply(before, &["APPEND", "k", "y"]).await;
    assert!(matches!(answer, ApplyReply::Expiring(at_ms) if at_ms > before.time_ms()), "{answer:?}");
    assert_eq!(x.get::<i64>(&["APPEND", "k", "y"]).await, 1);
    assert!(rig.comes_to_agree(&["GET", "k"]).await);
    assert_eq!(rig.ask::<String>(&["GET", "k"]).await, ["y"; 3]);
}

#[tokio::test]
async fn p23_a_repair_does_not_bring_an_expired_key_back_from_a_node_where_it_still_lives() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "v"]).await;
        x.links[B].hold_requests();
        let late = async {
            is_gone_from(&rig, A).await;
            let calls = rig.nodes[B].round_trips().await;
            x.links[B].heal();
            eventually("X is at B", SOON, async || rig.nodes[B].round_trips().await > calls).await;
        };
        let (set, ()) = tokio::join!(x.run(&["PEXPIRE", "k", "1000"]), late);
        set.expect("two nodes answered");
        rig.heal(&["k"]).await;
        rig.ask::<i64>(&["PTTL", "k"]).await
    };
    // B, whose deadline is later, is what the naive kind repairs A from.
    let (naive, ours) = both(trace).await;
    assert_eq!(naive[A], -1, "back, and for ever");
    assert_eq!(ours, [-2; 3]);
}

#[tokio::test]
async fn p24_a_repaired_key_keeps_its_expiry() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "v1"]).await;
        x.reaches_only(&[A, B]).await;
        x.must(&["SET", "k", "v2", "EX", "100"]).await;
        rig.heal(&["k"]).await;
        (rig.ask::<String>(&["GET", "k"]).await, rig.ask::<i64>(&["PEXPIRETIME", "k"]).await)
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive.0, ["v2"; 3]);
    assert_eq!(naive.1[C], -1, "immortal on C");
    assert_eq!(ours.0, ["v2"; 3]);
    assert!(ours.1[0] > 0 && ours.1 == vec![ours.1[0]; 3], "{:?}", ours.1);
}

#[tokio::test]
async fn p24_a_key_that_expired_while_a_node_was_away_is_gone_from_that_node_too() {
    let trace = async |kind| {
        let rig = Rig::start(kind).await;
        let x = rig.join().await;
        x.must(&["SET", "k", "old"]).await;
        x.reaches_only(&[A, B]).await;
        x.must(&["SET", "k", "new", "PX", "300"]).await;
        is_gone_from(&rig, A).await;
        is_gone_from(&rig, B).await;
        rig.heal(&["k"]).await;
        rig.ask::<Option<String>>(&["GET", "k"]).await
    };
    let (naive, ours) = both(trace).await;
    assert_eq!(naive, vec![Some("old".to_owned()); 3], "the old value is back everywhere");
    assert_eq!(ours, [None, None, None]);
}
