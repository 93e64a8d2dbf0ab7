//! `settle` with a state, and `stage`: a register replaced as a whole, in slices where it is large.

use anarchoredis::script::Name;

use super::support::*;

const DIGEST: &str = "0123456789abcdef0123456789abcdef";

async fn full(node: &Node, number: u64, keys: Vec<Key>) {
    let settled = node.settle(&Settle::full("t", ballot(number), number, DIGEST, keys)).await;
    assert_eq!(settled.to_string(), "[SETTLED]");
}

#[tokio::test]
async fn a_state_replaces_a_value_whatever_type_either_has() {
    on_each_version(async |node| {
        node.op("s", 1, "XADD s 1-1 f v").await;
        let stream = node.snapshot("s", &[], "all 1000").await;
        let dump =
            Key { name: b"t".into(), ..Settle::from_snapshot("s", ballot(1), &stream, "").keys.remove(0) };
        let forms = [
            (Key::new("t", "string", &["v"]), "GET t", "v"),
            (Key::new("t", "list", &["a", "b", "a"]), "LRANGE t 0 -1", "[a b a]"),
            (Key::new("t", "hash", &["f", "1", "g", ""]), "HMGET t f g", "[1 '']"),
            (Key::new("t", "set", &["x"]), "SMEMBERS t", "[x]"),
            (
                Key::new("t", "zset", &["a", "-inf", "b", "1.5", "c", "inf"]),
                "ZRANGE t 0 -1 WITHSCORES",
                "[a -inf b 1.5 c inf]",
            ),
            (dump, "XRANGE t - +", "[[1-1 [f v]]]"),
            (Key::new("t", "string", &[""]), "GET t", "''"),
            (Key::new("t", "gone", &[]), "EXISTS t", "0"),
        ];
        let mut number = 1;
        for (from, ..) in &forms {
            for (to, look, value) in &forms {
                full(node, number, vec![from.clone()]).await;
                full(node, number + 1, vec![to.clone()]).await;
                assert_eq!(node.line(look).await, *value, "{} after {}", to.form, from.form);
                number += 2;
            }
        }
        assert_eq!(node.line("KEYS anrcho_stage*").await, "[]");
    })
    .await;
}

#[tokio::test]
async fn a_full_state_drops_what_it_does_not_list_and_keeps_each_expiry() {
    on_each_version(async |node| {
        node.op("t", 1, "SET {t}a 1;SET {t}b 1;SET {t}c 1").await;
        let at = node.now_ms().await + 3_600_000;
        let keys = vec![Key::new("{t}b", "string", &["2"]).expiring_at(at), Key::new("{t}d", "set", &["x"])];
        full(node, 2, keys).await;
        assert_eq!(node.line("MGET {t}a {t}b {t}c").await, "[nil 2 nil]");
        assert_eq!(node.entry("t", "{t}b").await, at.to_string());
        assert_eq!(
            (node.entry("t", "{t}a").await, node.entry("t", "{t}d").await),
            (String::new(), "0".into())
        );
        let snapshot = node.snapshot("t", &["{t}b"], "keys 1000").await;
        assert_eq!(snapshot.item(10).to_string(), format!("[[{{t}}b string {at} [2]]]"));
        let append = Apply { state_limit: 10, ..Apply::new("t", 3, "APPEND {t}b x") };
        assert_eq!(node.apply(&append).await.states(), format!("[[{{t}}b string {at} [2x]]]"));
        assert_eq!(node.line("KEYS *{t}[ac]").await, "[]");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_expired_on_the_way_is_settled_as_expired() {
    on_each_version(async |node| {
        let at = ballot(0).time_ms() - 1_000;
        full(
            node,
            1,
            vec![
                Key::new("t", "string", &["v"]).expiring_at(at),
                Key::new("{t}g", "gone", &[]).expiring_at(at),
            ],
        )
        .await;
        assert_eq!(node.line("EXISTS t {t}g").await, "0");
        let entries = (node.entry("t", "t").await, node.entry("t", "{t}g").await);
        assert_eq!(entries, (at.to_string(), at.to_string()));
        assert!(node.snapshot("t", &[], "all 1000").await.is("SNAPSHOT"), "expired, not lost");
    })
    .await;
}

#[tokio::test]
async fn a_settled_state_brings_the_ops_along_so_that_a_retry_still_does_not_run() {
    on_each_version(async |node| {
        node.op("k", 1, "RPUSH k a").await;
        let snapshot = node.snapshot("k", &[], "all 1000").await;
        let other = Node::start(node.version()).await;
        assert!(other.settle(&Settle::from_snapshot("k", ballot(2), &snapshot, "")).await.is("SETTLED"));
        let retry = Apply { ballot: ballot(3), ..Apply::new("k", 1, "RPUSH k a") };
        let again = other.apply(&retry).await;
        assert_eq!((again.replies(), again.ran()), ("[1]".into(), ballot(1).to_string()));
        assert_eq!(other.line("LRANGE k 0 -1").await, "[a]");
    })
    .await;
}

#[tokio::test]
async fn a_dump_that_the_server_cannot_read_is_refused_before_anything_is_replaced() {
    on_each_version(async |node| {
        node.op("s", 1, "XADD s 1-1 f v").await;
        let snapshot = node.snapshot("s", &[], "all 1000").await;
        let good = Settle::from_snapshot("s", ballot(2), &snapshot, "").keys.remove(0);
        node.op("t", 1, "SET {t}a 1").await;
        let keys = vec![
            Key::new("{t}a", "string", &["2"]),
            Key { name: b"{t}b".into(), ..good },
            Key::new("{t}c", "dump", &["no dump"]),
        ];
        let before = node.keyspace().await;
        let refused = node.settle(&Settle::full("t", ballot(2), 2, DIGEST, keys)).await;
        assert_eq!(refused.to_string(), "[REFUSED ERR DUMP payload version or checksum are wrong]");
        assert_eq!(node.keyspace().await, before);
    })
    .await;
}

#[tokio::test]
async fn collections_of_a_hundred_thousand_elements_are_rebuilt_by_one_settle() {
    on_each_version(async |node| {
        let numbers = || (0..100_000_u32).map(|number| format!("{number:06}"));
        let pairs = || numbers().flat_map(|number| [number.clone(), number]);
        let key = |form: &str, elements: Vec<String>| {
            let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
            Key::new(&format!("{{t}}{form}"), form, &elements)
        };
        let keys = vec![
            key("list", numbers().collect()),
            key("set", numbers().collect()),
            key("hash", pairs().collect()),
            key("zset", pairs().collect()),
        ];
        full(node, 1, keys).await;
        for (length, last, value) in [
            ("LLEN {t}list", "LINDEX {t}list -1", "099999"),
            ("SCARD {t}set", "SISMEMBER {t}set 099999", "1"),
            ("HLEN {t}hash", "HGET {t}hash 065999", "065999"),
            ("ZCARD {t}zset", "ZSCORE {t}zset 099999", "99999"),
        ] {
            assert_eq!((node.line(length).await, node.line(last).await), ("100000".into(), value.to_owned()));
        }
        let order = node.line("LRANGE {t}list 5999 6001").await;
        assert_eq!(order, "[005999 006000 006001]");
    })
    .await;
}

#[tokio::test]
async fn a_state_that_is_not_one_is_refused_before_anything_is_replaced() {
    on_each_version(async |node| {
        node.op("t", 1, "SET t v").await;
        let refused = async |settle: &Settle| {
            let answer = node.unchanged(node.settle(settle)).await;
            assert!(answer.is("REFUSED"), "{answer}");
        };
        let whole = |keys: Vec<Key>| Settle::full("t", ballot(2), 2, DIGEST, keys);
        for (form, elements) in [
            ("large", &["string", "1"][..]),
            ("later", &[]),
            ("string", &[]),
            ("list", &[]),
            ("hash", &["f"]),
            ("zset", &["m", "1", "n"]),
            ("gone", &["v"]),
            ("staged", &["anrcho_stage:1", "list"]),
            ("no such form", &["v"]),
        ] {
            let good = Key::new("t", "string", &["w"]);
            refused(&whole(vec![good, Key::new("{t}a", form, elements)])).await;
        }
        let expiry = Key { expiry_ms: "soon".into(), ..Key::new("t", "string", &["w"]) };
        refused(&whole(vec![expiry])).await;
        let mut cut_off = whole(vec![Key::new("t", "list", &["a", "b"])]).args();
        cut_off.pop();
        let answer = node.unchanged(node.call(Name::Settle, &[record("t")], &cut_off)).await;
        assert_eq!(answer.to_string(), "[REFUSED ERR the arguments do not add up]");
        assert_eq!(node.line("GET t").await, "v");
    })
    .await;
}

#[tokio::test]
async fn a_slice_may_have_more_elements_than_one_command_takes_arguments() {
    on_each_version(async |node| {
        let pairs: String = (0..10_000).map(|number| format!(" m{number} {number}.5")).collect();
        assert_eq!(stage(node, &format!("zset 1 60000{pairs}")).await.to_string(), "[STAGED 10000]");
        full(node, 1, vec![Key::new("t", "staged", &["anrcho_stage:1", "zset", "10000"])]).await;
        assert_eq!(node.line("ZRANGE t -1 -1 WITHSCORES").await, "[m9999 9999.5]");
    })
    .await;
}

async fn stage(node: &Node, line: &str) -> Reply {
    let keys = [record("t"), b"anrcho_stage:1".to_vec()];
    node.call(Name::Stage, &keys, &words(&format!("{FENCE} {NEVER} {line}"))).await
}

#[tokio::test]
async fn a_large_key_is_collected_aside_and_appears_whole_with_the_settle() {
    on_each_version(async |node| {
        node.op("t", 1, "SET {t}k old").await;
        for (number, form, slices, look, value) in [
            (2, "list", ["a b", "c"], "LRANGE {t}k 0 -1", "[a b c]"),
            (3, "string", ["a", "bc"], "GET {t}k", "abc"),
            (4, "hash", ["f 1", "g 2"], "HMGET {t}k f g", "[1 2]"),
            (5, "set", ["x", "x y"], "SMISMEMBER {t}k x y", "[1 1]"),
            (6, "zset", ["a 2", "b -inf"], "ZRANGE {t}k 0 -1 WITHSCORES", "[b -inf a 2]"),
        ] {
            let before = node.line("DUMP {t}k").await;
            assert!(stage(node, &format!("{form} 1 60000 {}", slices[0])).await.is("STAGED"));
            let length = stage(node, &format!("{form} 0 60000 {}", slices[1])).await;
            assert!(length.is("STAGED"), "{length}");
            assert_eq!(node.line("DUMP {t}k").await, before, "nothing of it is visible yet");
            full(node, number, vec![Key::new("{t}k", "staged", &["anrcho_stage:1", form, &length.text(1)])])
                .await;
            assert_eq!((node.line(look).await, node.line("PTTL {t}k").await), (value.into(), "-1".into()));
            assert_eq!(node.line("EXISTS anrcho_stage:1").await, "0");
        }
    })
    .await;
}

#[tokio::test]
async fn a_stage_that_is_gone_or_incomplete_is_asked_for_again_and_changes_nothing() {
    on_each_version(async |node| {
        let digest = node.op("t", 1, "SET t v").await.digest();
        let staged = |form, length| {
            Settle::full(
                "t",
                ballot(2),
                2,
                DIGEST,
                vec![Key::new("t", "staged", &["anrcho_stage:1", form, length])],
            )
        };
        let needs = format!("[NEEDS_STATE 1 {digest}]");
        assert_eq!(node.unchanged(node.settle(&staged("list", "2"))).await.to_string(), needs);
        assert_eq!(stage(node, "list 1 60000 a").await.to_string(), "[STAGED 1]");
        for settle in [staged("list", "2"), staged("set", "1")] {
            assert_eq!(node.settle(&settle).await.to_string(), needs);
        }
        assert_eq!(
            stage(node, "list 1 60000 x y").await.to_string(),
            "[STAGED 2]",
            "the first slice begins anew"
        );
        assert!(node.settle(&staged("list", "2")).await.is("SETTLED"));
        assert_eq!(node.line("LRANGE t 0 -1").await, "[x y]");
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_stage_expires_and_a_full_node_takes_none() {
    on_each_version(async |node| {
        assert_eq!(stage(node, "set 1 60000 a").await.to_string(), "[STAGED 1]");
        let left: u64 = node.line("PTTL anrcho_stage:1").await.parse().expect("a time to live");
        assert!((50_000..=60_000).contains(&left), "{left}");
        node.line("CONFIG SET maxmemory 1").await;
        let refused = stage(node, "set 0 60000 b").await;
        assert_eq!(refused.to_string(), "[REFUSED OOM command not allowed when used memory > 'maxmemory'.]");
        assert_eq!(node.line("SMEMBERS anrcho_stage:1").await, "[a]");
    })
    .await;
}
