//! The healer that runs by itself, as a program and as a task.

mod harness;

use anarchoredis::Client;
use anarchoredis::heal::Settings;
use anarchoredis::node::Seat;
use harness::{Nodes, eventually};
use redis::AsyncCommands;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

async fn client(nodes: &Nodes) -> Client {
    Client::builder().nodes(nodes.urls()).connect().await.expect("a client")
}

async fn write(client: &Client, from: u32, to: u32) {
    let mut store = client.clone();
    for number in from..to {
        let _: () = store.set(format!("key:{number}"), number).await.expect("a write");
    }
}

fn votes(client: &Client) -> usize {
    client.nodes().iter().filter(|node| matches!(node.seat, Seat::Voter(_))).count()
}

#[test]
fn the_readme_tells_the_defaults_of_a_healer() {
    let told = |name: &str| {
        let start = format!("| `{name}` | ");
        let row = include_str!("../README.md").lines().find_map(|line| line.strip_prefix(&start));
        row.and_then(|row| row.split(" | ").next())
            .unwrap_or_else(|| panic!("the README has no row for {name}"))
    };
    let Settings { interval, drain_every, keys_per_second, bytes_per_second, patience, strict } =
        Settings::default();
    assert_eq!(told("interval"), format!("{} s", interval.as_secs()));
    assert_eq!(told("drain_every"), format!("{} s", drain_every.as_secs()));
    assert_eq!(told("keys_per_second").replace(',', ""), keys_per_second.to_string());
    assert_eq!(told("bytes_per_second"), format!("{} MiB", bytes_per_second / 1024 / 1024));
    assert_eq!(told("patience"), patience.to_string());
    assert_eq!(told("strict"), if strict { "yes" } else { "no" });
}

fn quick() -> Settings {
    Settings {
        drain_every: Duration::from_millis(100),
        interval: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// A node must come back by itself, however it went.
async fn comes_back(nodes: &Nodes, client: &Client, keys: u64) {
    eventually("all nodes vote again", SOON, || async { votes(client) == 3 }).await;
    let counts = async || {
        let mut counts = Vec::new();
        for node in nodes.iter() {
            let records: Vec<String> = node.run(&["KEYS", "anrcho_version:*"]).await.expect("keys");
            counts.push(records.len() as u64);
        }
        counts
    };
    eventually("all nodes hold all registers", SOON, || async { counts().await == vec![keys; 3] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_drains_dirty_sets_brings_nodes_back_and_stops_when_told() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write(&client, 0, 50).await;
    let daemon = client.healer().run(quick());
    nodes[2].pause();
    write(&client, 0, 20).await;
    nodes[2].resume();
    let marked = async || nodes[0].run::<u64>(&["HLEN", "anrcho_dirty"]).await.expect("the dirty set");
    assert!(marked().await > 0);
    eventually("the dirty set is drained", SOON, || async { marked().await == 0 }).await;

    // However long it was away, it is brought back as soon as it is there.
    nodes[1].kill();
    tokio::time::sleep(Duration::from_secs(4)).await;
    nodes[1].restart_empty().await;
    eventually("the loss is found out", SOON, || async { votes(&client) == 2 }).await;
    write(&client, 50, 60).await;
    comes_back(&nodes, &client, 60).await;
    let mut last = daemon.last();
    let complete = last.wait_for(|last| last.as_ref().is_some_and(|last| last.complete));
    tokio::time::timeout(SOON, complete).await.expect("in time").expect("the daemon lives");
    tokio::time::timeout(SOON, daemon.stop()).await.expect("it stops");
    assert_eq!(client.repairs().waiting, 0, "nothing waits at rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_daemons_at_once_bring_a_node_back_and_none_gives_up() {
    let nodes = Nodes::start(3).await;
    let clients = [client(&nodes).await, client(&nodes).await, client(&nodes).await];
    write(&clients[0], 0, 300).await;
    let daemons: Vec<_> = clients.iter().map(|client| client.healer().run(quick())).collect();
    for place in [0, 2, 1] {
        nodes[place].restart_empty().await;
        for client in &clients {
            eventually("the loss is found out, or mended already", SOON, || async {
                let record: u64 = nodes[place].run(&["EXISTS", "anrcho_node"]).await.expect("an answer");
                votes(client) == 2 || record == 1
            })
            .await;
        }
        comes_back(&nodes, &clients[0], 300).await;
    }
    for daemon in daemons {
        tokio::time::timeout(SOON, daemon.stop()).await.expect("it stops");
    }
}

/// Found by tests/torture (seed 1000): its healer took the keys that clients brought to the node for another healer's work, and waited for
/// that one for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_filled_though_a_healer_died_at_it_and_clients_write_new_keys_all_the_time() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write(&client, 0, 2_000).await;
    // It looks seldom, so that the other one begins.
    let daemon = client.healer().run(Settings { drain_every: Duration::from_secs(2), ..quick() });
    let epoch = async || nodes[0].run::<String>(&["HGET", "anrcho_node", "epoch"]).await.expect("an epoch");
    let before = epoch().await;
    let writer = tokio::spawn({
        let mut store = client.clone();
        async move {
            for number in 0_u64.. {
                let _: () = store.set(format!("new:{number}"), number).await.expect("a write");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let dies = Client::builder().nodes(nodes.urls()).connect().await.expect("a client").healer();
    nodes[2].restart_empty().await;
    eventually("the loss is found out", SOON, || async {
        votes(dies.client()) == 2 || epoch().await != before
    })
    .await;
    let pass = tokio::spawn(async move { dies.once(&anarchoredis::heal::Silent).await });
    eventually("a pass began", SOON, || async { epoch().await != before }).await;
    pass.abort();
    eventually("all nodes vote again", SOON, || async { votes(&client) == 3 }).await;
    writer.abort();
    tokio::time::timeout(SOON, daemon.stop()).await.expect("it stops");
}

/// The program, with what it says.
struct Program {
    child: Child,
    lines: Arc<Mutex<String>>,
}

impl Program {
    fn start(nodes: &Nodes, words: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        nodes.urls().iter().for_each(|url| {
            command.args(["--node", url]);
        });
        let mut child = command.args(words).stderr(Stdio::piped()).spawn().expect("anarcho-heal starts");
        let (lines, pipe) = (Arc::new(Mutex::new(String::new())), child.stderr.take().expect("a pipe"));
        let told = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                told.lock().expect("the lines").push_str(&(line + "\n"));
            }
        });
        Program { child, lines }
    }

    fn signal(&self, number: i32) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: a signal to our own child, which was not waited for yet.
        assert_eq!(unsafe { libc::kill(id, number) }, 0);
    }

    async fn says(&self, what: &str) {
        eventually(what, SOON, || async { self.lines.lock().expect("the lines").contains(what) }).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_heals_until_sigterm_reads_its_file_again_at_sighup_and_shows_metrics() {
    let nodes = Nodes::start(3).await;
    let client = client(&nodes).await;
    write(&client, 0, 30).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("heal.toml");
    std::fs::write(&file, "interval = '1h'\n").expect("a file");
    let path = file.to_str().expect("a path");
    let mut program = Program::start(&nodes, &["--config", path, "--metrics", "127.0.0.1:0"]);
    program.says("swept: all nodes are identical").await;
    nodes[0].restart_empty().await;
    program.says("votes again").await;
    comes_back(&nodes, &client, 30).await;

    std::fs::write(&file, "interval = 'soon'\n").expect("a file");
    program.signal(libc::SIGHUP);
    program.says("the configuration stays as it was").await;
    std::fs::write(&file, "interval = '77s'\n").expect("a file");
    program.signal(libc::SIGHUP);
    program.says("interval: 77s").await;
    program.signal(libc::SIGTERM);
    program.says("stopped").await;
    assert_eq!(program.child.wait().expect("an end").code(), Some(0));
}
