//! What each command becomes, as tables of a command line and its plan. No server is needed.

mod command_support;

use anarchoredis::command::{Effect, Plan, Register, Table};
use command_support::{NOW_MS, check, command_reply, plan_of, redis_7_0, shown, words};
use redis::{RedisError, ServerErrorKind, Value};

#[test]
fn a_relative_expiry_becomes_an_absolute_one() {
    check(&[
        ("SET k v EX 10", "write k [k] SET k v PXAT 1010000 expires=1010000"),
        ("set k v px 10 nx", "write k [k] set k v NX PXAT 1000010 expires=1000010"),
        ("SET k v GET EXAT 2000", "write k [k] SET k v GET PXAT 2000000 expires=2000000"),
        ("SET k v PXAT 5 PXAT 7", "write k [k] SET k v PXAT 1"),
        ("SET k v KEEPTTL XX", "write k [k] SET k v KEEPTTL XX"),
        ("SET k v", "write k [k] SET k v"),
        ("SETEX k 10 v", "write k [k] SET k v PXAT 1010000 expires=1010000"),
        ("PSETEX k 10 v", "write k [k] SET k v PXAT 1000010 expires=1000010"),
        ("GETEX k EX 10", "write k [k] GETEX k PXAT 1010000 expires=1010000"),
        ("GETEX k PERSIST", "write k [k] GETEX k PERSIST"),
        ("GETEX k", "read k [k] GET k"),
        ("EXPIRE k 10", "write k [k] PEXPIREAT k 1010000 expires=1010000"),
        ("EXPIRE k 10 xx gt", "write k [k] PEXPIREAT k 1010000 xx gt expires=1010000"),
        ("PEXPIRE k 10 LT", "write k [k] PEXPIREAT k 1000010 LT expires=1000010"),
        ("EXPIREAT k 2000", "write k [k] PEXPIREAT k 2000000 expires=2000000"),
        // What has passed is as past as any, and no node asks its clock about it.
        ("EXPIREAT k 10", "write k [k] PEXPIREAT k 1"),
        ("PEXPIREAT k 10", "write k [k] PEXPIREAT k 1"),
        ("EXPIRE k -2000", "write k [k] PEXPIREAT k 1"),
        ("PEXPIREAT k 0", "write k [k] PEXPIREAT k 1"),
        ("RESTORE k 0 p", "write k [k] RESTORE k 0 p"),
        ("RESTORE k 5 p REPLACE", "write k [k] RESTORE k 1000005 p REPLACE ABSTTL expires=1000005"),
        ("RESTORE k 5 p ABSTTL FREQ 3", "write k [k] RESTORE k 1 p ABSTTL"),
    ]);
}

#[test]
fn an_expiry_that_a_record_could_not_tell_exactly_is_refused() {
    let late = "later than 9007199254740992 ms after 1970";
    check(&[
        (
            "SET k v PXAT 9007199254740992",
            "write k [k] SET k v PXAT 9007199254740992 expires=9007199254740992",
        ),
        ("SET k v PXAT 9007199254740993", &format!("ERR invalid expire time in 'set' command: {late}")),
        ("PEXPIREAT k 9007199254740993", &format!("ERR invalid expire time in 'pexpireat' command: {late}")),
        ("RESTORE k 9007199254740993 p", &format!("ERR invalid expire time in 'restore' command: {late}")),
    ]);
}

#[test]
fn what_a_node_looks_at_the_key_for_first_is_refused_by_the_node() {
    check(&[
        ("GETEX k EX x", "write k [k] GETEX k PXAT x"),
        ("GETEX k EX 0", "write k [k] GETEX k PXAT 0"),
        ("GETEX k PX 9223372036854775807", "write k [k] GETEX k PXAT 0"),
        ("RESTORE k -1 p", "write k [k] RESTORE k -1 p"),
        ("RESTORE k 1.5 p ABSTTL REPLACE", "write k [k] RESTORE k 1.5 p REPLACE"),
        ("GEORADIUS k 1 2 3 km foo", "read k [k] GEORADIUS_RO k 1 2 3 km foo +unordered"),
        (
            "GEORADIUS k 1 2 3 km STORE b WITHDIST foo",
            "read k [k] GEORADIUS_RO k 1 2 3 km WITHDIST foo +unordered",
        ),
        ("GEORADIUSBYMEMBER k m 3 km STORE", "read k [k] GEORADIUSBYMEMBER_RO k m 3 km STORE +unordered"),
        ("SETRANGE k 9223372036854775807 v", "write k [k] SETRANGE k 1099511627776 v"),
        ("SETRANGE k x v", "write k [k] SETRANGE k x v"),
        ("BITFIELD k GET u8", "write k [k] BITFIELD k GET u8"),
        ("BITFIELD k GET u8 x SET", "write k [k] BITFIELD k GET u8 x SET"),
    ]);
}

#[test]
fn a_refusal_is_one_line_that_ends_where_the_servers_does() {
    let said = |line: &[u8]| {
        let args: Vec<Vec<u8>> = line.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect();
        let refusal = plan_of(&redis_7_0(), &args, NOW_MS).expect_err("it is wrong");
        RedisError::from(refusal).detail().unwrap_or_default().to_owned()
    };
    assert_eq!(said(b"EXPIRE k 1 a\r\nb\r\n"), "Unsupported option a  b");
    assert_eq!(said(b"EXPIRE k 1 a\0b"), "Unsupported option a");
}

#[test]
fn commands_on_keys_of_several_registers_are_split_where_they_mean_the_same_key_by_key() {
    check(&[
        ("MGET a {a}b c", "Places of read a [a {a}b] MGET a {a}b at [0, 1] | read c [c] MGET c at [2]"),
        ("MGET a b a", "Places of read a [a] MGET a a at [0, 2] | read b [b] MGET b at [1]"),
        ("MGET a {a}b", "read a [a {a}b] MGET a {a}b"),
        ("MSET a 1 b 2 a 3", "Ok of write a [a] MSET a 1 a 3 at [0, 2] | write b [b] MSET b 2 at [1]"),
        ("DEL a b", "Sum of write a [a] DEL a at [0] | write b [b] DEL b at [1]"),
        ("UNLINK a b", "Sum of write a [a] UNLINK a at [0] | write b [b] UNLINK b at [1]"),
        ("EXISTS a b a", "Sum of read a [a] EXISTS a a at [0, 2] | read b [b] EXISTS b at [1]"),
        ("TOUCH a b", "Sum of read a [a] TOUCH a at [0] | read b [b] TOUCH b at [1]"),
        ("MSET a 1 b", "ERR wrong number of arguments for 'mset' command"),
        ("DEL a anrcho_fence", &reserved("anrcho_fence")),
    ]);
}

fn reserved(key: &str) -> String {
    format!(
        "ERR the key '{key}' is refused: keys that start with 'anrcho_' hold the records that keep the nodes equal"
    )
}

#[test]
fn reserved_keys_are_refused_wherever_a_command_names_them() {
    check(&[
        ("GET anrcho_version:{x}", &reserved("anrcho_version:{x}")),
        ("ZUNIONSTORE {x}d 2 {x}a anrcho_node", &reserved("anrcho_node")),
        ("SORT {x}a STORE anrcho_node", &reserved("anrcho_node")),
        ("OBJECT ENCODING anrcho_node", &reserved("anrcho_node")),
        ("GET ANRCHO_node", "read ANRCHO_node [ANRCHO_node] GET ANRCHO_node"),
    ]);
}

#[test]
fn keys_of_different_registers_are_refused_with_the_spelling_that_works() {
    let crossed = |name: &str, first: &str, second: &str, example: &str| {
        format!(
            "CROSSSLOT '{name}' works on '{first}' and '{second}', which are in different registers: keys of one \
             command must share the text in their first braces (hash tag), as in {example}"
        )
    };
    check(&[
        ("RENAME a b", &crossed("rename", "a", "b", "'a' and '{a}b'")),
        ("SINTERSTORE {u}d {u}a {v}b", &crossed("sinterstore", "{u}d", "{v}b", "'{u}d' and '{u}{v}b'")),
        ("LMPOP 2 a b LEFT", &crossed("lmpop", "a", "b", "'a' and '{a}b'")),
        ("SMOVE a}b c m", &crossed("smove", "a}b", "c", "'{tag}a' and '{tag}b'")),
        ("MSETNX a 1 b 2", &crossed("msetnx", "a", "b", "'a' and '{a}b'")),
    ]);
    let refusal = plan_of(&redis_7_0(), &words("RENAME a b"), NOW_MS).unwrap_err();
    let error = RedisError::from(refusal);
    assert_eq!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::CrossSlot));
}

#[test]
fn commands_on_several_keys_of_one_register_run_as_they_are() {
    check(&[
        ("RENAME a {a}b", "write a [a {a}b] RENAME a {a}b"),
        ("BITOP AND {a}d a {a}b", "write a [{a}d a {a}b] BITOP AND {a}d a {a}b"),
        ("MSETNX a 1 {a}b 2", "write a [a {a}b] MSETNX a 1 {a}b 2"),
        ("LMPOP 2 a {a}b LEFT COUNT 2", "write a [a {a}b] LMPOP 2 a {a}b LEFT COUNT 2"),
        ("SINTERCARD 2 a {a}b LIMIT 1", "read a [a {a}b] SINTERCARD 2 a {a}b LIMIT 1"),
        ("ZRANGESTORE a {a}b 0 -1", "write a [a {a}b] ZRANGESTORE a {a}b 0 -1"),
        ("COPY a {a}b REPLACE", "write a [a {a}b] COPY a {a}b REPLACE"),
        ("COPY a a", "write a [a] COPY a a"),
        ("LCS a {a}b LEN", "read a [a {a}b] LCS a {a}b LEN"),
    ]);
}

#[test]
fn a_command_that_only_reads_is_a_read_whatever_the_server_flags() {
    check(&[
        ("SORT k ALPHA LIMIT 0 5 GET #", "read k [k] SORT_RO k ALPHA LIMIT 0 5 GET # +unordered"),
        ("SORT k BY nosort STORE {k}d", "write k [k {k}d] SORT k BY nosort STORE {k}d"),
        ("BITFIELD k GET u8 0 OVERFLOW SAT", "read k [k] BITFIELD_RO k GET u8 0 OVERFLOW SAT"),
        ("BITFIELD k GET u8 0 SET u8 0 1", "write k [k] BITFIELD k GET u8 0 SET u8 0 1"),
        ("GEORADIUS k 1 2 3 km COUNT 5", "read k [k] GEORADIUS_RO k 1 2 3 km COUNT 5 +unordered"),
        ("GEORADIUSBYMEMBER k m 3 km", "read k [k] GEORADIUSBYMEMBER_RO k m 3 km +unordered"),
        ("TOUCH k", "read k [k] TOUCH k"),
        ("PFCOUNT k", "write k [k] PFCOUNT k"),
    ]);
}

#[test]
fn what_servers_could_compute_differently_is_covered_by_the_digest() {
    let geo = "ZRANGE {k}d 0 -1 WITHSCORES +hashed";
    check(&[
        ("INCRBYFLOAT k 0.1", "write k [k] INCRBYFLOAT k 0.1 +hashed"),
        ("HINCRBYFLOAT k f 0.1", "write k [k] HINCRBYFLOAT k f 0.1 +hashed"),
        ("ZINCRBY k 0.1 m", "write k [k] ZINCRBY k 0.1 m +unordered"),
        ("ZADD k INCR 0.1 m", "write k [k] ZADD k INCR 0.1 m +unordered"),
        (
            "GEOSEARCHSTORE {k}d k FROMMEMBER m BYRADIUS 1 km",
            &format!("write k [{{k}}d k] GEOSEARCHSTORE {{k}}d k FROMMEMBER m BYRADIUS 1 km; {geo}"),
        ),
        (
            "GEORADIUS k 1 2 3 km STOREDIST {k}d",
            &format!("write k [k {{k}}d] GEORADIUS k 1 2 3 km STOREDIST {{k}}d; {geo}"),
        ),
        ("ZRANGESTORE {k}d k 0 -1", "write k [{k}d k] ZRANGESTORE {k}d k 0 -1"),
        (
            "ZRANGESTORE {k}d k - + bylex",
            &format!("write k [{{k}}d k] ZRANGESTORE {{k}}d k - + bylex; {geo}"),
        ),
        ("ZUNIONSTORE {k}d 2 k {k}b", "write k [{k}d k {k}b] ZUNIONSTORE {k}d 2 k {k}b"),
        (
            "ZUNIONSTORE {k}d 1 k WEIGHTS 2",
            &format!("write k [{{k}}d k] ZUNIONSTORE {{k}}d 1 k WEIGHTS 2; {geo}"),
        ),
        (
            "ZINTERSTORE {k}d 1 k WEIGHTS 2 AGGREGATE MAX",
            "write k [{k}d k] ZINTERSTORE {k}d 1 k WEIGHTS 2 AGGREGATE MAX",
        ),
    ]);
}

#[test]
fn integers_that_scripts_cannot_return_exactly_are_marked_or_refused() {
    let wide = "types wider than i53 and u53 are not supported: servers' scripts return integers exactly only to 2^53";
    check(&[
        ("INCR k", "write k [k] INCR k +integer"),
        ("HINCRBY k f 5", "write k [k] HINCRBY k f 5 +integer"),
        ("BITFIELD k SET i53 0 1", "write k [k] BITFIELD k SET i53 0 1"),
        ("BITFIELD k SET u8 0 1 GET i64 0", &format!("ERR 'bitfield' is refused: {wide}")),
        ("BITFIELD_RO k GET u63 0", &format!("ERR 'bitfield_ro' is refused: {wide}")),
    ]);
    let Ok(Plan::Write(call)) = plan_of(&redis_7_0(), &words("INCR k"), NOW_MS) else {
        panic!("INCR writes")
    };
    let exact = call.reply(vec![Value::BulkString(b"9223372036854775807".to_vec())]);
    assert_eq!(exact, Ok(Value::Int(i64::MAX)));
}

#[test]
fn replies_that_are_the_nodes_own_are_marked() {
    check(&[
        ("SMEMBERS k", "read k [k] SMEMBERS k +unordered"),
        ("TTL k", "read k [k] TTL k +unordered"),
        ("OBJECT ENCODING k", "read k [k] OBJECT ENCODING k +unordered"),
        ("memory usage k", "read k [k] memory usage k +unordered"),
        ("ZRANGE k 0 -1", "read k [k] ZRANGE k 0 -1"),
        ("ZRANGE k - + BYLEX", "read k [k] ZRANGE k - + BYLEX +unordered"),
        ("ZLEXCOUNT k - +", "read k [k] ZLEXCOUNT k - + +unordered"),
        ("ZRANGE k 0 -1 withscores", "read k [k] ZRANGE k 0 -1 withscores +unordered"),
        ("LRANGE k 0 -1", "read k [k] LRANGE k 0 -1"),
    ]);
}

#[test]
fn what_needs_no_node_is_answered_at_once() {
    check(&[
        ("PING", "local simple-string(\"PONG\")"),
        ("ping hello", "local bulk-string('\"hello\"')"),
        ("ECHO x", "local bulk-string('\"x\"')"),
        ("SELECT 0", "local ok"),
        (
            "SELECT 1",
            "ERR 'select' is refused: DB index is out of range: there is one database, 0; use a prefix of the keys instead",
        ),
    ]);
}

#[test]
fn a_refusal_says_why() {
    let newer = "only the options of Redis 7.0 are known to every node: read, then use compare_and_apply";
    check(&[
        (
            "CONFIG GET maxmemory",
            "ERR 'config|get' is refused: it administers one server: send it to each node",
        ),
        (
            "OBJECT FREQ k",
            "ERR 'object|freq' is refused: how often and when a key was used is each node's own knowledge: ask a node",
        ),
        ("SET k v IFEQ x", &format!("ERR 'set ifeq' is refused: {newer}")),
        (
            "COPY a {a}b DB 1",
            "ERR 'copy db' is refused: there is one database, 0; use a prefix of the keys instead",
        ),
        (
            "SORT k BY w_*",
            "ERR 'sort' is refused: BY and GET that look into other keys are not supported yet (BY nosort and GET # are)",
        ),
    ]);
}

#[test]
fn only_what_can_end_a_wait_tells_those_who_wait() {
    let wakes = |line: &str| match plan_of(&redis_7_0(), &words(line), NOW_MS) {
        Ok(Plan::Read(call) | Plan::Write(call)) => call.wakes,
        other => panic!("{line}: {other:?}"),
    };
    for line in [
        "LPUSH k v",
        "RPUSH k v",
        "LMOVE {k}a {k}b LEFT LEFT",
        "RPOPLPUSH {k}a {k}b",
        "SORT k STORE {k}b",
        "ZADD k 1 a",
        "ZINCRBY k 1 a",
        "ZUNIONSTORE k 1 {k}a",
        "GEOADD k 1 1 a",
        "RENAME k {k}b",
        "COPY k {k}b",
        "XADD k * f v",
        "XGROUP DESTROY k g",
        "DEL k",
        "EVAL return(1) 1 k",
    ] {
        assert!(wakes(line), "{line}");
    }
    for line in [
        "SET k v",
        "INCR k",
        "HSET k f v",
        "SADD k m",
        "LPOP k",
        "SORT k",
        "LINSERT k BEFORE a b",
        "XACK k g 1-1",
    ] {
        assert!(!wakes(line), "{line}");
    }
    let commands = [words("SET {k}a v"), words("RPUSH {k}b v")];
    let commands: Vec<Vec<&[u8]>> =
        commands.iter().map(|args| args.iter().map(Vec::as_slice).collect()).collect();
    for (count, expected) in [(1, false), (2, true)] {
        let transaction = redis_7_0().transaction(&commands[..count], NOW_MS).unwrap();
        assert_eq!(transaction.call().map(|(_, call)| call.wakes), Some(expected));
    }
}

#[test]
fn a_command_of_a_newer_server_is_refused_until_somebody_has_looked_at_it() {
    let table = Table::from_reply(&command_reply("get 2 1 1 1\nhexpire -6 1 1 1\n")).unwrap();
    assert_eq!(
        shown(&table, "HEXPIRE h 10 FIELDS 1 f", NOW_MS),
        "ERR 'hexpire' is refused: it is not known to give the same result on every node (only commands of Redis 7.0 are)"
    );
}

#[test]
fn a_command_runs_only_if_every_node_knows_it_in_that_form() {
    let old = "get 2 1 1 1\nexpire 3 1 1 1\nsort -2 1 1 1\nobject -2 2 2 1\n";
    let old = Table::from_reply(&command_reply(old)).unwrap();
    assert_eq!(shown(&old, "OBJECT ENCODING k", 0), "read k [k] OBJECT ENCODING k +unordered");
    let both = old.merge(redis_7_0());
    for (line, expected) in [
        ("GET k", "read k [k] GET k"),
        ("EXPIRE k 1", "write k [k] PEXPIREAT k 1001000 expires=1001000"),
        ("EXPIRE k 1 NX", "ERR wrong number of arguments for 'expire' command"),
        ("SORT k", "read k [k] SORT k +unordered"),
        ("OBJECT ENCODING k", "read k [k] OBJECT ENCODING k +unordered"),
        (
            "LCS k {k}b",
            "ERR 'lcs' is not known to every node of this cluster: upgrade the older nodes to use it",
        ),
        (
            "BLPOP k 1",
            "ERR 'blpop' is not known to every node of this cluster: upgrade the older nodes to use it",
        ),
        ("FOO", "ERR unknown command 'FOO', with args beginning with: "),
    ] {
        assert_eq!(shown(&both, line, NOW_MS), expected, "{line}");
    }
}

#[test]
fn what_a_read_has_chosen_is_removed_by_name() {
    check(&[
        ("SPOP k", "pick k [k] SRANDMEMBER k 1 +unordered"),
        ("SPOP k 3", "pick k [k] SRANDMEMBER k 3 +unordered"),
        ("SPOP k -1", "ERR value is out of range, must be positive"),
        ("SPOP k 1 2", "ERR syntax error"),
        ("ZREMRANGEBYLEX k - (b", "pick k [k] ZRANGEBYLEX k - (b +unordered"),
    ]);
    let members = Value::Array(vec![Value::BulkString(b"m".to_vec()), Value::BulkString(b"n".to_vec())]);
    let effect = |line: &str, chosen: Value| match plan_of(&redis_7_0(), &words(line), NOW_MS) {
        Ok(Plan::Pick(pick)) => pick.effect(chosen),
        other => panic!("{other:?}"),
    };
    let Effect::Write { call, reply } = effect("SPOP k 3", members.clone()) else {
        panic!("members were chosen")
    };
    assert_eq!(call.commands, [words("SREM k m n")]);
    assert!(!call.unordered);
    assert_eq!(reply, members);
    let one = Value::Array(vec![Value::BulkString(b"m".to_vec())]);
    let Effect::Write { reply, .. } = effect("SPOP k", one) else { panic!("a member was chosen") };
    assert_eq!(reply, Value::BulkString(b"m".to_vec()));
    let Effect::Write { call, reply } = effect("ZREMRANGEBYLEX k - +", members.clone()) else {
        panic!("members were chosen")
    };
    assert_eq!((call.commands, reply), (vec![words("ZREM k m n")], Value::Int(2)));
    let nothing = || Value::Array(vec![]);
    assert_eq!(effect("ZREMRANGEBYLEX k - +", nothing()), Effect::Nothing(Value::Int(0)));
    assert_eq!(effect("SPOP k", nothing()), Effect::Nothing(Value::Nil));
    assert_eq!(effect("SPOP k 0", nothing()), Effect::Nothing(nothing()));
}

#[test]
fn keys_that_share_a_hash_tag_share_a_register() {
    for (key, id) in [
        ("k", "k"),
        ("", ""),
        ("{t}x", "t"),
        ("a{t}b{u}", "t"),
        ("{}x", "{}x"),
        ("{t", "{t"),
        ("}t{", "}t{"),
        ("{{t}}", "{t"),
    ] {
        assert_eq!(Register::of(key.as_bytes()), Register::from_id(id), "{key}");
    }
    assert_eq!(Register::of(b"{t}x").record_key(), b"anrcho_version:{t}");
    assert_eq!(Register::of_record_key(b"anrcho_version:{a}b}"), Some(Register::from_id("a}b")));
}
