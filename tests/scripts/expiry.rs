//! Expiry: absolute, the same on every node, decided by the op's time.

use super::support::*;
use crate::harness::{Version, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// Waits until the node itself has dropped the key.
async fn until_gone(node: &Node, key: &str) {
    let exists = format!("EXISTS {key}");
    eventually("the key has expired", SOON, async || node.line(&exists).await == "0").await;
}

#[tokio::test]
async fn an_absolute_expiry_is_recorded_to_the_millisecond_also_where_the_server_cannot_tell_it() {
    on_each_version(async |node| {
        let base = node.now_ms().await + 3_600_000;
        for number in 1..100 {
            let at = base + number * 7;
            let key = format!("k{number}");
            let set = format!("SET {key} v PXAT {at}");
            let mut apply = Apply { lowest_expiry_ms: at, ..Apply::new(&key, number, &set) };
            apply.state_limit = 100;
            let states = node.apply(&apply).await.states();
            assert_eq!(states, format!("[[{key} string {at} [v]]]"));
            assert_eq!(node.entry(&key, &key).await, at.to_string());
            if node.version() >= Version::V7_0 {
                assert_eq!(node.line(&format!("PEXPIRETIME {key}")).await, at.to_string());
            }
        }
        assert_eq!(node.op("k1", 101, "PERSIST k1").await.replies(), "[1]");
        assert_eq!(node.entry("k1", "k1").await, "0");
    })
    .await;
}

/// Sets a key that expires very soon, and tells when.
async fn set_expiring(node: &Node, key: &str) -> u64 {
    loop {
        let at = node.now_ms().await + 60;
        let set = Apply { lowest_expiry_ms: at, ..Apply::new(key, 1, &format!("SET {key} x PXAT {at}")) };
        // A busy machine may be too late: then nothing happened.
        if node.apply(&set).await.is("ACK") {
            return at;
        }
    }
}

/// The number of the ballot at this time.
fn number_at(ms: u64) -> u64 {
    ms - ballot(0).time_ms()
}

#[tokio::test]
async fn an_op_after_the_expiry_finds_no_key_on_a_node_whose_clock_is_behind() {
    on_each_version(async |node| {
        let at = node.now_ms().await + 60_000;
        let set = Apply { lowest_expiry_ms: at, ..Apply::new("k", 1, &format!("SET k x PXAT {at}")) };
        node.apply(&set).await;
        let append = Apply { max_offset_ms: 600_000, ..Apply::new("k", number_at(at), "APPEND k y") };
        let applied = node.apply(&append).await;
        assert_eq!((applied.replies(), node.line("GET k").await), ("[1]".into(), "y".into()));
        assert_eq!((node.line("PTTL k").await, node.entry("k", "k").await), ("-1".into(), "0".into()));
    })
    .await;
}

#[tokio::test]
async fn an_op_before_the_expiry_waits_where_the_nodes_clock_has_dropped_the_key_already() {
    on_each_version(async |node| {
        let at = set_expiring(node, "k").await;
        until_gone(node, "k").await;
        let append = |number| Apply { op: op(2), ..Apply::new("k", number, "APPEND k y") };
        let waits = node.unchanged(node.apply(&append(number_at(at - 1)))).await;
        assert_eq!(waits.to_string(), format!("[EXPIRING {at}]"));
        let after = node.apply(&append(number_at(at))).await;
        assert_eq!((after.replies(), node.line("GET k").await), ("[1]".into(), "y".into()));
    })
    .await;
}

#[tokio::test]
async fn an_expiry_that_the_nodes_clock_has_passed_but_the_op_has_not_waits() {
    on_each_version(async |node| {
        let at = ballot(2).time_ms();
        let set =
            |number| Apply { lowest_expiry_ms: at, ..Apply::new("k", number, &format!("SET k v PXAT {at}")) };
        eventually("the expiry is past", SOON, async || node.now_ms().await > at).await;
        let waits = node.unchanged(node.apply(&set(1))).await;
        assert_eq!(waits.to_string(), format!("[EXPIRING {at}]"));
        // At or before the op's own time there is nothing to wait for: the op leaves no key on any node.
        assert_eq!(node.apply(&set(2)).await.to_string(), "[ABSENT [OK]]");
        assert_eq!(node.line("DBSIZE").await, OWN_KEYS);
    })
    .await;
}

#[tokio::test]
async fn what_an_op_sets_to_expire_before_its_own_time_is_gone_for_its_further_commands() {
    on_each_version(async |node| {
        let at = node.now_ms().await + 60_000;
        let batch = format!("SET k x PXAT {at};APPEND k y;PEXPIREAT k {at};SETNX k z;GET k");
        let batch =
            Apply { lowest_expiry_ms: at, max_offset_ms: 600_000, ..Apply::new("k", number_at(at), &batch) };
        assert_eq!(node.apply(&batch).await.replies(), "[OK 1 1 1 z]");
        assert_eq!((node.line("PTTL k").await, node.entry("k", "k").await), ("-1".into(), "0".into()));
    })
    .await;
}

#[tokio::test]
async fn an_expired_register_keeps_its_record_and_is_told_from_a_lost_one() {
    on_each_version(async |node| {
        let at = set_expiring(node, "k").await;
        until_gone(node, "k").await;
        let snapshot = node.snapshot("k", &[], "all 1000").await;
        assert_eq!(snapshot.item(10).to_string(), format!("[[k gone {at} []]]"));
        let read = node.read("k", "GET k").await;
        assert_eq!((read.number(4), read.replies()), (1, "[nil]".into()));
        let deleted = node.apply(&Apply { op: op(2), ..Apply::new("k", number_at(at), "DEL k") }).await;
        assert_eq!((deleted.standing(), deleted.replies()), ("'' 0 2".into(), "[0]".into()));
        assert_eq!(node.entry("k", "k").await, "", "nothing is listed any more");
    })
    .await;
}

#[tokio::test]
async fn a_read_waits_while_clock_and_read_disagree_on_whether_a_key_is_alive() {
    on_each_version(async |node| {
        let far = node.now_ms().await + 60_000;
        node.apply(&Apply { lowest_expiry_ms: far, ..Apply::new("j", 1, &format!("SET j x PXAT {far}")) })
            .await;
        let alive_here = node.read_at("j", far, "GET j").await;
        assert_eq!(alive_here.to_string(), format!("[EXPIRING {far}]"));
        assert_eq!(node.read_at("j", far - 1, "GET j").await.replies(), "[x]");
        let at = set_expiring(node, "k").await;
        until_gone(node, "k").await;
        assert_eq!(node.read_at("k", at - 1, "GET k").await.to_string(), format!("[EXPIRING {at}]"));
        let expired = node.read_at("k", at, "GET k").await;
        assert_eq!((expired.replies(), expired.number(7)), ("[nil]".into(), at));
    })
    .await;
}

#[tokio::test]
async fn a_slow_read_sees_what_is_alive_at_its_own_time() {
    on_each_version(async |node| {
        let at = node.now_ms().await + 60_000;
        node.apply(&Apply { lowest_expiry_ms: at, ..Apply::new("k", 1, &format!("SET k x PXAT {at}")) })
            .await;
        let get = |number| Apply { max_offset_ms: 600_000, ..Apply::new("k", number, "GET k").flags("r") };
        assert_eq!(node.apply(&get(2)).await.replies(), "[x]");
        assert_eq!(node.apply(&get(number_at(at))).await.replies(), "[nil]");
        assert_eq!(node.entry("k", "k").await, at.to_string(), "still told from a lost one");
    })
    .await;
}
