//! `settle`: confirmations, ballots, and what a node refuses to settle.

use anarchoredis::script::Name;

use super::support::*;

const OTHER: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_confirmation_settles_the_history_that_the_node_has() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        let digest = node.op("k", 2, "APPEND k w").await.digest();
        let settled = node.settle(&Settle::confirm("k", ballot(2), 2, &digest)).await;
        assert_eq!(settled.to_string(), "[SETTLED]");
        let next = node.op("k", 3, "STRLEN k").await;
        assert_eq!(next.standing(), format!("{} 2 3", ballot(2)), "accepted, settled, and one op since");
        assert_eq!(
            node.settle(&Settle::confirm("k", ballot(3), 3, &next.digest())).await.to_string(),
            "[SETTLED]"
        );
        assert_eq!(node.record("k").await.accepted, ballot(3).to_string());
        assert_eq!(node.line("GET k").await, "vw");
    })
    .await;
}

#[tokio::test]
async fn a_confirmation_of_another_history_needs_the_state_and_changes_nothing() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        let confirm = Settle::confirm("k", ballot(2), 1, OTHER);
        let needs = node.unchanged(node.settle(&confirm)).await;
        assert_eq!(needs.to_string(), format!("[NEEDS_STATE 1 {digest}]"));
        let absent = node.unchanged(node.settle(&Settle::confirm("j", ballot(2), 1, OTHER))).await;
        assert_eq!(absent.to_string(), "[NEEDS_STATE 0 '']");
        let delta = Settle { mode: "delta", base: OTHER.into(), ..confirm };
        assert_eq!(
            node.unchanged(node.settle(&delta)).await.to_string(),
            format!("[NEEDS_STATE 1 {digest}]")
        );
    })
    .await;
}

#[tokio::test]
async fn a_settle_below_the_promise_is_nacked_and_changes_nothing() {
    on_each_version(async |node| {
        let digest = node.op("k", 5, "SET k v").await.digest();
        for settle in [
            Settle::confirm("k", ballot(4), 1, &digest),
            Settle::full("k", ballot(4), 9, OTHER, vec![Key::new("k", "string", &["w"])]),
        ] {
            let nack = node.unchanged(node.settle(&settle)).await;
            assert_eq!(nack.to_string(), format!("[NACK {}]", ballot(5)));
        }
        assert_eq!(node.line("GET k").await, "v");
    })
    .await;
}

#[tokio::test]
async fn a_settle_above_the_promise_is_a_promise() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        node.settle(&Settle::confirm("k", ballot(5), 1, &digest)).await;
        assert_eq!(node.op("k", 4, "SET k w").await.to_string(), format!("[NACK {}]", ballot(5)));
        let equal = Apply { op: op(9), ..Apply::new("k", 5, "SET k w") };
        assert_eq!(node.apply(&equal).await.to_string(), format!("[NACK {}]", ballot(5)));
    })
    .await;
}

#[tokio::test]
async fn a_settle_that_comes_twice_does_the_same_twice() {
    on_each_version(async |node| {
        let full = Settle::full("k", ballot(1), 3, OTHER, vec![Key::new("k", "list", &["a", "b"])]);
        for _ in 0..2 {
            assert_eq!(node.settle(&full).await.to_string(), "[SETTLED]");
            assert_eq!(node.line("LRANGE k 0 -1").await, "[a b]");
        }
        assert_eq!(node.settle(&Settle::confirm("k", ballot(1), 3, OTHER)).await.to_string(), "[SETTLED]");
    })
    .await;
}

#[tokio::test]
async fn two_histories_under_one_ballot_are_a_conflict() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        node.settle(&Settle::confirm("k", ballot(2), 1, &digest)).await;
        let other = Settle::full("k", ballot(2), 1, OTHER, vec![Key::new("k", "string", &["w"])]);
        let conflict = node.unchanged(node.settle(&other)).await;
        assert_eq!(conflict.to_string(), format!("[CONFLICT {digest}]"));
    })
    .await;
}

#[tokio::test]
async fn the_history_without_ops_can_be_settled_so_that_its_promise_is_kept() {
    on_each_version(async |node| {
        let settled = node.settle(&Settle::confirm("k", ballot(1), 0, "")).await;
        assert_eq!(settled.to_string(), "[SETTLED]");
        let read = node.read("k", "GET k").await;
        assert_eq!(read.to_string(), format!("[READ {0} {0} 0 0 '' [nil] 0]", ballot(1)));
    })
    .await;
}

#[tokio::test]
async fn a_settle_that_another_node_missed_marks_the_register_dirty() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        node.settle(&Settle::confirm("k", ballot(2), 1, &digest)).await;
        assert_eq!(node.line("EXISTS anrcho_dirty").await, "0");
        let confirm = Settle { dirty: true, ..Settle::confirm("k", ballot(3), 1, &digest) };
        node.settle(&confirm).await;
        assert_eq!(node.line("HGETALL anrcho_dirty").await, format!("[k {}]", ballot(3)));
    })
    .await;
}

#[tokio::test]
async fn a_full_node_refuses_a_settle_and_changes_nothing() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        let stream = node.op("s", 1, "XADD s 1-1 f v").await;
        let snapshot = node.snapshot("s", &[], "all 1000").await;
        node.line("CONFIG SET maxmemory 1").await;
        let dump = Settle::from_snapshot("s", ballot(2), &snapshot, &stream.digest());
        for settle in [
            Settle::confirm("k", ballot(2), 1, &digest),
            Settle::full("k", ballot(2), 2, OTHER, vec![Key::new("k", "string", &["w"])]),
            dump,
        ] {
            let refused = node.unchanged(node.settle(&settle)).await;
            let told = "[REFUSED OOM command not allowed when used memory > 'maxmemory'.]";
            assert_eq!(refused.to_string(), told);
        }
    })
    .await;
}

#[tokio::test]
async fn a_settle_of_another_admission_or_past_its_deadline_changes_nothing() {
    on_each_version(async |node| {
        let digest = node.op("k", 1, "SET k v").await.digest();
        let mut args = Settle::confirm("k", ballot(2), 1, &digest).args();
        args[0] = b"another".to_vec();
        let fenced = node.unchanged(node.call(Name::Settle, &[record("k")], &args)).await;
        assert_eq!(fenced.to_string(), "[FENCED]");
        args[0] = FENCE.into();
        args[1] = (node.now_ms().await - 1).to_string().into_bytes();
        let expired = node.unchanged(node.call(Name::Settle, &[record("k")], &args)).await;
        assert!(expired.is("EXPIRED"), "{expired}");
    })
    .await;
}
