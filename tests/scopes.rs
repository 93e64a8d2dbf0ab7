//! Scopes: prefixes whose keys are one register. What the mapping is, that all clients of a cluster have the same one, and that what is
//! done with keys of one scope is atomic, without a hash tag.

mod harness;
mod workload;

use anarchoredis::command::{Register, Scopes};
use anarchoredis::{Client, Error};
use harness::{Nodes, Server, eventually};
use redis::{AsyncCommands, FromRedisValue, Script};
use workload::{PATIENCE, eventually_same, run, try_run};

async fn client_with(nodes: &Nodes, scopes: &[&str]) -> Result<Client, Error> {
    Client::builder().nodes(nodes.urls()).scopes(scopes).connect().await
}

async fn connected(nodes: &Nodes, scopes: &[&str]) -> Client {
    client_with(nodes, scopes).await.expect("a client")
}

/// The scopes as a node keeps them.
async fn kept_by(server: &Server) -> String {
    on(server, "HGET anrcho_node scopes").await
}

/// Runs a command on one node, behind the protocol's back.
async fn on<T: FromRedisValue>(server: &Server, command: &str) -> T {
    server.run(&command.split(' ').collect::<Vec<_>>()).await.unwrap()
}

#[test]
fn a_key_belongs_to_the_longest_scope_that_it_starts_with_else_to_its_tag_else_to_itself() {
    /// Key and register.
    type Keys = &'static [(&'static str, &'static str)];
    let table: [(&[&str], Keys); 6] = [
        (&[], &[("rq:a", "rq:a"), ("{t}a", "t"), ("", ""), ("{}a", "{}a")]),
        (
            &["rq:"],
            &[
                ("rq:", "rq:"),
                ("rq:a", "rq:"),
                ("rq:{t}", "rq:"),
                ("rq", "rq"),
                ("{rq:}x", "rq:"),
                ("{t}rq:", "t"),
            ],
        ),
        (
            &["a", "a:b:", "a:"],
            &[("a", "a"), ("ab", "a"), ("a:", "a:"), ("a:b", "a:"), ("a:b:c", "a:b:"), ("b", "b")],
        ),
        (&["{t}", "{"], &[("{t}x", "{t}"), ("{u}x", "{"), ("t", "t"), ("x{t}", "t")]),
        (&[""], &[("", ""), ("anything", ""), ("{t}x", "")]),
        (&["", "q,"], &[("q", ""), ("q,1", "q,")]),
    ];
    for (prefixes, keys) in table {
        let scopes = Scopes::new(prefixes).unwrap();
        for (key, id) in keys {
            assert_eq!(
                scopes.register_of(key.as_bytes()),
                Register::from_id(*id),
                "{key:?} under {prefixes:?}"
            );
        }
        assert_eq!(Scopes::decode(&scopes.encode()), Some(scopes), "{prefixes:?}");
    }
}

#[test]
fn scopes_are_any_bytes_in_any_order_but_not_the_protocols_own_keys() {
    let all: [&[u8]; 4] = [b"\0\xff,\r\n", b"", b"b", b"b"];
    let scopes = Scopes::new(all).unwrap();
    assert_eq!(scopes, Scopes::new(all.iter().rev()).unwrap(), "neither order nor repetition counts");
    assert_eq!(Scopes::decode(&scopes.encode()), Some(scopes));
    assert_ne!(
        Scopes::new([""]).unwrap().encode(),
        Scopes::default().encode(),
        "the empty scope is not none"
    );
    assert!(Scopes::new(["anrcho_stage:"]).unwrap_err().contains("anrcho_stage:"));
    for odd in ["7", "72", "zz,", "72713A,", "72,7271,", "72,72,", "é,"] {
        assert_eq!(Scopes::decode(odd), None, "{odd}");
    }
}

#[test]
fn the_sources_ask_the_clusters_scopes_and_nothing_else_for_a_keys_register() {
    fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50);
    for file in found {
        let text = std::fs::read_to_string(&file).unwrap();
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        assert!(!code.contains("Register::of("), "{}", file.display());
    }
}

#[tokio::test]
async fn the_scopes_of_a_cluster_are_on_every_node_and_later_clients_take_them() {
    let nodes = Nodes::start(3).await;
    let client = connected(&nodes, &["rq:", "job,"]).await;
    for node in nodes.iter() {
        assert_eq!(kept_by(node).await, "6a6f622c,72713a,");
    }
    let () = run(&client, "MSET rq:a 1 rq:b 2").await;
    let later = connected(&nodes, &[]).await;
    assert_eq!(run::<Vec<String>>(&later, "MGET rq:b rq:a").await, ["2", "1"]);
    let () = run(&later, "RENAME rq:a rq:c").await;
    assert_eq!(run::<String>(&client, "GET rq:c").await, "1");
    connected(&nodes, &["job,", "rq:", "rq:"]).await;
}

#[tokio::test]
async fn a_client_that_names_other_scopes_is_refused_and_told_what_the_cluster_has() {
    let nodes = Nodes::start(3).await;
    connected(&nodes, &["rq:"]).await;
    for wrong in [&["rq"][..], &[""], &["rq:", "job:"]] {
        let text = client_with(&nodes, wrong).await.expect_err("other scopes").to_string();
        assert!(text.contains("initialised with the scope 'rq:', not with the scope"), "{wrong:?}: {text}");
    }
    let without = Nodes::start(3).await;
    connected(&without, &[]).await;
    let text = client_with(&without, &["rq:"]).await.expect_err("other scopes").to_string();
    assert!(text.contains("initialised with no scopes, not with the scope 'rq:'"), "{text}");
    let text = client_with(&nodes, &["anrcho_x"]).await.expect_err("a reserved prefix").to_string();
    assert!(text.contains("the scope 'anrcho_x' is refused"), "{text}");
}

#[tokio::test]
async fn nodes_of_one_cluster_that_disagree_on_its_scopes_are_refused() {
    let nodes = Nodes::start(3).await;
    let client = connected(&nodes, &["rq:"]).await;
    let () = on(&nodes[1], "HSET anrcho_node scopes ,").await;
    let text = client_with(&nodes, &[]).await.expect_err("two rules for one key").to_string();
    assert!(text.contains("initialised with the scope '', not with the scope 'rq:'"), "{text}");
    let _: redis::Value = on(&nodes[1], "CLIENT KILL TYPE normal").await;
    let away = async || format!("{:?}", client.nodes()[1].seat).contains("not with the scope");
    eventually("the client that is connected finds it too", PATIENCE, away).await;
}

#[tokio::test]
async fn of_two_clients_that_initialise_with_different_scopes_one_wins_and_the_other_is_refused() {
    for turn in 0..10 {
        let nodes = Nodes::start(3).await;
        let urls = nodes.urls();
        let backwards: Vec<String> = urls.iter().rev().cloned().collect();
        let one = Client::builder().nodes(urls).scope("one:").connect();
        let other = Client::builder().nodes(backwards).scope("other:").connect();
        let (one, other) = tokio::join!(one, other);
        assert!(one.is_ok() != other.is_ok(), "turn {turn}: {one:?}, {other:?}");
        let (won, key) = if one.is_ok() { ("6f6e653a,", "one") } else { ("6f746865723a,", "other") };
        for node in nodes.iter() {
            assert_eq!(kept_by(node).await, won);
        }
        let client = connected(&nodes, &[]).await;
        let () = run(&client, &format!("MSET {key}:a 1 {key}:b 2")).await;
        let () = run(&client, &format!("RENAME {key}:a {key}:c")).await;
    }
}

#[tokio::test]
async fn whatever_is_done_with_keys_of_one_scope_is_atomic_without_tags() {
    let nodes = Nodes::start(3).await;
    let mut client = connected(&nodes, &["rq:"]).await;
    let () = run(&client, "RPUSH rq:in a b c").await;
    let moved: String = run(&client, "LMOVE rq:in rq:out LEFT RIGHT").await;
    assert_eq!(moved, "a");
    let () = run(&client, "SADD {rq:}s x").await;
    assert_eq!(run::<i64>(&client, "SUNIONSTORE rq:all {rq:}s").await, 1, "a tag of that text is in it too");
    let (both,): (Vec<String>,) = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg("rq:n")
        .arg(1)
        .ignore()
        .cmd("LRANGE")
        .arg("rq:out")
        .arg(0)
        .arg(-1)
        .query_async(&mut client)
        .await
        .unwrap();
    assert_eq!(both, ["a"]);
    let script = Script::new(
        "redis.call('SET', KEYS[2], redis.call('GET', KEYS[1]) + 1) return redis.call('GET', KEYS[2])",
    );
    let sum: i64 = script.key("rq:n").key("rq:").invoke_async(&mut client).await.unwrap();
    assert_eq!(sum, 2);
    let mut session = client.session();
    let (was,): (i64,) =
        redis::aio::transaction_async(client.session(), &["rq:n", "rq:"], |mut con, mut pipe| async move {
            let n: i64 = con.get("rq:n").await?;
            pipe.set("rq:other", n + 10).ignore().get("rq:other").query_async(&mut con).await
        })
        .await
        .unwrap();
    assert_eq!(was, 11);
    let () = redis::cmd("WATCH").arg("rq:n").query_async(&mut session).await.unwrap();
    let () = run(&client, "SET rq:far 1").await;
    let none: Option<(i64,)> =
        redis::pipe().atomic().incr("rq:n", 1).query_async(&mut session).await.unwrap();
    assert_eq!(none, None, "another key of the scope was written");
    assert_eq!(client.version("rq:a").await.unwrap(), client.version("rq:zzz").await.unwrap(), "one history");
}

#[tokio::test]
async fn an_error_about_keys_of_two_registers_shows_a_spelling_that_works() {
    let nodes = Nodes::start(3).await;
    let client = connected(&nodes, &["rq:", "rq:deep:"]).await;
    for (one, other) in [
        ("rq:a", "b"),
        ("a", "rq:b"),
        ("a", "b"),
        ("rq:deep:a", "rq:b"),
        ("{t}a", "rq:b"),
        ("rq:a", "deep:b"),
    ] {
        let () = run(&client, &format!("SET {one} 1")).await;
        let text = try_run::<()>(&client, &format!("RENAME {one} {other}"))
            .await
            .expect_err("two registers")
            .to_string();
        assert!(text.starts_with("CROSSSLOT") || text.contains("CROSSSLOT"), "{text}");
        let (_, example) = text.split_once("as in ").expect("an example");
        let spelled: Vec<&str> = example.split('\'').skip(1).step_by(2).collect();
        let () = run(&client, &format!("SET {} 1", spelled[0])).await;
        let () = run(&client, &format!("RENAME {} {}", spelled[0], spelled[1])).await;
    }
}

#[tokio::test]
async fn under_the_empty_scope_every_command_works_on_any_keys() {
    let nodes = Nodes::start(3).await;
    let mut client = connected(&nodes, &[""]).await;
    assert_eq!(kept_by(&nodes[2]).await, ",");
    let () = run(&client, "MSET a 1 b 2 {t}c 3").await;
    assert_eq!(run::<i64>(&client, "MSETNX d 1 a 5").await, 0);
    let () = run(&client, "RENAME a {u}a").await;
    assert_eq!(
        run::<Vec<Option<String>>>(&client, "MGET a {u}a b {t}c").await,
        [None, Some("1".into()), Some("2".into()), Some("3".into())]
    );
    assert_eq!(run::<i64>(&client, "DEL b nothing {t}c").await, 2);
    let () = client.set("", "the empty key").await.unwrap();
    let script = Script::new("return redis.call('GET', KEYS[1]) .. redis.call('GET', KEYS[2])");
    let both: String = script.key("").key("{u}a").invoke_async(&mut client).await.unwrap();
    assert_eq!(both, "the empty key1");
    let () = redis::pipe().atomic().set("x", 1).incr("y", 5).query_async(&mut client).await.unwrap();
    let mut keys: Vec<String> = run(&client, "KEYS *").await;
    keys.sort();
    assert_eq!(keys, ["", "x", "y", "{u}a"]);
    let (_, mut scanned): (u64, Vec<String>) = run(&client, "SCAN 0 COUNT 1000").await;
    scanned.sort();
    assert!(scanned.iter().all(|key| keys.contains(key)), "{scanned:?}");
    assert!(keys.contains(&run::<String>(&client, "RANDOMKEY").await));
    assert!(client.close().await);
}

#[tokio::test]
async fn a_node_that_comes_back_empty_is_given_the_scopes_again() {
    let nodes = Nodes::start(3).await;
    let client = connected(&nodes, &["rq:"]).await;
    let () = run(&client, "MSET rq:a 1 rq:b 2").await;
    let () = on(&nodes[0], "FLUSHALL").await;
    let healer =
        anarchoredis::heal::Healer::connect(nodes.urls(), Default::default()).await.expect("a healer");
    healer.once(&anarchoredis::heal::Silent).await.expect("healed");
    assert_eq!(kept_by(&nodes[0]).await, "72713a,");
    assert_eq!(on::<Vec<String>>(&nodes[0], "MGET rq:a rq:b").await, ["1", "2"]);
}

/// More keys than a repair brings at a time.
const MANY: usize = 6_000;
const TASKS: usize = 16;
const TURNS: usize = 40;

/// Sets, reads and counts on keys of the scope; says how often it counted.
async fn work_on(client: Client, task: usize) -> u64 {
    let mut counted = 0;
    for turn in 0..TURNS {
        let key = format!("rq:{}", (task * 997 + turn * 131) % MANY);
        match (task + turn) % 4 {
            0 => drop(run::<Option<String>>(&client, &format!("GET {key}")).await),
            1 => run::<()>(&client, &format!("SET {key} {task}:{turn}")).await,
            2 => drop(run::<u64>(&client, &format!("HSET rq:of:{key} field {turn}")).await),
            _ => {
                let _: u64 = run(&client, &format!("INCR rq:count:{}", turn % 7)).await;
                counted += 1;
            }
        }
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_at_work_on_one_large_scope_repair_what_differs_and_not_all_of_it() {
    let nodes = Nodes::start(3).await;
    let first = connected(&nodes, &["rq:"]).await;
    let second = connected(&nodes, &["rq:"]).await;
    for some in (0..MANY).collect::<Vec<_>>().chunks(500) {
        let pairs: Vec<String> = some.iter().map(|key| format!("rq:{key} {:0100}", key)).collect();
        let () = run(&first, &format!("MSET {}", pairs.join(" "))).await;
    }
    eventually_same(&nodes, &first).await;
    let before = [&first, &second].map(|client| client.telemetry().moved.get()).iter().sum::<u64>();

    let tasks = (0..TASKS).map(|task| {
        let client = if task % 2 == 0 { &first } else { &second };
        tokio::spawn(work_on(client.clone(), task))
    });
    let mut counted = 0;
    for task in tasks.collect::<Vec<_>>() {
        counted += task.await.expect("no operation fails");
    }

    let mut sum = 0;
    for counter in 0..7 {
        sum += run::<u64>(&second, &format!("GET rq:count:{counter}")).await;
    }
    assert_eq!(sum, counted, "each increment counts once");
    eventually_same(&nodes, &first).await;
    let moved = [&first, &second].map(|client| client.telemetry().moved.get()).iter().sum::<u64>() - before;
    assert!(moved < MANY as u64 * 100, "{moved} bytes were moved: that is all of the scope");
}
