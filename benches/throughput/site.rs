//! The servers that the contenders work on.

use crate::contender::{Contender, Kind};
use crate::etcd_servers::EtcdServers;
use crate::harness::{Nodes, Server, Setup, Version, eventually};
use anarchoredis::Client;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, ConnectionInfo, IntoConnectionInfo};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many connections a primary with replicas gets: one for each task that there may be.
pub const MOST_TASKS: usize = 256;

/// How long a busy machine may take to open a connection or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where servers keep what they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Memory,
    /// Every write is on the disk before its answer.
    Disk,
}

impl Storage {
    pub fn server(self) -> Setup {
        match self {
            Storage::Memory => Server::with(Version::Any),
            Storage::Disk => Server::with(Version::Any).appendonly("always"),
        }
    }

    /// etcd always writes to files; where nothing is to be durable it gets a folder in memory, if there is one.
    pub fn folder(self) -> PathBuf {
        let memory = Path::new("/dev/shm");
        if self == Storage::Memory && memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
    }
}

pub struct Site {
    pub nodes: Nodes,
    pub client: Client,
    primary: Option<(Server, Nodes)>,
    etcd: Option<EtcdServers>,
    /// Who was asked for and is not there, and why.
    pub missing: Vec<String>,
}

impl Site {
    /// Starts what these contenders need.
    pub async fn start(storage: Storage, kinds: &[Kind], scopes: &[String]) -> Site {
        let nodes = Nodes::with((0..3).map(|_| storage.server())).await;
        let client = Client::builder().nodes(nodes.urls()).scopes(scopes).connect().await;
        let client = client.expect("three fresh nodes make a store");
        let waits = kinds.iter().any(|kind| matches!(kind, Kind::WaitOne | Kind::WaitTwo));
        let primary = if waits { Some(replicated(storage).await) } else { None };
        let (mut etcd, mut missing) = (None, Vec::new());
        if kinds.contains(&Kind::Etcd) {
            match EtcdServers::start(&storage.folder()).await {
                Ok(servers) => etcd = Some(servers),
                Err(reason) => missing.push(reason),
            }
        }
        Site { nodes, client, primary, etcd, missing }
    }

    /// Those of these kinds that are there.
    pub async fn contenders(&self, kinds: &[Kind]) -> Vec<Contender> {
        let mut all = Vec::new();
        for kind in kinds {
            all.extend(self.contender(*kind).await);
        }
        all
    }

    pub async fn contender(&self, kind: Kind) -> Option<Contender> {
        let pids = pids(&self.nodes);
        Some(match kind {
            Kind::Ours => Contender::ours(&self.client, pids),
            Kind::Evalsha | Kind::Raw => Contender::fan(kind, connections(&self.nodes).await, 3, pids).await,
            Kind::RawTwo => Contender::fan(kind, connections(&self.nodes).await, 2, pids).await,
            Kind::Plain => {
                let one = &self.nodes[..1];
                Contender::primary(kind, connections(one).await, 0, self::pids(one))
            }
            Kind::WaitOne | Kind::WaitTwo => {
                let (primary, replicas) = self.primary.as_ref()?;
                let several = join_all((0..MOST_TASKS).map(|_| connection(primary.url()))).await;
                let pids = primary.pid().into_iter().chain(self::pids(replicas)).collect();
                Contender::primary(kind, several, if kind == Kind::WaitOne { 1 } else { 2 }, pids)
            }
            Kind::Etcd => {
                let etcd = self.etcd.as_ref()?;
                Contender::etcd(&etcd.connect(etcd.leader().await).await, etcd.pids())
            }
        })
    }
}

pub async fn connections(servers: &[Server]) -> Vec<MultiplexedConnection> {
    join_all(servers.iter().map(|server| connection(server.url()))).await
}

/// As the library opens it: without Nagle's algorithm, which would let requests wait for the answer to those before them.
pub async fn connection(url: String) -> MultiplexedConnection {
    let info = url.into_connection_info().expect("a URL of the harness");
    opened(info.set_tcp_settings(TcpSettings::default().set_nodelay(true))).await
}

async fn opened(info: ConnectionInfo) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new();
    let config = config.set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(info).expect("a URL of the harness");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a server that runs")
}

pub fn pids(servers: &[Server]) -> Vec<u32> {
    servers.iter().filter_map(Server::pid).collect()
}

/// A primary whose two replicas have caught up.
async fn replicated(storage: Storage) -> (Server, Nodes) {
    // A primary that waits for further replicas before it sends its data waits for nothing here.
    let primary = storage.server().config("repl-diskless-sync-delay", "0").start().await;
    let of = format!("127.0.0.1 {}", primary.port());
    let replicas = Nodes::with((0..2).map(|_| storage.server().config("replicaof", &of))).await;
    for replica in replicas.iter() {
        eventually("the replica is in sync", PATIENCE, async || {
            let info: String = replica.run(&["INFO", "replication"]).await.expect("INFO");
            info.contains("master_link_status:up")
        })
        .await;
    }
    (primary, replicas)
}
