//! Clients of other languages, against a plain Redis first, so that they are known to ask for no more than that, then against a proxy.
//!
//! They need Python, Node, redis-tools and the packages that `scripts/get-clients` fetches, which a machine with Rust alone does not
//! have: `make clients` runs them, `make test` does not.

mod harness;
mod proxy_support;
mod workload;

use anarchoredis::Client;
use anarchoredis::proxy::Proxy;
use harness::{Server, Version};
use proxy_support::proxy;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;
use workload::Cluster;

/// Where `scripts/get-clients` has put them.
fn fetched() -> PathBuf {
    PathBuf::from(std::env::var_os("ANARCHO_CLIENTS").expect("ANARCHO_CLIENTS: use `make clients`"))
}

fn python(script: &str) -> Command {
    let mut command = Command::new(fetched().join("python/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python").join(script));
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(fetched().join("scripts").join(script));
    command
}

async fn run(mut command: Command) -> String {
    let running = command.kill_on_drop(true).output();
    let done = tokio::time::timeout(Duration::from_secs(300), running).await.expect("it ends");
    let done = done.expect("the program starts");
    let (out, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}\n{out}\n{error}");
    out.into_owned()
}

fn url(proxy: &Proxy) -> String {
    format!("redis://{}", proxy.addresses()[0])
}

/// The command that `with` makes for a URL, on a plain Redis and on a proxy.
async fn on_both(with: impl Fn(&str) -> Command) {
    let plain = Server::with(Version::V7_0).start().await;
    run(with(&plain.url())).await;
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    println!("{}", run(with(&url(&proxy))).await);
}

fn wide(url: &str, protocol: &str) -> Command {
    let mut command = python("wide.py");
    command.args([url, protocol]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_py_finds_what_it_expects_of_a_redis() {
    on_both(|url| wide(url, "2")).await;
    on_both(|url| wide(url, "3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ioredis_and_node_redis_find_what_they_expect_of_a_redis() {
    on_both(|url| {
        let mut command = node("wide.mjs");
        command.arg(url);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_benchmark_runs_its_default_tests() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let port = proxy.addresses()[0].port().to_string();
    for pipeline in ["1", "16"] {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &port, "-q", "-n", "2000", "-P", pipeline]);
        let told = run(command).await;
        let lines = told.split(['\r', '\n']).filter(|line| line.contains("requests per second, p50"));
        assert!(lines.count() >= 20, "{told}");
        assert!(!told.contains("Error") && !told.contains("WARNING"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cli_shows_what_it_shows_of_a_redis() {
    let cluster = Cluster::start().await;
    let proxy = proxy(cluster.client().await).await;
    let port = proxy.addresses()[0].port().to_string();
    let cli = |args: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port]).args(args);
        run(command)
    };
    assert_eq!(cli(&["SET", "k", "a b"]).await, "OK\n");
    assert_eq!(cli(&["-3", "HSET", "h", "f", "v"]).await, "1\n");
    assert_eq!(cli(&["-3", "--json", "HGETALL", "h"]).await, "{\"f\":\"v\"}\n");
    let mut all = cli(&["--scan"]).await.lines().map(str::to_owned).collect::<Vec<_>>();
    all.sort();
    // SCAN may give a key more than once, and does here: more than one node is walked.
    all.dedup();
    assert_eq!(all, ["h", "k"]);
    assert!(cli(&["INFO"]).await.contains("# Anarcho"));
    assert!(cli(&["--latency", "-i", "1", "--raw"]).await.split_whitespace().count() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sees_nothing_of_a_node_that_dies_under_load() {
    let cluster = Cluster::durable(3).await;
    let proxy = proxy(cluster.client().await).await;
    let mut command = python("load.py");
    command.arg(url(&proxy)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut load = command.spawn().expect("python");
    let mut lines = BufReader::new(load.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("working"));
    let counted = async || {
        let requests = &proxy.shared().stats.requests;
        requests.load(std::sync::atomic::Ordering::Relaxed)
    };
    let client = cluster.client().await;
    for victim in 0..3 {
        let before = counted().await;
        harness::eventually("work goes on", workload::PATIENCE, async || counted().await > before + 2_000)
            .await;
        cluster[victim].kill();
        let before = counted().await;
        harness::eventually("without it too", workload::PATIENCE, async || counted().await > before + 2_000)
            .await;
        cluster[victim].restart().await;
        cluster.until_votes(&proxy.shared().client, victim).await;
        cluster.until_votes(&client, victim).await;
    }
    drop(load.stdin.take());
    let told = lines.next_line().await.expect("a line").expect("a summary");
    println!("{told}");
    assert!(told.contains("\"errors\": []"), "{told}");
    assert!(load.wait().await.expect("its end").success());
}

fn jobs(url: &str, count: &str) -> Command {
    let mut command = python("rq_jobs.py");
    command.args([url, count]);
    command
}

/// Kills one node after the other, each after so many further requests, and starts it again after as many, until the work is done.
/// Says how often.
async fn kill_while(
    working: &JoinHandle<String>,
    every: u64,
    cluster: &Cluster,
    client: &Client,
    proxy: &Proxy,
) -> usize {
    let requests = || proxy.shared().stats.requests.load(std::sync::atomic::Ordering::Relaxed);
    let further = async |what: &str| {
        let before = requests();
        let on = async || requests() > before + every || working.is_finished();
        harness::eventually(what, workload::PATIENCE, on).await;
    };
    let (mut victim, mut kills) = (0, 0);
    while !working.is_finished() {
        further("work goes on").await;
        cluster[victim].kill();
        kills += 1;
        further("without the node too").await;
        cluster[victim].restart().await;
        cluster.until_votes(client, victim).await;
        victim = (victim + 1) % 3;
    }
    kills
}

/// RQ's keys have no hash tag: under the scope `rq:` all of them are one register, which its transactions and scripts need.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_of_rq_are_done_once_each_while_nodes_are_killed() {
    let plain = Server::with(Version::V7_0).start().await;
    run(jobs(&plain.url(), "200")).await;
    let cluster = Cluster::durable(3).await;
    let connecting = Client::builder().nodes(cluster.urls()).scope("rq:").connect();
    let client = connecting.await.expect("a client");
    let proxy = proxy(client.clone()).await;
    let working = tokio::spawn(run(jobs(&url(&proxy), "1000")));
    let kills = kill_while(&working, 2_000, &cluster, &client, &proxy).await;
    println!("{kills} kills: {}", working.await.expect("it ends well"));
    assert!(kills > 2, "{kills} kills");
}

fn bullmq(url: &str, count: &str) -> Command {
    let mut command = node("bullmq.mjs");
    command.args([url, count]);
    command
}

/// BullMQ's keys share the hash tag of its prefix. Its scripts use keys that they make up, and streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_of_bullmq_are_done_once_each_while_nodes_are_killed() {
    let plain = Server::with(Version::V7_0).start().await;
    println!("plain: {}", run(bullmq(&plain.url(), "1000")).await);
    let cluster = Cluster::durable(3).await;
    let client = cluster.client().await;
    let proxy = proxy(client.clone()).await;
    let working = tokio::spawn(run(bullmq(&url(&proxy), "1000")));
    let kills = kill_while(&working, 500, &cluster, &client, &proxy).await;
    println!("{kills} kills: {}", working.await.expect("it ends well"));
    assert!(kills > 2, "{kills} kills");
}
