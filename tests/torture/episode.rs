//! One episode: a fresh store, all workloads at once through the library and through proxies, a nemesis; then everything is compared.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::book::{Book, Count};
use super::histories::Histories;
use super::nemesis::{Fault, Nemesis};
use super::news::News;
use super::plain::{Plain, Shape};
use super::profile::JUDGED;
use super::queue::Queue;
use super::row::Row;
use super::site::{LIBRARIES, Persistence, Site};
use super::store::Store;
use crate::harness::{Server, Version};
use crate::workload::{self, Rng};

pub const OURS: &str = "anarchoredis";
/// How long a stretch of the timeline is.
pub const BUCKET: Duration = Duration::from_millis(100);
const WORKERS: usize = 24;
const TAKERS: usize = 3;
/// For all nodes to vote and to become alike when all is over.
const CALM: Duration = Duration::from_secs(240);

/// What follows from a seed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    pub version: Version,
    pub persistence: Persistence,
    pub changing_members: bool,
    pub lasts: Duration,
    /// Largest pause of a worker between two operations, in ms.
    pub pause_ms: u64,
}

impl Plan {
    pub fn of(seed: u64, lasts: Duration) -> Plan {
        let mut rng = Rng::new(seed);
        let version = [Version::V7_0, Version::V7_4, Version::Valkey9][rng.place(3)];
        let persistence = [Persistence::None, Persistence::Everysec, Persistence::Always][rng.place(3)];
        Plan {
            seed,
            nodes: if rng.below(3) == 0 { 3 } else { 5 },
            version,
            persistence,
            changing_members: rng.below(4) == 0,
            lasts,
            pause_ms: 120,
        }
    }

    pub fn told(&self) -> String {
        let members = if self.changing_members { ", members change" } else { "" };
        format!(
            "seed {}: {} nodes of {}, disk keeps {}{members}",
            self.seed,
            self.nodes,
            self.version,
            self.persistence.name()
        )
    }
}

/// What came of it.
pub struct Outcome {
    pub plan: Plan,
    pub rows: Vec<Row>,
    pub faults: Vec<Fault>,
    pub buckets: Vec<Count>,
    pub lasted: Duration,
    pub slowest: Duration,
    /// What should not be, in words.
    pub complaints: Vec<String>,
    /// What took long, in words: no promise.
    pub slow: Vec<String>,
    pub errors: Vec<String>,
}

impl Outcome {
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.rows.iter().all(Row::is_clean)
    }
}

struct Work {
    histories: Vec<Histories>,
    plains: Vec<Plain>,
    queue: Queue,
    news: News,
}

/// Runs it; the folder has the programs' logs and the bad histories.
pub async fn run(plan: Plan, folder: PathBuf) -> Outcome {
    let site = Arc::new(
        Site::start(plan.nodes, plan.version, plan.persistence, plan.changing_members, folder.clone()).await,
    );
    let book = Arc::new(Book::open());
    let work = Arc::new(Work {
        histories: JUDGED.iter().map(|profile| Histories::new(*profile, OURS, folder.clone())).collect(),
        plains: vec![
            Plain::new("set-add", Shape::Set, u64::MAX),
            Plain::new("list-push", Shape::List, u64::MAX),
            Plain::new("INCR", Shape::Counter, u64::MAX),
        ],
        queue: Queue::default(),
        news: News::default(),
    });
    let mut listeners = Vec::new();
    for client in &site.libraries {
        listeners.push(work.news.subscribe(client).await);
    }
    let mut tasks = JoinSet::new();
    for worker in 0..WORKERS {
        tasks.spawn(labour(
            worker,
            Rng::new(plan.seed + 1 + worker as u64),
            plan.clone(),
            work.clone(),
            site.clone(),
            book.clone(),
        ));
    }
    for taker in 0..TAKERS {
        tasks.spawn(take(taker, work.clone(), site.clone(), book.clone()));
    }
    tasks.spawn(judge(work.clone(), site.clone(), book.clone()));
    let faults = Arc::new(Mutex::new(Vec::new()));
    let nemesis =
        Nemesis { site: site.clone(), book: book.clone(), rng: Rng::new(plan.seed), faults: faults.clone() };
    nemesis.run(plan.lasts).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    book.finish();
    let mut complaints = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            complaints.push(format!("a worker: {error}"));
        }
    }
    let lasted = book.now();
    // Nothing is wrong any more, and nobody works: now every node must get its vote back.
    let all_vote = site.until_all_vote(CALM).await;
    let suffered = faults.lock().expect("a lock").clone();
    let rows = conclude(&work, &site, &book, &suffered).await;
    listeners.iter().for_each(tokio::task::JoinHandle::abort);
    match all_vote {
        Ok(()) => {
            complaints.extend(alike(&site).await);
            complaints.extend(verified(&site).await);
        }
        Err(complaint) => complaints.push(format!("when all was calm, {complaint}")),
    }
    complaints.extend(site.complaints());
    complaints.extend(panics(&folder));
    let errors = book.errors().into_iter().map(|(text, times)| format!("{times} x {text}")).collect();
    let faults = std::mem::take(&mut *faults.lock().expect("a lock"));
    Outcome {
        plan,
        rows,
        faults,
        buckets: book.buckets(BUCKET),
        lasted,
        slowest: book.slowest(),
        complaints,
        slow: site.notes(),
        errors,
    }
}

async fn labour(worker: usize, mut rng: Rng, plan: Plan, work: Arc<Work>, site: Arc<Site>, book: Arc<Book>) {
    let mut store = site.store(worker);
    while !book.is_over() {
        match rng.below(100) {
            0..62 => {
                let histories = &work.histories[rng.place(work.histories.len())];
                histories.once(worker, &mut rng, &mut store, &book).await;
            }
            62..86 => {
                work.plains[rng.place(work.plains.len())].once(&mut store, &book).await;
            }
            86..94 => work.queue.push(&mut store, &book).await,
            _ => work.news.publish(&mut store, &book).await,
        }
        tokio::time::sleep(Duration::from_millis(rng.below(plan.pause_ms))).await;
    }
}

/// Two of the takers go through proxies.
async fn take(taker: usize, work: Arc<Work>, site: Arc<Site>, book: Arc<Book>) {
    let mut store = site.store(taker);
    let mut found = true;
    while found || !book.is_over() {
        found = work.queue.take(&mut store, &book).await && !book.is_over();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn judge(work: Arc<Work>, site: Arc<Site>, book: Arc<Book>) {
    let mut store = Store::Library(site.libraries[LIBRARIES - 1].clone());
    while !book.is_over() {
        for histories in &work.histories {
            histories.judge(&mut store, false).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn conclude(work: &Work, site: &Site, book: &Book, faults: &[Fault]) -> Vec<Row> {
    let mut store = Store::Library(site.watcher.clone());
    let mut rows = Vec::new();
    for plain in &work.plains {
        rows.push(plain.conclude(OURS, &mut store, book).await);
    }
    for histories in &work.histories {
        histories.judge(&mut store, true).await;
        rows.push(histories.row(book));
    }
    rows.push(work.queue.conclude(OURS, &mut store, book).await);
    rows.push(work.news.conclude(OURS, book));
    let beyond: Vec<(Duration, Duration)> =
        faults.iter().filter(|fault| fault.beyond).map(|fault| (fault.from, fault.to)).collect();
    for row in &mut rows {
        row.gap = book.longest_gap(&row.workload, &beyond);
        row.recovery = beyond.iter().filter_map(|(_, to)| book.next_after(&row.workload, *to)).max();
    }
    rows
}

/// All nodes hold the same in the end; who reads what differs has it repaired.
async fn alike(site: &Site) -> Option<String> {
    let deadline = Instant::now() + CALM;
    loop {
        let nodes = site.nodes();
        let servers: Vec<&Server> = nodes.iter().map(|node| &node.server).collect();
        let different = workload::difference(&servers).await;
        let (key, held) = different.first_key_value()?;
        if Instant::now() > deadline {
            return Some(format!(
                "nodes differ in {} keys after {CALM:?}, such as {key}: {held:?}",
                different.len()
            ));
        }
        for key in different.keys() {
            let register =
                key.strip_prefix("anrcho_version:{").map_or(key.as_str(), |id| &id[..id.len() - 1]);
            // What fails now is repaired in the next turn.
            let _ = site.watcher.run(&[b"EXISTS", register.as_bytes()]).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// `anarcho-heal verify` compares values with records, and nodes with each other.
async fn verified(site: &Site) -> Option<String> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_anarcho-heal"));
    for url in site.urls(0) {
        command.args(["--node", &url]);
    }
    let output = command.arg("verify").stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.expect("anarcho-heal runs");
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| format!("anarcho-heal verify: {told}"))
}

/// No program of ours panicked.
fn panics(folder: &std::path::Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "log"));
    let panicked = logs.filter_map(|file| {
        let text = std::fs::read_to_string(file.path()).ok()?;
        let line = text.lines().find(|line| line.contains("panicked at"))?;
        Some(format!("{}: {line}", file.path().display()))
    });
    panicked.collect()
}
