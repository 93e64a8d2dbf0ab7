//! COMMANDS.md is what the code and the servers say, and what the client really does.
//!
//! The page is made from the servers' own lists of commands and from what our table makes of each. `make commands` writes it
//! anew; a test compares it with the file, and others run every command that it names.

#[path = "commands/collect.rs"]
mod collect;
mod command_support;
#[allow(dead_code, reason = "shared with the comparison of random commands")]
#[path = "differential/docs.rs"]
mod docs;
mod harness;
#[path = "commands/page.rs"]
mod page;
#[path = "commands/remarks.rs"]
mod remarks;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anarchoredis::Client;
use collect::{Entry, VERSIONS, collect};
use command_support::live::{script, shown};
use command_support::words;
use harness::{Nodes, Server, Version};

/// What this test, its connections and the client's own look at a node call by themselves.
const OWN_CALLS: [&str; 7] =
    ["info", "config|resetstat", "config|get", "client|setinfo", "command", "script|load", "time"];
/// What the list of calls leaves to the tests of scripts and walks.
const MORE_CALLS: [&str; 29] = [
    "PUBLISH c m",
    "SPUBLISH c m",
    "PUBSUB CHANNELS",
    "PUBSUB NUMSUB",
    "PUBSUB NUMPAT",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDNUMSUB c",
    "EVAL return(1) 0",
    "EVAL_RO return(1) 0",
    "EVALSHA 930269f31393d0be681588b6ab08dccee7d6bb67 0",
    "EVALSHA_RO 930269f31393d0be681588b6ab08dccee7d6bb67 0",
    "SCRIPT LOAD return(2)",
    "SCRIPT EXISTS x",
    "SCRIPT FLUSH",
    "SCAN 0",
    "KEYS *",
    "RANDOMKEY",
    "HSCAN more 0",
    "SSCAN more 0",
    "ZSCAN more 0",
    "DBSIZE",
    "TIME",
    "LOLWUT",
    "MEMORY HELP",
    "OBJECT HELP",
    "PUBSUB HELP",
    "SCRIPT HELP",
    "XGROUP HELP",
    "XINFO HELP",
];
/// No command that is refused needs more arguments before it is.
const MOST_ARGUMENTS: usize = 12;

#[tokio::test]
async fn the_page_is_what_the_code_and_the_servers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("COMMANDS.md");
    let page = page::page(&collect().await);
    if std::env::var_os("ANARCHO_WRITE_COMMANDS").is_some() {
        fs::write(&path, &page).expect("writing COMMANDS.md");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(written, page)| written != page);
    assert!(
        written == page,
        "COMMANDS.md is not up to date, run `make commands`; first difference: {differs:?}"
    );
}

#[tokio::test]
async fn every_command_that_the_page_calls_supported_succeeds() {
    let entries = collect().await;
    let (_nodes, client) = store(Version::V7_0).await;
    let mut succeeded = BTreeSet::new();
    for args in script().chain(MORE_CALLS.into_iter().map(words)) {
        if run(&client, &args).await.is_ok() {
            let lower =
                |count: usize| shown(&args[..count.min(args.len())]).to_ascii_lowercase().replace(' ', "|");
            succeeded.extend([lower(1), lower(2)]);
        }
    }
    // A payload is nothing that a list of commands could hold.
    if let Ok(redis::Value::BulkString(payload)) = run(&client, &words("DUMP s")).await {
        let restored = run(&client, &[words("RESTORE restored 0"), vec![payload]].concat()).await;
        succeeded.extend(restored.is_ok().then(|| "restore".to_owned()));
    }
    for name in ["flushdb", "flushall"] {
        succeeded.extend(run(&client, &words(name)).await.is_ok().then(|| name.to_owned()));
    }
    let supported = entries.values().filter(|entry| entry.reason.is_none());
    let never: Vec<&str> =
        supported.map(|entry| entry.name.as_str()).filter(|name| !succeeded.contains(*name)).collect();
    assert!(never.is_empty(), "called supported, and never succeeded: {never:?}");
}

#[tokio::test]
async fn every_command_that_the_page_calls_refused_is_refused_with_that_reason_before_a_node_sees_it() {
    let entries = collect().await;
    for version in VERSIONS {
        let (nodes, client) = store(version).await;
        nodes.reset_calls().await;
        let refused: Vec<&Entry> = entries.values().filter(|entry| entry.is_refused_on(version)).collect();
        for entry in &refused {
            is_refused(&client, entry).await;
        }
        assert_eq!(nodes.round_trips().await, [0; 3], "{version}: a script was called");
        for node in nodes.iter() {
            let called = calls(node).await;
            let reached: Vec<_> = refused.iter().filter(|entry| called.contains(&entry.name)).collect();
            assert!(reached.is_empty(), "{version}: {reached:?} reached a node");
        }
        // What does reach a node is seen.
        nodes[0].run::<i64>(&["LASTSAVE"]).await.expect("LASTSAVE");
        assert!(calls(&nodes[0]).await.contains("lastsave"));
    }
}

/// Three nodes and a client.
async fn store(version: Version) -> (Nodes, Client) {
    let nodes = Nodes::of(&[version; 3]).await;
    let client = Client::builder().nodes(nodes.urls()).connect().await.expect("a client");
    (nodes, client)
}

async fn run(client: &Client, args: &[Vec<u8>]) -> Result<redis::Value, String> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    client.run(&args).await.map_err(|error| error.to_string())
}

/// With the fewest arguments that the command takes.
async fn is_refused(client: &Client, entry: &Entry) {
    let expected = entry.refusal();
    let mut said = BTreeSet::new();
    for more in 0..MOST_ARGUMENTS {
        let mut args: Vec<Vec<u8>> = entry.name.split('|').map(|word| word.as_bytes().to_vec()).collect();
        args.extend(vec![b"1".to_vec(); more]);
        let error = run(client, &args).await.expect_err(&entry.name);
        if error.contains(&expected) {
            return;
        }
        said.insert(error);
    }
    panic!("{}: {said:?} instead of {expected:?}", entry.name);
}

/// The commands that the server has run, other than those that looking at it takes.
async fn calls(server: &Server) -> BTreeSet<String> {
    let info: String = server.run(&["INFO", "commandstats"]).await.expect("INFO commandstats");
    let names = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    names.filter(|name| !OWN_CALLS.contains(name)).map(str::to_owned).collect()
}
