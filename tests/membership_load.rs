//! Members are added, removed and replaced while four coordinators work, and at some moment of each change the tool or any one server is
//! killed: what was acknowledged is there, every history is linearizable, and the tool, run again, finishes.
//!
//! `ANARCHO_MEMBERSHIP_ROUNDS` sets how many changes, `ANARCHO_SEED` which.

mod harness;
mod workload;

use anarchoredis::heal::{Healer, Silent};
use anarchoredis::{Client, Config};
use harness::{Nodes, Server, Version, eventually};
use std::collections::BTreeMap;
use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use workload::{Mix, Rng};

const SERVERS: usize = 6;
const COORDINATORS: u64 = 4;
const TASKS: u64 = 2;
/// Beside a load that never rests, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(180);

fn from_env(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A change of members, as the tool is told of it.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(usize),
    Remove(usize),
    Replace(usize, usize),
}

struct Game {
    nodes: Nodes,
    members: Vec<usize>,
    rng: Rng,
    count: BTreeMap<String, u32>,
}

/// Has every write on disk before it answers.
fn is_durable(server: usize) -> bool {
    server.is_multiple_of(2)
}

fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

impl Game {
    async fn start(seed: u64) -> Game {
        let setup = |server: usize| {
            Server::with(Version::V7_0).appendonly(if is_durable(server) { "always" } else { "everysec" })
        };
        let nodes = Nodes::with((0..SERVERS).map(setup)).await;
        Game { nodes, members: vec![0, 1, 2], rng: Rng::new(seed), count: BTreeMap::new() }
    }

    fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| self.nodes[*member].url()).collect()
    }

    fn draw(&mut self) -> Change {
        let outside: Vec<usize> = (0..SERVERS).filter(|server| !self.members.contains(server)).collect();
        let inside = self.members[self.rng.place(self.members.len())];
        let outside = outside[self.rng.place(outside.len())];
        match (self.rng.below(3), self.members.len()) {
            (0, ..5) => Change::Add(outside),
            (1, 4..) => Change::Remove(inside),
            _ => Change::Replace(inside, outside),
        }
    }

    fn command(&self, words: &[String]) -> Command {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        for url in self.urls() {
            tool.arg("--node").arg(url);
        }
        tool.args(words).stdout(Stdio::null()).stderr(Stdio::piped());
        tool
    }

    fn words(&self, change: Change) -> Vec<String> {
        let (url, whom) =
            (|server: usize| self.nodes[server].url(), |server: usize| address(&self.nodes[server]));
        match change {
            Change::Add(server) => vec!["node".into(), "add".into(), url(server)],
            Change::Remove(server) => vec!["node".into(), "remove".into(), whom(server)],
            Change::Replace(old, new) => vec!["node".into(), "replace".into(), whom(old), url(new)],
        }
    }

    /// Runs the tool until it ends by itself; what it said where it failed.
    async fn run(&self, words: &[String]) -> Result<(), String> {
        let mut tool = self.command(words).spawn().expect("the tool starts");
        let ended = async || tool.try_wait().expect("its state").is_some();
        eventually("the tool ends", PATIENCE, ended).await;
        let output = tool.wait_with_output().expect("what it said");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// One change, cut short at a random moment, and then carried through.
    async fn round(&mut self) {
        let change = self.draw();
        // A server that is to be added is empty, or was a member once.
        if let Change::Add(server) | Change::Replace(_, server) = change
            && self.rng.below(2) == 0
        {
            self.nodes[server].restart_empty().await;
        }
        let words = self.words(change);
        // A member that is being filled has no vote yet, and of two members each must have one: with one more that forgets, too few may be
        // left. Then nobody goes on without `recover`, which is another test's.
        let may_forget = match change {
            Change::Add(_) => self.members.len() >= 4,
            Change::Remove(_) => self.members.len() >= 4,
            Change::Replace(..) => self.members.len() >= 5,
        };
        let mut tool = self.command(&words).stderr(Stdio::null()).spawn().expect("the tool starts");
        tokio::time::sleep(Duration::from_millis(self.rng.below(1_200))).await;
        let running = tool.try_wait().expect("its state").is_none();
        let mut hurt: Vec<usize> = self.members.clone();
        if let Change::Add(server) | Change::Replace(_, server) = change {
            hurt.push(server);
        }
        let victim = hurt[self.rng.place(hurt.len())];
        let kills_node = self.rng.below(2) == 0 && (may_forget || is_durable(victim));
        let how = if kills_node {
            self.nodes[victim].kill();
            let left = Duration::from_millis(self.rng.below(400));
            tokio::time::sleep(left).await;
            if may_forget && self.rng.below(2) == 0 {
                self.nodes[victim].restart_empty().await;
                "a server, and came back empty"
            } else {
                self.nodes[victim].restart().await;
                "a server"
            }
        } else {
            let _ = tool.kill();
            "the tool"
        };
        let ended = async || tool.try_wait().expect("its state").is_some();
        eventually("the tool ends", PATIENCE, ended).await;
        let name = format!("{change:?}").split('(').next().unwrap_or_default().to_lowercase();
        println!("{change:?}: killed {how}{}", if running { "" } else { ", after it had ended" });
        *self.count.entry(format!("{name}, killed {how}")).or_default() += 1;
        self.carry_through(change, &words).await;
    }

    async fn carry_through(&mut self, change: Change, words: &[String]) {
        let began = Instant::now();
        loop {
            match self.run(words).await {
                Ok(()) => break,
                Err(said) if said.contains("is a member already, and votes") => break,
                Err(said) if matches!(change, Change::Remove(_)) && said.contains("there is no member") => {
                    break;
                }
                Err(said) => {
                    assert!(began.elapsed() < PATIENCE, "{change:?} is not carried through: {said}");
                    // A server that came back without its data, or all of it, is brought back first.
                    let healed = self.run(&["--once".to_owned()]).await;
                    println!("  again, since: {} (heal: {healed:?})", said.trim());
                }
            }
        }
        match change {
            Change::Add(server) => self.members.push(server),
            Change::Remove(server) => self.members.retain(|member| *member != server),
            Change::Replace(old, new) => {
                self.members.retain(|member| *member != old);
                self.members.push(new);
            }
        }
        let healer = Healer::connect(self.urls(), Config::default()).await.expect("a healer");
        let whole = async || {
            let done = healer.once(&Silent).await.is_ok();
            let status = healer.status().await;
            done && status.is_whole() && status.members == self.members.len()
        };
        eventually("all members vote", PATIENCE, whole).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_members_under_load_with_a_kill_at_a_random_moment_lose_nothing() {
    let rounds = from_env("ANARCHO_MEMBERSHIP_ROUNDS", 4);
    let seed = from_env("ANARCHO_SEED", rand::random::<u32>().into());
    println!("seed {seed}, {rounds} rounds");
    let mut game = Game::start(seed).await;
    let mix = Mix::new();
    let (mut coordinators, mut tasks) = (Vec::new(), Vec::new());
    for place in 0..COORDINATORS {
        let client = Client::builder().nodes(game.urls()).connect().await.expect("a coordinator");
        for task in 0..TASKS {
            let rng = Rng::new(seed + 1 + task + TASKS * place);
            tasks.push(tokio::spawn(mix.clone().work(client.clone(), rng, u64::MAX)));
        }
        coordinators.push(client);
    }
    for _ in 0..rounds {
        let before = mix.tally.operations();
        game.round().await;
        mix.tally.until(before + 20).await;
        mix.tally.assert_nothing_wrong();
    }
    mix.end();
    for task in tasks {
        task.await.expect("a task");
    }
    let reader = Client::builder().nodes(game.urls()).connect().await.expect("a client of the last members");
    mix.finish(&reader).await;
    println!("{}\n  {:#?}", mix.tally, game.count);
    mix.tally.assert_nothing_wrong();
    for client in coordinators {
        let all = game.members.len();
        eventually("every coordinator knows who the members are", PATIENCE, async || {
            client.nodes().len() == all
        })
        .await;
        drop(client);
    }
    let healer = Healer::connect(game.urls(), Config::default()).await.expect("a healer");
    let healed = healer.once(&Silent).await.expect("a pass");
    assert!(healed.complete, "{healed:?}");
    let verified = healer.verify(false, &Silent).await.expect("a verification");
    assert!(verified.is_sound(), "{verified:?}");
}
