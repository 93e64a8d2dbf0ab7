//! P21-P24: keys that expire, on clocks that differ.

use super::both;
use crate::rig::{A, B, C, Kind, Rig, pause_ms, until};
use crate::simulated::world::Link;

async fn is_gone_from(rig: &Rig, node: usize) {
    until("the key has expired", || rig.ask_one::<i64>(node, "EXISTS k") == 0).await;
}

fn ms_from_now(rig: &Rig, ms: u64) -> u64 {
    rig.world.now_us() / 1_000 + ms
}

#[test]
fn p21_a_key_expires_at_one_moment_on_all_nodes() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.loses(&[B]);
        let late = async {
            pause_ms(50).await;
            x.links(&[B], Link::Up);
        };
        let (set, ()) = tokio::join!(x.run("SET k v PX 100000"), late);
        set.expect("three nodes answer in the end");
        rig.comes_to_agree("PEXPIRETIME k").await
    });
    assert!(!naive);
    assert!(ours);
}

#[test]
fn p22_an_append_that_arrives_after_the_key_has_expired_does_not_begin_an_immortal_one() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k x PX 1500").await;
        x.loses(&[A]);
        let late = async {
            until("X is at B", || rig.ask_one::<i64>(B, "STRLEN k") == 2).await;
            for node in [A, B, C] {
                is_gone_from(&rig, node).await;
            }
            x.delivers(&[A]).await;
        };
        let (appended, ()) = tokio::join!(x.run("APPEND k y"), late);
        appended.expect("two nodes answered");
        rig.heal(&["k"]).await;
        rig.ask::<i64>("PTTL k")
    });
    assert_eq!(naive, [-1; 3], "a key of its own that never expires, and wins");
    assert_eq!(ours, [-2; 3]);
}

/// A's clock is ahead: to A the key is gone, to B and C it is alive.
#[test]
fn p22_an_append_at_the_moment_of_expiry_has_one_result_and_not_two() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        rig.world.host(A).offset_us = 300_000;
        x.must(&format!("SET k x PXAT {}", ms_from_now(&rig, 1_000))).await;
        pause_ms(850).await;
        let length = x.get::<i64>("APPEND k y").await;
        if rig.kind == Kind::Ours {
            rig.heal(&["k"]).await;
        }
        let values = rig.ask::<Option<String>>("GET k");
        // A may have expired what the others still show, but nobody shows anything else than what the caller was told.
        let as_told = values.iter().flatten().all(|value| value.len() as i64 == length);
        pause_ms(2_000).await;
        (as_told, rig.agree("GET k"), rig.agree("PTTL k"))
    });
    assert_eq!(naive, (false, false, false), "immortal on A, gone from the others");
    assert_eq!(ours, (true, true, true));
}

/// B's clock is behind: there the key is still alive when it is gone from the others.
#[test]
fn p23_a_repair_does_not_bring_an_expired_key_back_from_a_node_where_it_still_lives() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        rig.world.host(B).offset_us = -300_000;
        x.must(&format!("SET k v PXAT {}", ms_from_now(&rig, 1_000))).await;
        is_gone_from(&rig, A).await;
        is_gone_from(&rig, C).await;
        assert_eq!(rig.ask::<i64>("EXISTS k"), [0, 1, 0]);
        rig.heal(&["k"]).await;
        pause_ms(2_000).await;
        rig.ask::<i64>("PTTL k")
    });
    assert_eq!(naive, [-1, -2, -1], "back, and for ever");
    assert_eq!(ours, [-2; 3]);
}

#[test]
fn p24_a_repaired_key_keeps_its_expiry() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k v1").await;
        x.reaches_only(&[A, B]).await;
        x.must(&format!("SET k v2 PXAT {}", ms_from_now(&rig, 100_000))).await;
        rig.heal(&["k"]).await;
        (rig.ask::<String>("GET k"), rig.agree("PEXPIRETIME k"), rig.ask_one::<i64>(C, "PTTL k") > 0)
    });
    let repaired = ["v2"; 3].map(str::to_owned).to_vec();
    assert_eq!(naive, (repaired.clone(), false, false), "immortal on C");
    assert_eq!(ours, (repaired, true, true));
}

#[test]
fn p24_a_key_that_expired_while_a_node_was_away_is_gone_from_that_node_too() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k old").await;
        x.reaches_only(&[A, B]).await;
        x.must("SET k new PX 300").await;
        is_gone_from(&rig, A).await;
        is_gone_from(&rig, B).await;
        rig.heal(&["k"]).await;
        rig.ask::<Option<String>>("GET k")
    });
    assert_eq!(naive, vec![Some("old".to_owned()); 3], "the old value is back everywhere");
    assert_eq!(ours, [None, None, None]);
}
