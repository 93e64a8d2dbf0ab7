//! Our table against the servers' own: what they know, how they refuse, where they find keys, what they answer.

mod command_support;
mod harness;

use anarchoredis::command::{Plan, Refusal, Table};
use command_support::live::{said, script, send, shown, table_of};
use command_support::{command_reply, plan_of, words};
use harness::{Server, Version};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use std::collections::BTreeSet;

/// Any arguments at all: not whether they are right is asked, but what is made of the command.
const CALL_OF_ANY_LENGTH: usize = 12;

#[tokio::test]
async fn every_command_of_every_version_is_planned_or_refused_with_a_reason() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let table = table_of(&mut server.connection().await).await;
        for (name, refused) in table.commands() {
            let head: Vec<Vec<u8>> = name.split('|').map(|word| word.as_bytes().to_vec()).collect();
            let refusals: Vec<Option<Refusal>> = (0..CALL_OF_ANY_LENGTH)
                .map(|more| [head.clone(), vec![b"1".to_vec(); more]].concat())
                .map(|args| plan_of(&table, &args, 1).err())
                .collect();
            let with_reason = |refusal: &Option<Refusal>| matches!(refusal, Some(Refusal::Unsupported { reason, .. }) if Some(reason.as_str()) == refused);
            // A container has its subcommands' verdicts.
            let is_container = table.commands().any(|(other, _)| other.starts_with(&format!("{name}|")));
            if refused.is_some() && !is_container {
                assert!(refusals.iter().any(with_reason), "{version} {name}: {refusals:?}");
            }
            let unknown = |refusal: &Option<Refusal>| matches!(refusal, Some(Refusal::UnknownCommand { .. }));
            assert!(!refusals.iter().any(unknown), "{version} {name}: {refusals:?}");
        }
    }
}

#[tokio::test]
async fn what_we_run_is_what_scripts_may_run() {
    for version in Version::ALL {
        let server = Server::start(version).await;
        let mut connection = server.connection().await;
        let table = table_of(&mut connection).await;
        let noscript = flagged(&mut connection, "noscript").await;
        for (name, refused) in table.commands() {
            let is_local = ["ping", "echo", "select"].contains(&name);
            assert!(
                refused.is_some() || is_local || runs_otherwise(name) || !noscript.contains(name),
                "{version} {name}"
            );
        }
    }
}

/// A node gets the command that does not block, and publishing goes beside the scripts.
fn runs_otherwise(name: &str) -> bool {
    let blocks = ["blmove", "blmpop", "blpop", "brpop", "brpoplpush", "bzmpop", "bzpopmax", "bzpopmin"];
    is_another_form(name) || blocks.contains(&name)
}

/// What `tests/user_scripts.rs`, `tests/walks.rs`, `tests/flush.rs` and `tests/pubsub.rs` are about: it reaches the nodes in another form.
fn is_another_form(name: &str) -> bool {
    let walks = ["dbsize", "hscan", "keys", "randomkey", "scan", "sscan", "zscan"];
    let asked = ["flushall", "flushdb", "lolwut", "time"];
    let others = ["eval", "publish", "pubsub|", "script|", "spublish"];
    let is_listed = walks.contains(&name) || asked.contains(&name) || name.ends_with("|help");
    is_listed || others.iter().any(|other| name.starts_with(other))
}

async fn flagged(connection: &mut MultiplexedConnection, flag: &str) -> BTreeSet<String> {
    let entries: Vec<Vec<Value>> =
        redis::from_redis_value(send(connection, &words("COMMAND")).await.unwrap()).unwrap();
    let has_flag = |entry: &&Vec<Value>| {
        redis::from_redis_value::<Vec<String>>(entry[2].clone()).unwrap().iter().any(|f| f == flag)
    };
    entries.iter().filter(has_flag).map(|entry| redis::from_redis_value(entry[0].clone()).unwrap()).collect()
}

#[tokio::test]
async fn the_table_that_tests_use_is_what_redis_7_0_answers() {
    let server = Server::start(Version::V7_0).await;
    let live = table_of(&mut server.connection().await).await;
    let stored = Table::from_reply(&command_reply(command_support::REDIS_7_0)).unwrap();
    assert_eq!(format!("{live:?}"), format!("{stored:?}"));
}

#[tokio::test]
async fn a_wrong_number_of_arguments_is_refused_in_the_servers_words() {
    let server = Server::start(Version::V7_0).await;
    let mut connection = server.connection().await;
    let table = table_of(&mut connection).await;
    let mut compared = 0;
    // EXEC alone has other words for it: they belong to transactions, which are refused.
    for (name, _) in table.commands().filter(|(name, _)| *name != "exec") {
        for more in 0..CALL_OF_ANY_LENGTH {
            let mut args: Vec<Vec<u8>> = name.split('|').map(|word| word.as_bytes().to_vec()).collect();
            args.extend(vec![b"x".to_vec(); more]);
            // Only what is refused for its length is sent: nothing else may run here.
            if let Err(refusal @ Refusal::Arity { .. }) = plan_of(&table, &args, 1) {
                let answer = send(&mut connection, &args).await.unwrap_err();
                assert_eq!(said(&RedisError::from(refusal)), said(&answer), "{name} and {more} arguments");
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "only {compared} refusals were compared");
}

#[tokio::test]
async fn wrong_arguments_are_refused_in_the_servers_words() {
    let server = Server::start(Version::V7_0).await;
    let mut connection = server.connection().await;
    let table = table_of(&mut connection).await;
    // Some look for the group before they look at the arguments.
    send(&mut connection, &words("XGROUP CREATE {wrong} g $ MKSTREAM")).await.unwrap();
    for line in include_str!("command_support/wrong.txt").lines() {
        let args = words(line);
        let refusal = plan_of(&table, &args, 1_700_000_000_000).expect_err(line);
        let answer = send(&mut connection, &args).await.expect_err(line);
        assert_eq!(said(&RedisError::from(refusal)), said(&answer), "{line}");
    }
}

#[tokio::test]
async fn unknown_commands_are_refused_in_the_servers_words() {
    let server = Server::start(Version::V7_0).await;
    let mut connection = server.connection().await;
    let table = table_of(&mut connection).await;
    let long = "x".repeat(150);
    for args in [
        words("foo"),
        words("FOO a b"),
        words("object foo k"),
        words("config foo"),
        words(&format!("foo {long} {long}")),
        words(&format!("{long} {long}")),
        words(&format!("foo {} b c", &long[..120])),
        vec![b"foo".to_vec(), b"a\0b".to_vec(), b"c\r\nd".to_vec()],
        vec![b"".to_vec(), b"a".to_vec()],
    ] {
        let refusal = plan_of(&table, &args, 1).unwrap_err();
        let answer = send(&mut connection, &args).await.unwrap_err();
        assert_eq!(said(&RedisError::from(refusal)).trim_end(), said(&answer).trim_end());
    }
}

#[tokio::test]
async fn keys_are_where_the_server_finds_them() {
    let server = Server::start(Version::V7_0).await;
    let mut connection = server.connection().await;
    let table = table_of(&mut connection).await;
    for args in script() {
        let ours: Vec<Vec<u8>> = match plan_of(&table, &args, 1) {
            Ok(Plan::Read(call) | Plan::Write(call)) => call.keys,
            Ok(Plan::Pick(pick)) => pick.read.keys,
            Ok(Plan::Split(parts, _)) => parts.into_iter().flat_map(|part| part.call.keys).collect(),
            Ok(Plan::Block(block)) => block.call(&(0..block.keys().len()).collect::<Vec<_>>(), false).keys,
            Ok(
                Plan::Local(_)
                | Plan::Walk(_)
                | Plan::Publish(_)
                | Plan::Census(_)
                | Plan::Ask(_)
                | Plan::Flush,
            ) => continue,
            Err(refusal) => panic!("{}: {refusal}", shown(&args)),
        };
        let question = [words("COMMAND GETKEYS"), args.clone()].concat();
        let theirs: Vec<Vec<u8>> =
            redis::from_redis_value(send(&mut connection, &question).await.unwrap()).unwrap();
        let as_set = |keys: Vec<Vec<u8>>| keys.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(as_set(ours), as_set(theirs), "{}", shown(&args));
    }
}

#[tokio::test]
async fn the_round_trips_every_command_that_we_run() {
    let server = Server::start(Version::V7_0).await;
    let table = table_of(&mut server.connection().await).await;
    let lower = |word: &Vec<u8>| String::from_utf8_lossy(word).to_ascii_lowercase();
    let called: BTreeSet<String> = script()
        .flat_map(|args| [lower(&args[0]), args.iter().take(2).map(lower).collect::<Vec<_>>().join("|")])
        .collect();
    let missing: Vec<&str> = table
        .commands()
        .filter(|(name, refused)| refused.is_none() && !called.contains(*name) && !is_another_form(name))
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
