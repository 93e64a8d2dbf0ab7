//! What `status`, `explain` and `verify` say is what is there.

mod harness;

use anarchoredis::heal::{Fault, Healer, Silent};
use anarchoredis::{Client, Config};
use harness::Nodes;
use redis::AsyncCommands;
use std::process::Command;

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("a client")
}

async fn healer(nodes: &Nodes) -> Healer {
    Healer::connect(nodes.urls(), Config::default()).await.expect("a healer")
}

async fn fill(client: &Client) {
    let mut store = client.clone();
    let _: () = store.set("text", "v").await.expect("a write");
    let _: u64 = store.rpush("list", &["a", "b"]).await.expect("a write");
    let _: u64 = store.sadd("set", &["b", "a"]).await.expect("a write");
    let _: () = store.hset("hash", "f", "v").await.expect("a write");
    let _: () = store.set_ex("mortal", "v", 3_600).await.expect("a write");
    let _: () = store.set("gone", "v").await.expect("a write");
    let _: u64 = store.del("gone").await.expect("a delete");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_was_changed_behind_the_protocol_and_repairs_it_from_the_majority() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    fill(&client).await;
    let healer = healer(&nodes).await;
    let verified = healer.verify(false, &Silent).await.expect("a verification");
    assert!(verified.is_sound() && verified.findings.is_empty(), "{verified:?}");
    assert_eq!((verified.registers, verified.keys), (6, 15), "tombstones too");

    let _: () = nodes[1].run(&["SET", "text", "other"]).await.expect("a change");
    let _: u64 = nodes[2].run(&["LREM", "list", "0", "a"]).await.expect("a change");
    let _: u64 = nodes[0].run(&["DEL", "hash"]).await.expect("a change");
    let _: u64 = nodes[0].run(&["PERSIST", "mortal"]).await.expect("a change that no value shows");
    let _: () = nodes[2].run(&["SET", "stranger", "v"]).await.expect("a change");
    let sweep = healer.look(&Silent).await.expect("a look");
    assert!(sweep.complete, "their histories are equal: no sweep finds that");
    let verified = healer.verify(false, &Silent).await.expect("a verification");
    let found = |name: &str| {
        let finding = verified.findings.iter().find(|finding| finding.register == name);
        finding.map(|finding| (finding.fault, finding.nodes.as_slice()))
    };
    let on = |place: usize| {
        vec![nodes[place].url().trim_start_matches("redis://").trim_end_matches('/').to_owned()]
    };
    assert_eq!(found("text"), Some((Fault::Value, on(1).as_slice())), "{verified:?}");
    assert_eq!(found("list"), Some((Fault::Value, on(2).as_slice())), "{verified:?}");
    assert_eq!(found("hash"), Some((Fault::Lost, on(0).as_slice())), "{verified:?}");
    assert_eq!(found("stranger"), Some((Fault::Stray, on(2).as_slice())), "{verified:?}");
    assert_eq!((found("set"), verified.is_sound()), (None, false), "an order of its own is no difference");

    let verified = healer.verify(true, &Silent).await.expect("a repair");
    let left: Vec<&str> =
        verified.findings.iter().filter(|f| !f.repaired).map(|f| f.register.as_str()).collect();
    assert_eq!(left, ["stranger"], "what no record lists is nobody's to delete: {verified:?}");
    let text: String = nodes[1].run(&["GET", "text"]).await.expect("a value");
    let hash: String = nodes[0].run(&["HGET", "hash", "f"]).await.expect("a value");
    assert_eq!((text.as_str(), hash.as_str()), ("v", "v"));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_each_node_holds_and_what_would_be_repaired() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    fill(&client).await;
    let healer = healer(&nodes).await;
    let all_alike = healer.explain(b"list").await;
    assert_eq!(all_alike.rule, "R1", "{all_alike:?}");
    assert!(all_alike.repairs.is_empty() && all_alike.nodes.iter().all(|node| node.kind == "list"));
    assert!(all_alike.nodes.iter().all(|node| node.version == Some(1) && node.bytes > 0), "{all_alike:?}");

    nodes[2].pause();
    let _: u64 = client.clone().rpush("list", "c").await.expect("a write");
    nodes[2].resume();
    let explained = healer.explain(b"list").await;
    let [first, second, third] = explained.nodes.as_slice() else { panic!("{explained:?}") };
    assert_eq!((first.version, first.settled, &first.digest), (Some(2), Some(2), &second.digest));
    // It may have run the op that it got late; what it cannot have is the settle.
    if third.accepted.is_empty() {
        assert_eq!(explained.rule, "R2", "{explained:?}");
        assert!(explained.repairs.iter().any(|line| line.contains(&third.node)), "{explained:?}");
    }
    let nothing = healer.explain(b"never written").await;
    assert_eq!(nothing.rule, "R3", "{nothing:?}");
    assert!(nothing.nodes.iter().all(|node| node.version.is_none() && node.kind == "none"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_answers_as_tables_and_as_json_and_a_dry_run_changes_nothing() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    fill(&client).await;
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        nodes.urls().iter().for_each(|url| {
            command.args(["--node", url]);
        });
        let output = command.args(words).output().expect("anarcho-heal runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("one JSON object");
    let (code, text) = run(&["status"]);
    assert!(code == Some(0) && text.contains("3 of 3 members vote"), "{text}");
    let (_, text) = run(&["status", "--json"]);
    assert_eq!(json(&text)["nodes"].as_array().map(Vec::len), Some(3));
    let (code, text) = run(&["explain", "list"]);
    assert!(code == Some(0) && text.contains("R1"), "{text}");

    let head = format!("{}9 0", nodes[1].record("text").await.expect("a record").promised);
    let change = ["HSET", "anrcho_version:{text}", "h", &head, "d", &"0".repeat(32)];
    let _: u64 = nodes[1].run(&change).await.expect("a change");
    let (code, text) = run(&["--once", "--dry-run", "--json"]);
    assert_eq!((code, &json(&text)["differing"]), (Some(1), &1.into()));
    assert_eq!(nodes[1].record("text").await.expect("a record").version, "9", "a dry run changes nothing");
    let (code, _) = run(&["--once"]);
    assert_eq!(code, Some(0));
    let (code, text) = run(&["verify"]);
    assert!(code == Some(0) && text.contains("0 findings"), "{text}");
    let (code, _) = run(&["recover"]);
    assert_eq!(code, Some(1), "a majority votes");
    nodes[0].kill();
    let (code, text) = run(&["status"]);
    assert!(code == Some(1) && text.contains("2 of 3 members vote"), "{text}");
}
