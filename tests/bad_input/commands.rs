//! Commands that Redis would refuse as well, and commands that only this crate refuses.

use super::{connect_with, keyspaces, must, rest, run, store};
use crate::harness::Nodes;
use anarchoredis::Config;

/// Each command, by its words, and what its error must say.
async fn each_is_refused(cases: &[(&str, &str)]) {
    let (nodes, client) = store().await;
    for line in ["SET text hello", "RPUSH list a b", "SET most 9223372036854775807", "HSET hash f x"] {
        must(&client, &line.split(' ').collect::<Vec<_>>()).await;
    }
    // A slow node may still be repaired, and others remember that it is slow.
    rest(&client).await;
    let before = keyspaces(&nodes).await;
    for (line, says) in cases {
        let error = run(&client, &line.split(' ').collect::<Vec<_>>()).await.expect_err(line);
        assert!(error.contains(says), "{line}: {error}");
    }
    rest(&client).await;
    assert_eq!(keyspaces(&nodes).await, before);
}

#[tokio::test]
async fn a_command_on_a_value_of_another_type_changes_nothing() {
    let says = "Operation against a key holding the wrong kind of value";
    each_is_refused(&[
        ("LPUSH text x", says),
        ("INCR list", says),
        ("HSET text f v", says),
        ("SADD list m", says),
        ("ZADD hash 1 m", says),
        ("APPEND list x", says),
        ("GET list", says),
        ("LRANGE text 0 -1", says),
        ("PFADD text x", "not a valid HyperLogLog"),
    ])
    .await;
}

#[tokio::test]
async fn a_number_that_is_none_or_does_not_fit_changes_nothing() {
    each_is_refused(&[
        ("INCR text", "value is not an integer or out of range"),
        ("INCRBY absent 1.5", "value is not an integer or out of range"),
        ("INCRBYFLOAT text 1", "value is not a valid float"),
        ("INCR most", "increment or decrement would overflow"),
        ("HINCRBY hash f 1", "hash value is not an integer"),
        ("SETRANGE text -1 x", "offset is out of range"),
        ("LINDEX list x", "value is not an integer or out of range"),
        ("EXPIRE text soon", "value is not an integer or out of range"),
        ("SET text v EX 0", "invalid expire time in 'set' command"),
        ("ZADD absent x m", "value is not a valid float"),
    ])
    .await;
}

#[tokio::test]
async fn too_few_or_too_many_arguments_change_nothing() {
    each_is_refused(&[
        ("GET", "wrong number of arguments for 'get' command"),
        ("GET text list", "wrong number of arguments for 'get' command"),
        ("SET text", "wrong number of arguments for 'set' command"),
        ("MSET text v list", "wrong number of arguments for 'mset' command"),
        ("HSET hash f", "wrong number of arguments for 'hset' command"),
        ("SET text v EX 10 PX 10", "syntax error"),
        ("SET text v NX XX", "syntax error"),
    ])
    .await;
}

#[tokio::test]
async fn a_command_that_is_unknown_or_not_supported_is_refused_by_name() {
    each_is_refused(&[
        ("FROB text", "unknown command 'FROB'"),
        ("OBJECT FROB text", "unknown subcommand 'FROB'"),
        ("BLPOP list x", "timeout is not a float or out of range"),
        ("FCALL f 0", "'fcall' is refused: functions are stored on each server"),
        ("MULTI", "'multi' is refused: a transaction is the state of one connection"),
        ("XREAD BLOCK -1 STREAMS stream $", "timeout is negative"),
        ("CONFIG SET maxmemory 1", "'config|set' is refused: it administers one server"),
        ("RENAME text other", "keys of one command must share the text in their first braces"),
        ("SET anrcho_node x", "keys that start with 'anrcho_' hold the records"),
        ("DEL text anrcho_fence", "keys that start with 'anrcho_' hold the records"),
    ])
    .await;
}

#[tokio::test]
async fn a_command_with_more_arguments_than_a_script_takes_is_divided_or_refused() {
    let (nodes, client) = store().await;
    let numbers: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let with = |head: &[&'static str]| -> Vec<Vec<u8>> {
        let head = head.iter().map(|word| word.as_bytes().to_vec());
        head.chain(numbers.iter().map(|number| number.clone().into_bytes())).collect()
    };
    assert_eq!(must(&client, &with(&["RPUSH", "l"])).await, redis::Value::Int(20_000));
    assert_eq!(must(&client, &with(&["SADD", "s"])).await, redis::Value::Int(20_000));
    rest(&client).await;
    let before = keyspaces(&nodes).await;
    let mut bitop: Vec<Vec<u8>> = ["BITOP", "AND", "{t}d"].map(|word| word.as_bytes().to_vec()).to_vec();
    bitop.extend(numbers.iter().map(|number| format!("{{t}}{number}").into_bytes()));
    let error = run(&client, &bitop).await.expect_err("it cannot be divided");
    assert!(error.contains("'bitop' has 20003 arguments"), "{error}");
    assert_eq!(keyspaces(&nodes).await, before);
}

#[tokio::test]
async fn a_command_above_the_limit_is_refused_before_anything_is_sent() {
    let nodes = Nodes::start(3).await;
    let config = Config { max_command: 1024 * 1024, ..Config::default() };
    let client = connect_with(&nodes.urls(), config).await.expect("a client");
    must(&client, &["SET", "k", "small"]).await;
    let before = keyspaces(&nodes).await;
    nodes.reset_calls().await;
    let huge = vec![b'x'; 2 * 1024 * 1024];
    let error = run(&client, &[b"SET".as_slice(), b"k", &huge]).await.expect_err("it is too large");
    assert!(
        error.contains("the command has 2097156 bytes, more than the 1048576 that one command may have"),
        "{error}"
    );
    assert_eq!(nodes.round_trips().await, [0; 3]);
    assert_eq!(keyspaces(&nodes).await, before);
}
