//! A million elements, tens of thousands of keys of one scope, 64 MiB in one value: a write costs what a write costs, and a repair moves the value once,
//! in pieces. What it costs in milliseconds is in the README, from `cargo bench --bench large`; here only ratios and counts are held.
//!
//! With `ANARCHO_LARGE=1` sets, hashes and sorted sets have a million elements too, scopes 100,000 keys, and the string has 256 MiB.

mod harness;
mod workload;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::node::Seat;
use anarchoredis::script::Record;
use anarchoredis::{Client, Config, Consistency};
use harness::{Nodes, Server, eventually};
use redis::Value;
use std::time::{Duration, Instant};
use workload::{Cluster, PATIENCE, difference, run, try_run, words};

const MILLION: usize = 1_000_000;

fn is_long_run() -> bool {
    std::env::var_os("ANARCHO_LARGE").is_some()
}

/// Elements of what takes long to fill.
fn many() -> usize {
    if is_long_run() { MILLION } else { 60_000 }
}

/// Keys of a scope.
fn many_keys() -> usize {
    if is_long_run() { 100_000 } else { 40_000 }
}

/// Settings for replies of a million elements, which a debug build takes seconds to read.
fn patient() -> Config {
    let patient = Duration::from_secs(20);
    Config { operation_timeout: patient, answer_timeout: patient, ..Config::default() }
}
/// Elements of one command.
const CHUNK: usize = 2_000;

/// A command on `key` with elements, two thousand at a time.
async fn fill(
    client: &Client,
    command: &str,
    key: &str,
    elements: usize,
    element: impl Fn(usize) -> Vec<String>,
) {
    for first in (0..elements).step_by(CHUNK) {
        let mut cmd = redis::cmd(command);
        if !key.is_empty() {
            cmd.arg(key);
        }
        (first..elements.min(first + CHUNK)).for_each(|number| {
            cmd.arg(element(number));
        });
        client.run_cmd(&cmd).await.unwrap_or_else(|error| panic!("{command} {key}: {error}"));
    }
}

/// Bytes that a server has received, calls of scripts there, and the longest of them in µs, since the last `begin`.
struct Cost {
    received: f64,
    longest_us: i64,
}

async fn begin(server: &Server) -> f64 {
    let _: Value = server.run(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]).await.unwrap();
    let _: Value = server.run(&["CONFIG", "SET", "slowlog-max-len", "20000"]).await.unwrap();
    let _: Value = server.run(&["SLOWLOG", "RESET"]).await.unwrap();
    received(server).await
}

async fn cost_since(server: &Server, began: f64) -> Cost {
    let log: Vec<Vec<Value>> = server.run(&["SLOWLOG", "GET", "-1"]).await.unwrap();
    let micros = |entry: &Vec<Value>| match (&entry[2], &entry[3]) {
        (Value::Int(micros), Value::Array(words)) if words[0] == Value::BulkString(b"EVALSHA".to_vec()) => {
            *micros
        }
        _ => 0,
    };
    Cost { received: received(server).await - began, longest_us: log.iter().map(micros).max().unwrap_or(0) }
}

async fn received(server: &Server) -> f64 {
    let info: String = server.run(&["INFO", "stats"]).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("total_net_input_bytes:"));
    line.and_then(|bytes| bytes.parse().ok()).unwrap()
}

/// µs that a node spent in one of 200 such writes: the average of those 25 that other load on the machine held up least.
async fn micros_of(client: &Client, node: &Server, write: impl Fn(usize) -> String) -> f64 {
    let mut least = f64::INFINITY;
    for first in (0..200).step_by(25) {
        let _: Value = node.run(&["CONFIG", "RESETSTAT"]).await.unwrap();
        for number in first..first + 25 {
            let () = run(client, &write(number)).await;
        }
        least = least.min(micros_a_call(node).await);
    }
    least
}

async fn micros_a_call(node: &Server) -> f64 {
    let info: String = node.run(&["INFO", "commandstats"]).await.unwrap();
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let (_, rest) = line.split_once("usec_per_call=").unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

async fn heal(nodes: &Nodes) {
    let healer = Healer::connect(nodes.urls(), patient()).await.expect("a healer");
    let healed = healer.once(&Silent).await.expect("a heal pass");
    assert!(!healed.rejoined.is_empty(), "{healed:?}");
}

/// What a write costs a node, next to the same on a small value; then a node loses everything, and is given the value once and in pieces.
async fn costs_what_it_costs(
    client: &Client,
    nodes: &Nodes,
    bytes: usize,
    write: impl Fn(&str, usize) -> String,
) {
    let small = micros_of(client, &nodes[0], |number| write("small", number)).await;
    let large = micros_of(client, &nodes[0], |number| write("large", number)).await;
    println!("a write costs a node {large:.0} µs, on a small value {small:.0}");
    assert!(
        large < small * 4.0 + 50.0,
        "a write on the large value costs {large} µs, on the small one {small}"
    );
    let _: Value = nodes[2].run(&["FLUSHALL"]).await.unwrap();
    let source = begin(&nodes[0]).await;
    let target = begin(&nodes[2]).await;
    let began = Instant::now();
    heal(nodes).await;
    let took = began.elapsed();
    let (gives, takes) = (cost_since(&nodes[0], source).await, cost_since(&nodes[2], target).await);
    println!(
        "healed in {took:?}, {} bytes for {bytes}; longest calls {} and {} µs",
        takes.received, gives.longest_us, takes.longest_us
    );
    assert!(takes.received < bytes as f64 * 2.5 + 1e6, "moved more than once: {} bytes", takes.received);
    let longest = gives.longest_us.max(takes.longest_us);
    assert!(
        u128::try_from(longest).unwrap() * 3 < took.as_micros(),
        "one call of {longest} µs in a repair of {took:?}"
    );
    assert_eq!(difference(nodes).await, Default::default());
}

async fn of_many(command: &str, elements: usize, element: impl Fn(usize) -> Vec<String>, bytes_each: usize) {
    let cluster = Cluster::start().await;
    let connecting = Client::builder().nodes(cluster.urls()).config(patient()).connect();
    let client = connecting.await.expect("a client");
    fill(&client, command, "large", elements, &element).await;
    fill(&client, command, "small", 10, &element).await;
    let write = |key: &str, number: usize| format!("{command} {key} {}", element(MILLION + number).join(" "));
    costs_what_it_costs(&client, &cluster, bytes_each * elements, write).await;
    let count = match command {
        "RPUSH" => "LLEN",
        "SADD" => "SCARD",
        "HSET" => "HLEN",
        _ => "ZCARD",
    };
    assert_eq!(run::<usize>(&client, &format!("{count} large")).await, elements + 200);
    if command == "RPUSH" {
        let all: Vec<String> = run(&client, "LRANGE large 0 -1").await;
        assert_eq!(
            (all.len(), all[700_000].as_str()),
            (MILLION + 200, "e00700000"),
            "a reply of a million elements"
        );
    }
}

#[tokio::test]
async fn a_list_of_a_million_elements() {
    of_many("RPUSH", MILLION, |number| vec![format!("e{number:08}")], 16).await;
}

#[tokio::test]
async fn a_set_of_very_many_members() {
    of_many("SADD", many(), |number| vec![format!("e{number:08}")], 16).await;
}

#[tokio::test]
async fn a_hash_of_very_many_fields() {
    of_many("HSET", many(), |number| vec![format!("f{number:08}"), number.to_string()], 28).await;
}

#[tokio::test]
async fn a_sorted_set_of_very_many_members() {
    of_many("ZADD", many(), |number| vec![number.to_string(), format!("m{number:08}")], 28).await;
}

#[tokio::test]
async fn a_string_of_many_mebibytes() {
    let bytes = if is_long_run() { 256 } else { 64 } * 1024 * 1024;
    let cluster = Cluster::start().await;
    // A debug build takes seconds for what it reads back from three nodes at once.
    let (operation_timeout, answer_timeout) = (Duration::from_secs(25), Duration::from_secs(25));
    let config = Config { operation_timeout, answer_timeout, ..Config::default() };
    let client = Client::builder().nodes(cluster.urls()).config(config).connect().await.expect("a client");
    let text: Vec<u8> = (0..bytes).map(|place| b'a' + (place / 1000 % 26) as u8).collect();
    let _: Value = client.run(&[b"SET", b"large", &text]).await.expect("SET");
    let () = run(&client, "SET small x").await;
    costs_what_it_costs(&client, &cluster, bytes, |key, _| format!("SETRANGE {key} 5 y")).await;
    let Value::BulkString(found) = client.run(&words("GET large")).await.expect("GET") else {
        panic!("no string")
    };
    assert_eq!(found.len(), bytes);
    assert_eq!(found[5], b'y');
    assert!(found[6..] == text[6..]);
}

async fn scope_of(keys: usize) -> (Nodes, Client) {
    let nodes = Nodes::start(3).await;
    let client = Client::builder().nodes(nodes.urls()).scope("s:").connect().await.expect("a client");
    fill(&client, "MSET", "", keys, |number| vec![format!("s:{number:08}"), format!("v{number}")]).await;
    (nodes, client)
}

#[tokio::test]
async fn a_scope_of_very_many_keys() {
    let (nodes, client) = scope_of(many_keys()).await;
    let write = |key: &str, number: usize| match key {
        "small" => format!("SET other {number}"),
        _ => format!("SET s:{:08} w{number}", number * 77),
    };
    costs_what_it_costs(&client, &nodes, many_keys() * 55, write).await;
}

#[tokio::test]
async fn a_node_that_missed_writes_to_a_scope_of_very_many_keys_is_given_those_keys() {
    let (nodes, client) = scope_of(many_keys()).await;
    nodes[2].pause();
    let () = run(&client, "SET s:00000007 first").await;
    for number in 0..200 {
        let () = run(&client, &format!("SET s:{:08} missed", number * 3)).await;
    }
    let () = run(&client, &format!("DEL s:{:08}", many_keys() - 1)).await;
    nodes[2].resume();
    let votes = async || matches!(client.nodes()[2].seat, Seat::Voter(_));
    eventually("the node votes again", PATIENCE, votes).await;
    let began = received(&nodes[2]).await;
    let is_same = async || {
        let () = run(&client, "EXISTS s:00000000").await;
        let mut digests = Vec::new();
        for node in nodes.iter() {
            digests.push(node.record("s:").await.expect("a record").digest);
        }
        client.repairs().waiting == 0 && digests.windows(2).all(|two| two[0] == two[1])
    };
    eventually("it holds the history of the others", PATIENCE, is_same).await;
    let moved = received(&nodes[2]).await - began;
    println!("{moved} bytes");
    assert!(moved < 300_000.0, "{moved} bytes, of a scope of some 50 times as many keys");
    assert_eq!(difference(&nodes).await, Default::default());
}

#[tokio::test]
async fn a_scope_is_filled_while_it_is_written_to_and_by_whoever_comes_next_if_the_filler_dies() {
    let (nodes, client) = scope_of(20_000).await;
    let _: Value = nodes[2].run(&["FLUSHALL"]).await.unwrap();
    let writing = tokio::spawn({
        let client = client.clone();
        async move {
            let mut number = 0;
            loop {
                let set = format!("MSET s:{:08} x{number} s:new:{number} 1", number * 31 % 20_000);
                let delete = format!("DEL s:{:08}", number * 37 % 20_000);
                // A new epoch can make one indeterminate.
                for line in [set, delete] {
                    let _: Result<Value, _> = try_run(&client, &line).await;
                }
                number += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let dying = tokio::spawn(async move {
        // On a busy machine the first pass may find a node slow and give up.
        loop {
            let _ = healer.once(&Silent).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let is_begun = async || nodes[2].run::<bool>(&["HEXISTS", "anrcho_version:{s:}", "f"]).await.unwrap();
    eventually("a fill has begun", PATIENCE * 4, is_begun).await;
    dying.abort();
    let _ = dying.await;
    let () = run(&client, "SET s:while 1").await;
    // It is another fill's turn 20 s later; here the time is moved.
    let f: Option<String> = nodes[2].run(&["HGET", "anrcho_version:{s:}", "f"]).await.unwrap();
    if let Some(f) = f {
        let old = format!("{}{}", &f[..32], 1_000_000_000_000_u64);
        let _: Value = nodes[2].run(&["HSET", "anrcho_version:{s:}", "f", &old]).await.unwrap();
    }
    let healer = Healer::connect(nodes.urls(), Config::default()).await.expect("a healer");
    let healed =
        async || healer.once(&Silent).await.is_ok() && matches!(client.nodes()[2].seat, Seat::Voter(_));
    eventually("a heal pass goes through, under writes", PATIENCE * 4, healed).await;
    writing.abort();
    let _ = writing.await;
    let is_same = async || {
        let () = run(&client, "EXISTS s:00000000").await;
        client.repairs().waiting == 0 && difference(&nodes).await.is_empty()
    };
    eventually("all nodes hold the same", PATIENCE, is_same).await;
    assert_eq!(run::<usize>(&client, "EXISTS s:while").await, 1);
}

async fn record(server: &Server) -> Record {
    server.record("t").await.expect("a record")
}

/// A client of all nodes whose answers come late, in a runtime of its own, so that it can die with all that it does.
async fn late_client(
    cluster: &Cluster,
) -> (tokio::runtime::Runtime, Vec<harness::Link>, tokio::sync::oneshot::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut links = Vec::new();
    for server in cluster.iter() {
        links.push(harness::Link::before(server).await);
    }
    let urls: Vec<String> = links.iter().map(harness::Link::url).collect();
    let (connected, ready) = tokio::sync::oneshot::channel();
    let (go, told) = tokio::sync::oneshot::channel::<()>();
    runtime.spawn(async move {
        let client = Client::builder().nodes(urls).connect().await.expect("a client");
        let _ = connected.send(());
        let _ = told.await;
        let weak = client.with_consistency(Consistency::Quorum);
        let _ = try_run::<Option<String>>(&weak, "GET {t}k0:0").await;
        std::future::pending::<()>().await;
    });
    ready.await.expect("it is connected");
    links.iter().for_each(|link| link.delay(Duration::from_millis(40)));
    (runtime, links, go)
}

/// Another coordinator's settle of what the node holds, which reaches no other node; answers its ballot.
async fn settled_there_alone(server: &Server) -> String {
    let settle = anarchoredis::script::script(anarchoredis::script::Name::Settle);
    let fence: String = server.run(&["GET", "anrcho_fence"]).await.expect("a fence");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time");
    let ballot = format!("{:016}-{:016x}", now.as_micros(), 7);
    let deadline = (now.as_millis() + 60_000).to_string();
    let Record { version, digest, .. } = record(server).await;
    let key = "anrcho_version:{t}";
    let call = [
        "EVAL",
        &settle.source,
        "1",
        key,
        &fence,
        &deadline,
        &ballot,
        &version,
        &digest,
        "confirm",
        "",
        "",
        "",
    ];
    let _: Vec<String> = server.run(&call).await.expect("a settle");
    assert_eq!(record(server).await.accepted, ballot, "it was taken");
    ballot
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_lets_go_of_nothing_on_the_word_of_one_other() {
    const T: usize = 0;
    const A: usize = 1;
    const B: usize = 2;
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let stray = cluster.coordinator().await;
    for part in 0..6 {
        fill(&client, "MSET", "", 1_000, |key| vec![format!("{{t}}k{part}:{key}"), "v".into()]).await;
    }
    cluster[B].pause();
    cluster.until_not_voting(&client, B).await;
    run::<()>(&client, "SET {t}c acknowledged").await;
    drop(client);
    let settled = async || record(&cluster[T]).await.accepted == record(&cluster[A]).await.accepted;
    eventually("both have taken the settle", PATIENCE, settled).await;
    // An op that reaches T alone, and a settle that reaches A alone.
    stray.links[A].cut_requests();
    let before = record(&cluster[T]).await.digest;
    let lost = stray.client.clone();
    let op = tokio::spawn(async move { try_run::<()>(&lost, "SET {t}z 1").await.is_ok() });
    eventually("T has run it", PATIENCE, async || record(&cluster[T]).await.digest != before).await;
    op.abort();
    let _ = op.await;
    drop(stray);
    let (reading, links, go) = late_client(&cluster).await;
    let ballot = settled_there_alone(&cluster[A]).await;
    let _ = go.send(());
    // The reader dies as soon as T has been given something.
    let is_repaired = async || {
        let is_begun =
            cluster[T].run::<bool>(&["HEXISTS", "anrcho_version:{t}", "f"]).await.expect("an answer");
        is_begun || record(&cluster[T]).await.accepted >= ballot
    };
    eventually("a repair has begun", PATIENCE, is_repaired).await;
    links.iter().for_each(|link| link.cut());
    reading.shutdown_background();
    // A is away, B is back: nothing was lost.
    cluster[A].pause();
    cluster[B].resume();
    let client = Client::builder().nodes(cluster.urls()).connect().await.expect("a client");
    let read = async || match try_run::<Option<String>>(&client, "GET {t}c").await {
        Ok(read) => {
            assert_eq!(read.as_deref(), Some("acknowledged"));
            true
        }
        Err(_) => false,
    };
    eventually("it is read", PATIENCE, read).await;
    cluster[A].resume();
}
