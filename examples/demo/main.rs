//! `make demo`: three real redis-servers as one store, through a hang, two kills and two returns with nothing.
//!
//! Exits with 0 only if no operation failed, nothing acknowledged is lost or there twice, no read was stale, and all three
//! nodes hold the same in the end.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anarchoredis::heal::{Healer, Silent, Summary};
use anarchoredis::node::Seat;
use anarchoredis::{Client, Config};
use futures_util::future::{join_all, try_join_all};
use harness::{Nodes, Version};

use load::Load;
use proof::{Holdings, Verdict, holdings};
use screen::{Screen, grouped, milliseconds, table};
use tally::{Counts, Tally};

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod load;
mod proof;
mod screen;
mod tally;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a node may take until it votes again.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let shown = tokio::select! {
        shown = show() => shown,
        asked = tokio::signal::ctrl_c() => asked.map(|()| ExitCode::FAILURE).map_err(Into::into),
    };
    shown.unwrap_or_else(|error| {
        eprintln!("the demo cannot go on: {error}");
        ExitCode::FAILURE
    })
}

/// The nodes, the load and the faults.
struct Demo {
    nodes: Nodes,
    clients: Vec<Client>,
    tally: Arc<Tally>,
    screen: Screen,
    total: Counts,
    /// By the heal passes.
    repaired: u64,
}

async fn show() -> Outcome<ExitCode> {
    let mut demo = Demo::prepare().await?;
    let load = Load::start(&demo.clients, &demo.tally);
    demo.screen.say("10 writers and 4 readers begin, over two clients that know nothing of each other");
    demo.watch(2).await;
    demo.hang(1).await;
    demo.kill_and_heal(2).await?;
    demo.kill_and_heal(0).await?;
    let acknowledged = load.stop().await?;
    demo.total.add(&demo.tally.take());
    demo.screen.say("all writers and readers have stopped; a last pass, then each node is asked directly");
    let in_background = demo.close().await;
    let last = demo.heal().await?.last;
    let held = try_join_all(demo.nodes.iter().map(holdings)).await?;
    let verdicts: Vec<Verdict> = held.iter().map(|held| held.verdict(&acknowledged)).collect();
    Ok(demo.conclude(&held, &verdicts, in_background, &last))
}

impl Demo {
    async fn prepare() -> Outcome<Demo> {
        let nodes = Nodes::of(&[Version::Any; 3]).await;
        println!("three unmodified redis-servers, which know nothing of each other:");
        for (place, node) in nodes.iter().enumerate() {
            println!("  node {}  {}", place + 1, node.url());
        }
        println!("each line shows how they are: ● votes  ◐ is being filled  ○ is away or does not vote\n");
        let connect = || Client::builder().nodes(nodes.urls()).connect();
        let clients = vec![connect().await?, connect().await?];
        let screen = Screen::new(clients[0].clone());
        Ok(Demo { nodes, clients, tally: Arc::default(), screen, total: Counts::default(), repaired: 0 })
    }

    /// Lets the load go on, and tells how it went.
    async fn watch(&mut self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let counts = self.tally.take();
        self.screen.report(&counts);
        self.total.add(&counts);
    }

    async fn hang(&mut self, place: usize) {
        self.screen.say(&format!(
            "node {} hangs: SIGSTOP, its connections stay open and nothing answers",
            place + 1
        ));
        self.nodes[place].pause();
        self.watch(3).await;
        self.nodes[place].resume();
        self.screen.say(&format!("node {} goes on: SIGCONT", place + 1));
        self.watch(2).await;
    }

    async fn kill_and_heal(&mut self, place: usize) -> Outcome<()> {
        let node = place + 1;
        self.screen.say(&format!("node {node} is killed: kill -9, and its data is gone"));
        self.nodes[place].kill();
        self.watch(2).await;
        self.nodes[place].restart_empty().await;
        self.screen.say(&format!(
            "node {node} is started again, empty: it must not vote, or it would vote for \"nothing\""
        ));
        self.watch(1).await;
        let healed = self.heal().await?;
        self.until_all_know().await;
        let (seen, repairs) = (grouped(healed.last.seen), grouped(healed.repairs));
        self.screen.say(&format!(
            "node {node} is filled while all write on: {seen} registers compared, {repairs} repairs"
        ));
        self.watch(1).await;
        Ok(())
    }

    /// What `anarcho-heal --once` does, again until every node votes: a pass that meets a node in trouble leaves it to the next.
    async fn heal(&mut self) -> Outcome<Healed> {
        let healer = Healer::connect(self.nodes.urls(), Config::default()).await?;
        let mut repaired = 0;
        let started = Instant::now();
        let last = loop {
            let patient = started.elapsed() < PATIENCE;
            match healer.once(&Silent).await {
                Ok(summary) => {
                    repaired += repairs(&summary);
                    if summary.away.is_empty() {
                        break summary;
                    }
                    if !patient {
                        return Err(format!("not every node votes again: {}", summary.away.join("; ")).into());
                    }
                }
                Err(error) if !patient => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        };
        self.repaired += repaired;
        Ok(Healed { last, repairs: repaired })
    }

    /// A client looks at a node that was away about once a second.
    async fn until_all_know(&self) {
        let knows = |client: &Client| client.nodes().iter().all(|node| matches!(node.seat, Seat::Voter(_)));
        let all_know = async || self.clients.iter().all(knows);
        harness::eventually("all clients see all nodes vote", PATIENCE, all_know).await;
    }

    /// Lets the clients finish what they do in the background, and says how much they repaired.
    async fn close(&mut self) -> u64 {
        let clients = std::mem::take(&mut self.clients);
        let counted = clients.to_vec();
        join_all(clients.into_iter().map(Client::close)).await;
        counted.iter().map(|client| client.repairs().done).sum()
    }

    fn conclude(
        &self,
        held: &[Holdings],
        verdicts: &[Verdict],
        in_background: u64,
        last: &Summary,
    ) -> ExitCode {
        let total = &self.total;
        let worst = |count: fn(&Verdict) -> u64| verdicts.iter().map(count).max().unwrap_or(0);
        let (lost, doubled) = (worst(|verdict| verdict.lost), worst(|verdict| verdict.doubled));
        let identical = last.complete && held.iter().all(|other| *other == held[0]);
        let registers = grouped(held[0].registers.len() as u64);
        let nodes = if identical {
            format!("all three hold the same {registers} registers: versions, digests and values")
        } else {
            "they differ".to_owned()
        };
        table(&[
            ("operations", format!("{} in {} s", grouped(total.operations()), self.screen.seconds())),
            ("failed", total.failed.to_string()),
            (
                "longest gap",
                format!("{}, between two successes of any one writer", milliseconds(total.longest_gap)),
            ),
            ("acknowledged writes", grouped(total.writes)),
            ("lost", lost.to_string()),
            ("applied twice", doubled.to_string()),
            ("reads", format!("{}, stale {}", grouped(total.reads), total.stale)),
            (
                "repaired",
                format!(
                    "{} by heal passes, {} in the background",
                    grouped(self.repaired),
                    grouped(in_background)
                ),
            ),
            ("nodes, asked directly", nodes),
        ]);
        if let Some(failure) = &total.first_failure {
            println!("the first failure: {failure}");
        }
        if lost + doubled + total.stale + total.failed > 0 || !identical || total.writes == 0 {
            println!("NOT as it must be");
            return ExitCode::FAILURE;
        }
        println!("nothing that was acknowledged is lost");
        ExitCode::SUCCESS
    }
}

/// What healing came to.
struct Healed {
    /// The last pass.
    last: Summary,
    /// Of all passes, on all nodes.
    repairs: u64,
}

fn repairs(summary: &Summary) -> u64 {
    summary.repaired.iter().map(|node| node.registers).sum()
}
