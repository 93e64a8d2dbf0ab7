//! What the stream commands become, as tables of a command line and its plan. No server is needed.

mod command_support;

use anarchoredis::command::{Join, Plan, Table};
use command_support::{NOW_MS, REDIS_7_0, check, command_reply, plan_of, redis_7_0, shown, words};
use redis::Value;

#[test]
fn an_id_that_is_left_to_the_server_comes_from_the_op() {
    check(&[
        ("XADD x * f v", "write x [x] XADD x * f v +timed"),
        ("XADD x NOMKSTREAM * * *", "write x [x] XADD x NOMKSTREAM * * * +timed"),
        ("XADD x MAXLEN 5 * f v", "write x [x] XADD x MAXLEN = 5 * f v +timed"),
        ("XADD x 1-1 * v", "write x [x] XADD x 1-1 * v"),
        ("XADD x 5 f v", "write x [x] XADD x 5 f v"),
        ("XADD x 5-* f v", "write x [x] XADD x 5-* f v"),
    ]);
}

#[test]
fn a_trim_that_leaves_it_to_the_node_how_much_becomes_exact() {
    check(&[
        ("XADD x MAXLEN ~ 5 1-1 f v", "write x [x] XADD x MAXLEN = 5 1-1 f v"),
        ("xadd x minid ~ 3-1 limit 10 1-1 f v", "write x [x] xadd x minid = 3-1 1-1 f v"),
        ("XADD x LIMIT 10 NOMKSTREAM MINID ~ 3 1-1 f v", "write x [x] XADD x NOMKSTREAM MINID = 3 1-1 f v"),
        ("XADD x MAXLEN = 5 1-1 ~ v", "write x [x] XADD x MAXLEN = 5 1-1 ~ v"),
        ("XTRIM x MAXLEN ~ 5", "write x [x] XTRIM x MAXLEN = 5"),
        ("XTRIM x MINID ~ 5-1 LIMIT 0", "write x [x] XTRIM x MINID = 5-1"),
        ("XTRIM x MAXLEN 5", "write x [x] XTRIM x MAXLEN = 5"),
    ]);
}

#[test]
fn what_is_delivered_takes_its_time_from_the_op() {
    check(&[
        ("XREADGROUP GROUP g c STREAMS x >", "write x [x] XREADGROUP GROUP g c STREAMS x > +timed"),
        (
            "XREADGROUP GROUP g c COUNT 2 NOACK STREAMS x {x}y > 0",
            "write x [x {x}y] XREADGROUP GROUP g c COUNT 2 NOACK STREAMS x {x}y > 0 +timed",
        ),
        ("XCLAIM x g c 5 1-1 2 JUSTID", "write x [x] XCLAIM x g c 5 1-1 2 JUSTID +timed"),
        (
            "XCLAIM x g c 5 1-1 IDLE 1 TIME 2 RETRYCOUNT 3 FORCE LASTID 4-4",
            "write x [x] XCLAIM x g c 5 1-1 IDLE 1 TIME 2 RETRYCOUNT 3 FORCE LASTID 4-4 +timed",
        ),
        ("XAUTOCLAIM x g c 5 0 COUNT 2 JUSTID", "write x [x] XAUTOCLAIM x g c 5 0 COUNT 2 JUSTID +timed"),
    ]);
}

#[test]
fn everything_else_runs_as_it_is() {
    check(&[
        ("XACK x g 1-1", "write x [x] XACK x g 1-1"),
        ("XDEL x 1-1 2", "write x [x] XDEL x 1-1 2"),
        (
            "XGROUP CREATE x g $ MKSTREAM ENTRIESREAD 3",
            "write x [x] XGROUP CREATE x g $ MKSTREAM ENTRIESREAD 3",
        ),
        ("XGROUP CREATECONSUMER x g c", "write x [x] XGROUP CREATECONSUMER x g c"),
        ("XGROUP SETID x g 0", "write x [x] XGROUP SETID x g 0"),
        ("XSETID x 1-1", "write x [x] XSETID x 1-1 +hashed +unordered"),
        ("XLEN x", "read x [x] XLEN x"),
        ("XRANGE x - + COUNT 2", "read x [x] XRANGE x - + COUNT 2"),
        ("XPENDING x g IDLE 5 - + 10 c", "read x [x] XPENDING x g IDLE 5 - + 10 c +unordered"),
        ("XINFO STREAM x FULL", "read x [x] XINFO STREAM x FULL +unordered"),
        ("XINFO CONSUMERS x g", "read x [x] XINFO CONSUMERS x g +unordered"),
        ("XREAD COUNT 2 STREAMS x $", "read x [x] XREAD COUNT 2 STREAMS x $"),
        ("XREAD STREAMS x +", "read x [x] XREAD STREAMS x + +unordered"),
    ]);
}

#[test]
fn a_read_of_several_registers_is_split_and_a_read_for_a_group_is_not() {
    check(&[
        ("XREAD STREAMS x {x}y 1 2", "read x [x {x}y] XREAD STREAMS x {x}y 1 2"),
        (
            "XREAD COUNT 3 STREAMS b a {b}c 1 2 3",
            "Streams of read a [a] XREAD COUNT 3 STREAMS a 2 at [1] | read b [b {b}c] XREAD COUNT 3 STREAMS b {b}c 1 3 at [0, 2]",
        ),
        (
            "XREADGROUP GROUP g c STREAMS a b > >",
            "CROSSSLOT 'xreadgroup' works on 'a' and 'b', which are in different registers: keys of one command must share the \
             text in their first braces (hash tag), as in 'a' and '{a}b'",
        ),
        (
            "XREAD STREAMS a anrcho_node 0 0",
            "ERR the key 'anrcho_node' is refused: keys that start with 'anrcho_' hold the records that keep the nodes equal",
        ),
    ]);
}

#[test]
fn only_new_entries_are_waited_for() {
    let table = redis_7_0();
    for line in [
        "XREAD BLOCK 0 STREAMS x $",
        "XREAD COUNT 1 BLOCK 0 STREAMS x y $ $",
        "XREADGROUP GROUP g c BLOCK 5 STREAMS x >",
        "XREADGROUP BLOCK 5 NOACK GROUP g c STREAMS x {x}y > >",
    ] {
        assert!(matches!(plan_of(&table, &words(line), 0), Ok(Plan::Block(_))), "{line}");
    }
    check(&[
        ("XREADGROUP GROUP g c BLOCK 5 STREAMS x 0", "write x [x] XREADGROUP GROUP g c STREAMS x 0 +timed"),
        ("XREAD BLOCK x STREAMS x $", "ERR timeout is not an integer or out of range"),
        ("XREAD BLOCK -1 STREAMS x $", "ERR timeout is negative"),
    ]);
}

#[test]
fn what_an_older_node_does_not_know_is_refused() {
    let older: Vec<&str> = REDIS_7_0.lines().filter(|line| !line.starts_with("expiretime ")).collect();
    let table = redis_7_0().merge(Table::from_reply(&command_reply(&older.join("\n"))).unwrap());
    for (line, name) in [
        ("XADD x 5-* f v", "xadd ms-*"),
        ("XGROUP CREATE x g $ ENTRIESREAD 1", "xgroup entriesread"),
        ("XGROUP SETID x g $ ENTRIESREAD 1", "xgroup entriesread"),
        ("XSETID x 1-1 ENTRIESADDED 5", "xsetid entriesadded"),
    ] {
        let refusal = format!(
            "ERR '{name}' is not known to every node of this cluster: upgrade the older nodes to use it"
        );
        assert_eq!(shown(&table, line, NOW_MS), refusal, "{line}");
    }
    assert_eq!(shown(&table, "XADD x * f v", NOW_MS), "write x [x] XADD x * f v +timed");
}

fn stream(name: &str, entry: i64) -> Value {
    Value::Array(vec![Value::BulkString(name.into()), Value::Array(vec![Value::Int(entry)])])
}

#[test]
fn streams_of_several_registers_are_joined_in_the_order_of_the_request() {
    let plan = plan_of(&redis_7_0(), &words("XREAD STREAMS b a {b}c d 1 2 3 4"), NOW_MS).unwrap();
    let Plan::Split(parts, join) = plan else { panic!("{plan:?}") };
    assert_eq!(join, Join::Streams);
    let answers = |a: Value, b: Value, d: Value| join.join(&parts, vec![a, b, d]).unwrap();
    let of_b = Value::Array(vec![stream("b", 1), stream("{b}c", 2)]);
    assert_eq!(
        answers(Value::Array(vec![stream("a", 3)]), of_b, Value::Nil),
        Value::Array(vec![stream("b", 1), stream("a", 3), stream("{b}c", 2)])
    );
    assert_eq!(answers(Value::Nil, Value::Nil, Value::Nil), Value::Nil);
}
