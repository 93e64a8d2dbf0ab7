//! P13-P15, P17, P32, P42, P54: repairs that do not see a difference, undo a write, mix, or never come.

use redis::Value;

use super::both;
use crate::rig::{A, B, C, Kind, Rig, pause_ms, until};
use crate::simulated::world::Link;

/// The microseconds of the ballot that each node has promised.
fn promised_us(rig: &Rig, key: &str) -> Vec<String> {
    rig.records(key).into_iter().map(|record| record.expect("a record").promised[..16].to_owned()).collect()
}

#[test]
fn p13_two_writes_of_the_same_microsecond_are_ordered_alike_by_every_node() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.loses(&[C]);
        y.loses(&[A, B]);
        let late = async {
            until("each is at its nodes", || rig.ask::<i64>("EXISTS k") == [1; 3]).await;
            if rig.kind == Kind::Ours {
                let moments = promised_us(&rig, "k");
                assert_eq!(moments, vec![moments[0].clone(); 3], "ballots of one microsecond");
            }
            y.links(&[A, B], Link::Up);
            x.links(&[C], Link::Up);
        };
        let (by_x, by_y, ()) = tokio::join!(x.run("SET k x"), y.run("SET k y"), late);
        assert!(by_x.is_ok() && by_y.is_ok(), "{by_x:?} {by_y:?}");
        let values_agree = rig.comes_to_agree("GET k").await;
        rig.heal(&["k"]).await;
        let versions_agree = match rig.kind {
            Kind::Naive => rig.agree("GET version:k"),
            Kind::Ours => rig.histories("k").windows(2).all(|two| two[0] == two[1]),
        };
        (versions_agree, values_agree, rig.agree("GET k"))
    });
    assert_eq!(naive, (true, false, false), "equal versions, other values, and nothing to repair");
    assert_eq!(ours, (true, true, true));
}

#[test]
fn p14_a_repair_that_was_overtaken_by_a_write_does_not_undo_it() {
    let (naive, ours) = both(async |rig| {
        rig.repair_after("SET k v3").await;
        rig.ask::<String>("GET k")
    });
    assert_eq!(naive, ["v3", "v3", "v2"]);
    assert_eq!(ours, ["v3"; 3]);
}

#[test]
fn p15_what_one_reader_has_seen_of_an_unfinished_write_the_next_reader_sees_too() {
    let (naive, ours) = both(async |rig| {
        let (x, first, second) = (rig.join().await, rig.join().await, rig.join().await);
        x.must("SET k old").await;
        x.loses(&[B, C]);
        x.fails("SET k new").await;
        x.dies();
        first.reaches_only(&[A, B]).await;
        second.reaches_only(&[B, C]).await;
        (first.get::<String>("GET k").await, second.get::<String>("GET k").await)
    });
    assert_eq!(naive, ("new".to_owned(), "old".to_owned()));
    assert_eq!(ours.0, ours.1);
}

#[test]
fn p17_a_write_that_only_one_node_has_is_completed_or_taken_back_though_nobody_reads_it() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.loses(&[B, C]);
        tokio::select! {
            _ = x.run("SET k v") => panic!("one node is no majority"),
            () = until("A has it", || rig.ask_one(A, "EXISTS k")) => x.dies(),
        }
        pause_ms(1_000).await;
        assert_eq!(rig.ask::<i64>("EXISTS k"), [1, 0, 0]);
        rig.heal(&["k"]).await;
        rig.agree("GET k")
    });
    assert!(!naive, "one copy is left, until A dies");
    assert!(ours);
}

#[test]
fn p32_a_value_of_another_type_that_one_node_holds_is_replaced_not_merged_and_does_not_win() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        for _ in 0..3 {
            rig.ask_one::<Value>(A, "RPUSH k stray");
            if rig.kind == Kind::Naive {
                rig.ask_one::<Value>(A, "INCR version:k");
            }
        }
        assert_eq!(x.get::<i64>("SADD k member").await, 1);
        rig.heal(&["k"]).await;
        rig.ask::<String>("TYPE k")
    });
    assert_eq!(naive, ["list"; 3], "the acknowledged set is lost");
    assert_eq!(ours, ["set"; 3]);
}

#[test]
fn p42_keys_that_one_command_changed_are_healed_together() {
    let (naive, ours) = both(async |rig| {
        let (x, y) = (rig.join().await, rig.join().await);
        x.must("MSET {k}a 1 {k}b 1").await;
        x.reaches_only(&[A, B]).await;
        x.must("MSET {k}a 2 {k}b 2").await;
        x.must("RENAME {k}a {k}c").await;
        rig.heal(&["{k}a", "{k}b", "{k}c"]).await;
        y.reaches_only(&[B, C]).await;
        let read = y.get::<Vec<Option<i64>>>("MGET {k}c {k}b").await;
        (read, rig.ask::<Vec<Option<i64>>>("MGET {k}a {k}b {k}c"))
    });
    let renamed = vec![None, Some(2), Some(2)];
    let back = vec![Some(1), Some(2), Some(2)];
    assert_eq!(
        naive.1,
        [back.clone(), back, vec![Some(1), Some(1), None]],
        "half of it, and the old name is back"
    );
    assert_eq!(ours, (vec![Some(2), Some(2)], vec![renamed; 3]));
}

#[test]
fn p54_a_value_that_was_changed_behind_the_coordinators_backs_is_found_by_a_read_and_replaced() {
    let (naive, ours) = both(async |rig| {
        let x = rig.join().await;
        x.must("SET k v").await;
        rig.ask_one::<Value>(B, "SET k other");
        x.must("GET k").await;
        rig.heal(&["k"]).await;
        rig.comes_to_agree("GET k").await;
        rig.ask::<String>("GET k")
    });
    assert_eq!(naive, ["v", "other", "v"], "equal versions, and nothing to repair");
    assert_eq!(ours, ["v"; 3]);
}
