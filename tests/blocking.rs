//! Commands that wait: who is woken by what, in which order, and what becomes of a waiter when nodes or callers go away.

mod harness;
mod workload;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anarchoredis::{Client, Error};
use harness::{Server, Version, eventually};
use redis::{AsyncCommands, Value};
use tokio::task::JoinHandle;
use workload::{Cluster, PATIENCE, eventually_same, run, try_run, words};

type Reply = Result<Value, Error>;

/// Runs a command on a task of its own.
fn begin(client: &Client, command: &str) -> JoinHandle<Reply> {
    let (client, command) = (client.clone(), command.to_owned());
    tokio::spawn(async move { client.run(&words(&command)).await })
}

async fn reply(waiting: JoinHandle<Reply>) -> Value {
    let ended = tokio::time::timeout(PATIENCE, waiting).await.expect("it was not woken");
    ended.expect("no panic").expect("a reply")
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| Value::BulkString(item.as_bytes().to_vec())).collect())
}

/// How many subscribers the nodes have for the wakes of this register.
async fn ears(cluster: &Cluster, register: &str) -> Vec<u64> {
    let mut all = Vec::new();
    for node in cluster.iter() {
        let channel = format!("anrcho_wake:{{{register}}}");
        let (_, ears): (String, u64) = node.run(&["PUBSUB", "NUMSUB", &channel]).await.expect("NUMSUB");
        all.push(ears);
    }
    all
}

/// Waits until all nodes are listened to for the register, and nobody tries any more.
async fn until_asleep(cluster: &Cluster, register: &str, clients: u64) {
    let subscribed = async || ears(cluster, register).await.iter().all(|ears| *ears == clients);
    eventually("all nodes are listened to", PATIENCE, subscribed).await;
    let quiet = async || {
        let before = cluster.round_trips().await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        before == cluster.round_trips().await
    };
    eventually("nobody tries any more", PATIENCE, quiet).await;
}

#[tokio::test]
async fn a_write_through_another_client_wakes_a_waiter() {
    let cluster = Cluster::start().await;
    let (taker, giver) = (cluster.client().await, cluster.client().await);
    for (waits, gives, expected) in [
        ("BLPOP k 0", "RPUSH k a", list(&["k", "a"])),
        ("BRPOP k 0", "RPUSH k b", list(&["k", "b"])),
        ("BLPOP k other 0", "RPUSH other c", list(&["other", "c"])),
        ("BLMOVE {m}a {m}b LEFT RIGHT 0", "RPUSH {m}a d", Value::BulkString(b"d".to_vec())),
        ("BRPOPLPUSH {n}a {n}b 0", "RPUSH {n}a e", Value::BulkString(b"e".to_vec())),
        ("BLMPOP 0 1 k LEFT COUNT 5", "RPUSH k f", Value::Array(vec![words_value("k"), list(&["f"])])),
        ("BZPOPMIN z 0", "ZADD z 1 g", list(&["z", "g", "1"])),
        ("BZPOPMAX z 0", "ZINCRBY z 2 h", list(&["z", "h", "2"])),
        (
            "BZMPOP 0 1 z MIN",
            "ZADD z 3 i",
            Value::Array(vec![words_value("z"), Value::Array(vec![list(&["i", "3"])])]),
        ),
        ("BLPOP {r}b 0", "EVAL return(redis.call('RPUSH',KEYS[1],'j')) 1 {r}b", list(&["{r}b", "j"])),
    ] {
        let waiting = begin(&taker, waits);
        let register = waits.split(' ').find(|word| word.starts_with(['k', '{', 'z'])).expect("a key");
        let register = register.trim_start_matches('{').split('}').next().expect("its tag");
        eventually("it listens", PATIENCE, async || ears(&cluster, register).await == [1; 3]).await;
        assert!(!waiting.is_finished(), "{waits}");
        run::<Value>(&giver, gives).await;
        assert_eq!(reply(waiting).await, expected, "{waits}");
    }
    run::<Value>(&giver, "RPUSH {r}x k").await;
    let waiting = begin(&taker, "BLPOP {r}y 0");
    until_asleep(&cluster, "r", 1).await;
    run::<Value>(&giver, "RENAME {r}x {r}y").await;
    assert_eq!(reply(waiting).await, list(&["{r}y", "k"]));
    eventually_same(&cluster, &giver).await;
}

fn words_value(word: &str) -> Value {
    Value::BulkString(word.as_bytes().to_vec())
}

#[tokio::test]
async fn many_who_wait_for_one_key_ask_once_in_seconds() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    cluster.reset_calls().await;
    assert_eq!(run::<Value>(&client, "BLPOP other 0.001").await, Value::Nil);
    let of_a_try = cluster.round_trips().await.into_iter().max().unwrap_or_default();
    let waiting: Vec<_> = (0..20).map(|_| begin(&client, "BLPOP k 0")).collect();
    until_asleep(&cluster, "k", 1).await;
    cluster.reset_calls().await;
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    // The supervisors' looks come every five seconds; the first of the twenty tries every four to six.
    let calls = cluster.round_trips().await;
    assert!(calls.iter().all(|calls| *calls <= 1 + of_a_try), "{calls:?}, a try makes {of_a_try}");
    waiting.into_iter().for_each(|waiting| waiting.abort());
    eventually("nobody listens", PATIENCE, async || ears(&cluster, "k").await == [0; 3]).await;
}

#[tokio::test]
async fn each_element_goes_to_exactly_one_of_many_takers() {
    let cluster = Cluster::start().await;
    let clients = [cluster.client().await, cluster.client().await, cluster.client().await];
    let takers: Vec<JoinHandle<Vec<u32>>> = (0..12)
        .map(|taker| {
            let mut client = clients[taker % 3].clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some((_, element)) =
                    client.blpop::<_, Option<(String, u32)>>("k", 2.0).await.expect("BLPOP")
                {
                    taken.push(element);
                }
                taken
            })
        })
        .collect();
    let mut giver = clients[0].clone();
    for element in 0..300u32 {
        let () = giver.rpush("k", element).await.expect("RPUSH");
    }
    let mut all = Vec::new();
    for taker in takers {
        let taken = taker.await.expect("a taker");
        assert!(taken.is_sorted(), "one taker got later elements first: {taken:?}");
        all.extend(taken);
    }
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<u32>>());
}

#[tokio::test]
async fn of_one_client_the_first_who_waits_is_the_first_who_is_served() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, cluster.client().await);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(begin(&client, "BLPOP k 0"));
        until_asleep(&cluster, "k", 1).await;
    }
    run::<i64>(&giver, "RPUSH k 0 1 2").await;
    for element in 3..6 {
        run::<i64>(&giver, &format!("RPUSH k {element}")).await;
    }
    for (place, waiting) in waiting.into_iter().enumerate() {
        assert_eq!(reply(waiting).await, list(&["k", &place.to_string()]));
    }
}

#[tokio::test]
async fn a_time_out_is_nil_and_on_time() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    for (command, least) in [
        ("BLPOP a b {b}c 0.3", 300),
        ("BLMOVE {m}a {m}b LEFT LEFT 0.25", 250),
        ("BZMPOP 0.1 2 a b MAX", 100),
        ("XREAD BLOCK 200 STREAMS s $", 200),
    ] {
        let began = Instant::now();
        assert_eq!(run::<Value>(&client, command).await, Value::Nil, "{command}");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(least), "{command}: {took:?}");
        assert!(took < Duration::from_millis(least + 2_000), "{command}: {took:?}");
    }
}

/// What does not wait, and errors: as a lone server answers.
const AS_REDIS: &str = "\
RPUSH l a b c d
BLPOP none l 1
BLPOP l -1
BLPOP l x
BLPOP l nan
BLPOP l
BLMPOP 1 2 none l RIGHT COUNT 2
BLMPOP 1 0 l LEFT
BLMPOP 1 1 l UP
BLMPOP 1 1 l LEFT COUNT 0
BLMPOP 1 1 l LEFT COUNT 1 COUNT 1
BLMPOP -1 1 l LEFT
BLMPOP 1 9 l LEFT
SET string v
BLPOP string 1
BLPOP none string 1
BLMOVE l string LEFT LEFT 1
BLMOVE string l LEFT LEFT 1
BLMOVE l l LEFT UP 1
BLMOVE l l LEFT RIGHT 1
BRPOPLPUSH l m 1
BRPOPLPUSH l m -0.5
BZPOPMIN string 1
ZADD z 1.5 a 2 b 3 c
BZPOPMIN z 0
BZPOPMAX none z 0
BZMPOP 1 1 z MIN COUNT 7
BZPOPMIN l 1
BLPOP z 1
XADD s 1-1 f v
XREAD BLOCK 100 STREAMS s 0
XREAD BLOCK -1 STREAMS s 0
XREAD BLOCK x STREAMS s 0
XREAD BLOCK 100 COUNT 1 STREAMS s string 0 0
XREAD BLOCK 50 STREAMS s $
XGROUP CREATE s g 0
XREADGROUP GROUP g c BLOCK 100 STREAMS s >
XREADGROUP GROUP g c BLOCK 100 STREAMS s 0
XREADGROUP GROUP g c BLOCK 100 STREAMS s $
XREADGROUP GROUP g c BLOCK 50 STREAMS s >
XREADGROUP GROUP none c BLOCK 50 STREAMS s >
EXISTS l m z";

#[tokio::test]
async fn replies_and_errors_are_those_of_one_redis() {
    for version in [Version::V7_0, Version::V7_4, Version::Valkey9] {
        let lone = Server::start(version).await;
        let cluster = Cluster::of(&[version; 3]).await;
        let client = cluster.client().await;
        // One register: every key has the same tag.
        for line in AS_REDIS.lines() {
            let tagged: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let names = ["l", "none", "m", "string", "z", "s"];
            let tagged: Vec<String> = tagged
                .into_iter()
                .enumerate()
                .map(
                    |(at, word)| {
                        if at > 0 && names.contains(&word.as_str()) { format!("{{t}}{word}") } else { word }
                    },
                )
                .collect();
            let line: Vec<&str> = tagged.iter().map(String::as_str).collect();
            let expected = lone.run::<Value>(&line).await.map_err(|error| shown(&error));
            let bytes: Vec<&[u8]> = tagged.iter().map(|word| word.as_bytes()).collect();
            let found = client.run(&bytes).await.map_err(|error| shown(&error.into()));
            assert_eq!(found, expected, "{version}: {line:?}");
        }
    }
}

fn shown(error: &redis::RedisError) -> String {
    format!("{} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default())
}

#[tokio::test]
async fn servers_of_6_2_know_the_older_ones() {
    let cluster = Cluster::of(&[Version::V6_2; 3]).await;
    let client = cluster.client().await;
    let waiting = begin(&client, "BLPOP k 0");
    until_asleep(&cluster, "k", 1).await;
    run::<i64>(&client, "RPUSH k a").await;
    assert_eq!(reply(waiting).await, list(&["k", "a"]));
    run::<Value>(&client, "ZADD z 1.5 a").await;
    assert_eq!(run::<Value>(&client, "BZPOPMAX z 1").await, list(&["z", "a", "1.5"]));
    let error = try_run::<Value>(&client, "BLMPOP 1 1 k LEFT").await.expect_err("BLMPOP");
    assert!(
        error.to_string().contains("unknown command") || error.to_string().contains("not known"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_of_several_registers_are_waited_for_and_moves_between_them_are_refused() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, cluster.client().await);
    let waiting = begin(&client, "BLPOP a b c 0");
    until_asleep(&cluster, "c", 1).await;
    run::<i64>(&giver, "RPUSH c x").await;
    assert_eq!(reply(waiting).await, list(&["c", "x"]));
    run::<i64>(&giver, "RPUSH b y").await;
    run::<i64>(&giver, "RPUSH a z").await;
    assert_eq!(run::<Value>(&client, "BLPOP a b c 0").await, list(&["a", "z"]));
    assert_eq!(run::<Value>(&client, "BLPOP a b c 0").await, list(&["b", "y"]));
    for command in
        ["BLMOVE a b LEFT LEFT 0", "BRPOPLPUSH a b 0", "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >"]
    {
        let error = try_run::<Value>(&client, command).await.expect_err(command);
        assert!(error.to_string().starts_with("CROSSSLOT"), "{command}: {error}");
    }
}

#[tokio::test]
async fn readers_of_a_stream_get_what_comes_after_they_began() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, cluster.client().await);
    run::<String>(&giver, "XADD s 1-1 f old").await;
    run::<i64>(&giver, "XDEL s 1-1").await;
    let readers =
        [begin(&client, "XREAD BLOCK 0 STREAMS s $"), begin(&client, "XREAD BLOCK 0 STREAMS t s $ $")];
    until_asleep(&cluster, "s", 1).await;
    run::<String>(&giver, "XADD s 1-2 f new").await;
    let entry = Value::Array(vec![words_value("1-2"), list(&["f", "new"])]);
    let expected = Value::Array(vec![Value::Array(vec![words_value("s"), Value::Array(vec![entry])])]);
    for reader in readers {
        assert_eq!(reply(reader).await, expected);
    }
    run::<String>(&giver, "XGROUP CREATE s g $").await;
    let members: Vec<_> = (0..3)
        .map(|member| begin(&client, &format!("XREADGROUP GROUP g c{member} COUNT 1 BLOCK 0 STREAMS s >")))
        .collect();
    until_asleep(&cluster, "s", 1).await;
    for number in 3..6 {
        run::<String>(&giver, &format!("XADD s 1-{number} f v")).await;
    }
    let mut seen = BTreeSet::new();
    for member in members {
        seen.insert(format!("{:?}", reply(member).await));
    }
    assert_eq!(seen.len(), 3, "an entry was given twice: {seen:?}");
    let member = begin(&client, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    until_asleep(&cluster, "s", 1).await;
    run::<i64>(&giver, "XGROUP DESTROY s g").await;
    let error = member.await.expect("no panic").expect_err("the group is gone");
    assert!(error.to_string().contains("NOGROUP"), "{error}");
    eventually_same(&cluster, &giver).await;
}

#[tokio::test]
async fn empty_tries_leave_no_version_behind() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    run::<i64>(&client, "RPUSH {k}other x").await;
    let before = client.version(b"{k}other").await.expect("a version");
    for command in ["BLPOP {k} {k}a 0.05", "BZPOPMIN {k}z 0.05", "XREAD BLOCK 50 STREAMS {k}s $"] {
        assert_eq!(run::<Value>(&client, command).await, Value::Nil);
    }
    assert_eq!(client.version(b"{k}other").await.expect("a version"), before);
}

#[tokio::test]
async fn a_waiter_is_woken_whichever_node_is_killed_hangs_or_is_cut_off() {
    let cluster = Cluster::durable(3).await;
    let giver = cluster.client().await;
    let taker = cluster.coordinator().await;
    for node in 0..3 {
        for fault in ["kill", "pause", "cut"] {
            let key = format!("k:{node}:{fault}");
            let waiting = begin(&taker.client, &format!("BLPOP {key} 0"));
            until_asleep(&cluster, &key, 1).await;
            match fault {
                "kill" => cluster[node].kill(),
                "pause" => cluster[node].pause(),
                _ => taker.links[node].cut(),
            }
            run::<i64>(&giver, &format!("RPUSH {key} v")).await;
            assert_eq!(reply(waiting).await, list(&[&key, "v"]), "{key}");
            // And one who comes while the node is away.
            let waiting = begin(&taker.client, &format!("BLPOP {key}:later 0"));
            let tried = async || {
                let mut ears = 0;
                for other in (0..3).filter(|other| *other != node) {
                    let channel = format!("anrcho_wake:{{{key}:later}}");
                    let (_, some): (String, u64) =
                        cluster[other].run(&["PUBSUB", "NUMSUB", &channel]).await.expect("NUMSUB");
                    ears += some;
                }
                ears == 2
            };
            eventually("the others are listened to", PATIENCE, tried).await;
            run::<i64>(&giver, &format!("RPUSH {key}:later v")).await;
            assert_eq!(reply(waiting).await, list(&[&format!("{key}:later"), "v"]));
            match fault {
                "kill" => cluster[node].restart().await,
                "pause" => cluster[node].resume(),
                _ => taker.links[node].heal(),
            }
            cluster.until_all_vote(&giver).await;
            cluster.until_all_vote(&taker.client).await;
        }
    }
}

#[tokio::test]
async fn without_a_majority_a_waiter_waits_on_and_says_so_at_the_end() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    cluster[0].kill();
    cluster[1].kill();
    cluster.until_not_voting(&client, 0).await;
    cluster.until_not_voting(&client, 1).await;
    let error = try_run::<Value>(&client, "BLPOP k 0.5").await.expect_err("no majority");
    assert!(matches!(error, Error::NoQuorum { .. }), "{error}");
    let waiting = begin(&client, "BLPOP k 0");
    cluster[0].restart().await;
    cluster[1].restart().await;
    cluster.until_all_vote(&client).await;
    run::<i64>(&client, "RPUSH k v").await;
    assert_eq!(reply(waiting).await, list(&["k", "v"]));
}

#[tokio::test]
async fn who_went_away_takes_nothing() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, cluster.client().await);
    for turn in 0..20 {
        let gone = begin(&client, "BLPOP k 0");
        until_asleep(&cluster, "k", 1).await;
        gone.abort();
        assert!(gone.await.is_err_and(|error| error.is_cancelled()));
        let next = begin(&client, "BLPOP k 0");
        run::<i64>(&giver, &format!("RPUSH k {turn}")).await;
        assert_eq!(reply(next).await, list(&["k", &turn.to_string()]));
    }
}

#[test]
fn a_coordinator_that_is_gone_leaves_nothing_half_done() {
    let outer = tokio::runtime::Runtime::new().expect("a runtime");
    outer.block_on(async {
        let cluster = Cluster::start().await;
        let giver = cluster.client().await;
        let urls = cluster.urls();
        for turn in 0..5u64 {
            let urls = urls.clone();
            let (ready, is_ready) = std::sync::mpsc::channel();
            let other = std::thread::spawn(move || {
                let inner = tokio::runtime::Runtime::new().expect("a runtime");
                inner.block_on(async {
                    let client =
                        anarchoredis::Client::builder().nodes(urls).connect().await.expect("a client");
                    let _waiting: Vec<_> =
                        (0..10).map(|_| begin(&client, "BLMOVE {k}a {k}b LEFT RIGHT 0")).collect();
                    ready.send(()).expect("the test waits");
                    tokio::time::sleep(Duration::from_millis(20 + 15 * turn)).await;
                });
                inner.shutdown_background();
            });
            is_ready.recv().expect("the other runtime");
            for element in 0..30 {
                run::<i64>(&giver, &format!("RPUSH {{k}}a {turn}:{element}")).await;
            }
            other.join().expect("the other runtime");
        }
        let (left, moved) = (
            run::<Vec<String>>(&giver, "LRANGE {k}a 0 -1").await,
            run::<Vec<String>>(&giver, "LRANGE {k}b 0 -1").await,
        );
        let all: BTreeSet<&String> = left.iter().chain(&moved).collect();
        assert_eq!((all.len(), left.len() + moved.len()), (150, 150), "an element was lost or doubled");
        eventually_same(&cluster, &giver).await;
    });
}

#[tokio::test]
async fn in_a_transaction_nothing_is_waited_for() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let session = client.session();
    for command in [
        "MULTI",
        "BLPOP {k}a 0",
        "RPUSH {k}a x y z",
        "BLPOP {k}a 0",
        "BLMOVE {k}a {k}b LEFT LEFT 0",
        "BLMPOP 0 1 {k}a LEFT",
        "XREAD BLOCK 0 STREAMS {k}s $",
        "BZPOPMIN {k}z 0",
    ] {
        session.run(&words(command)).await.expect(command);
    }
    let replies = session.run(&words("EXEC")).await.expect("EXEC");
    let expected = vec![
        Value::Nil,
        Value::Int(3),
        list(&["{k}a", "x"]),
        words_value("y"),
        Value::Array(vec![words_value("{k}a"), list(&["z"])]),
        Value::Nil,
        Value::Nil,
    ];
    assert_eq!(replies, Value::Array(expected));
    let mut pipeline = redis::pipe();
    pipeline.atomic().cmd("BLPOP").arg("other").arg("{k}a").arg(0);
    let error = pipeline.query_async::<Value>(&mut client.clone()).await.expect_err("two registers");
    assert!(error.to_string().contains("different registers"), "{error}");
}

#[tokio::test]
async fn who_still_waits_when_the_client_closes_is_told_so() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let waiting = begin(&client, "BLPOP k 0");
    until_asleep(&cluster, "k", 1).await;
    client.close().await;
    let ended = tokio::time::timeout(PATIENCE, waiting).await.expect("it still waits").expect("no panic");
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
}

#[tokio::test]
async fn where_channels_are_forbidden_a_waiter_asks_now_and_then() {
    let cluster = Cluster::start().await;
    for node in cluster.iter() {
        node.run::<()>(&["ACL", "SETUSER", "default", "resetchannels"]).await.expect("ACL SETUSER");
    }
    let (client, giver) = (cluster.client().await, cluster.client().await);
    let waiting = begin(&client, "BLPOP k 0");
    tokio::time::sleep(Duration::from_millis(300)).await;
    run::<i64>(&giver, "RPUSH k v").await;
    assert_eq!(reply(waiting).await, list(&["k", "v"]));
}

/// A client whose operations no node tells of: a new user of Redis 7 has no channels, and the refusal is its own.
async fn untold(cluster: &Cluster) -> Client {
    let mut urls = Vec::new();
    for node in cluster.iter() {
        let user = ["ACL", "SETUSER", "giver", "on", ">secret", "~*", "+@all"];
        node.run::<()>(&user).await.expect("ACL SETUSER");
        urls.push(node.url().replace("redis://", "redis://giver:secret@"));
    }
    Client::builder().nodes(urls).connect().await.expect("a client")
}

#[tokio::test]
async fn who_comes_behind_one_that_sleeps_gets_what_was_there_and_not_nil() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, untold(&cluster).await);
    let sleeper = begin(&client, "BLPOP k 0");
    until_asleep(&cluster, "k", 1).await;
    run::<i64>(&giver, "RPUSH k v").await;
    assert_eq!(run::<Value>(&client, "BLPOP k 0.05").await, list(&["k", "v"]));
    assert_eq!(run::<Value>(&client, "BLPOP k 0.05").await, Value::Nil);
    assert!(!sleeper.is_finished());
    sleeper.abort();
}

#[tokio::test]
async fn waiters_find_in_the_order_of_their_arrival_what_no_node_told_of() {
    let cluster = Cluster::start().await;
    let (client, giver) = (cluster.client().await, untold(&cluster).await);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(begin(&client, "BLPOP k 0"));
        until_asleep(&cluster, "k", 1).await;
    }
    let reader = begin(&client, "XREAD BLOCK 0 STREAMS {s} $");
    until_asleep(&cluster, "s", 1).await;
    run::<i64>(&giver, "RPUSH k 0 1").await;
    run::<String>(&giver, "XADD {s} 1-1 f v").await;
    for (place, waiting) in waiting.into_iter().enumerate() {
        assert_eq!(reply(waiting).await, list(&["k", &place.to_string()]));
    }
    assert_ne!(reply(reader).await, Value::Nil);
    let unheard = |line: &&str| line.starts_with("anarcho_waiters_unheard_total");
    let metrics = client.metrics();
    assert_ne!(metrics.lines().find(unheard), Some("anarcho_waiters_unheard_total 0"), "{metrics}");
}

/// Takes elements until none has come for a while; and how often it is not known whether one was taken.
async fn take_all(client: Client, key: &'static str) -> (Vec<u32>, usize) {
    let (mut taken, mut unknown) = (Vec::new(), 0);
    loop {
        match try_run::<Option<(String, u32)>>(&client, &format!("BLPOP {key} 4")).await {
            Ok(Some((_, element))) => taken.push(element),
            Ok(None) => return (taken, unknown),
            Err(Error::Indeterminate { .. }) => unknown += 1,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

#[tokio::test]
async fn under_faults_no_element_is_taken_twice_and_none_that_was_pushed_is_left_behind() {
    let cluster = Cluster::durable(3).await;
    let coordinators = cluster.coordinators(3).await;
    let mut takers = Vec::new();
    for taker in 0..9 {
        takers.push(tokio::spawn(take_all(coordinators[taker % 3].client.clone(), "k")));
    }
    let giving = coordinators[0].client.clone();
    let giver = tokio::spawn(async move {
        let (mut pushed, mut unsure) = (BTreeSet::new(), BTreeSet::new());
        for element in 0..600u32 {
            match try_run::<i64>(&giving, &format!("RPUSH k {element}")).await {
                Ok(_) => drop(pushed.insert(element)),
                Err(Error::Indeterminate { .. }) => drop(unsure.insert(element)),
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (pushed, unsure)
    });
    for turn in 0..6 {
        let node = turn % 3;
        match turn {
            0 | 3 => cluster[node].kill(),
            1 | 4 => cluster[node].pause(),
            _ => coordinators.iter().for_each(|coordinator| coordinator.links[node].cut()),
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        match turn {
            0 | 3 => cluster[node].restart().await,
            1 | 4 => cluster[node].resume(),
            _ => coordinators.iter().for_each(|coordinator| coordinator.links[node].heal()),
        }
        for coordinator in &coordinators {
            cluster.until_all_vote(&coordinator.client).await;
        }
    }
    let (pushed, unsure) = giver.await.expect("the giver");
    let (mut taken, mut lost_replies) = (Vec::new(), 0);
    for taker in takers {
        let (some, unknown) = taker.await.expect("a taker");
        taken.extend(some);
        lost_replies += unknown;
    }
    let distinct: BTreeSet<u32> = taken.iter().copied().collect();
    assert_eq!(distinct.len(), taken.len(), "an element was taken twice");
    assert!(distinct.iter().all(|element| pushed.contains(element) || unsure.contains(element)));
    let missing: Vec<&u32> = pushed.difference(&distinct).collect();
    assert!(
        missing.len() <= lost_replies,
        "{missing:?} were left behind, {lost_replies} replies are unknown"
    );
    assert_eq!(run::<i64>(&coordinators[0].client, "LLEN k").await, 0);
}

#[tokio::test]
async fn with_five_nodes_any_two_may_die_while_somebody_waits() {
    let cluster = Cluster::durable(5).await;
    let (client, giver) = (cluster.client().await, cluster.client().await);
    for (one, other) in [(0, 1), (2, 3), (4, 0)] {
        let key = format!("k:{one}");
        let waiting = begin(&client, &format!("BLPOP {key} 0"));
        eventually("all listen", PATIENCE, async || ears(&cluster, &key).await == [1; 5]).await;
        until_asleep(&cluster, &key, 1).await;
        cluster[one].kill();
        cluster[other].pause();
        run::<i64>(&giver, &format!("RPUSH {key} v")).await;
        assert_eq!(reply(waiting).await, list(&[&key, "v"]));
        cluster[one].restart().await;
        cluster[other].resume();
        cluster.until_all_vote(&giver).await;
        cluster.until_all_vote(&client).await;
    }
}
