//! `read`: what a node holds, without a trace.

use super::support::*;
use crate::harness::Version;

#[tokio::test]
async fn a_read_tells_the_history_that_it_saw_and_writes_nothing() {
    on_each_version(async |node| {
        let set = node.op("k", 1, "HSET k f v").await;
        let digest = set.digest();
        let read = node.unchanged(node.read("k", "HGET k f;HLEN k;HGET k none")).await;
        assert_eq!(read.to_string(), format!("[READ {} '' 0 1 {digest} [v 1 nil] 0]", ballot(1)));
        node.settle(&Settle::confirm("k", ballot(2), 1, &digest)).await;
        let settled = node.read("k", "GET k").await;
        let wrong = "!WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(settled.to_string(), format!("[READ {0} {0} 1 1 {digest} [{wrong}] 0]", ballot(2)));
    })
    .await;
}

#[tokio::test]
async fn a_register_without_a_record_is_absent() {
    on_each_version(async |node| {
        let absent = node.unchanged(node.read("k", "GET k;LRANGE k 0 -1;EXISTS k")).await;
        assert_eq!(absent.to_string(), "[ABSENT [nil [] 0]]");
    })
    .await;
}

#[tokio::test]
async fn a_tombstone_is_not_absent() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k v").await;
        let deleted = node.op("k", 2, "DEL k").await;
        let read = node.read("k", "GET k").await;
        assert_eq!(read.to_string(), format!("[READ {} '' 0 2 {} [nil] 0]", ballot(2), deleted.digest()));
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_record_does_not_list_is_a_stray_to_readers_too() {
    on_each_version(async |node| {
        node.line("SET k v").await;
        assert_eq!(node.unchanged(node.read("k", "GET k")).await.to_string(), "[STRAY k]");
        node.op("t", 1, "SET t v").await;
        node.line("SET {t}x v").await;
        assert_eq!(node.read("t", "GET {t}x").await.to_string(), "[STRAY {t}x]");
        assert_eq!(node.read("t", "GET t").await.replies(), "[v]", "its neighbours are not");
    })
    .await;
}

#[tokio::test]
async fn a_write_that_is_passed_off_as_a_read_does_not_run_where_the_server_can_prevent_it() {
    for version in [Version::V7_0, Version::V7_4, Version::Valkey9] {
        let node = Node::start(version).await;
        node.op("k", 1, "SET k v").await;
        let read = node.unchanged(node.read("k", "SET k w")).await;
        assert!(read.replies().starts_with("[!ERR Write commands are not allowed"), "{read}");
    }
}
