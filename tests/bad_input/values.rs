//! Keys and values that are odd, and fine.

use std::time::Duration;

use anarchoredis::Config;
use redis::Value;

use super::{connect_with, must, rest, run, store};
use crate::harness::{Nodes, Version};

async fn value_on_each(nodes: &Nodes, key: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut values = Vec::new();
    for server in nodes.iter() {
        let mut connection = server.connection().await;
        values.push(redis::cmd("GET").arg(key).query_async(&mut connection).await.expect("GET"));
    }
    values
}

async fn each_keeps_a_value_of_its_own(keys: &[&[u8]]) {
    let (nodes, client) = store().await;
    let value = |place: usize, key: &[u8]| [b"\r\n\0\xff$-1", key, place.to_string().as_bytes()].concat();
    for (place, key) in keys.iter().enumerate() {
        assert_eq!(must(&client, &[b"SET".as_slice(), key, &value(place, key)]).await, Value::Okay);
    }
    rest(&client).await;
    for (place, key) in keys.iter().enumerate() {
        let expected = value(place, key);
        assert_eq!(must(&client, &[b"GET".as_slice(), key]).await, Value::BulkString(expected.clone()));
        assert_eq!(value_on_each(&nodes, key).await, vec![Some(expected); 3]);
        assert_eq!(
            must(&client, &[b"APPEND".as_slice(), key, b"+"]).await,
            Value::Int(value(place, key).len() as i64 + 1)
        );
    }
    let count = i64::try_from(keys.len()).expect("a few keys");
    let all: Vec<&[u8]> = std::iter::once(b"DEL".as_slice()).chain(keys.iter().copied()).collect();
    assert_eq!(must(&client, &all).await, Value::Int(count));
    for key in keys {
        assert_eq!(must(&client, &[b"EXISTS".as_slice(), key]).await, Value::Int(0));
    }
}

#[tokio::test]
async fn binary_keys_and_values_and_the_empty_key_work() {
    let long = vec![b'k'; 70_000];
    each_keeps_a_value_of_its_own(&[
        b"".as_slice(),
        b"\0",
        b"\xff\xfe",
        b"a b",
        b"line\r\nbreak",
        b"quote\"'\\",
        "ключ".as_bytes(),
        b"*",
        b"k",
        b"version:k",
        &long,
    ])
    .await;
}

#[tokio::test]
async fn keys_with_braces_in_odd_places_do_not_share_a_value() {
    each_keeps_a_value_of_its_own(&[
        b"a".as_slice(),
        b"{a}",
        b"{a",
        b"a}",
        b"}a{",
        b"{}",
        b"{}a",
        b"a{}",
        b"{",
        b"}",
        b"{{a}}",
        b"{a}}",
        b"{a}{b}",
        b"x{a}y",
        b"{}{a}",
        b"}{a",
        b"{{}",
        b"{}}",
    ])
    .await;
}

#[tokio::test]
async fn an_error_that_repeats_binary_bytes_is_an_error_and_ends_no_connection() {
    let nodes = Nodes::of(&[Version::Valkey9; 3]).await;
    let client = connect_with(&nodes.urls(), Config::default()).await.expect("a client");
    assert_eq!(must(&client, &["GEOADD", "g", "1", "2", "m"]).await, Value::Int(1));
    for command in [
        &[b"GEOSEARCH".as_slice(), b"g", b"FROMMEMBER", b"\xff", b"BYRADIUS", b"1", b"km"][..],
        &[b"GEORADIUSBYMEMBER", b"g", b"\xff", b"1", b"km", b"STORE", b"g"],
    ] {
        let error = run(&client, command).await.expect_err("the member is not there");
        assert!(error.contains("member ? does not exist"), "{error}");
    }
    assert_eq!(must(&client, &["ZCARD", "g"]).await, Value::Int(1));
}

#[tokio::test]
async fn what_redis_6_2_stumbles_over_is_refused_and_the_keys_stay_usable() {
    let nodes = Nodes::of(&[Version::V6_2; 3]).await;
    let client = connect_with(&nodes.urls(), Config::default()).await.expect("a client");
    // It would leave an empty hash behind, which no record knows.
    let error = run(&client, &["HINCRBYFLOAT", "h", "f", "-inf"]).await.expect_err("no number");
    assert!(error.contains("value is NaN or Infinity"), "{error}");
    assert_eq!(must(&client, &["HSET", "h", "f", "1"]).await, Value::Int(1));
    // It would die.
    let error = run(&client, &["SETRANGE", "s", "9223372036854775807", "v"]).await.expect_err("too far");
    assert!(error.contains("string exceeds maximum allowed size"), "{error}");
    assert_eq!(must(&client, &["SETRANGE", "s", "1", "v"]).await, Value::Int(2));
    assert_eq!(must(&client, &["SADD", "t", "a"]).await, Value::Int(1));
    let error = run(&client, &["SRANDMEMBER", "t", "-9223372036854775808"]).await.expect_err("too many");
    assert!(error.contains("value is out of range"), "{error}");
}

#[tokio::test]
async fn a_value_of_64_mib_works() {
    let nodes = Nodes::start(3).await;
    let patient = Duration::from_secs(25);
    let config = Config { operation_timeout: patient, answer_timeout: patient, ..Config::default() };
    let client = connect_with(&nodes.urls(), config).await.expect("a client");
    let large: Vec<u8> = (0..64 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    assert_eq!(must(&client, &[b"SET".as_slice(), b"k", &large]).await, Value::Okay);
    assert_eq!(must(&client, &["APPEND", "k", "!"]).await, Value::Int(64 * 1024 * 1024 + 1));
    rest(&client).await;
    let Value::BulkString(read) = must(&client, &["GET", "k"]).await else { panic!("no string") };
    assert!(read.split_last() == Some((&b'!', large.as_slice())), "other bytes than were written");
    for server in nodes.iter() {
        assert_eq!(server.run(&["STRLEN", "k"]).await, Ok(64 * 1024 * 1024 + 1));
    }
}
