//! Streams in the form that every version takes, between all versions.

use super::support::*;
use crate::harness::Version;
use crate::streams_support::{essence, full};

/// Entries with groups, consumers, and pending entries of which some are deleted.
async fn fill(node: &Node) {
    let long = "v".repeat(5_000);
    for (number, commands) in (1..).zip([
        format!("XADD x 1-1 f a;XADD x 2-1 f b g c;XADD x 2-2 f {long};XADD x 18446744073709551614-3 f d"),
        "XGROUP CREATE x none 0;XGROUP CREATE x g 0;XGROUP CREATE x h 2-1;XGROUP CREATECONSUMER x h idle"
            .into(),
        "XREADGROUP GROUP g one COUNT 2 STREAMS x >;XREADGROUP GROUP g two STREAMS x >".into(),
        "XREADGROUP GROUP h three STREAMS x >;XREADGROUP GROUP h three STREAMS x 0".into(),
        "XDEL x 1-1 2-2 18446744073709551614-3".into(),
    ]) {
        let delivery_ms = ballot(0).time_ms() - 1_000;
        let apply = Apply::new("x", number, &commands).flags(format!("t{delivery_ms}"));
        let filled = node.apply(&Apply { user_keys: Some(vec![b"x".to_vec()]), ..apply }).await;
        assert!(filled.is("ACK") && !filled.replies().contains('!'), "{filled}");
    }
}

async fn move_to(from: &Node, to: &Node, number: u64) -> Reply {
    let snapshot = from.snapshot("x", &["x"], "streams 1000").await;
    let settle = Settle { mode: "full", ..Settle::from_snapshot("x", ballot(number), &snapshot, "") };
    assert_eq!(settle.keys[0].form, "stream");
    to.settle(&settle).await
}

#[tokio::test]
async fn a_stream_with_its_groups_and_pending_entries_moves_between_all_versions() {
    for from in Version::ALL {
        let source = Node::start(from).await;
        fill(&source).await;
        let held = essence(&source.server, "x").await;
        assert!(held.contains("[[1-1 one ") && held.contains("[name idle "), "{held}");
        for to in Version::ALL {
            let target = Node::start(to).await;
            target.op("x", 1, "XADD x 9-9 other v").await;
            assert_eq!(move_to(&source, &target, 10).await.to_string(), "[SETTLED]", "{from} to {to}");
            assert_eq!(essence(&target.server, "x").await, held, "{from} to {to}");
            assert_eq!(target.line("KEYS anrcho_stage*").await, "[]");
            if from >= Version::V7_0 && to >= Version::V7_0 {
                let counted = full(&source.server, "x").await;
                assert_eq!(full(&target.server, "x").await, counted, "{from} to {to}");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_stream_keeps_its_last_id_and_its_groups() {
    for (from, to) in [(Version::V6_2, Version::Valkey9), (Version::Valkey9, Version::V6_2)] {
        let (source, target) = (Node::start(from).await, Node::start(to).await);
        source.op("x", 1, "XADD x 7-7 f v;XDEL x 7-7").await;
        assert_eq!(move_to(&source, &target, 10).await.to_string(), "[SETTLED]");
        assert!(essence(&target.server, "x").await.contains("last-generated-id 7-7 "));
        source.op("x", 2, "XGROUP CREATE x g 7-7").await;
        assert_eq!(move_to(&source, &target, 11).await.to_string(), "[SETTLED]");
        assert_eq!(essence(&target.server, "x").await, essence(&source.server, "x").await);
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_rebuilt_is_refused_and_the_node_keeps_what_it_has() {
    on_each_version(async |node| {
        node.op("x", 1, "XADD x 9-9 old v").await;
        let later = (node.now_ms().await + 60_000).to_string();
        for elements in [
            "1-1 1 0-0 1 1-1 2 f v 1 g 1-1 1 1 one 1 1-1 one LATER 1",
            "1-1 1 0-0 1 1-1 1 f 0",
            "1-1 1 0-0 1 1-1 2 f v 1",
            "1-1",
            "x",
        ] {
            let elements = elements.replace("LATER", &later);
            let key = Key::new("x", "stream", &elements.split(' ').collect::<Vec<_>>());
            let settle = Settle::full("x", ballot(2), 2, "0123456789abcdef0123456789abcdef", vec![key]);
            let kept = node.keyspace().await;
            let answer = node.settle(&settle).await;
            assert!(answer.is("REFUSED"), "{elements}: {answer}");
            assert_eq!(node.keyspace().await, kept, "{elements}");
        }
    })
    .await;
}

#[tokio::test]
async fn only_streams_that_are_asked_for_so_come_in_that_form() {
    on_each_version(async |node| {
        node.op("t", 1, "XADD {t}x 1-1 f v").await;
        node.op("t", 2, "SET {t}s v").await;
        let forms = async |what: &str, keys: &[&str]| {
            let snapshot = node.snapshot("t", keys, what).await;
            let mut keys = Settle::from_snapshot("t", ballot(2), &snapshot, "").keys;
            keys.sort_by(|one, other| one.name.cmp(&other.name));
            keys.into_iter().map(|key| key.form).collect::<Vec<_>>()
        };
        assert_eq!(forms("all 1000", &[]).await, ["string", "dump"]);
        assert_eq!(forms("keys 1000", &["{t}x", "{t}s"]).await, ["string", "dump"]);
        assert_eq!(forms("streams 1000", &["{t}x", "{t}s"]).await, ["string", "stream"]);
    })
    .await;
}
