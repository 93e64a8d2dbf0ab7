//! Theirs beside ours: the same workloads and faults for this store, for a naive coordinator, and for Redis with Sentinel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::book::Book;
use super::histories::Histories;
use super::plain::{Plain, Shape};
use super::profile::SINGLE_APPEND;
use super::row::Row;
use super::sentinel::{HOSTS, Promise, Theirs};
use super::store::Store;
use crate::harness::{Link, Nodes, Server, Version};
use crate::naive::Naive;
use crate::workload::{Cluster, Coordinator, Rng};
use anarchoredis::heal::{Daemon, Settings};

/// The hosts on the smaller side of the cut of 2013, with the first master.
const SMALL_SIDE: [usize; 2] = [0, 1];
/// As many as in 2013.
pub const ADDS: u64 = 2_000;

/// Five servers, and clients on five hosts.
pub enum System {
    Ours { cluster: Cluster, hosts: Vec<Coordinator>, healer: Option<Daemon> },
    Naive { nodes: Nodes, links: Vec<Vec<Link>> },
    Sentinel(Theirs),
}

impl System {
    pub async fn ours() -> System {
        let cluster = Cluster::of(&[Version::V7_0; HOSTS]).await;
        let hosts = cluster.coordinators(HOSTS).await;
        let settings = Settings {
            drain_every: Duration::from_millis(200),
            interval: Duration::from_secs(2),
            ..Settings::default()
        };
        let healer = Some(hosts[HOSTS - 1].client.healer().run(settings));
        System::Ours { cluster, hosts, healer }
    }

    pub async fn naive() -> System {
        let nodes = Nodes::start(HOSTS).await;
        let mut links = Vec::new();
        for _ in 0..HOSTS {
            let mut of_host = Vec::new();
            for server in nodes.iter() {
                of_host.push(Link::before(server).await);
            }
            links.push(of_host);
        }
        System::Naive { nodes, links }
    }

    pub async fn sentinel(promise: Promise) -> System {
        System::Sentinel(Theirs::start(promise).await)
    }

    fn store(&self, host: usize) -> Store {
        match self {
            System::Ours { hosts, .. } => Store::Library(hosts[host].client.clone()),
            System::Naive { links, .. } => {
                let urls: Vec<String> = links[host].iter().map(Link::url).collect();
                Store::Naive(Arc::new(Naive::new(&urls)))
            }
            System::Sentinel(theirs) => Store::Sentinel(Box::new(theirs.door(host))),
        }
    }

    fn server(&self, place: usize) -> &Server {
        match self {
            System::Ours { cluster, .. } => &cluster[place],
            System::Naive { nodes, .. } => &nodes[place],
            System::Sentinel(theirs) => &theirs.servers[place],
        }
    }

    /// Cuts these hosts, servers and clients, from the others.
    fn part(&self, side: &[usize]) {
        for (host, links) in self.client_links() {
            for (place, link) in links.iter().enumerate() {
                if side.contains(&host) != side.contains(&place) {
                    link.cut();
                }
            }
        }
        if let System::Sentinel(theirs) = self {
            theirs.part(side);
        }
    }

    fn mend(&self) {
        self.client_links().iter().flat_map(|(_, links)| links.iter()).for_each(Link::heal);
        if let System::Sentinel(theirs) = self {
            theirs.mend();
        }
    }

    fn client_links(&self) -> Vec<(usize, &Vec<Link>)> {
        match self {
            System::Ours { hosts, .. } => {
                hosts.iter().enumerate().map(|(host, coordinator)| (host, &coordinator.links)).collect()
            }
            System::Naive { links, .. } => links.iter().enumerate().collect(),
            System::Sentinel(_) => Vec::new(),
        }
    }

    /// Waits until it has recovered as far as it does.
    async fn settled(&self, keys: &[&str]) {
        match self {
            System::Ours { cluster, hosts, .. } => {
                for host in hosts {
                    let _ = host.client.run(&[b"EXISTS", b"probe"]).await;
                    cluster.until_all_vote(&host.client).await;
                }
            }
            System::Naive { nodes, .. } => {
                let naive = Naive::new(&nodes.urls());
                for key in keys {
                    naive.heal(key).await;
                }
            }
            System::Sentinel(theirs) => theirs.until_settled().await,
        }
    }

    async fn close(self) {
        if let System::Ours { healer: Some(healer), .. } = self {
            healer.stop().await;
        }
    }
}

/// The test of 2013 (aphyr, "Call me maybe: Redis"): five clients add numbers to one set; after a while two of the five hosts, the master
/// among them, are cut off, and later the network is whole again. With the master on the smaller side it went on there.
pub async fn set_add_of_2013(name: &str, system: System, seed: u64) -> Row {
    let book = Arc::new(Book::open());
    let adds = Arc::new(Plain::new("2013 set-add", Shape::Set, ADDS));
    let mut tasks = JoinSet::new();
    for host in 0..HOSTS {
        let (mut store, adds, book) = (system.store(host), adds.clone(), book.clone());
        let mut rng = Rng::new(seed + host as u64);
        tasks.spawn(async move {
            while adds.once(&mut store, &book).await {
                tokio::time::sleep(Duration::from_millis(8 + rng.below(14))).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    system.part(&SMALL_SIDE);
    // Sentinel needs two to three seconds for a failover.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    system.mend();
    let mended = book.now();
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a client");
    }
    system.settled(&["plain:2013 set-add"]).await;
    let mut row = adds.conclude(name, &mut system.store(HOSTS - 1), &book).await;
    row.recovery = book.next_after(adds.name(), mended);
    system.close().await;
    row
}

/// Four workloads under one schedule of faults that follows from the seed: a server is killed and comes back empty at once, hangs, or hosts
/// are cut off; one at a time.
pub async fn same_faults(
    name: &str,
    system: System,
    seed: u64,
    lasts: Duration,
    folder: PathBuf,
) -> Vec<Row> {
    let book = Arc::new(Book::open());
    let plains = Arc::new([
        Plain::new("set-add", Shape::Set, u64::MAX),
        Plain::new("list-push", Shape::List, u64::MAX),
        Plain::new("INCR", Shape::Counter, u64::MAX),
    ]);
    let histories = Arc::new(Histories::new(SINGLE_APPEND, name, folder));
    let mut tasks = JoinSet::new();
    for worker in 0..2 * HOSTS {
        let (mut store, plains, histories, book) =
            (system.store(worker % HOSTS), plains.clone(), histories.clone(), book.clone());
        let mut rng = Rng::new(seed + worker as u64);
        tasks.spawn(async move {
            while !book.is_over() {
                if rng.below(3) == 0 {
                    histories.once(worker, &mut rng, &mut store, &book).await;
                } else {
                    plains[rng.place(plains.len())].once(&mut store, &book).await;
                }
                tokio::time::sleep(Duration::from_millis(rng.below(30))).await;
            }
        });
    }
    let mut rng = Rng::new(seed);
    while book.now() < lasts {
        one_fault(&system, &mut rng).await;
    }
    book.finish();
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a worker");
    }
    system.settled(&["plain:set-add", "plain:list-push", "plain:INCR"]).await;
    let mut store = system.store(HOSTS - 1);
    let mut rows = Vec::new();
    for plain in plains.iter() {
        rows.push(plain.conclude(name, &mut store, &book).await);
    }
    histories.judge(&mut store, true).await;
    rows.push(histories.row(&book));
    system.close().await;
    rows
}

async fn one_fault(system: &System, rng: &mut Rng) {
    let place = rng.place(HOSTS);
    let pause = |ms: u64| tokio::time::sleep(Duration::from_millis(ms));
    pause(800).await;
    match rng.below(3) {
        0 => system.server(place).restart_empty().await,
        1 => {
            system.server(place).pause();
            pause(3_000).await;
            system.server(place).resume();
        }
        _ => {
            system.part(&[place, (place + 1) % HOSTS]);
            pause(3_000).await;
            system.mend();
        }
    }
    // Long enough for a failover, and for an emptied node to be filled: one trouble at a time.
    pause(1_500).await;
    if let System::Ours { cluster, hosts, .. } = system {
        let _ = hosts[HOSTS - 1].client.run(&[b"SET", b"probe", b"1"]).await;
        cluster.until_all_vote(&hosts[HOSTS - 1].client).await;
    }
}
