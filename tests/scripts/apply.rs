//! `apply`: promises, histories, ops that run once, batches, conditions.

use super::support::*;

fn sha1_32(parts: &[&[u8]]) -> String {
    let mut hash = sha1_smol::Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.digest().to_string()[..32].to_owned()
}

#[tokio::test]
async fn an_op_moves_the_history_on_by_one_and_its_digest_follows_from_the_last_one_the_op_and_the_ballot() {
    on_each_version(async |node| {
        let set = node.op("k", 1, "SET k v").await;
        let text = |number| (op(number).to_string(), ballot(number).to_string());
        let (first_op, first) = text(1);
        let digest = sha1_32(&[first_op.as_bytes(), first.as_bytes()]);
        assert_eq!(set.to_string(), format!("[ACK '' 0 1 {digest} {first} '' [OK] []]"));
        let append = node.op("k", 2, "APPEND k w").await;
        let (second_op, second) = text(2);
        let next = sha1_32(&[digest.as_bytes(), second_op.as_bytes(), second.as_bytes()]);
        assert_eq!(append.to_string(), format!("[ACK '' 0 2 {next} {second} {digest} [2] []]"));
        assert_eq!(node.line("GET k").await, "vw", "the value is a plain Redis value");
        let held = Record {
            promised: second,
            version: "2".into(),
            entry: "0".into(),
            digest: next,
            accepted: String::new(),
            settled: "0".into(),
        };
        assert_eq!(node.record("k").await, held);
    })
    .await;
}

#[tokio::test]
async fn a_nack_changes_nothing() {
    on_each_version(async |node| {
        node.op("k", 2, "SET k v").await;
        for late in [1, 2] {
            let mut apply = Apply::new("k", late, "SET k w");
            apply.op = op(9);
            let nack = node.unchanged(node.apply(&apply)).await;
            assert_eq!(nack.to_string(), format!("[NACK {}]", ballot(2)));
        }
    })
    .await;
}

#[tokio::test]
async fn a_retry_of_an_op_answers_the_stored_reply_and_does_not_run_again() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k 10").await;
        let first = node.op("k", 2, "INCR k;GET k;GETSET k x;LPOS k x").await;
        let mut retry = Apply::new("k", 3, "INCR k;GET k;GETSET k x;LPOS k x");
        retry.op = op(2);
        let again = node.apply(&retry).await;
        assert_eq!(first.replies(), again.replies());
        let wrong = "!WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(again.replies(), format!("[11 11 11 {wrong}]"));
        assert_eq!(
            (again.digest(), again.ran(), again.base()),
            (first.digest(), ballot(2).to_string(), String::new())
        );
        assert_eq!(node.line("GET k").await, "x");
        assert_eq!(node.record("k").await.promised, ballot(3).to_string(), "the retry's ballot is promised");
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_arrives_after_its_coordinator_went_on_is_refused_also_under_a_new_ballot() {
    on_each_version(async |node| {
        node.op("k", 2, "SET k new").await;
        let mut late = Apply::new("k", 3, "SET k old");
        late.op = op(1);
        let nack = node.unchanged(node.apply(&late)).await;
        assert_eq!(nack.to_string(), format!("[NACK {}]", ballot(2)));
    })
    .await;
}

#[tokio::test]
async fn a_command_that_fails_changes_neither_value_nor_version() {
    on_each_version(async |node| {
        let before = node.op("k", 1, "SET k v").await;
        for (number, command) in [(2, "INCR k"), (3, "LPUSH k x"), (4, "SET k v XY"), (5, "NOSUCH k")] {
            let failed = node.op("k", number, command).await;
            assert!(
                failed.replies().starts_with("[!ERR ") || failed.replies().starts_with("[!WRONGTYPE "),
                "{failed}"
            );
            assert_eq!((failed.standing(), failed.digest()), ("'' 0 1".into(), before.digest()));
            assert_eq!((failed.ran(), failed.base()), ("''".into(), before.digest()), "not in the history");
        }
        assert_eq!(node.line("GET k").await, "v");
        assert_eq!(
            node.record("k").await.promised,
            ballot(5).to_string(),
            "the ballots are promised all the same"
        );
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_op_with_one_version_even_where_a_command_of_it_fails() {
    on_each_version(async |node| {
        let batch = node.op("k", 1, "RPUSH k a;INCR k;RPUSH k b;LRANGE k 0 -1").await;
        let wrong = "!WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(batch.replies(), format!("[1 {wrong} 2 [a b]]"));
        assert_eq!(batch.standing(), "'' 0 1");
        let failed = node.op("k", 2, "INCR k;DECR k").await;
        assert_eq!(failed.replies(), format!("[{wrong} {wrong}]"));
        assert_eq!(failed.standing(), "'' 0 1", "no command succeeded, so there was no op");
    })
    .await;
}

#[tokio::test]
async fn what_leaves_nothing_behind_on_an_absent_register_is_no_promise_unless_it_is_to_be_kept() {
    on_each_version(async |node| {
        for (number, commands, replies) in [
            (1, "GET k", "[nil]"),
            (2, "DEL k", "[0]"),
            (3, "LPOP k", "[nil]"),
            (4, "SET k v;DEL k", "[OK 1]"),
            (5, "SET k v XX", "[nil]"),
        ] {
            let absent = node.op("k", number, commands).await;
            assert_eq!(absent.to_string(), format!("[ABSENT {replies}]"));
            assert_eq!(node.line("DBSIZE").await, OWN_KEYS);
        }
        let failed = node.op("k", 6, "SET k v NONE").await;
        assert_eq!(failed.to_string(), "[ABSENT [!ERR syntax error]]");
        let kept = node.apply(&Apply::new("k", 7, "DEL k").flags("k")).await;
        assert_eq!((kept.standing(), kept.replies()), ("'' 0 1".into(), "[0]".into()));
        assert_eq!(node.op("k", 6, "SET k v").await.to_string(), format!("[NACK {}]", ballot(7)));
        let read = node.apply(&Apply::new("j", 8, "GET j").flags("kr")).await;
        assert_eq!(read.to_string(), format!("[ACK '' 0 0 '' '' '' [nil] []]"));
        assert_eq!(node.record("j").await.promised, ballot(8).to_string());
    })
    .await;
}

#[tokio::test]
async fn a_slow_read_promises_and_changes_nothing_else() {
    on_each_version(async |node| {
        let before = node.op("k", 1, "HSET k f v").await;
        let read = node.apply(&Apply::new("k", 2, "HGET k f;HLEN k").flags("r")).await;
        assert_eq!((read.standing(), read.digest()), ("'' 0 1".into(), before.digest()));
        assert_eq!((read.replies(), read.ran(), read.base()), ("[v 1]".into(), "''".into(), before.digest()));
        assert_eq!(node.record("k").await.promised, ballot(2).to_string());
        assert_eq!(node.op("k", 2, "HSET k f w").await.to_string(), format!("[NACK {}]", ballot(2)));
        let mut retry = Apply::new("k", 3, "HSET k f v");
        retry.op = op(1);
        assert_eq!(node.apply(&retry).await.replies(), "[1]", "the read has not pushed the op out of memory");
    })
    .await;
}

#[tokio::test]
async fn a_conditional_op_runs_only_at_the_digest_that_it_was_made_for() {
    on_each_version(async |node| {
        let at = async |number: u64, expected: &str, commands: &str| {
            let expected = expected.to_owned();
            node.apply(&Apply { expected, ..Apply::new("k", number, commands) }).await
        };
        let elsewhere = "0123456789abcdef0123456789abcdef";
        assert_eq!(at(1, elsewhere, "SET k v").await.to_string(), "[ABSENT MISMATCH]");
        assert_eq!(node.line("DBSIZE").await, OWN_KEYS);
        let created = at(2, "", "SET k v").await;
        assert_eq!((created.standing(), created.replies()), ("'' 0 1".into(), "[OK]".into()));
        let missed = at(3, "", "SET k w").await;
        assert_eq!((missed.replies(), missed.ran()), ("MISMATCH".into(), "''".into()));
        assert_eq!((missed.standing(), missed.base()), ("'' 0 1".into(), created.digest()));
        assert_eq!(
            (node.line("GET k").await, node.record("k").await.promised),
            ("v".into(), ballot(3).to_string())
        );
        let hit = at(4, &created.digest(), "SET k w").await;
        assert_eq!((hit.replies(), node.line("GET k").await), ("[OK]".into(), "w".into()));
    })
    .await;
}

#[tokio::test]
async fn a_retry_of_a_conditional_op_that_ran_is_no_mismatch() {
    on_each_version(async |node| {
        let first = Apply { expected: String::new(), ..Apply::new("k", 1, "SET k v") };
        node.apply(&first).await;
        let again = node.apply(&Apply { ballot: ballot(2), ..first }).await;
        assert_eq!((again.replies(), again.ran()), ("[OK]".into(), ballot(1).to_string()));
    })
    .await;
}

#[tokio::test]
async fn with_the_hash_flag_the_digest_covers_the_replies() {
    on_each_version(async |node| {
        let plain = node.op("p", 1, "INCRBYFLOAT p 0.1").await;
        let hashed = node.apply(&Apply::new("h", 1, "INCRBYFLOAT h 0.1").flags("h")).await;
        let other = node.apply(&Apply::new("i", 1, "INCRBYFLOAT i 0.2").flags("h")).await;
        assert_eq!(
            plain.digest(),
            sha1_32(&[op(1).to_string().as_bytes(), ballot(1).to_string().as_bytes()])
        );
        // One element, a string of three bytes, as MessagePack has it.
        let packed = b"\x91\xa30.1";
        let parts = [op(1).to_string().into_bytes(), ballot(1).to_string().into_bytes(), packed.to_vec()];
        assert_eq!(hashed.digest(), sha1_32(&parts.each_ref().map(Vec::as_slice)));
        assert_ne!(hashed.digest(), other.digest());
    })
    .await;
}
