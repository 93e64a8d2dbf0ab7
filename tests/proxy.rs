//! The proxy over real nodes: who is let in, what is bounded, and what a client sees when nodes die.

mod harness;
mod proxy_support;
mod workload;

use anarchoredis::proxy::{Limits, Secret, Settings};
use harness::eventually;
use proxy_support::{PATIENCE, Raw, encoded, proxy, proxy_with};
use std::time::{Duration, Instant};
use workload::Cluster;

#[tokio::test]
async fn without_the_password_nothing_but_auth_hello_quit_and_reset_answers() {
    let cluster = Cluster::start().await;
    let password = Some(Secret::from("s3cret"));
    let users = vec![("ann".to_owned(), Secret::from("other"))];
    let settings = Settings { password, users, ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let mut client = Raw::of(&proxy).await;
    for refused in [
        "PING",
        "GET k",
        "SET k v",
        "INFO",
        "CONFIG GET *",
        "CLIENT LIST",
        "MULTI",
        "EXEC",
        "COMMAND",
        "MONITOR",
        "NOSUCH",
        "ANARCHO STATUS",
        "EVAL x 0",
    ] {
        assert_eq!(client.ask(refused).await, "-NOAUTH Authentication required.\r\n", "{refused}");
    }
    assert!(client.ask("HELLO 3").await.starts_with("-NOAUTH HELLO must be called"));
    for wrong in ["AUTH wrong", "AUTH ann s3cret", "AUTH nobody s3cret", "HELLO 2 AUTH default wrong"] {
        assert!(client.ask(wrong).await.starts_with("-WRONGPASS"), "{wrong}");
    }
    assert_eq!(client.ask("GET k").await, "-NOAUTH Authentication required.\r\n");
    assert_eq!(client.ask("AUTH s3cret").await, "+OK\r\n");
    assert_eq!(client.ask("SET k v").await, "+OK\r\n");
    assert_eq!(client.ask("ACL WHOAMI").await, "$7\r\ndefault\r\n");
    assert_eq!(client.ask("RESET").await, "+RESET\r\n");
    assert_eq!(client.ask("GET k").await, "-NOAUTH Authentication required.\r\n");
    assert!(client.ask("HELLO 3 AUTH ann other SETNAME me").await.starts_with("%7"));
    assert_eq!(client.ask("ACL WHOAMI").await, "$3\r\nann\r\n");
    for shown in ["INFO everything", "CONFIG GET *", "CLIENT LIST", "SLOWLOG GET -1", "COMMAND LIST"] {
        let text = client.ask(shown).await;
        assert!(!text.contains("s3cret") && !text.contains("other"), "{shown} tells a password");
    }
    assert_eq!(client.ask("QUIT").await, "+OK\r\n");
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn a_stranger_gets_no_room_and_a_known_client_does() {
    let cluster = Cluster::start().await;
    let settings = Settings { password: Some(Secret::from("s3cret")), ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let mut stranger = Raw::of(&proxy).await;
    stranger.send(b"*1000\r\n").await;
    assert_eq!(stranger.rest().await, b"-ERR Protocol error: unauthenticated multibulk length\r\n");
    let mut stranger = Raw::of(&proxy).await;
    stranger.send(b"*2\r\n$4\r\nAUTH\r\n$1000000\r\n").await;
    assert_eq!(stranger.rest().await, b"-ERR Protocol error: unauthenticated bulk length\r\n");
    let mut known = Raw::of(&proxy).await;
    let large = vec![b'x'; 1_000_000];
    let whole = [encoded(&["AUTH", "s3cret"]), encoded(&[b"SET", &b"k"[..], &large])].concat();
    known.send(&whole).await;
    assert_eq!((known.reply().await, known.reply().await), (b"+OK\r\n".to_vec(), b"+OK\r\n".to_vec()));
    assert_eq!(known.ask("STRLEN k").await, ":1000000\r\n");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_read_from_and_loses_nothing() {
    let cluster = Cluster::start().await;
    let settings = Settings { under_way: 8, unread: 64 * 1024, ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let (mut slow, mut quick) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    let value = vec![b'x'; 1_000_000];
    slow.send(&encoded(&[b"SET", &b"k"[..], &value])).await;
    assert_eq!(slow.reply().await, b"+OK\r\n");
    let get = encoded(&["GET", "k"]);
    slow.send(&get.repeat(300)).await;
    let unread = || {
        proxy.shared().clients.get(1).map_or(0, |peer| peer.unread.load(std::sync::atomic::Ordering::Relaxed))
    };
    eventually("replies wait for the slow client", PATIENCE, async || unread() > 0).await;
    // Others are served meanwhile, and what waits stays within what was under way.
    for turn in 0..50 {
        assert_eq!(quick.ask(&format!("SET other {turn}")).await, "+OK\r\n");
        assert!(unread() < 10 * 1_000_100, "{} bytes wait", unread());
    }
    for _ in 0..300 {
        assert_eq!(slow.reply().await.len(), 1_000_000 + 12);
    }
    assert_eq!(slow.ask("PING").await, "+PONG\r\n");
}

#[tokio::test]
async fn too_many_clients_are_turned_away_and_idle_ones_are_let_go() {
    let cluster = Cluster::start().await;
    let settings = Settings { max_clients: 2, idle: Some(Duration::from_secs(1)), ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let (mut one, mut two) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    assert_eq!((one.ask("PING").await, two.ask("PING").await), ("+PONG\r\n".into(), "+PONG\r\n".into()));
    let mut three = Raw::of(&proxy).await;
    assert_eq!(three.rest().await, b"-ERR max number of clients reached\r\n");
    // One sends bytes of a request that never ends, the other nothing at all.
    one.send(b"*2\r\n$4\r\nECHO\r\n$3\r\na").await;
    assert_eq!((one.rest().await, two.rest().await), (Vec::new(), Vec::new()));
    let mut again = Raw::of(&proxy).await;
    assert_eq!(again.ask("PING").await, "+PONG\r\n");
}

#[tokio::test]
async fn what_was_asked_before_the_client_closed_its_side_is_answered() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.addresses()[0]).await.expect("a connection");
    stream.write_all(b"SET k v\r\nGET k\r\nECHO \"half a req").await.expect("sending");
    stream.shutdown().await.expect("closing one side");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("replies");
    assert_eq!(all, b"+OK\r\n$1\r\nv\r\n");
    eventually("nobody is connected", PATIENCE, async || proxy.shared().clients.is_empty()).await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_told_so_after_the_replies_before_it() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let mut client = Raw::of(&proxy).await;
    client.send(b"SET k v\r\n*1\r\n:12\r\n").await;
    assert_eq!(client.rest().await, b"+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n");
    let mut browser = Raw::of(&proxy).await;
    browser.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k evil\r\n").await;
    assert_eq!(browser.rest().await, b"");
    assert_eq!(Raw::of(&proxy).await.ask("GET k").await, "$1\r\nv\r\n");
}

#[tokio::test]
async fn clients_are_named_listed_paused_and_killed() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let (mut one, mut two) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    assert_eq!(one.ask("CLIENT ID").await, ":1\r\n");
    assert_eq!(two.ask("CLIENT SETNAME two").await, "+OK\r\n");
    assert_eq!(two.ask("MULTI").await, "+OK\r\n");
    assert_eq!(two.ask("SET k v").await, "+QUEUED\r\n");
    let list = one.ask("CLIENT LIST").await;
    assert!(list.contains("id=2 ") && list.contains("name=two ") && list.contains("multi=1 "), "{list}");
    assert_eq!(two.ask("DISCARD").await, "+OK\r\n");

    assert_eq!(one.ask("CLIENT PAUSE 60000 WRITE").await, "+OK\r\n");
    assert_eq!(two.ask("GET k").await, "$-1\r\n");
    two.say("SET k v").await;
    assert_eq!(one.ask("GET k").await, "$-1\r\n");
    assert_eq!(one.ask("CLIENT UNPAUSE").await, "+OK\r\n");
    assert_eq!(two.reply().await, b"+OK\r\n");
    // A transaction that only reads goes on, and what another server would have to hear of does not.
    assert_eq!(one.ask("CLIENT PAUSE 60000 WRITE").await, "+OK\r\n");
    for (command, reply) in [("MULTI", "+OK\r\n"), ("GET k", "+QUEUED\r\n"), ("EXEC", "*1\r\n$1\r\nv\r\n")] {
        assert_eq!(two.ask(command).await, reply);
    }
    two.say("PUBLISH channel message").await;
    eventually("it is paused", PATIENCE, async || {
        one.ask("INFO clients").await.contains("blocked_clients:1")
    })
    .await;
    assert_eq!(one.ask("CLIENT UNPAUSE").await, "+OK\r\n");
    assert_eq!(two.reply().await, b":0\r\n");
    for (wrong, told) in [
        ("CLIENT KILL TYPE other", "-ERR Unknown client type 'other'\r\n"),
        ("CLIENT KILL USER nobody", "-ERR No such user 'nobody'\r\n"),
    ] {
        assert_eq!(one.ask(wrong).await, told);
    }
    assert_eq!(one.ask("CLIENT PAUSE 50").await, "+OK\r\n");
    assert_eq!(two.ask("GET k").await, "$1\r\nv\r\n", "a pause ends by itself");

    assert_eq!(one.ask("CLIENT KILL ID 2").await, ":1\r\n");
    assert_eq!(two.rest().await, b"");
    assert_eq!(one.ask("CLIENT KILL SKIPME no TYPE normal").await, ":1\r\n");
    assert_eq!(one.rest().await, b"", "it was told before it was let go");
}

#[tokio::test]
async fn who_monitors_sees_what_others_ask_and_no_password() {
    let cluster = Cluster::start().await;
    let settings =
        Settings { users: vec![("ann".to_owned(), Secret::from("s3cret"))], ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let (mut watcher, mut other) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    assert_eq!(watcher.ask("AUTH ann s3cret").await, "+OK\r\n");
    assert_eq!(watcher.ask("MONITOR").await, "+OK\r\n");
    assert_eq!(other.ask("AUTH ann s3cret").await, "+OK\r\n");
    assert!(other.ask("NOSUCH command").await.starts_with("-ERR unknown command"));
    assert_eq!(other.ask("SET k \"'\n").await, "+OK\r\n");
    let line = String::from_utf8(watcher.reply().await).expect("text");
    assert!(line.starts_with('+') && line.ends_with(" \"SET\" \"k\" \"\\\"'\\n\"\r\n"), "{line}");
}

#[tokio::test]
async fn a_node_that_dies_is_not_seen_and_without_a_majority_the_refusal_comes_at_once() {
    let cluster = Cluster::durable(3).await;
    let proxy = proxy(cluster.client().await).await;
    let mut client = Raw::of(&proxy).await;
    for turn in 1..=200 {
        if turn == 50 {
            cluster[1].kill();
        }
        assert_eq!(client.ask("INCR counter").await, format!(":{turn}\r\n"));
    }
    cluster[2].kill();
    eventually("a refusal", PATIENCE, async || client.ask("GET counter").await.starts_with("-NOQUORUM"))
        .await;
    eventually("it comes at once", PATIENCE, async || {
        let asked = Instant::now();
        let refused = client.ask("INCR counter").await;
        assert!(refused.starts_with("-NOQUORUM") && refused.contains("safe to try again"), "{refused}");
        asked.elapsed() < Duration::from_millis(20)
    })
    .await;
    assert_eq!(client.ask("ANARCHO WITH one GET counter").await, "$3\r\n200\r\n");
    assert_eq!(client.ask("ANARCHO CONSISTENCY low").await, "+OK\r\n");
    assert_eq!(client.ask("GET counter").await, "$3\r\n200\r\n");
    assert_eq!(client.ask("ANARCHO CONSISTENCY high").await, "+OK\r\n");
    assert!(client.ask("INFO anarcho").await.contains("voters:1\r\n"));
    cluster[1].restart().await;
    eventually("the same connection goes on", PATIENCE, async || {
        client.ask("GET counter").await == "$3\r\n200\r\n"
    })
    .await;
    assert_eq!(client.ask("INCR counter").await, ":201\r\n");
}

#[tokio::test]
async fn wait_counts_the_nodes_that_have_the_last_write() {
    let cluster = Cluster::durable(3).await;
    let proxy = proxy(cluster.client().await).await;
    let mut client = Raw::of(&proxy).await;
    assert_eq!(client.ask("SET k v").await, "+OK\r\n");
    assert_eq!(client.ask("WAIT 3 0").await, ":3\r\n");
    cluster[0].kill();
    assert_eq!(client.ask("SET k w").await, "+OK\r\n");
    assert_eq!(client.ask("WAIT 3 100").await, ":2\r\n");
    let held = client.ask("ANARCHO EXPLAIN k").await;
    assert_eq!(held.matches("settled").count(), 2, "{held}");
}

#[tokio::test]
async fn what_is_under_way_is_answered_before_the_proxy_ends() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let mut client = Raw::of(&proxy).await;
    assert_eq!(client.ask("PING").await, "+PONG\r\n");
    client.send(&encoded(&["INCR", "counter"]).repeat(500)).await;
    eventually("some are answered", PATIENCE, async || {
        proxy.shared().stats.requests.load(std::sync::atomic::Ordering::Relaxed) > 100
    })
    .await;
    assert!(proxy.close().await, "all was done in time");
    let replies = client.rest().await;
    let answered = replies.iter().filter(|byte| **byte == b':').count();
    assert!(replies.ends_with(b"\r\n") && answered > 99, "{answered}");
    let counter: usize = workload::run(&cluster.client().await, "GET counter").await;
    assert_eq!(counter, answered, "what was run was answered");
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused_and_the_limit_is_told() {
    let cluster = Cluster::start().await;
    let limits = Limits { words: 100, word: 1_000, request: 5_000 };
    let proxy = proxy_with(cluster.client().await, Settings { limits, ..Settings::default() }).await;
    let mut client = Raw::of(&proxy).await;
    assert!(client.ask("CONFIG GET proto-max-bulk-len").await.contains("1000"));
    client.send(&encoded(&vec!["x"; 101])).await;
    assert_eq!(client.rest().await, b"-ERR Protocol error: invalid multibulk length\r\n");
}

#[tokio::test]
async fn who_waits_for_an_element_is_woken_unblocked_or_gone_without_taking_it() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let (mut waiter, mut other) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    // What stands behind it in the pipeline waits for it.
    waiter.send(&[encoded(&["BLPOP", "l", "0"]), encoded(&["PING"])].concat()).await;
    eventually("it waits", PATIENCE, async || {
        other.ask("INFO clients").await.contains("blocked_clients:1\r\n")
    })
    .await;
    assert_eq!(other.ask("RPUSH l a").await, ":1\r\n");
    assert_eq!(waiter.reply().await, b"*2\r\n$1\r\nl\r\n$1\r\na\r\n");
    assert_eq!(waiter.reply().await, b"+PONG\r\n");
    assert!(other.ask("INFO clients").await.contains("blocked_clients:0\r\n"));
    assert_eq!(waiter.ask("BLPOP l 0.05").await, "*-1\r\n");

    waiter.say("BZPOPMIN z 0").await;
    eventually("it is unblocked", PATIENCE, async || other.ask("CLIENT UNBLOCK 1").await == ":1\r\n").await;
    assert_eq!(waiter.reply().await, b"*-1\r\n");
    waiter.say("XREAD BLOCK 0 STREAMS x $").await;
    eventually("it is unblocked", PATIENCE, async || other.ask("CLIENT UNBLOCK 1 ERROR").await == ":1\r\n")
        .await;
    assert_eq!(waiter.reply().await, b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_eq!(other.ask("CLIENT UNBLOCK 1").await, ":0\r\n");

    waiter.say("BLPOP l 0").await;
    eventually("it waits", PATIENCE, async || {
        other.ask("INFO clients").await.contains("blocked_clients:1\r\n")
    })
    .await;
    drop(waiter);
    eventually("it is gone", PATIENCE, async || {
        other.ask("INFO clients").await.contains("blocked_clients:0\r\n")
    })
    .await;
    assert_eq!(other.ask("RPUSH l b").await, ":1\r\n");
    assert_eq!(other.ask("LRANGE l 0 -1").await, "*1\r\n$1\r\nb\r\n");

    other.say("BLPOP nothing 0").await;
    eventually("it waits", PATIENCE, async || {
        proxy.shared().stats.blocked.load(std::sync::atomic::Ordering::Relaxed) == 1
    })
    .await;
    assert!(proxy.close().await, "who waits does not hold up the end");
}

#[tokio::test]
async fn subscribers_hear_each_message_once_in_both_versions_of_the_protocol() {
    let cluster = Cluster::start().await;
    let (first, second) = (proxy(cluster.client().await).await, proxy(cluster.client().await).await);
    let (mut two, mut three, mut other) =
        (Raw::of(&first).await, Raw::of(&first).await, Raw::of(&second).await);
    two.send(b"SUBSCRIBE a b\r\nPSUBSCRIBE c*\r\nSSUBSCRIBE s\r\n").await;
    let pushed =
        |kind: &str, rest: &str| format!("*3\r\n${}\r\n{kind}\r\n{rest}\r\n", kind.len()).into_bytes();
    assert_eq!(two.reply().await, pushed("subscribe", "$1\r\na\r\n:1"));
    assert_eq!(two.reply().await, pushed("subscribe", "$1\r\nb\r\n:2"));
    assert_eq!(two.reply().await, pushed("psubscribe", "$2\r\nc*\r\n:3"));
    assert_eq!(two.reply().await, pushed("ssubscribe", "$1\r\ns\r\n:1"));
    assert!(two.ask("GET k").await.starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"));
    assert_eq!(two.ask("PING").await, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert!(other.ask("HELLO 3").await.starts_with('%'));
    assert!(three.ask("HELLO 3").await.starts_with('%'));
    assert_eq!(three.ask("SUBSCRIBE a").await, ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(three.ask("SET k v").await, "+OK\r\n", "in RESP3 a subscriber may ask anything");
    other.ask("PUBLISH a hello").await;
    assert_eq!(two.reply().await, pushed("message", "$1\r\na\r\n$5\r\nhello"));
    assert_eq!(three.reply().await, b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n");
    other.ask("PUBLISH cc x").await;
    assert_eq!(two.reply().await, b"*4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncc\r\n$1\r\nx\r\n");
    other.ask("SPUBLISH s y").await;
    assert_eq!(two.reply().await, pushed("smessage", "$1\r\ns\r\n$1\r\ny"));
    let list = other.ask("CLIENT LIST").await;
    assert!(!list.contains("sub=2"), "it is the other proxy's client: {list}");
    assert!(three.ask("CLIENT LIST TYPE pubsub").await.contains("sub=2 psub=1 ssub=1 "));
    three.send(b"CLIENT REPLY OFF\r\nSUBSCRIBE d\r\nGET k\r\nCLIENT REPLY ON\r\n").await;
    assert_eq!(
        three.reply().await,
        b">3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n",
        "what is pushed is no reply"
    );
    assert_eq!(three.reply().await, b"+OK\r\n");
    two.send(b"UNSUBSCRIBE a b\r\nPUNSUBSCRIBE\r\nSUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nGET k\r\n").await;
    for expected in [
        pushed("unsubscribe", "$1\r\na\r\n:2"),
        pushed("unsubscribe", "$1\r\nb\r\n:1"),
        pushed("punsubscribe", "$2\r\nc*\r\n:0"),
        pushed("sunsubscribe", "$1\r\ns\r\n:0"),
        pushed("unsubscribe", "$-1\r\n:0"),
        b"$1\r\nv\r\n".to_vec(),
    ] {
        assert_eq!(String::from_utf8_lossy(&two.reply().await), String::from_utf8_lossy(&expected));
    }
}

#[tokio::test]
async fn script_kill_ends_what_holds_up_the_nodes_unless_it_has_written() {
    const ENDLESS: &str = "while true do end redis.call('SET', KEYS[1], 1)";
    const LONG: &str =
        "redis.call('INCR', KEYS[1]) local n = 0 for i = 1, 5e7 do n = n + i end return 'done'";
    let cluster = Cluster::start().await;
    for node in cluster.iter() {
        node.run::<()>(&["CONFIG", "SET", "lua-time-limit", "50"]).await.expect("a short limit");
    }
    let proxy = proxy(cluster.client().await).await;
    let (mut runner, mut killer) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    assert_eq!(killer.ask("SCRIPT KILL").await, "-NOTBUSY No scripts in execution right now.\r\n");
    runner.send(&encoded(&["EVAL", ENDLESS, "1", "k"])).await;
    eventually("it is killed", PATIENCE, async || killer.ask("SCRIPT KILL").await == "+OK\r\n").await;
    // On a node that it reached later it may still run.
    let told = loop {
        let told = tokio::time::timeout(Duration::from_millis(100), runner.reply()).await;
        match told {
            Ok(told) => break String::from_utf8_lossy(&told).into_owned(),
            Err(_) => drop(killer.ask("SCRIPT KILL").await),
        }
    };
    // Not known, where a node had not been reached yet.
    let code = ["-NOTAPPLIED", "-NOQUORUM", "-INDETERMINATE"].iter().any(|code| told.starts_with(code));
    assert!(code && told.contains("Script killed by user"), "{told}");
    eventually("the store works again", PATIENCE, async || {
        killer.ask("SCRIPT KILL").await;
        killer.ask("GET k").await == "$-1\r\n"
    })
    .await;

    runner.send(&encoded(&["EVAL", LONG, "1", "n"])).await;
    eventually("it has written", PATIENCE, async || {
        killer.ask("SCRIPT KILL").await.starts_with("-UNKILLABLE")
    })
    .await;
    runner.reply().await;
    eventually("it ran once", PATIENCE, async || killer.ask("GET n").await == "$1\r\n1\r\n").await;
}

/// A connection each: half a request that stays, one that comes byte by byte, headers that promise 2 GiB, deep nesting, rubbish.
#[tokio::test]
async fn what_attackers_send_costs_nobody_else_anything() {
    let cluster = Cluster::start().await;
    let settings = Settings { idle: Some(Duration::from_secs(2)), ..Settings::default() };
    let proxy = proxy_with(cluster.client().await, settings).await;
    let rubbish: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let hostile = [
        b"*2\r\n$3\r\nGET\r\n$300000000\r\nhalf".to_vec(),
        b"*1000000\r\n$3\r\nDEL\r\n".to_vec(),
        b"*1\r\n$2147483648\r\n".to_vec(),
        "*1\r\n".repeat(100_000).into_bytes(),
        vec![0; 100_000],
        rubbish,
    ];
    let before = resident_bytes();
    let mut held = Vec::new();
    for bytes in hostile.iter().cycle().take(300) {
        let mut stream = tokio::net::TcpStream::connect(proxy.addresses()[0]).await.expect("a connection");
        // It may have been told off, and let go, before it has said all.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await;
        held.push(stream);
    }
    let mut other = Raw::of(&proxy).await;
    for turn in 0..100 {
        assert_eq!(other.ask(&format!("SET k {turn}")).await, "+OK\r\n");
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 128 * 1024 * 1024, "{grown} bytes");
    // Who says nothing more is let go, also in the midst of a request.
    eventually("they are let go", PATIENCE, async || {
        other.ask("PING").await;
        proxy.shared().clients.len() == 1
    })
    .await;
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("pages");
    pages * 4096
}
