//! Commands of very many arguments, and replies that become one.

mod command_support;

use anarchoredis::command::{Fold, Join, Plan, Refusal};
use command_support::{plan_of, redis_7_0, words};
use redis::Value;

const NOW_MS: u64 = 1_000_000;

fn with_many(head: &str, count: usize, element: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    let mut args = words(head);
    args.extend((0..count).flat_map(|i| words(&element(i))));
    args
}

#[test]
fn a_command_of_very_many_arguments_is_divided_into_one_batch() {
    let table = redis_7_0();
    let sizes = |args: &[Vec<u8>]| match plan_of(&table, args, NOW_MS).unwrap() {
        Plan::Read(call) | Plan::Write(call) => {
            (call.commands.iter().map(Vec::len).collect::<Vec<_>>(), call.fold)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(sizes(&with_many("SADD k", 6_998, |i| i.to_string())), (vec![7_000], Fold::First));
    assert_eq!(sizes(&with_many("SADD k", 6_999, |i| i.to_string())), (vec![7_000, 3], Fold::Sum));
    assert_eq!(sizes(&with_many("RPUSH k", 14_000, |i| i.to_string())), (vec![7_000, 7_000, 6], Fold::Last));
    assert_eq!(sizes(&with_many("HSET k", 3_500, |i| format!("{i} v"))), (vec![7_000, 4], Fold::Sum));
    assert_eq!(sizes(&with_many("MSET", 3_500, |i| format!("{{t}}{i} v"))), (vec![6_999, 3], Fold::Last));
    assert_eq!(sizes(&with_many("HMGET k", 7_000, |i| i.to_string())), (vec![7_000, 4], Fold::Concat));
    assert_eq!(sizes(&with_many("PFADD k", 7_000, |i| i.to_string())), (vec![7_000, 4], Fold::Max));
    assert_eq!(
        sizes(&with_many("ZADD k XX CH", 3_500, |i| format!("{i} m{i}"))),
        (vec![7_000, 8], Fold::Sum)
    );
    assert_eq!(sizes(&with_many("GEOADD k", 2_400, |i| format!("1 2 m{i}"))), (vec![6_998, 206], Fold::Sum));
}

#[test]
fn no_part_of_a_divided_command_is_sent_if_a_later_one_would_fail() {
    let table = redis_7_0();
    let mut odd = with_many("HSET k", 4_000, |i| format!("{i} v"));
    odd.pop();
    let mut bad_score = with_many("ZADD k", 4_000, |i| format!("{i} m{i}"));
    bad_score[7_990] = b"nan".to_vec();
    let mut far_north = with_many("GEOADD k", 3_000, |i| format!("1 2 m{i}"));
    far_north[9_000] = b"86".to_vec();
    for (args, expected) in [
        (odd, "ERR wrong number of arguments for 'hset' command"),
        (bad_score, "ERR value is not a valid float"),
        (far_north, "ERR invalid longitude,latitude pair 1.000000,86.000000"),
        (with_many("ZADD k 1 m", 4_000, |_| "1e999 m".to_owned()), "ERR value is not a valid float"),
        (with_many("ZADD k 1 m", 4_000, |_| "1e-999 m".to_owned()), "ERR value is not a valid float"),
        (with_many("ZADD k", 7_001, |i| i.to_string()), "ERR syntax error"),
    ] {
        assert_eq!(plan_of(&table, &args, NOW_MS).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_divided_zadd_keeps_its_scores() {
    let scores = ["1", "-0", "inf", "-INF", "1e300", "0.1", "17976931348623157e292", "5e-324", "+3.5"];
    let args = with_many("ZADD k", 4_000, |i| format!("{} m{i}", scores[i % scores.len()]));
    let Ok(Plan::Write(call)) = plan_of(&redis_7_0(), &args, NOW_MS) else { panic!("ZADD writes") };
    let sent = call.commands.iter().flat_map(|command| command[2..].chunks(2));
    for (i, pair) in sent.enumerate() {
        let sent: f64 = std::str::from_utf8(&pair[0]).unwrap().parse().unwrap();
        let given: f64 = scores[i % scores.len()].parse().unwrap();
        assert_eq!(sent.to_bits(), given.to_bits());
    }
}

#[test]
fn a_command_that_is_too_long_and_cannot_be_divided_is_refused() {
    let table = redis_7_0();
    for args in [
        with_many("MSETNX", 3_500, |i| format!("{{t}}{i} v")),
        with_many("BITFIELD k", 2_400, |_| "SET u8 0 1".to_owned()),
        with_many("SUNIONSTORE {t}d", 7_000, |i| format!("{{t}}{i}")),
        with_many("SADD k", 500_000, |i| i.to_string()),
    ] {
        let refusal = plan_of(&table, &args, NOW_MS).unwrap_err();
        assert!(matches!(refusal, Refusal::TooManyArguments { .. }), "{refusal}");
    }
}

#[test]
fn replies_of_a_divided_command_become_one() {
    let ints = |numbers: &[i64]| numbers.iter().copied().map(Value::Int).collect::<Vec<_>>();
    assert_eq!(Fold::Sum.fold(ints(&[3, 4])), Ok(Value::Int(7)));
    assert_eq!(Fold::Max.fold(ints(&[0, 1, 0])), Ok(Value::Int(1)));
    assert_eq!(Fold::Last.fold(ints(&[7, 9])), Ok(Value::Int(9)));
    let arrays = vec![Value::Array(ints(&[1])), Value::Array(ints(&[2, 3]))];
    assert_eq!(Fold::Concat.fold(arrays), Ok(Value::Array(ints(&[1, 2, 3]))));
    let wrong = redis::parse_redis_value(b"-WRONGTYPE no\r\n").unwrap();
    assert_eq!(Fold::Sum.fold(vec![Value::Int(1), wrong]).unwrap_err().code(), "WRONGTYPE");
}

#[test]
fn replies_of_a_split_command_keep_the_callers_order() {
    let Ok(Plan::Split(parts, join)) = plan_of(&redis_7_0(), &words("MGET a b a c"), NOW_MS) else {
        panic!("MGET of several registers is split");
    };
    assert_eq!(join, Join::Places);
    let text =
        |words: &[&str]| Value::Array(words.iter().map(|w| Value::BulkString(w.as_bytes().into())).collect());
    let whole = join.join(&parts, vec![text(&["a1", "a2"]), text(&["b"]), text(&["c"])]);
    assert_eq!(whole, Ok(text(&["a1", "b", "a2", "c"])));
}

#[test]
fn an_argument_longer_than_servers_take_is_refused() {
    let long = vec![0; 512 * 1024 * 1024 + 1];
    let args = [b"SET".as_slice(), b"k", &long];
    let refusal = redis_7_0().plan(&args, NOW_MS).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "ERR an argument of 'set' is 536870913 bytes long: servers take at most 536870912"
    );
}
