//! `snapshot`: a register's state for another node, all of it or what that node lacks.

use super::support::*;

async fn since(node: &Node, digest: &str) -> Reply {
    node.snapshot("t", &[], &format!("since 100000 {digest}")).await
}

#[tokio::test]
async fn a_snapshot_is_the_whole_register_with_its_standing_and_what_its_history_remembers() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        let snapshot = node.unchanged(node.snapshot("k", &[], "all 1000")).await;
        let shown = snapshot.to_string();
        assert!(shown.starts_with(&format!("[SNAPSHOT {} '' 0 1 {digest} ", ballot(1))), "{shown}");
        assert!(shown.ends_with(" 0 full [] [[k string 0 [v]]]]"), "{shown}");
        let (sequence, ran, packed) =
            (&op(1).to_string()[17..], ballot(1).to_string(), b"\x91\x81\xa2ok\xa2OK");
        let ops =
            [b"\x91\x93\xb0", sequence.as_bytes(), b"\xd9\x21", ran.as_bytes(), b"\xa8", packed].concat();
        assert_eq!(snapshot.bytes(6), ops, "MessagePack: the sequence, the ballot, the packed replies");
    })
    .await;
}

#[tokio::test]
async fn a_register_without_a_record_has_no_snapshot() {
    on_each_version(async |node| {
        node.line("SET k stray").await;
        assert_eq!(node.unchanged(node.snapshot("k", &[], "all 1000")).await.to_string(), "[ABSENT]");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_missed_a_suffix_gets_just_the_keys_that_changed_in_it() {
    on_each_version(async |node| {
        let stale = Node::start(node.version()).await;
        for (number, command) in [(1, "SET {t}a 1"), (2, "SET {t}b 1"), (3, "SET {t}c 1")] {
            let here = node.op("t", number, command).await;
            assert_eq!(stale.op("t", number, command).await.digest(), here.digest());
        }
        let base = node.record("t").await.digest;
        for (number, command) in
            [(4, "APPEND {t}a 2"), (5, "DEL {t}b"), (6, "RPUSH {t}d x"), (7, "APPEND {t}a 3")]
        {
            node.op("t", number, command).await;
        }
        let delta = node.unchanged(since(node, &base)).await;
        assert_eq!(delta.text(8), "delta");
        let states = delta.item(10).to_string();
        assert_eq!(states, "[[{t}a string 0 [123]] [{t}d list 0 [x]] [{t}b gone 0 []]]");
        let settle = Settle::from_snapshot("t", ballot(8), &delta, &base);
        assert_eq!(stale.settle(&settle).await.to_string(), "[SETTLED]");
        assert_eq!(stale.line("MGET {t}a {t}b {t}c").await, "[123 nil 1]");
        assert_eq!(stale.record("t").await.digest, node.record("t").await.digest);
        assert_eq!(since(&stale, &base).await.text(8), "delta", "the log came along");
        let retry = Apply { ballot: ballot(9), ..Apply::new("t", 7, "APPEND {t}a 3") };
        assert_eq!(stale.apply(&retry).await.replies(), "[3]");
    })
    .await;
}

#[tokio::test]
async fn where_the_log_does_not_reach_back_the_whole_register_goes() {
    on_each_version(async |node| {
        node.op("t", 1, "SET t 0").await;
        let before_the_log = node.record("t").await.digest;
        let mut digests = Vec::new();
        for number in 2..=40 {
            digests.push(node.op("t", number, &format!("SET {{t}}{number} v")).await.digest());
        }
        let mode = async |digest: &str| {
            let snapshot = since(node, digest).await;
            (snapshot.text(8), snapshot.item(10).items().len())
        };
        let all = ("full".to_owned(), 40);
        assert_eq!(mode(&digests[38]).await.0, "delta", "nothing is missing");
        assert_eq!(mode(&digests[8]).await, ("delta".into(), 30));
        assert_eq!(mode(&digests[7]).await, ("delta".into(), 31), "the last 32 versions are logged");
        assert_eq!(mode(&digests[6]).await, all);
        assert_eq!(mode(&before_the_log).await, all);
        assert_eq!(mode("0123456789abcdef0123456789abcdef").await, all, "a history that went another way");
        node.op("k", 41, "SET k 1").await;
        let digest = node.record("k").await.digest;
        node.op("k", 42, "SET k 2").await;
        let single = node.snapshot("k", &[], &format!("since 1000 {digest}")).await;
        assert_eq!(single.text(8), "full", "a register of one key has no log");
    })
    .await;
}

#[tokio::test]
async fn a_full_settle_replaces_the_log_too() {
    on_each_version(async |node| {
        let other = Node::start(node.version()).await;
        other.op("t", 1, "SET {t}x 1;SET {t}y 1").await;
        let elsewhere = other.op("t", 2, "SET {t}x 2").await.digest();
        let base = node.op("t", 3, "SET {t}a 1").await.digest();
        node.op("t", 4, "SET {t}a 2").await;
        let all = node.snapshot("t", &[], "all 1000").await;
        assert!(other.settle(&Settle::from_snapshot("t", ballot(5), &all, "")).await.is("SETTLED"));
        assert_eq!(since(&other, &base).await.text(8), "delta");
        assert_eq!(since(&other, &elsewhere).await.text(8), "full");
        assert_eq!(other.line("KEYS {t}*").await, "[{t}a]");
    })
    .await;
}

#[tokio::test]
async fn an_answer_stays_within_its_limit_and_says_what_it_left_out() {
    on_each_version(async |node| {
        node.op("t", 1, "SET {t}a 123456789;RPUSH {t}l 1 2 3 4 5 6 7 8 9;HSET {t}h 12345 6789").await;
        let states =
            async |what: &str, keys: &[&str]| node.snapshot("t", keys, what).await.item(10).to_string();
        assert_eq!(states("keys 9", &["{t}a"]).await, "[[{t}a string 0 [123456789]]]");
        assert_eq!(states("keys 8", &["{t}a"]).await, "[[{t}a large 0 [string 9]]]");
        assert_eq!(states("keys 8", &["{t}l"]).await, "[[{t}l large 0 [list 9]]]");
        assert_eq!(states("keys 8", &["{t}h"]).await, "[[{t}h large 0 [hash 1]]]", "in elements");
        let both = "[[{t}a string 0 [123456789]] [{t}h later 0 []]]";
        assert_eq!(states("keys 9", &["{t}a", "{t}h"]).await, both);
        assert_eq!(states("keys 100", &["{t}none"]).await, "[[{t}none gone 0 []]]");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_record_lists_and_the_server_has_not_is_lost_and_no_source_of_a_repair() {
    on_each_version(async |node| {
        let base = node.op("t", 1, "SET {t}a v;SET {t}b v").await.digest();
        node.op("t", 2, "SET {t}a w").await;
        node.line("DEL {t}a").await;
        assert_eq!(node.snapshot("t", &[], "all 1000").await.to_string(), "[LOST {t}a]");
        assert_eq!(since(node, &base).await.to_string(), "[LOST {t}a]");
        assert_eq!(node.snapshot("t", &["{t}a"], "keys 1000").await.to_string(), "[LOST {t}a]");
        assert_eq!(node.snapshot("t", &["{t}a"], "slice 1000 0 10").await.to_string(), "[LOST {t}a]");
        assert!(node.snapshot("t", &["{t}b"], "keys 1000").await.is("SNAPSHOT"));
        assert_eq!(node.snapshot("none", &["none"], "slice 1000 0 10").await.to_string(), "[ABSENT]");
    })
    .await;
}

#[tokio::test]
async fn the_slices_of_a_large_key_are_together_the_whole() {
    on_each_version(async |node| {
        let numbers = |by: &str| (0..1_000).map(|number| format!("{by}{number} ")).collect::<String>();
        node.op("t", 1, &format!("RPUSH {{t}}l {}", numbers(""))).await;
        node.op("t", 2, &format!("SADD {{t}}m {}", numbers("x"))).await;
        let fields: String = (0..1_000).map(|number| format!("f{number} {number} ")).collect();
        node.op("t", 3, &format!("HSET {{t}}h {fields}")).await;
        let scores: String = (0..1_000).map(|number| format!("{number} m{number} ")).collect();
        node.op("t", 4, &format!("ZADD {{t}}z {scores}")).await;
        node.op("t", 5, &format!("SET {{t}}s {}", "abc".repeat(1_000))).await;
        let digest = node.record("t").await.digest;
        for (key, in_order) in
            [("{t}l", true), ("{t}m", false), ("{t}h", false), ("{t}z", true), ("{t}s", true)]
        {
            let (mut all, slices) = in_slices(node, key, &digest).await;
            let whole = node.snapshot("t", &[key], "keys 1000000").await.item(10).item(0).item(3);
            let mut whole: Vec<String> = whole.items().iter().map(Reply::to_string).collect();
            assert!(slices > 3, "{key} in {slices} slices");
            if key == "{t}s" {
                (all, whole) = (vec![all.concat()], vec![whole.concat()]);
            }
            if !in_order {
                (all, whole) = (pairs(all, key), pairs(whole, key));
            }
            assert_eq!(all, whole, "{key}");
        }
    })
    .await;
}

/// The elements of a key in slices of 70, and how many slices there were.
async fn in_slices(node: &Node, key: &str, digest: &str) -> (Vec<String>, usize) {
    let (mut position, mut all, mut slices) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let slice = node.snapshot("t", &[key], &format!("slice 1000 {position} 70")).await;
        assert_eq!(
            (slice.word(), slice.text(1), slice.text(2)),
            ("SLICE".into(), "5".into(), digest.to_owned())
        );
        all.extend(slice.item(4).items().iter().map(Reply::to_string));
        position = slice.text(3);
        slices += 1;
        if position == "0" {
            return (all, slices);
        }
    }
}

/// What a scan may give twice and in any order, once and in order.
fn pairs(elements: Vec<String>, key: &str) -> Vec<String> {
    let size = if key == "{t}h" { 2 } else { 1 };
    let mut pairs: Vec<String> = elements.chunks(size).map(|pair| pair.join(" ")).collect();
    pairs.sort();
    pairs.dedup();
    pairs
}
