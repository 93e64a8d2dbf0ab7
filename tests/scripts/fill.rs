//! `settle` with the modes `reset` and `fill`: a register of very many keys that comes page by page.

use super::support::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

fn step(mode: &'static str, token: &str, keys: Vec<Key>) -> Settle {
    Settle { mode, base: token.into(), keys, ..Settle::confirm("t", ballot(3), 0, "") }
}

/// A node at two ops, with the first settled.
async fn two_ops(node: &Node) {
    let digest = node.op("t", 1, "SET {t}a 1;SET {t}b 2").await.digest();
    node.settle(&Settle::confirm("t", ballot(1), 1, &digest)).await;
    node.op("t", 2, "SET {t}c 3").await;
}

#[tokio::test]
async fn a_node_that_was_reset_promises_and_neither_runs_nor_reads_until_a_delta_ends_it() {
    on_each_version(async |node| {
        two_ops(node).await;
        assert_eq!(node.settle(&step("reset", TOKEN, vec![])).await.to_string(), "[SETTLED]");
        let ack = node.op("t", 4, "SET {t}a 9").await;
        assert_eq!(ack.to_string(), "[ACK '' 0 0 '' '' '' MISMATCH []]");
        let below = node.unchanged(node.op("t", 4, "SET {t}a 9")).await;
        assert_eq!(below.to_string(), format!("[NACK {}]", ballot(4)), "it keeps what it promised");
        let read = node.unchanged(node.read("t", "GET {t}a")).await;
        assert_eq!(read.to_string(), "[REFUSED ERR this register is being filled]");
        for what in ["all 1000", "keys 1000"] {
            assert_eq!(node.snapshot("t", &[], what).await.to_string(), "[LOST '']", "{what}");
        }
        let needs = node.settle(&Settle::confirm("t", ballot(5), 3, OTHER)).await;
        assert!(needs.is("NEEDS_STATE"), "{needs}");
        assert_eq!(node.line("MGET {t}a {t}b {t}c").await, "[1 2 3]", "values go one by one");

        let keys = vec![Key::new("{t}a", "string", &["one"]), Key::new("{t}b", "gone", &[])];
        assert_eq!(node.settle(&step("fill", TOKEN, keys)).await.to_string(), "[SETTLED]");
        let keys = vec![Key::new("{t}c", "list", &["x"])];
        let last = Settle { multi: true, keys, ..Settle::full("t", ballot(5), 7, OTHER, vec![]) };
        let wrong = Settle { mode: "delta", base: OTHER.into(), ..last.clone() };
        assert!(node.settle(&wrong).await.is("NEEDS_STATE"));
        let right = Settle { mode: "delta", base: TOKEN.into(), ..last };
        assert_eq!(node.settle(&right).await.to_string(), "[SETTLED]");
        assert_eq!(node.field("t", "f").await, "");
        assert_eq!(node.op("t", 6, "RPUSH {t}c y").await.standing(), format!("{} 7 8", ballot(5)));
        assert_eq!(node.line("MGET {t}a {t}b").await, "[one nil]");
        assert_eq!(node.line("LRANGE {t}c 0 -1").await, "[x y]");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_has_taken_that_settle_or_a_later_one_is_not_reset() {
    on_each_version(async |node| {
        let digest = node.op("t", 3, "SET {t}a 1;SET {t}b 2").await.digest();
        node.settle(&Settle::confirm("t", ballot(3), 1, &digest)).await;
        let nack = node.unchanged(node.settle(&step("reset", TOKEN, vec![]))).await;
        assert_eq!(nack.to_string(), format!("[NACK {}]", ballot(3)));
    })
    .await;
}

#[tokio::test]
async fn one_fill_is_not_disturbed_by_another_nor_mixed_with_it() {
    on_each_version(async |node| {
        two_ops(node).await;
        node.settle(&step("reset", TOKEN, vec![])).await;
        let second = node.unchanged(node.settle(&step("reset", OTHER, vec![]))).await;
        assert!(second.is("NACK"), "{second}");
        let again = Settle { ops: TOKEN.into(), ..step("reset", OTHER, vec![]) };
        assert_eq!(node.settle(&again).await.to_string(), "[SETTLED]", "who gave the first up");
        let again = Settle { ops: OTHER.into(), ..step("reset", TOKEN, vec![]) };
        assert_eq!(node.settle(&again).await.to_string(), "[SETTLED]");
        let stranger = step("fill", OTHER, vec![Key::new("{t}a", "string", &["no"])]);
        assert!(node.unchanged(node.settle(&stranger)).await.is("NEEDS_STATE"));
        // One that was given up 20 s ago.
        let old = format!("{TOKEN}{}", node.now_ms().await - 21_000);
        node.run([b"HSET".as_slice(), &record("t"), b"f", old.as_bytes()]).await;
        assert_eq!(node.settle(&step("reset", OTHER, vec![])).await.to_string(), "[SETTLED]");
        let late = step("fill", TOKEN, vec![Key::new("{t}a", "string", &["no"])]);
        assert!(node.unchanged(node.settle(&late)).await.is("NEEDS_STATE"));
        assert_eq!(node.settle(&stranger).await.to_string(), "[SETTLED]");
    })
    .await;
}

#[tokio::test]
async fn a_whole_state_ends_a_fill_too_and_drops_what_the_fill_brought() {
    on_each_version(async |node| {
        two_ops(node).await;
        node.settle(&step("reset", TOKEN, vec![])).await;
        node.settle(&step("fill", TOKEN, vec![Key::new("{t}new", "string", &["v"])])).await;
        let full = Settle::full("t", ballot(5), 7, OTHER, vec![Key::new("{t}a", "string", &["only"])]);
        assert_eq!(node.settle(&full).await.to_string(), "[SETTLED]");
        assert_eq!(node.line("MGET {t}a {t}b {t}c {t}new").await, "[only nil nil nil]");
        assert!(node.op("t", 6, "GET {t}a").await.is("ACK"));
    })
    .await;
}

#[tokio::test]
async fn the_names_of_a_registers_keys_come_in_pages() {
    on_each_version(async |node| {
        for number in 0..600 {
            node.op("t", number + 1, &format!("SET {{t}}{number} v")).await;
        }
        let (mut cursor, mut names, mut pages) = ("0".to_owned(), std::collections::BTreeSet::new(), 0);
        loop {
            let page = node.unchanged(node.snapshot("t", &[], &format!("names 1000 {cursor} 50"))).await;
            let found = page.item(4);
            names.extend(found.items().iter().map(Reply::to_string));
            pages += 1;
            cursor = page.text(3);
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(names.len(), 600);
        assert!(pages > 2, "{pages}");
    })
    .await;
}

#[tokio::test]
async fn a_delta_from_several_histories_starts_at_the_first_and_needs_all_of_them() {
    on_each_version(async |node| {
        let first = node.op("t", 1, "SET {t}a 1").await.digest();
        let second = node.op("t", 2, "SET {t}b 1").await.digest();
        node.op("t", 3, "SET {t}c 1").await;
        let since = async |digests: &str| node.snapshot("t", &[], &format!("since 1000 {digests}")).await;
        for both in [format!("{first},{second}"), format!("{second},{first}"), format!("{first},{first}")] {
            let delta = since(&both).await;
            assert_eq!((delta.text(8), delta.item(10).items().len()), ("delta".into(), 2), "{both}");
        }
        let strange = since(&format!("{second},{OTHER}")).await;
        assert_eq!((strange.text(8), strange.item(10).items().len()), ("full".into(), 3));
    })
    .await;
}
