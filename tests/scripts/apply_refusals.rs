//! `apply`: every refusal, and that it changes nothing.

use anarchoredis::script::{Name, script};
use redis::Cmd;

use super::support::*;
use crate::harness::Version;

#[tokio::test]
async fn a_call_of_another_admission_is_fenced_and_one_past_its_deadline_expired() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        let set = Apply::new("k", 2, "SET k w");
        let send = async |fence: &str, deadline_ms: &str| {
            let args = set.args(fence, deadline_ms);
            node.unchanged(node.call(Name::Apply, &set.keys(), &args)).await
        };
        assert_eq!(send("another", NEVER).await.to_string(), "[FENCED]");
        assert_eq!(send("", NEVER).await.to_string(), "[FENCED]");
        let before = node.now_ms().await;
        let expired = send(FENCE, &(before - 1).to_string()).await;
        assert!(expired.is("EXPIRED") && expired.number(1) >= before, "{expired}");
        node.line("DEL anrcho_fence").await;
        assert_eq!(send("", NEVER).await.to_string(), "[FENCED]", "no token is nobody's token");
    })
    .await;
}

#[tokio::test]
async fn a_ballot_too_far_ahead_of_the_nodes_clock_is_refused() {
    on_each_version(async |node| {
        let far = Apply { max_offset_ms: 1_000, ..Apply::new("k", 3_600_000, "SET k v") };
        let ahead = node.unchanged(node.apply(&far)).await;
        assert!(ahead.is("AHEAD") && ahead.number(1).abs_diff(node.now_ms().await) < 60_000, "{ahead}");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_was_written_behind_the_record_is_a_stray() {
    on_each_version(async |node| {
        node.line("SET k stray").await;
        let absent = node.unchanged(node.op("k", 1, "APPEND k v")).await;
        assert_eq!(absent.to_string(), "[STRAY k]");
    })
    .await;
}

#[tokio::test]
async fn a_stray_among_several_keys_stops_the_whole_op() {
    on_each_version(async |node| {
        node.op("t", 1, "SET {t}a v").await;
        node.line("SET {t}b stray").await;
        let stray = node.unchanged(node.op("t", 2, "SET {t}a w;APPEND {t}b x")).await;
        assert_eq!(stray.to_string(), "[STRAY {t}b]");
    })
    .await;
}

#[tokio::test]
async fn a_full_node_refuses_what_would_grow_and_changes_nothing() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        node.line("CONFIG SET maxmemory 1").await;
        let told = "[REFUSED OOM command not allowed when used memory > 'maxmemory'.]";
        let refused = async |apply: Apply| node.unchanged(node.apply(&apply)).await.to_string();
        assert_eq!(refused(Apply::new("k", 2, "SET k w")).await, told);
        assert_eq!(
            refused(Apply::new("new", 2, "SET new w")).await,
            told,
            "an absent register is not ABSENT"
        );
        assert_eq!(refused(Apply::new("new", 2, "SET new w").flags("k")).await, told);
        assert_eq!(refused(Apply::new("k", 2, "GET k").flags("r")).await, told, "a promise is a write, too");
        let mut retry = Apply::new("k", 2, "SET k v");
        retry.op = op(1);
        assert_eq!(refused(retry).await, told);
        assert_eq!(
            refused(Apply::new("k", 2, "GET k;SET k w")).await,
            told,
            "what only reads may stand before"
        );
        assert_eq!(node.op("k", 2, "DEL k").await.replies(), "[1]", "what shrinks is welcome");
    })
    .await;
}

/// Applies as a user who may do anything but SET.
async fn apply_without_set(node: &Node, apply: &Apply) -> Reply {
    node.line("ACL SETUSER limited on nopass ~* +@all -set").await;
    let mut connection = node.server.connection().await;
    let login = redis::cmd("AUTH").arg("limited").arg("any").exec_async(&mut connection).await;
    login.expect("the limited user");
    let mut cmd = Cmd::new();
    cmd.arg("EVALSHA").arg(&script(Name::Apply).sha);
    cmd.arg(apply.keys().len()).arg(apply.keys()).arg(apply.args(FENCE, NEVER));
    Reply(connection.send_packed_command(&cmd).await.expect("an answer"))
}

#[tokio::test]
async fn a_batch_of_which_one_node_alone_refuses_a_part_is_another_history_there() {
    on_each_version(async |node| {
        let other = Node::start(node.version()).await;
        let batch = Apply::new("k", 1, "INCR k;SET k w;GET k");
        let (whole, part) = (node.apply(&batch).await, apply_without_set(&other, &batch).await);
        assert_eq!(whole.replies(), "[1 OK w]");
        assert!(part.replies().starts_with("[1 !ERR ") && part.replies().ends_with(" 1]"), "{part}");
        assert_ne!(whole.digest(), part.digest(), "equal digests mean equal values");
    })
    .await;
}

#[tokio::test]
async fn what_the_nodes_access_rules_forbid_is_the_nodes_refusal_and_not_the_commands_error() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        let refused = node.unchanged(apply_without_set(node, &Apply::new("k", 2, "SET k w"))).await;
        let told = if node.version() <= Version::V7_0 {
            "The user executing the script"
        } else {
            "ACL failure in script"
        };
        assert!(refused.is("REFUSED") && refused.text(1).contains(told), "{refused}");
    })
    .await;
}
