//! The rights of `deploy/node-user.acl` are enough for all that a proxy does, and for little else.

mod harness;
mod proxy_support;
mod workload;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Setup, Version, eventually};
use proxy_support::{PATIENCE, Raw, compare, encoded, proxy};

const RIGHTS: &str = include_str!("../deploy/node-user.acl");
const PASSWORD: &str = "s3cret";

fn rights() -> String {
    let line = RIGHTS.trim().strip_prefix("user ").expect("one line");
    line.replace("CHANGE-THIS", PASSWORD)
}

fn with_rights(rights: &str) -> Setup {
    Server::with(Version::V7_0).appendonly("always").config("user", rights)
}

fn urls(nodes: &Nodes) -> Vec<String> {
    nodes.iter().map(|node| format!("redis://anarcho:{PASSWORD}@127.0.0.1:{}", node.port())).collect()
}

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(urls(nodes)).connect().await.expect("a client")
}

#[tokio::test]
async fn the_nodes_user_may_do_what_commands_waiting_subscriptions_and_healing_need() {
    let nodes = Nodes::with((0..3).map(|_| with_rights(&rights()))).await;
    let proxy = proxy(client(&nodes).await).await;
    compare(&proxy, ["HELLO 3"; 2], 4, 150).await;
    let (mut one, mut two) = (Raw::of(&proxy).await, Raw::of(&proxy).await);
    one.send(&encoded(&["BLPOP", "waited", "0"])).await;
    eventually("it waits", PATIENCE, async || two.ask("INFO clients").await.contains("blocked_clients:1"))
        .await;
    assert_eq!(two.ask("RPUSH waited x").await, ":1\r\n");
    assert!(one.reply().await.ends_with(b"x\r\n"));
    assert!(one.ask("SUBSCRIBE news").await.contains("subscribe"));
    assert_eq!(two.ask("PUBLISH news hello").await, ":1\r\n");
    assert!(one.reply().await.ends_with(b"hello\r\n"));
    for command in [
        "SCAN 0",
        "KEYS *",
        "RANDOMKEY",
        "SADD set a b",
        "SPOP set",
        "DUMP set",
        "SORT set ALPHA",
        "WAIT 3 0",
        "COMMAND DOCS get",
    ] {
        let reply = two.ask(command).await;
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    nodes[1].restart_empty().await;
    let healer = Healer::connect(urls(&nodes), Config::default()).await.expect("a healer");
    let summary = healer.once(&Silent).await.expect("a pass");
    assert!(summary.complete, "{summary:?}");
    assert_ne!(two.ask("DBSIZE").await, ":0\r\n");
    assert_eq!(two.ask("FLUSHALL").await, "+OK\r\n");
    assert_eq!(two.ask("DBSIZE").await, ":0\r\n");
    let emptied = async || {
        let mut left = Vec::new();
        for node in nodes.iter() {
            let keys = workload::contents(node).await.into_keys();
            left.extend(keys.filter(|key| !key.starts_with("anrcho_")));
        }
        left.is_empty()
    };
    eventually("every node is empty", PATIENCE, emptied).await;
    assert_eq!(two.ask("SET after it").await, "+OK\r\n");
    assert!(two.ask("SCRIPT KILL").await.starts_with("-NOTBUSY"));
}

#[tokio::test]
async fn the_nodes_user_may_not_do_the_rest() {
    let node = with_rights(&rights()).start().await;
    let url = format!("redis://anarcho:{PASSWORD}@127.0.0.1:{}", node.port());
    let opened = redis::Client::open(url).expect("a URL");
    let mut connection = opened.get_multiplexed_async_connection().await.expect("a connection");
    for command in [
        "CONFIG SET maxmemory 1",
        "CONFIG REWRITE",
        "FLUSHALL",
        "SWAPDB 0 1",
        "DEBUG SLEEP 0",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "ACL LIST",
        "EVAL return 0",
        "SCRIPT FLUSH",
        "FUNCTION FLUSH",
        "CLIENT KILL ID 1",
        "CLIENT LIST",
        "CLIENT PAUSE 1",
        "MODULE LIST",
        "SAVE",
        "MONITOR",
        "SLOWLOG GET",
        "LATENCY RESET",
        "CLUSTER INFO",
        "MIGRATE x 1 k 0 1",
        "MOVE k 1",
    ] {
        let mut cmd = redis::Cmd::new();
        for word in command.split(' ') {
            cmd.arg(word);
        }
        let refused = cmd.query_async::<redis::Value>(&mut connection).await;
        let error = refused.expect_err(command);
        assert_eq!(error.code(), Some("NOPERM"), "{command}: {error}");
    }
}

#[tokio::test]
async fn a_user_with_fewer_rights_is_told_which_one_is_missing() {
    let lacking = rights().replace("+evalsha ", "");
    let nodes = Nodes::with((0..3).map(|_| with_rights(&lacking))).await;
    let refused = Client::builder().nodes(urls(&nodes)).connect().await.expect_err("no rights").to_string();
    assert!(refused.contains("does not allow") && !refused.contains(PASSWORD), "{refused}");
}
