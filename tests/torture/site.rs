//! Everything that takes part in one episode: servers, the links of each coordinator to them, proxies, a healer.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use anarchoredis::Client;

use super::program::Program;
use super::store::{Proxies, Store};
use crate::clock::Clock;
use crate::harness::{Link, Port, Server, Setup, Version, eventually};
use crate::workload::PATIENCE;

pub const LIBRARIES: usize = 2;
pub const PROXIES: usize = 3;

/// How much of what it has answered a server still knows after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    None,
    Everysec,
    Always,
}

impl Persistence {
    pub fn name(self) -> &'static str {
        match self {
            Persistence::None => "nothing",
            Persistence::Everysec => "everysec",
            Persistence::Always => "always",
        }
    }
}

/// One server of the store.
pub struct Node {
    pub server: Server,
    pub clock: Clock,
    /// By coordinator; where members change all share one, whose address is the member's.
    pub links: Vec<Link>,
    /// Something is being done to it, or it has not recovered from that.
    pub is_hurt: AtomicBool,
}

/// What takes part.
pub struct Site {
    pub persistence: Persistence,
    pub version: Version,
    nodes: RwLock<Vec<Arc<Node>>>,
    shared_links: bool,
    pub proxies: Vec<(Port, Program)>,
    pub healer: Program,
    healer_file: PathBuf,
    pub libraries: Vec<Client>,
    /// Without links: what is true, whatever the weather.
    pub watcher: Client,
    notes: Mutex<Vec<String>>,
    complaints: Mutex<Vec<String>>,
}

impl Site {
    /// Starts all of it.
    pub async fn start(
        count: usize,
        version: Version,
        persistence: Persistence,
        changing_members: bool,
        folder: PathBuf,
    ) -> Site {
        fs::create_dir_all(&folder).expect("a folder for the logs");
        let coordinators = if changing_members { 1 } else { LIBRARIES + PROXIES + 1 };
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Arc::new(Node::start(version, persistence, coordinators).await));
        }
        let urls = |coordinator: usize| -> Vec<String> {
            nodes.iter().map(|node: &Arc<Node>| node.links[coordinator % coordinators].url()).collect()
        };
        let watched =
            if changing_members { urls(0) } else { nodes.iter().map(|node| node.server.url()).collect() };
        let watcher = Client::builder().nodes(watched).connect().await.expect("the first client");
        let mut libraries = Vec::new();
        for coordinator in 0..LIBRARIES {
            libraries.push(Client::builder().nodes(urls(coordinator)).connect().await.expect("a client"));
        }
        let proxy = |number| {
            let log = folder.join(format!("proxy-{number}.log"));
            (Port::any(), Program::new(env!("CARGO_BIN_EXE_anarcho-proxy"), log))
        };
        let proxies: Vec<_> = (0..PROXIES).map(proxy).collect();
        let healer = Program::new(env!("CARGO_BIN_EXE_anarcho-heal"), folder.join("heal.log"));
        let site = Site {
            persistence,
            version,
            nodes: RwLock::new(nodes),
            shared_links: changing_members,
            proxies,
            healer,
            healer_file: folder.join("heal.toml"),
            libraries,
            watcher,
            notes: Mutex::default(),
            complaints: Mutex::default(),
        };
        for number in 0..PROXIES {
            site.start_proxy(number);
        }
        site.start_healer();
        for (port, _) in &site.proxies {
            let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port.number())).await.is_ok();
            eventually("a proxy listens", PATIENCE, listens).await;
        }
        site
    }

    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.read().expect("a lock").clone()
    }

    /// A majority.
    pub fn majority(&self) -> usize {
        self.nodes().len() / 2 + 1
    }

    pub fn replace(&self, old: &Arc<Node>, new: Arc<Node>) {
        let mut nodes = self.nodes.write().expect("a lock");
        for node in nodes.iter_mut() {
            if Arc::ptr_eq(node, old) {
                *node = Arc::clone(&new);
            }
        }
    }

    pub fn urls(&self, coordinator: usize) -> Vec<String> {
        let of = |node: &Arc<Node>| node.links[coordinator % node.links.len()].url();
        self.nodes().iter().map(of).collect()
    }

    pub fn has_changing_members(&self) -> bool {
        self.shared_links
    }

    pub fn start_proxy(&self, number: usize) {
        let (port, program) = &self.proxies[number];
        let mut arguments = vec!["--listen".into(), format!("127.0.0.1:{}", port.number())];
        for url in self.urls(LIBRARIES + number) {
            arguments.extend(["--node".into(), url]);
        }
        program.start(&arguments);
    }

    pub fn start_healer(&self) {
        let urls: Vec<String> = self.urls(LIBRARIES + PROXIES).iter().map(|url| format!("{url:?}")).collect();
        let text = format!("nodes = [{}]\ninterval = \"2s\"\ndrain_every = \"200ms\"\n", urls.join(", "));
        fs::write(&self.healer_file, text).expect("the healer's file");
        self.healer.start(&["--config".into(), self.healer_file.display().to_string()]);
    }

    /// A way to the store for this worker: a third each by the library, the rest through proxies.
    pub fn store(&self, worker: usize) -> Store {
        if worker.is_multiple_of(3) {
            return Store::Library(self.libraries[worker / 3 % LIBRARIES].clone());
        }
        let urls = self.proxies.iter().map(|(port, _)| format!("redis://127.0.0.1:{}/", port.number()));
        Store::Proxies(Proxies::new(urls.collect(), worker))
    }

    /// Everything that has to be told at the end.
    pub fn note(&self, text: String) {
        self.notes.lock().expect("a lock").push(text);
    }

    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().expect("a lock"))
    }

    /// Something that should not be.
    pub fn complain(&self, text: String) {
        self.complaints.lock().expect("a lock").push(text);
    }

    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().expect("a lock"))
    }

    /// Waits until every node votes; says which does not.
    pub async fn until_all_vote(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            let mut missing = Vec::new();
            for (number, node) in self.nodes().iter().enumerate() {
                if !node.votes().await {
                    missing.push(number + 1);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("node {missing:?} did not get its vote back within {patience:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Node {
    pub async fn start(version: Version, persistence: Persistence, coordinators: usize) -> Node {
        let clock = Clock::new();
        let server = setup(&clock, version, persistence).start().await;
        let mut links = Vec::new();
        for _ in 0..coordinators {
            links.push(Link::before(&server).await);
        }
        Node { server, clock, links, is_hurt: AtomicBool::new(false) }
    }

    pub fn is_hurt(&self) -> bool {
        self.is_hurt.load(Ordering::SeqCst)
    }

    /// Takes it for a fault, unless somebody else has.
    pub fn claim(&self) -> bool {
        !self.is_hurt.swap(true, Ordering::SeqCst)
    }

    pub fn release(&self) {
        self.is_hurt.store(false, Ordering::SeqCst);
    }

    /// Is it admitted as a voter, as the server that now runs?
    pub async fn votes(&self) -> bool {
        if self.server.pid().is_none() {
            return false;
        }
        let look = async {
            let held: Vec<Option<String>> =
                self.server.run(&["HMGET", "anrcho_node", "role", "run_id"]).await.ok()?;
            let info: String = self.server.run(&["INFO", "server"]).await.ok()?;
            let run_id = info.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim().to_owned();
            Some(held == [Some("voter".to_owned()), Some(run_id)])
        };
        tokio::time::timeout(Duration::from_secs(2), look).await.ok().flatten().unwrap_or(false)
    }
}

fn setup(clock: &Clock, version: Version, persistence: Persistence) -> Setup {
    let setup = clock.server(version);
    match persistence {
        Persistence::None => setup,
        Persistence::Everysec => setup.appendonly("everysec").own_disk(),
        Persistence::Always => setup.appendonly("always").own_disk(),
    }
}
