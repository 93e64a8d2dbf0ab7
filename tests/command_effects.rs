//! What a plan does is what the command does: both run on one server, in two databases.

mod command_support;
mod harness;

use anarchoredis::command::{Access, Call, Effect, Plan, Refusal, Table};
use command_support::live::{now_ms, said, script, send, shown, table_of};
use command_support::{plan_of, words};
use harness::{Server, Version};
use redis::Value;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeSet;

/// Database 0 gets the commands as they are, database 1 what we plan: replies and data must be equal all along.
#[tokio::test]
async fn a_plan_does_what_the_command_does() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let mut plain = server.connection().await;
        let mut planned = server.connection().await;
        let mut nodes_own = server.connection().await;
        send(&mut planned, &words("SELECT 1")).await.unwrap();
        let table = table_of(&mut nodes_own).await;
        for args in script() {
            let known = table.commands().any(|(name, _)| name.as_bytes() == args[0].to_ascii_lowercase());
            // Before 7.0, EXPIRE had no conditions, and so on.
            if version == Version::V6_2 && (!known || refused_by_age(&table, &args)) {
                continue;
            }
            let (ours, unordered) = run_plan(&mut planned, &table, &args, now_ms(&mut nodes_own).await).await;
            let theirs = send(&mut plain, &args).await.map_err(|error| said(&error));
            if !unordered {
                assert_eq!(ours, theirs, "{version}: {}", shown(&args));
            }
        }
        assert_same_data(&mut plain, &mut planned, version).await;
    }
}

fn refused_by_age(table: &Table, args: &[Vec<u8>]) -> bool {
    matches!(plan_of(table, args, 1), Err(Refusal::Arity { .. } | Refusal::NotOnEveryNode { .. }))
}

/// Runs a plan on one server, without a protocol; and whether the reply cannot be compared.
async fn run_plan(
    connection: &mut MultiplexedConnection,
    table: &Table,
    args: &[Vec<u8>],
    now_ms: u64,
) -> (Result<Value, String>, bool) {
    match plan_of(table, args, now_ms).unwrap_or_else(|refusal| panic!("{}: {refusal}", shown(args))) {
        Plan::Read(call) | Plan::Write(call) => (run_call(connection, &call).await, call.unordered),
        Plan::Local(reply) => (Ok(reply), false),
        Plan::Walk(walk) => unreachable!("{walk:?}: tests/walks.rs"),
        Plan::Ask(_) | Plan::Flush => unreachable!("{}: tests/flush.rs", shown(args)),
        Plan::Publish(_) | Plan::Census(_) => unreachable!("tests/pubsub.rs"),
        // Tries are commands of the scripts: tests/blocking.rs compares them.
        Plan::Block(_) => (send(connection, args).await.map_err(|error| said(&error)), true),
        Plan::Split(parts, join) => {
            let mut replies = Vec::new();
            for part in &parts {
                assert_eq!(part.access, parts[0].access);
                replies.push(run_call(connection, &part.call).await.unwrap());
            }
            (join.join(&parts, replies).map_err(|error| error.to_string()), false)
        }
        Plan::Pick(pick) => match run_call(connection, &pick.read).await.map(|chosen| pick.effect(chosen)) {
            Ok(Effect::Write { call, reply }) => {
                run_call(connection, &call).await.unwrap();
                (Ok(reply), true)
            }
            Ok(Effect::Nothing(reply)) => (Ok(reply), false),
            Err(error) => (Err(error), false),
        },
    }
}

async fn run_call(connection: &mut MultiplexedConnection, call: &Call) -> Result<Value, String> {
    let mut replies = Vec::new();
    for command in &call.commands {
        replies.push(send(connection, command).await.map_err(|error| said(&error))?);
    }
    call.reply(replies).map_err(|error| error.to_string())
}

async fn assert_same_data(
    plain: &mut MultiplexedConnection,
    planned: &mut MultiplexedConnection,
    version: Version,
) {
    let keys = |reply: Value| redis::from_redis_value::<BTreeSet<String>>(reply).unwrap();
    let theirs = keys(send(plain, &words("KEYS *")).await.unwrap());
    let ours = keys(send(planned, &words("KEYS *")).await.unwrap());
    assert_eq!(ours, theirs, "{version}");
    assert!(!ours.is_empty());
    for key in ours {
        assert_eq!(content(planned, &key).await, content(plain, &key).await, "{version}: {key}");
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(plain).await.unwrap();
        let our_ttl: i64 = redis::cmd("PTTL").arg(&key).query_async(planned).await.unwrap();
        assert!((ttl - our_ttl).abs() < 5_000, "{version}: {key} has {our_ttl} ms left instead of {ttl}");
        assert_eq!(ttl < 0, our_ttl < 0, "{version}: {key} has {our_ttl} ms left instead of {ttl}");
    }
}

/// All elements, sorted where their order is the server's own.
async fn content(connection: &mut MultiplexedConnection, key: &str) -> Vec<Vec<u8>> {
    let kind: String = redis::cmd("TYPE").arg(key).query_async(connection).await.unwrap();
    let command = match kind.as_str() {
        "string" => format!("GETRANGE {key} 0 -1"),
        "list" => format!("LRANGE {key} 0 -1"),
        "hash" => format!("HGETALL {key}"),
        "set" => format!("SMEMBERS {key}"),
        "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
        "stream" => format!("XRANGE {key} - +"),
        other => panic!("{key} is a {other}"),
    };
    let reply = send(connection, &words(&command)).await.unwrap();
    let mut elements: Vec<Vec<u8>> = match reply {
        // Entries are arrays themselves.
        entries if kind == "stream" => vec![format!("{entries:?}").into_bytes()],
        Value::BulkString(text) => vec![text],
        list => redis::from_redis_value(list).unwrap(),
    };
    if kind == "set" || kind == "hash" {
        elements.sort();
    }
    elements
}

#[tokio::test]
async fn a_command_of_very_many_arguments_does_what_it_does_undivided() {
    let server = Server::start(Version::V7_0).await;
    let mut plain = server.connection().await;
    let mut planned = server.connection().await;
    send(&mut planned, &words("SELECT 1")).await.unwrap();
    let table = table_of(&mut planned).await;
    for args in long_commands() {
        let plan = plan_of(&table, &args, 1).unwrap();
        let (Plan::Read(call) | Plan::Write(call)) = plan else { panic!("{plan:?}") };
        assert!(call.commands.len() > 1);
        assert!(call.commands.iter().all(|command| command.len() <= 7_000));
        let ours = run_call(&mut planned, &call).await;
        let theirs = send(&mut plain, &args).await.map_err(|error| said(&error));
        assert_eq!(ours, theirs, "{}", shown(&args));
    }
    assert_same_data(&mut plain, &mut planned, Version::V7_0).await;
}

/// Each twice, so that the second finds what the first made; then reads and removals.
fn long_commands() -> Vec<Vec<Vec<u8>>> {
    let of = |head: &str, element: fn(usize) -> String| {
        let elements = (0..9_000).flat_map(|i| words(&element(i)));
        words(head).into_iter().chain(elements).collect::<Vec<_>>()
    };
    let pair = |i: usize| format!("f{} v{i}", i % 8_000);
    let one = |i: usize| format!("e{}", i % 8_000);
    let scored = |i: usize| format!("{}.5 m{}", i % 77, i % 8_000);
    let tagged = |i: usize| format!("{{t}}{}", i % 10);
    let twice = [
        of("RPUSH l", one),
        of("LPUSH l", one),
        of("RPUSHX l", one),
        of("LPUSHX none", one),
        of("SADD s", one),
        of("HSET h", pair),
        of("HMSET h", pair),
        of("ZADD z", scored),
        of("ZADD z GT CH", scored),
        of("GEOADD g", |i| format!("{}.25 {}.5 m{i}", i % 180, i % 85)),
        of("PFADD p", one),
        of("XDEL {t}x", |i| format!("1-{i}")),
        of("XACK {t}x g", |i| format!("1-{i}")),
        of("MSET", |i| format!("{{t}}{} v", i % 10)),
        of("SADD {t}0 wrong", one),
    ];
    let once = [
        of("HMGET h", one),
        of("SMISMEMBER s", one),
        of("ZMSCORE z", |i| format!("m{i}")),
        of("MGET", tagged),
        of("EXISTS", tagged),
        of("TOUCH", tagged),
        of("GEOHASH g", |i| format!("m{i}")),
        of("PFMERGE {p}d", |i| format!("{{p}}{}", i % 3)),
        of("HDEL h", |i| format!("f{}", i % 100)),
        of("SREM s", |i| format!("e{}", i % 100)),
        of("ZREM z", |i| format!("m{}", i % 100)),
        of("DEL", |i| format!("{{t}}{}", i % 3)),
        of("UNLINK", |i| format!("{{t}}{}", i % 6)),
    ];
    twice.clone().into_iter().chain(twice).chain(once).collect()
}

#[tokio::test]
async fn what_is_planned_as_a_read_changes_nothing() {
    let server = Server::start(Version::V7_0).await;
    let mut connection = server.connection().await;
    let table = table_of(&mut connection).await;
    for args in script() {
        let is_read = match plan_of(&table, &args, now_ms(&mut connection).await).unwrap() {
            Plan::Read(call) => Some(call),
            Plan::Split(parts, _) => {
                parts.into_iter().find(|part| part.access == Access::Read).map(|part| part.call)
            }
            _ => None,
        };
        let before = dirty(&mut connection).await;
        match is_read {
            Some(call) => {
                let _ = run_call(&mut connection, &call).await;
                assert_eq!(dirty(&mut connection).await, before, "{}", shown(&args));
            }
            None => drop(send(&mut connection, &args).await),
        }
    }
}

/// Changes since the last save, as the server counts them.
async fn dirty(connection: &mut MultiplexedConnection) -> String {
    let info: String = redis::cmd("INFO").arg("persistence").query_async(connection).await.unwrap();
    let line = info.lines().find(|line| line.starts_with("rdb_changes_since_last_save:"));
    line.unwrap_or_default().to_owned()
}

/// The comparison that the tests above rely on.
#[tokio::test]
#[should_panic(expected = "has -1 ms left instead of")]
async fn a_lost_expiry_would_be_noticed() {
    let server = Server::start(Version::V7_0).await;
    let (mut plain, mut planned) = (server.connection().await, server.connection().await);
    send(&mut planned, &words("SELECT 1")).await.unwrap();
    send(&mut plain, &words("SET k v EX 100")).await.unwrap();
    send(&mut planned, &words("SET k v")).await.unwrap();
    assert_same_data(&mut plain, &mut planned, Version::V7_0).await;
}

/// The comparison that the tests above rely on.
#[tokio::test]
#[should_panic(expected = "left == right")]
async fn another_value_would_be_noticed() {
    let server = Server::start(Version::V7_0).await;
    let (mut plain, mut planned) = (server.connection().await, server.connection().await);
    send(&mut planned, &words("SELECT 1")).await.unwrap();
    send(&mut plain, &words("ZADD k 1 m")).await.unwrap();
    send(&mut planned, &words("ZADD k 1.5 m")).await.unwrap();
    assert_same_data(&mut plain, &mut planned, Version::V7_0).await;
}
