//! MULTI, EXEC and WATCH: one op on one register, in Redis' own words.

mod harness;
mod workload;

use anarchoredis::{Client, Session, outcome_of};
use harness::{Server, Version, eventually};
use redis::aio::{ConnectionLike, transaction_async};
use redis::{AsyncCommands, Cmd, RedisResult, Value};
use workload::{Cluster, PATIENCE, Rng, eventually_same, run, try_run, words};

fn cmd(line: &str) -> Cmd {
    let mut cmd = Cmd::new();
    for word in words(line) {
        cmd.arg(word);
    }
    cmd
}

/// What a connection answers to these lines, one after the other.
async fn conversation(connection: &mut impl ConnectionLike, lines: &[&str]) -> Vec<String> {
    let mut replies = Vec::new();
    for line in lines {
        let reply = connection.req_packed_command(&cmd(line)).await;
        replies.push(match reply.and_then(Value::extract_error) {
            Ok(reply) => format!("{line}: {reply:?}"),
            Err(error) => {
                format!("{line}: {} {}", error.code().unwrap_or_default(), error.detail().unwrap_or_default())
            }
        });
    }
    replies
}

#[tokio::test]
async fn a_session_answers_what_a_lone_redis_answers() {
    let conversations: &[&[&str]] = &[
        &["MULTI", "SET {t}a 1", "INCR {t}a", "GET {t}a", "LRANGE {t}none 0 -1", "EXEC", "GET {t}a"],
        &["MULTI", "EXEC"],
        &["MULTI", "PING", "ECHO x", "EXEC"],
        // A command that fails when it runs takes no other with it.
        &["SET {t}a x", "MULTI", "INCR {t}a", "RPUSH {t}a y", "SET {t}b 2", "EXEC", "GET {t}b"],
        // One that cannot be queued takes all with it.
        &["MULTI", "SET {t}a 9", "GET", "SET {t}b 9", "EXEC", "EXISTS {t}a {t}b"],
        &["MULTI", "SET {t}a 9", "NOSUCH", "EXEC", "EXISTS {t}a"],
        &["MULTI", "SET {t}a 9", "DISCARD", "EXISTS {t}a", "DISCARD", "EXEC"],
        &["MULTI", "MULTI", "SET {t}a 9", "EXEC"],
        &["MULTI", "WATCH {t}a", "SET {t}a 9", "EXEC"],
        &["MULTI x", "EXEC x", "DISCARD x", "UNWATCH x", "WATCH", "EXEC"],
        &["MULTI", "EXEC x", "EXEC"],
        &["MULTI", "DISCARD x", "EXEC"],
        &["WATCH {t}a", "MULTI", "UNWATCH", "SET {t}a 1", "EXEC"],
        // What is watched may be changed by the connection itself.
        &["SET {t}a 1", "WATCH {t}a", "SET {t}a 2", "MULTI", "SET {t}a 3", "EXEC", "GET {t}a"],
        &["SET {t}a 1", "WATCH {t}a", "SET {t}a 2", "UNWATCH", "MULTI", "SET {t}a 3", "EXEC", "GET {t}a"],
        &["SET {t}a 1", "WATCH {t}a", "SET {t}a 2", "MULTI", "DISCARD", "MULTI", "SET {t}a 3", "EXEC"],
        &["WATCH {t}none", "SET {t}none 2", "MULTI", "SET {t}a 3", "EXEC", "GET {t}a"],
        &["SET {t}a 1", "WATCH {t}a", "GET {t}a", "EXPIRE elsewhere 5", "MULTI", "SET {t}a 3", "EXEC"],
        &["WATCH {t}a {t}b", "WATCH {t}c", "MULTI", "SET {t}a 3", "EXEC"],
        &["WATCH {t}a", "SET {t}a 1", "MULTI", "EXEC"],
        &["WATCH {t}a", "MULTI", "EXEC"],
        &["MULTI", "EVAL return_1 0", "EVAL return(1) 0", "SET {t}a 1", "EVAL return(2) 0", "EXEC"],
        &[
            "RPUSH {t}a old",
            "MULTI",
            "PEXPIREAT {t}a 5",
            "RPUSH {t}a new",
            "PEXPIREAT {t}b 5",
            "EXEC",
            "LRANGE {t}a 0 -1",
        ],
        &[
            "SET {t}a v",
            "MULTI",
            "SET {t}a w PXAT 5",
            "APPEND {t}a x",
            "EXPIRE {t}a -1",
            "SETNX {t}a y",
            "EXEC",
            "GET {t}a",
        ],
        &["MULTI", "SET {t}a v PX -1", "SETEX {t}a 0 v", "SET {t}b v EX 100", "EXEC", "EXISTS {t}a {t}b"],
        &["MULTI", "INCR {t}n", "INCRBY {t}n 9007199254740992", "INCRBY {t}n 1", "MGET {t}n {t}m", "EXEC"],
    ];
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let lone = Server::start(Version::V7_0).await;
    for lines in conversations {
        let expected = conversation(&mut lone.connection().await, lines).await;
        assert_eq!(conversation(&mut client.session(), lines).await, expected);
        let clear = "DEL {t}a {t}b {t}c {t}n {t}none";
        lone.run::<i64>(&clear.split(' ').collect::<Vec<_>>()).await.expect("no keys");
        run::<i64>(&client, clear).await;
    }
    eventually_same(&cluster, &client).await;
}

#[tokio::test]
async fn keys_of_two_registers_are_refused_with_the_spelling_that_works() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client().await;
    let mut pipe = redis::pipe();
    pipe.atomic().set("a", 1).set("b", 1);
    let error = pipe.exec_async(&mut client).await.expect_err("two registers");
    let text = error.to_string();
    assert!(text.contains("ExecAbort") && text.contains("'a' and '{a}b'"), "{text}");
    let mut session = client.session();
    let lines =
        ["WATCH a b", "WATCH a", "MULTI", "SET b 1", "MSET a 1 b 1", "SPOP b", "EXEC", "MULTI", "SET b 1"];
    let replies = conversation(&mut session, &lines).await;
    assert!(replies[0].contains("CROSSSLOT"), "{replies:?}");
    assert!(replies[4].contains("CROSSSLOT"), "{replies:?}");
    assert!(replies[6].contains("EXECABORT"), "{replies:?}");
    assert_eq!(run::<i64>(&client, "EXISTS a b").await, 0);
}

/// Both accounts change in one transaction; whoever looks sees one sum.
#[tokio::test]
async fn nobody_sees_half_a_transaction_while_a_node_dies() {
    const SUM: i64 = 1_000;
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    run::<()>(&client, &format!("MSET {{bank}}a {SUM} {{bank}}b 0")).await;
    let transfer = |mut client: Client, seed| async move {
        let mut rng = Rng::new(seed);
        for _ in 0..150 {
            let amount = i64::try_from(rng.below(100)).expect("a small number");
            let mut pipe = redis::pipe();
            pipe.atomic().decr("{bank}a", amount).incr("{bank}b", amount);
            let (a, b): (i64, i64) = pipe.query_async(&mut client).await.expect("a transfer");
            assert_eq!(a + b, SUM);
        }
    };
    let look = |client: Client| async move {
        for turn in 0..150 {
            let (a, b): (i64, i64) = if turn % 2 == 0 {
                run(&client, "MGET {bank}a {bank}b").await
            } else {
                let mut pipe = redis::pipe();
                pipe.atomic().get("{bank}a").get("{bank}b");
                pipe.query_async(&mut client.clone()).await.expect("a look")
            };
            assert_eq!(a + b, SUM);
        }
    };
    let others = cluster.client().await;
    let faults = async {
        cluster[1].kill();
        cluster.until_not_voting(&client, 1).await;
        cluster[1].restart().await;
        cluster.until_votes(&client, 1).await;
    };
    tokio::join!(
        transfer(client.clone(), 1),
        transfer(others.clone(), 2),
        look(client.clone()),
        look(others),
        faults
    );
    let (a, b): (i64, i64) = run(&client, "MGET {bank}a {bank}b").await;
    assert_eq!(a + b, SUM);
    eventually_same(&cluster, &client).await;
}

async fn add_one(session: Session) -> RedisResult<i64> {
    let (sum,) = transaction_async(session, &["n"], |mut con, mut pipe| async move {
        let n: i64 = con.get::<_, Option<i64>>("n").await?.unwrap_or_default();
        pipe.set("n", n + 1).ignore().get("n").query_async::<Option<(i64,)>>(&mut con).await
    })
    .await?;
    Ok(sum)
}

#[tokio::test]
async fn a_watched_key_that_changes_meanwhile_aborts_and_the_next_try_counts() {
    let cluster = Cluster::start().await;
    let clients = [cluster.client().await, cluster.client().await];
    let mut tasks = Vec::new();
    for task in 0..4 {
        let client = clients[task % 2].clone();
        tasks.push(tokio::spawn(async move {
            let mut sums = Vec::new();
            for _ in 0..20 {
                sums.push(add_one(client.session()).await.expect("one more"));
            }
            sums
        }));
    }
    let mut sums = Vec::new();
    for task in tasks {
        sums.extend(task.await.expect("a task"));
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=80).collect::<Vec<i64>>(), "each sum once: nobody overwrote another's");
    eventually_same(&cluster, &clients[0]).await;
}

#[tokio::test]
async fn a_repair_between_watch_and_exec_aborts_nothing() {
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    run::<()>(&client, "SET k old").await;
    cluster[2].kill();
    cluster.until_not_voting(&client, 2).await;
    run::<()>(&client, "SET k new").await;
    let mut session = client.session();
    conversation(&mut session, &["WATCH k"]).await;
    cluster[2].restart().await;
    cluster.until_votes(&client, 2).await;
    // Another client's reads bring the node that was away up to date, by settles.
    let other = cluster.client().await;
    assert_eq!(run::<String>(&other, "GET k").await, "new");
    eventually_same(&cluster, &other).await;
    let replies = conversation(&mut session, &["MULTI", "APPEND k er", "EXEC", "GET k"]).await;
    assert_eq!(replies[2..], ["EXEC: array([int(5)])", "GET k: bulk-string('\"newer\"')"]);
}

#[tokio::test]
async fn a_watched_key_that_expires_meanwhile_aborts() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let mut session = client.session();
    conversation(&mut session, &["SET k v PX 300", "WATCH k", "MULTI", "SET k w"]).await;
    // The op itself must see it: its time may come long after EXEC.
    let gone = async || try_run::<Option<String>>(&client, "GET k").await.is_ok_and(|value| value.is_none());
    eventually("the key expires", PATIENCE, gone).await;
    assert_eq!(conversation(&mut session, &["EXEC", "EXISTS k"]).await, ["EXEC: nil", "EXISTS k: int(0)"]);
}

#[tokio::test]
async fn without_a_majority_a_transaction_says_what_became_of_it_and_a_client_alone_refuses_multi() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client().await;
    let error = try_run::<()>(&client, "MULTI").await.expect_err("no state").to_string();
    assert!(error.contains("session"), "{error}");
    cluster[0].kill();
    cluster[1].kill();
    cluster.until_not_voting(&client, 0).await;
    cluster.until_not_voting(&client, 1).await;
    let mut pipe = redis::pipe();
    pipe.atomic().set("{t}a", 1).set("{t}b", 1);
    let error = pipe.exec_async(&mut client).await.expect_err("one node of three");
    assert!(outcome_of(&error).is_some(), "{error}");
}
