//! Hurts the nodes: several at a time up to what the store is to bear, and now and then a majority.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;

use super::book::Book;
use super::faults::{CUTS, Kind};
use super::site::{Node, PROXIES, Persistence, Site};
use crate::workload::Rng;

/// After how long it is told that a node has no vote yet, and others are hurt. Beside faults and a load that never rests this is no
/// promise; when all is calm it is one.
const RECOVERY: Duration = Duration::from_secs(90);
/// For a change of members to be done, by however many runs of the command: nothing else is wrong meanwhile.
const REPLACEMENT: Duration = Duration::from_secs(240);

/// Faults under way.
type Hurts = FuturesUnordered<LocalBoxFuture<'static, ()>>;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whom it happened to.
    pub lane: String,
    pub name: String,
    pub from: Duration,
    pub to: Duration,
    /// When the node had its vote again.
    pub whole: Duration,
    /// No majority could answer.
    pub beyond: bool,
}

/// Who hurts.
pub struct Nemesis {
    pub site: Arc<Site>,
    pub book: Arc<Book>,
    pub rng: Rng,
    pub faults: Arc<Mutex<Vec<Fault>>>,
}

impl Nemesis {
    /// Until that moment. Nothing is being done to any node when it returns.
    pub async fn run(mut self, until: Duration) {
        // Not tasks: what the harness waits for is not `Send`.
        let mut hurts: Hurts = FuturesUnordered::new();
        let mut side = JoinSet::new();
        while self.book.now() < until {
            while side.try_join_next().is_some() {}
            match self.rng.below(20) {
                0 => {
                    while hurts.next().await.is_some() {}
                    self.majority().await;
                }
                1 | 2 if self.site.has_changing_members() => {
                    while hurts.next().await.is_some() {}
                    self.replace_member().await;
                }
                3 | 4 if side.is_empty() => {
                    side.spawn(self.program());
                }
                _ => self.one_node(&hurts),
            }
            let pause = 100 + self.rng.below(1_500);
            let pause = tokio::time::sleep(Duration::from_millis(pause));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(()) = hurts.next(), if !hurts.is_empty() => {}
                }
            }
        }
        while hurts.next().await.is_some() {}
        while side.join_next().await.is_some() {}
    }

    /// A fault of one more node, where that leaves a majority of those that are not hurt.
    fn one_node(&mut self, hurts: &Hurts) {
        let nodes = self.site.nodes();
        let hurt = nodes.iter().filter(|node| node.is_hurt()).count();
        if hurt + self.site.majority() >= nodes.len() {
            return;
        }
        let place = self.rng.place(nodes.len());
        let node = Arc::clone(&nodes[place]);
        if !node.claim() {
            return;
        }
        let kind = Kind::any(&mut self.rng, self.site.persistence);
        let mut rng = Rng::new(self.rng.next());
        let lasts = Duration::from_millis(200 + rng.below(3_500));
        let (site, book, faults) = (self.site.clone(), self.book.clone(), self.faults.clone());
        let hurting = async move {
            let from = book.now();
            let name = kind.inflict(&site, &node, lasts, &mut rng).await;
            let to = book.now();
            let lane = format!("node {}", place + 1);
            if !comes_back(&node).await {
                site.note(format!("{lane}: no vote {RECOVERY:?} after {name} at {to:?}"));
            }
            let whole = book.now();
            faults.lock().expect("a lock").push(Fault { lane, name, from, to, whole, beyond: false });
            node.release();
        };
        hurts.push(hurting.boxed_local());
    }

    /// A majority, or all, cannot be reached for a while; none of them forgets anything.
    async fn majority(&mut self) {
        if let Err(complaint) = self.site.until_all_vote(RECOVERY).await {
            self.site.note(complaint);
            return;
        }
        let nodes = self.site.nodes();
        let count = self.site.majority() + self.rng.place(nodes.len() - self.site.majority() + 1);
        let first = self.rng.place(nodes.len());
        let hit: Vec<&Arc<Node>> = (0..count).map(|place| &nodes[(first + place) % nodes.len()]).collect();
        let from = self.book.now();
        let ways = if self.site.persistence == Persistence::Always { 3 } else { 2 };
        let chosen: Vec<usize> = hit.iter().map(|_| self.rng.place(ways)).collect();
        let (name, cut) = CUTS[self.rng.place(CUTS.len())];
        for (node, way) in hit.iter().zip(&chosen) {
            match way {
                0 => node.links.iter().for_each(cut),
                1 => node.server.pause(),
                _ => node.server.kill(),
            }
        }
        tokio::time::sleep(Duration::from_millis(500 + self.rng.below(4_000))).await;
        for (node, way) in hit.iter().zip(&chosen) {
            match way {
                0 => node.links.iter().for_each(crate::harness::Link::heal),
                1 => node.server.resume(),
                _ => node.server.restart().await,
            }
        }
        let to = self.book.now();
        let told = chosen.iter().map(|way| [name, "SIGSTOP", "kill -9"][*way]);
        let name = format!("{count} of {}: {}", nodes.len(), told.collect::<Vec<_>>().join(", "));
        let lane = "majority".to_owned();
        self.faults.lock().expect("a lock").push(Fault { lane, name, from, to, whole: to, beyond: true });
    }

    /// A proxy or the healer is killed or hangs.
    fn program(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let mut rng = Rng::new(self.rng.next());
        let (site, book, faults) = (self.site.clone(), self.book.clone(), self.faults.clone());
        async move {
            let from = book.now();
            let lasts = Duration::from_millis(200 + rng.below(2_500));
            let number = rng.place(PROXIES + 1);
            let program = if number < PROXIES { &site.proxies[number].1 } else { &site.healer };
            let killed = rng.below(2) == 0;
            if killed {
                program.kill()
            } else {
                program.pause()
            }
            tokio::time::sleep(lasts).await;
            match (killed, number < PROXIES) {
                (false, _) => program.resume(),
                (true, true) => site.start_proxy(number),
                (true, false) => site.start_healer(),
            }
            let to = book.now();
            let lane = if number < PROXIES { format!("proxy {}", number + 1) } else { "healer".into() };
            let name = if killed { "kill -9" } else { "SIGSTOP" }.to_owned();
            faults.lock().expect("a lock").push(Fault { lane, name, from, to, whole: to, beyond: false });
        }
    }

    /// A member, dead or alive, is replaced by a new, empty server, as an operator would do it: the same command again until it says that
    /// it is done. Meanwhile nothing else happens to the nodes, since half a replacement leaves fewer of them that may fail.
    async fn replace_member(&mut self) {
        let nodes = self.site.nodes();
        let place = self.rng.place(nodes.len());
        let old = &nodes[place];
        let from = self.book.now();
        let dead = self.rng.below(2) == 0;
        if dead {
            old.server.kill();
        }
        let new = Arc::new(Node::start(self.site.version, self.site.persistence, 1).await);
        let deadline = Instant::now() + REPLACEMENT;
        let (mut tries, mut told) = (0, String::new());
        let mut done = false;
        while !done && Instant::now() < deadline {
            tries += 1;
            (done, told) = self.ask_to_replace(old, &new).await;
        }
        if !done {
            let failed = format!("node {} was not replaced within {REPLACEMENT:?}", place + 1);
            self.site.complain(format!("{failed}, in {tries} tries; the last one said: {told}"));
        }
        if done || self.is_member(&new).await {
            old.server.kill();
            self.site.replace(old, Arc::clone(&new));
        } else if dead {
            old.server.restart().await;
        }
        let to = self.book.now();
        if done && !comes_back(&new).await {
            self.site.note(format!("node {}: the new member has no vote after {RECOVERY:?}", place + 1));
        }
        let name = if dead { "killed and replaced" } else { "replaced" };
        let name = if tries > 1 { format!("{name}, in {tries} tries") } else { name.to_owned() };
        let (lane, whole) = (format!("node {}", place + 1), self.book.now());
        self.faults.lock().expect("a lock").push(Fault { lane, name, from, to, whole, beyond: false });
    }

    async fn ask_to_replace(&self, old: &Node, new: &Node) -> (bool, String) {
        let member = format!("127.0.0.1:{}", old.links[0].port());
        let (good, told) = self.heal(&["node", "replace", &member, &new.links[0].url()]).await;
        (good || told.contains("nothing to do"), told)
    }

    /// Whom the nodes name as their members.
    async fn is_member(&self, node: &Node) -> bool {
        let (_, told) = self.heal(&["--json", "status"]).await;
        told.contains(&format!("\"127.0.0.1:{}\"", node.links[0].port()))
    }

    /// `anarcho-heal` with these words: whether it succeeded, and what it said.
    async fn heal(&self, words: &[&str]) -> (bool, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
        for url in self.site.urls(0) {
            command.args(["--node", &url]);
        }
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(RECOVERY, command.output()).await;
        let Ok(output) = output else { return (false, "it took too long".into()) };
        let output = output.expect("anarcho-heal runs");
        let told =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        (output.status.success(), told)
    }
}

async fn comes_back(node: &Node) -> bool {
    let deadline = Instant::now() + RECOVERY;
    while Instant::now() < deadline {
        if node.votes().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
