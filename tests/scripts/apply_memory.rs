//! `apply`: what is remembered of ops, numbers beyond a double, sizes, keys of every kind.

use anarchoredis::command::Register;

use super::support::*;

/// An INCR by the first op of a coordinator, under its ballot of this number.
fn by(coordinator: u64, number: u64) -> Apply {
    let (ballot, op) = (ballot_of(coordinator, number), op_of(coordinator, 1));
    Apply { ballot, op, ..Apply::new("k", number, "INCR k") }
}

#[tokio::test]
async fn an_op_whose_replies_were_too_long_to_remember_is_never_run_again_and_its_retry_learns_that_they_are_lost()
 {
    on_each_version(async |node| {
        let push =
            Apply { reply_limit: 20, ..Apply::new("k", 1, "RPUSH k aaaaaaaaaa bbbbbbbbbb;LRANGE k 0 -1") };
        assert_eq!(node.apply(&push).await.replies(), "[2 [aaaaaaaaaa bbbbbbbbbb]]");
        let again = node.apply(&Apply { ballot: ballot(2), ..push.clone() }).await;
        assert_eq!((again.replies(), again.ran()), ("nil".into(), ballot(1).to_string()));
        assert_eq!(node.line("LLEN k").await, "2");
    })
    .await;
}

#[tokio::test]
async fn one_op_of_each_coordinator_is_remembered() {
    on_each_version(async |node| {
        for (number, coordinator) in [(1, 7), (2, 8), (3, 9)] {
            node.apply(&by(coordinator, number)).await;
        }
        for (number, coordinator, reply) in [(4, 8, "[2]"), (5, 7, "[1]"), (6, 9, "[3]")] {
            assert_eq!(node.apply(&by(coordinator, number)).await.replies(), reply);
        }
        assert_eq!(node.line("GET k").await, "3");
    })
    .await;
}

#[tokio::test]
async fn an_op_is_forgotten_with_the_first_later_op_whose_ballot_is_past_the_retry_window() {
    on_each_version(async |node| {
        let by = |coordinator, number| Apply { retry_window_ms: 50, ..by(coordinator, number) };
        node.apply(&by(7, 1)).await;
        node.apply(&by(8, 51)).await;
        let again = node.apply(&by(7, 52)).await;
        assert_eq!(again.replies(), "[1]", "50 ms are not past the window of 50 ms");
        node.apply(&by(9, 53)).await;
        let forgotten = node.apply(&by(7, 54)).await;
        assert_eq!(
            forgotten.replies(),
            "[4]",
            "a coordinator that retries later than its window counts twice"
        );
    })
    .await;
}

#[tokio::test]
async fn integers_beyond_two_to_the_53rd_come_back_exactly_and_in_a_retry_too() {
    on_each_version(async |node| {
        node.op("k", 1, "SET k 9007199254740991;HSET h f -9007199254740993").await;
        let counted = node.op("k", 2, "INCR k;incrby k 2;DECRBY k 1;HINCRBY h f 2;HINCRBY h f -4").await;
        let exact =
            "[9007199254740992 9007199254740994 9007199254740993 -9007199254740991 -9007199254740995]";
        assert_eq!(counted.replies(), exact);
        let retried = node.apply(&Apply { ballot: ballot(3), ..Apply::new("k", 2, "INCR k") }).await;
        assert_eq!(retried.replies(), exact);
        let limit = node.op("k", 4, "SET k 9223372036854775806;INCR k;DECR k;INCRBY k 5").await;
        let overflow = "!ERR increment or decrement would overflow";
        assert_eq!(limit.replies(), format!("[OK 9223372036854775807 9223372036854775806 {overflow}]"));
    })
    .await;
}

#[tokio::test]
async fn a_command_with_more_arguments_than_a_script_takes_is_refused_before_anything_of_its_batch_ran() {
    on_each_version(async |node| {
        let push = |count: usize| {
            let mut command = words("RPUSH k");
            command.resize(count, b"x".to_vec());
            command
        };
        let most = node.apply(&Apply::of("k", 1, vec![push(7_900), words("LLEN k")])).await;
        assert_eq!(most.replies(), "[7898 7898]");
        let too_long = Apply::of("k", 2, vec![words("DEL k"), push(7_901)]);
        let refused = node.unchanged(node.apply(&too_long)).await;
        let told = "[REFUSED ERR a command of 7901 arguments: a script takes 7900, split it]";
        assert_eq!(refused.to_string(), told);
        let many = Apply::of("k", 3, vec![push(7_900); 10]);
        assert!(node.apply(&many).await.replies().ends_with(" 86878]"), "the batch as a whole may be longer");
    })
    .await;
}

#[tokio::test]
async fn the_state_comes_along_in_a_plain_form_where_it_fits_the_limit() {
    on_each_version(async |node| {
        let commands = "SET {t}s v;RPUSH {t}l a b;HSET {t}h f v;SADD {t}m x;ZADD {t}z 1.5 a;DEL {t}g";
        let with = |state_limit| Apply { state_limit, ..Apply::new("t", 1, commands) };
        let states = node.apply(&with(10_000)).await.states();
        let expected = "[[{t}s string 0 [v]] [{t}l list 0 [a b]] [{t}h hash 0 [f v]] [{t}m set 0 [x]] \
                        [{t}z zset 0 [a 1.5]] [{t}g gone 0 []]]";
        assert_eq!(states, expected);
        let retry = |number, state_limit| Apply { ballot: ballot(number), ..with(state_limit) };
        assert_eq!(node.apply(&retry(2, 10)).await.states(), expected, "ten bytes of elements");
        assert_eq!(node.apply(&retry(3, 9)).await.states(), "[]", "all or nothing");
        assert_eq!(node.apply(&retry(4, 0)).await.states(), "[]");
        let stream = |number, state_limit| Apply { state_limit, ..Apply::new("x", number, "XADD x 1-1 f v") };
        let dump = node.apply(&stream(5, 10_000)).await.item(8).item(0);
        assert_eq!(
            (dump.text(1), dump.item(3).bytes(0)),
            ("dump".into(), node.run(["DUMP", "x"]).await.bytes(0))
        );
        let retried = Apply { ballot: ballot(6), ..stream(5, 10) };
        assert_eq!(node.apply(&retried).await.states(), "[]");
    })
    .await;
}

#[tokio::test]
async fn keys_that_share_a_hash_tag_share_a_record_that_logs_which_version_changed_which_key() {
    on_each_version(async |node| {
        node.op("t", 1, "SET t 1").await;
        assert_eq!(node.record("t").await.entry, "0", "a key that is its register's id needs no log");
        node.op("t", 2, "SET {t}a 1").await;
        node.op("t", 3, "DEL t").await;
        let Record { version, entry, .. } = node.record("t").await;
        assert_eq!((version.as_str(), entry.as_str()), ("3", "m"));
        let fields: Vec<String> =
            node.run([b"HKEYS".to_vec(), record("t")]).await.items().iter().map(Reply::to_string).collect();
        assert!(
            ["k{t}a", "l2", "l3"].iter().all(|field| fields.contains(&(*field).to_owned())),
            "{fields:?}"
        );
        assert!(!fields.contains(&"kt".into()) && !fields.contains(&"l1".into()), "{fields:?}");
        assert_eq!(node.line("DBSIZE").await, "4", "one record, one key, and the node's own two");
    })
    .await;
}

#[tokio::test]
async fn any_bytes_are_a_key_a_value_and_a_register() {
    on_each_version(async |node| {
        let all: Vec<u8> = (0..=255).collect();
        for (register, key) in [
            (&b""[..], &b""[..]),
            (b"{", b"{"),
            (b"}", b"}"),
            (b"{}", b"{}"),
            (b"{}{a}", b"{}{a}"),
            (b"a}", b"a}"),
            (b"}{", b"}{"),
            (b"{b", b"{{b}}"),
            (b"b", b"a{b}c{d}"),
            (b"|", &all),
        ] {
            assert_eq!(Register::of(key).id(), register, "{}", key.escape_ascii());
            let set = vec![b"SET".to_vec(), key.to_vec(), all.clone()];
            let applied =
                node.apply(&Apply::of(register, 1, vec![set, vec![b"STRLEN".to_vec(), key.to_vec()]])).await;
            assert_eq!((applied.standing(), applied.replies()), ("'' 0 1".into(), "[OK 256]".into()));
            assert_eq!(node.run([b"GET", key]).await.bytes(0), all);
            let entry = [b"HMGET".to_vec(), record(register), [b"k", key].concat(), b"h".to_vec()];
            let entry = node.run(entry).await;
            let is_id = register == key;
            let listed =
                if is_id { entry.items()[1].to_string().ends_with(" 0") } else { entry.bytes(0) == b"0" };
            assert!(listed, "{}: {entry}", key.escape_ascii());
        }
        assert_eq!(node.line("DBSIZE").await, "22", "no two registers share a record");
    })
    .await;
}
