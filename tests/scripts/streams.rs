//! Streams by the op's time: on every version the same replies, histories and pending entries, whatever the node's clock says.

use std::collections::BTreeSet;
use std::time::Duration;

use super::support::*;
use crate::harness::{Version, eventually};
use crate::streams_support::essence;

const PATIENCE: Duration = Duration::from_secs(30);

async fn one_of_each() -> Vec<Node> {
    let mut nodes = Vec::new();
    for version in Version::ALL {
        nodes.push(Node::start(version).await);
    }
    nodes
}

/// The time at which op `number` delivers: each a second after the one before, and all of them long past.
fn at_ms(number: u64) -> u64 {
    ballot(0).time_ms() - 100_000 + 1_000 * number
}

fn timed(number: u64, commands: &str) -> Apply {
    let apply = Apply::new("x", number, commands).flags(format!("t{}", at_ms(number)));
    Apply { user_keys: Some(vec![b"x".to_vec()]), ..apply }
}

/// The replies, which all nodes give, with the same digest.
async fn on_all(nodes: &[Node], number: u64, commands: &str) -> String {
    let mut answers = Vec::new();
    for node in nodes {
        answers.push(node.apply(&timed(number, commands)).await);
    }
    for (node, answer) in nodes.iter().zip(&answers) {
        assert_eq!(answer.to_string(), answers[0].to_string(), "{}: {commands}", node.version());
    }
    answers[0].replies()
}

#[tokio::test]
async fn what_is_delivered_claimed_and_deleted_is_the_same_on_every_version() {
    let nodes = one_of_each().await;
    on_all(&nodes, 1, "XADD x 1-1 f a;XADD x 2-1 f b;XADD x 3-1 f c;XADD x 4-1 f d;XGROUP CREATE x g 0")
        .await;
    for (number, commands, replies) in [
        (2, "XREADGROUP GROUP g one COUNT 2 STREAMS x >", "[[[x [[1-1 [f a]] [2-1 [f b]]]]]]"),
        (3, "XREADGROUP COUNT 9 GROUP g two STREAMS x >", "[[[x [[3-1 [f c]] [4-1 [f d]]]]]]"),
        (4, "XREADGROUP GROUP g three STREAMS x >", "[nil]"),
        (5, "XREADGROUP GROUP g one STREAMS x 1-1", "[[[x [[2-1 [f b]]]]]]"),
        // Idle: 4 s, 1 s and 3 s; the last one is not pending.
        (6, "XCLAIM x g three 3000 1-1 2-1 3-1 9-9", "[[[1-1 [f a]] [3-1 [f c]]]]"),
        (7, "XCLAIM x g two 0 1-1 IDLE 500 RETRYCOUNT 7 JUSTID", "[[1-1]]"),
        (8, "XCLAIM x g two 0 2 TIME 5 LASTID 3-1", "[[]]"),
        (9, "XDEL x 4-1;XCLAIM x none two 0 1-1", "[1 !NOGROUP No such key 'x' or consumer group 'none']"),
        // Idle: 3.5 s, 5 s and 4 s.
        (10, "XAUTOCLAIM x g one 4000 - COUNT 2", "[[4-1 [[2-1 [f b]] [3-1 [f c]]] []]]"),
        (11, "XREADGROUP GROUP g two STREAMS x 3", "[[[x [[4-1 nil]]]]]"),
        (12, "XAUTOCLAIM x g one 99999999 4-1 JUSTID", "[[0-0 [] [4-1]]]"),
        (13, "XADD x 5-1 f e;XREADGROUP GROUP g four NOACK STREAMS x >", "[5-1 [[x [[5-1 [f e]]]]]]"),
        (14, "XAUTOCLAIM x g five 0 wrong", "[!ERR Invalid stream ID specified as stream command argument]"),
    ] {
        assert_eq!(on_all(&nodes, number, commands).await, replies, "{commands}");
    }
    let held = essence(&nodes[0].server, "x").await;
    for node in &nodes {
        assert_eq!(essence(&node.server, "x").await, held, "{}", node.version());
    }
    let pending =
        format!("[[1-1 two {} 7] [2-1 one {} 3] [3-1 one {} 3]]", at_ms(7) - 500, at_ms(10), at_ms(10));
    assert!(held.contains(&pending), "{held}");
    for consumer in ["one", "two", "three", "four"] {
        assert!(held.contains(&format!("[name {consumer} ")), "{held}");
    }
    assert!(!held.contains("[name five "), "a command that failed made a consumer: {held}");
}

#[tokio::test]
async fn an_id_left_to_the_server_is_the_time_of_the_op_or_the_next_one() {
    let nodes = one_of_each().await;
    let ms = ballot(1).time_ms();
    let added = on_all(&nodes, 1, "XADD x * f a;XADD x NOMKSTREAM MAXLEN = 9 * * *;XADD x 5-5 f c").await;
    let small = "!ERR The ID specified in XADD is equal or smaller than the target stream top item";
    assert_eq!(added, format!("[{ms}-0 {ms}-1 {small}]"));
    let last = "18446744073709551615";
    for (number, ahead, next) in [
        (2, "99999999999999-1999".to_owned(), "99999999999999-2000".to_owned()),
        (3, format!("99999999999999-{last}"), "100000000000000-0".into()),
        (4, format!("{last}-9"), format!("{last}-10")),
    ] {
        let added = on_all(&nodes, number, &format!("XADD x {ahead} f v;XADD x * f v")).await;
        assert_eq!(added, format!("[{ahead} {next}]"));
    }
    let full = on_all(&nodes, 5, &format!("XADD x {last}-{last} f v;XADD x * f v")).await;
    assert!(full.starts_with(&format!("[{last}-{last} !ERR ")), "{full}");
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_the_delivery_has_a_history_of_its_own() {
    let nodes = one_of_each().await;
    let start = "XADD x 1-1 f v;XGROUP CREATE x g 0";
    on_all(&nodes, 1, start).await;
    let ahead = ballot(0).time_ms() + 3_600_000;
    let mut histories = BTreeSet::new();
    for node in &nodes {
        let apply = timed(2, "XREADGROUP GROUP g one STREAMS x >").flags(format!("t{ahead}"));
        let answer = node.apply(&apply).await;
        assert!(answer.is("ACK"), "{answer}");
        let held = essence(&node.server, "x").await;
        let (_, rest) = held.split_once("[[1-1 one ").expect("what is pending");
        let delivered: u64 = rest.split(' ').next().and_then(|ms| ms.parse().ok()).expect("a time");
        let now_ms = node.now_ms().await;
        assert!(delivered <= now_ms, "{delivered} is after {now_ms}");
        histories.insert(answer.digest());
        eventually("the next node is asked later", PATIENCE, async || node.now_ms().await > now_ms).await;
    }
    assert_eq!(histories.len(), nodes.len());
}

#[tokio::test]
async fn what_delivers_nothing_makes_no_version() {
    let nodes = one_of_each().await;
    on_all(&nodes, 1, "XADD x 1-1 f v;XGROUP CREATE x g 0").await;
    for (number, commands, version) in [
        (2, "XREADGROUP GROUP g one STREAMS x >", "2"),
        (3, "XREADGROUP GROUP g one STREAMS x >", "2"),
        (4, "XAUTOCLAIM x g one 99999999 -", "2"),
        (5, "XREADGROUP GROUP g two STREAMS x >", "3"),
        (6, "XREADGROUP GROUP g two STREAMS x 0", "3"),
        (7, "XREADGROUP GROUP g one STREAMS x 0", "4"),
        (8, "XDEL x 1-1", "5"),
        (9, "XREADGROUP GROUP g one STREAMS x 0", "5"),
        (10, "XAUTOCLAIM x g one 99999999 -", "6"),
        (11, "XREADGROUP GROUP g three STREAMS x wrong", "6"),
        (12, "XREADGROUP GROUP g three NOACK STREAMS x >;XREADGROUP GROUP g three STREAMS x >", "7"),
    ] {
        on_all(&nodes, number, commands).await;
        for node in &nodes {
            assert_eq!(node.record("x").await.version, version, "{}: {commands}", node.version());
        }
    }
}

#[tokio::test]
async fn a_full_node_still_delivers() {
    on_each_version(async |node| {
        node.apply(&timed(1, "XADD x 1-1 f v;XGROUP CREATE x g 0")).await;
        node.line("CONFIG SET maxmemory 1").await;
        let added = node.apply(&timed(2, "XADD x * f v")).await;
        assert!(added.to_string().starts_with("[REFUSED OOM "), "{added}");
        let read = node.apply(&timed(3, "XREADGROUP GROUP g one STREAMS x >")).await;
        assert_eq!(read.replies(), "[[[x [[1-1 [f v]]]]]]");
        let claimed = node.apply(&timed(4, "XAUTOCLAIM x g two 1 -")).await;
        assert_eq!(claimed.replies(), "[[0-0 [[1-1 [f v]]] []]]");
    })
    .await;
}

#[tokio::test]
async fn what_a_node_alone_may_not_do_is_refused_or_makes_its_history_another_one() {
    on_each_version(async |node| {
        let other = Node::start(node.version()).await;
        node.line("ACL SETUSER default -xclaim -xrange").await;
        for node in [node, &other] {
            node.apply(&timed(1, "XADD x 1-1 f v;XGROUP CREATE x g 0")).await;
        }
        let refused = node.apply(&timed(2, "XAUTOCLAIM x g one 0 -")).await;
        assert!(refused.is("REFUSED"), "{refused}");
        let read = async |node: &Node| node.apply(&timed(3, "XREADGROUP GROUP g one STREAMS x >")).await;
        let (ours, theirs) = (read(node).await, read(&other).await);
        assert_eq!(ours.replies(), theirs.replies());
        assert_ne!(ours.digest(), theirs.digest());
    })
    .await;
}

#[tokio::test]
async fn thousands_of_entries_are_delivered_at_one_time() {
    const ENTRIES: usize = 7_000;
    on_each_version(async |node| {
        let adds: Vec<String> = (1..=ENTRIES).map(|number| format!("XADD x {number}-1 f v")).collect();
        node.apply(&timed(1, &format!("{};XGROUP CREATE x g 0", adds.join(";")))).await;
        let answer = node.apply(&timed(2, "XREADGROUP GROUP g one STREAMS x >")).await;
        assert_eq!(answer.replies().matches("[f v]").count(), ENTRIES);
        let answer = node.apply(&timed(9, "XAUTOCLAIM x g two 7000 - COUNT 6500 JUSTID")).await;
        assert!(answer.replies().starts_with("[[6501-1 [1-1 2-1 "), "{answer}");
        let held = essence(&node.server, "x").await;
        // Once in the group's list and once in the consumer's.
        let at = |number| held.matches(&format!(" {} 1]", at_ms(number))).count();
        assert_eq!((at(9), at(2)), (2 * 6_500, 2 * 500));
    })
    .await;
}
